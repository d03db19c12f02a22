//! One process run of the bridge: opened on the store of the last one, until it crashes, is stopped, or all is at rest.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;
use webinar_bridge::clock::{Clock, ClockWitness, VirtualClock, WitnessedClock};
use webinar_bridge::deliver::{AccountWorker, DeliveryAccount, DeliverySettings, schedule};
use webinar_bridge::event::{AccountName, Millis, ProviderId, StatusChange};
use webinar_bridge::fetch::WebinarLister;
use webinar_bridge::hubspot::{AccountApiSettings, AccountClient, AccountCredentials};
use webinar_bridge::ledger::{
    AccountStatuses as _, Browse as _, Intake as _, LATE_EFFECT_WINDOW, Ledger, Outbox as _,
    Retention,
};
use webinar_bridge::net::{Http, WitnessedHttp};
use webinar_bridge::secret::Secret;
use webinar_bridge::telemetry::Metrics;

use super::check;
use super::fault_injector::FaultInjector;
use super::leases::{KnownLeases, lose_leases};
use super::ledger::FaultyLedger;
use super::mishap;
use super::operator::operate;
use super::restored_copy;
use super::stores::SimulatedStore;
use super::thin::THIN_SOURCE;
use super::thin_life;
use super::webhooks::accounts;
use super::wire::Wire;
use super::world::{TOKEN, World};
use super::wrong_clock::MachineClock;
use crate::harness::build::source;
use crate::harness::rng::SeededRng;

/// How long receipts and events are kept.
pub(super) const KEEP: Retention =
    Retention { receipts: Duration::from_hours(24), events: Duration::from_hours(24) };
/// Time limit of a request to the bridge.
const TIMEOUT: Duration = Duration::from_millis(2_500);
/// Time limit of a call to HubSpot.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The service's default.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);
/// Time after which an unknown outcome is resolved: [`LATE_EFFECT_WINDOW`] and a minute; three minutes are promised in
/// all.
const HEALED: Duration = LATE_EFFECT_WINDOW.saturating_add(Duration::from_mins(1));
/// Time limit for coming to rest: the longest pauses without a given end last ten minutes.
const REST_WITHIN: Duration = Duration::from_mins(25);

/// After a long time without the bridge HubSpot has sent its time by then, if it has a reason to ask, and timers ran.
const SETTLED_WITHIN: Duration = Duration::from_mins(10);

/// How long events are kept, and fetches that fail: longer than any simulation.
pub(super) const EVENTS_KEPT: Duration = Duration::from_hours(24 * 60);

/// End of a process run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// The process crashed or was stopped; another follows.
    Ended,
    /// All was at rest and was checked.
    AtRest,
}

/// Planned end of a process run.
#[derive(Debug, Clone, Copy)]
pub(super) enum PlannedEnd {
    /// A crash after this number of points.
    Crash(u64),
    /// A crash after this time, between two points.
    Cut(Duration),
    /// A stop signal after this time.
    Stop(Duration),
    /// No planned end.
    None,
}

impl PlannedEnd {
    pub(super) fn draw(rng: &mut SeededRng) -> Self {
        match rng.below(5) {
            0 => Self::Stop(Duration::from_millis(rng.between(0, 90_000))),
            1 => Self::Cut(Duration::from_millis(rng.between(0, 90_000))),
            2 => Self::Crash(rng.between(0, 30)),
            _ => Self::Crash(rng.between(0, 400)),
        }
    }
}

thread_local! {
    /// A simulation runs on one thread.
    static JITTER: Cell<u32> = const { Cell::new(1) };
}

/// A linear congruential generator (Numerical Recipes): any distribution will do.
fn jitter() -> u32 {
    JITTER.with(|last| {
        last.set(last.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        last.get()
    })
}

/// The running bridge.
struct Bridge<L> {
    ledger: Arc<FaultyLedger<L>>,
    injector: Arc<FaultInjector>,
    work: JoinSet<()>,
    lister: Option<WebinarLister>,
    stop: CancellationToken,
    clock: Arc<dyn Clock>,
}

/// Runs the bridge once.
pub(super) async fn run_process<S: SimulatedStore>(
    world: Arc<Mutex<World>>,
    store: &S,
    planned_end: PlannedEnd,
) -> RunEnd {
    let (start, jitter_seed) = {
        let mut world = world.lock().expect("nobody panicked");
        world.run_began = world.now;
        world.belief.begin_run();
        (world.now, world.rng.below(1 << 30))
    };
    JITTER.with(|last| last.set(u32::try_from(jitter_seed).expect("30 bits")));
    let clock = VirtualClock::starting_at(start);
    let points = match planned_end {
        PlannedEnd::Crash(points) => Some(points),
        PlannedEnd::Cut(_) | PlannedEnd::Stop(_) | PlannedEnd::None => None,
    };
    let injector = FaultInjector::new(Arc::clone(&world), clock, points);
    injector.world().note(start, format!("a life begins; its planned_end is {planned_end:?}"));
    let errors = injector.world().clock_errors.clone();
    let machine: Arc<dyn Clock> = Arc::new(MachineClock { time: clock, errors });
    let machine: Arc<dyn Clock> = Arc::new(WitnessedClock::new(machine));
    injector.world().note_mishap(start);
    let mut bridge = Bridge::start(store.open(&machine), &injector, machine);
    bridge.ledger.check_counts().await;
    let mut platforms = platforms(&bridge);
    platforms.spawn(operate(Arc::clone(&bridge.ledger), Arc::clone(&bridge.injector)));
    platforms.spawn(mishap::tend(Arc::clone(&bridge.ledger), Arc::clone(&bridge.injector)));
    if let Some(lister) = bridge.lister.clone() {
        let (ledger, injector) = (Arc::clone(&bridge.ledger), Arc::clone(&bridge.injector));
        platforms.spawn(thin_life::backfill_meanwhile(ledger, injector, lister));
    }
    for account in accounts().into_iter().filter(|_| S::LOSES_LEASES) {
        let (ledger, injector) = (Arc::clone(&bridge.ledger), Arc::clone(&bridge.injector));
        platforms.spawn(lose_leases::<S>(ledger, injector, account));
    }
    let dead = injector.dead.clone();
    let end = tokio::select! {
        biased;
        () = dead.cancelled() => RunEnd::Ended,
        () = cut(planned_end) => RunEnd::Ended,
        () = mishap::end_of_run(&injector) => RunEnd::Ended,
        () = restored_copy::back_up_and_wait(store, &injector) => RunEnd::Ended,
        () = stopped(planned_end) => {
            injector.world().note(clock.now(), "told to stop");
            // No more connections: unanswered webhooks are sent again later.
            platforms.abort_all();
            bridge.drain().await;
            RunEnd::Ended
        }
        () = rest(&bridge) => {
            bridge.drain().await;
            RunEnd::AtRest
        }
    };
    let now = clock.now();
    let mut world = injector.world();
    world.note(now, format!("the life ends: {end:?}"));
    world.end_run(now);
    end
}

async fn cut(planned_end: PlannedEnd) {
    match planned_end {
        PlannedEnd::Cut(after) => tokio::time::sleep(after).await,
        PlannedEnd::Crash(_) | PlannedEnd::Stop(_) | PlannedEnd::None => {
            std::future::pending::<()>().await;
        }
    }
}

async fn stopped(planned_end: PlannedEnd) {
    match planned_end {
        PlannedEnd::Stop(after) => tokio::time::sleep(after).await,
        PlannedEnd::Crash(_) | PlannedEnd::Cut(_) | PlannedEnd::None => {
            std::future::pending::<()>().await;
        }
    }
}

impl<L: Ledger> Bridge<L> {
    fn start(inner: L, injector: &Arc<FaultInjector>, clock: Arc<dyn Clock>) -> Self {
        let ledger = Arc::new(FaultyLedger {
            inner,
            leases: KnownLeases::default(),
            injector: Arc::clone(injector),
        });
        let shared: Arc<dyn Ledger> = Arc::clone(&ledger) as Arc<dyn Ledger>;
        let machine = Arc::clone(&clock);
        let http: Arc<dyn Http> = Arc::new(Wire { injector: Arc::clone(injector) });
        let http = WitnessedHttp::new(http, Arc::clone(&clock), ClockWitness::Hubspot);
        let http: Arc<dyn Http> = Arc::new(http);
        let stop = CancellationToken::new();
        let metrics = Metrics::new(&accounts(), &[(source(THIN_SOURCE), ProviderId::new("zoom"))]);
        let lane_settings = lane_settings(&injector.world());
        let mut work = JoinSet::new();
        let without_delivery = injector.world().operator.without_delivery.clone();
        let refresh_token = injector.world().refresh_token.clone();
        for name in accounts().into_iter().filter(|name| !without_delivery.contains(name)) {
            let api = api(&name, &refresh_token);
            let http = Arc::clone(&http);
            let account =
                AccountClient::new(name.clone(), api, http, Arc::clone(&clock), metrics.clone());
            let (ledger, clock) = (Arc::<dyn Ledger>::clone(&shared), Arc::clone(&clock));
            let metrics = metrics.clone();
            let account =
                DeliveryAccount::new(name, account, lane_settings, ledger, clock, metrics);
            let lane = AccountWorker::new(account);
            work.spawn(lane.run(stop.clone()));
        }
        let fetching = Arc::<dyn Ledger>::clone(&shared);
        let worker = thin_life::worker(injector, fetching, Arc::clone(&clock), metrics, jitter);
        let lister = worker.as_ref().map(|worker| worker.lister());
        if let Some(worker) = worker {
            work.spawn(worker.run(stop.clone()));
        }
        work.spawn(schedule::run_timers(Arc::<dyn Ledger>::clone(&shared), clock, stop.clone()));
        let keep = injector.world().keep;
        let keep = if lister.is_some() { Retention { events: EVENTS_KEPT, ..keep } } else { keep };
        work.spawn(schedule::run_housekeeping(shared, keep, stop.clone()));
        Self { ledger, injector: Arc::clone(injector), work, lister, stop, clock: machine }
    }

    /// A graceful stop: the bridge ends by itself, or is dropped after the time limit.
    async fn drain(&mut self) {
        self.stop.cancel();
        let drained = async {
            while let Some(ended) = self.work.join_next().await {
                if let Err(error) = ended {
                    let now = self.injector.now();
                    self.injector.world().wrong(now, format!("a task failed: {error}"));
                }
            }
        };
        let dead = &self.injector.dead;
        tokio::select! {
            biased;
            () = dead.cancelled() => {}
            _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, drained) => {}
        }
    }
}

fn lane_settings(world: &World) -> DeliverySettings {
    let profile = &world.profile;
    DeliverySettings {
        sends: true,
        rate_limit: profile.rate,
        max_batch: profile.max_batch,
        max_linger: profile.max_linger,
        max_in_flight: profile.max_in_flight,
        random: jitter,
    }
}

fn api(name: &AccountName, refresh_token: &str) -> AccountApiSettings {
    let base_url = Url::parse(&format!("https://{name}.example")).expect("valid");
    let secret = |text: &str| Secret::Text(text.to_owned().into());
    let credentials = if name.as_str() == "main" {
        AccountCredentials::Token(secret(TOKEN))
    } else {
        AccountCredentials::OAuth {
            client_id: "app".into(),
            client_secret: secret("app-secret"),
            refresh_token: secret(refresh_token),
            token_url: base_url.join("/oauth/2026-03/token").expect("valid"),
        }
    };
    AccountApiSettings {
        base_url,
        path_prefix: "/marketing/v3/marketing-events".into(),
        request_timeout: REQUEST_TIMEOUT,
        credentials,
    }
}

/// Sends the unanswered webhooks, each repeatedly until it is answered.
fn platforms<L: Ledger>(bridge: &Bridge<L>) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    let count = bridge.injector.world().webhooks.len();
    for number in 0..count {
        let (ledger, injector) = (Arc::clone(&bridge.ledger), Arc::clone(&bridge.injector));
        senders.spawn(send(ledger, injector, Arc::clone(&bridge.clock), number));
    }
    senders
}

async fn send<L: Ledger>(
    ledger: Arc<FaultyLedger<L>>,
    injector: Arc<FaultInjector>,
    clock: Arc<dyn Clock>,
    number: usize,
) {
    let due = injector.world().webhooks[number].due;
    tokio::time::sleep(due.since(injector.now())).await;
    loop {
        let now = clock.dated_now();
        let (receipt, again) = {
            let mut world = injector.world();
            world.check_dating(injector.now(), now);
            let webhook = &world.webhooks[number];
            if webhook.answered && webhook.again == 0 {
                return;
            }
            let webhook = webhook.clone();
            let mut id = [0; 16];
            id[..8].copy_from_slice(&world.rng.between(0, u64::MAX - 1).to_be_bytes());
            // The pause before the webhook is sent again.
            let again = Duration::from_millis(world.rng.between(500, 20_000));
            (webhook.receipt(now, id), again)
        };
        let answer = tokio::time::timeout(TIMEOUT, ledger.accept(receipt)).await;
        {
            let mut world = injector.world();
            let heard = match &answer {
                Ok(Ok(acceptance)) => format!("{acceptance:?}"),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            world.note(injector.now(), format!("webhook {number}: {heard}"));
            let webhook = &mut world.webhooks[number];
            if let Ok(Ok(_)) = answer {
                webhook.again = webhook.again.saturating_sub(u64::from(webhook.answered));
                webhook.answered = true;
            }
        }
        tokio::time::sleep(again).await;
    }
}

/// Waits until nothing is left to do, and checks the result.
async fn rest<L: Ledger>(bridge: &Bridge<L>) {
    let injector = &bridge.injector;
    let faults_end_at = injector.world().profile.faults_end_at;
    tokio::time::sleep(faults_end_at.since(injector.now())).await;
    thin_life::quiet(injector).await;
    injector.stop_crashes();
    check::isolation(bridge.ledger.as_ref(), injector).await;
    injector.world().lift_limits();
    if !operated(injector).await {
        return;
    }
    for account in accounts() {
        // A wait of a day is ended by an operator; any other pause must end by itself, whatever the clock did.
        let far = injector.now().plus(Duration::from_mins(11));
        let is_told = injector.world().long_waits.contains(&account);
        if is_told
            && bridge.ledger.watch_status(&account).borrow().retry_at.is_some_and(|at| at > far)
        {
            injector.world().note(injector.now(), format!("an operator resumes {account}"));
            let amended = bridge.ledger.inner.update_status(&account, StatusChange::Resumed);
            amended.await.expect("the store works");
            bridge.ledger.wake_up(&account).notify_one();
        }
    }
    let lister = bridge.lister.as_ref();
    if !thin_life::made(bridge.ledger.as_ref(), injector, lister).await {
        return;
    }
    let mut began = injector.now();
    loop {
        if is_at_rest(bridge).await {
            check::verify(bridge.ledger.as_ref(), injector).await;
            if thin_life::verify(bridge.ledger.as_ref(), injector, lister).await
                || !thin_life::made(bridge.ledger.as_ref(), injector, lister).await
            {
                return;
            }
            began = injector.now();
        }
        let now = injector.now();
        if now.since(began) > REST_WITHIN {
            let counts = bridge.ledger.event_counts().await.expect("it is read");
            injector.world().wrong(now, format!("it does not come to rest: {counts:?}"));
            return;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Waits until the operator's actions are done; false if they are not in time.
async fn operated(injector: &FaultInjector) -> bool {
    let began = injector.now();
    while !injector.world().operator.is_done() {
        let now = injector.now();
        if now.since(began) > REST_WITHIN {
            injector.world().wrong(now, "an operator is not heard");
            return false;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    true
}

async fn is_at_rest<L: Ledger>(bridge: &Bridge<L>) -> bool {
    let now = bridge.injector.now();
    let counts = bridge.ledger.event_counts().await.expect("it is read");
    let mut busy = counts.values().any(|counts| counts.pending + counts.in_flight > 0);
    for account in counts.keys() {
        busy |= bridge.ledger.inner.has_base_reads(account).await.unwrap_or(true);
    }
    let mut world = bridge.injector.world();
    let told = world.webhooks.iter().all(|webhook| webhook.answered && webhook.again == 0);
    // After a start the time until a second sending begins again.
    let healed = world.unknown_since.is_none_or(|at| now.since(at.max(world.run_began)) > HEALED);
    // A timer that has just run out is not late yet.
    let timers = world.oracle.next_due().is_some_and(|due| {
        due <= now.plus(Duration::from_mins(2)) && due.plus(Duration::from_mins(1)) > now
    });
    world.note_clock(now);
    let is_settled = world.clock_errors.has_any()
        || world.belief.is_settled()
        || now.since(world.run_began) > SETTLED_WITHIN;
    let is_clock_right = world.clock_errors.is_over(now) && is_settled;
    !busy && told && healed && !timers && is_clock_right && !world.has_delayed_batches(now)
}

/// Sets the start of the next process run: now, or some time later.
pub(super) fn pause(world: &mut World) {
    let longest = *world.rng.pick(&[0, 1_000, 60_000]);
    world.now =
        Millis::new(world.now.get() + i64::try_from(world.rng.between(0, longest)).expect("small"));
    if let Some(thin) = &mut world.thin {
        let (off_since, pause) = (world.now, thin.pause());
        world.now = world.now.plus(pause);
        if pause >= Duration::from_hours(24) {
            world.belief.off_since = Some(off_since);
        }
    }
}

//! One life of the bridge: opened on what the last one left, run until it dies, is stopped, or all is at rest.

use std::cell::Cell;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;
use webinar_bridge::clock::{Clock, VirtualClock};
use webinar_bridge::deliver::{AccountWorker, DeliverySettings, schedule};
use webinar_bridge::event::{AccountName, Millis, StatusChange};
use webinar_bridge::hubspot::{AccountApiSettings, AccountClient, AccountCredentials};
use webinar_bridge::ledger::sqlite::{OpenError, Rekey, Settings, SqliteLedger, Threading};
use webinar_bridge::ledger::{
    AccountStatuses as _, Browse as _, Intake as _, LATE_EFFECT_WINDOW, Ledger, Outbox as _,
    Retention,
};
use webinar_bridge::net::Http;
use webinar_bridge::secret::Secret;
use webinar_bridge::telemetry::Metrics;

use super::check;
use super::ledger::Perilous;
use super::operator::operate;
use super::peril::Peril;
use super::webhooks::{accounts, policies};
use super::wire::Wire;
use super::world::{TOKEN, World};
use crate::harness::dice::Dice;
use crate::harness::store::Unwatched;

/// How long a request to the bridge waits for its answer.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// For one call to HubSpot.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// As the service's own default.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);
/// What healing takes beyond [`LANDED`]: three minutes are promised in all.
const HEALED: Duration = LATE_EFFECT_WINDOW.saturating_add(Duration::from_mins(1));
/// All is at rest by then: the longest pauses that are not told are of ten minutes.
const REST_WITHIN: Duration = Duration::from_mins(25);

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It died, or was stopped: another follows.
    Mortal,
    /// All was at rest, and looked at.
    Rest,
}

/// How a life is to end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doom {
    /// After so many points.
    Crash(u64),
    /// Between two points, then.
    Cut(Duration),
    /// It is told to stop then.
    Stop(Duration),
    /// Not by itself.
    None,
}

impl Doom {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        match dice.below(5) {
            0 => Self::Stop(Duration::from_millis(dice.between(0, 90_000))),
            1 => Self::Cut(Duration::from_millis(dice.between(0, 90_000))),
            2 => Self::Crash(dice.between(0, 30)),
            _ => Self::Crash(dice.between(0, 400)),
        }
    }
}

thread_local! {
    /// A simulation keeps to one thread.
    static JITTER: Cell<u32> = const { Cell::new(1) };
}

/// A linear congruential generator (Numerical Recipes): any spread will do here.
fn jitter() -> u32 {
    JITTER.with(|last| {
        last.set(last.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        last.get()
    })
}

/// What the bridge is made of, once it runs.
struct Bridge {
    ledger: Arc<Perilous<SqliteLedger>>,
    peril: Arc<Peril>,
    work: JoinSet<()>,
    stop: CancellationToken,
}

/// Lives once.
pub(super) async fn live(world: Arc<Mutex<World>>, file: &Path, doom: Doom) -> End {
    let (start, jitter_seed) = {
        let mut world = world.lock().expect("nobody panicked");
        world.born = world.now;
        (world.now, world.dice.below(1 << 30))
    };
    JITTER.with(|last| last.set(u32::try_from(jitter_seed).expect("30 bits")));
    let clock = VirtualClock::starting_at(start);
    let points = match doom {
        Doom::Crash(points) => Some(points),
        Doom::Cut(_) | Doom::Stop(_) | Doom::None => None,
    };
    let peril = Peril::new(Arc::clone(&world), clock, points);
    peril.world().note(start, format!("a life begins; its doom is {doom:?}"));
    let mut bridge = Bridge::start(file, &peril, clock);
    bridge.ledger.check_census().await;
    let mut platforms = platforms(&bridge);
    platforms.spawn(operate(Arc::clone(&bridge.ledger), Arc::clone(&bridge.peril)));
    let dead = peril.dead.clone();
    let end = tokio::select! {
        biased;
        () = dead.cancelled() => End::Mortal,
        () = cut(doom) => End::Mortal,
        () = stopped(doom) => {
            peril.world().note(clock.now(), "told to stop");
            // No more connections: who was not answered comes again.
            platforms.abort_all();
            bridge.drain().await;
            End::Mortal
        }
        () = rest(&bridge) => {
            bridge.drain().await;
            End::Rest
        }
    };
    let now = clock.now();
    let mut world = peril.world();
    world.note(now, format!("the life ends: {end:?}"));
    world.died(now);
    end
}

async fn cut(doom: Doom) {
    match doom {
        Doom::Cut(after) => tokio::time::sleep(after).await,
        Doom::Crash(_) | Doom::Stop(_) | Doom::None => std::future::pending().await,
    }
}

async fn stopped(doom: Doom) {
    match doom {
        Doom::Stop(after) => tokio::time::sleep(after).await,
        Doom::Crash(_) | Doom::Cut(_) | Doom::None => std::future::pending().await,
    }
}

impl Bridge {
    fn start(file: &Path, peril: &Arc<Peril>, clock: VirtualClock) -> Self {
        let settings = || Settings {
            path: file.to_owned(),
            accounts: accounts().to_vec(),
            policies: policies(),
            migrate: true,
            rekey: Rekey::Refuse,
            clock: Arc::new(clock),
            observer: Arc::new(Unwatched),
            threading: Threading::Inline,
        };
        // Other tests start programs: between its fork and its exec one of them holds the lock that was just let go.
        let inner = loop {
            match SqliteLedger::open(settings()) {
                Err(OpenError::InUse(_)) => std::thread::yield_now(),
                opened => break opened.expect("the store opens again"),
            }
        };
        let ledger = Arc::new(Perilous { inner, peril: Arc::clone(peril) });
        let shared: Arc<dyn Ledger> = Arc::clone(&ledger) as Arc<dyn Ledger>;
        let http: Arc<dyn Http> = Arc::new(Wire { peril: Arc::clone(peril) });
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let stop = CancellationToken::new();
        let metrics = Metrics::new(&accounts(), &[]);
        let lane_settings = lane_settings(&peril.world());
        let mut work = JoinSet::new();
        let shadowed = peril.world().operator.shadowed.clone();
        let refresh_token = peril.world().refresh_token.clone();
        for name in accounts().into_iter().filter(|name| !shadowed.contains(name)) {
            let api = api(&name, &refresh_token);
            let account = AccountClient::new(api, Arc::clone(&http), Arc::clone(&clock));
            let (ledger, clock) = (Arc::<dyn Ledger>::clone(&shared), Arc::clone(&clock));
            let lane =
                AccountWorker::new(name, account, lane_settings, ledger, clock, metrics.clone());
            work.spawn(lane.run(stop.clone()));
        }
        work.spawn(schedule::run_timers(Arc::<dyn Ledger>::clone(&shared), clock, stop.clone()));
        let day = Duration::from_hours(24);
        let keep = Retention { receipts: day, events: day };
        work.spawn(schedule::run_housekeeping(shared, keep, stop.clone()));
        Self { ledger, peril: Arc::clone(peril), work, stop }
    }

    /// A graceful stop: it ends by itself, or is dropped when its time is over.
    async fn drain(&mut self) {
        self.stop.cancel();
        let drained = async {
            while let Some(ended) = self.work.join_next().await {
                if let Err(error) = ended {
                    let now = self.peril.now();
                    self.peril.world().wrong(now, format!("a task failed: {error}"));
                }
            }
        };
        let dead = &self.peril.dead;
        tokio::select! {
            biased;
            () = dead.cancelled() => {}
            _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, drained) => {}
        }
    }
}

fn lane_settings(world: &World) -> DeliverySettings {
    let weather = &world.weather;
    DeliverySettings {
        rate_limit: weather.rate,
        max_batch: weather.max_batch,
        max_linger: weather.max_linger,
        max_in_flight: weather.max_in_flight,
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

/// The platforms send what was not answered yet, each webhook again and again until it is.
fn platforms(bridge: &Bridge) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    let count = bridge.peril.world().webhooks.len();
    for number in 0..count {
        let (ledger, peril) = (Arc::clone(&bridge.ledger), Arc::clone(&bridge.peril));
        senders.spawn(send(ledger, peril, number));
    }
    senders
}

async fn send(ledger: Arc<Perilous<SqliteLedger>>, peril: Arc<Peril>, number: usize) {
    let due = peril.world().webhooks[number].due;
    tokio::time::sleep(due.since(peril.now())).await;
    loop {
        let now = peril.now();
        let (receipt, again) = {
            let mut world = peril.world();
            let webhook = &world.webhooks[number];
            if webhook.answered && webhook.again == 0 {
                return;
            }
            let webhook = webhook.clone();
            let mut id = [0; 16];
            id[..8].copy_from_slice(&world.dice.between(0, u64::MAX - 1).to_be_bytes());
            // Whoever waits for an answer comes again sooner than who does not.
            let again = Duration::from_millis(world.dice.between(500, 20_000));
            (webhook.receipt(now, id), again)
        };
        let answer = tokio::time::timeout(PATIENCE, ledger.accept(receipt)).await;
        {
            let mut world = peril.world();
            let heard = match &answer {
                Ok(Ok(acceptance)) => format!("{acceptance:?}"),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            world.note(peril.now(), format!("webhook {number}: {heard}"));
            let webhook = &mut world.webhooks[number];
            if let Ok(Ok(_)) = answer {
                webhook.again = webhook.again.saturating_sub(u64::from(webhook.answered));
                webhook.answered = true;
            }
        }
        tokio::time::sleep(again).await;
    }
}

/// Waits until nothing is left to do, and looks at it.
async fn rest(bridge: &Bridge) {
    let peril = &bridge.peril;
    let heals_at = peril.world().weather.heals_at;
    tokio::time::sleep(heals_at.since(peril.now())).await;
    peril.disarm();
    check::isolation(bridge.ledger.as_ref(), peril).await;
    peril.world().lift_limits();
    if !operated(peril).await {
        return;
    }
    for account in accounts() {
        // What was told to wait for a day is resumed by an operator; whatever else is paused must go on by itself.
        let far = peril.now().plus(Duration::from_mins(11));
        if bridge.ledger.watch_status(&account).borrow().retry_at.is_some_and(|at| at > far) {
            peril.world().note(peril.now(), format!("an operator resumes {account}"));
            let amended = bridge.ledger.inner.update_status(&account, StatusChange::Resumed);
            amended.await.expect("the store works");
            bridge.ledger.wake_up(&account).notify_one();
        }
    }
    let began = peril.now();
    loop {
        if is_at_rest(bridge).await {
            check::verify(bridge.ledger.as_ref(), peril).await;
            return;
        }
        let now = peril.now();
        if now.since(began) > REST_WITHIN {
            let census = bridge.ledger.event_counts().await.expect("it is read");
            peril.world().wrong(now, format!("it does not come to rest: {census:?}"));
            return;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Waits until the operator has done all; false if that does not happen.
async fn operated(peril: &Peril) -> bool {
    let began = peril.now();
    while !peril.world().operator.is_done() {
        let now = peril.now();
        if now.since(began) > REST_WITHIN {
            peril.world().wrong(now, "an operator is not heard");
            return false;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    true
}

async fn is_at_rest(bridge: &Bridge) -> bool {
    let now = bridge.peril.now();
    let counts = bridge.ledger.event_counts().await.expect("it is read");
    let busy = counts.values().any(|counts| counts.pending + counts.in_flight > 0);
    let mut world = bridge.peril.world();
    let told = world.webhooks.iter().all(|webhook| webhook.answered && webhook.again == 0);
    let healed = world.unclear_at.is_none_or(|at| now.since(at) > HEALED);
    // A timer that has just run out is not late yet.
    let timers = world.oracle.next_due().is_some_and(|due| {
        due <= now.plus(Duration::from_mins(2)) && due.plus(Duration::from_mins(1)) > now
    });
    !busy && told && healed && !timers && !world.lands_later(now)
}

/// Where a life that follows begins: now, or some time later.
pub(super) fn pause(world: &mut World) {
    let longest = *world.dice.pick(&[0, 1_000, 60_000]);
    world.now = Millis::new(
        world.now.get() + i64::try_from(world.dice.between(0, longest)).expect("small"),
    );
}

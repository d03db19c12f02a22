//! Carries out a script: lets time pass, delivers webhooks, operates the bridge, and compares in the evening.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use webinar_bridge::event::Millis;
use webinar_bridge::ledger::sqlite;
use webinar_bridge::net::Http;
use webinar_bridge::providers::TimeRange;
use webinar_bridge::sandbox::emulator::UpsertInput;

use super::bridge::{Answer, RunningBridge, largest_state, reset_jitter};
use super::expected::{Evening, Seen};
use super::figures::Figures;
use super::platforms::PlatformName;
use super::script::{DAY, Extent, Script, Step};
use super::truth::{Heard, Tracked};
use super::wire::YearWire;
use super::world::{MachineClock, OnItsWay, SharedWorld, TrueTime, World, lock};
use crate::harness::build::NOON;

/// The longest time that passes without the bridge's tasks noticing each of their pauses.
const LEAP: Duration = Duration::from_hours(1);
/// The longest time in which the bridge comes to rest, unless calls fail.
const REST: Duration = Duration::from_mins(90);
/// How long the bridge is watched after every step: it may ask a platform once more when its lag is over.
const WATCH: Duration = Duration::from_secs(90);
/// The same between steps.
const GLANCE: Duration = Duration::from_secs(5);
/// Time after which a platform repeats what was answered with 503.
const REPEATED_AFTER: Duration = Duration::from_mins(5);

/// One simulation.
struct Year {
    folder: TempDir,
    world: SharedWorld,
    time: TrueTime,
    machine: Arc<MachineClock>,
    http: Arc<dyn Http>,
    bridge: Option<RunningBridge>,
    seen: BTreeMap<(String, String), Seen>,
    /// What the bridge had been told when its store was copied.
    heard_at_copy: Vec<BTreeMap<String, Heard>>,
    began: Millis,
}

/// Lives through the script of a seed; the error is the first difference.
pub(super) fn live(seed: u64, extent: Extent) -> Result<Figures, String> {
    reset_jitter();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let began = Millis::new(NOON.get() / 86_400_000 * 86_400_000);
        let mut world = World::new(seed, began);
        let script = Script::draw(&mut world.rng, began, extent);
        let mut year = Year::new(world, began);
        for (platform, truth) in script.webinars {
            let mut world = lock(&year.world);
            world.figures.webinars += 1;
            world.figures.series += usize::from(truth.is_series);
            world.figures.drafts += usize::from(truth.published_at.is_none());
            world.webinars.push(Tracked::new(platform, truth));
        }
        year.start().await;
        for (at, step) in script.steps {
            year.carry_out(at, step).await?;
        }
        year.stop().await;
        let figures = lock(&year.world).figures.clone();
        Ok(figures)
    })
}

impl Year {
    fn new(world: World, began: Millis) -> Self {
        let memory = PathBuf::from("/dev/shm");
        let in_memory = tempfile::Builder::new().prefix("bridge-year-").tempdir_in(memory);
        let time = TrueTime::starting_at(began);
        let world = Arc::new(Mutex::new(world));
        Self {
            folder: in_memory.or_else(|_| tempfile::tempdir()).expect("a temporary folder"),
            http: Arc::new(YearWire { world: Arc::clone(&world), time }),
            world,
            time,
            machine: Arc::new(MachineClock { time, ahead: AtomicI64::new(0) }),
            bridge: None,
            seen: BTreeMap::new(),
            heard_at_copy: Vec::new(),
            began,
        }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("bridge.db")
    }

    async fn start(&mut self) {
        let toml = lock(&self.world).present_settings().to_toml(&self.store());
        self.bridge = Some(RunningBridge::start(&toml, &self.machine, &self.http));
        self.settle().await;
    }

    async fn stop(&mut self) {
        if let Some(bridge) = self.bridge.take() {
            bridge.stop().await;
        }
        lock(&self.world).figures.restarts += 1;
    }

    async fn carry_out(&mut self, at: Millis, step: Step) -> Result<(), String> {
        if at < self.began {
            // Before the bridge was installed.
            if let Step::Act(webinar, action) = &step {
                let mut world = lock(&self.world);
                world.act(*webinar, action, at);
                world.on_their_way.clear();
            }
            return Ok(());
        }
        self.pass_until(at).await;
        match step {
            Step::Act(webinar, action) => {
                lock(&self.world).act(webinar, &action, at);
                return Ok(());
            }
            Step::SetClock(ahead) => self.machine.ahead.store(ahead, Ordering::SeqCst),
            Step::SetRough(is_rough) => {
                lock(&self.world).is_rough = is_rough;
                return Ok(());
            }
            Step::Restart(down) => {
                self.stop().await;
                tokio::time::sleep(down).await;
                self.start().await;
            }
            Step::Reconfigure => {
                self.reconfigure(|settings, world| {
                    let week = world.settings.len();
                    settings.change(&mut world.rng, week);
                })
                .await;
            }
            Step::Rename(platform) => {
                self.reconfigure(|settings, _| settings.rename(platform)).await;
            }
            Step::RenameAccount => {
                self.reconfigure(|settings, _| settings.rename_account()).await;
            }
            Step::Copy => {
                let copy = self.folder.path().join("copy.db");
                sqlite::backup(&self.store(), &copy, self.time.now()).expect("it is copied");
                let world = lock(&self.world);
                let heard = world.webinars.iter().map(|tracked| tracked.heard.clone());
                self.heard_at_copy = heard.collect();
            }
            Step::Restore => self.restore().await,
            Step::Backfill => self.backfill().await,
            Step::Evening => {
                self.settle().await;
                let bridge = self.bridge.as_ref().expect("it runs");
                let redriven = bridge.redrive_fetches().await;
                lock(&self.world).figures.redriven += redriven;
                self.settle().await;
                return self.compare();
            }
        }
        self.settle().await;
        Ok(())
    }

    async fn reconfigure(
        &mut self,
        change: impl FnOnce(&mut super::settings::YearSettings, &mut World),
    ) {
        self.stop().await;
        {
            let now = self.time.now();
            let mut world = lock(&self.world);
            let mut settings = world.present_settings().clone();
            change(&mut settings, &mut world);
            world.settings.push((now, settings));
        }
        self.start().await;
    }

    /// Puts the copy into the store's place.
    async fn restore(&mut self) {
        self.stop().await;
        for suffix in ["", "-wal", "-shm"] {
            let path = self.folder.path().join(format!("bridge.db{suffix}"));
            if path.exists() {
                std::fs::remove_file(path).expect("it is removed");
            }
        }
        std::fs::rename(self.folder.path().join("copy.db"), self.store()).expect("it is put back");
        self.forget_beginnings();
        self.start().await;
    }

    /// That a date began is nowhere but in the lost store; that it ended is in HubSpot too.
    fn forget_beginnings(&mut self) {
        let mut world = lock(&self.world);
        world.restored_at = Some(self.time.now());
        for (tracked, before) in world.webinars.iter_mut().zip(&self.heard_at_copy) {
            for (date, heard) in &mut tracked.heard {
                let told = before.get(date).is_some_and(|before| before.started);
                heard.started &= told || heard.ended;
            }
        }
    }

    async fn backfill(&mut self) {
        for platform in PlatformName::ALL {
            let now = self.time.now();
            let source = lock(&self.world).present_settings().source(platform).to_owned();
            // As `backfill` without options.
            let span = TimeRange { from: now.minus(30 * DAY), to: now.plus(366 * DAY) };
            let bridge = self.bridge.as_ref().expect("it runs");
            if bridge.backfill(&source, span).await {
                let mut world = lock(&self.world);
                world.figures.backfills += 1;
                world.filled_at.insert(platform, now);
            }
        }
    }

    /// Lets time pass until then, and delivers what arrives meanwhile.
    async fn pass_until(&mut self, then: Millis) {
        while self.time.now() < then {
            let now = self.time.now();
            let next = lock(&self.world).next_arrival().unwrap_or(then);
            let until = then.min(next.max(now)).min(now.plus(LEAP));
            tokio::time::advance(until.since(now)).await;
            self.deliver().await;
            if until < then {
                let now = self.time.now();
                self.rest(now.plus(GLANCE).min(then), then.min(now.plus(REST))).await;
            }
        }
    }

    /// Waits until nothing is left to do.
    async fn settle(&mut self) {
        let now = self.time.now();
        self.rest(now.plus(WATCH), now.plus(REST)).await;
    }

    /// Waits at least until the first time, and until nothing is left to do or the second time.
    async fn rest(&mut self, least: Millis, most: Millis) {
        let mut pause = Duration::from_secs(1);
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
            self.deliver().await;
            let Some(bridge) = &self.bridge else { return };
            let now = self.time.now();
            if now >= most || (now >= least && !bridge.is_busy().await) {
                return;
            }
        }
    }

    async fn deliver(&mut self) {
        let arrived = lock(&self.world).arrived(self.time.now());
        for webhook in arrived {
            self.deliver_one(webhook).await;
        }
    }

    async fn deliver_one(&mut self, webhook: OnItsWay) {
        let (platform, source, id) = {
            let mut world = lock(&self.world);
            let platform = world.webinars[webhook.webinar].platform;
            // The platform keeps the first address.
            let source = world.present_settings().names[&platform][0].clone();
            let mut id = [0; 16];
            id[..8].copy_from_slice(&world.rng.between(0, u64::MAX - 1).to_be_bytes());
            (platform, source, id)
        };
        let body = webhook.body.to_string().into_bytes();
        let answer = match &self.bridge {
            Some(bridge) => {
                let secret = platform.simulated().secret();
                bridge.receive(&source, secret, &body, webhook.signed_at, id).await
            }
            None => Answer::TryAgain,
        };
        let mut world = lock(&self.world);
        match answer {
            Answer::Stored => {
                world.figures.webhooks += 1;
                world.heard(webhook.webinar, webhook.aspect, webhook.signed_at);
            }
            Answer::Refused => {
                world.figures.refused += 1;
                let now = self.time.now();
                world.webinars[webhook.webinar].note(now, "a webhook is refused");
            }
            Answer::TryAgain => {
                let due = self.time.now().plus(REPEATED_AFTER);
                world.on_their_way.push(OnItsWay { due, ..webhook });
            }
        }
    }

    /// Compares HubSpot's events with the expected ones.
    fn compare(&mut self) -> Result<(), String> {
        let now = self.time.now();
        let mut guard = lock(&self.world);
        let world = &mut *guard;
        let mut compared = 0;
        let mut known = 0;
        for tracked in &world.webinars {
            let (truth, platform) = (tracked.truth(), tracked.platform.simulated());
            if truth.created_at > now {
                continue;
            }
            let is_one_event = truth.is_series && platform.is_one_event(truth);
            for date in 0..if is_one_event { 1 } else { truth.dates.len() } {
                let key = (platform.account().to_owned(), platform.event_id(truth, date));
                let held = world.hubspot.events().get(&key).map(|event| &event.input);
                let seen = self.seen.entry(key.clone()).or_default();
                let evening = Evening { world, tracked, now, held, seen: seen.clone() };
                compared += 1;
                known += u64::from(held.is_some());
                let checked =
                    if is_one_event { evening.check_series() } else { evening.check_date(date) };
                let end = checked.map_err(|what| {
                    let (history, held) = (tracked.history.join("\n  "), held.map(shown));
                    let dates =
                        if is_one_event { &truth.dates[..] } else { &truth.dates[date..=date] };
                    let dates: Vec<String> = dates.iter().map(ToString::to_string).collect();
                    let (dates, held) = (dates.join("\n  "), held.unwrap_or_default());
                    format!(
                        "{now}: {key:?}: {what}\n  {history}\nplatform: {dates}\nHubSpot: {held}",
                    )
                })?;
                seen.completed = held.filter(|held| held.event_completed).map(|_| end);
            }
        }
        let events = u64::try_from(world.hubspot.events().len()).expect("few");
        if events != known {
            return Err(format!("{now}: HubSpot holds {events} events, {known} are expected"));
        }
        world.figures.compared += compared;
        world.figures.events = events;
        if let Some(violation) = world.hubspot.violations().first() {
            return Err(format!("{now}: a rule of HubSpot's was broken: {violation}"));
        }
        let day = now.since(self.began).as_secs() / 86_400;
        if day.is_multiple_of(28) {
            let store = std::fs::metadata(self.store()).map_or(0, |file| file.len());
            let state = largest_state(&self.store());
            world.figures.growth.push((day, store, state));
        }
        Ok(())
    }
}

/// The event in words.
fn shown(event: &UpsertInput) -> String {
    let time = |at: Option<Millis>| at.map(|at| at.to_string()).unwrap_or_default();
    let properties = event.custom_properties.iter();
    let properties: Vec<String> =
        properties.map(|own| format!("{}={}", own.name, own.value)).collect();
    format!(
        "{:?} by {:?}, {} to {}, cancelled {}, completed {}, {properties:?}",
        event.event_name,
        event.event_organizer,
        time(event.start_date_time),
        time(event.end_date_time),
        event.event_cancelled,
        event.event_completed,
    )
}

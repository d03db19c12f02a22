//! Everything except the bridge: the platforms, HubSpot, the webhooks on their way, the machine's clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use webinar_bridge::clock::Clock;
use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::emulator::{EmulatorSettings, HubspotEmulator};

use super::figures::Figures;
use super::platforms::{Aspect, PlatformName, Webhook};
use super::settings::{TOKEN, YearSettings};
use super::truth::{Action, Tracked};
use crate::harness::rng::SeededRng;

/// The right time: what everybody else's clock shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrueTime {
    start: Millis,
    origin: Instant,
}

impl TrueTime {
    pub(super) fn starting_at(start: Millis) -> Self {
        Self { start, origin: Instant::now() }
    }

    pub(super) fn now(self) -> Millis {
        self.start.plus(self.origin.elapsed())
    }
}

/// The clock of the bridge's machine, which may be wrong.
pub(super) struct MachineClock {
    pub(super) time: TrueTime,
    /// How far it is ahead, in milliseconds.
    pub(super) ahead: AtomicI64,
}

impl Clock for MachineClock {
    fn now(&self) -> Millis {
        Millis::new(self.time.now().get() + self.ahead.load(Ordering::SeqCst))
    }
}

/// A webhook on its way.
pub(super) struct OnItsWay {
    pub(super) due: Millis,
    /// When the platform signed it.
    pub(super) signed_at: Millis,
    pub(super) webinar: usize,
    pub(super) body: Value,
    pub(super) aspect: Aspect,
}

/// Everything except the bridge.
pub(super) struct World {
    pub(super) rng: SeededRng,
    pub(super) webinars: Vec<Tracked>,
    pub(super) on_their_way: Vec<OnItsWay>,
    pub(super) hubspot: HubspotEmulator,
    /// Every configuration with the time since which it holds, the oldest first.
    pub(super) settings: Vec<(Millis, YearSettings)>,
    /// Whether calls fail at times.
    pub(super) is_rough: bool,
    /// When a copy of the store was put back.
    pub(super) restored_at: Option<Millis>,
    /// When the last backfill of a platform began that was completed.
    pub(super) filled_at: BTreeMap<PlatformName, Millis>,
    pub(super) figures: Figures,
}

/// The world, shared with the bridge's calls.
pub(super) type SharedWorld = Arc<Mutex<World>>;

pub(super) fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(seed: u64, start: Millis) -> Self {
        Self {
            rng: SeededRng::from_seed(seed),
            webinars: Vec::new(),
            on_their_way: Vec::new(),
            hubspot: HubspotEmulator::new(EmulatorSettings::new(TOKEN)),
            settings: vec![(start, YearSettings::new())],
            is_rough: false,
            restored_at: None,
            filled_at: BTreeMap::new(),
            figures: Figures::default(),
        }
    }

    pub(super) fn present_settings(&self) -> &YearSettings {
        &self.settings.last().expect("there is one").1
    }

    /// An action at a platform, with its webhooks.
    pub(super) fn act(&mut self, webinar: usize, action: &Action, now: Millis) {
        let tracked = &mut self.webinars[webinar];
        let platform = tracked.platform.simulated();
        let before = tracked.truth().clone();
        let is_creation = matches!(action, Action::Create);
        if !is_creation && !tracked.platform.allows(&before, action) {
            return;
        }
        let truth = before.after(action, now);
        tracked.note(now, format!("{action:?}"));
        if !is_creation {
            tracked.states.push((now, truth.clone()));
        }
        for webhook in platform.webhooks(&before, &truth, action, now) {
            self.send(webinar, webhook, now);
        }
    }

    /// Sends a webhook: mostly at once, sometimes late, twice or not at all.
    fn send(&mut self, webinar: usize, webhook: Webhook, now: Millis) {
        let Webhook { body, aspect } = webhook;
        let after = |rng: &mut SeededRng| match rng.below(20) {
            0 => Duration::from_secs(rng.between(600, 75 * 60)),
            1..5 => Duration::from_secs(rng.between(5, 90)),
            _ => Duration::from_millis(rng.between(100, 2_000)),
        };
        let copies = match self.rng.below(25) {
            0 => 0,
            1 | 2 => 2,
            _ => 1,
        };
        if copies == 0 {
            self.figures.lost += 1;
            self.webinars[webinar].note(now, "its webhook is lost");
        }
        for _ in 0..copies {
            let due = now.plus(after(&mut self.rng));
            let (signed_at, body) = (now, body.clone());
            self.on_their_way.push(OnItsWay { due, signed_at, webinar, body, aspect });
        }
    }

    /// Takes the webhooks that arrive by now, in their order.
    pub(super) fn arrived(&mut self, now: Millis) -> Vec<OnItsWay> {
        let (arrived, later) = self.on_their_way.drain(..).partition(|webhook| webhook.due <= now);
        self.on_their_way = later;
        let mut arrived: Vec<OnItsWay> = arrived;
        arrived.sort_by_key(|webhook| webhook.due);
        arrived
    }

    /// When the next webhook arrives.
    pub(super) fn next_arrival(&self) -> Option<Millis> {
        self.on_their_way.iter().map(|webhook| webhook.due).min()
    }

    /// The bridge has stored a webhook.
    pub(super) fn heard(&mut self, webinar: usize, aspect: Aspect, signed_at: Millis) {
        let tracked = &mut self.webinars[webinar];
        let date = |date: usize| tracked.truth().dates[date].id.clone();
        match aspect {
            Aspect::Shown => {}
            Aspect::Deleted | Aspect::Recovered => {
                tracked.told_deletions.insert(signed_at, aspect == Aspect::Deleted);
            }
            Aspect::Started(number) => {
                let id = date(number);
                tracked.heard.entry(id).or_default().started = true;
            }
            Aspect::Ended(number) => {
                let id = date(number);
                tracked.heard.entry(id).or_default().ended = true;
            }
        }
    }
}

//! An account whose batches are answered with success, and nothing is done, for a while or for good (A21). Single writes work.

use std::time::Duration;

use webinar_bridge::event::Millis;

use super::fault_profile::FaultProfile;
use super::webhooks::ms;
use crate::harness::build::NOON;
use crate::harness::rng::SeededRng;

/// The account and the span.
#[derive(Debug, Clone)]
pub(super) struct Silence {
    host: &'static str,
    from: Millis,
    /// None: for good.
    to: Option<Millis>,
}

impl Silence {
    pub(super) fn draw(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let span = ms(profile.faults_end_at.since(NOON));
        let (one, other) = (rng.between(0, span), rng.between(0, span));
        let at = |offset: u64| NOON.plus(Duration::from_millis(offset));
        Self {
            host: if rng.percent(60) { "main.example" } else { "other.example" },
            from: if rng.percent(40) { NOON } else { at(one.min(other)) },
            to: rng.percent(50).then(|| at(one.max(other))),
        }
    }

    /// Whether the account ignores a batch now.
    pub(super) fn ignores(&self, host: &str, now: Millis) -> bool {
        self.host == host && self.from <= now && self.to.is_none_or(|to| now < to)
    }
}

//! Fault rates and pace of a simulation.

use std::time::Duration;

use webinar_bridge::event::Millis;
use webinar_bridge::hubspot::RateLimit;

use crate::harness::build::NOON;
use crate::harness::rng::SeededRng;

/// Fault rates and pace, drawn once at the start of a simulation.
#[derive(Debug, Clone)]
pub(super) struct FaultProfile {
    /// Percentage of calls that fail.
    pub(super) call_fault_percent: u64,
    /// Percentage of writes to the store that fail.
    pub(super) store_fault_percent: u64,
    /// Number of process runs that end by a crash or a stop.
    pub(super) early_ends: u64,
    /// Time after which nothing fails.
    pub(super) faults_end_at: Millis,
    /// Span within which webhooks are first sent.
    pub(super) within: Duration,
    /// Rate limit of the accounts.
    pub(super) rate: RateLimit,
    /// Largest batch.
    pub(super) max_batch: usize,
    /// Longest wait of an event for more events of its batch.
    pub(super) max_linger: Duration,
    /// Most calls in flight.
    pub(super) max_in_flight: usize,
    /// Whether one account always fails and nothing else does: the other must not be affected.
    pub(super) lopsided: bool,
    /// Calls left of the day for the first account.
    pub(super) daily: Option<u32>,
    /// Lifetime of the second account's access tokens.
    pub(super) token_life: Duration,
}

impl FaultProfile {
    pub(super) fn draw(rng: &mut SeededRng) -> Self {
        let lopsided = rng.percent(5);
        let within = Duration::from_secs(*rng.pick(&[5, 30, 120, 240]));
        let after = Duration::from_secs(rng.between(0, 180));
        Self {
            call_fault_percent: if lopsided { 0 } else { *rng.pick(&[0, 10, 30, 60]) },
            store_fault_percent: if lopsided { 0 } else { *rng.pick(&[0, 0, 3, 15]) },
            early_ends: if lopsided { 0 } else { *rng.pick(&[0, 0, 1, 2, 4, 6]) },
            faults_end_at: NOON.plus(within + after),
            within,
            rate: RateLimit {
                requests: u32::try_from(*rng.pick(&[3, 10, 100])).expect("small"),
                window: Duration::from_secs(*rng.pick(&[1, 2, 10])),
            },
            max_batch: *rng.pick(&[1, 3, 10, 100]),
            max_linger: Duration::from_millis(*rng.pick(&[0, 100, 1_000])),
            max_in_flight: *rng.pick(&[1, 2, 16]),
            lopsided,
            daily: rng.percent(8).then_some(12),
            token_life: Duration::from_secs(*rng.pick(&[30, 120, 1_800])),
        }
    }
}

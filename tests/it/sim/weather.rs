//! How a run is to be: how much fails, how fast it goes.

use std::time::Duration;

use webinar_bridge::event::Millis;
use webinar_bridge::hubspot::RateLimit;

use crate::harness::build::NOON;
use crate::harness::dice::Dice;

/// How a run is to be: drawn once, at its beginning.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    /// Of a hundred calls so many fail.
    pub(super) trouble: u64,
    /// Of a hundred writes to the store so many fail.
    pub(super) store_trouble: u64,
    /// How many lives end by a crash or a stop.
    pub(super) deaths: u64,
    /// From when on nothing fails any more.
    pub(super) heals_at: Millis,
    /// How long webhooks are first sent.
    pub(super) within: Duration,
    /// The accounts' limit.
    pub(super) rate: RateLimit,
    /// Largest batch.
    pub(super) max_batch: usize,
    /// How long an event waits for company.
    pub(super) max_linger: Duration,
    /// Most calls at a time.
    pub(super) max_in_flight: usize,
    /// One account fails all the time, and nothing else does: the other must not feel it.
    pub(super) lopsided: bool,
    /// The calls that the day has left for the first account.
    pub(super) daily: Option<u32>,
    /// How long the other account's access tokens last.
    pub(super) token_life: Duration,
}

impl Weather {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let lopsided = dice.percent(5);
        let within = Duration::from_secs(*dice.pick(&[5, 30, 120, 240]));
        let after = Duration::from_secs(dice.between(0, 180));
        Self {
            trouble: if lopsided { 0 } else { *dice.pick(&[0, 10, 30, 60]) },
            store_trouble: if lopsided { 0 } else { *dice.pick(&[0, 0, 3, 15]) },
            deaths: if lopsided { 0 } else { *dice.pick(&[0, 0, 1, 2, 4, 6]) },
            heals_at: NOON.plus(within + after),
            within,
            rate: RateLimit {
                requests: u32::try_from(*dice.pick(&[3, 10, 100])).expect("small"),
                window: Duration::from_secs(*dice.pick(&[1, 2, 10])),
            },
            max_batch: *dice.pick(&[1, 3, 10, 100]),
            max_linger: Duration::from_millis(*dice.pick(&[0, 100, 1_000])),
            max_in_flight: *dice.pick(&[1, 2, 16]),
            lopsided,
            daily: dice.percent(8).then_some(12),
            token_life: Duration::from_secs(*dice.pick(&[30, 120, 1_800])),
        }
    }
}

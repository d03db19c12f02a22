//! Waits that double with each failure in a row.

use std::time::Duration;

/// A doubling wait with an upper bound, spread at random so that callers that failed together do not come back
/// together.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Upper bound of the wait after the first failure.
    pub first: Duration,
    /// Upper bound of every wait.
    pub max: Duration,
    /// How a wait is spread below its upper bound.
    pub jitter: Jitter,
}

/// How a wait is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// From nothing to the upper bound.
    Full,
    /// From half the upper bound to the whole, so that no caller comes back at once.
    Half,
}

impl Backoff {
    /// The wait after the latest of `failures` in a row. `random` is any number.
    #[must_use]
    pub fn delay(&self, failures: u32, random: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let longest = doubled.min(self.max);
        let shortest = match self.jitter {
            Jitter::Full => Duration::ZERO,
            Jitter::Half => longest / 2,
        };
        shortest + scaled(longest.saturating_sub(shortest), random)
    }
}

/// That share of the time: nothing for 0, all of it for [`u32::MAX`].
fn scaled(time: Duration, share: u32) -> Duration {
    let nanos = time.as_nanos() * u128::from(share) / u128::from(u32::MAX);
    // No more than the time itself. Centuries do not fit, and are no wait.
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(5);

    fn backoff(jitter: Jitter) -> Backoff {
        Backoff { first: FIRST, max: MAX, jitter }
    }

    #[test]
    fn delay_more_failures_doubles_up_to_the_bound() {
        for jitter in [Jitter::Full, Jitter::Half] {
            let longest = |failures| backoff(jitter).delay(failures, u32::MAX).as_millis();
            let waits: Vec<u128> = (0..=6).map(longest).collect();
            assert_eq!(waits, [500, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
            assert_eq!(longest(u32::MAX), 5_000);
        }
    }

    #[test]
    fn delay_any_random_number_spreads_over_the_jitters_range() {
        let at = |jitter, random| backoff(jitter).delay(5, random).as_millis();
        let of = |jitter| [0, u32::MAX / 2, u32::MAX].map(|random| at(jitter, random));
        assert_eq!(of(Jitter::Full), [0, 2_499, 5_000]);
        assert_eq!(of(Jitter::Half), [2_500, 3_749, 5_000]);
    }

    proptest! {
        #[test]
        fn delay_any_failures_stays_within_its_bounds(failures: u32, one: u32, other: u32) {
            let (low, high) = (one.min(other), one.max(other));
            for jitter in [Jitter::Full, Jitter::Half] {
                let backoff = backoff(jitter);
                prop_assert!(backoff.delay(failures, high) <= MAX);
                prop_assert!(backoff.delay(failures, low) <= backoff.delay(failures, high));
            }
            prop_assert!(backoff(Jitter::Half).delay(failures, one) >= FIRST / 2);
        }
    }
}

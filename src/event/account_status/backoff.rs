//! How long a failing account is left alone where HubSpot does not say.

use std::time::Duration;

use crate::event::backoff::{Backoff, Jitter};

/// The waits of the first [`BRIEF_FOR`]: short, so that little is late after a brief outage.
const BRIEF: Backoff = Backoff {
    first: Duration::from_millis(500),
    max: Duration::from_secs(5),
    jitter: Jitter::Full,
};

/// The waits after that: an outage of hours needs no more probes than these, and an account that fails more than 5 % of
/// its calls loses HubSpot's certification
/// (<https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>).
const LONG: Backoff = Backoff { max: Duration::from_mins(1), ..BRIEF };

/// How long a failure counts as brief.
const BRIEF_FOR: Duration = Duration::from_mins(10);

/// The wait after the latest of `failures` in a row, the first of which was `failing_for` ago. `random` is any number.
#[must_use]
pub fn delay(failures: u32, failing_for: Duration, random: u32) -> Duration {
    let backoff = if failing_for < BRIEF_FOR { BRIEF } else { LONG };
    backoff.delay(failures, random)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delay_doubles_up_to_five_seconds_and_after_ten_minutes_up_to_a_minute() {
        let longest =
            |failures, seconds| delay(failures, Duration::from_secs(seconds), u32::MAX).as_millis();
        let early: Vec<u128> = (1..=6).map(|failures| longest(failures, 0)).collect();
        assert_eq!(early, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(longest(1_000, 599), 5_000);
        assert_eq!(longest(7, 600), 32_000);
        assert_eq!(longest(1_000, 600), 60_000);
        assert_eq!(longest(u32::MAX, u64::MAX), 60_000);
        assert_eq!(longest(0, 0), 500);
    }

    #[test]
    fn delay_any_random_number_spreads_over_the_whole_range() {
        let at = |random| delay(5, Duration::ZERO, random).as_millis();
        assert_eq!((at(0), at(u32::MAX / 2), at(u32::MAX)), (0, 2_499, 5_000));
    }

    proptest! {
        #[test]
        fn delay_any_failures_stays_within_its_bound(
            failures: u32, seconds: u64, one: u32, other: u32,
        ) {
            let failing_for = Duration::from_secs(seconds);
            let bound = if seconds < 600 { BRIEF.max } else { LONG.max };
            let (low, high) = (one.min(other), one.max(other));
            prop_assert!(delay(failures, failing_for, high) <= bound);
            prop_assert!(delay(failures, failing_for, low) <= delay(failures, failing_for, high));
        }
    }
}

//! An account that answers batches and does nothing with them, while it takes single events.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::time::Millis;

/// The first wait before a batch is tried again.
const FIRST_TRY: Duration = Duration::from_mins(10);
/// The longest wait, to which the first one doubles.
const LONGEST_TRY: Duration = Duration::from_hours(24);

/// An account that answers batches with success and does nothing with them, while it takes single events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchesIgnored {
    /// Since when that is known.
    pub since: Millis,
    /// When a batch is tried again.
    pub retry_at: Millis,
    /// How often a batch was tried since.
    pub tries: u32,
}

impl BatchesIgnored {
    /// It became known at that time.
    pub(super) fn new(now: Millis) -> Self {
        Self { since: now, retry_at: now.plus(FIRST_TRY), tries: 0 }
    }

    /// A batch is tried at that time; the next is tried after twice as long, at most a day.
    pub(super) fn tried(self, now: Millis) -> Self {
        let tries = self.tries.saturating_add(1);
        let wait = FIRST_TRY.saturating_mul(2_u32.saturating_pow(tries)).min(LONGEST_TRY);
        Self { retry_at: now.plus(wait), tries, ..self }
    }

    /// Whether a batch is tried now. A time beyond the longest wait was written by a clock that was ahead.
    #[must_use]
    pub fn is_try_due(&self, now: Millis) -> bool {
        self.retry_at <= now || self.retry_at > now.plus(LONGEST_TRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_is_tried_after_ten_minutes_and_then_at_doubling_distances_up_to_a_day() {
        let mut now = Millis::new(1_000_000);
        let mut ignored = BatchesIgnored::new(now);
        let mut minutes = Vec::new();
        for _ in 0..10 {
            assert!(!ignored.is_try_due(now));
            minutes.push(ignored.retry_at.since(now).as_secs() / 60);
            now = ignored.retry_at;
            assert!(ignored.is_try_due(now));
            ignored = ignored.tried(now);
        }
        assert_eq!(minutes, [10, 20, 40, 80, 160, 320, 640, 1_280, 1_440, 1_440]);
        assert_eq!(ignored.since, Millis::new(1_000_000));
    }

    #[test]
    fn time_of_a_clock_that_was_ahead_is_due() {
        let ahead = BatchesIgnored::new(Millis::new(1_000_000_000_000));
        assert!(ahead.is_try_due(Millis::new(1_000)));
    }
}

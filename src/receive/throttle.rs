//! Saying a thing that happens with every request once a minute.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_mins(1);

/// Remembers when something was last said.
#[derive(Debug, Default)]
pub(super) struct LogThrottle(Mutex<Option<Instant>>);

impl LogThrottle {
    /// Whether to say it now.
    pub(super) fn is_due(&self) -> bool {
        self.is_due_at(Instant::now())
    }

    fn is_due_at(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.duration_since(last) >= INTERVAL);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute() {
        let throttle = LogThrottle::default();
        let began = Instant::now();
        assert!(throttle.is_due_at(began));
        assert!(!throttle.is_due_at(began + INTERVAL.mul_f64(0.9)));
        assert!(throttle.is_due_at(began + INTERVAL));
        assert!(!throttle.is_due_at(began + INTERVAL.mul_f64(1.9)));
    }
}

//! Logs once a minute what happens with every request.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_mins(1);

/// Remembers when an event was last logged.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<Option<Instant>>);

impl LogThrottle {
    /// Whether to log it now; if so, the next minute begins.
    pub fn is_due(&self) -> bool {
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
    fn throttle_asked_repeatedly_is_due_once_a_minute() {
        let throttle = LogThrottle::default();
        let began = Instant::now();
        assert!(throttle.is_due_at(began));
        assert!(!throttle.is_due_at(began + INTERVAL.mul_f64(0.9)));
        assert!(throttle.is_due_at(began + INTERVAL));
        assert!(!throttle.is_due_at(began + INTERVAL.mul_f64(1.9)));
    }
}

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
        let now = Instant::now();
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
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn throttle_asked_repeatedly_is_due_once_a_minute() {
        let throttle = LogThrottle::default();
        assert!(throttle.is_due());
        advance(INTERVAL.mul_f64(0.9)).await;
        assert!(!throttle.is_due());
        advance(INTERVAL.mul_f64(0.1)).await;
        assert!(throttle.is_due());
        advance(INTERVAL.mul_f64(0.9)).await;
        assert!(!throttle.is_due());
    }
}

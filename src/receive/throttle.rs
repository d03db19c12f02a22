//! Saying a thing that happens with every request once a minute.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const PAUSE: Duration = Duration::from_mins(1);

/// Remembers when something was last said.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Option<Instant>>);

impl Throttle {
    /// Whether to say it now.
    pub(super) fn due(&self) -> bool {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.duration_since(last) >= PAUSE);
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
        let throttle = Throttle::default();
        let began = Instant::now();
        assert!(throttle.due_at(began));
        assert!(!throttle.due_at(began + PAUSE.mul_f64(0.9)));
        assert!(throttle.due_at(began + PAUSE));
        assert!(!throttle.due_at(began + PAUSE.mul_f64(1.9)));
    }
}

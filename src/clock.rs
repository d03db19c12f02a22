//! The source of time. Callers pass it in, so that tests control it.
//!
//! Promises: [`Clock::now`] neither fails nor blocks. Relies on the machine's clock, which may be wrong. Holds nothing
//! that a crash could lose.

use crate::event::Millis;

/// A wall clock.
pub trait Clock: Send + Sync + 'static {
    /// The present time, UTC.
    fn now(&self) -> Millis;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that may ask the machine")]
    fn now(&self) -> Millis {
        Millis::new(jiff::Timestamp::now().as_millisecond())
    }
}

/// A clock that starts at a given time and follows tokio's time, paused or not.
#[derive(Debug, Clone, Copy)]
pub struct VirtualClock {
    start: Millis,
    origin: tokio::time::Instant,
}

impl VirtualClock {
    /// A clock that reads `start` now.
    #[must_use]
    pub fn starting_at(start: Millis) -> Self {
        Self { start, origin: tokio::time::Instant::now() }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Millis {
        self.start.plus(self.origin.elapsed())
    }
}

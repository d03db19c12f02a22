//! The source of time, and the judgement whether it can be trusted. Callers pass it in, so that tests control it.
//!
//! Promises: [`Clock::now`] neither fails nor blocks. Whoever does something by the time alone that cannot be undone
//! asks [`Clock::is_doubted`] first ([`ClockTrust`]: M10).
//! Relies on the machine's clock, which may be wrong, and on its monotonic clock.
//! On a crash: what witnesses have reported is lost; the ledger knows when it was written last.

mod steps;
mod trust;
mod witnessed;

use std::time::Duration;

use crate::event::Millis;
pub use steps::{ClockStep, ClockSteps};
pub use trust::{ClockDoubt, ClockTrust, ClockWitness};
pub use witnessed::WitnessedClock;

/// A wall clock.
pub trait Clock: Send + Sync + 'static {
    /// The present time, UTC.
    fn now(&self) -> Millis;

    /// What is known of the clock's correctness; none for a clock that nobody checks.
    fn trust(&self) -> Option<&ClockTrust> {
        None
    }

    /// Whether the clock is doubted, so that nothing may be deleted or completed by its time alone.
    fn is_doubted(&self) -> bool {
        self.doubt().is_some()
    }

    /// Why the clock is doubted, if it is.
    fn doubt(&self) -> Option<ClockDoubt> {
        self.trust()?.doubt(self.now())
    }

    /// The time by which what arrives is dated: that of HubSpot's or a platform's answers while they contradict the clock, or
    /// of the ledger's last write while it is behind that.
    /// What was dated by a wrong clock would be ordered, frozen and deleted by that date long after the clock is right.
    fn dated_now(&self) -> Millis {
        let now = self.now();
        self.trust().map_or(now, |trust| trust.dating_time(now))
    }

    /// The time that is most likely: that of the witnesses while the clock is doubted.
    fn likely_now(&self) -> Millis {
        let now = self.now();
        self.trust().map_or(now, |trust| trust.likely_time(now))
    }
}

/// A difference of two times in seconds, negative if the first is earlier.
#[must_use]
pub fn seconds_between(later: Millis, earlier: Millis) -> f64 {
    let seconds = |span: Duration| span.as_secs_f64();
    if later < earlier { -seconds(earlier.since(later)) } else { seconds(later.since(earlier)) }
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

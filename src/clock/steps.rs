//! Steps of the wall clock, seen against the monotonic one.

use std::time::Duration;

use tokio::time::Instant;

use crate::event::Millis;

/// A smaller step is none: both clocks are read one after the other, and NTP slews.
const STEP: Duration = Duration::from_secs(1);

/// A step of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockStep {
    /// It was set back by that much.
    Back(Duration),
    /// It was set ahead by that much, or the machine slept.
    Ahead(Duration),
}

/// Notices that the wall clock was set.
#[derive(Debug, Default)]
pub struct ClockSteps {
    last: Option<(Instant, Millis)>,
}

impl ClockSteps {
    /// By how much the clock, which reads `now`, was set since the last call; none if it was not.
    pub fn observe(&mut self, now: Millis) -> Option<ClockStep> {
        let instant = Instant::now();
        let (at, time) = self.last.replace((instant, now))?;
        let expected = time.plus(instant.saturating_duration_since(at));
        let (back, ahead) = (expected.since(now), now.since(expected));
        if back >= STEP {
            Some(ClockStep::Back(back))
        } else {
            (ahead >= STEP).then_some(ClockStep::Ahead(ahead))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn steps_back_and_ahead_are_told_once_each() {
        let noon = Millis::new(1_764_590_400_000);
        let minute = Duration::from_mins(1);
        let mut steps = ClockSteps::default();
        assert_eq!(steps.observe(noon), None, "there is nothing to compare with");
        tokio::time::advance(minute).await;
        assert_eq!(steps.observe(noon.plus(minute)), None);
        assert_eq!(steps.observe(noon.plus(61 * minute)), Some(ClockStep::Ahead(60 * minute)));
        tokio::time::advance(minute).await;
        assert_eq!(steps.observe(noon.plus(2 * minute)), Some(ClockStep::Back(60 * minute)));
        assert_eq!(steps.observe(noon.plus(2 * minute)), None, "it is reported once");
        tokio::time::advance(minute).await;
        let slewed = noon.plus(3 * minute).minus(Duration::from_millis(900));
        assert_eq!(steps.observe(slewed), None);
    }
}

//! Steps of the wall clock, seen against the monotonic one.

use std::time::Duration;

use tokio::time::Instant;

use crate::event::Millis;

/// A smaller step is none: both clocks are read one after the other, and NTP slews.
const STEP: Duration = Duration::from_secs(1);

/// Notices that the wall clock was set back.
#[derive(Debug, Default)]
pub struct ClockSteps {
    last: Option<(Instant, Millis)>,
}

impl ClockSteps {
    /// By how much the clock, which reads `now`, was set back since the last call; none if it was not.
    pub fn set_back_by(&mut self, now: Millis) -> Option<Duration> {
        let instant = Instant::now();
        let (at, time) = self.last.replace((instant, now))?;
        let back = time.plus(instant.saturating_duration_since(at)).since(now);
        (back >= STEP).then_some(back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_step_back_is_one() {
        let noon = Millis::new(1_764_590_400_000);
        let minute = Duration::from_mins(1);
        let mut steps = ClockSteps::default();
        assert_eq!(steps.set_back_by(noon), None, "there is nothing to compare with");
        tokio::time::advance(minute).await;
        assert_eq!(steps.set_back_by(noon.plus(minute)), None);
        assert_eq!(steps.set_back_by(noon.plus(61 * minute)), None, "a step ahead");
        tokio::time::advance(minute).await;
        assert_eq!(steps.set_back_by(noon.plus(2 * minute)), Some(60 * minute));
        assert_eq!(steps.set_back_by(noon.plus(2 * minute)), None, "it is told once");
        tokio::time::advance(minute).await;
        let slewed = noon.plus(3 * minute).minus(Duration::from_millis(900));
        assert_eq!(steps.set_back_by(slewed), None);
    }
}

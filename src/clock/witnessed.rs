//! A clock with witnesses.

use std::sync::Arc;

use super::{Clock, ClockTrust};
use crate::event::Millis;

/// A clock whose correctness is judged by witnesses.
pub struct WitnessedClock {
    clock: Arc<dyn Clock>,
    trust: ClockTrust,
}

impl WitnessedClock {
    /// A clock that is believed until somebody contradicts it.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, trust: ClockTrust::new() }
    }
}

impl Clock for WitnessedClock {
    fn now(&self) -> Millis {
        self.clock.now()
    }

    fn trust(&self) -> Option<&ClockTrust> {
        Some(&self.trust)
    }
}

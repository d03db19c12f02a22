//! Counts the steps of an evaluation.

use super::error::{EvaluationError, NoValue};
use super::value::Key;

/// Steps left; `None` once they were too few.
pub(super) struct StepMeter(Option<usize>);

impl StepMeter {
    /// A meter with these steps.
    pub(super) fn new(steps: usize) -> Self {
        Self(Some(steps))
    }

    /// Steps left; none once they were too few.
    pub(super) fn left(&self) -> Option<usize> {
        self.0
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<(), NoValue> {
        self.0 = self.0.and_then(|left| left.checked_sub(steps));
        self.0.map(drop).ok_or_else(|| EvaluationError::TooMuch.into())
    }

    /// Spends the steps of text that is read or made.
    pub(super) fn spend_text(&mut self, bytes: usize) -> Result<(), NoValue> {
        self.spend(bytes / 16)
    }

    /// Spends the steps of a key that is looked up.
    pub(super) fn spend_key(&mut self, key: &Key) -> Result<(), NoValue> {
        match key {
            Key::Text(text) => self.spend_text(text.len()),
            Key::Flag(_) | Key::Int(_) => Ok(()),
        }
    }
}

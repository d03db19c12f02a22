//! Results of evaluations and operations.

use super::limits::STEPS_MAX;
use super::value::Value;

/// Why an evaluation failed. None repeats a value: they are payloads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The values are too many or too long for what is done with them.
    #[error("takes more than {STEPS_MAX} steps")]
    TooMuch,
    /// An operator or function does not take what it is given.
    #[error("{operation} does not take {kinds}")]
    Kinds {
        /// Which.
        operation: &'static str,
        /// What it is given: `string and int`.
        kinds: String,
    },
    /// A number, time or duration that is too large for its kind.
    #[error("{0} overflows")]
    Overflow(&'static str),
    /// By zero.
    #[error("divides by zero")]
    DivisionByZero,
    /// A conversion from a text that does not say that.
    #[error("{0} cannot read its text")]
    Unreadable(&'static str),
    /// The same key twice.
    #[error("makes a map with the same key twice")]
    RepeatedKey,
}

/// Why there is no value.
pub(super) enum NoValue {
    /// What is asked for is not there.
    Missing,
    Failed(EvaluationError),
}

impl From<EvaluationError> for NoValue {
    fn from(error: EvaluationError) -> Self {
        Self::Failed(error)
    }
}

/// A value, or why there is none.
pub(super) type ValueResult = Result<Value, NoValue>;

/// What an operator or function makes of its arguments; none if it does not take such.
pub(super) type ApplyResult = Result<Option<Value>, NoValue>;

/// What was read of a text, if it could be.
pub(super) fn or_unreadable(function: &'static str, value: Option<Value>) -> ApplyResult {
    value.map(Some).ok_or_else(|| EvaluationError::Unreadable(function).into())
}

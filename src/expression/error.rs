//! Results of evaluations and operations.

use super::limits::STEPS_MAX;
use super::value::Value;

/// Reason why an evaluation failed. No error repeats a value, since values are payloads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The evaluation takes too many steps.
    #[error("takes more than {STEPS_MAX} steps")]
    TooMuch,
    /// An operator or function does not accept values of these kinds.
    #[error("{operation} does not take {kinds}")]
    Kinds {
        /// Name of the operator or function.
        operation: &'static str,
        /// Kinds of the values: `string and int`.
        kinds: String,
    },
    /// A number, time or duration is too large for its kind.
    #[error("{0} overflows")]
    Overflow(&'static str),
    /// A number is divided by zero.
    #[error("divides by zero")]
    DivisionByZero,
    /// A text cannot be converted.
    #[error("{0} cannot parse its text")]
    Unreadable(&'static str),
    /// A map has the same key twice.
    #[error("makes a map with the same key twice")]
    RepeatedKey,
}

/// Reason why there is no value.
pub(super) enum NoValue {
    /// The value is missing.
    Missing,
    Failed(EvaluationError),
}

impl From<EvaluationError> for NoValue {
    fn from(error: EvaluationError) -> Self {
        Self::Failed(error)
    }
}

/// A value, or the reason why there is none.
pub(super) type ValueResult = Result<Value, NoValue>;

/// The result of an operator or function; `None` if it does not accept the arguments' kinds.
pub(super) type ApplyResult = Result<Option<Value>, NoValue>;

#[allow(clippy::unnecessary_wraps, reason = "functions return this type")]
pub(super) fn some(value: Value) -> ApplyResult {
    Ok(Some(value))
}

/// The value, or an error if it exceeds its kind.
pub(super) fn or_overflow(operation: &'static str, value: Option<Value>) -> ApplyResult {
    value.map(Some).ok_or_else(|| EvaluationError::Overflow(operation).into())
}

/// The error for values of kinds that an operation does not accept. Null counts as missing.
pub(super) fn kind_error<'v>(
    operation: &'static str,
    values: impl IntoIterator<Item = &'v Value>,
) -> NoValue {
    let kinds: Vec<&str> = values.into_iter().map(Value::kind).collect();
    if kinds.contains(&Value::Null.kind()) {
        return NoValue::Missing;
    }
    EvaluationError::Kinds { operation, kinds: kinds.join(" and ") }.into()
}

/// The parsed value, or an error if the text could not be parsed.
pub(super) fn or_unreadable(function: &'static str, value: Option<Value>) -> ApplyResult {
    value.map(Some).ok_or_else(|| EvaluationError::Unreadable(function).into())
}

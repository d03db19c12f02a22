//! The result of an expression.

use super::value::Value;

/// Result of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluated {
    /// No value: `null`, or a missing value.
    Nothing,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// True or false.
    Flag(bool),
    /// A point in time, in milliseconds since 1970.
    Time(i64),
    /// Any other value, by CEL's name of its kind: a list, a map or a duration.
    Other(&'static str),
}

impl Evaluated {
    pub(super) fn from_value(value: Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Flag(flag) => Self::Flag(flag),
            Value::Int(number) => Self::Integer(number),
            Value::Double(number) => Self::Float(number),
            Value::Text(text) => Self::Text(text.as_ref().to_owned()),
            Value::Time(time) => Self::Time(time.as_millisecond()),
            Value::List(_) | Value::Map(_) | Value::Span(_) => Self::Other(value.kind()),
        }
    }
}

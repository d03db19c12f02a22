//! The values of expressions, and parsing of JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;

use super::limits::JSON_DEPTH_MAX;

/// A value. Cloning copies no content. It has no `Debug`, since it may hold secrets or personal data.
#[derive(Clone)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Flag(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Double(f64),
    /// A text.
    Text(Arc<str>),
    /// A list.
    List(Arc<[Value]>),
    /// A map, ordered by key.
    Map(Arc<BTreeMap<Key, Value>>),
    /// A point in time.
    Time(Timestamp),
    /// A length of time.
    Span(SignedDuration),
}

/// Key of a map.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// True or false.
    Flag(bool),
    /// A whole number.
    Int(i64),
    /// A text; all keys of JSON are texts.
    Text(Arc<str>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl Value {
    /// A timestamp from milliseconds since 1970; null if it is out of the calendar's range.
    #[must_use]
    pub fn time(ms: i64) -> Self {
        Timestamp::from_millisecond(ms).map_or(Self::Null, Self::Time)
    }

    /// A map with text keys.
    pub fn map<'k>(entries: impl IntoIterator<Item = (&'k str, Self)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (Key::Text(key.into()), value));
        Self::Map(Arc::new(entries.collect()))
    }

    /// Parses JSON. Numbers keep their digits: a whole number outside `i64` becomes a text.
    ///
    /// # Errors
    /// The text is not JSON, or nests too deep.
    pub fn read_json(text: &str) -> Result<Self, JsonError> {
        read_raw(serde_json::from_str(text)?, 0)
    }

    /// CEL's name of the value's kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "bool",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Time(_) => "timestamp",
            Self::Span(_) => "duration",
        }
    }

    /// The value as a key, if its kind can be one.
    pub(super) fn key(&self) -> Option<Key> {
        match self {
            Self::Flag(flag) => Some(Key::Flag(*flag)),
            Self::Int(number) => Some(Key::Int(*number)),
            Self::Double(number) if number.fract() == 0.0 => truncate_to_int(*number).map(Key::Int),
            Self::Text(text) => Some(Key::Text(Arc::clone(text))),
            Self::Null
            | Self::Double(_)
            | Self::List(_)
            | Self::Map(_)
            | Self::Time(_)
            | Self::Span(_) => None,
        }
    }
}

impl Key {
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Flag(flag) => Value::Flag(*flag),
            Self::Int(number) => Value::Int(*number),
            Self::Text(text) => Value::Text(Arc::clone(text)),
        }
    }
}

/// Reason why a text is not a value.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON.
    #[error("it is not JSON")]
    Syntax(#[from] serde_json::Error),
    /// The text nests too deep for the stack.
    #[error("it is nested more than {JSON_DEPTH_MAX} levels deep")]
    TooDeep,
}

/// Parses each level as raw JSON first, so that numbers keep their digits.
fn read_raw(json: &RawValue, depth: usize) -> Result<Value, JsonError> {
    if depth > JSON_DEPTH_MAX {
        return Err(JsonError::TooDeep);
    }
    let text = json.get();
    Ok(match text.bytes().next() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            let members = members
                .into_iter()
                .map(|(key, json)| Ok((Key::Text(key.into()), read_raw(json, depth + 1)?)));
            Value::Map(Arc::new(members.collect::<Result<_, JsonError>>()?))
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text)?;
            let elements = elements.into_iter().map(|json| read_raw(json, depth + 1));
            Value::List(elements.collect::<Result<_, JsonError>>()?)
        }
        Some(b'"') => Value::Text(serde_json::from_str::<String>(text)?.into()),
        Some(b't') => Value::Flag(true),
        Some(b'f') => Value::Flag(false),
        Some(b'-' | b'0'..=b'9') => number(text),
        _ => Value::Null,
    })
}

fn number(text: &str) -> Value {
    if let Ok(number) = text.parse() {
        return Value::Int(number);
    }
    let is_whole = text.bytes().all(|b| b == b'-' || b.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && !is_whole => Value::Double(number),
        _ => text.into(),
    }
}

/// The integer part of a number, if it fits an `i64`.
pub(super) fn truncate_to_int(double: f64) -> Option<i64> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    #[allow(clippy::cast_possible_truncation, reason = "it is within the range")]
    (-END..END).contains(&double).then_some(double as i64)
}

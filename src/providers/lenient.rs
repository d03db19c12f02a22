//! Lenient reading of bodies: a bad optional field counts as missing, is reported, and fails no other field.
//!
//! Structs of bodies hold their fields raw (`Option<&RawValue>`), so that a wrong type does not fail the body. A `null`
//! is then none: missing, not bad. Their `bound = "'de: 'a"` lets all fields borrow from the text.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::id::IdError;
use crate::event::{EndTime, ExternalAccountId, Millis, text};

/// Deepest nesting of a body: the limit of `serde_json`. Platforms' own bodies have up to seven levels.
const DEPTH_MAX: usize = 127;

/// Checks encoding and nesting of a body, and returns its text.
///
/// # Errors
/// A sentence for operators.
pub(super) fn body_text(body: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8".to_owned())?;
    if is_deeper_than(DEPTH_MAX, text) {
        return Err(format!("the body is nested deeper than {DEPTH_MAX} levels"));
    }
    Ok(text)
}

/// Parses a text that must have a certain shape; `otherwise` begins the error.
///
/// # Errors
/// A sentence for operators. The parser's message may repeat a value, so only the position is given.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str, otherwise: &str) -> Result<T, String> {
    serde_json::from_str(text)
        .map_err(|e| format!("{otherwise} (line {}, column {})", e.line(), e.column()))
}

/// Parses an object that must have a certain shape, as [`parse`] does.
///
/// # Errors
/// As of [`parse`].
pub(super) fn parse_object<'a, T: Deserialize<'a>>(
    text: &'a str,
    otherwise: &str,
) -> Result<T, String> {
    parse(text, otherwise).map(|Object(object)| object)
}

/// Reads the optional fields of one body, and collects the bad ones.
#[derive(Debug, Default)]
pub(super) struct FieldReader {
    bad: Vec<&'static str>,
}

impl FieldReader {
    /// Reads one field, if present.
    pub(super) fn read<'a, T>(
        &mut self,
        field: &'static str,
        raw: Option<&'a RawValue>,
        read: impl FnOnce(&'a RawValue) -> Option<T>,
    ) -> Option<T> {
        let value = read(raw?);
        if value.is_none() {
            self.reject(field);
        }
        value
    }

    /// Reports a bad field.
    pub(super) fn reject(&mut self, field: &'static str) {
        self.bad.push(field);
    }

    /// The bad fields.
    pub(super) fn into_bad_fields(self) -> Vec<&'static str> {
        self.bad
    }
}

/// An object.
pub(super) fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok().map(|Object(object)| object)
}

/// A text.
pub(super) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

/// A word of an enum.
pub(super) fn word<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    serde_json::from_value(string(raw)?.into()).ok()
}

/// A cleaned text, possibly empty.
pub(super) fn clean_text(raw: &RawValue) -> Option<String> {
    string(raw).map(|text| text::clean_text(&text))
}

/// A cleaned, non-empty text.
pub(super) fn non_empty_text(raw: &RawValue) -> Option<String> {
    clean_text(raw).filter(|text| !text.is_empty())
}

/// A cleaned link; empty if the platform removed it.
pub(super) fn link(raw: &RawValue) -> Option<String> {
    let link = string(raw)?;
    if link.trim().is_empty() { Some(String::new()) } else { text::clean_link(&link) }
}

/// A whole number; some platforms write it as text.
pub(super) fn integer(raw: &RawValue) -> Option<i64> {
    serde_json::from_str(raw.get()).ok().or_else(|| string(raw)?.trim().parse().ok())
}

/// A boolean; some platforms write it as text.
pub(super) fn boolean(raw: &RawValue) -> Option<bool> {
    match raw.get() {
        "true" | r#""true""# => Some(true),
        "false" | r#""false""# => Some(false),
        _ => None,
    }
}

/// An RFC 3339 time, or a time without offset in `zone`.
pub(super) fn date_time(raw: &RawValue, zone: Option<&str>) -> Option<Millis> {
    Millis::parse(&string(raw)?, zone)
}

/// The end, unless it is before the start.
pub(super) fn end_from(start: Option<Millis>, end: Millis) -> Option<EndTime> {
    start.is_none_or(|start| end >= start).then_some(EndTime::At(end))
}

/// A time in milliseconds since 1970.
pub(super) fn unix_millis(raw: &RawValue) -> Option<Millis> {
    Millis::from_plausible_ms(integer(raw)?)
}

/// A duration in minutes.
pub(super) fn duration_minutes(raw: &RawValue) -> Option<EndTime> {
    EndTime::after_minutes(integer(raw)?)
}

/// A required identifier: a text, or a whole number with all its digits.
///
/// # Errors
/// A sentence for operators, which does not repeat the value.
pub(super) fn identifier<T>(
    field: &str,
    raw: Option<&RawValue>,
    parse: impl FnOnce(String) -> Result<T, IdError>,
) -> Result<T, String> {
    let raw = raw.ok_or_else(|| format!("{field} is missing"))?;
    let number = raw.get().bytes().all(|b| b.is_ascii_digit()).then(|| Cow::Borrowed(raw.get()));
    let text = number
        .or_else(|| string(raw))
        .ok_or_else(|| format!("{field} is neither a text nor a whole number"))?;
    parse_identifier(text.into_owned(), parse).map_err(|error| format!("{field} {error}"))
}

/// Parses the text of an identifier. One that was cut within a character is none: two of them could look alike.
pub(super) fn parse_identifier<T>(
    text: String,
    parse: impl FnOnce(String) -> Result<T, IdError>,
) -> Result<T, IdError> {
    if text.contains(char::REPLACEMENT_CHARACTER) { Err(IdError::Character) } else { parse(text) }
}

/// An optional identifier of a platform's account.
///
/// # Errors
/// As of [`identifier`].
pub(super) fn account_id(
    field: &str,
    raw: Option<&RawValue>,
) -> Result<Option<ExternalAccountId>, String> {
    raw.map(|raw| identifier(field, Some(raw), ExternalAccountId::parse)).transpose()
}

/// A JSON object. Derived structs would also accept an array, one element per field.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMap<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(OnlyMap(PhantomData))
    }
}

/// Whether objects and arrays are nested in `json` deeper than `most`.
///
/// `serde_json` does not count skipped values, so the position of the depth would decide whether a body is refused.
fn is_deeper_than(most: usize, json: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::WebinarId;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).expect("JSON")
    }

    fn id(json: &str) -> Result<String, String> {
        identifier("id", Some(raw(json)), WebinarId::parse).map(String::from)
    }

    #[test]
    fn identifiers_keep_all_digits_of_any_length() {
        assert_eq!(id("24576065432313123456789"), Ok("24576065432313123456789".to_owned()));
        assert_eq!(id(r#""24576065432313123456789""#), Ok("24576065432313123456789".to_owned()));
        assert_eq!(id(r#""\u0061b==""#), Ok("ab==".to_owned()));
        assert_eq!(id(r#"" 1""#), Err("id has a character that is not allowed".to_owned()));
        assert_eq!(id(r#""1 ""#), Err("id has a character that is not allowed".to_owned()));
        assert_eq!(id(r#""a\ufffd""#), Err("id has a character that is not allowed".to_owned()));
        assert_eq!(id(r#""""#), Err("id is empty".to_owned()));
        for json in ["-1", "1.5", "1e3", "true", "[1]", "{}"] {
            assert_eq!(id(json), Err("id is neither a text nor a whole number".to_owned()));
        }
        let none = identifier("id", None, WebinarId::parse);
        assert_eq!(none, Err("id is missing".to_owned()));
    }

    #[test]
    fn bad_field_is_missing_and_reported() {
        let mut lenient = FieldReader::default();
        assert_eq!(lenient.read("a", Some(raw("5")), non_empty_text), None);
        assert_eq!(lenient.read("b", None, non_empty_text), None);
        assert_eq!(lenient.read("c", Some(raw(r#"" x ""#)), non_empty_text).as_deref(), Some("x"));
        assert_eq!(lenient.read("d", Some(raw(r#""""#)), non_empty_text), None);
        assert_eq!(lenient.read("e", Some(raw(r#""""#)), clean_text).as_deref(), Some(""));
        assert_eq!(lenient.read("f", Some(raw(r#""nowhere""#)), link), None);
        assert_eq!(lenient.read("g", Some(raw(r#""""#)), link).as_deref(), Some(""));
        assert_eq!(lenient.read("h", Some(raw("0")), duration_minutes), None);
        assert_eq!(lenient.read("i", Some(raw("1750000000")), unix_millis), None);
        assert_eq!(lenient.into_bad_fields(), ["a", "d", "f", "h", "i"]);
    }

    /// M3.
    #[test]
    fn number_in_quotes_is_a_number() {
        for json in ["60", r#""60""#, r#"" 60 ""#] {
            assert_eq!(integer(raw(json)), Some(60), "{json}");
        }
        for json in [r#""""#, r#""sixty""#, r#""6.5""#, "6.5", "true", "[60]"] {
            assert_eq!(integer(raw(json)), None, "{json}");
        }
    }

    #[test]
    fn end_before_the_start_is_none() {
        let (start, end) = (Millis::new(2_000), Millis::new(1_999));
        assert_eq!(end_from(Some(start), end), None);
        assert_eq!(end_from(Some(start), start), Some(EndTime::At(start)));
        assert_eq!(end_from(None, end), Some(EndTime::At(end)));
    }

    #[test]
    fn lone_surrogate_is_no_text() {
        assert_eq!(string(raw(r#""\ud83d""#)), None);
        assert_eq!(string(raw(r#""\ud83d\ude80""#)).as_deref(), Some("🚀"));
    }

    #[test]
    fn array_is_no_object() {
        #[derive(Deserialize)]
        struct One {
            a: u8,
        }
        let read = |json| serde_json::from_str::<Object<One>>(json).map(|object| object.0.a).ok();
        assert_eq!(read(r#"{"a":1}"#), Some(1));
        assert_eq!(read("[1]"), None);
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        assert!(!is_deeper_than(2, r#"{"a":["[[[","\"[[["],"b":[]}"#));
        assert!(is_deeper_than(2, r#"{"a":[[]]}"#));
    }
}

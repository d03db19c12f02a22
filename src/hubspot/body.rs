//! Bodies of requests and responses.
//!
//! Any field of a response may be missing, or of another type than documented: "all should be treated as optional in
//! any error parsing" (<https://developers.hubspot.com/docs/api-reference/error-handling>), and the published schema
//! has changed its required fields four times in three years. The one exception decides whether there were errors: a
//! response with an unreadable `errors` or `numErrors` is unreadable as a whole, since reading it as "none" would
//! confirm lost events.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::net::parse_json_object;

/// Longest text of HubSpot's that is kept, in characters: enough for every message seen, and short in a log line.
const MAX_TEXT_CHARS: usize = 500;

/// Builds the body of a batch upsert: `{"inputs":[...]}` of inputs in JSON.
pub(super) fn upsert_body<'a>(inputs: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let inputs: Vec<&[u8]> = inputs.collect();
    [br#"{"inputs":["#.as_slice(), &inputs.join(&b','), b"]}"].concat()
}

/// The response to a batch upsert: the published schema's `BatchResponseMarketingEventPublicDefaultResponse`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpsertResponse {
    /// `COMPLETE`, `PENDING`, `PROCESSING`, `CANCELED`. `COMPLETE` does not mean that all items were written
    /// (error-handling guide, the sample of a partial failure).
    #[serde(default, deserialize_with = "word")]
    pub(super) status: Option<String>,
    /// Results; an element that is no object, such as `null`, is none.
    #[serde(default, deserialize_with = "objects")]
    pub(super) results: Vec<UpsertResult>,
    #[serde(default)]
    pub(super) num_errors: Option<u64>,
    #[serde(default, deserialize_with = "list")]
    pub(super) errors: Vec<ErrorBody>,
}

/// One result. It holds neither `externalEventId` nor `externalAccountId`.
#[derive(Debug, Deserialize)]
#[serde(from = "BTreeMap<String, Box<RawValue>>")]
pub(super) struct UpsertResult {
    /// The external event id in the responses seen live (reading by external id); the CRM's id by the schema.
    pub(super) id: Option<String>,
    /// The CRM's id.
    pub(super) object_id: Option<String>,
}

/// Every object is a result, since results are counted: also one that repeats a key, which a derived parser refuses.
/// The last value counts, as with most parsers.
impl From<BTreeMap<String, Box<RawValue>>> for UpsertResult {
    fn from(fields: BTreeMap<String, Box<RawValue>>) -> Self {
        let field = |name| {
            let value: &RawValue = fields.get(name)?;
            text(&mut serde_json::Deserializer::from_str(value.get())).ok().flatten()
        };
        Self { id: field("id"), object_id: field("objectId") }
    }
}

/// HubSpot's `Error` (a whole answer) and `StandardError` (an element of an upsert's `errors`), which differ only in
/// the members they lack.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorBody {
    #[serde(default, deserialize_with = "text")]
    pub(super) category: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) message: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) correlation_id: Option<String>,
    /// Kind of the error where there is no category: `UNIQUE_VALUE_CONFLICT`, seen live with a 400.
    #[serde(default, deserialize_with = "text")]
    pub(super) error_type: Option<String>,
    /// `error`, in HubSpot's own answers.
    #[serde(default, deserialize_with = "text")]
    pub(super) status: Option<String>,
    /// The limit that a 429 is about.
    #[serde(default, deserialize_with = "text")]
    pub(super) policy_name: Option<String>,
    /// Documented as lists of texts by name; their content is not documented.
    #[serde(default)]
    pub(super) context: Value,
    #[serde(default, deserialize_with = "list")]
    pub(super) errors: Vec<ErrorDetail>,
}

/// HubSpot's `ErrorDetail`. It is a type of its own, so that the depth of a response does not bound our stack.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorDetail {
    #[serde(default, deserialize_with = "text")]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) context: Value,
}

impl ErrorBody {
    /// Parses an error body.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        parse_json_object(body)
    }

    /// Its own message and those of its details.
    pub(super) fn messages(&self) -> impl Iterator<Item = &str> {
        let details = self.errors.iter().map(|detail| &detail.message);
        std::iter::once(&self.message).chain(details).filter_map(Option::as_deref)
    }

    /// All texts of its own context and its details', of any shape.
    pub(super) fn context_texts(&self) -> Vec<&str> {
        let mut left = vec![&self.context];
        left.extend(self.errors.iter().map(|detail| &detail.context));
        let mut texts = Vec::new();
        while let Some(value) = left.pop() {
            match value {
                Value::String(text) => texts.push(text.as_str()),
                Value::Array(values) => left.extend(values),
                Value::Object(values) => left.extend(values.values()),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        texts
    }
}

/// A text or a number, as text; any other value is absent.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// As [`text`], but any other value is taken as written, so that it does not count as absent.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Some(other.to_string())
        }
    })
}

/// A list, or null for an empty one. An element of another shape counts as an empty one.
fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let elements = Option::<Vec<Box<RawValue>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(elements
        .iter()
        .map(|element| parse_json_object(element.get().as_bytes()).unwrap_or_default())
        .collect())
}

/// As [`list`], but an element of another shape does not count.
fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let elements = Option::<Vec<Box<RawValue>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(elements.iter().filter_map(|element| parse_json_object(element.get().as_bytes())).collect())
}

/// Makes a text of HubSpot's fit for logs and pages: bounded, without control characters.
pub(super) fn sanitize(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(inputs: &[&[u8]]) -> String {
        String::from_utf8(upsert_body(inputs.iter().copied())).unwrap()
    }

    #[test]
    fn upsert_body_any_inputs_joins_them_unchanged() {
        assert_eq!(joined(&[]), r#"{"inputs":[]}"#);
        assert_eq!(joined(&[br#"{"a":1}"#]), r#"{"inputs":[{"a":1}]}"#);
        assert_eq!(joined(&[br#"{"a":1}"#, b"{}"]), r#"{"inputs":[{"a":1},{}]}"#);
    }

    #[test]
    fn parse_unexpected_types_keeps_the_other_fields() {
        let body = br#"{"category":["x"],"message":7,"context":{"a":["b",{"c":"d"}],"e":1},
                        "errors":[3,{"message":"m"}],"new":{"field":true}}"#;
        let problem = ErrorBody::parse(body).unwrap();
        assert_eq!((problem.category.as_deref(), problem.message.as_deref()), (None, Some("7")));
        let mut texts = problem.context_texts();
        texts.sort_unstable();
        assert_eq!(texts, ["b", "d"]);
        assert_eq!(problem.errors.len(), 2);
        assert_eq!(problem.messages().collect::<Vec<_>>(), ["7", "m"]);
    }

    #[test]
    fn parse_errors_of_any_shape_counts_them_and_rejects_no_list() {
        let read =
            |body: &str| serde_json::from_str::<UpsertResponse>(body).map(|read| read.errors.len());
        assert_eq!(read(r#"{"errors":["what"]}"#).unwrap(), 1);
        assert_eq!(read(r#"{"errors":null,"numErrors":null}"#).unwrap(), 0);
        assert!(read(r#"{"errors":{"0":"what"}}"#).is_err());
        assert!(read(r#"{"numErrors":"some"}"#).is_err());
    }

    #[test]
    fn parse_deep_nesting_is_no_overflow() {
        let depth = 200_000;
        let nest = |open: &str, close: &str| {
            format!("{}{}", open.repeat(depth), close.repeat(depth)).into_bytes()
        };
        let errors = nest(r#"{"errors":["#, "]}");
        assert_eq!(ErrorBody::parse(&errors).map(|problem| problem.errors.len()), Some(1));
        assert!(ErrorBody::parse(&nest(r#"{"context":{"a":"#, "}}")).is_none());
    }

    #[test]
    fn sanitize_any_text_bounds_it_by_characters() {
        assert_eq!(sanitize("a\u{1b}[31m\nb"), "a[31mb");
        assert_eq!(sanitize(&"é".repeat(900)).chars().count(), 500);
    }
}

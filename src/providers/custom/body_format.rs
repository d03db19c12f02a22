//! The format of a body, and its conversion to JSON.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};
use url::form_urlencoded;

use crate::expression::Value;
use crate::jwt;

/// Longest body that is read, in bytes. Platforms send some thousand bytes, and the cost of an expression grows with
/// the body.
const SIZE_MAX: usize = 256 * 1024;

/// The format of a source's bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFormat {
    /// JSON.
    Json,
    /// A form (`application/x-www-form-urlencoded`), read as an object of texts.
    Form,
    /// A JSON Web Token, read as its claims.
    Token,
}

impl BodyFormat {
    /// Converts a body to JSON. A JSON body (as stored) and an unreadable body stay unchanged.
    pub(super) fn to_json(self, body: &[u8]) -> Cow<'_, [u8]> {
        if matches!(body.trim_ascii_start().first(), None | Some(b'{')) {
            return body.into();
        }
        match self {
            Self::Json => body.into(),
            Self::Form => {
                let fields = form_urlencoded::parse(body);
                let fields: Map<String, Json> =
                    fields.map(|(name, value)| (name.into_owned(), value.into())).collect();
                let json = serde_json::to_vec(&fields).expect("texts can be written as JSON");
                json.into()
            }
            Self::Token => jwt::decode_claims(body).map_or(Cow::Borrowed(body), Cow::Owned),
        }
    }
}

/// Parses the JSON of a body into the value that expressions see.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_value(json: &[u8]) -> Result<Value, String> {
    if json.len() > SIZE_MAX {
        return Err(format!("the body is longer than {} KiB", SIZE_MAX / 1024));
    }
    let text = std::str::from_utf8(json).map_err(|_| "the body is not UTF-8".to_owned())?;
    // The parser's own message may repeat a value.
    Value::read_json(text).map_err(|error| format!("the body cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_becomes_an_object_of_texts() {
        let json = |body: &str| {
            let json = BodyFormat::Form.to_json(body.as_bytes()).into_owned();
            String::from_utf8(json).expect("text")
        };
        assert_eq!(json("b=2%201&a=x+y&a=z"), r#"{"a":"z","b":"2 1"}"#);

        assert_eq!(json(r#"{"a":"z"}"#), r#"{"a":"z"}"#);
    }

    #[test]
    fn token_becomes_its_claims() {
        assert_eq!(*BodyFormat::Token.to_json(b"e30.eyJhIjoxfQ.x"), *br#"{"a":1}"#);
        assert_eq!(*BodyFormat::Token.to_json(br#"{"a":1}"#), *br#"{"a":1}"#);
        assert_eq!(*BodyFormat::Token.to_json(b"no.token"), *b"no.token");
        assert_eq!(*BodyFormat::Json.to_json(b"e30.e30.x"), *b"e30.e30.x");
    }

    #[test]
    fn oversized_deep_or_invalid_body_is_an_error() {
        let long = format!("[\"{}\"]", "a".repeat(SIZE_MAX));
        assert!(parse_value(long.as_bytes()).is_err_and(|reason| reason.contains("256 KiB")));
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(parse_value(deep.as_bytes()).is_err_and(|reason| reason.contains("levels deep")));
        assert!(
            parse_value(b"{\"a\":tru")
                .is_err_and(|reason| reason == "the body cannot be read: it is not JSON")
        );
        assert!(parse_value(b"\"\xff\"").is_err_and(|reason| reason.contains("UTF-8")));
        assert!(parse_value(b"{}").is_ok());
    }
}

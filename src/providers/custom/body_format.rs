//! What a body is read as: JSON, whatever it was sent as.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};
use url::form_urlencoded;

use crate::expression::Value;
use crate::providers::signature::jwt;

/// Longest body that is read, in bytes: platforms' own have some thousand, and what an expression costs grows with it.
const SIZE_MAX: usize = 256 * 1024;

/// What bodies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFormat {
    /// JSON.
    Json,
    /// A form (`application/x-www-form-urlencoded`): an object of texts.
    Form,
    /// A JSON Web Token: its claims.
    Token,
}

impl BodyFormat {
    /// The body as JSON. What is JSON already is as it was stored, and stays; what cannot be read stays, too.
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

/// The body's JSON as expressions see it.
///
/// # Errors
/// A sentence for operators, which repeats nothing of the body.
pub(super) fn parse_value(json: &[u8]) -> Result<Value, String> {
    if json.len() > SIZE_MAX {
        return Err(format!("the body is longer than {} KiB", SIZE_MAX / 1024));
    }
    let text = std::str::from_utf8(json).map_err(|_| "the body is not UTF-8".to_owned())?;
    // The parser's own words may repeat a value.
    Value::read_json(text).map_err(|error| format!("the body cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_an_object_of_texts() {
        let json = |body: &str| {
            let json = BodyFormat::Form.to_json(body.as_bytes()).into_owned();
            String::from_utf8(json).expect("text")
        };
        assert_eq!(json("b=2%201&a=x+y&a=z"), r#"{"a":"z","b":"2 1"}"#);

        assert_eq!(json(r#"{"a":"z"}"#), r#"{"a":"z"}"#);
    }

    #[test]
    fn a_token_is_its_claims() {
        assert_eq!(*BodyFormat::Token.to_json(b"e30.eyJhIjoxfQ.x"), *br#"{"a":1}"#);
        assert_eq!(*BodyFormat::Token.to_json(br#"{"a":1}"#), *br#"{"a":1}"#);
        assert_eq!(*BodyFormat::Token.to_json(b"no.token"), *b"no.token");
        assert_eq!(*BodyFormat::Json.to_json(b"e30.e30.x"), *b"e30.e30.x");
    }

    #[test]
    fn what_is_too_much_is_told() {
        let long = format!("[\"{}\"]", "a".repeat(SIZE_MAX));
        assert!(parse_value(long.as_bytes()).is_err_and(|why| why.contains("256 KiB")));
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(parse_value(deep.as_bytes()).is_err_and(|why| why.contains("levels deep")));
        assert!(
            parse_value(b"{\"a\":tru")
                .is_err_and(|why| why == "the body cannot be read: it is not JSON")
        );
        assert!(parse_value(b"\"\xff\"").is_err_and(|why| why.contains("UTF-8")));
        assert!(parse_value(b"{}").is_ok());
    }
}

//! The envelope that some platforms share: the webhook's name and the delivery's id.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient;

/// `{"event": "webinar.started", "id": "...", ...}`, read before the rest of a body.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    /// The webhook's name.
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Parses the envelope; returns it with the body's text.
    ///
    /// # Errors
    /// A sentence for operators, which repeats nothing of the body.
    pub(super) fn parse(body: &'a [u8]) -> Result<(Self, &'a str), String> {
        let text = lenient::body_text(body)?;
        let otherwise = "the body is not a JSON object with one text `event`";
        Ok((lenient::parse_object(text, otherwise)?, text))
    }

    /// The delivery's id, which the platform documents for recognizing duplicates.
    pub(super) fn delivery_id(&self) -> Option<String> {
        let id = lenient::string(self.id?)?;
        Some(id.into_owned()).filter(|id| !id.is_empty())
    }
}

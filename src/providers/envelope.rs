//! What the bodies of some platforms begin with: the webhook's name, and the id of its delivery.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{self, Object};

/// `{"event": "webinar.started", "id": "...", ...}`; nothing else of a body is looked at before this is known.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    /// The webhook's name.
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// What the body is about, and its text.
    ///
    /// # Errors
    /// A sentence for operators, which repeats nothing of the body.
    pub(super) fn parse(body: &'a [u8]) -> Result<(Self, &'a str), String> {
        let text = lenient::body_text(body)?;
        let head: Object<Self> =
            lenient::parse(text, "the body is not a JSON object with one text `event`")?;
        Ok((head.0, text))
    }

    /// The id by which the platform says that duplicates are known.
    pub(super) fn delivery_id(&self) -> Option<String> {
        let id = lenient::string(self.id?)?;
        Some(id.into_owned()).filter(|id| !id.is_empty())
    }
}

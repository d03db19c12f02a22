//! The bodies, borrowed from the text they are read from. Optional fields stay raw: see [`lenient`].

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::providers::lenient::{self, Object};

/// What every body has; nothing else of it is looked at before this is known
/// (<https://docs.riverside.fm/webhooks/overview>).
#[derive(Debug, Deserialize)]
pub(super) struct Head<'a> {
    /// The event's name: `webinar.started`.
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    /// The event's id, the same in each attempt to deliver it.
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

impl Head<'_> {
    /// The id by which duplicates are known: "deduplicate on this value".
    pub(super) fn delivery(&self) -> Option<String> {
        let id = lenient::string(self.id?)?;
        Some(id.into_owned()).filter(|id| !id.is_empty())
    }
}

/// The body of an event about a webinar.
#[derive(Debug, Deserialize)]
pub(super) struct Body<'a> {
    /// When it happened, in seconds.
    #[serde(borrow)]
    pub(super) event_ts: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) account_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) test: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<Object<Webinar<'a>>>,
}

/// A webinar: its plan, and beside it what really happened.
#[derive(Debug, Deserialize)]
pub(super) struct Webinar<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    /// The same in events about webinars.
    #[serde(borrow)]
    pub(super) event_id: Option<&'a RawValue>,
    /// Whether it was made up, to try an endpoint.
    #[serde(borrow)]
    pub(super) test: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) title: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) description: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) scheduled_start_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) scheduled_end_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) timezone: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) hosted_by: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) actual_start_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) actual_end_time: Option<&'a RawValue>,
}

/// What the body is about.
///
/// # Errors
/// A sentence for operators, which repeats nothing of the body.
pub(super) fn head(body: &[u8]) -> Result<(Head<'_>, &str), String> {
    let text = lenient::document(body)?;
    let head: Object<Head<'_>> =
        lenient::parse(text, "the body is not a JSON object with one text `event`")?;
    Ok((head.0, text))
}

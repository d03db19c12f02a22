//! The bodies, borrowed from the text they are read from. Optional fields stay raw: see [`lenient`].

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::Millis;
use crate::providers::lenient::{self, Object};

/// What every body has; nothing else of it is looked at before this is known.
#[derive(Debug, Deserialize)]
pub(super) struct Head<'a> {
    /// What happened: `EVENT.UPDATED`.
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    /// `wh_15`.
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

impl Head<'_> {
    /// The webhook's id, "to not execute tasks more than once"
    /// (<https://developers.tickettailor.com/docs/webhook/security>).
    pub(super) fn delivery(&self) -> Option<String> {
        let id = lenient::string(self.id?)?;
        Some(id.into_owned()).filter(|id| !id.is_empty())
    }
}

/// The body of a webhook about an event.
#[derive(Debug, Deserialize)]
pub(super) struct Body<'a> {
    /// When the webhook was made: `2025-01-01 10:00:00`.
    #[serde(borrow)]
    pub(super) created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) payload: Option<Object<Event<'a>>>,
}

/// An event. What is yes or no, is written as text.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    /// What it is: `event`.
    #[serde(borrow)]
    pub(super) object: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) description: Option<&'a RawValue>,
    /// `draft`, `published` or `sales_closed`.
    #[serde(borrow)]
    pub(super) status: Option<&'a RawValue>,
    #[serde(borrow, rename = "online_event")]
    pub(super) online: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) start: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) end: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) timezone: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) url: Option<&'a RawValue>,
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

/// A start or an end, in several spellings of which one will do: with its offset, or in seconds.
pub(super) fn moment(raw: &RawValue, zone: Option<&str>) -> Option<Millis> {
    #[derive(Deserialize)]
    struct Moment<'a> {
        #[serde(borrow)]
        iso: Option<&'a RawValue>,
        #[serde(borrow)]
        unix: Option<&'a RawValue>,
    }
    let said: Object<Moment<'_>> = serde_json::from_str(raw.get()).ok()?;
    let Moment { iso, unix } = said.0;
    iso.and_then(|iso| lenient::time(iso, zone))
        .or_else(|| Millis::plausible_seconds(lenient::integer(unix?)?))
}

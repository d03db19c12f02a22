//! Webhook bodies, borrowed from the text they are parsed from. Optional fields stay raw: see [`lenient`].

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::Millis;
use crate::providers::lenient::{self, Object};

/// The body of a webhook about an event.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Body<'a> {
    /// Time at which the webhook was created: `2025-01-01 10:00:00`.
    pub(super) created_at: Option<&'a RawValue>,
    pub(super) payload: Option<Object<Event<'a>>>,
}

/// An event. Booleans are written as text.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Event<'a> {
    /// Type of the object: `event`.
    pub(super) object: Option<&'a RawValue>,
    pub(super) id: Option<&'a RawValue>,
    pub(super) name: Option<&'a RawValue>,
    pub(super) description: Option<&'a RawValue>,
    /// `draft`, `published` or `sales_closed`.
    pub(super) status: Option<&'a RawValue>,
    #[serde(rename = "online_event")]
    pub(super) online: Option<&'a RawValue>,
    pub(super) start: Option<&'a RawValue>,
    pub(super) end: Option<&'a RawValue>,
    pub(super) timezone: Option<&'a RawValue>,
    pub(super) url: Option<&'a RawValue>,
}

/// Reads a start or an end. Of its several notations one suffices: with an offset, or in seconds.
pub(super) fn read_moment(raw: &RawValue, zone: Option<&str>) -> Option<Millis> {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'a"))]
    struct Moment<'a> {
        iso: Option<&'a RawValue>,
        unix: Option<&'a RawValue>,
    }
    let Moment { iso, unix } = lenient::object(raw)?;
    iso.and_then(|iso| lenient::date_time(iso, zone))
        .or_else(|| Millis::from_plausible_seconds(lenient::integer(unix?)?))
}

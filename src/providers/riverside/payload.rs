//! Webhook bodies, borrowed from the text they are parsed from. Optional fields stay raw: see
//! [`crate::providers::lenient`].

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::providers::lenient::Object;

/// The body of a webhook about a webinar.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Body<'a> {
    /// Time of the event, in seconds.
    pub(super) event_ts: Option<&'a RawValue>,
    pub(super) account_id: Option<&'a RawValue>,
    pub(super) test: Option<&'a RawValue>,
    pub(super) data: Option<Object<Webinar<'a>>>,
}

/// A webinar: its plan and its actual times.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Webinar<'a> {
    pub(super) id: Option<&'a RawValue>,
    /// Equal to `id` in webhooks about webinars.
    pub(super) event_id: Option<&'a RawValue>,
    /// Whether the webinar is made up to test an endpoint.
    pub(super) test: Option<&'a RawValue>,
    pub(super) title: Option<&'a RawValue>,
    pub(super) description: Option<&'a RawValue>,
    pub(super) scheduled_start_time: Option<&'a RawValue>,
    pub(super) scheduled_end_time: Option<&'a RawValue>,
    pub(super) timezone: Option<&'a RawValue>,
    pub(super) hosted_by: Option<&'a RawValue>,
    pub(super) actual_start_time: Option<&'a RawValue>,
    pub(super) actual_end_time: Option<&'a RawValue>,
}

//! Webhook bodies, borrowed from the text they are parsed from. Optional fields stay raw: see
//! [`crate::providers::lenient`].

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::providers::lenient::Object;

/// The body of a webhook about a webinar.
#[derive(Debug, Deserialize)]
pub(super) struct Body<'a> {
    /// Time of the event, in seconds.
    #[serde(borrow)]
    pub(super) event_ts: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) account_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) test: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<Object<Webinar<'a>>>,
}

/// A webinar: its plan and its actual times.
#[derive(Debug, Deserialize)]
pub(super) struct Webinar<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    /// Equal to `id` in webhooks about webinars.
    #[serde(borrow)]
    pub(super) event_id: Option<&'a RawValue>,
    /// Whether the webinar is made up to test an endpoint.
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

//! The full state of one event as HubSpot's batch upsert takes it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::time::Millis;

/// Type of an event that nothing gives a type.
pub(super) const DEFAULT_TYPE: &str = "WEBINAR";

/// One element of `inputs`: HubSpot's `MarketingEventCreateRequestParams` (published OpenAPI, `POST
/// /marketing/v3/marketing-events/events/upsert`; the dated versions have the same schema).
///
/// HubSpot clears every field that a body leaves out, so an input always holds all known fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventInput {
    /// Customer's account on the platform. Together with `external_event_id` it is the event's key within one HubSpot
    /// app.
    pub external_account_id: String,
    /// Id of the event on the platform.
    pub external_event_id: String,
    /// Title.
    pub event_name: String,
    /// Organizer; free text.
    pub event_organizer: String,
    /// `WEBINAR`, `CONFERENCE`, ...; free text.
    pub event_type: String,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_description: Option<String>,
    /// Registration link, else join link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_url: Option<String>,
    /// RFC 3339, UTC, `Z`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "utc")]
    pub start_date_time: Option<Millis>,
    /// RFC 3339, UTC, `Z`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "utc")]
    pub end_date_time: Option<Millis>,
    /// Whether the event is cancelled. Always sent: HubSpot reads a missing flag as `false`.
    pub event_cancelled: bool,
    /// Whether the event is completed. Always sent, as above.
    pub event_completed: bool,
    /// Custom properties, sent as name and value. HubSpot's published schema requires twenty fields of each; HubSpot's
    /// guide and its API take these two.
    #[serde(serialize_with = "properties")]
    pub custom_properties: BTreeMap<String, String>,
}

impl EventInput {
    /// The JSON for HubSpot. Equal inputs give equal bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self)
            .expect("an input holds only text, booleans and times, so it can be written")
    }
}

fn properties<S: Serializer>(
    map: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Property<'a> {
        name: &'a str,
        value: &'a str,
    }
    serializer.collect_seq(map.iter().map(|(name, value)| Property { name, value }))
}

#[allow(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn utc<S: Serializer>(time: &Option<Millis>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.to_string()).serialize(serializer)
}

//! An event as HubSpot stores it.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::batch::UpsertInput;
use crate::event::Millis;

/// An event as HubSpot stores it; serialized, `MarketingEventPublicDefaultResponse` of the published schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredEvent {
    /// Number of the CRM object, fixed for the event's key.
    pub object_id: String,
    /// Fields of the last upsert. A missing field is cleared, as measured on the single upsert, which takes the same
    /// schema (AMCF-2026/jidhr, `tests/test_event_merge_update.py`).
    #[serde(flatten)]
    pub input: UpsertInput,
    /// Time of the first write.
    #[serde(serialize_with = "utc")]
    pub created_at: Millis,
    /// Time of the last write.
    #[serde(serialize_with = "utc")]
    pub updated_at: Millis,
    /// Number of writes.
    #[serde(skip)]
    pub writes: u32,
}

impl StoredEvent {
    pub(super) fn default_response(&self) -> Value {
        serde_json::to_value(self).expect("its keys are text")
    }

    /// `MarketingEventPublicReadResponse` of the published schema.
    pub(in crate::sandbox) fn read_response(&self) -> Value {
        let mut shown = self.default_response();
        shown["externalEventId"] = json!(self.input.external_event_id);
        for count in ["attendees", "cancellations", "noShows", "registrants"] {
            shown[count] = json!(0);
        }
        shown
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn utc<S: Serializer>(time: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

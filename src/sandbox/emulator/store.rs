//! The account's events and their JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::batch::UpsertInput;
use crate::event::Millis;

/// First number of CRM objects; any number would do.
const FIRST_OBJECT: u64 = 730_000_000_001;

/// An event as HubSpot stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Number of the CRM object, fixed for the event's key.
    pub object_id: String,
    /// `eventName`.
    pub name: String,
    /// `eventOrganizer`.
    pub organizer: String,
    /// `eventType`.
    pub event_type: Option<String>,
    /// `eventDescription`.
    pub description: Option<String>,
    /// `eventUrl`.
    pub url: Option<String>,
    /// `startDateTime`.
    pub start: Option<Millis>,
    /// `endDateTime`.
    pub end: Option<Millis>,
    /// `eventCancelled`.
    pub cancelled: bool,
    /// `eventCompleted`.
    pub completed: bool,
    /// `customProperties`.
    pub custom_properties: BTreeMap<String, String>,
    /// Time of the first write.
    pub created_at: Millis,
    /// Time of the last write.
    pub updated_at: Millis,
    /// Number of writes.
    pub writes: u32,
}

#[derive(Default)]
pub(super) struct EventStore {
    events: BTreeMap<(String, String), StoredEvent>,
}

impl EventStore {
    pub(super) fn events(&self) -> &BTreeMap<(String, String), StoredEvent> {
        &self.events
    }

    /// Replaces the event with the input and returns its JSON. A missing field is cleared, as measured on the single
    /// upsert, which takes the same schema (AMCF-2026/jidhr, `tests/test_event_merge_update.py`).
    pub(super) fn replace(&mut self, now: Millis, input: UpsertInput) -> Value {
        let number = FIRST_OBJECT.saturating_add(u64::try_from(self.events.len()).unwrap_or(0));
        let key = (input.external_account_id, input.external_event_id);
        let before = self.events.get(&key);
        let event = StoredEvent {
            object_id: before.map_or_else(|| number.to_string(), |event| event.object_id.clone()),
            name: input.event_name,
            organizer: input.event_organizer,
            event_type: input.event_type,
            description: input.event_description,
            url: input.event_url,
            start: input.start_date_time.map(|time| time.0),
            end: input.end_date_time.map(|time| time.0),
            cancelled: input.event_cancelled,
            completed: input.event_completed,
            custom_properties: UpsertInput::properties(input.custom_properties),
            created_at: before.map_or(now, |event| event.created_at),
            updated_at: now,
            writes: before.map_or(1, |event| event.writes.saturating_add(1)),
        };
        let shown = event.show(&key.1);
        self.events.insert(key, event);
        shown
    }

    /// Changes or deletes an existing event as another client would.
    pub(super) fn tamper(
        &mut self,
        account: &str,
        event: &str,
        with: impl FnOnce(StoredEvent) -> Option<StoredEvent>,
    ) {
        let key = (account.to_owned(), event.to_owned());
        if let Some(event) = self.events.remove(&key).and_then(with) {
            self.events.insert(key, event);
        }
    }

    /// `MarketingEventPublicReadResponse` of the published schema.
    pub(super) fn show(&self, account: &str, event_id: &str) -> Option<Value> {
        let event = self.events.get(&(account.to_owned(), event_id.to_owned()))?;
        let mut shown = event.show(event_id);
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("externalEventId".to_owned(), json!(event_id));
            for count in ["attendees", "cancellations", "noShows", "registrants"] {
                fields.insert(count.to_owned(), json!(0));
            }
        }
        Some(shown)
    }
}

impl StoredEvent {
    /// `MarketingEventPublicDefaultResponse` of the published schema. The schema describes both ids as the CRM
    /// object's; in the one portal observed, `id` was the external event's (AMCF-2026/jidhr, same test).
    fn show(&self, event_id: &str) -> Value {
        let text = |time: Option<Millis>| time.map(|time| time.to_string());
        let properties: Vec<_> = self
            .custom_properties
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        json!({
            "id": event_id,
            "objectId": self.object_id,
            "eventName": self.name,
            "eventOrganizer": self.organizer,
            "eventType": self.event_type,
            "eventDescription": self.description,
            "eventUrl": self.url,
            "startDateTime": text(self.start),
            "endDateTime": text(self.end),
            "eventCancelled": self.cancelled,
            "eventCompleted": self.completed,
            "customProperties": properties,
            "createdAt": self.created_at.to_string(),
            "updatedAt": self.updated_at.to_string(),
        })
    }
}

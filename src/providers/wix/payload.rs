//! Decoded bodies, borrowed from the text they are parsed from. Optional fields stay raw.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::providers::lenient::{self, Object};

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    data: Object<Message<'a>>,
}

/// The message in a token: the webhook's type, its site and its data.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    /// `wix.events.v3.event_updated`.
    #[serde(borrow)]
    pub(super) event_type: Cow<'a, str>,
    /// The app's instance, which belongs to one site.
    pub(super) instance_id: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
}

/// A domain event, Wix's name for what happened to an entity: `data.data`.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[serde(rename_all = "camelCase")]
pub(super) struct DomainEvent<'a> {
    /// Id of the domain event; equal in each delivery.
    pub(super) id: Option<&'a RawValue>,
    pub(super) entity_id: Option<&'a RawValue>,
    pub(super) event_time: Option<&'a RawValue>,
    created_event: Option<&'a RawValue>,
    updated_event: Option<&'a RawValue>,
    action_event: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[serde(rename_all = "camelCase")]
struct EntityWrapper<'a> {
    entity: Option<&'a RawValue>,
    entity_as_json: Option<&'a RawValue>,
    current_entity: Option<&'a RawValue>,
    current_entity_as_json: Option<&'a RawValue>,
    body: Option<&'a RawValue>,
    body_as_json: Option<&'a RawValue>,
}

/// An event, or the part of it that an action's body shows.
#[derive(Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'a> {
    /// Present in the body of an action.
    #[serde(rename = "eventId")]
    pub(super) id: Option<&'a RawValue>,
    pub(super) title: Option<&'a RawValue>,
    pub(super) short_description: Option<&'a RawValue>,
    pub(super) status: Option<&'a RawValue>,
    pub(super) date_and_time_settings: Option<&'a RawValue>,
    #[serde(rename = "eventPageUrl")]
    pub(super) page: Option<&'a RawValue>,
    pub(super) registration: Option<&'a RawValue>,
    pub(super) location: Option<&'a RawValue>,
}

/// The dates of an event.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[serde(rename_all = "camelCase")]
pub(super) struct Dates<'a> {
    pub(super) start_date: Option<&'a RawValue>,
    pub(super) end_date: Option<&'a RawValue>,
    pub(super) time_zone_id: Option<&'a RawValue>,
}

/// The event's page.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow)]
    pub(super) base: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) path: Cow<'a, str>,
}

/// External registration, if it is not on the event's page.
#[derive(Deserialize)]
pub(super) struct Registration<'a> {
    #[serde(borrow)]
    pub(super) external: Option<Object<External<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct External<'a> {
    #[serde(borrow)]
    pub(super) url: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Location<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
}

/// Parses the message of a decoded body.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_message(text: &str) -> Result<Message<'_>, String> {
    let claims: Claims<'_> =
        lenient::parse_object(text, "the claims hold no data with one text `eventType`")?;
    Ok(claims.data.0)
}

impl<'a> Message<'a> {
    /// Parses the domain event of the message.
    ///
    /// # Errors
    /// A sentence for operators that repeats nothing from the body.
    pub(super) fn parse_domain_event(&self) -> Result<DomainEvent<'a>, String> {
        let data = self.data.ok_or("data.data is missing")?;
        lenient::parse_object(data.get(), "data.data is not an object")
    }
}

impl<'a> DomainEvent<'a> {
    /// Parses the event shown in the domain event. A deletion shows none.
    ///
    /// # Errors
    /// A sentence for operators that repeats nothing from the body.
    pub(super) fn parse_event(&self) -> Result<Event<'a>, String> {
        let wrapped = self.created_event.or(self.updated_event).or(self.action_event);
        let Some(wrapped) = wrapped else { return Ok(Event::default()) };
        let wrapped: EntityWrapper<'a> =
            lenient::parse_object(wrapped.get(), "the event's wrapper is not an object")?;
        let entity = wrapped.entity.or(wrapped.entity_as_json);
        let current = wrapped.current_entity.or(wrapped.current_entity_as_json);
        let body = wrapped.body.or(wrapped.body_as_json);
        let Some(shown) = entity.or(current).or(body) else { return Ok(Event::default()) };
        lenient::parse_object(shown.get(), "the event is not an object")
    }
}

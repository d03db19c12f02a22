//! Bodies and API answers, borrowed from the text they are parsed from. Optional fields stay raw: see [`lenient`].

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::text;
use crate::providers::lenient::{self, Object};

/// The part that every body has. Nothing else is parsed before the type is known.
#[derive(Debug, Deserialize)]
struct WebhookType<'a> {
    /// The webhook's type: `event.updated`.
    #[serde(borrow, rename = "type")]
    name: Cow<'a, str>,
}

/// The body of a webhook about an event.
#[derive(Debug, Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow)]
    pub(super) data: Option<Object<Event<'a>>>,
}

/// An event in webhooks and API answers. Older bodies name the id `api_id`.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Event<'a> {
    /// `luma`, or `external` for events held elsewhere and only listed.
    pub(super) platform: Option<&'a RawValue>,
    pub(super) id: Option<&'a RawValue>,
    pub(super) api_id: Option<&'a RawValue>,
    calendar_id: Option<&'a RawValue>,
    /// In events that were added to a calendar.
    calendar: Option<&'a RawValue>,
    pub(super) created_at: Option<&'a RawValue>,
    pub(super) start_at: Option<&'a RawValue>,
    pub(super) end_at: Option<&'a RawValue>,
    pub(super) timezone: Option<&'a RawValue>,
    pub(super) name: Option<&'a RawValue>,
    pub(super) description: Option<&'a RawValue>,
    /// `offline`, `missing`, or the meeting platform: `zoom`, `unknown`.
    pub(super) location_type: Option<&'a RawValue>,
    /// The event's public page. Guests join at `meeting_url` instead.
    pub(super) url: Option<&'a RawValue>,
    /// Absent from `event.*` webhooks.
    pub(super) hosts: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// The id of the calendar that manages the event: the account that the event belongs to.
    pub(super) fn managing_calendar_id(&self) -> Option<&'a RawValue> {
        #[derive(Deserialize)]
        struct Calendar<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
        }
        let named = || lenient::object::<Calendar<'_>>(self.calendar?)?.id;
        self.calendar_id.or_else(named)
    }
}

/// A page of the list of a calendar's events (<https://docs.luma.com/reference/get_v1-calendars-events-list>).
#[derive(Debug, Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow)]
    pub(super) entries: Vec<Object<Event<'a>>>,
    pub(super) has_more: Option<bool>,
    pub(super) next_cursor: Option<String>,
}

/// Parses the type of a body, and returns it with the body's text.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_webhook_type(body: &[u8]) -> Result<(Cow<'_, str>, &str), String> {
    let text = lenient::body_text(body)?;
    let otherwise = "the body is not a JSON object with one text `type`";
    let head: WebhookType<'_> = lenient::parse_object(text, otherwise)?;
    Ok((head.name, text))
}

/// The first host with a name; empty if no host has one.
pub(super) fn first_host_name(raw: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Host<'a> {
        #[serde(borrow)]
        name: Option<Cow<'a, str>>,
    }
    let hosts: Vec<Object<Host<'_>>> = serde_json::from_str(raw.get()).ok()?;
    let names = hosts.into_iter().filter_map(|host| host.0.name);
    let first = names.map(|name| text::clean_text(&name)).find(|name| !name.is_empty());
    Some(first.unwrap_or_default())
}

//! The bodies and the API's answers, borrowed from the text they are read from. Optional fields stay raw: see [`lenient`].

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::text;
use crate::providers::lenient::{self, Object};

/// What every body has; nothing else of it is looked at before this is known.
#[derive(Debug, Deserialize)]
struct WebhookType<'a> {
    /// The event's name: `event.updated`.
    #[serde(borrow, rename = "type")]
    name: Cow<'a, str>,
}

/// The body of a webhook about an event.
#[derive(Debug, Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow)]
    pub(super) data: Option<Object<Event<'a>>>,
}

/// An event, in webhooks and in the API's answers. Older bodies call its id `api_id`.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    /// `luma`, or `external` for what is held elsewhere and only listed.
    #[serde(borrow)]
    pub(super) platform: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) api_id: Option<&'a RawValue>,
    #[serde(borrow)]
    calendar_id: Option<&'a RawValue>,
    /// Of an event that was added to a calendar.
    #[serde(borrow)]
    calendar: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) start_at: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) end_at: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) timezone: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) description: Option<&'a RawValue>,
    /// `offline`, `missing`, or the place online: `zoom`, `unknown`.
    #[serde(borrow)]
    pub(super) location_type: Option<&'a RawValue>,
    /// The event's public page. `meeting_url` is where guests join.
    #[serde(borrow)]
    pub(super) url: Option<&'a RawValue>,
    /// Not in `event.*`.
    #[serde(borrow)]
    pub(super) hosts: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// The calendar that it is managed by: the account to which it belongs.
    pub(super) fn managing_calendar_id(&self) -> Option<&'a RawValue> {
        #[derive(Deserialize)]
        struct Calendar<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
        }
        let named = || {
            let calendar: Object<Calendar<'_>> = serde_json::from_str(self.calendar?.get()).ok()?;
            calendar.0.id
        };
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

/// The name of the event that a body is about.
///
/// # Errors
/// A sentence for operators, which repeats nothing of the body.
pub(super) fn parse_webhook_type(body: &[u8]) -> Result<(Cow<'_, str>, &str), String> {
    let text = lenient::body_text(body)?;
    let head: Object<WebhookType<'_>> =
        lenient::parse(text, "the body is not a JSON object with one text `type`")?;
    Ok((head.0.name, text))
}

/// The first host who has a name; an empty text if nobody has.
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

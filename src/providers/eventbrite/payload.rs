//! Bodies, borrowed from the text they are parsed from. Optional fields stay raw: see [`lenient`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::WebinarId;
use crate::providers::lenient::{self, Object};

/// The part of a webhook's `api_url` before the event's id (<https://www.eventbrite.com/platform/docs/webhooks>).
const EVENT_URL: &str = "https://www.eventbriteapi.com/v3/events/";
/// Longest accepted id. Known ids have up to 13 digits.
const ID_DIGITS_MAX: usize = 20;

/// A webhook: something happened to some object.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Webhook<'a> {
    config: Object<Config<'a>>,
    /// URL of the object. Never called: see [`parse_event_id`].
    pub(super) api_url: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Config<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
}

/// An event in the API's format (<https://www.eventbrite.com/developer/v3/response_formats/event/>).
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Event<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) organization_id: Option<&'a RawValue>,
    pub(super) name: Option<&'a RawValue>,
    pub(super) description: Option<&'a RawValue>,
    pub(super) summary: Option<&'a RawValue>,
    pub(super) url: Option<&'a RawValue>,
    pub(super) start: Option<&'a RawValue>,
    pub(super) end: Option<&'a RawValue>,
    pub(super) created: Option<&'a RawValue>,
    pub(super) changed: Option<&'a RawValue>,
    pub(super) status: Option<&'a RawValue>,
    /// Whether the event takes place online only.
    #[serde(rename = "online_event")]
    pub(super) online: Option<&'a RawValue>,
    /// Whether the entry represents a series, each date of which is an event of its own.
    pub(super) is_series_parent: Option<&'a RawValue>,
    /// Present because the request asks for it (`expand`).
    pub(super) organizer: Option<&'a RawValue>,
}

impl Event<'_> {
    pub(super) fn is_series_parent(&self) -> bool {
        self.is_series_parent.is_some_and(|raw| raw.get() == "true")
    }
}

/// A page of a list of events (<https://www.eventbrite.com/developer/v3/api_overview/pagination/>).
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Page<'a> {
    pub(super) events: Vec<Object<Event<'a>>>,
    pub(super) pagination: Object<Pagination<'a>>,
}

/// The start of the next page.
#[derive(Debug, Deserialize)]
pub(super) struct Pagination<'a> {
    #[serde(borrow)]
    pub(super) continuation: Option<&'a RawValue>,
    pub(super) has_more_items: Option<bool>,
}

/// Parses a webhook and its action.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_webhook(body: &[u8]) -> Result<(Cow<'_, str>, Webhook<'_>), String> {
    let otherwise = "the body is not an object with a text `config.action`";
    let mut webhook: Webhook<'_> = lenient::parse_object(lenient::body_text(body)?, otherwise)?;
    let action = std::mem::take(&mut webhook.config.0.action);
    Ok((action, webhook))
}

/// Parses the id of the event that a webhook is about. Only the one documented form of `api_url` is accepted, and no
/// other part of the URL is used: so no sender can redirect our credentials to another server.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_event_id(api_url: Option<&RawValue>) -> Result<WebinarId, String> {
    let url = api_url.and_then(lenient::string).ok_or("api_url is not a text")?;
    let id = url.strip_prefix(EVENT_URL).map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let id = id.filter(|id| is_id(id)).ok_or("api_url is not the URL of an Eventbrite event")?;
    WebinarId::parse(id).map_err(|error| format!("api_url {error}"))
}

/// Whether the text is an Eventbrite id, which is safe in a URL path.
pub(super) fn is_id(text: &str) -> bool {
    (1..=ID_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns a member of an object, or `Some(None)` if it is missing or null, or `None` if `object` is no object.
#[allow(clippy::option_option, reason = "a bad object and a missing member differ")]
pub(super) fn member<'a>(object: &'a RawValue, name: &str) -> Option<Option<&'a RawValue>> {
    let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(object.get()).ok()?;
    Some(members.get(name).copied().filter(|member| member.get() != "null"))
}

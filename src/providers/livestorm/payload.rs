//! Bodies, borrowed from the text they are parsed from. They are JSON:API documents (<https://jsonapi.org/format/>):
//! `{"data": {"id", "type", "attributes", "meta"}}`, or a list of resources in `data`. Optional fields stay raw: see
//! [`lenient`].

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{ExternalAccountId, Millis, WebinarId};
use crate::providers::lenient::{self, Object};

/// Prefix of an event's id where sessions' ids are expected too: a fetch concerns one or the other.
const EVENT_PREFIX: &str = "event:";

/// A document: its data and, for a list, the paging.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "D: Deserialize<'de>"))]
pub(super) struct Document<'a, D> {
    pub(super) data: D,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

/// One resource.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Resource<'a> {
    pub(super) id: Option<&'a RawValue>,
    #[serde(rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    pub(super) attributes: Option<&'a RawValue>,
    pub(super) meta: Option<&'a RawValue>,
}

/// A session: one dated instance of an event. Times are in seconds since 1970, and 0 where not set.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Session<'a> {
    pub(super) event_id: Option<&'a RawValue>,
    pub(super) status: Option<&'a RawValue>,
    pub(super) estimated_started_at: Option<&'a RawValue>,
    pub(super) started_at: Option<&'a RawValue>,
    pub(super) ended_at: Option<&'a RawValue>,
    pub(super) canceled_at: Option<&'a RawValue>,
    pub(super) created_at: Option<&'a RawValue>,
    pub(super) updated_at: Option<&'a RawValue>,
    /// In a breakout room: the session that it is part of.
    #[serde(rename = "breakout_room_parent_session_id")]
    pub(super) parent: Option<&'a RawValue>,
}

/// An event: the fields that its sessions share.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Event<'a> {
    pub(super) title: Option<&'a RawValue>,
    pub(super) description: Option<&'a RawValue>,
    pub(super) registration_link: Option<&'a RawValue>,
    /// In minutes.
    pub(super) estimated_duration: Option<&'a RawValue>,
    pub(super) updated_at: Option<&'a RawValue>,
    /// The team member who created the event: a resource.
    pub(super) owner: Option<&'a RawValue>,
}

/// A team member.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Person<'a> {
    pub(super) first_name: Option<&'a RawValue>,
    pub(super) last_name: Option<&'a RawValue>,
}

/// The subject of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FetchSubject<'a> {
    /// An event with all its sessions, by its id.
    Event(&'a str),
    /// A session, by its id.
    Session(&'a str),
}

impl<'a> FetchSubject<'a> {
    pub(super) fn from_id(webinar: &'a WebinarId) -> Self {
        let id = webinar.as_str();
        id.strip_prefix(EVENT_PREFIX).map_or(Self::Session(id), Self::Event)
    }
}

/// Builds the id under which an event is fetched.
pub(super) fn event_subject_id(id: &WebinarId) -> Result<WebinarId, String> {
    WebinarId::parse(format!("{EVENT_PREFIX}{id}")).map_err(|error| format!("data.id {error}"))
}

/// Parses an id of Livestorm's. Ids are UUIDs as far as known; any id that is safe in a URL path is accepted.
///
/// # Errors
/// A sentence for operators that does not repeat the value.
pub(super) fn parse_id(field: &str, raw: Option<&RawValue>) -> Result<WebinarId, String> {
    let id = lenient::identifier(field, raw, WebinarId::parse)?;
    if !is_id(id.as_str()) {
        return Err(format!("{field} has a character that is not allowed"));
    }
    Ok(id)
}

/// Whether the text is safe as a segment of a URL path.
pub(super) fn is_id(text: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.bytes().all(fit)
}

/// A parsed webhook.
#[derive(Debug)]
pub(super) struct LivestormWebhook<'a> {
    pub(super) resource: Resource<'a>,
    /// `data.type`: `sessions`, `events`, `people`.
    pub(super) kind: Cow<'a, str>,
    /// The trigger, where present: `session.ended`.
    pub(super) trigger: Option<Cow<'a, str>>,
    /// The workspace, where present.
    pub(super) account: Option<ExternalAccountId>,
}

/// Parses the part of a webhook that all types share.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_webhook(text: &str) -> Result<LivestormWebhook<'_>, String> {
    /// Not documented; found in a receiver in production. Bad values are ignored.
    #[derive(Default, Deserialize)]
    struct Meta<'a> {
        #[serde(borrow)]
        webhook: Option<&'a RawValue>,
    }
    #[derive(Default, Deserialize)]
    #[serde(bound(deserialize = "'de: 'a"))]
    struct Webhook<'a> {
        event: Option<&'a RawValue>,
        organization_id: Option<&'a RawValue>,
    }
    let resource = parse_resource(text)?;
    // Bodies of the format that preceded the REST API have no such type.
    let kind = resource.kind.and_then(lenient::string).ok_or("data.type is not a text")?;
    let meta: Meta<'_> = parse_members("meta", resource.meta).unwrap_or_default();
    let webhook: Webhook<'_> = parse_members("webhook", meta.webhook).unwrap_or_default();
    let account = webhook.organization_id.and_then(lenient::string);
    Ok(LivestormWebhook {
        kind,
        trigger: webhook.event.and_then(lenient::string),
        account: account.and_then(|account| ExternalAccountId::parse(account).ok()),
        resource,
    })
}

/// Parses a document with one resource.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_resource(text: &str) -> Result<Resource<'_>, String> {
    let document: Document<'_, Object<Resource<'_>>> =
        lenient::parse_object(text, "the body is not a document with one `data`")?;
    Ok(document.data.0)
}

/// Parses a page of a list of resources, and the number of the next page.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_page(text: &str) -> Result<(Vec<Resource<'_>>, Option<u64>), String> {
    /// <https://developers.livestorm.co/docs/pagination>
    #[derive(Default, Deserialize)]
    struct Pages<'a> {
        #[serde(borrow)]
        next_page: Option<&'a RawValue>,
    }
    let Document::<'_, Vec<Object<Resource<'_>>>> { data, meta } =
        lenient::parse_object(text, "the answer is not a document with a list in `data`")?;
    let pages: Pages<'_> = parse_members("meta", meta)?;
    let next = pages.next_page.and_then(lenient::integer);
    let next = next.and_then(|next| u64::try_from(next).ok());
    Ok((data.into_iter().map(|resource| resource.0).collect(), next))
}

/// Parses the members of an object. A missing object has none.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_members<'a, T: Deserialize<'a> + Default>(
    name: &str,
    raw: Option<&'a RawValue>,
) -> Result<T, String> {
    let Some(raw) = raw else { return Ok(T::default()) };
    lenient::parse_object(raw.get(), &format!("`{name}` is not an object"))
}

/// Returns a field unless it holds 0 or an empty text, which Livestorm writes for unset fields.
pub(super) fn skip_unset(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| !matches!(raw.get(), "0" | r#""""#))
}

/// Reads a time in seconds since 1970.
pub(super) fn read_seconds(raw: &RawValue) -> Option<Millis> {
    Millis::from_plausible_ms(lenient::integer(raw)?.checked_mul(1_000)?)
}

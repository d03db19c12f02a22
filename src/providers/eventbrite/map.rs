//! From an event, as the API shows it, to a change.

use serde_json::value::RawValue;

use super::payload::{self, Event};
use crate::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, Millis, Shape, WebinarFields, WebinarId,
};
use crate::providers::lenient::{self, FieldReader, Object};
use crate::providers::{FetchedAnswers, PayloadContent};

/// The answer that is asked for, in [`super::api`].
pub(super) const EVENT_REQUEST: &str = "event";

/// How an event stands: `draft` by the documentation of the list of events, the others by that of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventbriteStatus {
    /// Not published, or not any more.
    Draft,
    /// Published: to come, or under way.
    Live,
    /// Its time is over.
    Ended,
    /// Called off.
    Cancelled,
}

impl EventbriteStatus {
    pub(super) fn read(raw: &RawValue) -> Option<Self> {
        Some(match &*lenient::string(raw)? {
            "draft" => Self::Draft,
            "live" | "started" => Self::Live,
            "ended" | "completed" => Self::Ended,
            "canceled" | "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }
}

/// What was fetched.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn map_fetched(fetched: &FetchedAnswers<'_>) -> Result<PayloadContent, String> {
    if fetched.gone {
        let changes = vec![fetched.existence_change(&fetched.webinar, true)];
        return Ok(PayloadContent::Changes { changes, bad_fields: Vec::new() });
    }
    let answer = fetched.answer(EVENT_REQUEST).ok_or("the answer event is missing")?;
    let event: Object<Event<'_>> = lenient::parse(answer.get(), "the event is not an object")?;
    let event = event.0;
    let id = lenient::identifier("id", event.id, WebinarId::parse)?;
    if id != fetched.webinar {
        return Err("the answer is about another event".to_owned());
    }
    let organization = event.organization_id;
    let account = lenient::identifier("organization_id", organization, ExternalAccountId::parse)?;
    // Who knows our URL could name any public event of the world.
    let foreign = fetched.account.as_ref().is_some_and(|ours| *ours != account);
    if foreign || event.is_series_parent() {
        return Ok(PayloadContent::Ignored);
    }
    let mut lenient = FieldReader::default();
    let mut change = map_event(&event, id, &mut lenient);
    change.account = Some(account.clone());
    change.occurred_at = change.occurred_at.or(Some(fetched.at));
    let stands = change.whole.cancelled.map(|off| fetched.existence_change(&change.webinar, off));
    let stands = stands.map(|stands| Change { account: Some(account), ..stands });
    let changes = [change].into_iter().chain(stands).collect();
    Ok(PayloadContent::Changes { changes, bad_fields: lenient.into_bad_fields() })
}

/// The event as it is shown. Whole pictures, but of drafts, which are not to be shown yet.
fn map_event(event: &Event<'_>, id: WebinarId, lenient: &mut FieldReader) -> Change {
    let standing = lenient.read("status", event.status, EventbriteStatus::read);
    let start = lenient.read("start", event.start, read_utc);
    let name = lenient.read("name", event.name, |raw| {
        read_text_member(raw, "text").filter(|name| !name.is_empty())
    });
    let description = lenient
        .read("description", event.description, |raw| read_text_member(raw, "text"))
        .filter(|description| !description.is_empty())
        .or_else(|| lenient.read("summary", event.summary, lenient::clean_text));
    let kind = match standing {
        Some(EventbriteStatus::Draft | EventbriteStatus::Live) | None => ChangeKind::Updated,
        Some(EventbriteStatus::Ended) => ChangeKind::Completed,
        Some(EventbriteStatus::Cancelled) => ChangeKind::Cancelled,
    };
    let mut change = Change::new(id, kind);
    change.occurred_at =
        lenient.read("changed", event.changed, |raw| lenient::date_time(raw, None));
    change.shape = Some(Shape::Single);
    change.full_picture = standing.is_some_and(|standing| standing != EventbriteStatus::Draft)
        && name.is_some()
        && start.is_some();
    change.whole = WebinarFields {
        name,
        description,
        organizer: lenient.read("organizer", event.organizer, |raw| read_text_member(raw, "name")),
        event_type: lenient.read("online_event", event.online, read_event_type),
        registration_url: lenient.read("url", event.url, lenient::link),
        start,
        end: lenient.read("end", event.end, read_utc).map(EndTime::At),
        cancelled: standing.map(|standing| standing == EventbriteStatus::Cancelled),
        completed: match standing {
            Some(EventbriteStatus::Ended) => Some(true),
            Some(EventbriteStatus::Draft | EventbriteStatus::Live) => Some(false),
            Some(EventbriteStatus::Cancelled) | None => None,
        },
        ..WebinarFields::default()
    };
    change
}

/// The text in a member of an object; empty if there is none.
fn read_text_member(object: &RawValue, name: &str) -> Option<String> {
    match payload::member(object, name)? {
        Some(text) => lenient::clean_text(text),
        None => Some(String::new()),
    }
}

/// The time in UTC of one that is told in several ways.
pub(super) fn read_utc(object: &RawValue) -> Option<Millis> {
    lenient::date_time(payload::member(object, "utc")??, None)
}

fn read_event_type(online: &RawValue) -> Option<String> {
    match online.get() {
        "true" => Some("WEBINAR".to_owned()),
        "false" => Some("CONFERENCE".to_owned()),
        _ => None,
    }
}

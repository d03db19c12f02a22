//! Mapping of an event in the API's format to changes.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::payload::{self, Event};
use crate::event::{
    Change, ChangeKind, ExternalAccountId, Millis, Shape, WebinarFields, WebinarId,
};
use crate::providers::lenient::{self, FieldReader};
use crate::providers::{FetchedAnswers, PayloadContent};

/// Name of the request that [`super::api`] builds.
pub(super) const EVENT_REQUEST: &str = "event";

/// The status of an event. `draft` is documented for the list of events, the others for a single event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventbriteStatus {
    /// Not published, or unpublished again.
    Draft,
    /// Published: upcoming or under way.
    #[serde(alias = "started")]
    Live,
    /// Over.
    #[serde(alias = "completed")]
    Ended,
    /// Cancelled.
    #[serde(rename = "canceled", alias = "cancelled")]
    Cancelled,
}

/// Maps the answers of the API.
///
/// # Errors
/// Returns why the body cannot be mapped, as a sentence for operators.
pub(super) fn map_fetched(fetched: &FetchedAnswers<'_>) -> Result<PayloadContent, String> {
    if fetched.gone {
        let changes = vec![fetched.existence_change(&fetched.webinar, true)];
        return Ok(PayloadContent::Changes { changes, bad_fields: Vec::new() });
    }
    let answer = fetched.answer(EVENT_REQUEST).ok_or("the answer `event` is missing")?;
    let event: Event<'_> = lenient::parse_object(answer.get(), "the event is not an object")?;
    let id = lenient::identifier("id", event.id, WebinarId::parse)?;
    if id != fetched.webinar {
        return Err("the answer is about another event".to_owned());
    }
    let organization = event.organization_id;
    let account = lenient::identifier("organization_id", organization, ExternalAccountId::parse)?;
    // A caller who knows the endpoint's URL could name any public event on Eventbrite.
    let foreign = fetched.account.as_ref().is_some_and(|ours| *ours != account);
    if foreign || event.is_series_parent() {
        return Ok(PayloadContent::Ignored);
    }
    let mut reader = FieldReader::default();
    let mut change = map_event(&event, id, &mut reader);
    change.account = Some(account.clone());
    if change.occurred_at.is_none() {
        change.occurred_at = Some(fetched.at);
        // Without a time of its own, a status takes back no cancellation.
        change.whole.cancelled = change.whole.cancelled.filter(|cancelled| *cancelled);
    }
    let existence = fetched.existence_change(&change.webinar, false);
    let existence = Change { account: Some(account), ..existence };
    let changes = vec![change, existence];
    Ok(PayloadContent::Changes { changes, bad_fields: reader.into_bad_fields() })
}

/// Maps an event's fields. All but drafts are full pictures; drafts are not shown yet.
fn map_event(event: &Event<'_>, id: WebinarId, reader: &mut FieldReader) -> Change {
    let status = reader.read("status", event.status, lenient::word::<EventbriteStatus>);
    let start = reader.read("start", event.start, read_utc);
    let name = reader.read("name", event.name, |raw| {
        read_text_member(raw, "text").filter(|name| !name.is_empty())
    });
    let description = reader
        .read("description", event.description, |raw| read_text_member(raw, "text"))
        .filter(|description| !description.is_empty())
        .or_else(|| reader.read("summary", event.summary, lenient::clean_text));
    let kind = match status {
        Some(EventbriteStatus::Draft | EventbriteStatus::Live) | None => ChangeKind::Updated,
        Some(EventbriteStatus::Ended) => ChangeKind::Completed,
        Some(EventbriteStatus::Cancelled) => ChangeKind::Cancelled,
    };
    let mut change = Change::new(id, kind);
    change.occurred_at = reader.read("changed", event.changed, |raw| lenient::date_time(raw, None));
    change.created_at = reader.read("created", event.created, |raw| lenient::date_time(raw, None));
    change.shape = Some(Shape::Single);
    change.full_picture = status.is_some_and(|status| status != EventbriteStatus::Draft)
        && name.is_some()
        && start.is_some();
    change.whole = WebinarFields {
        name,
        description,
        organizer: reader.read("organizer", event.organizer, |raw| read_text_member(raw, "name")),
        event_type: reader.read("online_event", event.online, read_event_type),
        registration_url: reader.read("url", event.url, lenient::link),
        start,
        end: reader.read("end", event.end, |raw| lenient::end_from(start, read_utc(raw)?)),
        cancelled: status.map(|status| status == EventbriteStatus::Cancelled),
        completed: match status {
            Some(EventbriteStatus::Ended) => Some(true),
            Some(EventbriteStatus::Draft | EventbriteStatus::Live) => Some(false),
            Some(EventbriteStatus::Cancelled) | None => None,
        },
        ..WebinarFields::default()
    };
    change
}

/// Reads the text in a member of an object; empty if the member is missing.
fn read_text_member(object: &RawValue, name: &str) -> Option<String> {
    match payload::member(object, name)? {
        Some(text) => lenient::clean_text(text),
        None => Some(String::new()),
    }
}

/// Reads the UTC time of an object that holds several notations of one time.
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

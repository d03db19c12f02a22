//! From the body of an event's webhook, or an answer of the API, to a change.

use serde_json::value::RawValue;

use super::api::EVENT_REQUEST;
use super::payload::{Body, Event, first_host_name};
use crate::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, Millis, Shape, WebinarFields, WebinarId,
};
use crate::providers::lenient::{self, FieldReader, Object};
use crate::providers::{FetchedAnswers, PayloadContent};

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LumaAction {
    Created,
    Updated,
    Cancelled,
    /// It was put on the calendar, whosever it is.
    Added,
}

/// Reads the body of an event's webhook, sent at a signed time.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read(
    text: &str,
    step: LumaAction,
    sent_at: Option<Millis>,
) -> Result<PayloadContent, String> {
    let mut lenient = FieldReader::default();
    let body: Object<Body<'_>> = lenient::parse(text, "`data` is not an object")?;
    let event = body.0.data.ok_or("data is missing")?.0;
    if step == LumaAction::Added && (is_external(&event) || event.managing_calendar_id().is_none())
    {
        return Ok(PayloadContent::Ignored);
    }
    let (kind, cancelled) = match step {
        LumaAction::Created => (ChangeKind::Created, Some(false)),
        LumaAction::Updated | LumaAction::Added => (ChangeKind::Updated, None),
        LumaAction::Cancelled => (ChangeKind::Cancelled, Some(true)),
    };
    let mut change = map_event(&event, kind, &mut lenient)?;
    change.whole.cancelled = cancelled;
    let created_at = event.created_at.filter(|_| step == LumaAction::Created);
    let created_at = lenient.read("created_at", created_at, |raw| lenient::date_time(raw, None));
    change.occurred_at = created_at.or(sent_at);
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: lenient.into_bad_fields() })
}

/// Reads what the API answered. That there is no such event says nothing: it was called off, of which there is a webhook, or
/// it is not the key's to see.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read_fetched(fetched: &FetchedAnswers<'_>) -> Result<PayloadContent, String> {
    if fetched.gone {
        return Ok(PayloadContent::Ignored);
    }
    let mut lenient = FieldReader::default();
    let answer = fetched.answer(EVENT_REQUEST).ok_or("there is no answer about the event")?;
    let event: Object<Event<'_>> = lenient::parse(answer.get(), "the answer is not an event")?;
    let mut change = map_event(&event.0, ChangeKind::Updated, &mut lenient)?;
    if change.webinar != fetched.webinar {
        return Err("the answer is about another event".to_owned());
    }
    change.account = change.account.or_else(|| fetched.account.clone());
    change.occurred_at = Some(fetched.at);
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: lenient.into_bad_fields() })
}

/// The id of an event.
///
/// # Errors
/// Why it has none, for operators.
pub(super) fn event_id(event: &Event<'_>) -> Result<WebinarId, String> {
    lenient::identifier("id", event.id.or(event.api_id), WebinarId::parse)
}

/// Whether it is held elsewhere and only listed at Luma.
pub(super) fn is_external(event: &Event<'_>) -> bool {
    let platform = event.platform.and_then(lenient::string);
    platform.is_some_and(|platform| platform == "external")
}

/// What an event shows, at no time yet.
fn map_event(
    event: &Event<'_>,
    kind: ChangeKind,
    lenient: &mut FieldReader,
) -> Result<Change, String> {
    let mut change = Change::new(event_id(event)?, kind);
    change.account = event
        .managing_calendar_id()
        .map(|id| lenient::identifier("calendar_id", Some(id), ExternalAccountId::parse))
        .transpose()?;
    let fields = read_fields(event, lenient);
    change.shape = Some(Shape::Single);
    change.full_picture = fields.name.is_some() && fields.start.is_some();
    change.whole = fields;
    Ok(change)
}

/// What the event carries; an end before the start is none.
fn read_fields(event: &Event<'_>, lenient: &mut FieldReader) -> WebinarFields {
    let zone = lenient.read("timezone", event.timezone, lenient::string);
    let zone = zone.as_deref();
    let start = lenient.read("start_at", event.start_at, |raw| lenient::date_time(raw, zone));
    let end = lenient.read("end_at", event.end_at, |raw| {
        lenient::date_time(raw, zone).filter(|end| start.is_none_or(|start| *end >= start))
    });
    // Both are empty where they are not set, which says nothing.
    let host = lenient.read("hosts", event.hosts, first_host_name);
    let event_type = lenient.read("location_type", event.location_type, read_event_type);
    WebinarFields {
        name: lenient.read("name", event.name, lenient::non_empty_text),
        organizer: host.filter(|said| !said.is_empty()),
        description: lenient.read("description", event.description, lenient::clean_text),
        event_type: event_type.filter(|said| !said.is_empty()),
        registration_url: lenient.read("url", event.url, lenient::link),
        start,
        end: end.map(EndTime::At),
        ..WebinarFields::default()
    }
}

/// Where it is held, in HubSpot's manner; empty where that is not set.
fn read_event_type(raw: &RawValue) -> Option<String> {
    let event_type = match &*lenient::string(raw)? {
        "offline" => "IN_PERSON",
        "missing" => "",
        // The names of meeting platforms, of which there will be others.
        _ => "WEBINAR",
    };
    Some(event_type.to_owned())
}

//! From the body of an event's webhook, or an answer of the API, to a change.

use serde_json::value::RawValue;

use super::api::EVENT;
use super::payload::{Body, Event, first_host};
use crate::event::{Change, End, ExternalAccountId, Fields, Kind, Millis, Shape, WebinarId};
use crate::providers::lenient::{self, Lenient, Object};
use crate::providers::{Fetched, Meaning};

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
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
pub(super) fn read(text: &str, step: Step, sent_at: Option<Millis>) -> Result<Meaning, String> {
    let mut lenient = Lenient::default();
    let body: Object<Body<'_>> = lenient::parse(text, "`data` is not an object")?;
    let event = body.0.data.ok_or("data is missing")?.0;
    if step == Step::Added && (is_external(&event) || event.calendar().is_none()) {
        return Ok(Meaning::Ignored);
    }
    let (kind, cancelled) = match step {
        Step::Created => (Kind::Created, Some(false)),
        Step::Updated | Step::Added => (Kind::Updated, None),
        Step::Cancelled => (Kind::Cancelled, Some(true)),
    };
    let mut change = change(&event, kind, &mut lenient)?;
    change.whole.cancelled = cancelled;
    let created_at = event.created_at.filter(|_| step == Step::Created);
    let created_at = lenient.read("created_at", created_at, |raw| lenient::time(raw, None));
    change.occurred_at = created_at.or(sent_at);
    Ok(Meaning::Changes { changes: vec![change], bad_fields: lenient.into_bad() })
}

/// Reads what the API answered. That there is no such event says nothing: it was called off, of which there is a webhook, or
/// it is not the key's to see.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read_fetched(fetched: &Fetched<'_>) -> Result<Meaning, String> {
    if fetched.gone {
        return Ok(Meaning::Ignored);
    }
    let mut lenient = Lenient::default();
    let answer = fetched.answer(EVENT).ok_or("there is no answer about the event")?;
    let event: Object<Event<'_>> = lenient::parse(answer.get(), "the answer is not an event")?;
    let mut change = change(&event.0, Kind::Updated, &mut lenient)?;
    if change.webinar != fetched.webinar {
        return Err("the answer is about another event".to_owned());
    }
    change.account = change.account.or_else(|| fetched.account.clone());
    change.occurred_at = Some(fetched.at);
    Ok(Meaning::Changes { changes: vec![change], bad_fields: lenient.into_bad() })
}

/// The id of an event.
///
/// # Errors
/// Why it has none, for operators.
pub(super) fn id(event: &Event<'_>) -> Result<WebinarId, String> {
    lenient::identifier("id", event.id.or(event.api_id), WebinarId::parse)
}

/// Whether it is held elsewhere and only listed at Luma.
pub(super) fn is_external(event: &Event<'_>) -> bool {
    let platform = event.platform.and_then(lenient::string);
    platform.is_some_and(|platform| platform == "external")
}

/// What an event shows, at no time yet.
fn change(event: &Event<'_>, kind: Kind, lenient: &mut Lenient) -> Result<Change, String> {
    let mut change = Change::new(id(event)?, kind);
    change.account = event
        .calendar()
        .map(|id| lenient::identifier("calendar_id", Some(id), ExternalAccountId::parse))
        .transpose()?;
    let fields = fields(event, lenient);
    change.shape = Some(Shape::Single);
    change.full_picture = fields.name.is_some() && fields.start.is_some();
    change.whole = fields;
    Ok(change)
}

/// What the event carries; an end before the start is none.
fn fields(event: &Event<'_>, lenient: &mut Lenient) -> Fields {
    let zone = lenient.read("timezone", event.timezone, lenient::string);
    let zone = zone.as_deref();
    let start = lenient.read("start_at", event.start_at, |raw| lenient::time(raw, zone));
    let end = lenient.read("end_at", event.end_at, |raw| {
        lenient::time(raw, zone).filter(|end| start.is_none_or(|start| *end >= start))
    });
    // Both are empty where they are not set, which says nothing.
    let host = lenient.read("hosts", event.hosts, first_host);
    let event_type = lenient.read("location_type", event.location_type, event_type);
    Fields {
        name: lenient.read("name", event.name, lenient::title),
        organizer: host.filter(|said| !said.is_empty()),
        description: lenient.read("description", event.description, lenient::prose),
        event_type: event_type.filter(|said| !said.is_empty()),
        registration_url: lenient.read("url", event.url, lenient::link),
        start,
        end: end.map(End::At),
        ..Fields::default()
    }
}

/// Where it is held, in HubSpot's manner; empty where that is not set.
fn event_type(raw: &RawValue) -> Option<String> {
    let event_type = match &*lenient::string(raw)? {
        "offline" => "IN_PERSON",
        "missing" => "",
        // The names of meeting platforms, of which there will be others.
        _ => "WEBINAR",
    };
    Some(event_type.to_owned())
}

//! Mapping of event webhooks and of the API's answers to changes.

use serde_json::value::RawValue;

use super::api::EVENT_REQUEST;
use super::payload::{Body, Event, first_host_name};
use crate::event::{Change, ChangeKind, Millis, Shape, WebinarFields, WebinarId};
use crate::providers::lenient::{self, FieldReader};
use crate::providers::{FetchedAnswers, PayloadContent};

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LumaAction {
    Created,
    Updated,
    Cancelled,
    /// Added to the calendar, possibly by another calendar's owner.
    Added,
}

/// Reads a webhook about an event that was sent at a signed time.
///
/// # Errors
/// Returns why the body cannot be mapped, as a sentence for operators.
pub(super) fn read(
    text: &str,
    action: LumaAction,
    sent_at: Option<Millis>,
) -> Result<PayloadContent, String> {
    let mut reader = FieldReader::default();
    let body: Body<'_> = lenient::parse_object(text, "`data` is not an object")?;
    let event = body.data.ok_or("data is missing")?.0;
    if action == LumaAction::Added
        && (is_external(&event) || event.managing_calendar_id().is_none())
    {
        return Ok(PayloadContent::Ignored);
    }
    let (kind, cancelled) = match action {
        LumaAction::Created => (ChangeKind::Created, Some(false)),
        LumaAction::Updated | LumaAction::Added => (ChangeKind::Updated, None),
        LumaAction::Cancelled => (ChangeKind::Cancelled, Some(true)),
    };
    let mut change = map_event(&event, kind, &mut reader)?;
    change.whole.cancelled = cancelled;
    change.is_creation = action == LumaAction::Created;
    change.occurred_at = change.created_at.filter(|_| change.is_creation).or(sent_at);
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: reader.into_bad_fields() })
}

/// Reads the API's answer. A missing event was cancelled: Luma deletes it.
///
/// # Errors
/// Returns why the body cannot be mapped, as a sentence for operators.
pub(super) fn read_fetched(fetched: &FetchedAnswers<'_>) -> Result<PayloadContent, String> {
    if fetched.gone {
        let changes = vec![fetched.existence_change(&fetched.webinar, true)];
        return Ok(PayloadContent::Changes { changes, bad_fields: Vec::new() });
    }
    let mut reader = FieldReader::default();
    let answer = fetched.answer(EVENT_REQUEST).ok_or("the answer about the event is missing")?;
    let event = lenient::parse_object(answer.get(), "the answer is not an event")?;
    let mut change = map_event(&event, ChangeKind::Updated, &mut reader)?;
    if change.webinar != fetched.webinar {
        return Err("the answer is about another event".to_owned());
    }
    change.account = change.account.or_else(|| fetched.account.clone());
    change.occurred_at = Some(fetched.at);
    let account = change.account.clone();
    let existence = Change { account, ..fetched.existence_change(&change.webinar, false) };
    let changes = vec![change, existence];
    Ok(PayloadContent::Changes { changes, bad_fields: reader.into_bad_fields() })
}

/// Reads the id of an event.
///
/// # Errors
/// Returns why the id cannot be read, as a sentence for operators.
pub(super) fn event_id(event: &Event<'_>) -> Result<WebinarId, String> {
    lenient::identifier("id", event.id.or(event.api_id), WebinarId::parse)
}

/// Whether the event is held on another platform and only listed on Luma.
pub(super) fn is_external(event: &Event<'_>) -> bool {
    let platform = event.platform.and_then(lenient::string);
    platform.is_some_and(|platform| platform == "external")
}

/// Maps the fields of an event to a change without a time.
fn map_event(
    event: &Event<'_>,
    kind: ChangeKind,
    reader: &mut FieldReader,
) -> Result<Change, String> {
    let mut change = Change::new(event_id(event)?, kind);
    change.account = lenient::account_id("calendar_id", event.managing_calendar_id())?;
    let fields = read_fields(event, reader);
    change.created_at =
        reader.read("created_at", event.created_at, |raw| lenient::date_time(raw, None));
    change.shape = Some(Shape::Single);
    change.full_picture = fields.name.is_some() && fields.start.is_some();
    change.whole = fields;
    Ok(change)
}

/// Reads the fields of an event. An end before the start is rejected.
fn read_fields(event: &Event<'_>, reader: &mut FieldReader) -> WebinarFields {
    let zone = reader.read("timezone", event.timezone, lenient::string);
    let zone = zone.as_deref();
    let start = reader.read("start_at", event.start_at, |raw| lenient::date_time(raw, zone));
    let end = reader.read("end_at", event.end_at, |raw| {
        lenient::end_from(start, lenient::date_time(raw, zone)?)
    });
    // Hosts and place are empty where not set; an empty one sets nothing.
    let host = reader.read("hosts", event.hosts, first_host_name);
    let event_type = reader.read("location_type", event.location_type, read_event_type);
    WebinarFields {
        name: reader.read("name", event.name, lenient::non_empty_text),
        organizer: host.filter(|text| !text.is_empty()),
        description: reader.read("description", event.description, lenient::clean_text),
        event_type: event_type.filter(|text| !text.is_empty()),
        registration_url: reader.read("url", event.url, lenient::link),
        start,
        end,
        ..WebinarFields::default()
    }
}

/// Derives HubSpot's event type from the place; empty where no place is set.
fn read_event_type(raw: &RawValue) -> Option<String> {
    let event_type = match &*lenient::string(raw)? {
        "offline" => "IN_PERSON",
        "missing" => "",
        // Names of meeting platforms, including future ones.
        _ => "WEBINAR",
    };
    Some(event_type.to_owned())
}

//! From the body of a webhook about an event to a change.

use serde_json::value::RawValue;

use super::TicketTailor;
use super::payload::{Body, Event, read_moment};
use crate::event::{Change, ChangeKind, EndTime, Millis, Shape, WebinarFields, WebinarId};
use crate::providers::PayloadContent;
use crate::providers::lenient::{self, FieldReader, Object};

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TicketTailorAction {
    Created,
    Updated,
    Deleted,
}

/// Whom it was told, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct WebhookContext<'a> {
    pub(super) source: &'a TicketTailor,
    pub(super) received_at: Millis,
}

/// Reads the body of a webhook about an event.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read(
    text: &str,
    step: TicketTailorAction,
    told: WebhookContext<'_>,
) -> Result<PayloadContent, String> {
    let WebhookContext { source, received_at } = told;
    let mut lenient = FieldReader::default();
    let body: Object<Body<'_>> = lenient::parse(text, "`payload` is not an object")?;
    let Body { created_at, payload } = body.0;
    let event = payload.ok_or("payload is missing")?.0;
    let id = lenient::identifier("payload.id", event.id, WebinarId::parse)?;
    // A series is no event of ours: each of its dates is one, and is told of by itself.
    if id.as_str().starts_with("es_")
        || event.object.is_some_and(|object| !is_text(object, "event"))
    {
        return Ok(PayloadContent::Ignored);
    }
    let left_out = !source.drafts && event.status.is_some_and(|status| is_text(status, "draft"));
    let (kind, cancelled) = match step {
        TicketTailorAction::Created | TicketTailorAction::Updated if left_out => {
            return Ok(PayloadContent::Ignored);
        }
        TicketTailorAction::Created => (ChangeKind::Created, Some(false)),
        TicketTailorAction::Updated => (ChangeKind::Updated, None),
        TicketTailorAction::Deleted => (ChangeKind::Cancelled, Some(true)),
    };
    let mut change = Change::new(id, kind);
    let made_at = lenient
        .read("created_at", created_at, |raw| lenient::date_time(raw, Some(source.zone.as_str())));
    change.occurred_at = made_at.map(|at| at.refine_within_second(received_at));
    let fields = read_fields(&event, &mut lenient);
    change.shape = Some(Shape::Single);
    // A draft that is deleted may never have been told of: then there is nothing to call off.
    change.full_picture = fields.name.is_some() && fields.start.is_some() && !left_out;
    change.whole = WebinarFields { cancelled, ..fields };
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: lenient.into_bad_fields() })
}

/// What the event carries; an end before the start is none.
fn read_fields(event: &Event<'_>, lenient: &mut FieldReader) -> WebinarFields {
    let zone = lenient.read("timezone", event.timezone, lenient::string);
    let zone = zone.as_deref();
    let start = lenient.read("start", event.start, |raw| read_moment(raw, zone));
    let end = lenient.read("end", event.end, |raw| {
        read_moment(raw, zone).filter(|end| start.is_none_or(|start| *end >= start))
    });
    let online = lenient.read("online_event", event.online, lenient::boolean);
    let event_type = online.map(|online| if online { "WEBINAR" } else { "IN_PERSON" });
    WebinarFields {
        name: lenient.read("name", event.name, lenient::non_empty_text),
        description: lenient.read("description", event.description, lenient::clean_text),
        event_type: event_type.map(str::to_owned),
        registration_url: lenient.read("url", event.url, lenient::link),
        start,
        end: end.map(EndTime::At),
        ..WebinarFields::default()
    }
}

fn is_text(raw: &RawValue, word: &str) -> bool {
    lenient::string(raw).is_some_and(|said| said == word)
}

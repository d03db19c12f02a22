//! From the body of a webhook about an event to a change.

use serde_json::value::RawValue;

use super::TicketTailor;
use super::payload::{Body, Event, moment};
use crate::event::{Change, End, Fields, Kind, Millis, Shape, WebinarId};
use crate::providers::Meaning;
use crate::providers::lenient::{self, Lenient, Object};

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Created,
    Updated,
    Deleted,
}

/// Whom it was told, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) source: &'a TicketTailor,
    pub(super) received_at: Millis,
}

/// Reads the body of a webhook about an event.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read(text: &str, step: Step, told: Told<'_>) -> Result<Meaning, String> {
    let Told { source, received_at } = told;
    let mut lenient = Lenient::default();
    let body: Object<Body<'_>> = lenient::parse(text, "`payload` is not an object")?;
    let Body { created_at, payload } = body.0;
    let event = payload.ok_or("payload is missing")?.0;
    let id = lenient::identifier("payload.id", event.id, WebinarId::parse)?;
    // A series is no event of ours: each of its dates is one, and is told of by itself.
    if id.as_str().starts_with("es_") || event.object.is_some_and(|object| !is(object, "event")) {
        return Ok(Meaning::Ignored);
    }
    let left_out = !source.drafts && event.status.is_some_and(|status| is(status, "draft"));
    let (kind, cancelled) = match step {
        Step::Created | Step::Updated if left_out => return Ok(Meaning::Ignored),
        Step::Created => (Kind::Created, Some(false)),
        Step::Updated => (Kind::Updated, None),
        Step::Deleted => (Kind::Cancelled, Some(true)),
    };
    let mut change = Change::new(id, kind);
    let made_at = lenient
        .read("created_at", created_at, |raw| lenient::time(raw, Some(source.zone.as_str())));
    change.occurred_at = made_at.map(|at| at.refined_by(received_at));
    let fields = fields(&event, &mut lenient);
    change.shape = Some(Shape::Single);
    // A draft that is deleted may never have been told of: then there is nothing to call off.
    change.full_picture = fields.name.is_some() && fields.start.is_some() && !left_out;
    change.whole = Fields { cancelled, ..fields };
    Ok(Meaning::Changes { changes: vec![change], bad_fields: lenient.into_bad() })
}

/// What the event carries; an end before the start is none.
fn fields(event: &Event<'_>, lenient: &mut Lenient) -> Fields {
    let zone = lenient.read("timezone", event.timezone, lenient::string);
    let zone = zone.as_deref();
    let start = lenient.read("start", event.start, |raw| moment(raw, zone));
    let end = lenient.read("end", event.end, |raw| {
        moment(raw, zone).filter(|end| start.is_none_or(|start| *end >= start))
    });
    let online = lenient.read("online_event", event.online, lenient::yes_or_no);
    let event_type = online.map(|online| if online { "WEBINAR" } else { "IN_PERSON" });
    Fields {
        name: lenient.read("name", event.name, lenient::title),
        description: lenient.read("description", event.description, lenient::prose),
        event_type: event_type.map(str::to_owned),
        registration_url: lenient.read("url", event.url, lenient::link),
        start,
        end: end.map(End::At),
        ..Fields::default()
    }
}

fn is(raw: &RawValue, word: &str) -> bool {
    lenient::string(raw).is_some_and(|said| said == word)
}

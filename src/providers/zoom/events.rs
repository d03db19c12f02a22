//! Zoom Events: an event made of sessions. Drafts are silent; that an event is over is told by its sessions only.

use super::payload::{self, Said, ZoomEvent};
use crate::event::{
    Change, End, Fields, Kind, Millis, OccurrenceId, OccurrenceSaid, Shape, WebinarId,
};
use crate::providers::Meaning;
use crate::providers::lenient::{self, Lenient};

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Published,
    Updated,
    Cancelled,
}

/// What happened to a session of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionStep {
    Created,
    Updated,
    Deleted,
    Ended,
}

/// Reads the body of an event's event. Its `status` is `DRAFT` even where it was published: the name is trusted.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read_event(text: &str, what: Step) -> Result<Meaning, String> {
    let mut lenient = Lenient::default();
    let said = payload::said(text, &mut lenient)?;
    let (kind, cancelled) = match what {
        Step::Published => (Kind::Created, Some(false)),
        Step::Updated => (Kind::Updated, None),
        Step::Cancelled => (Kind::Cancelled, Some(true)),
    };
    let mut change = change_of(&said, kind)?;
    let object = &said.object;
    let (start, end) = times(object, &mut lenient);
    let name = lenient.read("name", object.name, lenient::title);
    let event_type = lenient.read("event_type", object.event_type, lenient::title);
    change.full_picture = name.is_some() && start.is_some() && end.is_some();
    change.shape = event_type
        .as_deref()
        .map(|event_type| Shape::Program { one_session: event_type == "SIMPLE_EVENT" });
    change.whole = Fields {
        name,
        description: lenient.read("description", object.description, lenient::prose),
        event_type: event_type.filter(|event_type| event_type == "CONFERENCE"),
        start,
        end,
        cancelled,
        ..Fields::default()
    };
    Ok(Meaning::Changes { changes: vec![change], bad_fields: lenient.into_bad() })
}

/// Reads the body of a session's event. It does not tell how many sessions the event has, so it says no shape.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read_session(text: &str, what: SessionStep) -> Result<Meaning, String> {
    let mut lenient = Lenient::default();
    let said = payload::said(text, &mut lenient)?;
    let kind = match what {
        SessionStep::Created => Kind::Created,
        SessionStep::Updated => Kind::Updated,
        SessionStep::Deleted => Kind::Cancelled,
        SessionStep::Ended => Kind::Completed,
    };
    let mut change = change_of(&said, kind)?;
    let object = &said.object;
    let id = object.session_id;
    let id = lenient::identifier("object.session_id", id, OccurrenceId::parse)?;
    let fields = match what {
        SessionStep::Created | SessionStep::Updated => {
            let (start, end) = times(object, &mut lenient);
            let name = lenient.read("name", object.name, lenient::title);
            Fields { name, start, end, cancelled: Some(false), ..Fields::default() }
        }
        SessionStep::Deleted => Fields { cancelled: Some(true), ..Fields::default() },
        // Its times are the run's, not the plan's.
        SessionStep::Ended => Fields { completed: Some(true), ..Fields::default() },
    };
    change.occurrences = vec![OccurrenceSaid { id, fields }];
    Ok(Meaning::Changes { changes: vec![change], bad_fields: lenient.into_bad() })
}

fn change_of(said: &Said<'_, ZoomEvent<'_>>, kind: Kind) -> Result<Change, String> {
    let id = said.object.event_id;
    let id = lenient::identifier("object.event_id", id, WebinarId::parse)?;
    let mut change = Change::new(id, kind);
    change.account.clone_from(&said.account);
    change.occurred_at = said.occurred_at;
    Ok(change)
}

/// Start and end; an end before the start is none.
fn times(object: &ZoomEvent<'_>, lenient: &mut Lenient) -> (Option<Millis>, Option<End>) {
    let zone = lenient.read("timezone", object.timezone, lenient::string);
    let zone = zone.as_deref();
    let start = lenient.read("start_time", object.start_time, |raw| lenient::time(raw, zone));
    let end = lenient.read("end_time", object.end_time, |raw| {
        lenient::time(raw, zone).filter(|end| start.is_none_or(|start| *end >= start))
    });
    (start, end.map(End::At))
}

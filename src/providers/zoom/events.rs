//! Zoom Events: an event made of sessions. Drafts are silent; that an event is over is told by its sessions only.

use super::payload::{self, ZoomEvent, ZoomWebhook};
use crate::event::{
    Change, ChangeKind, EndTime, Millis, OccurrenceChange, OccurrenceId, Shape, WebinarFields,
    WebinarId,
};
use crate::providers::PayloadContent;
use crate::providers::lenient::{self, FieldReader};

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZoomEventAction {
    Published,
    Updated,
    Cancelled,
}

/// What happened to a session of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZoomSessionAction {
    Created,
    Updated,
    Deleted,
    Ended,
}

/// Reads the body of an event's event. Its `status` is `DRAFT` even where it was published: the name is trusted.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read_event(text: &str, what: ZoomEventAction) -> Result<PayloadContent, String> {
    let mut lenient = FieldReader::default();
    let said = payload::parse_webhook(text, &mut lenient)?;
    let (kind, cancelled) = match what {
        ZoomEventAction::Published => (ChangeKind::Created, Some(false)),
        ZoomEventAction::Updated => (ChangeKind::Updated, None),
        ZoomEventAction::Cancelled => (ChangeKind::Cancelled, Some(true)),
    };
    let mut change = new_change(&said, kind)?;
    let object = &said.object;
    let (start, end) = read_times(object, &mut lenient);
    let name = lenient.read("name", object.name, lenient::non_empty_text);
    let event_type = lenient.read("event_type", object.event_type, lenient::non_empty_text);
    change.full_picture = name.is_some() && start.is_some() && end.is_some();
    change.shape = event_type
        .as_deref()
        .map(|event_type| Shape::Program { one_session: event_type == "SIMPLE_EVENT" });
    change.whole = WebinarFields {
        name,
        description: lenient.read("description", object.description, lenient::clean_text),
        event_type: event_type.filter(|event_type| event_type == "CONFERENCE"),
        start,
        end,
        cancelled,
        ..WebinarFields::default()
    };
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: lenient.into_bad_fields() })
}

/// Reads the body of a session's event. It does not tell how many sessions the event has, so it says no shape.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read_session(text: &str, what: ZoomSessionAction) -> Result<PayloadContent, String> {
    let mut lenient = FieldReader::default();
    let said = payload::parse_webhook(text, &mut lenient)?;
    let kind = match what {
        ZoomSessionAction::Created => ChangeKind::Created,
        ZoomSessionAction::Updated => ChangeKind::Updated,
        ZoomSessionAction::Deleted => ChangeKind::Cancelled,
        ZoomSessionAction::Ended => ChangeKind::Completed,
    };
    let mut change = new_change(&said, kind)?;
    let object = &said.object;
    let id = object.session_id;
    let id = lenient::identifier("object.session_id", id, OccurrenceId::parse)?;
    let fields = match what {
        ZoomSessionAction::Created | ZoomSessionAction::Updated => {
            let (start, end) = read_times(object, &mut lenient);
            let name = lenient.read("name", object.name, lenient::non_empty_text);
            WebinarFields { name, start, end, cancelled: Some(false), ..WebinarFields::default() }
        }
        ZoomSessionAction::Deleted => {
            WebinarFields { cancelled: Some(true), ..WebinarFields::default() }
        }
        // Its times are the run's, not the plan's.
        ZoomSessionAction::Ended => {
            WebinarFields { completed: Some(true), ..WebinarFields::default() }
        }
    };
    change.occurrences = vec![OccurrenceChange { id, fields }];
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: lenient.into_bad_fields() })
}

fn new_change(said: &ZoomWebhook<'_, ZoomEvent<'_>>, kind: ChangeKind) -> Result<Change, String> {
    let id = said.object.event_id;
    let id = lenient::identifier("object.event_id", id, WebinarId::parse)?;
    let mut change = Change::new(id, kind);
    change.account.clone_from(&said.account);
    change.occurred_at = said.occurred_at;
    Ok(change)
}

/// Start and end; an end before the start is none.
fn read_times(
    object: &ZoomEvent<'_>,
    lenient: &mut FieldReader,
) -> (Option<Millis>, Option<EndTime>) {
    let zone = lenient.read("timezone", object.timezone, lenient::string);
    let zone = zone.as_deref();
    let start = lenient.read("start_time", object.start_time, |raw| lenient::date_time(raw, zone));
    let end = lenient.read("end_time", object.end_time, |raw| {
        lenient::date_time(raw, zone).filter(|end| start.is_none_or(|start| *end >= start))
    });
    (start, end.map(EndTime::At))
}

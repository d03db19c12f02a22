//! Zoom Events: an event consists of sessions. Drafts send no webhook, and only sessions report their end.

use super::payload::{self, ZoomEvent, ZoomWebhook};
use crate::event::{
    Change, ChangeKind, EndTime, Millis, OccurrenceChange, OccurrenceId, Shape, WebinarFields,
    WebinarId,
};
use crate::providers::PayloadContent;
use crate::providers::lenient::{self, FieldReader};

/// Reads a webhook about an event. `status` is ignored: it is `DRAFT` even in published events, so the event name
/// decides.
///
/// # Errors
/// Returns why the body cannot be mapped, as a sentence for operators.
pub(super) fn read_event(text: &str, kind: ChangeKind) -> Result<PayloadContent, String> {
    let mut reader = FieldReader::default();
    let webhook = payload::parse_webhook(text, &mut reader)?;
    let mut change = new_change(&webhook, kind)?;
    let object = &webhook.object;
    let (start, end) = read_times(object, &mut reader);
    let name = reader.read("name", object.name, lenient::non_empty_text);
    let event_type = reader.read("event_type", object.event_type, lenient::non_empty_text);
    change.full_picture = name.is_some() && start.is_some() && end.is_some();
    change.shape = event_type
        .as_deref()
        .map(|event_type| Shape::Program { one_session: event_type == "SIMPLE_EVENT" });
    change.whole = WebinarFields {
        name,
        description: reader.read("description", object.description, lenient::clean_text),
        event_type: event_type.filter(|event_type| event_type == "CONFERENCE"),
        start,
        end,
        cancelled: kind.cancelled(),
        ..WebinarFields::default()
    };
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: reader.into_bad_fields() })
}

/// Reads a webhook about a session. It does not report the number of sessions, so it sets no shape.
///
/// # Errors
/// Returns why the body cannot be mapped, as a sentence for operators.
pub(super) fn read_session(text: &str, kind: ChangeKind) -> Result<PayloadContent, String> {
    let mut reader = FieldReader::default();
    let webhook = payload::parse_webhook(text, &mut reader)?;
    let mut change = new_change(&webhook, kind)?;
    let object = &webhook.object;
    let id = object.session_id;
    let id = lenient::identifier("object.session_id", id, OccurrenceId::parse)?;
    let fields = match kind {
        ChangeKind::Cancelled => {
            WebinarFields { cancelled: Some(true), ..WebinarFields::default() }
        }
        // The times of `session_ended` are the actual ones, not the planned ones.
        ChangeKind::Completed => {
            WebinarFields { completed: Some(true), ..WebinarFields::default() }
        }
        ChangeKind::Created | ChangeKind::Updated | ChangeKind::Recovered | ChangeKind::Started => {
            let (start, end) = read_times(object, &mut reader);
            let name = reader.read("name", object.name, lenient::non_empty_text);
            // An update does not say whether the session takes place.
            let cancelled = kind.cancelled();
            WebinarFields { name, start, end, cancelled, ..WebinarFields::default() }
        }
    };
    change.occurrences = vec![OccurrenceChange { id, fields }];
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: reader.into_bad_fields() })
}

fn new_change(
    webhook: &ZoomWebhook<'_, ZoomEvent<'_>>,
    kind: ChangeKind,
) -> Result<Change, String> {
    let id = webhook.object.event_id;
    let id = lenient::identifier("object.event_id", id, WebinarId::parse)?;
    let mut change = Change::new(id, kind);
    change.account.clone_from(&webhook.account);
    change.occurred_at = webhook.occurred_at;
    Ok(change)
}

/// Reads start and end. An end before the start is rejected.
fn read_times(
    object: &ZoomEvent<'_>,
    reader: &mut FieldReader,
) -> (Option<Millis>, Option<EndTime>) {
    let zone = reader.read("timezone", object.timezone, lenient::string);
    let zone = zone.as_deref();
    let start = reader.read("start_time", object.start_time, |raw| lenient::date_time(raw, zone));
    let end = reader.read("end_time", object.end_time, |raw| {
        lenient::end_from(start, lenient::date_time(raw, zone)?)
    });
    (start, end)
}

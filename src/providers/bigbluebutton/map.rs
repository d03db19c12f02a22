//! Mapping of the events in a body to changes.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::payload::{self, Event};
use super::{EVENT_TYPE, form};
use crate::event::{
    Change, ChangeKind, ExternalAccountId, RunChange, RunPhase, Shape, WebinarFields, WebinarId,
};
use crate::providers::PayloadContent;
use crate::providers::lenient::{self, FieldReader};

/// What happened to a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MeetingAction {
    Created,
    Ended,
}

impl MeetingAction {
    fn from_event(event: &Event<'_>) -> Option<Self> {
        match event.name.as_deref()? {
            "meeting-created" => Some(Self::Created),
            "meeting-ended" => Some(Self::Ended),
            _ => None,
        }
    }
}

/// Reads a body: the names of its events, and what they mean.
///
/// # Errors
/// Returns why the body cannot be read, as a sentence for operators.
pub(super) fn read(body: &[u8]) -> Result<(String, PayloadContent), String> {
    let text =
        form::single_value(body, "event").ok_or("the body is not a form with one `event`")?;
    let events = payload::parse_events(&text)?;
    let names: Vec<&str> = events.iter().filter_map(|event| event.name.as_deref()).collect();
    Ok((names.join(","), map_events(body, &events).unwrap_or_else(PayloadContent::Unmappable)))
}

fn map_events(body: &[u8], events: &[Event<'_>]) -> Result<PayloadContent, String> {
    let mut reader = FieldReader::default();
    // One body may hold both the creation and the end of a meeting.
    let mut changes: BTreeMap<WebinarId, Change> = BTreeMap::new();
    for (action, event) in
        events.iter().filter_map(|event| Some((MeetingAction::from_event(event)?, event)))
    {
        apply_event(action, event, &mut changes, &mut reader)?;
    }
    if changes.is_empty() {
        return Ok(PayloadContent::Ignored);
    }
    let domain = form::single_value(body, "domain").filter(|domain| !domain.is_empty());
    let account = domain.map(ExternalAccountId::parse).transpose();
    let account = account.map_err(|error| format!("domain {error}"))?;
    let with_account = |change| Change { account: account.clone(), ..change };
    let changes = changes.into_values().map(with_account).collect();
    Ok(PayloadContent::Changes { changes, bad_fields: reader.into_bad_fields() })
}

/// Applies an event to its meeting's change. Events of breakout rooms change nothing.
fn apply_event(
    action: MeetingAction,
    event: &Event<'_>,
    changes: &mut BTreeMap<WebinarId, Change>,
    reader: &mut FieldReader,
) -> Result<(), String> {
    let meeting = event.parse_meeting()?;
    let breakout = meeting.is_breakout();
    let id = meeting.internal_meeting_id;
    let id = lenient::identifier("internal-meeting-id", id, WebinarId::parse)?;
    if breakout {
        return Ok(());
    }
    let at = reader.read("ts", event.at, lenient::unix_millis);
    let new = || Change::new(id.clone(), ChangeKind::Created);
    let change = changes.entry(id.clone()).or_insert_with(new);
    change.occurred_at = change.occurred_at.max(at);
    // A meeting is made when it begins, and its id is never used again.
    let created_at = reader.read("create-time", meeting.create_time, lenient::unix_millis);
    change.created_at = created_at.or(change.created_at);
    match action {
        MeetingAction::Created => {
            let unlimited = |minutes: &&RawValue| minutes.get() == "0";
            let limit = meeting.duration.filter(|minutes| !unlimited(minutes));
            change.full_picture = true;
            change.shape = Some(Shape::Single);
            // Where its end is not reported, it was lost.
            change.session = Some(RunChange {
                phase: RunPhase::Started,
                started_at: created_at,
                ended_at: None,
            });
            change.whole = WebinarFields {
                name: reader.read("name", meeting.name, lenient::non_empty_text),
                event_type: Some(EVENT_TYPE.to_owned()),
                start: created_at,
                end: reader.read("duration", limit, lenient::duration_minutes),
                cancelled: Some(false),
                ..change.whole.clone()
            };
        }
        MeetingAction::Ended => {
            // What is created and ended in one body was created.
            if !change.full_picture {
                change.kind = ChangeKind::Completed;
            }
            change.whole.actual_end = at;
            change.whole.completed = Some(true);
        }
    }
    Ok(())
}

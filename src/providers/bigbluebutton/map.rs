//! From the events in a body to changes.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::payload::{self, Event};
use super::{EVENT_TYPE, form};
use crate::event::{Change, ExternalAccountId, Fields, Kind, Shape, WebinarId};
use crate::providers::Meaning;
use crate::providers::lenient::{self, Lenient};

/// What happened to a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Created,
    Ended,
}

impl Step {
    fn of(event: &Event<'_>) -> Option<Self> {
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
/// Why it cannot be read, for operators.
pub(super) fn read(body: &[u8]) -> Result<(String, Meaning), String> {
    let text = form::one(body, "event").ok_or("it is not a form with one event")?;
    let events = payload::events(&text)?;
    let names: Vec<&str> = events.iter().filter_map(|event| event.name.as_deref()).collect();
    Ok((names.join(","), meaning(body, &events).unwrap_or_else(Meaning::Unmappable)))
}

fn meaning(body: &[u8], events: &[Event<'_>]) -> Result<Meaning, String> {
    let mut lenient = Lenient::default();
    // Of one meeting a body may tell that it came to be and that it ended.
    let mut changes: BTreeMap<WebinarId, Change> = BTreeMap::new();
    for (step, event) in events.iter().filter_map(|event| Some((Step::of(event)?, event))) {
        tell(step, event, &mut changes, &mut lenient)?;
    }
    if changes.is_empty() {
        return Ok(Meaning::Ignored);
    }
    let domain = form::one(body, "domain").filter(|domain| !domain.is_empty());
    let account = domain.map(ExternalAccountId::parse).transpose();
    let account = account.map_err(|error| format!("domain {error}"))?;
    let told = |change| Change { account: account.clone(), ..change };
    let changes = changes.into_values().map(told).collect();
    Ok(Meaning::Changes { changes, bad_fields: lenient.into_bad() })
}

/// What an event says; nothing of a breakout room.
fn tell(
    step: Step,
    event: &Event<'_>,
    changes: &mut BTreeMap<WebinarId, Change>,
    lenient: &mut Lenient,
) -> Result<(), String> {
    let meeting = event.meeting()?;
    let breakout = meeting.is_breakout();
    let id = meeting.internal_meeting_id;
    let id = lenient::identifier("internal-meeting-id", id, WebinarId::parse)?;
    if breakout {
        return Ok(());
    }
    let at = lenient.read("ts", event.at, lenient::clock);
    let new = || Change::new(id.clone(), Kind::Created);
    let change = changes.entry(id.clone()).or_insert_with(new);
    change.occurred_at = change.occurred_at.max(at);
    match step {
        Step::Created => {
            let unlimited = |minutes: &&RawValue| minutes.get() == "0";
            let limit = meeting.duration.filter(|minutes| !unlimited(minutes));
            change.full_picture = true;
            change.shape = Some(Shape::Single);
            change.whole = Fields {
                name: lenient.read("name", meeting.name, lenient::title),
                event_type: Some(EVENT_TYPE.to_owned()),
                start: lenient.read("create-time", meeting.create_time, lenient::clock),
                end: lenient.read("duration", limit, lenient::minutes),
                cancelled: Some(false),
                ..change.whole.clone()
            };
        }
        Step::Ended => {
            change.kind = Kind::Completed;
            change.whole.actual_end = at;
            change.whole.completed = Some(true);
        }
    }
    Ok(())
}

//! From the body of a webinar's event to a change.

use serde_json::value::RawValue;

use super::payload::{Body, Webinar};
use crate::event::{
    Change, End, ExternalAccountId, Fields, Kind, Millis, Phase, Session, Shape, WebinarId,
};
use crate::providers::Meaning;
use crate::providers::lenient::{self, Lenient, Object};

/// What happened to a webinar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Created,
    Started,
    Ended,
}

/// Reads the body of a webinar's event.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read(text: &str, step: Step) -> Result<Meaning, String> {
    let mut lenient = Lenient::default();
    let body: Object<Body<'_>> = lenient::parse(text, "`data` is not an object")?;
    let Body { event_ts, account_id, test, data } = body.0;
    let webinar = data.ok_or("data is missing")?.0;
    if [test, webinar.test].into_iter().flatten().any(|mark| lenient::yes_or_no(mark) == Some(true))
    {
        return Ok(Meaning::Ignored);
    }
    let id = webinar.id.or(webinar.event_id);
    let kind = match step {
        Step::Created => Kind::Created,
        Step::Started => Kind::Started,
        Step::Ended => Kind::Completed,
    };
    let mut change = Change::new(lenient::identifier("data.id", id, WebinarId::parse)?, kind);
    change.account = account_id
        .map(|id| lenient::identifier("account_id", Some(id), ExternalAccountId::parse))
        .transpose()?;
    change.occurred_at =
        lenient.read("event_ts", event_ts, |raw| Millis::plausible_seconds(lenient::integer(raw)?));
    let zone = lenient.read("timezone", webinar.timezone, lenient::string);
    let zone = zone.as_deref();
    let mut plan = plan(&webinar, zone, &mut lenient);
    let mut actual =
        |field, raw: Option<&RawValue>| lenient.read(field, raw, |raw| lenient::time(raw, zone));
    change.session = match step {
        Step::Created => {
            plan.cancelled = Some(false);
            None
        }
        Step::Started => Some(Session {
            phase: Phase::Started,
            started_at: actual("actual_start_time", webinar.actual_start_time),
            ended_at: None,
        }),
        Step::Ended => {
            let started_at = actual("actual_start_time", webinar.actual_start_time);
            let ended_at = actual("actual_end_time", webinar.actual_end_time);
            // The planned end, said at the same time, would go before the real one.
            plan.end = plan.end.filter(|_| ended_at.is_none());
            Some(Session { phase: Phase::Ended, started_at, ended_at })
        }
    };
    change.shape = Some(Shape::Single);
    change.full_picture = plan.name.is_some() && plan.start.is_some();
    change.whole = plan;
    Ok(Meaning::Changes { changes: vec![change], bad_fields: lenient.into_bad() })
}

/// What is planned. Every field may be null, which says nothing; an end before the start is none.
fn plan(webinar: &Webinar<'_>, zone: Option<&str>, lenient: &mut Lenient) -> Fields {
    let start = lenient
        .read("scheduled_start_time", webinar.scheduled_start_time, |raw| lenient::time(raw, zone));
    let end = lenient.read("scheduled_end_time", webinar.scheduled_end_time, |raw| {
        lenient::time(raw, zone).filter(|end| start.is_none_or(|start| *end >= start))
    });
    Fields {
        name: lenient.read("title", webinar.title, lenient::title),
        organizer: lenient.read("hosted_by", webinar.hosted_by, lenient::title),
        description: lenient.read("description", webinar.description, lenient::prose),
        start,
        end: end.map(End::At),
        ..Fields::default()
    }
}

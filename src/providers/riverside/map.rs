//! Mapping of webinar webhooks to changes.

use serde_json::value::RawValue;

use super::payload::{Body, Webinar};
use crate::event::{
    Change, ChangeKind, Millis, RunChange, RunPhase, Shape, WebinarFields, WebinarId,
};
use crate::providers::PayloadContent;
use crate::providers::lenient::{self, FieldReader};

/// Reads a webhook about a webinar.
///
/// # Errors
/// Returns why the body cannot be mapped, as a sentence for operators.
pub(super) fn read(text: &str, kind: ChangeKind) -> Result<PayloadContent, String> {
    let mut reader = FieldReader::default();
    let Body { event_ts, account_id, test, data } =
        lenient::parse_object(text, "`data` is not an object")?;
    let webinar = data.ok_or("data is missing")?.0;
    if [test, webinar.test].into_iter().flatten().any(|mark| lenient::boolean(mark) == Some(true)) {
        return Ok(PayloadContent::Ignored);
    }
    let id = webinar.id.or(webinar.event_id);
    let mut change = Change::new(lenient::identifier("data.id", id, WebinarId::parse)?, kind);
    change.account = lenient::account_id("account_id", account_id)?;
    change.occurred_at = reader
        .read("event_ts", event_ts, |raw| Millis::from_plausible_seconds(lenient::integer(raw)?));
    let zone = reader.read("timezone", webinar.timezone, lenient::string);
    let zone = zone.as_deref();
    let plan = read_plan(&webinar, zone, &mut reader);
    let mut actual = |field, raw: Option<&RawValue>| {
        reader.read(field, raw, |raw| lenient::date_time(raw, zone))
    };
    change.is_creation = kind == ChangeKind::Created;
    change.session = match kind {
        ChangeKind::Started => Some(RunChange {
            phase: RunPhase::Started,
            started_at: actual("actual_start_time", webinar.actual_start_time),
            ended_at: None,
        }),
        ChangeKind::Completed => {
            let started_at = actual("actual_start_time", webinar.actual_start_time);
            let ended_at = actual("actual_end_time", webinar.actual_end_time);
            Some(RunChange { phase: RunPhase::Ended, started_at, ended_at })
        }
        ChangeKind::Created
        | ChangeKind::Updated
        | ChangeKind::Cancelled
        | ChangeKind::Recovered => None,
    };
    change.shape = Some(Shape::Single);
    change.full_picture = plan.name.is_some() && plan.start.is_some();
    change.whole = WebinarFields { cancelled: kind.cancelled(), ..plan };
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: reader.into_bad_fields() })
}

/// Reads the plan. A null field sets nothing, and an end before the start is rejected.
fn read_plan(webinar: &Webinar<'_>, zone: Option<&str>, reader: &mut FieldReader) -> WebinarFields {
    let start = reader.read("scheduled_start_time", webinar.scheduled_start_time, |raw| {
        lenient::date_time(raw, zone)
    });
    let end = reader.read("scheduled_end_time", webinar.scheduled_end_time, |raw| {
        lenient::end_from(start, lenient::date_time(raw, zone)?)
    });
    WebinarFields {
        name: reader.read("title", webinar.title, lenient::non_empty_text),
        organizer: reader.read("hosted_by", webinar.hosted_by, lenient::non_empty_text),
        description: reader.read("description", webinar.description, lenient::clean_text),
        start,
        end,
        ..WebinarFields::default()
    }
}

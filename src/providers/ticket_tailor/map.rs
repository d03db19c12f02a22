//! Mapping of event webhooks to changes.

use serde_json::value::RawValue;

use super::TicketTailor;
use super::payload::{Body, Event, read_moment};
use crate::event::{Change, ChangeKind, Shape, WebinarFields, WebinarId};
use crate::providers::PayloadContent;
use crate::providers::lenient::{self, FieldReader};

/// Reads a webhook about an event.
///
/// # Errors
/// Returns why the body cannot be mapped, as a sentence for operators.
pub(super) fn read(
    text: &str,
    kind: ChangeKind,
    source: &TicketTailor,
) -> Result<PayloadContent, String> {
    let mut reader = FieldReader::default();
    let Body { created_at, payload } = lenient::parse_object(text, "`payload` is not an object")?;
    let event = payload.ok_or("payload is missing")?.0;
    let id = lenient::identifier("payload.id", event.id, WebinarId::parse)?;
    // A series is not an event: each of its dates is one and has its own webhooks.
    if id.as_str().starts_with("es_")
        || event.object.is_some_and(|object| !is_text(object, "event"))
    {
        return Ok(PayloadContent::Ignored);
    }
    let excluded = !source.drafts && event.status.is_some_and(|status| is_text(status, "draft"));
    if excluded && kind != ChangeKind::Cancelled {
        return Ok(PayloadContent::Excluded);
    }
    let mut change = Change::new(id, kind);
    let created_at = reader
        .read("created_at", created_at, |raw| lenient::date_time(raw, Some(source.zone.as_str())));
    change.occurred_at = created_at;
    change.is_creation = kind == ChangeKind::Created;
    let fields = read_fields(&event, &mut reader);
    change.shape = Some(Shape::Single);
    // A deleted draft may never have been sent to HubSpot. Then nothing has to be cancelled.
    change.full_picture = fields.name.is_some() && fields.start.is_some() && !excluded;
    change.whole = WebinarFields { cancelled: kind.cancelled(), ..fields };
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: reader.into_bad_fields() })
}

/// Reads the fields of the event. An end before the start is rejected.
fn read_fields(event: &Event<'_>, reader: &mut FieldReader) -> WebinarFields {
    let zone = reader.read("timezone", event.timezone, lenient::string);
    let zone = zone.as_deref();
    let start = reader.read("start", event.start, |raw| read_moment(raw, zone));
    let end =
        reader.read("end", event.end, |raw| lenient::end_from(start, read_moment(raw, zone)?));
    let online = reader.read("online_event", event.online, lenient::boolean);
    let event_type = online.map(|online| if online { "WEBINAR" } else { "IN_PERSON" });
    WebinarFields {
        name: reader.read("name", event.name, lenient::non_empty_text),
        description: reader.read("description", event.description, lenient::clean_text),
        event_type: event_type.map(str::to_owned),
        registration_url: reader.read("url", event.url, lenient::link),
        start,
        end,
        ..WebinarFields::default()
    }
}

fn is_text(raw: &RawValue, word: &str) -> bool {
    lenient::string(raw).is_some_and(|text| text == word)
}

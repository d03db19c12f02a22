//! Mapping of decoded bodies to changes.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::payload::{self, Dates, DomainEvent, Event, Location, Message, Page, Registration};
use crate::event::{
    Change, ChangeKind, EndTime, Millis, RunChange, RunPhase, Shape, WebinarFields, WebinarId, text,
};
use crate::providers::lenient::{self, FieldReader};
use crate::providers::{ParsedPayload, PayloadContent};

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WixAction {
    Created,
    Cloned,
    Published,
    Updated,
    Canceled,
    Deleted,
    Started,
    Ended,
}

impl WixAction {
    fn from_event_type(event_type: &str) -> Option<Self> {
        let action = event_type.strip_prefix("wix.events.v3.event_")?;
        serde_json::from_value(action.into()).ok()
    }

    fn kind(self) -> ChangeKind {
        match self {
            Self::Created | Self::Cloned | Self::Published => ChangeKind::Created,
            Self::Updated => ChangeKind::Updated,
            Self::Canceled | Self::Deleted => ChangeKind::Cancelled,
            Self::Started => ChangeKind::Started,
            Self::Ended => ChangeKind::Completed,
        }
    }
}

/// The status of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum WixStatus {
    Draft,
    Upcoming,
    Started,
    Ended,
    Canceled,
}

impl WixStatus {
    /// Whether the event is cancelled. A draft is neither cancelled nor confirmed.
    fn cancelled(self) -> Option<bool> {
        match self {
            Self::Draft => None,
            Self::Upcoming | Self::Started | Self::Ended => Some(false),
            Self::Canceled => Some(true),
        }
    }
}

/// Reads a decoded body.
///
/// # Errors
/// Returns why the body cannot be read, as a sentence for operators.
pub(super) fn read(body: &[u8]) -> Result<ParsedPayload, String> {
    let message = payload::parse_message(lenient::body_text(body)?)?;
    let name = &message.event_type;
    let Some(action) = WixAction::from_event_type(name) else {
        return Ok(ParsedPayload::new(name, PayloadContent::Ignored));
    };
    Ok(match map_message(action, &message) {
        Ok((content, delivery)) => {
            ParsedPayload { delivery_id: delivery, ..ParsedPayload::new(name, content) }
        }
        Err(reason) => ParsedPayload::new(name, PayloadContent::Unmappable(reason)),
    })
}

/// Maps a message, and returns it with the id of its domain event.
fn map_message(
    action: WixAction,
    message: &Message<'_>,
) -> Result<(PayloadContent, Option<String>), String> {
    let event_data = message.parse_domain_event()?;
    let mut reader = FieldReader::default();
    let mut change = map_event(action, &event_data, &mut reader)?;
    change.account = lenient::account_id("instanceId", message.instance_id)?;
    let delivery = reader.read("id", event_data.id, lenient::non_empty_text);
    Ok((
        PayloadContent::Changes { changes: vec![change], bad_fields: reader.into_bad_fields() },
        delivery,
    ))
}

fn map_event(
    action: WixAction,
    event_data: &DomainEvent<'_>,
    reader: &mut FieldReader,
) -> Result<Change, String> {
    let event = event_data.parse_event()?;
    // The body of an action names the event that the action created, if it is another one.
    let id = event.id.or(event_data.entity_id);
    let id = lenient::identifier("entityId", id, WebinarId::parse)?;
    let status = reader.read("status", event.status, lenient::word::<WixStatus>);
    let fields = read_fields(&event, reader);
    let cancelled = match action {
        WixAction::Published => Some(false),
        WixAction::Canceled | WixAction::Deleted => Some(true),
        WixAction::Started | WixAction::Ended => None,
        WixAction::Created | WixAction::Cloned => status.and_then(WixStatus::cancelled),
        // A cancelled event is never restored, so an older status must not do it.
        WixAction::Updated => status.and_then(WixStatus::cancelled).filter(|off| *off),
    };
    let over = action == WixAction::Ended || status == Some(WixStatus::Ended);
    let mut change = Change::new(id, action.kind());
    change.occurred_at =
        reader.read("eventTime", event_data.event_time, |raw| lenient::date_time(raw, None));
    change.is_creation = matches!(action, WixAction::Created);
    // Each date of a recurring event is an event of its own. Drafts are not shown.
    change.shape = Some(Shape::Single);
    change.full_picture = match action {
        WixAction::Created | WixAction::Cloned | WixAction::Updated => {
            fields.name.is_some() && status.is_some_and(|status| status != WixStatus::Draft)
        }
        WixAction::Published => fields.name.is_some(),
        WixAction::Canceled | WixAction::Deleted | WixAction::Started | WixAction::Ended => false,
    };
    // Where its end is not reported, it was lost.
    change.session = (action == WixAction::Started).then_some(RunChange {
        phase: RunPhase::Started,
        started_at: None,
        ended_at: None,
    });
    change.whole = WebinarFields { cancelled, completed: over.then_some(true), ..fields };
    Ok(change)
}

/// Reads the fields of an event.
fn read_fields(event: &Event<'_>, reader: &mut FieldReader) -> WebinarFields {
    let settings = event.date_and_time_settings;
    let dates = reader.read("dateAndTimeSettings", settings, lenient::object::<Dates<'_>>);
    let (start, end) = dates.map_or((None, None), |dates| read_times(&dates, reader));
    let page = reader.read("eventPageUrl", event.page, read_page_link);
    let registration =
        reader.read("registration", event.registration, lenient::object::<Registration<'_>>);
    let external = registration.and_then(|registration| registration.external?.0.url);
    let external = reader.read("external", external, lenient::link);
    let location = reader.read("location", event.location, lenient::object::<Location<'_>>);
    let event_type = reader.read("type", location.and_then(|location| location.kind), |raw| {
        match &*lenient::string(raw)? {
            "ONLINE" => Some("WEBINAR"),
            "VENUE" => Some("IN_PERSON"),
            _ => None,
        }
    });
    WebinarFields {
        name: reader.read("title", event.title, lenient::non_empty_text),
        description: reader.read("shortDescription", event.short_description, lenient::clean_text),
        event_type: event_type.map(str::to_owned),
        registration_url: page.or(external.filter(|url| !url.is_empty())),
        start,
        end,
        ..WebinarFields::default()
    }
}

/// Reads start and end. An end before the start is rejected. An event to be announced has no dates.
fn read_times(dates: &Dates<'_>, reader: &mut FieldReader) -> (Option<Millis>, Option<EndTime>) {
    let zone = reader.read("timeZoneId", dates.time_zone_id, lenient::string);
    let zone = zone.as_deref();
    let start = reader.read("startDate", dates.start_date, |raw| lenient::date_time(raw, zone));
    let end = reader.read("endDate", dates.end_date, |raw| {
        lenient::end_from(start, lenient::date_time(raw, zone)?)
    });
    (start, end)
}

/// Reads the link to a page: a text, or a base and a path.
fn read_page_link(raw: &RawValue) -> Option<String> {
    if let Some(whole) = lenient::string(raw) {
        return text::clean_link(&whole);
    }
    let Page { base, path } = lenient::object(raw)?;
    text::clean_link(&format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/')))
}

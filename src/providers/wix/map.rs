//! From an opened body to a change.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::payload::{self, Dates, DomainEvent, Event, Location, Message, Page, Registration};
use crate::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, Millis, Shape, WebinarFields, WebinarId, text,
};
use crate::providers::lenient::{self, FieldReader, Object};
use crate::providers::{ParsedPayload, PayloadContent};

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WixAction {
    Created,
    Cloned,
    Published,
    Updated,
    Canceled,
    Deleted,
    Ended,
}

impl WixAction {
    fn from_event_type(event_type: &str) -> Option<Self> {
        match event_type.strip_prefix("wix.events.v3.event_")? {
            "created" => Some(Self::Created),
            "cloned" => Some(Self::Cloned),
            "published" => Some(Self::Published),
            "updated" => Some(Self::Updated),
            "canceled" => Some(Self::Canceled),
            "deleted" => Some(Self::Deleted),
            "ended" => Some(Self::Ended),
            _ => None,
        }
    }

    fn kind(self) -> ChangeKind {
        match self {
            Self::Created | Self::Cloned | Self::Published => ChangeKind::Created,
            Self::Updated => ChangeKind::Updated,
            Self::Canceled | Self::Deleted => ChangeKind::Cancelled,
            Self::Ended => ChangeKind::Completed,
        }
    }
}

/// How an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WixStatus {
    Draft,
    Upcoming,
    Started,
    Ended,
    Canceled,
}

impl WixStatus {
    fn read(raw: &RawValue) -> Option<Self> {
        match &*lenient::string(raw)? {
            "DRAFT" => Some(Self::Draft),
            "UPCOMING" => Some(Self::Upcoming),
            "STARTED" => Some(Self::Started),
            "ENDED" => Some(Self::Ended),
            "CANCELED" => Some(Self::Canceled),
            _ => None,
        }
    }

    /// Whether it is called off; a draft is neither to take place nor not to.
    fn cancelled(self) -> Option<bool> {
        match self {
            Self::Draft => None,
            Self::Upcoming | Self::Started | Self::Ended => Some(false),
            Self::Canceled => Some(true),
        }
    }
}

/// Reads a body.
///
/// # Errors
/// Why it cannot be read, for operators.
pub(super) fn read(body: &[u8]) -> Result<ParsedPayload, String> {
    let message = payload::parse_message(lenient::body_text(body)?)?;
    let name = &message.event_type;
    let Some(step) = WixAction::from_event_type(name) else {
        return Ok(ParsedPayload::new(name, PayloadContent::Ignored));
    };
    Ok(match map_message(step, &message) {
        Ok((meaning, delivery)) => {
            ParsedPayload { delivery_id: delivery, ..ParsedPayload::new(name, meaning) }
        }
        Err(why) => ParsedPayload::new(name, PayloadContent::Unmappable(why)),
    })
}

/// What it means, and the id of what happened.
fn map_message(
    step: WixAction,
    message: &Message<'_>,
) -> Result<(PayloadContent, Option<String>), String> {
    let happening = message.parse_domain_event()?;
    let mut lenient = FieldReader::default();
    let mut change = map_event(step, &happening, &mut lenient)?;
    let account = message.instance_id;
    let account = account
        .map(|id| lenient::identifier("instanceId", Some(id), ExternalAccountId::parse))
        .transpose()?;
    change.account = account;
    let delivery = lenient.read("id", happening.id, lenient::non_empty_text);
    Ok((
        PayloadContent::Changes { changes: vec![change], bad_fields: lenient.into_bad_fields() },
        delivery,
    ))
}

fn map_event(
    step: WixAction,
    happening: &DomainEvent<'_>,
    lenient: &mut FieldReader,
) -> Result<Change, String> {
    let event = happening.parse_event()?;
    // An action's body names the event that it made, where that is another.
    let id = event.id.or(happening.entity_id);
    let id = lenient::identifier("entityId", id, WebinarId::parse)?;
    let status = lenient.read("status", event.status, WixStatus::read);
    let fields = read_fields(&event, lenient);
    let cancelled = match step {
        WixAction::Published => Some(false),
        WixAction::Canceled | WixAction::Deleted => Some(true),
        WixAction::Ended => None,
        WixAction::Created | WixAction::Cloned => status.and_then(WixStatus::cancelled),
        // What is called off is never taken back, so that an older state cannot do it either.
        WixAction::Updated => status.and_then(WixStatus::cancelled).filter(|off| *off),
    };
    let over = step == WixAction::Ended || status == Some(WixStatus::Ended);
    let mut change = Change::new(id, step.kind());
    change.occurred_at =
        lenient.read("eventTime", happening.event_time, |raw| lenient::date_time(raw, None));
    // Each date of a recurring event is an event of its own. A draft is not shown to anybody yet.
    change.shape = Some(Shape::Single);
    change.full_picture = match step {
        WixAction::Created | WixAction::Cloned | WixAction::Updated => {
            fields.name.is_some() && status.is_some_and(|status| status != WixStatus::Draft)
        }
        WixAction::Published => fields.name.is_some(),
        WixAction::Canceled | WixAction::Deleted | WixAction::Ended => false,
    };
    change.whole = WebinarFields { cancelled, completed: over.then_some(true), ..fields };
    Ok(change)
}

/// The fields that an event carries.
fn read_fields(event: &Event<'_>, lenient: &mut FieldReader) -> WebinarFields {
    fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
        serde_json::from_str::<Object<T>>(raw.get()).ok().map(|object| object.0)
    }
    let dates =
        lenient.read("dateAndTimeSettings", event.date_and_time_settings, object::<Dates<'_>>);
    let (start, end) = dates.map_or((None, None), |dates| read_times(&dates, lenient));
    let page = lenient.read("eventPageUrl", event.page, read_page_link);
    let registration = lenient.read("registration", event.registration, object::<Registration<'_>>);
    let external = registration.and_then(|registration| registration.external?.0.url);
    let external = lenient.read("external", external, lenient::link);
    let location = lenient.read("location", event.location, object::<Location<'_>>);
    let event_type = lenient.read("type", location.and_then(|location| location.kind), |raw| {
        match &*lenient::string(raw)? {
            "ONLINE" => Some("WEBINAR"),
            "VENUE" => Some("IN_PERSON"),
            _ => None,
        }
    });
    WebinarFields {
        name: lenient.read("title", event.title, lenient::non_empty_text),
        description: lenient.read("shortDescription", event.short_description, lenient::clean_text),
        event_type: event_type.map(str::to_owned),
        registration_url: page.or(external.filter(|url| !url.is_empty())),
        start,
        end,
        ..WebinarFields::default()
    }
}

/// Start and end; an end before the start is none. With a date that is to be announced there are none.
fn read_times(dates: &Dates<'_>, lenient: &mut FieldReader) -> (Option<Millis>, Option<EndTime>) {
    let zone = lenient.read("timeZoneId", dates.time_zone_id, lenient::string);
    let zone = zone.as_deref();
    let start = lenient.read("startDate", dates.start_date, |raw| lenient::date_time(raw, zone));
    let end = lenient.read("endDate", dates.end_date, |raw| {
        lenient::date_time(raw, zone).filter(|end| start.is_none_or(|start| *end >= start))
    });
    (start, end.map(EndTime::At))
}

/// The link to a page: a text, or a base and a path.
fn read_page_link(raw: &RawValue) -> Option<String> {
    if let Some(whole) = lenient::string(raw) {
        return text::clean_link(&whole);
    }
    let page: Object<Page<'_>> = serde_json::from_str(raw.get()).ok()?;
    let Page { base, path } = page.0;
    text::clean_link(&format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/')))
}

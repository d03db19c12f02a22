//! From an opened body to a change.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::payload::{self, Dates, Event, Happening, Location, Message, Page, Registration};
use crate::event::{Change, End, ExternalAccountId, Fields, Kind, Millis, Shape, WebinarId, text};
use crate::providers::lenient::{self, Lenient, Object};
use crate::providers::{Meaning, Reading};

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Created,
    Cloned,
    Published,
    Updated,
    Canceled,
    Deleted,
    Ended,
}

impl Step {
    fn of(event_type: &str) -> Option<Self> {
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

    fn kind(self) -> Kind {
        match self {
            Self::Created | Self::Cloned | Self::Published => Kind::Created,
            Self::Updated => Kind::Updated,
            Self::Canceled | Self::Deleted => Kind::Cancelled,
            Self::Ended => Kind::Completed,
        }
    }
}

/// How an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Draft,
    Upcoming,
    Started,
    Ended,
    Canceled,
}

impl Status {
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
pub(super) fn read(body: &[u8]) -> Result<Reading, String> {
    let message = payload::message(lenient::document(body)?)?;
    let name = &message.event_type;
    let Some(step) = Step::of(name) else { return Ok(Reading::new(name, Meaning::Ignored)) };
    Ok(match happened(step, &message) {
        Ok((meaning, delivery)) => Reading { delivery, ..Reading::new(name, meaning) },
        Err(why) => Reading::new(name, Meaning::Unmappable(why)),
    })
}

/// What it means, and the id of what happened.
fn happened(step: Step, message: &Message<'_>) -> Result<(Meaning, Option<String>), String> {
    let happening = message.happening()?;
    let mut lenient = Lenient::default();
    let mut change = change(step, &happening, &mut lenient)?;
    let account = message.instance_id;
    let account = account
        .map(|id| lenient::identifier("instanceId", Some(id), ExternalAccountId::parse))
        .transpose()?;
    change.account = account;
    let delivery = lenient.read("id", happening.id, lenient::title);
    Ok((Meaning::Changes { changes: vec![change], bad_fields: lenient.into_bad() }, delivery))
}

fn change(step: Step, happening: &Happening<'_>, lenient: &mut Lenient) -> Result<Change, String> {
    let event = happening.event()?;
    // An action's body names the event that it made, where that is another.
    let id = event.id.or(happening.entity_id);
    let id = lenient::identifier("entityId", id, WebinarId::parse)?;
    let status = lenient.read("status", event.status, Status::read);
    let fields = fields(&event, lenient);
    let cancelled = match step {
        Step::Published => Some(false),
        Step::Canceled | Step::Deleted => Some(true),
        Step::Ended => None,
        Step::Created | Step::Cloned => status.and_then(Status::cancelled),
        // What is called off is never taken back, so that an older state cannot do it either.
        Step::Updated => status.and_then(Status::cancelled).filter(|off| *off),
    };
    let over = step == Step::Ended || status == Some(Status::Ended);
    let mut change = Change::new(id, step.kind());
    change.occurred_at =
        lenient.read("eventTime", happening.event_time, |raw| lenient::time(raw, None));
    // Each date of a recurring event is an event of its own. A draft is not shown to anybody yet.
    change.shape = Some(Shape::Single);
    change.full_picture = match step {
        Step::Created | Step::Cloned | Step::Updated => {
            fields.name.is_some() && status.is_some_and(|status| status != Status::Draft)
        }
        Step::Published => fields.name.is_some(),
        Step::Canceled | Step::Deleted | Step::Ended => false,
    };
    change.whole = Fields { cancelled, completed: over.then_some(true), ..fields };
    Ok(change)
}

/// The fields that an event carries.
fn fields(event: &Event<'_>, lenient: &mut Lenient) -> Fields {
    fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
        serde_json::from_str::<Object<T>>(raw.get()).ok().map(|object| object.0)
    }
    let dates =
        lenient.read("dateAndTimeSettings", event.date_and_time_settings, object::<Dates<'_>>);
    let (start, end) = dates.map_or((None, None), |dates| times(&dates, lenient));
    let page = lenient.read("eventPageUrl", event.page, page_link);
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
    Fields {
        name: lenient.read("title", event.title, lenient::title),
        description: lenient.read("shortDescription", event.short_description, lenient::prose),
        event_type: event_type.map(str::to_owned),
        registration_url: page.or(external.filter(|url| !url.is_empty())),
        start,
        end,
        ..Fields::default()
    }
}

/// Start and end; an end before the start is none. With a date that is to be announced there are none.
fn times(dates: &Dates<'_>, lenient: &mut Lenient) -> (Option<Millis>, Option<End>) {
    let zone = lenient.read("timeZoneId", dates.time_zone_id, lenient::string);
    let zone = zone.as_deref();
    let start = lenient.read("startDate", dates.start_date, |raw| lenient::time(raw, zone));
    let end = lenient.read("endDate", dates.end_date, |raw| {
        lenient::time(raw, zone).filter(|end| start.is_none_or(|start| *end >= start))
    });
    (start, end.map(End::At))
}

/// The link to a page: a text, or a base and a path.
fn page_link(raw: &RawValue) -> Option<String> {
    if let Some(whole) = lenient::string(raw) {
        return text::link(&whole);
    }
    let page: Object<Page<'_>> = serde_json::from_str(raw.get()).ok()?;
    let Page { base, path } = page.0;
    text::link(&format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/')))
}

//! From an event, as the API shows it, to a change.

use serde_json::value::RawValue;

use super::payload::{self, Event};
use crate::event::{Change, End, ExternalAccountId, Fields, Kind, Millis, Shape, WebinarId};
use crate::providers::lenient::{self, Lenient, Object};
use crate::providers::{Fetched, Meaning};

/// The answer that is asked for, in [`super::api`].
pub(super) const EVENT: &str = "event";

/// How an event stands: `draft` by the documentation of the list of events, the others by that of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not published, or not any more.
    Draft,
    /// Published: to come, or under way.
    Live,
    /// Its time is over.
    Ended,
    /// Called off.
    Cancelled,
}

impl Standing {
    pub(super) fn of(raw: &RawValue) -> Option<Self> {
        Some(match &*lenient::string(raw)? {
            "draft" => Self::Draft,
            "live" | "started" => Self::Live,
            "ended" | "completed" => Self::Ended,
            "canceled" | "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }
}

/// What was fetched.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn fetched(fetched: &Fetched<'_>) -> Result<Meaning, String> {
    if fetched.gone {
        let changes = vec![fetched.stands(&fetched.webinar, true)];
        return Ok(Meaning::Changes { changes, bad_fields: Vec::new() });
    }
    let answer = fetched.answer(EVENT).ok_or("the answer event is missing")?;
    let event: Object<Event<'_>> = lenient::parse(answer.get(), "the event is not an object")?;
    let event = event.0;
    let id = lenient::identifier("id", event.id, WebinarId::parse)?;
    if id != fetched.webinar {
        return Err("the answer is about another event".to_owned());
    }
    let organization = event.organization_id;
    let account = lenient::identifier("organization_id", organization, ExternalAccountId::parse)?;
    // Who knows our URL could name any public event of the world.
    let foreign = fetched.account.as_ref().is_some_and(|ours| *ours != account);
    if foreign || event.is_series_parent() {
        return Ok(Meaning::Ignored);
    }
    let mut lenient = Lenient::default();
    let mut change = shown(&event, id, &mut lenient);
    change.account = Some(account.clone());
    change.occurred_at = change.occurred_at.or(Some(fetched.at));
    let stands = change.whole.cancelled.map(|off| fetched.stands(&change.webinar, off));
    let stands = stands.map(|stands| Change { account: Some(account), ..stands });
    let changes = [change].into_iter().chain(stands).collect();
    Ok(Meaning::Changes { changes, bad_fields: lenient.into_bad() })
}

/// The event as it is shown. Whole pictures, but of drafts, which are not to be shown yet.
fn shown(event: &Event<'_>, id: WebinarId, lenient: &mut Lenient) -> Change {
    let standing = lenient.read("status", event.status, Standing::of);
    let start = lenient.read("start", event.start, utc);
    let name =
        lenient.read("name", event.name, |raw| text(raw, "text").filter(|name| !name.is_empty()));
    let description = lenient
        .read("description", event.description, |raw| text(raw, "text"))
        .filter(|description| !description.is_empty())
        .or_else(|| lenient.read("summary", event.summary, lenient::prose));
    let kind = match standing {
        Some(Standing::Draft | Standing::Live) | None => Kind::Updated,
        Some(Standing::Ended) => Kind::Completed,
        Some(Standing::Cancelled) => Kind::Cancelled,
    };
    let mut change = Change::new(id, kind);
    change.occurred_at = lenient.read("changed", event.changed, |raw| lenient::time(raw, None));
    change.shape = Some(Shape::Single);
    change.full_picture = standing.is_some_and(|standing| standing != Standing::Draft)
        && name.is_some()
        && start.is_some();
    change.whole = Fields {
        name,
        description,
        organizer: lenient.read("organizer", event.organizer, |raw| text(raw, "name")),
        event_type: lenient.read("online_event", event.online, event_type),
        registration_url: lenient.read("url", event.url, lenient::link),
        start,
        end: lenient.read("end", event.end, utc).map(End::At),
        cancelled: standing.map(|standing| standing == Standing::Cancelled),
        completed: match standing {
            Some(Standing::Ended) => Some(true),
            Some(Standing::Draft | Standing::Live) => Some(false),
            Some(Standing::Cancelled) | None => None,
        },
        ..Fields::default()
    };
    change
}

/// The text in a member of an object; empty if there is none.
fn text(object: &RawValue, name: &str) -> Option<String> {
    match payload::member(object, name)? {
        Some(text) => lenient::prose(text),
        None => Some(String::new()),
    }
}

/// The time in UTC of one that is told in several ways.
pub(super) fn utc(object: &RawValue) -> Option<Millis> {
    lenient::time(payload::member(object, "utc")??, None)
}

fn event_type(online: &RawValue) -> Option<String> {
    match online.get() {
        "true" => Some("WEBINAR".to_owned()),
        "false" => Some("CONFERENCE".to_owned()),
        _ => None,
    }
}

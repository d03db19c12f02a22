//! From a session, and the event that it belongs to, to a change.
//!
//! Every body shows a resource as it is, and none says what happened to it. So what a body means is read from the
//! resource: that it was called off, or is over, holds from when it says so.

use serde_json::value::RawValue;

use super::payload::{self, Event, FetchSubject, Person, Resource, Session};
use crate::event::{Change, ChangeKind, ExternalAccountId, Shape, WebinarFields, WebinarId};
use crate::providers::lenient::{self, FieldReader};
use crate::providers::{FetchedAnswers, PayloadContent};

/// The answers that are asked for, in [`super::api`].
pub(super) const SESSION_REQUEST: &str = "session";
pub(super) const EVENT_REQUEST: &str = "event";
/// The pages of an event's sessions.
pub(super) const SESSION_PAGE_REQUESTS: [&str; 5] =
    ["sessions", "sessions 2", "sessions 3", "sessions 4", "sessions 5"];

/// How a session stands (<https://developers.livestorm.co/reference/get_events-id-sessions>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LivestormStatus {
    /// Its event is not published.
    Draft,
    /// Still to come, or under way.
    Planned,
    /// To be seen at any time.
    OnDemand,
    /// Over.
    Past,
    /// Its time is over, and nobody started it.
    NeverStarted,
    /// Called off.
    Cancelled,
}

impl LivestormStatus {
    fn read(raw: &RawValue) -> Option<Self> {
        Some(match &*lenient::string(raw)? {
            "draft" => Self::Draft,
            "upcoming" | "live" => Self::Planned,
            "on_demand" => Self::OnDemand,
            "past" => Self::Past,
            "past_not_started" => Self::NeverStarted,
            "canceled" | "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }
}

/// A webhook about a session; `ended` if its trigger says so. None if it is about a breakout room, which is a part of
/// another session.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn map_session_webhook(
    resource: &Resource<'_>,
    account: Option<&ExternalAccountId>,
    ended: bool,
    lenient: &mut FieldReader,
) -> Result<Option<Change>, String> {
    Ok(map_session(resource, account, ended, lenient)?.map(|(change, _)| change))
}

/// What was fetched.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn map_fetched(fetched: &FetchedAnswers<'_>) -> Result<PayloadContent, String> {
    let mut lenient = FieldReader::default();
    let subject = FetchSubject::from_id(&fetched.webinar);
    let changes = match (fetched.gone, subject) {
        // Which sessions it had is not known here.
        (true, FetchSubject::Event(_)) => Vec::new(),
        (true, FetchSubject::Session(_)) => vec![fetched.existence_change(&fetched.webinar, true)],
        (false, FetchSubject::Session(_)) => {
            let resource =
                payload::parse_resource(required_answer(fetched, SESSION_REQUEST)?.get())?;
            if payload::parse_id("data.id", resource.id)? != fetched.webinar {
                return Err("the answer is about another session".to_owned());
            }
            let said = map_session(&resource, fetched.account.as_ref(), false, &mut lenient)?;
            add_event_fields(fetched, session_event_id(&resource)?.as_str(), said, &mut lenient)?
        }
        (false, FetchSubject::Event(event)) => {
            let mut said = Vec::new();
            for name in SESSION_PAGE_REQUESTS {
                let Some(answer) = fetched.answer(name) else { break };
                for resource in payload::parse_page(answer.get())?.0 {
                    if session_event_id(&resource)?.as_str() != event {
                        return Err("the answer is about sessions of another event".to_owned());
                    }
                    said.extend(map_session(
                        &resource,
                        fetched.account.as_ref(),
                        false,
                        &mut lenient,
                    )?);
                }
            }
            // A list that changes while it is turned over may name a session twice.
            said.sort_by(|(a, _), (b, _)| a.webinar.cmp(&b.webinar));
            said.dedup_by(|(a, _), (b, _)| a.webinar == b.webinar);
            add_event_fields(fetched, event, said, &mut lenient)?
        }
    };
    if changes.is_empty() {
        return Ok(PayloadContent::Ignored);
    }
    Ok(PayloadContent::Changes { changes, bad_fields: lenient.into_bad_fields() })
}

fn required_answer<'a>(fetched: &FetchedAnswers<'a>, name: &str) -> Result<&'a RawValue, String> {
    fetched.answer(name).ok_or_else(|| format!("the answer {name} is missing"))
}

/// What a session says of itself, and how it stands; none of a breakout room.
fn map_session(
    resource: &Resource<'_>,
    account: Option<&ExternalAccountId>,
    ended: bool,
    lenient: &mut FieldReader,
) -> Result<Option<(Change, Option<LivestormStatus>)>, String> {
    let id = payload::parse_id("data.id", resource.id)?;
    let session: Session<'_> = payload::parse_members("attributes", resource.attributes)?;
    if session.parent.is_some() {
        return Ok(None);
    }
    let standing = lenient.read("status", session.status, LivestormStatus::read);
    let mut time =
        |field, raw| lenient.read(field, payload::skip_unset(raw), payload::read_seconds);
    let planned = time("estimated_started_at", session.estimated_started_at);
    let started_at = time("started_at", session.started_at);
    let ended_at = time("ended_at", session.ended_at);
    let cancelled_at = time("canceled_at", session.canceled_at);
    let created_at = time("created_at", session.created_at);
    let updated_at = time("updated_at", session.updated_at);

    let cancelled = cancelled_at.is_some() || standing == Some(LivestormStatus::Cancelled);
    let over = ended || ended_at.is_some() || standing == Some(LivestormStatus::Past);
    let kind = match (cancelled, over) {
        (true, _) => ChangeKind::Cancelled,
        (false, true) => ChangeKind::Completed,
        (false, false) => ChangeKind::Updated,
    };
    let mut change = Change::new(id, kind);
    change.account = account.cloned();
    // As new as the newest that it tells of itself. What was called off was so from then on, however late it is seen.
    let newest = [updated_at, started_at, ended_at, created_at].into_iter().max().flatten();
    change.occurred_at = cancelled_at.or(newest);
    change.shape = match standing {
        Some(LivestormStatus::OnDemand) => Some(Shape::Timeless),
        Some(_) => Some(Shape::Single),
        None => None,
    };
    change.whole = WebinarFields {
        start: planned.or(started_at),
        actual_end: ended_at,
        cancelled: if cancelled { Some(true) } else { standing.map(|_| false) },
        completed: match standing {
            _ if over => Some(true),
            Some(LivestormStatus::Draft | LivestormStatus::Planned | LivestormStatus::OnDemand) => {
                Some(false)
            }
            Some(
                LivestormStatus::Past | LivestormStatus::NeverStarted | LivestormStatus::Cancelled,
            )
            | None => None,
        },
        ..WebinarFields::default()
    };
    Ok(Some((change, standing)))
}

/// The same, what their event says of all of them, and whether they take place: each as of its own time, or what is older in
/// one would win for what is newer in another. Whole pictures, but of drafts, which are not to be shown yet.
fn add_event_fields(
    fetched: &FetchedAnswers<'_>,
    of: &str,
    said: impl IntoIterator<Item = (Change, Option<LivestormStatus>)>,
    lenient: &mut FieldReader,
) -> Result<Vec<Change>, String> {
    let resource = payload::parse_resource(required_answer(fetched, EVENT_REQUEST)?.get())?;
    if payload::parse_id("data.id", resource.id)?.as_str() != of {
        return Err("the answer is about another event".to_owned());
    }
    let event: Event<'_> = payload::parse_members("attributes", resource.attributes)?;
    let updated_at =
        lenient.read("updated_at", payload::skip_unset(event.updated_at), payload::read_seconds);
    let length = payload::skip_unset(event.estimated_duration);
    let of_all = WebinarFields {
        name: lenient.read("title", event.title, lenient::non_empty_text),
        description: lenient.read("description", event.description, lenient::clean_text),
        registration_url: lenient.read("registration_link", event.registration_link, lenient::link),
        end: lenient.read("estimated_duration", length, lenient::duration_minutes),
        organizer: lenient.read("owner", event.owner, read_owner_name),
        ..WebinarFields::default()
    };
    let mut changes = Vec::new();
    for (mut session, standing) in said {
        let dated = session.whole.start.is_some() || standing == Some(LivestormStatus::OnDemand);
        let shown = standing.is_some_and(|standing| standing != LivestormStatus::Draft);
        session.full_picture = shown && dated && of_all.name.is_some();
        session.occurred_at = session.occurred_at.or(Some(fetched.at));
        let mut event = Change::new(session.webinar.clone(), ChangeKind::Updated);
        event.account.clone_from(&session.account);
        event.occurred_at = updated_at.or(Some(fetched.at));
        // Of what is over the real end is told, which the planned one must not hide.
        let end = of_all.end.filter(|_| session.whole.actual_end.is_none());
        event.whole = WebinarFields { end, ..of_all.clone() };
        let stands =
            session.whole.cancelled.map(|off| fetched.existence_change(&session.webinar, off));
        changes.extend([session, event].into_iter().chain(stands));
    }
    Ok(changes)
}

/// The name of who made the event.
fn read_owner_name(raw: &RawValue) -> Option<String> {
    let owner: Resource<'_> = payload::parse_members("owner", Some(raw)).ok()?;
    let person: Person<'_> = payload::parse_members("attributes", owner.attributes).ok()?;
    let names = [person.first_name, person.last_name].into_iter().flatten();
    let names: Vec<String> = names.filter_map(lenient::non_empty_text).collect();
    Some(names.join(" ")).filter(|name| !name.is_empty())
}

/// Which event a session belongs to.
///
/// # Errors
/// Why that cannot be read, for operators.
pub(super) fn parse_event_id(session: &RawValue) -> Result<WebinarId, String> {
    session_event_id(&payload::parse_resource(session.get())?)
}

fn session_event_id(resource: &Resource<'_>) -> Result<WebinarId, String> {
    let session: Session<'_> = payload::parse_members("attributes", resource.attributes)?;
    payload::parse_id("event_id", session.event_id)
}

/// Whether a session is one that events are made of.
///
/// # Errors
/// Why that cannot be read, for operators.
pub(super) fn listed_session_id(resource: &Resource<'_>) -> Result<Option<WebinarId>, String> {
    let session: Session<'_> = payload::parse_members("attributes", resource.attributes)?;
    if session.parent.is_some() {
        return Ok(None);
    }
    payload::parse_id("data.id", resource.id).map(Some)
}

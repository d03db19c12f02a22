//! Mapping of sessions, and of the events that they belong to, to changes.
//!
//! A body shows the current state of a resource and never what happened to it. The change is derived from that state: a
//! cancellation or an end counts from the time that the resource gives for it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::payload::{self, Event, FetchSubject, Person, Resource, Session};
use crate::event::{
    Change, ChangeKind, ExternalAccountId, RunChange, RunPhase, Shape, WebinarFields, WebinarId,
};
use crate::providers::lenient::{self, FieldReader};
use crate::providers::{FetchedAnswers, PayloadContent};

/// Names of the requests that [`super::api`] builds.
pub(super) const SESSION_REQUEST: &str = "session";
pub(super) const EVENT_REQUEST: &str = "event";
/// Names of the requests for the pages of an event's sessions.
pub(super) const SESSION_PAGE_REQUESTS: [&str; 5] =
    ["sessions", "sessions 2", "sessions 3", "sessions 4", "sessions 5"];

/// The status of a session (<https://developers.livestorm.co/reference/get_events-id-sessions>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LivestormStatus {
    /// The event is not published.
    Draft,
    /// Upcoming or live.
    #[serde(rename = "upcoming", alias = "live")]
    Planned,
    /// Watchable at any time.
    OnDemand,
    /// Over.
    Past,
    /// The planned time is over, and the session was never started.
    #[serde(rename = "past_not_started")]
    NeverStarted,
    /// Cancelled.
    #[serde(rename = "canceled", alias = "cancelled")]
    Cancelled,
}

/// Maps the answers of the API.
///
/// # Errors
/// Returns why the body cannot be mapped, as a sentence for operators.
pub(super) fn map_fetched(fetched: &FetchedAnswers<'_>) -> Result<PayloadContent, String> {
    let mut reader = FieldReader::default();
    let subject = FetchSubject::from_id(&fetched.webinar);
    let changes = match (fetched.gone, subject) {
        // The answers do not name the sessions of a deleted event.
        (true, FetchSubject::Event(_)) => Vec::new(),
        (true, FetchSubject::Session(_)) => vec![fetched.existence_change(&fetched.webinar, true)],
        (false, FetchSubject::Session(_)) => {
            let resource =
                payload::parse_resource(required_answer(fetched, SESSION_REQUEST)?.get())?;
            if payload::parse_id("data.id", resource.id)? != fetched.webinar {
                return Err("the answer is about another session".to_owned());
            }
            let sessions = map_session(&resource, fetched.account.as_ref(), false, &mut reader)?;
            add_event_fields(fetched, session_event_id(&resource)?.as_str(), sessions, &mut reader)?
        }
        (false, FetchSubject::Event(event)) => {
            let mut sessions = Vec::new();
            for name in SESSION_PAGE_REQUESTS {
                let Some(answer) = fetched.answer(name) else { break };
                for resource in payload::parse_page(answer.get())?.0 {
                    if session_event_id(&resource)?.as_str() != event {
                        return Err("the answer is about sessions of another event".to_owned());
                    }
                    sessions.extend(map_session(
                        &resource,
                        fetched.account.as_ref(),
                        false,
                        &mut reader,
                    )?);
                }
            }
            // A list that changes between two pages may name a session twice.
            sessions.sort_by(|(a, _), (b, _)| a.webinar.cmp(&b.webinar));
            sessions.dedup_by(|(a, _), (b, _)| a.webinar == b.webinar);
            add_event_fields(fetched, event, sessions, &mut reader)?
        }
    };
    if changes.is_empty() {
        return Ok(PayloadContent::Ignored);
    }
    Ok(PayloadContent::Changes { changes, bad_fields: reader.into_bad_fields() })
}

fn required_answer<'a>(fetched: &FetchedAnswers<'a>, name: &str) -> Result<&'a RawValue, String> {
    fetched.answer(name).ok_or_else(|| format!("the answer `{name}` is missing"))
}

/// Maps a session's own fields and returns its status; `ended` if a webhook's trigger is `session.ended`. Returns `None`
/// for a breakout room, which is part of another session.
///
/// # Errors
/// Returns why the body cannot be mapped, as a sentence for operators.
pub(super) fn map_session(
    resource: &Resource<'_>,
    account: Option<&ExternalAccountId>,
    ended: bool,
    reader: &mut FieldReader,
) -> Result<Option<(Change, Option<LivestormStatus>)>, String> {
    let id = payload::parse_id("data.id", resource.id)?;
    let session: Session<'_> = payload::parse_members("attributes", resource.attributes)?;
    if session.parent.is_some() {
        return Ok(None);
    }
    let status = reader.read("status", session.status, lenient::word::<LivestormStatus>);
    let mut time = |field, raw| reader.read(field, payload::skip_unset(raw), payload::read_seconds);
    let planned = time("estimated_started_at", session.estimated_started_at);
    let started_at = time("started_at", session.started_at);
    let ended_at = time("ended_at", session.ended_at);
    let cancelled_at = time("canceled_at", session.canceled_at);
    let created_at = time("created_at", session.created_at);
    let updated_at = time("updated_at", session.updated_at);

    let cancelled = cancelled_at.is_some() || status == Some(LivestormStatus::Cancelled);
    let over = ended || ended_at.is_some() || status == Some(LivestormStatus::Past);
    let kind = match (cancelled, over) {
        (true, _) => ChangeKind::Cancelled,
        (false, true) => ChangeKind::Completed,
        (false, false) => ChangeKind::Updated,
    };
    let mut change = Change::new(id, kind);
    change.account = account.cloned();
    // The newest time in the body dates the change. A cancellation counts from `canceled_at`, however late it is seen.
    let newest = [updated_at, started_at, ended_at, created_at].into_iter().max().flatten();
    change.occurred_at = cancelled_at.or(newest);
    change.created_at = created_at;
    change.shape = match status {
        Some(LivestormStatus::OnDemand) => Some(Shape::Timeless),
        Some(_) => Some(Shape::Single),
        None => None,
    };
    // Where its end is not reported, it was lost.
    let is_live = started_at.is_some() && !over;
    change.session =
        is_live.then_some(RunChange { phase: RunPhase::Started, started_at, ended_at: None });
    change.whole = WebinarFields {
        start: planned.or(started_at),
        actual_end: ended_at,
        cancelled: if cancelled { Some(true) } else { status.map(|_| false) },
        completed: match status {
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
    Ok(Some((change, status)))
}

/// Adds to each session a change with its event's fields and a change that states that it exists. Each change
/// has its own time: with a shared time, an older value in one source would win over a newer one in another. All but
/// drafts are full pictures; drafts are not shown yet.
fn add_event_fields(
    fetched: &FetchedAnswers<'_>,
    event_id: &str,
    sessions: impl IntoIterator<Item = (Change, Option<LivestormStatus>)>,
    reader: &mut FieldReader,
) -> Result<Vec<Change>, String> {
    let resource = payload::parse_resource(required_answer(fetched, EVENT_REQUEST)?.get())?;
    if payload::parse_id("data.id", resource.id)?.as_str() != event_id {
        return Err("the answer is about another event".to_owned());
    }
    let event: Event<'_> = payload::parse_members("attributes", resource.attributes)?;
    let updated_at =
        reader.read("updated_at", payload::skip_unset(event.updated_at), payload::read_seconds);
    let length = payload::skip_unset(event.estimated_duration);
    let shared = WebinarFields {
        name: reader.read("title", event.title, lenient::non_empty_text),
        description: reader.read("description", event.description, lenient::clean_text),
        registration_url: reader.read("registration_link", event.registration_link, lenient::link),
        end: reader.read("estimated_duration", length, lenient::duration_minutes),
        organizer: reader.read("owner", event.owner, read_owner_name),
        ..WebinarFields::default()
    };
    let mut changes = Vec::new();
    for (mut session, status) in sessions {
        let dated = session.whole.start.is_some() || status == Some(LivestormStatus::OnDemand);
        let shown = status.is_some_and(|status| status != LivestormStatus::Draft);
        session.full_picture = shown && dated && shared.name.is_some();
        if session.occurred_at.is_none() {
            session.occurred_at = Some(fetched.at);
            // Without a time of its own, a status takes back no cancellation.
            session.whole.cancelled = session.whole.cancelled.filter(|cancelled| *cancelled);
        }
        let mut event = Change::new(session.webinar.clone(), ChangeKind::Updated);
        event.account.clone_from(&session.account);
        event.occurred_at = updated_at.or(Some(fetched.at));
        event.whole.clone_from(&shared);
        let mut existence = fetched.existence_change(&session.webinar, false);
        existence.account.clone_from(&session.account);
        changes.extend([session, event, existence]);
    }
    Ok(changes)
}

/// Reads the name of the team member who created the event.
fn read_owner_name(raw: &RawValue) -> Option<String> {
    let owner: Resource<'_> = payload::parse_members("owner", Some(raw)).ok()?;
    let person: Person<'_> = payload::parse_members("attributes", owner.attributes).ok()?;
    let names = [person.first_name, person.last_name].into_iter().flatten();
    let names: Vec<String> = names.filter_map(lenient::non_empty_text).collect();
    Some(names.join(" ")).filter(|name| !name.is_empty())
}

/// Parses the id of the event that a session belongs to.
///
/// # Errors
/// Returns why the id cannot be read, as a sentence for operators.
pub(super) fn parse_event_id(session: &RawValue) -> Result<WebinarId, String> {
    session_event_id(&payload::parse_resource(session.get())?)
}

fn session_event_id(resource: &Resource<'_>) -> Result<WebinarId, String> {
    let session: Session<'_> = payload::parse_members("attributes", resource.attributes)?;
    payload::parse_id("event_id", session.event_id)
}

/// Reads the id of a listed session. Returns `None` for a breakout room.
///
/// # Errors
/// Returns why the session cannot be read, as a sentence for operators.
pub(super) fn listed_session_id(resource: &Resource<'_>) -> Result<Option<WebinarId>, String> {
    let session: Session<'_> = payload::parse_members("attributes", resource.attributes)?;
    if session.parent.is_some() {
        return Ok(None);
    }
    payload::parse_id("data.id", resource.id).map(Some)
}

//! Bringing the events' rows in line with what follows from their webinar.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension;
use sha2::{Digest, Sha256};

use super::job::{TxError, WriteTx};
use super::live_state::{StoredState, state_code};
use super::side_effects::PendingChange;
use super::{settle, source_config, webinars};
use crate::event::{
    AccountName, ExternalAccountId, FoldedEvent, Gap, Millis, Policy, Webinar, WebinarId,
    fold_lazily,
};
use crate::ledger::{EventState, Policies, TimersRun};

/// A webinar's row and names.
pub(super) struct WebinarRow<'a> {
    pub(super) id: i64,
    pub(super) hubspot: &'a AccountName,
    pub(super) account: &'a ExternalAccountId,
    pub(super) webinar: &'a WebinarId,
}

/// An event's row, as far as deciding needs it.
struct EventRow {
    id: i64,
    state: EventState,
    input_hash: Option<Vec<u8>>,
    gaps: String,
    heard_of: bool,
    version: i64,
}

/// The first 16 bytes of the SHA-256 of an input.
pub(super) fn input_hash(input: &[u8]) -> Vec<u8> {
    Sha256::digest(input).iter().take(16).copied().collect()
}

/// The policy that gives a webinar its defaults: that of the first of its sources by name.
pub(super) fn policy_for<'a>(policies: &'a Policies, webinar: &Webinar) -> Option<&'a Policy> {
    webinar.sources.iter().find_map(|source| policies.get(source))
}

/// Folds the webinar and brings its events' rows in line. The inner error names an event id that is another webinar's.
pub(super) fn reconcile(
    desk: &mut WriteTx<'_>,
    named: &WebinarRow<'_>,
    webinar: &Webinar,
    at: Millis,
    reach: RefoldScope,
) -> Result<Result<(), String>, TxError> {
    // Without any source left in the configuration there are no defaults: what is there stays as it is.
    let Some(policy) = policy_for(desk.policies, webinar) else { return Ok(Ok(())) };
    let mut rows = load(desk, named.id)?;
    let mut last_at = at;
    for event in fold_lazily(webinar, named.account, named.webinar, policy, desk.now) {
        let event = &event;
        last_at = last_at.max(event.end.unwrap_or(at));
        let fits = match rows.remove(event.id.as_str()) {
            Some(row) if reach == RefoldScope::NotOver && is_over(&row, event, desk.now) => true,
            Some(row) => update(desk, named, &row, event, at).map(|()| true)?,
            None => insert(desk, named, event, at)?,
        };
        if !fits {
            return Ok(Err(event.id.as_str().to_owned()));
        }
    }
    retire(desk, named.hubspot, rows.into_values())?;
    desk.connection
        .prepare_cached("UPDATE webinars SET last_at = ?2 WHERE id = ?1 AND last_at <> ?2")?
        .execute((named.id, last_at.get()))?;
    Ok(Ok(()))
}

/// Deletes events that do not follow any more (a placeholder for what is known now, what was mapped wrong) if HubSpot
/// cannot have heard of them. Of what it holds the last state stays.
fn retire(
    desk: &mut WriteTx<'_>,
    hubspot: &AccountName,
    rows: impl IntoIterator<Item = EventRow>,
) -> Result<(), TxError> {
    for row in rows {
        if row.heard_of || desk.shared.is_claimed(hubspot, row.id) {
            continue;
        }
        desk.connection.prepare_cached("DELETE FROM events WHERE id = ?1")?.execute([row.id])?;
        desk.effects.counts.leave(hubspot, row.state);
    }
    Ok(())
}

/// Nothing is known of the webinar any more: neither do its events follow.
pub(super) fn retire_all(desk: &mut WriteTx<'_>, named: &WebinarRow<'_>) -> Result<(), TxError> {
    let rows = load(desk, named.id)?;
    retire(desk, named.hubspot, rows.into_values())
}

fn load(desk: &WriteTx<'_>, webinar: i64) -> Result<BTreeMap<String, EventRow>, TxError> {
    let mut statement = desk.connection.prepare_cached(
        "SELECT external_event_id, id, state, input_hash, gaps,
             confirmed_hash IS NOT NULL OR attempts > 0 OR sending_since IS NOT NULL
                 OR resend_at IS NOT NULL,
             version
         FROM events WHERE webinar = ?1",
    )?;
    let mut rows = statement.query([webinar])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let row_of = EventRow {
            id: row.get(1)?,
            state: row.get::<_, StoredState>(2)?.0,
            input_hash: row.get(3)?,
            gaps: row.get(4)?,
            heard_of: row.get(5)?,
            version: row.get(6)?,
        };
        found.insert(row.get(0)?, row_of);
    }
    Ok(found)
}

fn is_over(row: &EventRow, event: &FoldedEvent, now: Millis) -> bool {
    row.state == EventState::Delivered && event.end.is_some_and(|end| end < now)
}

/// What an event's row is to hold.
struct EventContent {
    state: EventState,
    input: Option<Vec<u8>>,
    hash: Option<Vec<u8>>,
    gaps: String,
}

fn event_content(event: &FoldedEvent) -> EventContent {
    let gaps: &[Gap] = event.content.as_ref().err().unwrap_or(&event.warnings);
    let state = match event.content.as_ref().map_err(Vec::as_slice) {
        // Also where this equals what HubSpot last confirmed: what was pending in between may be on its way, or may have
        // arrived without an answer, so that HubSpot holds that. Only a confirmation tells.
        Ok(_) => EventState::Pending,
        Err([Gap::Filtered]) => EventState::Filtered,
        Err(_) => EventState::Incomplete,
    };
    let input = event.content.as_ref().ok().map(crate::event::EventInput::to_json);
    let hash = input.as_deref().map(input_hash);
    let gaps = serde_json::to_string(gaps).expect("a list of names can be written as JSON");
    EventContent { state, input, hash, gaps }
}

/// Adds an event. False if another webinar has one of that id.
fn insert(
    desk: &mut WriteTx<'_>,
    named: &WebinarRow<'_>,
    event: &FoldedEvent,
    at: Millis,
) -> Result<bool, TxError> {
    let content = event_content(event);
    let state = content.state;
    let inserted = desk
        .connection
        .prepare_cached(
            "INSERT INTO events (webinar, hubspot, external_account_id, external_event_id, version,
                 state, input, input_hash, gaps, changed_at, pending_since, due_at, name, ends_at)
             VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12)
             ON CONFLICT (hubspot, external_account_id, external_event_id) DO NOTHING",
        )?
        .execute((
            named.id,
            named.hubspot.as_str(),
            named.account.as_str(),
            event.id.as_str(),
            state_code(state),
            content.input,
            content.hash,
            content.gaps,
            at.get(),
            event.due_at.map(Millis::get),
            &event.name,
            event.end.map(Millis::get),
        ))?;
    if inserted == 0 {
        return Ok(false);
    }
    desk.effects.counts.enter(named.hubspot, state);
    if state == EventState::Pending {
        desk.effects.woken.insert(named.hubspot.clone());
    }
    Ok(true)
}

/// Brings a row in line. Its version rises only if what HubSpot is to get changed.
fn update(
    desk: &mut WriteTx<'_>,
    named: &WebinarRow<'_>,
    row: &EventRow,
    event: &FoldedEvent,
    at: Millis,
) -> Result<(), TxError> {
    let content = event_content(event);
    let (due_at, ends_at) = (event.due_at.map(Millis::get), event.end.map(Millis::get));
    // Compared where it is: hundreds of long names would be megabytes.
    desk.connection
        .prepare_cached(
            "UPDATE events SET due_at = ?2, ends_at = ?3, name = ?4
             WHERE id = ?1 AND (due_at IS NOT ?2 OR ends_at IS NOT ?3 OR name IS NOT ?4)",
        )?
        .execute((row.id, due_at, ends_at, &event.name))?;
    if content.hash == row.input_hash && content.gaps == row.gaps {
        return Ok(());
    }
    let state = content.state;
    desk.connection
        .prepare_cached(
            "UPDATE events SET
                 confirmed_input = CASE WHEN confirmed_hash = input_hash THEN input
                                        WHEN confirmed_hash = ?5 THEN NULL
                                        ELSE confirmed_input END,
                 version = ?2, state = ?3, input = ?4, input_hash = ?5, gaps = ?6, changed_at = ?7,
                 pending_since = CASE WHEN state = 0 THEN pending_since ELSE ?7 END,
                 not_before = 0, attempts = 0, refused = NULL
             WHERE id = ?1",
        )?
        .execute((
            row.id,
            row.version + 1,
            state_code(state),
            content.input,
            content.hash,
            content.gaps,
            at.get(),
        ))?;
    desk.effects.counts.leave(named.hubspot, row.state);
    desk.effects.counts.enter(named.hubspot, state);
    desk.effects
        .pending_changes
        .push(PendingChange { id: row.id, pending: state == EventState::Pending });
    if state == EventState::Pending {
        desk.effects.woken.insert(named.hubspot.clone());
    }
    Ok(())
}

/// Does what time alone makes due.
pub(super) fn run_timers(desk: &mut WriteTx<'_>, most: usize) -> Result<TimersRun, TxError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let done = run_completion_timers(desk, most)? + settle::run_resend_timers(desk, most)?;
    if source_config::refold_piece(desk)? {
        return Ok(TimersRun { done, next_due: Some(desk.now) });
    }
    let next: Option<i64> = desk
        .connection
        .prepare_cached(
            "SELECT min(at) FROM (SELECT min(due_at) AS at FROM events WHERE due_at IS NOT NULL
                 UNION ALL SELECT min(resend_at) FROM events WHERE resend_at IS NOT NULL)",
        )?
        .query_row((), |row| row.get(0))?;
    Ok(TimersRun { done, next_due: next.map(Millis::new) })
}

/// Folds again the webinars of events whose completion timer has run out.
fn run_completion_timers(desk: &mut WriteTx<'_>, most: i64) -> Result<usize, TxError> {
    let due: Vec<i64> = {
        let mut statement = desk.connection.prepare_cached(
            "SELECT DISTINCT webinar FROM events WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2",
        )?;
        statement.query_map((desk.now.get(), most), |row| row.get(0))?.collect::<Result<_, _>>()?
    };
    for id in &due {
        refold(desk, *id, RefoldScope::All)?;
    }
    Ok(due.len())
}

/// Which events a fold may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefoldScope {
    /// All.
    All,
    /// Not those that are over and in HubSpot: what was true then stays.
    NotOver,
}

/// Folds a webinar again with what is known now.
pub(super) fn refold(desk: &mut WriteTx<'_>, id: i64, reach: RefoldScope) -> Result<(), TxError> {
    let found: Option<(String, String, String, Vec<u8>)> = desk
        .connection
        .prepare_cached("SELECT hubspot, account, webinar, state FROM webinars WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((hubspot, account, webinar, state)) = found else { return Ok(()) };
    let corrupt =
        |what: crate::event::id::IdError| TxError::Corrupt(format!("webinar {id}: {what}"));
    let hubspot = AccountName::parse(hubspot).map_err(corrupt)?;
    let account = ExternalAccountId::parse(account).map_err(corrupt)?;
    let webinar = WebinarId::parse(webinar).map_err(corrupt)?;
    let named = WebinarRow { id, hubspot: &hubspot, account: &account, webinar: &webinar };
    let known = webinars::read_state(id, &state)?;
    let at = desk.now;
    // The events are the webinar's own already, so none can turn out to be another's.
    reconcile(desk, &named, &known, at, reach)?
        .map_err(|event| TxError::Corrupt(format!("event {event}")))?;
    // Without a policy nothing was derived, and the timer would be due for ever.
    desk.connection
        .prepare_cached("UPDATE events SET due_at = NULL WHERE webinar = ?1 AND due_at <= ?2")?
        .execute((id, at.get()))?;
    Ok(())
}

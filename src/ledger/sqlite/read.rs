//! Reading what delivering needs: claims. On a connection of its own, beside the writer's.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, Row};

use super::live_state::{LiveState, StoredState};
use crate::event::{AccountName, EventKey, ExternalAccountId, ExternalEventId, Millis};
use crate::ledger::{
    ClaimRequest, ClaimResult, ClaimedEvent, EventRecord, LONGEST_WAIT, LedgerError,
};

/// The reading connection; one reader at a time is plenty, since no query is longer than a page of rows.
pub(super) struct Reader(Mutex<Connection>);

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Mutex::new(connection))
    }

    pub(super) fn with<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        query(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn unavailable(error: rusqlite::Error) -> LedgerError {
    LedgerError::Unavailable(error.to_string())
}

pub(super) fn corrupt(what: impl std::fmt::Display) -> LedgerError {
    LedgerError::Corrupt(what.to_string())
}

/// Most bytes of one batch's inputs, unless a single one has more: bounds the length of a call, and the memory of all
/// that are under way, each of which holds its inputs, its body and its answer. 100 usual events are a third of it.
const BATCH_BYTES: i64 = 1024 * 1024;

/// Takes the oldest pending events that nobody holds, if a batch may leave now.
pub(super) fn claim(
    connection: &Connection,
    shared: &LiveState,
    account: &AccountName,
    ask: &ClaimRequest,
    now: Millis,
) -> Result<ClaimResult, LedgerError> {
    // Remembered before the look: what is settled during it may still look pending, and is free by then. Nobody else
    // claims meanwhile, since whoever does has the one reading connection.
    let held = shared.claims(account);
    // Held events, and those that go alone, are among the oldest, so as many more rows are read as there are of them.
    let rows = ask.limit + held.len() + ask.alone.len();
    let mut free = candidates(connection, account, rows, now)?;
    free.retain(|candidate| !held.contains(&candidate.id));
    let mut free = ask.choose(free, |candidate| candidate.id);
    let all = free.len();
    // An answer names an event by its external id only: two alike in one batch could not be told apart.
    let mut names = BTreeSet::new();
    free.retain(|candidate| names.insert(candidate.key.external_event_id.clone()));
    let mut bytes = 0;
    free.retain(|candidate| {
        bytes += candidate.bytes;
        bytes <= BATCH_BYTES || bytes == candidate.bytes
    });
    let full = all >= ask.limit || free.len() < all;
    // A clock that was set back must not hold what came when it was ahead.
    let leaves_at = free.first().map(|oldest| oldest.pending_since.min(now).plus(ask.linger));
    let ahead = free.first().is_some_and(|oldest| oldest.pending_since > now);
    if full || ahead || leaves_at.is_some_and(|at| at <= now) {
        let batch = load(connection, free)?;
        if !batch.is_empty() {
            shared.claim(account, batch.iter().map(|claimed| claimed.id));
            return Ok(ClaimResult::Batch(batch));
        }
    }
    let waiting = next_waiting(connection, account, now)?;
    Ok(ClaimResult::Wait(leaves_at.into_iter().chain(waiting).min()))
}

/// A pending event without its input, of which there may be many megabytes.
struct Candidate {
    id: i64,
    key: EventKey,
    pending_since: Millis,
    bytes: i64,
}

fn candidates(
    connection: &Connection,
    account: &AccountName,
    most: usize,
    now: Millis,
) -> Result<Vec<Candidate>, LedgerError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT id, external_account_id, external_event_id, pending_since, length(input)
             FROM events
             WHERE hubspot = ?1 AND state = 0 AND (not_before <= ?2 OR not_before > ?3)
             ORDER BY pending_since, id LIMIT ?4",
        )
        .map_err(unavailable)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let never = now.plus(LONGEST_WAIT);
    let rows = statement
        .query_map((account.as_str(), now.get(), never.get(), most), |row| {
            Ok(Candidate {
                id: row.get(0)?,
                key: key(row, account, 1)?,
                pending_since: Millis::new(row.get(3)?),
                bytes: row.get(4)?,
            })
        })
        .map_err(unavailable)?;
    rows.collect::<Result<_, _>>().map_err(unavailable)
}

/// Reads the inputs of those that are still pending.
fn load(connection: &Connection, chosen: Vec<Candidate>) -> Result<Vec<ClaimedEvent>, LedgerError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT version, input, coalesce(input_hash = held_hash, 0), attempts FROM events
             WHERE id = ?1 AND state = 0",
        )
        .map_err(unavailable)?;
    let mut batch = Vec::with_capacity(chosen.len());
    for Candidate { id, key, pending_since, .. } in chosen {
        let mut rows = statement.query([id]).map_err(unavailable)?;
        if let Some(row) = rows.next().map_err(unavailable)? {
            batch.push(ClaimedEvent {
                id,
                key,
                pending_since,
                version: row.get(0).map_err(unavailable)?,
                input: row.get(1).map_err(unavailable)?,
                already_confirmed: row.get(2).map_err(unavailable)?,
                attempts: row.get(3).map_err(unavailable)?,
            });
        }
    }
    Ok(batch)
}

pub(super) fn key(row: &Row<'_>, account: &AccountName, at: usize) -> rusqlite::Result<EventKey> {
    let external_account_id =
        ExternalAccountId::parse(row.get::<_, String>(at)?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                at,
                rusqlite::types::Type::Text,
                Box::new(error),
            )
        })?;
    Ok(EventKey {
        hubspot: account.clone(),
        external_account_id,
        external_event_id: ExternalEventId::from_stored(row.get(at + 1)?),
    })
}

fn next_waiting(
    connection: &Connection,
    account: &AccountName,
    now: Millis,
) -> Result<Option<Millis>, LedgerError> {
    let next: Option<i64> = connection
        .prepare_cached(
            "SELECT min(not_before) FROM events
             WHERE hubspot = ?1 AND state = 0 AND not_before > 0 AND not_before > ?2",
        )
        .and_then(|mut s| s.query_row((account.as_str(), now.get()), |row| row.get(0)))
        .map_err(unavailable)?;
    Ok(next.map(Millis::new))
}

/// Since when the oldest pending event has been pending.
pub(super) fn oldest_pending(
    connection: &Connection,
    account: &AccountName,
) -> Result<Option<Millis>, LedgerError> {
    let oldest: Option<i64> = connection
        .prepare_cached("SELECT min(pending_since) FROM events WHERE hubspot = ?1 AND state = 0")
        .and_then(|mut s| s.query_row([account.as_str()], |row| row.get(0)))
        .map_err(unavailable)?;
    Ok(oldest.map(Millis::new))
}

/// Every event, by key.
pub(super) fn events(
    connection: &Connection,
    most: usize,
) -> Result<Vec<EventRecord>, LedgerError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT hubspot, external_account_id, external_event_id, state, version, input, gaps,
                 object_id, refused
             FROM events ORDER BY hubspot, external_account_id, external_event_id LIMIT ?1",
        )
        .map_err(unavailable)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = statement.query([most]).map_err(unavailable)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(unavailable)? {
        let get = |at: usize| row.get::<_, String>(at).map_err(unavailable);
        let account = AccountName::parse(get(0)?).map_err(corrupt)?;
        let StoredState(state) = row.get(3).map_err(unavailable)?;
        let refused: Option<String> = row.get(8).map_err(unavailable)?;
        found.push(EventRecord {
            key: key(row, &account, 1).map_err(unavailable)?,
            state,
            version: row.get(4).map_err(unavailable)?,
            input: row.get(5).map_err(unavailable)?,
            gaps: serde_json::from_str(&get(6)?).map_err(corrupt)?,
            object_id: row.get(7).map_err(unavailable)?,
            refused: refused
                .map(|words| serde_json::from_str(&words).map_err(corrupt))
                .transpose()?,
        });
    }
    Ok(found)
}

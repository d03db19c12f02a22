//! Reading: claims, and what operators look at. On a connection of its own, beside the writer's.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, Row};

use super::bodies::{self, Place};
use super::events::stored_id;
use super::shared::{Shared, state};
use crate::event::{AccountName, EventKey, ExternalAccountId, Millis, ReceiptId, SourceName};
use crate::ledger::{
    Acceptance, Claim, ClaimAsk, Claimed, EventRecord, LedgerError, ReceiptRecord,
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
fn unavailable(error: rusqlite::Error) -> LedgerError {
    LedgerError::Unavailable(error.to_string())
}

fn corrupt(what: impl std::fmt::Display) -> LedgerError {
    LedgerError::Corrupt(what.to_string())
}

/// Takes the oldest pending events that nobody holds, if a batch may leave now.
pub(super) fn claim(
    connection: &Connection,
    shared: &Shared,
    account: &AccountName,
    ask: ClaimAsk,
    now: Millis,
) -> Result<Claim, LedgerError> {
    // Remembered before the look: what is settled during it may still look pending, and is free by then. Nobody else
    // claims meanwhile, since whoever does has the one reading connection.
    let held = shared.claims(account);
    // Held events are among the oldest, so as many more rows are read as there are claims.
    let rows = ask.most + held.len();
    let candidates = candidates(connection, account, rows, now)?;
    shared.claim_with(account, |claims| {
        let mut ids = BTreeSet::new();
        let mut free: Vec<Claimed> = candidates
            .into_iter()
            .filter(|candidate| !held.contains(&candidate.id))
            // An answer names an event by its external id only: two alike in one batch could not be told apart.
            .filter(|candidate| ids.insert(candidate.key.external_event_id.clone()))
            .collect();
        free.truncate(ask.most);
        let leaves_at = free.first().map(|oldest| oldest.pending_since.plus(ask.linger));
        let leaves = free.len() >= ask.most || leaves_at.is_some_and(|at| at <= now);
        if leaves && !free.is_empty() {
            claims.extend(free.iter().map(|claimed| claimed.id));
            return Ok(Claim::Batch(free));
        }
        let waiting = next_waiting(connection, account, now)?;
        Ok(Claim::Later(leaves_at.into_iter().chain(waiting).min()))
    })
}

fn candidates(
    connection: &Connection,
    account: &AccountName,
    most: usize,
    now: Millis,
) -> Result<Vec<Claimed>, LedgerError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT id, external_account_id, external_event_id, version, pending_since, input,
                 coalesce(input_hash = held_hash, 0)
             FROM events
             WHERE hubspot = ?1 AND state = 0 AND not_before <= ?2
             ORDER BY pending_since, id LIMIT ?3",
        )
        .map_err(unavailable)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = statement
        .query_map((account.as_str(), now.get(), most), |row| {
            Ok((
                row.get::<_, i64>(0)?,
                key(row, account, 1)?,
                row.get(3)?,
                row.get::<_, i64>(4)?,
                row.get::<_, Vec<u8>>(5)?,
                row.get(6)?,
            ))
        })
        .map_err(unavailable)?;
    rows.map(|row| {
        let (id, key, version, pending_since, input, unchanged) = row.map_err(unavailable)?;
        let pending_since = Millis::new(pending_since);
        Ok(Claimed { id, key, version, pending_since, input, unchanged })
    })
    .collect()
}

fn key(row: &Row<'_>, account: &AccountName, at: usize) -> rusqlite::Result<EventKey> {
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
        external_event_id: stored_id(row.get(at + 1)?),
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
        let number: u8 = row.get(3).map_err(unavailable)?;
        let refused: Option<String> = row.get(8).map_err(unavailable)?;
        found.push(EventRecord {
            key: key(row, &account, 1).map_err(unavailable)?,
            state: state(number).ok_or_else(|| corrupt(format!("an event has state {number}")))?,
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

/// A receipt and its body.
pub(super) fn receipt(
    connection: &Connection,
    id: ReceiptId,
) -> Result<Option<ReceiptRecord>, LedgerError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT source, event_type, received_at, outcome, reason, body_id, body_offset,
                 body_length
             FROM receipts WHERE id = ?1",
        )
        .map_err(unavailable)?;
    let mut rows = statement.query([id.as_bytes().as_slice()]).map_err(unavailable)?;
    let Some(row) = rows.next().map_err(unavailable)? else { return Ok(None) };
    let number: u8 = row.get(3).map_err(unavailable)?;
    let outcome = [Acceptance::Accepted, Acceptance::Ignored, Acceptance::Quarantined]
        .get(usize::from(number))
        .copied()
        .ok_or_else(|| corrupt(format!("a receipt has outcome {number}")))?;
    let body = match row.get::<_, Option<i64>>(5).map_err(unavailable)? {
        None => None,
        Some(id) => {
            let (offset, length) =
                (row.get(6).map_err(unavailable)?, row.get(7).map_err(unavailable)?);
            bodies::load(connection, Place { id, offset, length })?
        }
    };
    Ok(Some(ReceiptRecord {
        source: SourceName::parse(row.get::<_, String>(0).map_err(unavailable)?)
            .map_err(corrupt)?,
        event_type: row.get(1).map_err(unavailable)?,
        received_at: Millis::new(row.get(2).map_err(unavailable)?),
        outcome,
        reason: row.get(4).map_err(unavailable)?,
        body,
    }))
}

//! Claims of pending events, on the delivery's reading connection.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::event_rows::stored_hash;
use super::live_state::LiveState;
use super::read::unavailable;
use crate::event::{AccountName, EventKey, ExternalAccountId, ExternalEventId, Millis};
use crate::ledger::rules::choose_batch::{BatchCandidate, BatchChoice, choose_batch};
use crate::ledger::{ClaimRequest, ClaimResult, ClaimedEvent, LONGEST_WAIT, LedgerError};

/// Claims a batch, if one can be sent now.
pub(super) fn claim(
    connection: &Connection,
    live: &LiveState,
    account: &AccountName,
    request: &ClaimRequest,
    now: Millis,
) -> Result<ClaimResult, LedgerError> {
    // The claims are read before the rows: an event that is settled between the two may still be pending in the rows read
    // here. No other claim can run meanwhile, since it needs this one reading connection.
    let claimed = live.claims(account);
    let rows = request.rows_to_read(claimed.len());
    let mut ready = candidates(connection, account, rows, now)?;
    ready.retain(|(candidate, _)| !claimed.contains(&candidate.id));
    let (candidates, keys): (Vec<_>, HashMap<_, _>) = ready
        .into_iter()
        .map(|(candidate, key)| {
            let id = candidate.id;
            (candidate, (id, key))
        })
        .unzip();
    let leaves_at = match choose_batch(candidates, request, now) {
        BatchChoice::Send(ids) => {
            let batch = load(connection, ids, keys)?;
            if !batch.is_empty() {
                live.claim(account, &batch);
                return Ok(ClaimResult::Batch(batch));
            }
            // All of them changed since they were looked for: others may go.
            Some(now)
        }
        BatchChoice::Wait(leaves_at) => leaves_at,
    };
    let waiting = next_waiting(connection, account, now)?;
    Ok(ClaimResult::Wait(leaves_at.into_iter().chain(waiting).min()))
}

fn candidates(
    connection: &Connection,
    account: &AccountName,
    limit: usize,
    now: Millis,
) -> Result<Vec<(BatchCandidate, EventKey)>, LedgerError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT id, external_account_id, external_event_id, pending_since, length(input)
             FROM events
             WHERE hubspot = ?1 AND state = 0 AND (not_before <= ?2 OR not_before > ?3)
             ORDER BY pending_since, id LIMIT ?4",
        )
        .map_err(unavailable)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let never = now.plus(LONGEST_WAIT);
    let rows = statement
        .query_map((account.as_str(), now.get(), never.get(), limit), |row| {
            let key = key(row, account, 1)?;
            let candidate = BatchCandidate {
                id: row.get(0)?,
                external_event_id: key.external_event_id.clone(),
                pending_since: Millis::new(row.get(3)?),
                input_bytes: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
            };
            Ok((candidate, key))
        })
        .map_err(unavailable)?;
    rows.collect::<Result<_, _>>().map_err(unavailable)
}

/// Reads the chosen events that are still pending.
fn load(
    connection: &Connection,
    chosen: Vec<i64>,
    mut keys: HashMap<i64, EventKey>,
) -> Result<Vec<ClaimedEvent>, LedgerError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT version, input, coalesce(input_hash = held_hash, 0), attempts, pending_since,
                 input_hash
             FROM events WHERE id = ?1 AND state = 0",
        )
        .map_err(unavailable)?;
    let mut batch = Vec::with_capacity(chosen.len());
    for id in chosen {
        let Some(key) = keys.remove(&id) else { continue };
        let mut rows = statement.query([id]).map_err(unavailable)?;
        if let Some(row) = rows.next().map_err(unavailable)? {
            batch.push(claimed(row, id, key).map_err(unavailable)?);
        }
    }
    Ok(batch)
}

fn claimed(row: &Row<'_>, id: i64, key: EventKey) -> rusqlite::Result<ClaimedEvent> {
    let input: Arc<[u8]> = row.get_ref(1)?.as_blob()?.into();
    Ok(ClaimedEvent {
        id,
        key,
        version: row.get(0)?,
        pending_since: Millis::new(row.get(4)?),
        attempts: row.get(3)?,
        input,
        input_hash: stored_hash(row.get(5)?),
        already_confirmed: row.get(2)?,
    })
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

/// The time since which the oldest pending event has been pending.
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

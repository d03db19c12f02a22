//! Claims of pending events, on the delivery's reading connection.

use std::collections::HashSet;

use rusqlite::{Connection, Row};

use super::event_rows::event_key;
use super::statements::{Statements as _, sql_count};
use super::transaction::ReadTx;
use crate::event::{AccountName, Millis};
use crate::ledger::rules::choose_batch::{BatchCandidate, BatchChoice, choose_batch};
use crate::ledger::rules::choose_probe::{
    MAX_PENDING, MAX_WITNESSES, ProbeCandidate, ProbeChoice, choose_probe,
};
use crate::ledger::rules::timers::DERIVED_AGAIN;
use crate::ledger::{ClaimRequest, ClaimResult, ClaimedEvent, LONGEST_WAIT, LedgerError, Probe};

/// Claims a batch, if one can be sent now.
pub(super) fn claim(
    tx: &ReadTx<'_>,
    account: &AccountName,
    request: &ClaimRequest,
) -> Result<ClaimResult, LedgerError> {
    // The claims are read before the rows: an event that is settled between the two may still be pending in the rows read
    // here. No other claim can run meanwhile, since it needs this one reading connection.
    let claimed = tx.live.claims(account);
    let (batch, leaves_at) = if let Some(probe) = &request.probe {
        (choose_and_load_probe(tx, account, probe, &claimed)?, None)
    } else {
        let mut ready = candidates(tx, account, request.rows_to_read(claimed.len()))?;
        ready.retain(|candidate| !claimed.contains(&candidate.id));
        match choose_batch(ready, request, tx.now) {
            BatchChoice::Send(ids) => (load(tx.connection, &ids)?, None),
            BatchChoice::Wait(leaves_at) => (Vec::new(), leaves_at),
        }
    };
    if !batch.is_empty() {
        tx.live.claim(account, &batch);
        return Ok(ClaimResult::Batch(batch));
    }
    let waiting: Option<Millis> = tx.connection.value(
        "SELECT min(not_before) FROM events
         WHERE hubspot = ?1 AND state = 0 AND not_before > 0 AND not_before > ?2",
        (account, tx.now),
    )?;
    Ok(ClaimResult::Wait(leaves_at.into_iter().chain(waiting).min()))
}

fn candidates(
    tx: &ReadTx<'_>,
    account: &AccountName,
    limit: usize,
) -> rusqlite::Result<Vec<BatchCandidate>> {
    let candidate = |row: &Row<'_>| {
        Ok(BatchCandidate {
            id: row.get(0)?,
            external_event_id: row.get(1)?,
            pending_since: row.get(2)?,
            input_bytes: u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
        })
    };
    tx.connection.all(
        "SELECT id, external_event_id, pending_since, length(input) FROM events
         WHERE hubspot = ?1 AND state = 0 AND (not_before <= ?2 OR not_before > ?3)
             AND due_at IS NOT ?5
         ORDER BY pending_since, id LIMIT ?4",
        (account, tx.now, tx.now.plus(LONGEST_WAIT), sql_count(limit), DERIVED_AGAIN),
        candidate,
    )
}

/// Chooses and reads the event that probes an account which refuses everything. Such an account is probed once a minute,
/// so that this may read some thousands of rows.
fn choose_and_load_probe(
    tx: &ReadTx<'_>,
    account: &AccountName,
    probe: &Probe,
    claimed: &HashSet<i64>,
) -> rusqlite::Result<Vec<ClaimedEvent>> {
    let witnesses: Vec<i64> = tx.connection.all(
        "SELECT id FROM events WHERE hubspot = ?1 AND state = 1 AND confirmed_hash = input_hash
         ORDER BY id DESC LIMIT ?2",
        (account, sql_count(MAX_WITNESSES)),
        |row| row.get(0),
    )?;
    let candidate = |row: &Row<'_>| {
        Ok(ProbeCandidate { id: row.get(0)?, account: row.get(1)?, pending_since: row.get(2)? })
    };
    let mut pending = tx.connection.all(
        "SELECT id, external_account_id, pending_since FROM events
         WHERE hubspot = ?1 AND state = 0 AND (not_before <= ?2 OR not_before > ?3)
             AND due_at IS NOT ?5
         ORDER BY pending_since DESC LIMIT ?4",
        (account, tx.now, tx.now.plus(LONGEST_WAIT), sql_count(MAX_PENDING), DERIVED_AGAIN),
        candidate,
    )?;
    pending.retain(|candidate| !claimed.contains(&candidate.id));
    let witnesses: Vec<i64> = witnesses.into_iter().filter(|id| !claimed.contains(id)).collect();
    Ok(match choose_probe(&witnesses, &pending, probe) {
        Some(ProbeChoice::Pending(id)) => load(tx.connection, &[id])?,
        Some(ProbeChoice::Witness(id)) => {
            load(tx.connection, &[id])?.into_iter().map(ClaimedEvent::as_witness).collect()
        }
        None => Vec::new(),
    })
}

/// Reads the chosen events.
fn load(connection: &Connection, chosen: &[i64]) -> rusqlite::Result<Vec<ClaimedEvent>> {
    let mut batch = Vec::with_capacity(chosen.len());
    for id in chosen {
        batch.extend(connection.first(
            "SELECT id, hubspot, external_account_id, external_event_id, version, pending_since,
                 attempts, input, input_hash,
                 coalesce(input_hash = held_hash, 0) AS already_confirmed
             FROM events WHERE id = ?1",
            [id],
            claimed,
        )?);
    }
    Ok(batch)
}

fn claimed(row: &Row<'_>) -> rusqlite::Result<ClaimedEvent> {
    Ok(ClaimedEvent {
        id: row.get("id")?,
        key: event_key(row)?,
        version: row.get("version")?,
        pending_since: row.get("pending_since")?,
        attempts: row.get("attempts")?,
        input: row.get("input")?,
        input_hash: row.get("input_hash")?,
        already_confirmed: row.get("already_confirmed")?,
        is_witness: false,
    })
}

/// The time since which the oldest pending event has been pending.
pub(super) fn oldest_pending(
    tx: &ReadTx<'_>,
    account: &AccountName,
) -> Result<Option<Millis>, LedgerError> {
    Ok(tx.connection.value(
        "SELECT min(pending_since) FROM events WHERE hubspot = ?1 AND state = 0",
        [account],
    )?)
}

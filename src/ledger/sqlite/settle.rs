//! Attempts and their outcomes.

use rusqlite::{Connection, OptionalExtension};

use super::event_rows;
use super::side_effects::SideEffects;
use super::transaction::WriteTx;
use super::tx_error::TxError;
use crate::event::{AccountName, AccountStatus, Millis};
use crate::ledger::Settlement;
use crate::ledger::rules::event_row::ConfirmedInput;
use crate::ledger::rules::settle::{self, SettledEvent};
use crate::ledger::rules::timers::{ends_waits, resend};

/// Records outcomes and frees the claims, which the commit makes visible.
pub(super) fn settle(
    tx: &mut WriteTx<'_>,
    account: &AccountName,
    settlements: &[Settlement],
) -> Result<(), TxError> {
    for Settlement { event, outcome } in settlements {
        // An event that was deleted meanwhile has nothing to record.
        let Some(before) = event_rows::load(tx.connection, event.id)? else { continue };
        let SettledEvent { row, confirmed_input } =
            settle::settle(before.clone(), event, outcome, tx.now);
        if confirmed_input != ConfirmedInput::Keep {
            let sent = tx.live.claimed_input(account, event.id);
            event_rows::store_confirmed_input(tx, event.id, confirmed_input, sent.as_deref())?;
        }
        event_rows::replace(tx, account, event.id, &before, &row)?;
    }
    let freed = settlements.iter().filter(|settlement| settle::ends_claim(&settlement.outcome));
    tx.effects.released.push((account.clone(), freed.map(|s| s.event.id).collect()));
    tx.effects.woken.insert(account.clone());
    Ok(())
}

/// Records that calls with these events begin.
pub(super) fn begin_attempt(tx: &mut WriteTx<'_>, ids: &[i64]) -> Result<(), TxError> {
    for id in ids {
        if let Some(row) = event_rows::load(tx.connection, *id)? {
            event_rows::store(tx.connection, *id, &settle::begin_attempt(row, tx.now))?;
        }
    }
    Ok(())
}

/// Makes events pending that are to be sent a second time. Answers how many were due.
pub(super) fn run_resend_timers(tx: &mut WriteTx<'_>, limit: i64) -> Result<usize, TxError> {
    let due: Vec<i64> = tx
        .connection
        .prepare_cached(
            "SELECT id FROM events
             WHERE resend_at <= ?1 AND sending_since IS NULL ORDER BY resend_at LIMIT ?2",
        )?
        .query_map((tx.now.get(), limit), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &due {
        let Some(before) = event_rows::load(tx.connection, *id)? else { continue };
        let account = event_rows::account_of(tx.connection, *id)?;
        event_rows::replace(tx, &account, *id, &before, &resend(before.clone(), tx.now))?;
    }
    Ok(due.len())
}

/// After a crash: calls that were under way when the process ended have an unknown outcome.
pub(super) fn recover(connection: &Connection, now: Millis) -> Result<(), TxError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let recovered = recover_all(connection, now)
        .and_then(|()| connection.execute_batch("COMMIT").map_err(TxError::from));
    if recovered.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    recovered
}

fn recover_all(connection: &Connection, now: Millis) -> Result<(), TxError> {
    let sending: Vec<i64> = connection
        .prepare("SELECT id FROM events WHERE sending_since IS NOT NULL")?
        .query_map((), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut effects = SideEffects::default();
    for id in sending {
        let Some(before) = event_rows::load(connection, id)? else { continue };
        let after = settle::recover(before.clone(), now);
        event_rows::store(connection, id, &after)?;
        let account = event_rows::account_of(connection, id)?;
        event_rows::note_state(&mut effects, &account, id, before.state, after.state);
    }
    effects.write(connection)?;
    Ok(())
}

/// Stores an account's status.
pub(super) fn store_status(
    tx: &mut WriteTx<'_>,
    account: &AccountName,
    status: &AccountStatus,
) -> Result<(), TxError> {
    let known: Option<String> = tx
        .connection
        .prepare_cached("SELECT standing FROM standings WHERE hubspot = ?1")?
        .query_row([account.as_str()], |row| row.get(0))
        .optional()?;
    // A status that cannot be read is as good as none.
    let known: Option<AccountStatus> = known.and_then(|text| serde_json::from_str(&text).ok());
    if known.is_some_and(|known| ends_waits(&known, status)) {
        tx.connection
            .prepare_cached(
                "UPDATE events SET not_before = 0
                 WHERE hubspot = ?1 AND state = 0 AND not_before > 0",
            )?
            .execute([account.as_str()])?;
        tx.effects.woken.insert(account.clone());
    }
    let text = serde_json::to_string(status)
        .map_err(|error| TxError::corrupt(format!("status of {account}"), error))?;
    tx.connection
        .prepare_cached("INSERT OR REPLACE INTO standings (hubspot, standing) VALUES (?1, ?2)")?
        .execute((account.as_str(), text))?;
    Ok(())
}

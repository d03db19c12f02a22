//! Attempts and their outcomes.

use std::collections::BTreeSet;

use rusqlite::{Connection, TransactionBehavior};

use super::event_rows;
use super::events;
use super::side_effects::SideEffects;
use super::statements::Statements as _;
use super::transaction::WriteTx;
use super::values::Json;
use crate::event::{AccountName, AccountStatus, Millis};
use crate::ledger::rules::event_row::ConfirmedInput;
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::rules::settle::{self, SettledEvent};
use crate::ledger::rules::timers::{ends_waits, resend};
use crate::ledger::{LedgerError, Settlement};

/// Records outcomes and ends the claims, which the commit makes visible.
pub(super) fn settle(
    tx: &mut WriteTx<'_>,
    account: &AccountName,
    settlements: &[Settlement],
) -> Result<(), LedgerError> {
    let mut folds = BTreeSet::new();
    for Settlement { event, outcome } in settlements {
        // An event that was deleted meanwhile has nothing to record.
        let Some((_, before)) = event_rows::load(tx.connection, event.id)? else { continue };
        let SettledEvent { row, confirmed_input } =
            settle::settle(before.clone(), event, outcome, tx.now);
        if confirmed_input != ConfirmedInput::Keep {
            let sent = tx.live.claimed_input(account, event.id);
            event_rows::store_confirmed_input(
                tx.connection,
                event.id,
                confirmed_input,
                sent.as_deref(),
            )?;
        }
        event_rows::replace(tx, account, event.id, &before, &row)?;
        if settle::is_fold_due(&before, &row) {
            let sql = "SELECT webinar FROM events WHERE id = ?1";
            folds.insert(tx.connection.value::<i64>(sql, [event.id])?);
        }
    }
    for webinar in folds {
        events::refold(tx, webinar, ReconcileScope::All)?;
    }
    let freed = settlements.iter().filter(|settlement| settle::ends_claim(&settlement.outcome));
    tx.effects.released.push((account.clone(), freed.map(|s| s.event.id).collect()));
    tx.effects.woken.insert(account.clone());
    Ok(())
}

/// Records that calls with these events begin.
pub(super) fn begin_attempt(tx: &WriteTx<'_>, ids: &[i64]) -> Result<(), LedgerError> {
    for id in ids {
        if let Some((_, row)) = event_rows::load(tx.connection, *id)? {
            event_rows::store(tx.connection, *id, &settle::begin_attempt(row, tx.now))?;
        }
    }
    Ok(())
}

/// Makes events pending that are to be sent a second time; returns how many were due.
pub(super) fn run_resend_timers(tx: &mut WriteTx<'_>, limit: i64) -> Result<usize, LedgerError> {
    let due: Vec<i64> = tx.connection.all(
        "SELECT id FROM events
         WHERE resend_at <= ?1 AND sending_since IS NULL ORDER BY resend_at LIMIT ?2",
        (tx.now, limit),
        |row| row.get(0),
    )?;
    for id in &due {
        if let Some((account, before)) = event_rows::load(tx.connection, *id)? {
            event_rows::replace(tx, &account, *id, &before, &resend(before.clone(), tx.now))?;
        }
    }
    Ok(due.len())
}

/// After a crash: calls that were under way when the process ended have an unknown outcome.
pub(super) fn recover(connection: &mut Connection, now: Millis) -> Result<(), LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sending: Vec<i64> =
        transaction
            .all("SELECT id FROM events WHERE sending_since IS NOT NULL", (), |row| row.get(0))?;
    let mut effects = SideEffects::default();
    for id in sending {
        let Some((account, before)) = event_rows::load(&transaction, id)? else { continue };
        let after = settle::recover(before.clone(), now);
        event_rows::store(&transaction, id, &after)?;
        effects.change_state(&account, id, Some(before.state), Some(after.state));
    }
    effects.write(&transaction)?;
    Ok(transaction.commit()?)
}

/// Stores the status that the account has in memory now.
pub(super) fn store_status(tx: &mut WriteTx<'_>, account: &AccountName) -> Result<(), LedgerError> {
    let status = tx.live.account_status(account);
    let known = tx.connection.first(
        "SELECT standing FROM standings WHERE hubspot = ?1",
        [account],
        // A status that cannot be read counts as none.
        |row| Ok(row.get::<_, Json<AccountStatus>>(0).ok()),
    )?;
    if known.flatten().is_some_and(|Json(known)| ends_waits(&known, &status)) {
        tx.connection.run(
            "UPDATE events SET not_before = 0
             WHERE hubspot = ?1 AND state = 0 AND not_before > 0",
            [account],
        )?;
        tx.effects.woken.insert(account.clone());
    }
    tx.connection.run(
        "INSERT OR REPLACE INTO standings (hubspot, standing) VALUES (?1, ?2)",
        (account, Json(status)),
    )?;
    Ok(())
}

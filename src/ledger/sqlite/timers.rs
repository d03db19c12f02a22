//! The work that becomes due by time alone.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::statements::{Statements as _, sql_count};
use super::transaction::WriteTx;
use super::{events, settle, source_config};
use crate::event::{AccountName, Millis};
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::rules::timers::DERIVED_AGAIN;
use crate::ledger::{LedgerError, TimersRun};

/// Runs the timers that are due. A doubted clock completes nothing (M10); second sendings go on.
pub(super) fn run_timers(tx: &mut WriteTx<'_>, limit: usize) -> Result<TimersRun, LedgerError> {
    let limit = sql_count(limit);
    let done = run_completion_timers(tx, limit)? + settle::run_resend_timers(tx, limit)?;
    if source_config::refold_piece(tx)? {
        return Ok(TimersRun { done, next_due: Some(tx.now) });
    }
    let due_by = if tx.is_clock_doubted { DERIVED_AGAIN } else { Millis::new(i64::MAX) };
    let next_due = tx.connection.value(
        "SELECT min(at) FROM (
             SELECT min(due_at) AS at FROM events WHERE due_at <= ?1
             UNION ALL SELECT min(resend_at) FROM events WHERE resend_at IS NOT NULL)",
        [due_by],
    )?;
    Ok(TimersRun { done, next_due })
}

/// Folds the webinars again of events whose completion timer has run out, of those that are derived again before they are
/// sent, and of those that a timer completed although their end is still to come: the clock was ahead then, or was set
/// back.
fn run_completion_timers(tx: &mut WriteTx<'_>, limit: i64) -> Result<usize, LedgerError> {
    let due: Vec<(i64, AccountName)> = tx.connection.all(
        "SELECT DISTINCT webinar, hubspot FROM events WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2",
        (tx.timer_time(), limit),
        |row| row.try_into(),
    )?;
    let mut due: BTreeSet<(i64, AccountName)> = due.into_iter().collect();
    if !tx.is_clock_doubted {
        let early: Vec<(i64, AccountName)> = tx.connection.all(
            "SELECT webinar, hubspot FROM events WHERE timer_end > ?1 LIMIT ?2",
            (tx.now, limit),
            |row| row.try_into(),
        )?;
        due.extend(early);
    }
    let done = due.len();
    for (webinar, account) in due {
        events::refold(tx, webinar, ReconcileScope::All)?;
        // What was derived again may be sent now, even if it is as it was.
        tx.effects.woken.insert(account);
    }
    Ok(done)
}

/// Lets the timers derive again what [`crate::ledger::rules::timers::is_derived_again`], before it is sent.
pub(super) fn derive_again(connection: &Connection) -> rusqlite::Result<()> {
    connection.run(
        "UPDATE events INDEXED BY events_pending SET due_at = ?1
         WHERE state = 0 AND frozen = 0 AND confirmed_hash IS NOT input_hash
             AND timer_end IS NOT NULL AND timer_confirmed = 0",
        [DERIVED_AGAIN],
    )
}

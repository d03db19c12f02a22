//! The work that becomes due by time alone.

use super::statements::{Statements as _, sql_count};
use super::transaction::WriteTx;
use super::{events, settle, source_config};
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::{LedgerError, TimersRun};

/// Runs the timers that are due. A doubted clock completes nothing (M10); second sendings go on.
pub(super) fn run_timers(tx: &mut WriteTx<'_>, limit: usize) -> Result<TimersRun, LedgerError> {
    let limit = sql_count(limit);
    let completed = if tx.is_clock_doubted { 0 } else { run_completion_timers(tx, limit)? };
    let done = completed + settle::run_resend_timers(tx, limit)?;
    if source_config::refold_piece(tx)? {
        return Ok(TimersRun { done, next_due: Some(tx.now) });
    }
    let next_due = tx.connection.value(
        "SELECT min(at) FROM (
             SELECT min(due_at) AS at FROM events WHERE due_at IS NOT NULL AND NOT ?1
             UNION ALL SELECT min(resend_at) FROM events WHERE resend_at IS NOT NULL)",
        [tx.is_clock_doubted],
    )?;
    Ok(TimersRun { done, next_due })
}

/// Folds the webinars again of events whose completion timer has run out, and of those that a timer completed although
/// their end is still to come: the clock was ahead then, or was set back.
fn run_completion_timers(tx: &mut WriteTx<'_>, limit: i64) -> Result<usize, LedgerError> {
    let mut due: Vec<i64> = tx.connection.all(
        "SELECT DISTINCT webinar FROM events WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2",
        (tx.now, limit),
        |row| row.get(0),
    )?;
    let early: Vec<i64> = tx.connection.all(
        "SELECT webinar FROM events WHERE timer_end > ?1 LIMIT ?2",
        (tx.now, limit),
        |row| row.get(0),
    )?;
    due.extend(early);
    due.sort_unstable();
    due.dedup();
    for id in &due {
        events::refold(tx, *id, ReconcileScope::All)?;
    }
    Ok(due.len())
}

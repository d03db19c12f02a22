//! What the passing of time makes due.

use super::transaction::WriteTx;
use super::tx_error::TxError;
use super::{events, settle, source_config};
use crate::event::Millis;
use crate::ledger::TimersRun;
use crate::ledger::rules::reconcile::ReconcileScope;

/// Runs what is due.
pub(super) fn run_timers(tx: &mut WriteTx<'_>, limit: usize) -> Result<TimersRun, TxError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let done = run_completion_timers(tx, limit)? + settle::run_resend_timers(tx, limit)?;
    if source_config::refold_piece(tx)? {
        return Ok(TimersRun { done, next_due: Some(tx.now) });
    }
    let next: Option<i64> = tx
        .connection
        .prepare_cached(
            "SELECT min(at) FROM (SELECT min(due_at) AS at FROM events WHERE due_at IS NOT NULL
                 UNION ALL SELECT min(resend_at) FROM events WHERE resend_at IS NOT NULL)",
        )?
        .query_row((), |row| row.get(0))?;
    Ok(TimersRun { done, next_due: next.map(Millis::new) })
}

/// Folds again the webinars of events whose completion timer has run out.
fn run_completion_timers(tx: &mut WriteTx<'_>, limit: i64) -> Result<usize, TxError> {
    let due: Vec<i64> = {
        let mut statement = tx.connection.prepare_cached(
            "SELECT DISTINCT webinar FROM events WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2",
        )?;
        statement.query_map((tx.now.get(), limit), |row| row.get(0))?.collect::<Result<_, _>>()?
    };
    for id in &due {
        events::refold(tx, *id, ReconcileScope::All)?;
    }
    Ok(due.len())
}

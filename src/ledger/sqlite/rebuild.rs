//! Putting rebuilt webinars in the place of what they were.

use rusqlite::OptionalExtension;

use super::receipts::outcome_code;
use super::transaction::WriteTx;
use super::tx_error::TxError;
use super::{events, webinar_state, webinars};
use crate::ledger::rules::accept::MergeRefused;
use crate::ledger::rules::rebuild::{WebinarPlan, covers_all_webinars, plan_webinar};
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::{RebuildRequest, RebuildResult, RebuiltWebinar, WebinarKey};

/// Why nothing is rebuilt.
enum RebuildStop {
    Stale,
    Refused(MergeRefused),
}

/// Rebuilds all of it, or nothing.
pub(super) fn rebuild(
    tx: &mut WriteTx<'_>,
    request: &RebuildRequest,
) -> Result<RebuildResult, TxError> {
    let replayed: Option<i64> = tx
        .connection
        .prepare_cached("SELECT seq FROM receipts WHERE id = ?1")?
        .query_row([request.receipt.as_bytes().as_slice()], |row| row.get(0))
        .optional()?;
    let Some(replayed) = replayed else { return Ok(RebuildResult::Unknown) };
    let built = webinar_state::keys_of(tx.connection, request.receipt)?;
    if !covers_all_webinars(request, &built) {
        return Ok(RebuildResult::Stale);
    }
    let done = tx.attempt(|tx| {
        for rebuilt in &request.webinars {
            if let Err(stop) = replace_webinar(tx, rebuilt, replayed)? {
                return Ok(Err(stop));
            }
        }
        tx.connection
            .prepare_cached("UPDATE receipts SET outcome = ?2, reason = ?3 WHERE seq = ?1")?
            .execute((replayed, outcome_code(request.outcome), &request.reason))?;
        Ok(Ok(()))
    })?;
    Ok(match done {
        Ok(()) => RebuildResult::Done,
        Err(RebuildStop::Stale) => RebuildResult::Stale,
        Err(RebuildStop::Refused(why)) => RebuildResult::Refused(why.to_string()),
    })
}

/// Replaces one webinar.
fn replace_webinar(
    tx: &mut WriteTx<'_>,
    rebuilt: &RebuiltWebinar,
    replayed: i64,
) -> Result<Result<(), RebuildStop>, TxError> {
    let RebuiltWebinar { before, webinar, contributes } = rebuilt;
    let (id, now) = webinar_state::read(tx.connection, before.key.clone())?;
    let plan = plan_webinar(rebuilt, &now, id.is_some());
    let id = match (plan, id) {
        (WebinarPlan::Stale, _) => return Ok(Err(RebuildStop::Stale)),
        (WebinarPlan::Link, Some(id)) => id,
        (WebinarPlan::Nothing | WebinarPlan::Link, _) => return Ok(Ok(())),
        (WebinarPlan::Replace | WebinarPlan::Empty, id) => {
            webinars::store(tx, id, webinars::sql_key(&before.key), webinar, tx.now)?
        }
    };
    if *contributes {
        webinars::link(tx, id, replayed)?;
    } else {
        webinars::unlink(tx, id, replayed)?;
    }
    let WebinarKey { hubspot, account, webinar: name } = &before.key;
    let row = events::WebinarRow { id, hubspot, account, webinar: name };
    match plan {
        WebinarPlan::Stale | WebinarPlan::Nothing | WebinarPlan::Link => Ok(Ok(())),
        WebinarPlan::Empty => events::delete_all(tx, &row).map(Ok),
        WebinarPlan::Replace => {
            let at = tx.now;
            let reconciled = events::reconcile(tx, &row, webinar, at, ReconcileScope::All)?;
            Ok(reconciled.map_err(RebuildStop::Refused))
        }
    }
}

//! Replacing webinars with their rebuilt states.

use super::statements::Statements as _;
use super::transaction::{AttemptError, WriteTx};
use super::{event_rows, events, webinar_state, webinars};
use crate::event::{AccountName, SourceName, Webinar};
use crate::ledger::rules::rebuild::{
    WebinarPlan, cancel_moved, check_rebuild, covers_all_webinars, is_moved, plan_webinar,
};
use crate::ledger::rules::reconcile::{KnownEvent, ReconcileScope, removable};
use crate::ledger::{LedgerError, RebuildRequest, RebuildResult, RebuiltWebinar, WebinarState};

/// Rebuilds every webinar of the request, or none.
pub(super) fn rebuild(
    tx: &mut WriteTx<'_>,
    request: &RebuildRequest,
) -> Result<RebuildResult, LedgerError> {
    let replayed: Option<(i64, SourceName)> = tx.connection.first(
        "SELECT seq, source FROM receipts WHERE id = ?1",
        [request.receipt],
        |row| row.try_into(),
    )?;
    let Some((replayed, source)) = replayed else { return Ok(RebuildResult::Unknown) };
    let built = webinar_state::keys_of(tx.connection, request.receipt)?;
    if !covers_all_webinars(request, &built) {
        return Ok(RebuildResult::Stale);
    }
    let mut planned = Vec::new();
    for rebuilt in &request.webinars {
        let (id, now) = webinar_state::read(tx.connection, rebuilt.before.key.clone())?;
        let plan = plan_webinar(rebuilt, &now, id.is_some(), is_moved(request, rebuilt));
        if plan == WebinarPlan::Stale {
            return Ok(RebuildResult::Stale);
        }
        planned.push((rebuilt, id, plan));
    }
    let done = tx.attempt(|tx| {
        for (rebuilt, id, plan) in planned {
            check_rebuild(tx.policies, &source, rebuilt)?;
            replace_webinar(tx, rebuilt, id, plan, replayed)?;
        }
        tx.connection.run(
            "UPDATE receipts SET outcome = ?2, reason = ?3 WHERE seq = ?1",
            (replayed, request.outcome, &request.reason),
        )?;
        Ok(())
    });
    match done {
        Ok(()) => Ok(RebuildResult::Done),
        Err(AttemptError::Refused(why)) => Ok(RebuildResult::Refused(why.to_string())),
        Err(AttemptError::Store(error)) => Err(error),
    }
}

/// Replaces one webinar, whose row is `id`, as planned.
fn replace_webinar(
    tx: &mut WriteTx<'_>,
    rebuilt: &RebuiltWebinar,
    id: Option<i64>,
    plan: WebinarPlan,
    replayed: i64,
) -> Result<(), AttemptError> {
    let RebuiltWebinar { before: WebinarState { key, .. }, webinar, contributes } = rebuilt;
    let id = match (plan, id) {
        (WebinarPlan::Link, Some(id)) => id,
        (WebinarPlan::Moved, id) => {
            webinars::store(tx.connection, id, key, &Webinar::default(), tx.now)?
        }
        (WebinarPlan::Replace | WebinarPlan::Empty, id) => {
            webinars::store(tx.connection, id, key, webinar, tx.now)?
        }
        (WebinarPlan::Stale | WebinarPlan::Nothing | WebinarPlan::Link, _) => return Ok(()),
    };
    webinars::link(tx.connection, id, replayed, *contributes)?;
    match plan {
        WebinarPlan::Stale | WebinarPlan::Nothing | WebinarPlan::Link => Ok(()),
        WebinarPlan::Empty => {
            let known = event_rows::load_webinar(tx, &key.hubspot, id)?;
            Ok(event_rows::delete(tx, &key.hubspot, removable(known))?)
        }
        WebinarPlan::Moved => {
            let known = event_rows::load_webinar(tx, &key.hubspot, id)?;
            for event in known.values() {
                cancel_event(tx, &key.hubspot, event)?;
            }
            Ok(event_rows::delete(tx, &key.hubspot, removable(known))?)
        }
        WebinarPlan::Replace => {
            let at = tx.dated_now;
            events::reconcile(tx, id, key, webinar, (at, true), ReconcileScope::All)
        }
    }
}

/// Cancels an event that no longer follows, where HubSpot may hold it.
fn cancel_event(
    tx: &mut WriteTx<'_>,
    account: &AccountName,
    event: &KnownEvent,
) -> Result<(), AttemptError> {
    let input = event_rows::last_confirmed_input(tx.connection, event.id)?;
    let cancelled = input.and_then(|input| cancel_moved(&event.row, &input, tx.now));
    let Some(cancelled) = cancelled else { return Ok(()) };
    event_rows::store_confirmed_input(tx.connection, event.id, cancelled.confirmed_input, None)?;
    tx.connection.run(
        "UPDATE events SET input = ?2, due_at = NULL WHERE id = ?1",
        (event.id, cancelled.input),
    )?;
    Ok(event_rows::replace(tx, account, event.id, &event.row, &cancelled.row)?)
}

//! Bringing the events' rows in line with what follows from their webinar.

use rusqlite::OptionalExtension;

use super::event_rows::{self, NewEvent};
use super::transaction::WriteTx;
use super::tx_error::TxError;
use super::webinars;
use crate::event::id::IdError;
use crate::event::{
    AccountName, ExternalAccountId, Millis, Webinar, WebinarId, fold_lazily, step_budget,
};
use crate::ledger::rules::accept::MergeRefused;
use crate::ledger::rules::reconcile::{
    EventChange, Leftover, ReconcileScope, Reconciliation, policy_for, removable,
};

/// A webinar's row and names.
pub(super) struct WebinarRow<'a> {
    pub(super) id: i64,
    pub(super) hubspot: &'a AccountName,
    pub(super) account: &'a ExternalAccountId,
    pub(super) webinar: &'a WebinarId,
}

/// Folds the webinar and brings its events' rows in line.
pub(super) fn reconcile(
    tx: &mut WriteTx<'_>,
    row: &WebinarRow<'_>,
    webinar: &Webinar,
    at: Millis,
    scope: ReconcileScope,
) -> Result<Result<(), MergeRefused>, TxError> {
    // Without any source left in the configuration there are no defaults: the events stay as they are.
    let Some(policy) = policy_for(tx.policies, webinar) else { return Ok(Ok(())) };
    let known = event_rows::load_webinar(tx, row.hubspot, row.id)?;
    let mut reconciliation = Reconciliation::new(known, at, tx.now, scope);
    let (mut steps, mut foreign) = (step_budget(), None);
    for event in fold_lazily(webinar, row.account, row.webinar, policy, tx.now, &mut steps) {
        foreign = carry_out(tx, row, reconciliation.next_change(event))?;
        if foreign.is_some() {
            break;
        }
    }
    tx.steps += step_budget().0 - steps.0;
    if let Some(foreign) = foreign {
        return Ok(Err(MergeRefused::ForeignEvent(foreign)));
    }
    let Leftover { deleted, last_at } = reconciliation.finish();
    event_rows::delete(tx, row.hubspot, deleted)?;
    tx.connection
        .prepare_cached("UPDATE webinars SET last_at = ?2 WHERE id = ?1 AND last_at <> ?2")?
        .execute((row.id, last_at.get()))?;
    Ok(Ok(()))
}

/// Carries out a change; answers the id of an event that is another webinar's.
fn carry_out(
    tx: &mut WriteTx<'_>,
    webinar: &WebinarRow<'_>,
    change: EventChange,
) -> Result<Option<String>, TxError> {
    match change {
        EventChange::Keep => {}
        EventChange::Touch { id, facts } => event_rows::store_facts(tx, id, &facts)?,
        EventChange::Insert { id, row, input, facts } => {
            let event = NewEvent {
                webinar: webinar.id,
                account: webinar.hubspot,
                external_account_id: webinar.account.as_str(),
                external_event_id: id.as_str(),
                row: &row,
                input: input.as_deref(),
                facts: &facts,
            };
            if !event_rows::insert(tx, &event)? {
                return Ok(Some(id.as_str().to_owned()));
            }
        }
        EventChange::Update { id, before, row, input, confirmed_input, facts } => {
            event_rows::store_confirmed_input(tx, id, confirmed_input, None)?;
            event_rows::store_input(tx, id, input.as_deref())?;
            event_rows::store_facts(tx, id, &facts)?;
            event_rows::replace(tx, webinar.hubspot, id, &before, &row)?;
        }
    }
    Ok(None)
}

/// Deletes what may be deleted of a webinar's events: nothing is known of it any more, so none of them follows.
pub(super) fn delete_all(tx: &mut WriteTx<'_>, webinar: &WebinarRow<'_>) -> Result<(), TxError> {
    let known = event_rows::load_webinar(tx, webinar.hubspot, webinar.id)?;
    event_rows::delete(tx, webinar.hubspot, removable(known))
}

/// Folds a webinar again with what is known now.
pub(super) fn refold(tx: &mut WriteTx<'_>, id: i64, scope: ReconcileScope) -> Result<(), TxError> {
    let found: Option<(String, String, String, Vec<u8>)> = tx
        .connection
        .prepare_cached("SELECT hubspot, account, webinar, state FROM webinars WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((hubspot, account, webinar, state)) = found else { return Ok(()) };
    let corrupt = |error: IdError| TxError::corrupt(format!("webinar {id}"), error);
    let hubspot = AccountName::parse(hubspot).map_err(corrupt)?;
    let account = ExternalAccountId::parse(account).map_err(corrupt)?;
    let webinar = WebinarId::parse(webinar).map_err(corrupt)?;
    let row = WebinarRow { id, hubspot: &hubspot, account: &account, webinar: &webinar };
    let known = webinars::read_state(id, &state)?;
    let at = tx.now;
    // The events are the webinar's own already, so none can turn out to be another's.
    reconcile(tx, &row, &known, at, scope)?
        .map_err(|refused| TxError::corrupt(format!("webinar {id}"), refused))?;
    // Without a policy nothing was reconciled, and the timer would be due for ever.
    tx.connection
        .prepare_cached("UPDATE events SET due_at = NULL WHERE webinar = ?1 AND due_at <= ?2")?
        .execute((id, at.get()))?;
    Ok(())
}

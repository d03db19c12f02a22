//! Accepting receipts, and bringing events in line with their webinars.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fetches;
use super::state::{ReceiptRow, StoredEvent, WebinarRow};
use super::transaction::Transaction;
use crate::event::{Change, EventKey, Millis, Webinar, fold};
use crate::ledger::rules::accept::{AcceptPlan, MergeRefused, plan_receipt, quarantined};
use crate::ledger::rules::reconcile::{
    EventChange, KnownEvent, Leftover, ReconcileScope, Reconciliation, policy_for, removable,
};
use crate::ledger::{EventState, NewReceipt, ReceiptOutcome, ReceiptSummary, WebinarKey};

/// Stores a receipt, once, with everything that follows from it.
pub(super) fn accept(tx: &mut Transaction<'_>, receipt: &NewReceipt) -> ReceiptOutcome {
    let plan = plan_receipt(receipt, tx.policies.get(&receipt.source));
    let outcome = carry_out(tx, receipt, plan);
    if outcome != ReceiptOutcome::Duplicate {
        fetches::request(tx, &receipt.source, &receipt.fetch_requests, receipt.received_at);
    }
    outcome
}

fn carry_out(
    tx: &mut Transaction<'_>,
    receipt: &NewReceipt,
    plan: AcceptPlan<'_>,
) -> ReceiptOutcome {
    if is_known(tx, receipt) {
        return ReceiptOutcome::Duplicate;
    }
    match plan {
        AcceptPlan::Store(outcome, reason) => {
            store_receipt(tx, receipt, outcome, reason);
            outcome
        }
        AcceptPlan::Merge(targets) => {
            let before = tx.state.clone();
            let number = store_receipt(tx, receipt, ReceiptOutcome::Accepted, None);
            for (key, change) in &targets {
                if let Err(refused) = merge(tx, receipt, number, key, change) {
                    *tx.state = before;
                    return carry_out(tx, receipt, quarantined(&refused));
                }
            }
            ReceiptOutcome::Accepted
        }
    }
}

fn merge(
    tx: &mut Transaction<'_>,
    receipt: &NewReceipt,
    number: i64,
    key: &WebinarKey,
    change: &Change,
) -> Result<(), MergeRefused> {
    let mut webinar = stored_webinar(tx, key).unwrap_or_default();
    webinar.merge(change, &receipt.provenance(change))?;
    let id = store_webinar(tx, key, webinar, receipt.received_at);
    if let Some(row) = tx.state.webinars.get_mut(&id) {
        row.receipts.insert(number);
    }
    reconcile(tx, id, receipt.received_at, ReconcileScope::All)
}

fn is_known(tx: &Transaction<'_>, receipt: &NewReceipt) -> bool {
    let key = (receipt.source.clone(), receipt.dedupe_key);
    let lasting = (key.0.clone(), key.1, i64::MIN);
    tx.state.dedupe_keys.contains(&key)
        || tx
            .state
            .lasting_keys
            .range(lasting..)
            .next()
            .is_some_and(|(source, dedupe_key, _)| (source, dedupe_key) == (&key.0, &key.1))
}

fn store_receipt(
    tx: &mut Transaction<'_>,
    receipt: &NewReceipt,
    outcome: ReceiptOutcome,
    reason: Option<String>,
) -> i64 {
    let number = tx.state.next_number();
    let summary = ReceiptSummary {
        id: receipt.id,
        kind: receipt.kind,
        source: receipt.source.clone(),
        provider: receipt.provider.clone(),
        event_type: receipt.event_type.clone(),
        received_at: receipt.received_at,
        outcome,
        reason,
        hash: receipt.hash,
    };
    let row = ReceiptRow {
        summary,
        dedupe_key: receipt.dedupe_key,
        has_lasting_key: receipt.lasting_key,
        headers: receipt.headers.as_slice().into(),
        body: (!receipt.body.is_empty()).then(|| receipt.body.as_slice().into()),
    };
    tx.state.receipts.insert(number, row);
    tx.state.receipt_ids.insert(receipt.id, number);
    tx.state.dedupe_keys.insert((receipt.source.clone(), receipt.dedupe_key));
    number
}

fn stored_webinar(tx: &Transaction<'_>, key: &WebinarKey) -> Option<Webinar> {
    let row = tx.state.webinars.get(tx.state.webinar_ids.get(key)?)?;
    Some(Webinar::clone(&row.webinar))
}

/// Stores a webinar; answers its number.
pub(super) fn store_webinar(
    tx: &mut Transaction<'_>,
    key: &WebinarKey,
    webinar: Webinar,
    at: Millis,
) -> i64 {
    let webinar = Arc::new(webinar);
    let known = tx.state.webinar_ids.get(key).copied();
    if let Some(id) = known
        && let Some(row) = tx.state.webinars.get_mut(&id)
    {
        row.webinar = webinar;
        return id;
    }
    let id = tx.state.next_number();
    let (receipts, has_expired_receipts) = (BTreeSet::new(), false);
    let row = WebinarRow { key: key.clone(), webinar, receipts, has_expired_receipts, last_at: at };
    tx.state.webinars.insert(id, row);
    tx.state.webinar_ids.insert(key.clone(), id);
    id
}

/// Folds the webinar and brings its events in line. The caller keeps nothing of it if it is refused.
pub(super) fn reconcile(
    tx: &mut Transaction<'_>,
    webinar: i64,
    at: Millis,
    scope: ReconcileScope,
) -> Result<(), MergeRefused> {
    let Some(row) = tx.state.webinars.get(&webinar).cloned() else { return Ok(()) };
    // Without any source left in the configuration there are no defaults: the events stay as they are.
    let Some(policy) = policy_for(tx.policies, &row.webinar) else { return Ok(()) };
    let mut reconciliation = Reconciliation::new(known_events(tx, webinar), at, tx.now, scope);
    for event in fold(&row.webinar, &row.key.account, &row.key.webinar, policy, tx.now) {
        store_change(tx, webinar, &row.key, reconciliation.next_change(event))?;
    }
    let Leftover { deleted, last_at } = reconciliation.finish();
    for event in deleted {
        tx.state.delete_event(event.id);
    }
    if let Some(row) = tx.state.webinars.get_mut(&webinar) {
        row.last_at = last_at;
    }
    Ok(())
}

fn known_events(tx: &Transaction<'_>, webinar: i64) -> BTreeMap<String, KnownEvent> {
    let known = tx.state.events_of(webinar).map(|(id, event)| {
        let is_claimed = tx.live.is_claimed(&event.key.hubspot, id);
        let known = KnownEvent { id, row: event.row.clone(), is_claimed };
        (event.key.external_event_id.as_str().to_owned(), known)
    });
    known.collect()
}

fn store_change(
    tx: &mut Transaction<'_>,
    webinar: i64,
    of: &WebinarKey,
    change: EventChange,
) -> Result<(), MergeRefused> {
    match change {
        EventChange::Keep => {}
        EventChange::Touch { id, facts } => {
            if let Some(event) = tx.state.events.get_mut(&id) {
                event.facts = facts;
            }
        }
        EventChange::Insert { id, row, input, facts } => {
            let key = EventKey {
                hubspot: of.hubspot.clone(),
                external_account_id: of.account.clone(),
                external_event_id: id,
            };
            if tx.state.event_ids.contains_key(&key) {
                return Err(MergeRefused::ForeignEvent(key.external_event_id.as_str().to_owned()));
            }
            if row.state == EventState::Pending {
                tx.woken.insert(of.hubspot.clone());
            }
            let number = tx.state.next_number();
            tx.state.event_ids.insert(key.clone(), number);
            let input = input.map(Arc::from);
            let event =
                StoredEvent { webinar, key, row: *row, input, confirmed_input: None, facts };
            tx.state.events.insert(number, event);
        }
        EventChange::Update { id, before: _, row, input, confirmed_input, facts } => {
            if let Some(event) = tx.state.events.get_mut(&id) {
                event.store_confirmed_input(confirmed_input, None);
                event.input = input.map(Arc::from);
                event.facts = facts;
            }
            tx.store_row(id, *row);
        }
    }
    Ok(())
}

/// Deletes what may be deleted of a webinar's events: nothing is known of the webinar any more, so none of them follows.
pub(super) fn delete_events(tx: &mut Transaction<'_>, webinar: i64) {
    let deleted = removable(known_events(tx, webinar));
    for event in deleted {
        tx.state.delete_event(event.id);
    }
}

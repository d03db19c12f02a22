//! Accepting receipts, and reconciling events with their webinars.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::repetitions::Recognized;
use super::state::{MemoryEvent, ReceiptRow, sequence_number};
use super::transaction::Transaction;
use super::{MemoryLedger, fetches, repetitions};
use crate::event::freeze::{pass_by_frozen, woken};
use crate::event::{Change, EventKey, ExternalEventId, Millis, fold_with_bases};
use crate::ledger::rules::accept::{
    AcceptPlan, KnownReceipt, MergeRefused, plan_receipt, quarantined, requests_fetches,
    superseded_key,
};
use crate::ledger::rules::base::{StoreAge, base_of_new_event, waits_for_base};
use crate::ledger::rules::ownership::{check_ownership, policy_for};
use crate::ledger::rules::reconcile::{
    EventChange, KnownEvent, Leftover, ReconcileScope, Reconciliation, bases, recurring_mode,
};
use crate::ledger::{
    DuplicateRule, Intake, LedgerError, NewReceipt, ReceiptOutcome, ReceiptSummary, WebinarKey,
};

#[async_trait]
impl Intake for MemoryLedger {
    async fn accept(&self, receipt: NewReceipt) -> Result<ReceiptOutcome, LedgerError> {
        self.write(|tx| accept(tx, &receipt))
    }
}

/// Stores a receipt, unless it is a duplicate, merges its changes, and requests its fetches.
pub(super) fn accept(tx: &mut Transaction<'_>, receipt: &NewReceipt) -> ReceiptOutcome {
    let plan = plan_receipt(receipt, tx.policies.get(&receipt.source));
    let outcome = match repetitions::recognize(&tx.state, receipt, &plan) {
        Recognized::Duplicate => ReceiptOutcome::Duplicate,
        Recognized::New => carry_out(tx, receipt, &plan, None),
        Recognized::InPlaceOf(known) => carry_out(tx, receipt, &plan, Some(known)),
    };
    if requests_fetches(receipt, outcome) {
        let by = receipt.kind.into();
        fetches::request(tx, &receipt.source, &receipt.fetch_requests, by, receipt.received_at);
    }
    outcome
}

fn carry_out(
    tx: &mut Transaction<'_>,
    receipt: &NewReceipt,
    plan: &AcceptPlan<'_>,
    known: Option<KnownReceipt>,
) -> ReceiptOutcome {
    match plan {
        AcceptPlan::Store(outcome, reason) => {
            store_receipt(tx, receipt, receipt.summary(*outcome, reason.clone()), known);
            *outcome
        }
        AcceptPlan::Merge(targets) => {
            let mut summary = receipt.summary(ReceiptOutcome::Accepted, None);
            if let Some(revived) = known.filter(KnownReceipt::is_revived) {
                summary.id = revived.id;
            }
            let merged = tx.attempt(|tx| {
                let number = store_receipt(tx, receipt, summary.clone(), known);
                let mut targets = targets.iter().enumerate();
                targets.try_for_each(|(place, (key, change))| {
                    merge(tx, &summary, number, key, (place, change))
                })
            });
            match (merged, known) {
                (Ok(()), _) => ReceiptOutcome::Accepted,
                (Err(_), Some(known)) if known.outcome == ReceiptOutcome::Quarantined => {
                    ReceiptOutcome::Duplicate
                }
                (Err(refused), known) => carry_out(tx, receipt, &quarantined(&refused), known),
            }
        }
    }
}

fn store_receipt(
    tx: &mut Transaction<'_>,
    receipt: &NewReceipt,
    mut summary: ReceiptSummary,
    known: Option<KnownReceipt>,
) -> i64 {
    let mut body = (!receipt.body.is_empty()).then(|| receipt.body.as_slice().into());
    match known {
        Some(known) if known.is_revived() => {
            let revived = tx.state.receipts.remove(&known.number);
            // A key that is a delivery's id may come with another body.
            let same = revived.filter(|revived| revived.summary.hash == receipt.hash);
            body = same.and_then(|same| same.body).or(body);
            summary.id = known.id;
        }
        Some(known) => {
            if let Some(row) = tx.state.receipts.get_mut(&known.number) {
                row.dedupe_key.1 = superseded_key(&receipt.dedupe_key, known.number);
                row.has_lasting_key = false;
            }
        }
        None => {}
    }
    let number = tx.state.next_number();
    let row = ReceiptRow {
        summary,
        dedupe_key: (receipt.source.clone(), receipt.dedupe_key),
        has_lasting_key: receipt.duplicates == DuplicateRule::Lasting,
        headers: receipt.headers.as_slice().into(),
        body,
        is_doubted: tx.is_clock_doubted,
    };
    tx.state.receipts.insert(number, row);
    number
}

fn merge(
    tx: &mut Transaction<'_>,
    receipt: &ReceiptSummary,
    number: i64,
    key: &WebinarKey,
    (place, change): (usize, &Change),
) -> Result<(), MergeRefused> {
    let row = tx.state.webinar_row(key, receipt.received_at);
    check_ownership(tx.policies, &receipt.source, &row.webinar)?;
    let recurring = recurring_mode(tx.policies, &row.webinar, &receipt.source);
    let mut order = row.webinar.next_order(sequence_number(number), receipt.received_at);
    if change.occurred_at.is_some_and(|at| row.webinar.has_write_at(at, receipt.id)) {
        order.seq = tx.state.first_of_body(key, receipt.hash).unwrap_or(order.seq);
    }
    let frozen = tx.state.frozen_occurrences(key);
    let change = pass_by_frozen(change, &frozen);
    for occurrence in woken(&change, &frozen) {
        let event = ExternalEventId::for_occurrence(&key.webinar, occurrence);
        tx.state.wake_event(key, &event, sequence_number(number));
    }
    let arrived = (receipt.received_at, tx.is_clock_doubted);
    let awaited = tx.state.awaited_occurrences(key, tx.now);
    let row = tx.state.webinar_row(key, receipt.received_at);
    let webinar = Arc::make_mut(&mut row.webinar);
    let frozen = webinar.freeze_for(&change, arrived, recurring, &awaited);
    webinar.merge(&change, &receipt.provenance(&change, place, order))?;
    row.receipts.entry(number).or_insert(order);
    for occurrence in frozen {
        tx.state.freeze_event(key, &ExternalEventId::for_occurrence(&key.webinar, &occurrence));
    }
    reconcile(tx, key, (receipt.received_at, true), ReconcileScope::All)
}

/// Folds the webinar and reconciles its events. The caller keeps nothing of it if it is refused.
pub(super) fn reconcile(
    tx: &mut Transaction<'_>,
    key: &WebinarKey,
    (at, has_news): (Millis, bool),
    scope: ReconcileScope,
) -> Result<(), MergeRefused> {
    let Some(row) = tx.state.webinars.get(key) else { return Ok(()) };
    let webinar = Arc::clone(&row.webinar);
    // Without any source left in the configuration there are no defaults: the events stay as they are.
    let Some(policy) = policy_for(tx.policies, &webinar) else { return Ok(()) };
    let known = known_events(tx, key);
    let unborn = StoreAge::new(tx.now);
    let age = tx.state.age.unwrap_or(unborn);
    let of_new = base_of_new_event(&webinar, age);
    let bases = bases(&known, of_new, tx.now, tx.is_clock_doubted);
    let mut reconciliation = Reconciliation::new(known, &bases, at, tx.now, scope);
    if !has_news {
        reconciliation = reconciliation.without_news();
    }
    let time = tx.timer_time();
    for event in fold_with_bases(&webinar, &bases, &key.account, &key.webinar, &policy, time) {
        let held = reconciliation.held_but_filtered(&event);
        let held = held.and_then(|id| tx.state.events.get(&id)?.last_confirmed_input().cloned());
        store_change(tx, key, reconciliation.next_change(event, held.as_deref()))?;
    }
    let Leftover { deleted, last_at, is_timeless } = reconciliation.finish();
    for event in deleted {
        tx.state.events.remove(&event.id);
    }
    let row = tx.state.webinar_row(key, at);
    (row.last_at, row.is_timeless) = (last_at, is_timeless);
    Ok(())
}

/// The webinar's events, by external id.
pub(super) fn known_events(
    tx: &Transaction<'_>,
    webinar: &WebinarKey,
) -> BTreeMap<String, KnownEvent> {
    let known = tx.state.events_of(webinar).map(|(id, event)| {
        let is_claimed = tx.live.is_claimed(&event.key.hubspot, id);
        let known = KnownEvent { id, row: event.row.clone(), is_claimed, timer: event.facts.timer };
        (event.key.external_event_id.as_str().to_owned(), known)
    });
    known.collect()
}

fn store_change(
    tx: &mut Transaction<'_>,
    webinar: &WebinarKey,
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
                hubspot: webinar.hubspot.clone(),
                external_account_id: webinar.account.clone(),
                external_event_id: id,
            };
            if tx.state.find_event(&key).is_some() {
                return Err(MergeRefused::ForeignEvent(key.external_event_id.as_str().to_owned()));
            }
            let event = MemoryEvent {
                webinar: webinar.clone(),
                key,
                row: *row,
                input: input.map(Arc::from),
                confirmed_input: None,
                facts,
            };
            if event.is_pending() || waits_for_base(&event.row) {
                tx.woken.insert(webinar.hubspot.clone());
            }
            let number = tx.state.next_number();
            tx.state.events.insert(number, event);
        }
        EventChange::Update { id, before: _, row, input, confirmed_input, facts } => {
            if let Some(event) = tx.state.events.get_mut(&id) {
                event.store_confirmed_input(confirmed_input, None);
                event.input = input.map(Arc::from);
                event.facts = facts;
                event.store_row(*row, &mut tx.woken);
            }
        }
    }
    Ok(())
}

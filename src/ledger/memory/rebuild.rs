//! Webinars as replaying reads them, and their replacement.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::state::{MemoryWebinar, State, sequence_number};
use super::transaction::Transaction;
use super::{MemoryLedger, merge};
use crate::event::webinar::ReceiptOrder;
use crate::event::{ReceiptId, Webinar};
use crate::ledger::rules::rebuild::{
    WebinarPlan, cancel_moved, check_rebuild, covers_all_webinars, is_moved, plan_webinar,
};
use crate::ledger::rules::reconcile::{ReconcileScope, removable};
use crate::ledger::{
    LedgerError, Page, RebuildRequest, RebuildResult, Rebuilds, RebuiltWebinar, ReceiptRecord,
    WebinarKey, WebinarState,
};

/// Bytes of bodies in one page, unless the first body is longer.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

#[async_trait]
impl Rebuilds for MemoryLedger {
    async fn webinars_of(&self, receipt: ReceiptId) -> Result<Vec<WebinarState>, LedgerError> {
        let state = self.store.lock();
        Ok(built_by(&state, receipt).map(|key| webinar_state(&state, key)).collect())
    }

    async fn webinar_state(&self, key: &WebinarKey) -> Result<WebinarState, LedgerError> {
        Ok(webinar_state(&self.store.lock(), key))
    }

    async fn receipts_of(
        &self,
        key: &WebinarKey,
        after: Option<i64>,
    ) -> Result<Page<ReceiptRecord>, LedgerError> {
        let state = self.store.lock();
        let numbers = state.webinars.get(key).into_iter().flat_map(|row| row.receipts.keys());
        let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
        for number in numbers.copied().filter(|number| after.is_none_or(|after| *number > after)) {
            let receipt = &state.receipts[&number];
            bytes += receipt.body.as_deref().map_or(0, <[u8]>::len);
            if bytes > MAX_BODY_BYTES && last.is_some() {
                return Ok(Page { items, next: last });
            }
            items.push(receipt.record(number));
            last = Some(number);
        }
        Ok(Page { items, next: None })
    }

    async fn rebuild(&self, request: RebuildRequest) -> Result<RebuildResult, LedgerError> {
        self.write(|tx| tx.attempt(|tx| rebuild(tx, &request)).err().unwrap_or(RebuildResult::Done))
    }
}

/// The webinars that a receipt built.
fn built_by(state: &State, receipt: ReceiptId) -> impl Iterator<Item = &WebinarKey> {
    let number = state.find_receipt(receipt).map(|(number, _)| number);
    let built =
        move |row: &MemoryWebinar| number.is_some_and(|number| row.receipts.contains_key(&number));
    state.webinars.iter().filter(move |(_, row)| built(row)).map(|(key, _)| key)
}

/// A webinar; an empty one if it is not there.
fn webinar_state(state: &State, key: &WebinarKey) -> WebinarState {
    let Some(row) = state.webinars.get(key) else {
        return WebinarState::new(key.clone(), Webinar::default(), false, &[], BTreeMap::new());
    };
    let orders = row.receipts.iter();
    let orders: BTreeMap<ReceiptId, ReceiptOrder> =
        orders.map(|(number, order)| (state.receipts[number].summary.id, *order)).collect();
    let receipts = row.receipts.keys().map(|number| state.receipts[number].summary.id);
    let receipts: Vec<ReceiptId> = receipts.collect();
    let webinar = Webinar::clone(&row.webinar);
    let frozen = state.frozen_occurrences(key);
    let built =
        WebinarState::new(key.clone(), webinar, row.has_expired_receipts, &receipts, orders);
    WebinarState { frozen, ..built }
}

/// Replaces the webinars of a rebuild. The caller keeps nothing of it if there is a reason against it.
fn rebuild(tx: &mut Transaction<'_>, request: &RebuildRequest) -> Result<(), RebuildResult> {
    let (replayed, _) = tx.state.find_receipt(request.receipt).ok_or(RebuildResult::Unknown)?;
    let built: Vec<WebinarKey> = built_by(&tx.state, request.receipt).cloned().collect();
    if !covers_all_webinars(request, &built) {
        return Err(RebuildResult::Stale);
    }
    let source = tx.state.receipts[&replayed].summary.source.clone();
    for rebuilt in &request.webinars {
        check_rebuild(tx.policies, &source, rebuilt)
            .map_err(|refused| RebuildResult::Refused(refused.to_string()))?;
        replace(tx, rebuilt, is_moved(request, rebuilt), replayed)?;
    }
    if let Some(receipt) = tx.state.receipts.get_mut(&replayed) {
        receipt.summary.outcome = request.outcome;
        receipt.summary.reason.clone_from(&request.reason);
    }
    Ok(())
}

fn replace(
    tx: &mut Transaction<'_>,
    rebuilt: &RebuiltWebinar,
    is_moved: bool,
    replayed: i64,
) -> Result<(), RebuildResult> {
    let RebuiltWebinar { before, webinar, contributes } = rebuilt;
    let key = &before.key;
    let exists = tx.state.webinars.contains_key(key);
    let plan = plan_webinar(rebuilt, &webinar_state(&tx.state, key), exists, is_moved);
    match plan {
        WebinarPlan::Stale => return Err(RebuildResult::Stale),
        WebinarPlan::Nothing => return Ok(()),
        WebinarPlan::Link | WebinarPlan::Replace | WebinarPlan::Empty | WebinarPlan::Moved => {}
    }
    let received_at =
        tx.state.receipts.get(&replayed).map_or(tx.now, |row| row.summary.received_at);
    let row = tx.state.webinar_row(key, tx.now);
    row.webinar = match plan {
        WebinarPlan::Moved => Arc::default(),
        WebinarPlan::Stale
        | WebinarPlan::Nothing
        | WebinarPlan::Link
        | WebinarPlan::Replace
        | WebinarPlan::Empty => Arc::new(webinar.clone()),
    };
    if *contributes {
        let order = ReceiptOrder { seq: sequence_number(replayed), at: received_at };
        row.receipts.entry(replayed).or_insert(order);
    } else {
        row.receipts.remove(&replayed);
    }
    match plan {
        WebinarPlan::Stale | WebinarPlan::Nothing | WebinarPlan::Link => {}
        // Nothing is known of the webinar any more, so none of its events follows.
        WebinarPlan::Empty | WebinarPlan::Moved => {
            if plan == WebinarPlan::Moved {
                cancel_events(tx, key);
            }
            for event in removable(merge::known_events(tx, key)) {
                tx.state.events.remove(&event.id);
            }
        }
        WebinarPlan::Replace => {
            merge::reconcile(tx, key, (tx.dated_now, true), ReconcileScope::All)
                .map_err(|refused| RebuildResult::Refused(refused.to_string()))?;
        }
    }
    Ok(())
}

/// Cancels the events of a webinar that no longer follow, where HubSpot may hold them.
fn cancel_events(tx: &mut Transaction<'_>, webinar: &WebinarKey) {
    let (now, woken) = (tx.now, &mut tx.woken);
    for event in tx.state.events.values_mut().filter(|event| event.webinar == *webinar) {
        let cancelled =
            event.last_confirmed_input().and_then(|input| cancel_moved(&event.row, input, now));
        let Some(cancelled) = cancelled else { continue };
        event.store_confirmed_input(cancelled.confirmed_input, None);
        event.input = Some(cancelled.input.into());
        event.facts.due_at = None;
        event.store_row(cancelled.row, woken);
    }
}

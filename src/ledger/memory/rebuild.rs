//! Webinars as replaying reads them, and their replacement.

use super::merge;
use super::state::{State, WebinarRow};
use super::transaction::Transaction;
use crate::event::{ReceiptId, Webinar};
use crate::ledger::rules::rebuild::{
    ReceiptChecksum, WebinarPlan, covers_all_webinars, plan_webinar,
};
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::{
    ContributingReceipt, Page, RebuildRequest, RebuildResult, RebuiltWebinar, WebinarKey,
    WebinarState,
};

/// Bytes of bodies in one page, unless the first body is longer.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// The webinars that a receipt built.
pub(super) fn webinars_of(state: &State, receipt: ReceiptId) -> Vec<WebinarState> {
    let Some(number) = state.receipt_ids.get(&receipt) else { return Vec::new() };
    built_by(state, *number).map(|row| webinar_state(state, &row.key)).collect()
}

fn built_by(state: &State, receipt: i64) -> impl Iterator<Item = &WebinarRow> {
    state.webinars.values().filter(move |row| row.receipts.contains(&receipt))
}

/// A webinar; an empty one if it is not there.
pub(super) fn webinar_state(state: &State, key: &WebinarKey) -> WebinarState {
    let row = state.webinar_ids.get(key).and_then(|id| state.webinars.get(id));
    let numbers = row.into_iter().flat_map(|row| &row.receipts);
    let receipts: Vec<ReceiptId> =
        numbers.map(|number| state.receipts[number].summary.id).collect();
    let webinar = row.map_or_else(Webinar::default, |row| Webinar::clone(&row.webinar));
    let retained = receipts.iter().filter(|id| webinar.origins.contains_key(id)).copied().collect();
    WebinarState {
        key: key.clone(),
        webinar,
        has_expired_receipts: row.is_some_and(|row| row.has_expired_receipts),
        retained,
        receipt_checksum: ReceiptChecksum::from_receipts(receipts),
    }
}

/// A page of the retained receipts that built a webinar, oldest first.
pub(super) fn receipts_of(
    state: &State,
    key: &WebinarKey,
    after: Option<i64>,
) -> Page<ContributingReceipt> {
    let row = state.webinar_ids.get(key).and_then(|id| state.webinars.get(id));
    let numbers = row.into_iter().flat_map(|row| &row.receipts);
    let numbers = numbers.copied().filter(|number| after.is_none_or(|after| *number > after));
    let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
    for number in numbers {
        let receipt = &state.receipts[&number];
        bytes += receipt.body.as_deref().map_or(0, <[u8]>::len);
        if bytes > MAX_BODY_BYTES && last.is_some() {
            return Page { items, next: last };
        }
        items.push(ContributingReceipt {
            receipt: receipt.summary.clone(),
            headers: receipt.headers.to_vec(),
            body: receipt.body.as_deref().map(<[u8]>::to_vec),
        });
        last = Some(number);
    }
    Page { items, next: None }
}

/// Replaces the webinars of a rebuild. The caller keeps nothing of it unless the answer is [`RebuildResult::Done`].
pub(super) fn rebuild(tx: &mut Transaction<'_>, request: &RebuildRequest) -> RebuildResult {
    let Some(replayed) = tx.state.receipt_ids.get(&request.receipt).copied() else {
        return RebuildResult::Unknown;
    };
    let built: Vec<WebinarKey> = built_by(tx.state, replayed).map(|row| row.key.clone()).collect();
    if !covers_all_webinars(request, &built) {
        return RebuildResult::Stale;
    }
    for rebuilt in &request.webinars {
        if let Err(stop) = replace(tx, rebuilt, replayed) {
            return stop;
        }
    }
    if let Some(receipt) = tx.state.receipts.get_mut(&replayed) {
        receipt.summary.outcome = request.outcome;
        receipt.summary.reason.clone_from(&request.reason);
    }
    RebuildResult::Done
}

fn replace(
    tx: &mut Transaction<'_>,
    rebuilt: &RebuiltWebinar,
    replayed: i64,
) -> Result<(), RebuildResult> {
    let RebuiltWebinar { before, webinar, contributes } = rebuilt;
    let stored = webinar_state(tx.state, &before.key);
    let exists = tx.state.webinar_ids.contains_key(&before.key);
    let plan = plan_webinar(rebuilt, &stored, exists);
    match plan {
        WebinarPlan::Stale => return Err(RebuildResult::Stale),
        WebinarPlan::Nothing => return Ok(()),
        WebinarPlan::Link | WebinarPlan::Replace | WebinarPlan::Empty => {}
    }
    let id = merge::store_webinar(tx, &before.key, webinar.clone(), tx.now);
    if let Some(row) = tx.state.webinars.get_mut(&id) {
        if *contributes {
            row.receipts.insert(replayed);
        } else {
            row.receipts.remove(&replayed);
        }
    }
    match plan {
        WebinarPlan::Stale | WebinarPlan::Nothing | WebinarPlan::Link => Ok(()),
        WebinarPlan::Empty => {
            merge::delete_events(tx, id);
            Ok(())
        }
        WebinarPlan::Replace => merge::reconcile(tx, id, tx.now, ReconcileScope::All)
            .map_err(|refused| RebuildResult::Refused(refused.to_string())),
    }
}

//! Storing a receipt and merging its changes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rusqlite::params;

use super::statements::Statements as _;
use super::transaction::{AttemptError, WriteTx};
use super::values::Json;
use super::{event_rows, events, fetches, frozen, repetitions, webinars};
use crate::event::freeze::{pass_by_frozen, woken};
use crate::event::{Change, ExternalEventId};
use crate::ledger::rules::accept::{
    AcceptPlan, KnownReceipt, MergeRefused, plan_receipt, quarantined, requests_fetches,
};
use crate::ledger::rules::ownership::check_ownership;
use crate::ledger::rules::reconcile::{ReconcileScope, recurring_mode};
use crate::ledger::{
    DuplicateRule, LedgerError, NewReceipt, ReceiptOutcome, ReceiptSummary, WebinarKey,
};

/// Stores a receipt, unless it is a duplicate, and merges its changes.
pub(super) fn accept(
    tx: &mut WriteTx<'_>,
    receipt: &NewReceipt,
) -> Result<ReceiptOutcome, LedgerError> {
    let plan = plan_receipt(receipt, tx.policies.get(&receipt.source));
    let mut outcome = carry_out(tx, receipt, &plan, None)?;
    if outcome == ReceiptOutcome::Duplicate {
        outcome = accept_repetition(tx, receipt, &plan)?;
    }
    if requests_fetches(receipt, outcome) {
        let requests = &receipt.fetch_requests;
        let by = receipt.kind.into();
        fetches::request(tx, &receipt.source, requests, by, receipt.received_at)?;
    }
    Ok(outcome)
}

/// Stores a receipt whose key is known, unless it is a duplicate.
fn accept_repetition(
    tx: &mut WriteTx<'_>,
    receipt: &NewReceipt,
    plan: &AcceptPlan<'_>,
) -> Result<ReceiptOutcome, LedgerError> {
    match repetitions::find_unless_duplicate(tx, receipt, plan)? {
        None => Ok(ReceiptOutcome::Duplicate),
        Some(known) => carry_out(tx, receipt, plan, Some(known)),
    }
}

/// Stores the receipt as planned, in the place of the `known` one if there is one. It is a duplicate if its key is
/// known otherwise.
fn carry_out(
    tx: &mut WriteTx<'_>,
    receipt: &NewReceipt,
    plan: &AcceptPlan<'_>,
    known: Option<KnownReceipt>,
) -> Result<ReceiptOutcome, LedgerError> {
    match plan {
        AcceptPlan::Store(outcome, reason) => {
            let stored = store(tx, receipt, *outcome, reason.as_deref(), known)?;
            Ok(stored.map_or(ReceiptOutcome::Duplicate, |_| *outcome))
        }
        AcceptPlan::Merge(targets) => {
            let mut summary = receipt.summary(ReceiptOutcome::Accepted, None);
            let merged = tx.attempt(|tx| {
                let Some(seq) = store(tx, receipt, ReceiptOutcome::Accepted, None, known)? else {
                    return Ok(ReceiptOutcome::Duplicate);
                };
                if let Some(revived) = known.filter(KnownReceipt::is_revived) {
                    summary.id = revived.id;
                }
                for (place, (key, change)) in targets.iter().enumerate() {
                    merge(tx, &summary, key, (place, change), seq)?;
                }
                Ok(ReceiptOutcome::Accepted)
            });
            match (merged, known) {
                (Ok(outcome), _) => Ok(outcome),
                (Err(AttemptError::Store(error)), _) => Err(error),
                (Err(AttemptError::Refused(_)), Some(known))
                    if known.outcome == ReceiptOutcome::Quarantined =>
                {
                    Ok(ReceiptOutcome::Duplicate)
                }
                (Err(AttemptError::Refused(refused)), known) => {
                    carry_out(tx, receipt, &quarantined(&refused), known)
                }
            }
        }
    }
}

/// Stores the receipt; none if it was there already.
fn store(
    tx: &mut WriteTx<'_>,
    receipt: &NewReceipt,
    outcome: ReceiptOutcome,
    reason: Option<&str>,
    known: Option<KnownReceipt>,
) -> rusqlite::Result<Option<i64>> {
    match known {
        Some(known) if known.is_revived() => {
            return repetitions::revive(tx, receipt, outcome, reason, known).map(Some);
        }
        Some(known) => repetitions::supersede(tx, receipt, known)?,
        None => {}
    }
    let place = (!receipt.body.is_empty()).then(|| tx.segment.push(&receipt.body));
    let number = tx.numbers.next();
    let inserted = tx.connection.change(
        "INSERT INTO receipts (seq, id, source, dedupe_key, provider, event_type, outcome, reason,
             received_at, hash, body_id, body_offset, body_length, kind, headers, lasting, doubted)
         SELECT ?18, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16
         WHERE ?17 OR NOT EXISTS
             (SELECT 1 FROM lasting_keys WHERE source = ?2 AND dedupe_key = ?3)
         ON CONFLICT (source, dedupe_key) DO NOTHING",
        params![
            receipt.id,
            &receipt.source,
            receipt.dedupe_key,
            &receipt.provider,
            &receipt.event_type,
            outcome,
            reason,
            receipt.received_at,
            receipt.hash,
            place.map(|place| place.id),
            place.map(|place| place.offset),
            place.map(|place| place.length),
            receipt.kind,
            (!receipt.headers.is_empty()).then_some(Json(&receipt.headers)),
            receipt.duplicates == DuplicateRule::Lasting,
            tx.is_clock_doubted,
            receipt.duplicates.may_repeat(),
            number,
        ],
    )?;
    if inserted == 0 {
        if let Some(place) = place {
            tx.segment.truncate(usize::try_from(place.offset).unwrap_or(0));
        }
        return Ok(None);
    }
    Ok(Some(number))
}

fn merge(
    tx: &mut WriteTx<'_>,
    receipt: &ReceiptSummary,
    key: &WebinarKey,
    (place, change): (usize, &Change),
    seq: i64,
) -> Result<(), AttemptError> {
    let found = webinars::find(tx.connection, key)?;
    let (id, webinar) = found.map(|found| (found.id, found.webinar)).unzip();
    let mut webinar = webinar.unwrap_or_default();
    check_ownership(tx.policies, &receipt.source, &webinar)?;
    let mut order = webinar.next_order(webinars::sequence_number(seq), receipt.received_at);
    let is_repeated = change.occurred_at.is_some_and(|at| webinar.has_write_at(at, receipt.id));
    if let Some(id) = id.filter(|_| is_repeated) {
        let first = webinars::first_of_body(tx.connection, id, receipt.hash)?;
        order.seq = first.unwrap_or(order.seq);
    }
    let change = match id.filter(|_| webinar.has_frozen) {
        Some(id) => {
            let frozen = frozen::frozen_among(tx.connection, key, &webinar, change)?;
            let change = pass_by_frozen(change, &frozen);
            for occurrence in woken(&change, &frozen) {
                let event = ExternalEventId::for_occurrence(&key.webinar, occurrence);
                event_rows::wake(tx.connection, id, &event, webinars::sequence_number(seq))?;
            }
            change
        }
        None => Cow::Borrowed(change),
    };
    let recurring = recurring_mode(tx.policies, &webinar, &receipt.source);
    let arrived = (receipt.received_at, tx.is_clock_doubted);
    let awaited = match id.filter(|_| !webinar.occurrences.is_empty()) {
        Some(id) => frozen::awaited_occurrences(tx, id, &key.webinar)?,
        None => BTreeSet::new(),
    };
    for occurrence in webinar.freeze_for(&change, arrived, recurring, &awaited) {
        let event = ExternalEventId::for_occurrence(&key.webinar, &occurrence);
        if let Some(id) = id {
            event_rows::freeze(tx.connection, id, &event)?;
        }
    }
    let provenance = receipt.provenance(&change, place, order);
    webinar.merge(&change, &provenance).map_err(MergeRefused::from)?;
    let id = webinars::store(tx.connection, id, key, &webinar, receipt.received_at)?;
    webinars::link_new(tx.connection, id, seq, receipt.received_at, order)?;
    events::reconcile(tx, id, key, &webinar, (receipt.received_at, true), ReconcileScope::All)
}

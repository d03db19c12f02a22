//! Storing one receipt and merging its changes.

use super::receipts::{headers_text, kind_code, outcome_code};
use super::transaction::WriteTx;
use super::tx_error::TxError;
use super::{events, fetches, webinars};
use crate::event::Change;
use crate::ledger::rules::accept::{AcceptPlan, MergeRefused, plan_receipt, quarantined};
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::{NewReceipt, ReceiptOutcome, WebinarKey};

/// Stores a receipt, once, with everything that follows from it.
pub(super) fn accept(
    tx: &mut WriteTx<'_>,
    receipt: &NewReceipt,
) -> Result<ReceiptOutcome, TxError> {
    let plan = plan_receipt(receipt, tx.policies.get(&receipt.source));
    let outcome = carry_out(tx, receipt, plan)?;
    if outcome != ReceiptOutcome::Duplicate {
        fetches::request(tx, &receipt.source, &receipt.fetch_requests, receipt.received_at)?;
    }
    Ok(outcome)
}

fn carry_out(
    tx: &mut WriteTx<'_>,
    receipt: &NewReceipt,
    plan: AcceptPlan<'_>,
) -> Result<ReceiptOutcome, TxError> {
    match plan {
        AcceptPlan::Store(outcome, reason) => {
            let stored = store(tx, receipt, outcome, reason.as_deref())?;
            Ok(stored.map_or(ReceiptOutcome::Duplicate, |_| outcome))
        }
        AcceptPlan::Merge(targets) => {
            let merged = tx.attempt(|tx| {
                let Some(seq) = store(tx, receipt, ReceiptOutcome::Accepted, None)? else {
                    return Ok(Ok(ReceiptOutcome::Duplicate));
                };
                for (key, change) in &targets {
                    if let Err(refused) = merge(tx, receipt, key, change, seq)? {
                        return Ok(Err(refused));
                    }
                }
                Ok(Ok(ReceiptOutcome::Accepted))
            })?;
            match merged {
                Ok(outcome) => Ok(outcome),
                Err(refused) => carry_out(tx, receipt, quarantined(&refused)),
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
) -> Result<Option<i64>, TxError> {
    let place = (!receipt.body.is_empty()).then(|| tx.segment.push(&receipt.body));
    let mut insert = tx.connection.prepare_cached(
        "INSERT INTO receipts (id, source, dedupe_key, provider, event_type, outcome, reason,
             received_at, hash, body_id, body_offset, body_length, kind, headers, lasting)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15
         WHERE NOT EXISTS (SELECT 1 FROM lasting_keys WHERE source = ?2 AND dedupe_key = ?3)
         ON CONFLICT (source, dedupe_key) DO NOTHING",
    )?;
    let inserted = insert.execute((
        receipt.id.as_bytes().as_slice(),
        receipt.source.as_str(),
        receipt.dedupe_key.as_slice(),
        receipt.provider.as_str(),
        &receipt.event_type,
        outcome_code(outcome),
        reason,
        receipt.received_at.get(),
        receipt.hash.to_bytes().as_slice(),
        place.map(|place| place.id),
        place.map(|place| place.offset),
        place.map(|place| place.length),
        kind_code(receipt.kind),
        headers_text(&receipt.headers),
        receipt.lasting_key,
    ))?;
    if inserted == 0 {
        if let Some(place) = place {
            tx.segment.rewind(usize::try_from(place.offset).unwrap_or(0));
        }
        return Ok(None);
    }
    Ok(Some(tx.connection.last_insert_rowid()))
}

fn merge(
    tx: &mut WriteTx<'_>,
    receipt: &NewReceipt,
    key: &WebinarKey,
    change: &Change,
    seq: i64,
) -> Result<Result<(), MergeRefused>, TxError> {
    let WebinarKey { hubspot, account, webinar: name } = key;
    let found = webinars::find(tx.connection, webinars::sql_key(key))?;
    let (id, webinar) = found.map(|found| (found.id, found.webinar)).unzip();
    let mut webinar = webinar.unwrap_or_default();
    if let Err(refused) = webinar.merge(change, &receipt.provenance(change)) {
        return Ok(Err(refused.into()));
    }
    let id = webinars::store(tx, id, webinars::sql_key(key), &webinar, receipt.received_at)?;
    webinars::link(tx, id, seq)?;
    let row = events::WebinarRow { id, hubspot, account, webinar: name };
    events::reconcile(tx, &row, &webinar, receipt.received_at, ReconcileScope::All)
}

//! Receipts whose key is known: whether they are duplicates, and how they take the place of the known one.

use super::statements::Statements as _;
use super::transaction::WriteTx;
use super::values::Json;
use crate::event::ExternalAccountId;
use crate::ledger::rules::accept::{
    AcceptPlan, KnownReceipt, Repetition, judge_repetition, superseded_key,
};
use crate::ledger::{DuplicateRule, LedgerError, NewReceipt, ReceiptOutcome, WebinarKey};

/// The receipt with the key of a new one, in whose place that is stored; none if the new one is a duplicate.
pub(super) fn find_unless_duplicate(
    tx: &WriteTx<'_>,
    receipt: &NewReceipt,
    plan: &AcceptPlan<'_>,
) -> Result<Option<KnownReceipt>, LedgerError> {
    let known = tx.connection.first(
        "SELECT seq, id, outcome, received_at FROM receipts WHERE source = ?1 AND dedupe_key = ?2",
        (&receipt.source, receipt.dedupe_key),
        |row| {
            Ok(KnownReceipt {
                number: row.get(0)?,
                id: row.get(1)?,
                outcome: row.get(2)?,
                received_at: row.get(3)?,
            })
        },
    )?;
    // Without a receipt, only its lasting key is left.
    let Some(known) = known else { return Ok(None) };
    let is_duplicate = match judge_repetition(receipt, plan, &known) {
        Repetition::Duplicate => true,
        Repetition::Revival => false,
        Repetition::UnlessLast => {
            let number = u64::try_from(known.number).unwrap_or(0);
            !tx.live.age().is_of_copy(number) && is_last(tx, &known, plan)?
        }
        Repetition::UnlessRequested => is_requested(tx, receipt)?,
    };
    Ok((!is_duplicate).then_some(known))
}

/// Whether the receipt is the last one of every webinar of the plan.
fn is_last(
    tx: &WriteTx<'_>,
    known: &KnownReceipt,
    plan: &AcceptPlan<'_>,
) -> rusqlite::Result<bool> {
    for WebinarKey { hubspot, account, webinar } in plan.webinars() {
        let last: Option<i64> = tx.connection.value(
            "SELECT max(receipt) FROM webinar_receipts WHERE webinar =
                 (SELECT id FROM webinars WHERE hubspot = ?1 AND account = ?2 AND webinar = ?3)",
            (hubspot, account, webinar),
        )?;
        if last != Some(known.number) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether all fetches that the receipt requests are requested already.
fn is_requested(tx: &WriteTx<'_>, receipt: &NewReceipt) -> rusqlite::Result<bool> {
    for request in &receipt.fetch_requests {
        let account = request.account.as_ref().map_or("", ExternalAccountId::as_str);
        let is_open: bool = tx.connection.value(
            "SELECT EXISTS (SELECT 1 FROM fetches
                 WHERE source = ?1 AND webinar = ?2 AND account = ?3 AND state = 0)",
            (&receipt.source, &request.webinar, account),
        )?;
        if !is_open {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Gives the key of an accepted receipt to the new one.
pub(super) fn supersede(
    tx: &WriteTx<'_>,
    receipt: &NewReceipt,
    known: KnownReceipt,
) -> rusqlite::Result<()> {
    tx.connection.run(
        "UPDATE receipts SET dedupe_key = ?2, lasting = 0 WHERE seq = ?1",
        (known.number, superseded_key(&receipt.dedupe_key, known.number)),
    )
}

/// Brings a receipt without content up to date; returns its new number, which is that of a receipt of now.
pub(super) fn revive(
    tx: &mut WriteTx<'_>,
    receipt: &NewReceipt,
    outcome: ReceiptOutcome,
    reason: Option<&str>,
    known: KnownReceipt,
) -> rusqlite::Result<i64> {
    let has_body: bool = tx.connection.value(
        "SELECT EXISTS
             (SELECT 1 FROM receipts WHERE seq = ?1 AND body_id IS NOT NULL AND hash = ?2)",
        (known.number, receipt.hash),
    )?;
    // A key that is a delivery's id may come with another body.
    let adds_body = !has_body && !receipt.body.is_empty();
    let place = adds_body.then(|| tx.segment.push(&receipt.body));
    let number = tx.numbers.next();
    tx.connection.run(
        "UPDATE receipts SET seq = ?2, event_type = ?3, outcome = ?4, reason = ?5,
             received_at = ?6, headers = ?7, lasting = ?8, body_id = coalesce(?9, body_id),
             body_offset = coalesce(?10, body_offset), body_length = coalesce(?11, body_length),
             hash = ?12, doubted = ?13
         WHERE seq = ?1",
        (
            known.number,
            number,
            &receipt.event_type,
            outcome,
            reason,
            receipt.received_at,
            (!receipt.headers.is_empty()).then_some(Json(&receipt.headers)),
            receipt.duplicates == DuplicateRule::Lasting,
            place.map(|place| place.id),
            place.map(|place| place.offset),
            place.map(|place| place.length),
            receipt.hash,
            tx.is_clock_doubted,
        ),
    )?;
    Ok(number)
}

//! Storing one receipt and merging what it says.

use super::job::{TxError, WriteTx};
use super::receipts::{headers_text, kind_code, outcome_code};
use super::{events, fetches, webinars};
use crate::event::{
    Change, ExternalAccountId, MergeError, Millis, MissingExternalAccount, Policy, Webinar,
};
use crate::ledger::{NewReceipt, ReceiptContent, ReceiptOutcome};

/// Stores a receipt, once, with everything that follows from it.
pub(super) fn accept(
    desk: &mut WriteTx<'_>,
    receipt: &NewReceipt,
) -> Result<ReceiptOutcome, TxError> {
    let acceptance = store_and_merge(desk, receipt)?;
    if acceptance != ReceiptOutcome::Duplicate {
        fetches::request(desk, &receipt.source, &receipt.fetch_requests, receipt.received_at)?;
    }
    Ok(acceptance)
}

fn store_and_merge(
    desk: &mut WriteTx<'_>,
    receipt: &NewReceipt,
) -> Result<ReceiptOutcome, TxError> {
    match &receipt.content {
        ReceiptContent::Ignored => {
            let stored = store(desk, receipt, ReceiptOutcome::Ignored, None)?;
            Ok(stored.map_or(ReceiptOutcome::Duplicate, |_| ReceiptOutcome::Ignored))
        }
        ReceiptContent::Quarantined(reason) => quarantine(desk, receipt, reason),
        ReceiptContent::Changes(changes) => {
            let merged = desk.attempt(|desk| {
                let Some(seq) = store(desk, receipt, ReceiptOutcome::Accepted, None)? else {
                    return Ok(Ok(ReceiptOutcome::Duplicate));
                };
                let merged = merge_all(desk, receipt, changes, seq)?;
                Ok(merged.map(|()| ReceiptOutcome::Accepted))
            })?;
            // What it did say before it was refused has left no trace: it is kept whole, for replaying.
            merged.or_else(|refused| quarantine(desk, receipt, &refused.to_string()))
        }
    }
}

/// Why a readable receipt cannot be merged.
#[derive(Debug, thiserror::Error)]
pub(super) enum MergeRefused {
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error(transparent)]
    NoAccount(#[from] MissingExternalAccount),
    #[error("its source is not in the configuration")]
    UnknownSource,
    #[error("the event id {0} belongs to another webinar")]
    ForeignEvent(String),
}

fn quarantine(
    desk: &mut WriteTx<'_>,
    receipt: &NewReceipt,
    reason: &str,
) -> Result<ReceiptOutcome, TxError> {
    let stored = store(desk, receipt, ReceiptOutcome::Quarantined, Some(reason))?;
    Ok(stored.map_or(ReceiptOutcome::Duplicate, |_| ReceiptOutcome::Quarantined))
}

/// Stores the receipt; none if it was there already.
fn store(
    desk: &mut WriteTx<'_>,
    receipt: &NewReceipt,
    outcome: ReceiptOutcome,
    reason: Option<&str>,
) -> Result<Option<i64>, TxError> {
    let place = (!receipt.body.is_empty()).then(|| desk.segment.push(&receipt.body));
    let mut insert = desk.connection.prepare_cached(
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
            desk.segment.rewind(usize::try_from(place.offset).unwrap_or(0));
        }
        return Ok(None);
    }
    Ok(Some(desk.connection.last_insert_rowid()))
}

fn merge_all(
    desk: &mut WriteTx<'_>,
    receipt: &NewReceipt,
    changes: &[Change],
    seq: i64,
) -> Result<Result<(), MergeRefused>, TxError> {
    let Some(policy) = desk.policies.get(&receipt.source) else {
        return Ok(Err(MergeRefused::UnknownSource));
    };
    for change in changes {
        let account = match policy.external_account(change) {
            Ok(account) => account,
            Err(none) => return Ok(Err(none.into())),
        };
        if let Err(refused) = merge_one(desk, receipt, change, policy, account, seq)? {
            return Ok(Err(refused));
        }
    }
    Ok(Ok(()))
}

fn merge_one(
    desk: &mut WriteTx<'_>,
    receipt: &NewReceipt,
    change: &Change,
    policy: &Policy,
    account: &ExternalAccountId,
    seq: i64,
) -> Result<Result<(), MergeRefused>, TxError> {
    let key = (policy.hubspot.as_str(), account.as_str(), change.webinar.as_str());
    let (id, mut webinar) = match webinars::find(desk.connection, key)? {
        Some(found) => (Some(found.id), found.webinar),
        None => (None, Webinar::default()),
    };
    if let Err(refused) = webinar.merge(change, &receipt.provenance(change)) {
        return Ok(Err(refused.into()));
    }
    let id = webinars::store(desk, id, key, &webinar, receipt.received_at)?;
    webinars::link(desk, id, seq)?;
    let named =
        events::WebinarRow { id, hubspot: &policy.hubspot, account, webinar: &change.webinar };
    let at: Millis = receipt.received_at;
    Ok(events::reconcile(desk, &named, &webinar, at, events::RefoldScope::All)?
        .map_err(MergeRefused::ForeignEvent))
}

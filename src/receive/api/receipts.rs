//! Looking at receipts, and mapping them again.

use serde_json::Value;

use super::cursor::Listing;
use super::problem::Problem;
use super::query::Query;
use super::{show, told};
use crate::event::{ReceiptId, SourceName};
use crate::ledger::{Acceptance, ReceiptsAsk};
use crate::receive::ops::Ops;

const OUTCOMES: [(&str, Acceptance); 3] = [
    ("accepted", Acceptance::Accepted),
    ("ignored", Acceptance::Ignored),
    ("quarantined", Acceptance::Quarantined),
];

/// A page of receipts.
pub(super) async fn list(ops: &Ops, mut query: Query) -> Result<Value, Problem> {
    let source = query.source(ops.sources.iter().map(|(name, _)| name))?;
    let outcome = query.word("outcome", &OUTCOMES)?;
    let filters = [source.as_ref().map(SourceName::as_str), outcome.map(show::outcome)];
    let listing = Listing::of("receipts", &filters);
    let (most, after) = (query.limit()?, query.cursor(&listing)?);
    query.finish()?;
    let page = told(ops.ledger.page_receipts(ReceiptsAsk { source, outcome, after, most })).await?;
    let items = page.items.iter().map(show::receipt).collect();
    Ok(show::page("receipts", items, page.next.map(|next| listing.cursor(next))))
}

/// One receipt with its body.
pub(super) async fn one(ops: &Ops, id: ReceiptId, query: Query) -> Result<Value, Problem> {
    query.finish()?;
    let record = told(ops.ledger.receipt(id)).await?.ok_or(Problem::UnknownReceipt)?;
    Ok(show::receipt_detail(&record))
}

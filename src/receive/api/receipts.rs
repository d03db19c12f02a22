//! Looking at receipts, and mapping them again.

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::cursor::Listing;
use super::problem::Problem;
use super::query::Query;
use super::{LONG, show, told};
use crate::event::{ReceiptId, SourceName};
use crate::ledger::{Acceptance, ReceiptsAsk};
use crate::receive::ops::Ops;
use crate::replay::{ReplayAsk, ReplayPiece};

const OUTCOMES: [(&str, Acceptance); 3] = [
    ("accepted", Acceptance::Accepted),
    ("ignored", Acceptance::Ignored),
    ("quarantined", Acceptance::Quarantined),
];

/// What can be replayed, all of it at once: of what is ignored no body is kept.
const REPLAYED: [(&str, Acceptance); 2] =
    [("quarantined", Acceptance::Quarantined), ("accepted", Acceptance::Accepted)];

/// A page of receipts.
pub(super) async fn list(ops: &Ops, mut query: Query) -> Result<Value, Problem> {
    let source = query.source(ops.sources.iter().map(|(name, _)| name))?;
    let outcome = query.word("outcome", &OUTCOMES)?;
    let filters = [source.as_ref().map(SourceName::as_str), outcome.map(show::outcome)];
    let listing = Listing::of("receipts", &filters);
    let (most, after) = (query.limit()?, query.cursor(listing)?);
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

/// Maps one receipt again with today's code and configuration.
pub(super) async fn replay(ops: &Ops, id: ReceiptId, query: Query) -> Result<Value, Problem> {
    query.finish()?;
    let replaying = timeout(LONG, ops.replayer.replay(id)).await;
    let replayed = replaying.map_err(|_| Problem::too_slow())??;
    tracing::info!(receipt.id = %id, "an operator had a receipt replayed");
    Ok(json!({
        "outcome": show::outcome(replayed.outcome),
        "reason": replayed.reason,
        "events": replayed.events,
    }))
}

/// Maps many receipts again, as many as there is time for.
pub(super) async fn replay_all(ops: &Ops, mut query: Query) -> Result<Value, Problem> {
    let source = query.source(ops.sources.iter().map(|(name, _)| name))?;
    let outcome = query.word("outcome", &REPLAYED)?.unwrap_or(Acceptance::Quarantined);
    let filters = [source.as_ref().map(SourceName::as_str), Some(show::outcome(outcome))];
    let listing = Listing::of("replay", &filters);
    let after = query.cursor(listing)?;
    query.finish()?;
    let ask = ReplayAsk { source, outcome: Some(outcome), after };
    let piece = ops.replayer.replay_all(ask, Instant::now() + LONG).await?;
    let ReplayPiece { accepted, ignored, quarantined, failed, next } = piece;
    let replayed = accepted + ignored + quarantined;
    tracing::info!(receipts = replayed, "an operator had receipts replayed");
    Ok(json!({
        "replayed": replayed,
        "accepted": accepted,
        "ignored": ignored,
        "quarantined": quarantined,
        "failed": failed,
        "next": next.map(|next| listing.cursor(next)),
    }))
}

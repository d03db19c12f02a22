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
use crate::replay::{ReplayAsk, ReplayError, ReplayPiece};

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
    let replayed = in_time(ops.replayer.replay(id)).await?;
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
    let mut after = query.cursor(listing)?;
    query.finish()?;
    let began = Instant::now();
    let mut sum = ReplayPiece::default();
    loop {
        let ask = ReplayAsk { source: source.clone(), outcome: Some(outcome), after };
        match in_time(ops.replayer.replay_all(ask)).await {
            Ok(piece) => {
                sum = added(sum, piece);
                after = piece.next;
            }
            // What was done is told, and the cursor leads to the trouble.
            Err(problem) if sum == ReplayPiece::default() => return Err(problem),
            Err(problem) => {
                tracing::warn!(%problem, "not all receipts could be replayed");
                break;
            }
        }
        if after.is_none() || began.elapsed() >= LONG {
            break;
        }
    }
    let ReplayPiece { accepted, ignored, quarantined, failed, next: _ } = sum;
    let replayed = accepted + ignored + quarantined;
    tracing::info!(receipts = replayed, "an operator had receipts replayed");
    Ok(json!({
        "replayed": replayed,
        "accepted": accepted,
        "ignored": ignored,
        "quarantined": quarantined,
        "failed": failed,
        "next": after.map(|after| listing.cursor(after)),
    }))
}

fn added(sum: ReplayPiece, piece: ReplayPiece) -> ReplayPiece {
    ReplayPiece {
        accepted: sum.accepted + piece.accepted,
        ignored: sum.ignored + piece.ignored,
        quarantined: sum.quarantined + piece.quarantined,
        failed: sum.failed + piece.failed,
        next: None,
    }
}

/// What came of replaying, which reads and writes many times, if it came in time.
async fn in_time<T>(replaying: impl Future<Output = Result<T, ReplayError>>) -> Result<T, Problem> {
    match timeout(LONG, replaying).await {
        Ok(replayed) => Ok(replayed?),
        Err(_) => Err(Problem::too_slow()),
    }
}

//! Looking at receipts, and mapping them again.

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::cursor::CursorScope;
use super::error::ApiError;
use super::query::QueryParameters;
use super::{BULK_TIME, await_store, models};
use crate::event::{ReceiptId, SourceName};
use crate::ledger::{ReceiptOutcome, ReceiptQuery};
use crate::ops::state::OpsState;
use crate::replay::{ReplayProgress, ReplayRequest};

const OUTCOMES: [(&str, ReceiptOutcome); 3] = [
    ("accepted", ReceiptOutcome::Accepted),
    ("ignored", ReceiptOutcome::Ignored),
    ("quarantined", ReceiptOutcome::Quarantined),
];

/// What can be replayed, all of it at once: of what is ignored no body is kept.
const REPLAYABLE_OUTCOMES: [(&str, ReceiptOutcome); 2] =
    [("quarantined", ReceiptOutcome::Quarantined), ("accepted", ReceiptOutcome::Accepted)];

/// A page of receipts.
pub(super) async fn list(ops: &OpsState, mut query: QueryParameters) -> Result<Value, ApiError> {
    let source = query.source(ops.sources.iter().map(|(name, _)| name))?;
    let outcome = query.choice("outcome", &OUTCOMES)?;
    let filters = [source.as_ref().map(SourceName::as_str), outcome.map(models::outcome)];
    let listing = CursorScope::new("receipts", &filters);
    let (most, after) = (query.limit()?, query.cursor(listing)?);
    query.finish()?;
    let page =
        await_store(ops.ledger.list_receipts(ReceiptQuery { source, outcome, after, limit: most }))
            .await?;
    let items = page.items.iter().map(models::receipt).collect();
    Ok(models::page("receipts", items, page.next.map(|next| listing.encode(next))))
}

/// One receipt with its body.
pub(super) async fn get(
    ops: &OpsState,
    id: ReceiptId,
    query: QueryParameters,
) -> Result<Value, ApiError> {
    query.finish()?;
    let record = await_store(ops.ledger.receipt(id)).await?.ok_or(ApiError::UnknownReceipt)?;
    Ok(models::receipt_detail(&record))
}

/// Maps one receipt again with today's code and configuration.
pub(super) async fn replay(
    ops: &OpsState,
    id: ReceiptId,
    query: QueryParameters,
) -> Result<Value, ApiError> {
    query.finish()?;
    let replaying = timeout(BULK_TIME, ops.replayer.replay(id)).await;
    let replayed = replaying.map_err(|_| ApiError::store_timeout())??;
    tracing::info!(receipt.id = %id, "an operator had a receipt replayed");
    Ok(json!({
        "outcome": models::outcome(replayed.outcome),
        "reason": replayed.reason,
        "events": replayed.events,
    }))
}

/// Maps many receipts again, as many as there is time for.
pub(super) async fn replay_all(
    ops: &OpsState,
    mut query: QueryParameters,
) -> Result<Value, ApiError> {
    let source = query.source(ops.sources.iter().map(|(name, _)| name))?;
    let outcome =
        query.choice("outcome", &REPLAYABLE_OUTCOMES)?.unwrap_or(ReceiptOutcome::Quarantined);
    let filters = [source.as_ref().map(SourceName::as_str), Some(models::outcome(outcome))];
    let listing = CursorScope::new("replay", &filters);
    let after = query.cursor(listing)?;
    query.finish()?;
    let ask = ReplayRequest { source, outcome: Some(outcome), after };
    let piece = ops.replayer.replay_all(ask, Instant::now() + BULK_TIME).await?;
    let ReplayProgress { accepted, ignored, quarantined, failed, next } = piece;
    let replayed = accepted + ignored + quarantined;
    tracing::info!(receipts = replayed, "an operator had receipts replayed");
    Ok(json!({
        "replayed": replayed,
        "accepted": accepted,
        "ignored": ignored,
        "quarantined": quarantined,
        "failed": failed,
        "next": next.map(|next| listing.encode(next)),
    }))
}

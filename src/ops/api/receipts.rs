//! Lists and shows receipts, and replays them.

use tokio::time::{Instant, timeout};

use super::cursor::CursorScope;
use super::error::ApiError;
use super::models::{BulkReplayModel, ReceiptDetailModel, ReceiptListModel};
use super::query::QueryParameters;
use super::{BULK_TIME, await_store};
use crate::event::{ReceiptId, SourceName};
use crate::ledger::{ReceiptOutcome, ReceiptQuery};
use crate::ops::state::OpsState;
use crate::replay::{ReplayRequest, Replayed};

const OUTCOMES: [(&str, ReceiptOutcome); 3] = [
    ("accepted", ReceiptOutcome::Accepted),
    ("ignored", ReceiptOutcome::Ignored),
    ("quarantined", ReceiptOutcome::Quarantined),
];

/// Shows a page of receipts.
pub(super) async fn list(
    ops: &OpsState,
    mut query: QueryParameters,
) -> Result<ReceiptListModel, ApiError> {
    let source = query.known("source", ops.sources.keys(), ApiError::UnknownSource)?;
    let (word, outcome) = query.choice("outcome", &OUTCOMES)?.unzip();
    let filters = [source.as_ref().map(SourceName::as_str), word];
    let scope = CursorScope::new("receipts", &filters);
    let (limit, after) = (query.limit()?, query.cursor(scope)?);
    query.finish()?;
    let page =
        await_store(ops.ledger.list_receipts(ReceiptQuery { source, outcome, after, limit }))
            .await?;
    Ok(ReceiptListModel { receipts: page.items, next: page.next.map(|next| scope.encode(next)) })
}

/// Shows a receipt with its body.
pub(super) async fn get(
    ops: &OpsState,
    id: ReceiptId,
    query: QueryParameters,
) -> Result<ReceiptDetailModel, ApiError> {
    query.finish()?;
    let detail = await_store(ops.ledger.receipt(id)).await?;
    Ok(detail.ok_or(ApiError::UnknownReceipt)?.into())
}

/// Maps a receipt again with today's code and configuration.
pub(super) async fn replay(
    ops: &OpsState,
    id: ReceiptId,
    query: QueryParameters,
) -> Result<Replayed, ApiError> {
    query.finish()?;
    let replaying = timeout(BULK_TIME, ops.replayer.replay(id)).await;
    let replayed = replaying.map_err(|_| ApiError::store_timeout())??;
    tracing::info!(receipt.id = %id, "an operator replayed a receipt");
    Ok(replayed)
}

/// Maps receipts again, as many as there is time for.
pub(super) async fn replay_all(
    ops: &OpsState,
    mut query: QueryParameters,
) -> Result<BulkReplayModel, ApiError> {
    let source = query.known("source", ops.sources.keys(), ApiError::UnknownSource)?;
    let choice = query.choice("outcome", &OUTCOMES)?;
    let (word, outcome) = choice.unwrap_or(("quarantined", ReceiptOutcome::Quarantined));
    let filters = [source.as_ref().map(SourceName::as_str), Some(word)];
    let scope = CursorScope::new("replay", &filters);
    let after = query.cursor(scope)?;
    query.finish()?;
    let request = ReplayRequest { source, outcome: Some(outcome), after };
    let progress = ops.replayer.replay_all(request, Instant::now() + BULK_TIME).await?;
    let replayed = progress.accepted + progress.ignored + progress.quarantined;
    tracing::info!(receipts = replayed, "an operator replayed receipts");
    let next = progress.next.map(|next| scope.encode(next));
    Ok(BulkReplayModel { replayed, progress, next })
}

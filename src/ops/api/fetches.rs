//! Lists what platforms are to be asked, and has dead fetches asked again.

use tokio::time::Instant;

use super::cursor::CursorScope;
use super::error::ApiError;
use super::models::{BulkRedriveModel, FetchListModel};
use super::query::QueryParameters;
use super::{BULK_TIME, await_store};
use crate::event::SourceName;
use crate::ledger::{FetchQuery, FetchRedrive, FetchState};
use crate::ops::state::OpsState;

const STATES: [(&str, FetchState); 4] = [
    ("pending", FetchState::Pending),
    ("answered", FetchState::Answered),
    ("dead", FetchState::Dead),
    ("given_up", FetchState::GivenUp),
];

/// Shows a page of the queue.
pub(super) async fn list(
    ops: &OpsState,
    mut query: QueryParameters,
) -> Result<FetchListModel, ApiError> {
    let source = query.known("source", ops.sources.keys(), ApiError::UnknownSource)?;
    let (word, state) = query.choice("state", &STATES)?.unzip();
    let scope = CursorScope::new("fetches", &[source.as_ref().map(SourceName::as_str), word]);
    let (limit, after) = (query.limit()?, query.cursor(scope)?);
    query.finish()?;
    let query = FetchQuery { source, state, after, limit };
    let page = await_store(ops.ledger.list_fetches(query)).await?;
    Ok(FetchListModel { fetches: page.items, next: page.next.map(|next| scope.encode(next)) })
}

/// Gives dead fetches another week, as many as there is time for.
pub(super) async fn redrive(
    ops: &OpsState,
    mut query: QueryParameters,
) -> Result<BulkRedriveModel, ApiError> {
    let source = query.known("source", ops.sources.keys(), ApiError::UnknownSource)?;
    let scope = CursorScope::new("redrive fetches", &[source.as_ref().map(SourceName::as_str)]);
    let start = query.cursor(scope)?;
    query.finish()?;
    let began = Instant::now();
    let (mut redriven, mut after) = (0, start);
    let next = loop {
        let request = FetchRedrive { source: source.clone(), after };
        match await_store(ops.ledger.redrive_fetches(request)).await {
            Ok(progress) => {
                redriven += progress.redriven;
                after = progress.next;
            }
            // Once a part is done, the answer reports it, with a cursor at the failed part.
            Err(error) if after == start => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "not all dead fetches could be redriven");
                break after;
            }
        }
        if after.is_none() || began.elapsed() >= BULK_TIME {
            break after;
        }
    };
    tracing::info!(fetches = redriven, "an operator redrove dead fetches");
    Ok(BulkRedriveModel { redriven, next: next.map(|next| scope.encode(next)) })
}

//! Looking at events, and sending them again.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::cursor::CursorScope;
use super::error::ApiError;
use super::query::QueryParameters;
use super::{BULK_TIME, await_store, models};
use crate::event::{AccountName, EventKey};
use crate::ledger::{EventQuery, EventState, RedriveRequest, RedriveResult};
use crate::ops::state::OpsState;

const STATES: [(&str, EventState); 5] = [
    ("pending", EventState::Pending),
    ("delivered", EventState::Delivered),
    ("incomplete", EventState::Incomplete),
    ("filtered", EventState::Filtered),
    ("dead", EventState::Dead),
];

/// What can be sent again, all of it at once: what is pending is sent anyway, and what is incomplete or filtered cannot be.
const REDRIVABLE_STATES: [(&str, EventState); 2] =
    [("dead", EventState::Dead), ("delivered", EventState::Delivered)];

/// A page of events.
pub(super) async fn list(ops: &OpsState, mut query: QueryParameters) -> Result<Value, ApiError> {
    let account = query.account(&ops.accounts)?;
    let state = query.choice("state", &STATES)?;
    let text = query.text()?;
    let filters =
        [account.as_ref().map(AccountName::as_str), state.map(models::state), text.as_deref()];
    let listing = CursorScope::new("events", &filters);
    let (most, after) = (query.limit()?, query.cursor(listing)?);
    query.finish()?;
    let page = await_store(ops.ledger.list_events(EventQuery {
        account,
        state,
        text,
        after,
        limit: most,
    }))
    .await?;
    let items = page.items.iter().map(models::event).collect();
    Ok(models::page("events", items, page.next.map(|next| listing.encode(next))))
}

/// One event with everything.
pub(super) async fn get(
    ops: &OpsState,
    key: &EventKey,
    query: QueryParameters,
) -> Result<Value, ApiError> {
    query.finish()?;
    let detail = await_store(ops.ledger.event_detail(key)).await?.ok_or(ApiError::UnknownEvent)?;
    Ok(models::event_detail(&detail))
}

/// Sends one event again.
pub(super) async fn redrive(
    ops: &OpsState,
    key: &EventKey,
    query: QueryParameters,
) -> Result<Value, ApiError> {
    query.finish()?;
    match await_store(ops.ledger.redrive(key)).await? {
        RedriveResult::Pending => {}
        RedriveResult::Incomplete => return Err(ApiError::Incomplete),
        RedriveResult::Filtered => return Err(ApiError::Filtered),
        RedriveResult::Unknown => return Err(ApiError::UnknownEvent),
    }
    tracing::info!(
        hubspot.account = %key.hubspot,
        event.external_id = %key.external_event_id,
        "an operator had an event sent again"
    );
    Ok(json!({ "state": models::state(EventState::Pending) }))
}

/// Sends many events again, as many as there is time for.
pub(super) async fn redrive_all(
    ops: &OpsState,
    mut query: QueryParameters,
) -> Result<Value, ApiError> {
    let account = query.account(&ops.accounts)?;
    let state = query.choice("state", &REDRIVABLE_STATES)?.unwrap_or(EventState::Dead);
    let filters = [account.as_ref().map(AccountName::as_str), Some(models::state(state))];
    let listing = CursorScope::new("redrive", &filters);
    let start = query.cursor(listing)?;
    query.finish()?;
    let began = Instant::now();
    let (mut redriven, mut after) = (0, start);
    let next = loop {
        let ask = RedriveRequest { account: account.clone(), state, not_over: false, after };
        match await_store(ops.ledger.redrive_all(ask)).await {
            Ok(piece) => {
                redriven += piece.redriven;
                after = piece.next;
            }
            // What was done is told, and the cursor leads to the trouble.
            Err(problem) if after == start => return Err(problem),
            Err(problem) => {
                tracing::warn!(%problem, "not all events could be sent again");
                break after;
            }
        }
        if after.is_none() || began.elapsed() >= BULK_TIME {
            break after;
        }
    };
    tracing::info!(events = redriven, "an operator had events sent again");
    Ok(json!({ "redriven": redriven, "next": next.map(|next| listing.encode(next)) }))
}

//! Lists and shows events, and sends them again.

use tokio::time::Instant;

use super::cursor::CursorScope;
use super::error::ApiError;
use super::models::{BulkRedriveModel, EventListModel, RedriveModel};
use super::query::QueryParameters;
use super::{BULK_TIME, await_store};
use crate::event::{AccountName, EventKey};
use crate::ledger::{EventDetail, EventQuery, EventState, RedriveRequest, RedriveResult};
use crate::ops::state::OpsState;

const STATES: [(&str, EventState); 5] = [
    ("pending", EventState::Pending),
    ("delivered", EventState::Delivered),
    ("incomplete", EventState::Incomplete),
    ("filtered", EventState::Filtered),
    ("dead", EventState::Dead),
];

/// States of events that can be sent again: pending ones are sent anyway, incomplete and filtered ones cannot be sent.
const REDRIVABLE_STATES: [(&str, EventState); 2] =
    [("dead", EventState::Dead), ("delivered", EventState::Delivered)];

/// Shows a page of events.
pub(super) async fn list(
    ops: &OpsState,
    mut query: QueryParameters,
) -> Result<EventListModel, ApiError> {
    let account = query.known("hubspot", &ops.accounts, ApiError::UnknownAccount)?;
    let (word, state) = query.choice("state", &STATES)?.unzip();
    let text = query.text()?;
    let filters = [account.as_ref().map(AccountName::as_str), word, text.as_deref()];
    let scope = CursorScope::new("events", &filters);
    let (limit, after) = (query.limit()?, query.cursor(scope)?);
    query.finish()?;
    let page =
        await_store(ops.ledger.list_events(EventQuery { account, state, text, after, limit }))
            .await?;
    Ok(EventListModel { events: page.items, next: page.next.map(|next| scope.encode(next)) })
}

/// Shows an event with everything known of it.
pub(super) async fn get(
    ops: &OpsState,
    key: &EventKey,
    query: QueryParameters,
) -> Result<EventDetail, ApiError> {
    query.finish()?;
    let detail = await_store(ops.ledger.event_detail(key)).await?;
    detail.ok_or(ApiError::UnknownEvent)
}

/// Sends one event again.
pub(super) async fn redrive(
    ops: &OpsState,
    key: &EventKey,
    query: QueryParameters,
) -> Result<RedriveModel, ApiError> {
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
        "an operator redrove an event"
    );
    Ok(RedriveModel { state: EventState::Pending })
}

/// Sends events again, as many as there is time for.
pub(super) async fn redrive_all(
    ops: &OpsState,
    mut query: QueryParameters,
) -> Result<BulkRedriveModel, ApiError> {
    let account = query.known("hubspot", &ops.accounts, ApiError::UnknownAccount)?;
    let (word, state) =
        query.choice("state", &REDRIVABLE_STATES)?.unwrap_or(("dead", EventState::Dead));
    let filters = [account.as_ref().map(AccountName::as_str), Some(word)];
    let scope = CursorScope::new("redrive", &filters);
    let start = query.cursor(scope)?;
    query.finish()?;
    let began = Instant::now();
    let (mut redriven, mut after) = (0, start);
    let next = loop {
        let request = RedriveRequest { account: account.clone(), state, not_over: false, after };
        match await_store(ops.ledger.redrive_all(request)).await {
            Ok(progress) => {
                redriven += progress.redriven;
                after = progress.next;
            }
            // Once a part is done, the answer reports it, with a cursor at the failed part.
            Err(error) if after == start => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "not all events could be sent again");
                break after;
            }
        }
        if after.is_none() || began.elapsed() >= BULK_TIME {
            break after;
        }
    };
    tracing::info!(events = redriven, "an operator redrove events");
    Ok(BulkRedriveModel { redriven, next: next.map(|next| scope.encode(next)) })
}

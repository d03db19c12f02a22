//! Looking at events, and sending them again.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::cursor::Listing;
use super::problem::Problem;
use super::query::Query;
use super::{LONG, show, told};
use crate::event::{AccountName, EventKey};
use crate::ledger::{EventState, EventsAsk, RedriveAsk, Redriven};
use crate::receive::ops::Ops;

const STATES: [(&str, EventState); 5] = [
    ("pending", EventState::Pending),
    ("delivered", EventState::Delivered),
    ("incomplete", EventState::Incomplete),
    ("filtered", EventState::Filtered),
    ("dead", EventState::Dead),
];

/// What can be sent again, all of it at once: what is pending is sent anyway, and what is incomplete or filtered cannot be.
const REDRIVEN: [(&str, EventState); 2] =
    [("dead", EventState::Dead), ("delivered", EventState::Delivered)];

/// A page of events.
pub(super) async fn list(ops: &Ops, mut query: Query) -> Result<Value, Problem> {
    let account = query.account(&ops.accounts)?;
    let state = query.word("state", &STATES)?;
    let text = query.text()?;
    let filters =
        [account.as_ref().map(AccountName::as_str), state.map(show::state), text.as_deref()];
    let listing = Listing::of("events", &filters);
    let (most, after) = (query.limit()?, query.cursor(listing)?);
    query.finish()?;
    let page =
        told(ops.ledger.page_events(EventsAsk { account, state, text, after, most })).await?;
    let items = page.items.iter().map(show::event).collect();
    Ok(show::page("events", items, page.next.map(|next| listing.cursor(next))))
}

/// One event with everything.
pub(super) async fn one(ops: &Ops, key: &EventKey, query: Query) -> Result<Value, Problem> {
    query.finish()?;
    let detail = told(ops.ledger.event(key)).await?.ok_or(Problem::UnknownEvent)?;
    Ok(show::event_detail(&detail))
}

/// Sends one event again.
pub(super) async fn redrive(ops: &Ops, key: &EventKey, query: Query) -> Result<Value, Problem> {
    query.finish()?;
    match told(ops.ledger.redrive(key)).await? {
        Redriven::Pending => {}
        Redriven::Incomplete => return Err(Problem::Incomplete),
        Redriven::Filtered => return Err(Problem::Filtered),
        Redriven::Unknown => return Err(Problem::UnknownEvent),
    }
    tracing::info!(
        hubspot.account = %key.hubspot,
        event.external_id = %key.external_event_id,
        "an operator had an event sent again"
    );
    Ok(json!({ "state": show::state(EventState::Pending) }))
}

/// Sends many events again, as many as there is time for.
pub(super) async fn redrive_all(ops: &Ops, mut query: Query) -> Result<Value, Problem> {
    let account = query.account(&ops.accounts)?;
    let state = query.word("state", &REDRIVEN)?.unwrap_or(EventState::Dead);
    let filters = [account.as_ref().map(AccountName::as_str), Some(show::state(state))];
    let listing = Listing::of("redrive", &filters);
    let start = query.cursor(listing)?;
    query.finish()?;
    let began = Instant::now();
    let (mut redriven, mut after) = (0, start);
    let next = loop {
        let ask = RedriveAsk { account: account.clone(), state, not_over: false, after };
        match told(ops.ledger.redrive_all(ask)).await {
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
        if after.is_none() || began.elapsed() >= LONG {
            break after;
        }
    };
    tracing::info!(events = redriven, "an operator had events sent again");
    Ok(json!({ "redriven": redriven, "next": next.map(|next| listing.cursor(next)) }))
}

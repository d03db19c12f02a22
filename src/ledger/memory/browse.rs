//! What people and metrics read.

use std::collections::BTreeMap;

use super::live::Live;
use super::state::{State, StoredEvent};
use crate::event::{AccountName, EventKey, FieldOrigin, Millis, ReceiptId, field_origins};
use crate::ledger::rules::reconcile::policy_for;
use crate::ledger::{
    EventDetail, EventQuery, EventRecord, EventState, EventStateCounts, EventSummary, PAGE_MAX,
    Page, Policies, ReceiptQuery, ReceiptRecord, ReceiptSummary,
};

/// The number of events in each state, by account.
pub(super) fn event_counts(
    state: &State,
    live: &Live,
    accounts: &[AccountName],
) -> BTreeMap<AccountName, EventStateCounts> {
    let mut counts: BTreeMap<AccountName, EventStateCounts> =
        accounts.iter().map(|account| (account.clone(), EventStateCounts::default())).collect();
    for (id, event) in &state.events {
        let counts = counts.entry(event.key.hubspot.clone()).or_default();
        let count = match event.row.state {
            EventState::Pending if live.is_claimed(&event.key.hubspot, *id) => {
                &mut counts.in_flight
            }
            EventState::Pending => &mut counts.pending,
            EventState::Delivered => &mut counts.delivered,
            EventState::Incomplete => &mut counts.incomplete,
            EventState::Filtered => &mut counts.filtered,
            EventState::Dead => &mut counts.dead,
        };
        *count += 1;
    }
    counts
}

/// A page of events, newest first.
pub(super) fn list_events(state: &State, live: &Live, query: &EventQuery) -> Page<EventSummary> {
    let text = query.text.as_ref().map(|text| text.to_lowercase());
    let matches = |event: &StoredEvent| {
        let EventKey { hubspot, external_account_id, external_event_id } = &event.key;
        let has = |text: &str| {
            let name = event.facts.name.as_deref().unwrap_or_default();
            [external_account_id.as_str(), external_event_id.as_str(), name]
                .into_iter()
                .any(|field| field.to_lowercase().contains(text))
        };
        query.account.as_ref().is_none_or(|account| account == hubspot)
            && query.state.is_none_or(|state| state == event.row.state)
            && text.as_deref().is_none_or(has)
    };
    let events = before(&state.events, query.after).filter(|(_, event)| matches(event));
    page(events, query.limit, |id, event| summary(live, id, event))
}

/// The rows with a smaller number than `after`, the greatest first.
fn before<T>(rows: &BTreeMap<i64, T>, after: Option<i64>) -> impl Iterator<Item = (i64, &T)> {
    rows.range(..after.unwrap_or(i64::MAX)).rev().map(|(id, row)| (*id, row))
}

fn page<'a, R: 'a, T>(
    rows: impl Iterator<Item = (i64, &'a R)>,
    limit: usize,
    item: impl Fn(i64, &R) -> T,
) -> Page<T> {
    let mut rows = rows.peekable();
    let (mut items, mut last) = (Vec::new(), None);
    for (id, row) in rows.by_ref().take(limit.clamp(1, PAGE_MAX)) {
        items.push(item(id, row));
        last = Some(id);
    }
    Page { items, next: last.filter(|_| rows.peek().is_some()) }
}

fn summary(live: &Live, id: i64, event: &StoredEvent) -> EventSummary {
    let row = &event.row;
    let is_pending = row.state == EventState::Pending;
    EventSummary {
        key: event.key.clone(),
        state: row.state,
        in_flight: is_pending && live.is_claimed(&event.key.hubspot, id),
        version: row.version,
        input: event.input.as_deref().map(<[u8]>::to_vec),
        name: event.facts.name.clone(),
        gaps: row.gaps.clone(),
        changed_at: row.changed_at,
        pending_since: is_pending.then_some(row.pending_since),
        not_before: row.not_before.filter(|_| is_pending),
        attempts: row.attempts,
        confirmed_at: row.confirmed_at,
        object_id: row.object_id.clone(),
        refused: row.refused.clone().filter(|_| row.state == EventState::Dead),
        last_error: row.last_error.clone(),
    }
}

/// All that is known of one event.
pub(super) fn event_detail(
    state: &State,
    live: &Live,
    policies: &Policies,
    key: &EventKey,
    now: Millis,
) -> Option<EventDetail> {
    let id = *state.event_ids.get(key)?;
    let event = state.events.get(&id)?;
    let webinar = state.webinars.get(&event.webinar)?;
    let row = &event.row;
    let confirmed = match row.confirmed_hash {
        Some(hash) if row.input_hash == Some(hash) => event.input.as_deref(),
        Some(_) | None => event.confirmed_input.as_deref(),
    };
    let receipts = webinar.receipts.iter().rev().take(PAGE_MAX);
    Some(EventDetail {
        summary: summary(live, id, event),
        confirmed_input: confirmed.map(<[u8]>::to_vec),
        due_at: event.facts.due_at,
        resend_at: row.resend_at,
        fields: fields(state, policies, event, now),
        receipts: receipts.map(|number| state.receipts[number].summary.id).collect(),
    })
}

fn fields(
    state: &State,
    policies: &Policies,
    event: &StoredEvent,
    now: Millis,
) -> Vec<FieldOrigin> {
    let Some(row) = state.webinars.get(&event.webinar) else { return Vec::new() };
    let Some(policy) = policy_for(policies, &row.webinar) else { return Vec::new() };
    let id = &event.key.external_event_id;
    field_origins(&row.webinar, &row.key.webinar, id, policy, now)
}

/// Every event by key, at most `limit`.
pub(super) fn events(state: &State, limit: usize) -> Vec<EventRecord> {
    let record = |id: &i64| {
        let StoredEvent { key, row, input, .. } = &state.events[id];
        EventRecord {
            key: key.clone(),
            state: row.state,
            version: row.version,
            input: input.as_deref().map(<[u8]>::to_vec),
            gaps: row.gaps.clone(),
            object_id: row.object_id.clone(),
            refused: row.refused.clone(),
        }
    };
    state.event_ids.values().take(limit).map(record).collect()
}

/// A page of receipts, newest first.
pub(super) fn list_receipts(state: &State, query: &ReceiptQuery) -> Page<ReceiptSummary> {
    let matches = |receipt: &ReceiptSummary| {
        query.source.as_ref().is_none_or(|source| *source == receipt.source)
            && query.outcome.is_none_or(|outcome| outcome == receipt.outcome)
    };
    let receipts = before(&state.receipts, query.after).filter(|(_, row)| matches(&row.summary));
    page(receipts, query.limit, |_, row| row.summary.clone())
}

/// A receipt with its body and the events of the webinars that it built.
pub(super) fn receipt(state: &State, id: ReceiptId) -> Option<ReceiptRecord> {
    let number = *state.receipt_ids.get(&id)?;
    let row = state.receipts.get(&number)?;
    let is_built = |event: &StoredEvent| state.webinars[&event.webinar].receipts.contains(&number);
    let events = state.event_ids.iter().filter(|(_, id)| is_built(&state.events[*id]));
    Some(ReceiptRecord {
        summary: row.summary.clone(),
        headers: row.headers.to_vec(),
        body: row.body.as_deref().map(<[u8]>::to_vec),
        events: events.map(|(key, _)| key.clone()).take(PAGE_MAX).collect(),
    })
}

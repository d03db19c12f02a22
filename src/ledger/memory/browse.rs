//! Lists, details and counts, for people and metrics.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::MemoryLedger;
use super::live::Live;
use super::outbox::pending;
use super::state::MemoryEvent;
use crate::event::{AccountName, EventKey, Millis, ReceiptId, field_origins};
use crate::ledger::rules::ownership::policy_for;
use crate::ledger::rules::timers::DERIVED_AGAIN;
use crate::ledger::{
    Browse, EventDetail, EventQuery, EventStateCounts, EventSummary, LedgerError, PAGE_MAX, Page,
    ReceiptDetail, ReceiptQuery, ReceiptSummary,
};

#[async_trait]
impl Browse for MemoryLedger {
    async fn event_counts(&self) -> Result<BTreeMap<AccountName, EventStateCounts>, LedgerError> {
        let (state, live) = self.lock();
        let none = |account: &AccountName| (account.clone(), EventStateCounts::default());
        let mut counts: BTreeMap<_, _> = self.notify.keys().map(none).collect();
        for (id, event) in &state.events {
            let counts = counts.entry(event.key.hubspot.clone()).or_default();
            let is_in_flight = event.is_pending() && live.is_claimed(&event.key.hubspot, *id);
            let count =
                if is_in_flight { &mut counts.in_flight } else { event.row.state.count_in(counts) };
            *count += 1;
        }
        Ok(counts)
    }

    async fn oldest_pending(&self, account: &AccountName) -> Result<Option<Millis>, LedgerError> {
        let state = self.store.lock();
        Ok(pending(&state, account).map(|(_, event)| event.row.pending_since).min())
    }

    async fn list_events(&self, query: EventQuery) -> Result<Page<EventSummary>, LedgerError> {
        let (state, live) = self.lock();
        let text = query.text.as_ref().map(|text| text.to_lowercase());
        let matches = |event: &MemoryEvent| {
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
        Ok(page(&state.events, query.after, query.limit, |id, event| {
            matches(event).then(|| summary(&live, id, event))
        }))
    }

    async fn event_detail(&self, key: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
        let now = self.clock.now();
        let (state, live) = self.lock();
        let Some(id) = state.find_event(key) else { return Ok(None) };
        let MemoryEvent { webinar: name, row, input, confirmed_input, facts, .. } =
            &state.events[&id];
        let webinar = &state.webinars[name];
        let is_confirmed = row.confirmed_hash.is_some() && row.confirmed_hash == row.input_hash;
        let confirmed_input = if is_confirmed { input } else { confirmed_input };
        let fields = policy_for(&self.policies, &webinar.webinar).map(|policy| {
            field_origins(&webinar.webinar, &name.webinar, &key.external_event_id, &policy, now)
        });
        let receipts = webinar.receipts.iter().rev().take(PAGE_MAX);
        Ok(Some(EventDetail {
            summary: summary(&live, id, &state.events[&id]),
            confirmed_input: confirmed_input.as_deref().map(<[u8]>::to_vec),
            due_at: facts.due_at.filter(|at| *at != DERIVED_AGAIN),
            resend_at: row.resend_at,
            fields: fields.unwrap_or_default(),
            receipts: receipts.map(|(number, _)| state.receipts[number].summary.id).collect(),
        }))
    }

    async fn list_receipts(
        &self,
        query: ReceiptQuery,
    ) -> Result<Page<ReceiptSummary>, LedgerError> {
        let matches = |receipt: &ReceiptSummary| {
            query.source.as_ref().is_none_or(|source| *source == receipt.source)
                && query.outcome.is_none_or(|outcome| outcome == receipt.outcome)
        };
        let state = self.store.lock();
        Ok(page(&state.receipts, query.after, query.limit, |_, row| {
            matches(&row.summary).then(|| row.summary.clone())
        }))
    }

    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptDetail>, LedgerError> {
        let state = self.store.lock();
        let Some((number, row)) = state.find_receipt(id) else { return Ok(None) };
        let is_built =
            |event: &&MemoryEvent| state.webinars[&event.webinar].receipts.contains_key(&number);
        let built: BTreeSet<&EventKey> =
            state.events.values().filter(is_built).map(|event| &event.key).collect();
        let events = built.into_iter().take(PAGE_MAX).cloned().collect();
        Ok(Some(ReceiptDetail { record: row.record(number), events }))
    }
}

/// A page of those rows that are an item, the greatest number first.
pub(super) fn page<R, T>(
    rows: &BTreeMap<i64, R>,
    after: Option<i64>,
    limit: usize,
    item: impl Fn(i64, &R) -> Option<T>,
) -> Page<T> {
    let rows = rows.range(..after.unwrap_or(i64::MAX)).rev();
    let mut items = rows.filter_map(|(id, row)| Some((*id, item(*id, row)?))).peekable();
    let page: Vec<(i64, T)> = items.by_ref().take(limit.clamp(1, PAGE_MAX)).collect();
    let last = page.last().map(|(id, _)| *id);
    let next = last.filter(|_| items.peek().is_some());
    Page { items: page.into_iter().map(|(_, item)| item).collect(), next }
}

fn summary(live: &Live, id: i64, event: &MemoryEvent) -> EventSummary {
    let MemoryEvent { key, row, input, facts, .. } = event.clone();
    let is_claimed = live.is_claimed(&key.hubspot, id);
    EventSummary::new(key, row, input.as_deref().map(<[u8]>::to_vec), facts.name, is_claimed)
}

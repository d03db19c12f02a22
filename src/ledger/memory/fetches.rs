//! The queue of fetches.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::transaction::Transaction;
use super::{MemoryLedger, browse, merge};
use crate::event::{ExternalAccountId, FetchRequest, Millis, SourceName, WebinarId, is_uncertain};
use crate::ledger::rules::fetch::{
    ABSENCE_SPAN, FetchRequester, FetchRow, SourceFacts, due_later, due_since, is_claim_valid,
    is_coming, is_fetch_needed, redrive_fetch, request_fetch, review_outcome, settle_fetch,
    state_for_fetch, try_once_more,
};
use crate::ledger::{
    EventState, FETCH_CLAIM, FetchClaim, FetchOutcome, FetchQuery, FetchQueue, FetchRedrive,
    FetchState, FetchStatus, FetchSummary, FetchTask, LedgerError, NewReceipt, Page, ReceiptKind,
    ReceiptOutcome, RedriveProgress, WebinarKey,
};

#[async_trait]
impl FetchQueue for MemoryLedger {
    async fn request_fetches(
        &self,
        source: &SourceName,
        requests: Vec<FetchRequest>,
    ) -> Result<usize, LedgerError> {
        self.write(|tx| request(tx, source, &requests, FetchRequester::Other, tx.now))
    }

    async fn claim_fetches(
        &self,
        source: &SourceName,
        limit: usize,
    ) -> Result<FetchClaim, LedgerError> {
        let now = self.clock.now();
        let (state, mut live) = self.lock();
        live.fetch_claims.retain(|_, ends_at| is_claim_valid(*ends_at, now));
        let of_source = || state.fetches.iter().filter(|(_, fetch)| fetch.source == *source);
        // The one that has been due for longest comes first.
        let mut due: Vec<(Millis, i64)> = of_source()
            .filter(|(id, _)| !live.fetch_claims.contains_key(id))
            .filter_map(|(id, fetch)| Some((due_since(&fetch.row, now)?, *id)))
            .collect();
        due.sort_unstable();
        due.truncate(limit);
        let tasks: Vec<FetchTask> = due.iter().map(|(_, id)| state.fetches[id].clone()).collect();
        live.fetch_claims.extend(tasks.iter().map(|task| (task.id, now.plus(FETCH_CLAIM))));
        let next_due = of_source().filter_map(|(_, fetch)| due_later(&fetch.row, now)).min();
        Ok(FetchClaim { tasks, next_due })
    }

    async fn settle_fetch(
        &self,
        task: &FetchTask,
        mut outcome: FetchOutcome,
    ) -> Result<Option<ReceiptOutcome>, LedgerError> {
        self.write(|tx| {
            tx.live.fetch_claims.remove(&task.id);
            let facts = source_facts(tx, task, &outcome);
            let row = tx.state.fetches.get(&task.id).map(|fetch| &fetch.row);
            review_outcome(task, row, &facts, &mut outcome);
            let accepted = outcome.receipt().map(|receipt| merge::accept(tx, receipt));
            if matches!(outcome, FetchOutcome::Answered { .. }) {
                let source = tx.state.fetch_sources.entry(task.source.clone()).or_default();
                source.answered_at = Some(tx.now);
            }
            // A settlement whose answer was lost is repeated: by then the row may be gone.
            if let Some(fetch) = tx.state.fetches.remove(&task.id) {
                let row = settle_fetch(&fetch.row, &task.row, &outcome, &facts, tx.now);
                if row.as_ref().is_some_and(|row| due_since(row, tx.now).is_some()) {
                    tx.woken_fetches.insert(task.source.clone());
                }
                tx.state.fetches.extend(row.map(|row| (task.id, FetchTask { row, ..fetch })));
            }
            accepted
        })
    }

    fn release_fetch(&self, task: &FetchTask) {
        self.live().fetch_claims.remove(&task.id);
    }

    fn fetch_wake_up(&self, source: &SourceName) -> Arc<Notify> {
        self.notify_fetch.get(source).cloned().unwrap_or_default()
    }

    async fn fetch_statuses(&self) -> Result<BTreeMap<SourceName, FetchStatus>, LedgerError> {
        let state = self.store.lock();
        let status = |source: &SourceName| {
            let rows =
                || state.fetches.values().filter(|fetch| fetch.source == *source).map(|it| &it.row);
            let count = |state| rows().filter(|row| row.state == state).count() as u64;
            let failures = rows().filter_map(|row| row.failure.as_ref());
            FetchStatus {
                pending: count(FetchState::Pending),
                given_up: count(FetchState::GivenUp),
                dead: count(FetchState::Dead),
                last_error: failures.max_by_key(|failure| failure.at).map(|f| f.reason.clone()),
            }
        };
        Ok(self.policies.keys().map(|source| (source.clone(), status(source))).collect())
    }

    async fn list_fetches(&self, query: FetchQuery) -> Result<Page<FetchSummary>, LedgerError> {
        let state = self.store.lock();
        let matches = |fetch: &FetchTask| {
            query.source.as_ref().is_none_or(|source| *source == fetch.source)
                && query.state.is_none_or(|state| state == fetch.row.state)
        };
        Ok(browse::page(&state.fetches, query.after, query.limit, |_, fetch| {
            matches(fetch).then(|| fetch.clone().into())
        }))
    }

    async fn redrive_fetches(&self, request: FetchRedrive) -> Result<RedriveProgress, LedgerError> {
        self.write(|tx| {
            let (source, now) = (request.source, tx.now);
            let redriven = revive(tx, source.as_ref(), |row| redrive_fetch(row, now));
            // Nothing is left for another call.
            RedriveProgress { redriven, next: None }
        })
    }

    async fn coming_webinars(
        &self,
        source: &SourceName,
        _after: Option<i64>,
    ) -> Result<Page<WebinarId>, LedgerError> {
        let (state, now) = (self.store.lock(), self.clock.now());
        let policy = self.policies.get(source);
        let coming = state.webinars.iter().filter(|(key, row)| {
            policy.is_some_and(|policy| policy.hubspot == key.hubspot)
                && row.last_at > now
                && is_coming(&row.webinar, source, now)
        });
        // Nothing is left for another call.
        Ok(Page { items: coming.map(|(key, _)| key.webinar.clone()).collect(), next: None })
    }

    async fn accounts_of(
        &self,
        source: &SourceName,
        webinar: &WebinarId,
    ) -> Result<Vec<ExternalAccountId>, LedgerError> {
        let state = self.store.lock();
        let policy = self.policies.get(source);
        let known = state.webinars.iter().filter(|(key, row)| {
            policy.is_some_and(|policy| policy.hubspot == key.hubspot)
                && key.webinar == *webinar
                && row.webinar.sources.contains(source)
        });
        Ok(known.map(|(key, _)| key.account.clone()).collect())
    }

    async fn note_fetch_config(
        &self,
        source: &SourceName,
        digest: [u8; 32],
    ) -> Result<u64, LedgerError> {
        self.write(|tx| {
            let known = tx.state.fetch_sources.entry(source.clone()).or_default();
            if known.config.replace(digest) == Some(digest) {
                return 0;
            }
            revive(tx, Some(source), try_once_more)
        })
    }
}

/// Makes the dead fetches of a source, or of all, pending; answers how many there were.
fn revive(
    tx: &mut Transaction<'_>,
    source: Option<&SourceName>,
    mut revived: impl FnMut(FetchRow) -> FetchRow,
) -> u64 {
    let mut count = 0;
    for fetch in tx.state.fetches.values_mut() {
        let is_wanted = source.is_none_or(|source| *source == fetch.source)
            && tx.policies.contains_key(&fetch.source);
        if is_wanted && fetch.row.state == FetchState::Dead {
            fetch.row = revived(fetch.row.clone());
            tx.woken_fetches.insert(fetch.source.clone());
            count += 1;
        }
    }
    count
}

/// What the outcome needs to know of the task's source.
fn source_facts(tx: &Transaction<'_>, task: &FetchTask, outcome: &FetchOutcome) -> SourceFacts {
    let since = tx.now.minus(ABSENCE_SPAN);
    let turned_absent = tx.state.fetches.iter().filter(|(id, fetch)| {
        **id != task.id
            && fetch.source == task.source
            && fetch.row.absent_at.is_some_and(|at| at > since)
    });
    let source = tx.state.fetch_sources.get(&task.source);
    SourceFacts {
        answered_at: source.and_then(|source| source.answered_at),
        turned_absent: turned_absent.count() as u64,
        coming: outcome.receipt().map_or(0, |receipt| coming(tx, receipt)),
        webhook_at: outcome.receipt().and_then(|receipt| last_webhook(tx, receipt)),
    }
}

/// When the last webhook arrived that built a webinar that the receipt speaks of.
fn last_webhook(tx: &Transaction<'_>, receipt: &NewReceipt) -> Option<Millis> {
    let last = |key: &WebinarKey| {
        let mut receipts = tx.state.webinars.get(key)?.receipts.keys().rev();
        let summary = |number: &i64| tx.state.receipts.get(number).map(|row| &row.summary);
        let webhooks = receipts.find_map(|number| {
            summary(number).filter(|summary| summary.kind == ReceiptKind::Webhook)
        });
        webhooks.map(|summary| summary.received_at)
    };
    receipt.webinar_keys(tx.policies).iter().filter_map(last).max()
}

/// The number of coming webinars of the account that the receipt speaks of.
fn coming(tx: &Transaction<'_>, receipt: &NewReceipt) -> u64 {
    let Some(key) = receipt.webinar_keys(tx.policies).pop_first() else { return 0 };
    let coming = tx.state.webinars.iter().filter(|(known, row)| {
        (&known.hubspot, &known.account) == (&key.hubspot, &key.account) && row.last_at > tx.now
    });
    coming.count() as u64
}

/// Requests fetches of a source; answers how many webinars are to be fetched from now on.
pub(super) fn request(
    tx: &mut Transaction<'_>,
    source: &SourceName,
    requests: &[FetchRequest],
    by: FetchRequester,
    at: Millis,
) -> usize {
    // No worker asks for a source that is not in the configuration.
    let Some(policy) = tx.policies.get(source) else { return 0 };
    let mut requested = 0;
    for request in requests {
        let key = WebinarKey::new(policy, request.account.as_ref(), &request.webinar);
        let events = key.iter().flat_map(|key| tx.state.events_of(key));
        let states: Vec<EventState> =
            events.map(|(_, event)| state_for_fetch(event.row.state, &event.row.gaps)).collect();
        let webinar = key.iter().find_map(|key| tx.state.webinars.get(key));
        let is_uncertain = webinar.is_some_and(|row| is_uncertain(&row.webinar));
        if is_fetch_needed(request.condition, &states, is_uncertain) {
            enqueue(tx, source, request, by, at);
            requested += 1;
        }
    }
    requested
}

fn enqueue(
    tx: &mut Transaction<'_>,
    source: &SourceName,
    request: &FetchRequest,
    by: FetchRequester,
    at: Millis,
) {
    let FetchRequest { account, webinar, .. } = request;
    let is_it = |fetch: &FetchTask| {
        (&fetch.source, &fetch.webinar, &fetch.account) == (source, webinar, account)
    };
    let found = tx.state.fetches.iter().find(|(_, fetch)| is_it(fetch));
    let (id, before) = found.map(|(id, fetch)| (*id, fetch.row.clone())).unzip();
    if before.as_ref().is_none_or(|row| row.state != FetchState::Pending) {
        tx.woken_fetches.insert(source.clone());
    }
    let id = id.unwrap_or_else(|| tx.state.next_number());
    let fetch = FetchTask {
        id,
        source: source.clone(),
        webinar: webinar.clone(),
        account: account.clone(),
        row: request_fetch(before, by, at),
    };
    tx.state.fetches.insert(id, fetch);
}

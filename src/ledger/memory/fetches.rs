//! The queue of fetches.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::transaction::Transaction;
use super::{MemoryLedger, merge};
use crate::event::{FetchRequest, Millis, SourceName};
use crate::ledger::rules::fetch::{
    answer_of, due_later, due_since, is_claim_valid, is_fetch_needed, request_fetch, settle_fetch,
};
use crate::ledger::{
    EventState, FETCH_CLAIM, FetchClaim, FetchOutcome, FetchQueue, FetchStatus, FetchTask,
    LedgerError, ReceiptOutcome, WebinarKey,
};

#[async_trait]
impl FetchQueue for MemoryLedger {
    async fn request_fetches(
        &self,
        source: &SourceName,
        requests: Vec<FetchRequest>,
    ) -> Result<usize, LedgerError> {
        self.write(|tx| request(tx, source, &requests, tx.now))
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
            let accepted = answer_of(task, &mut outcome).map(|receipt| merge::accept(tx, receipt));
            // A settlement whose answer was lost is repeated: by then the row may be gone.
            if let Some(fetch) = tx.state.fetches.remove(&task.id) {
                let row = settle_fetch(&fetch.row, task.row.version, &outcome, tx.now);
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
            let count = |given_up| rows().filter(|row| row.given_up == given_up).count() as u64;
            let failures = rows().filter_map(|row| row.failure.as_ref());
            FetchStatus {
                pending: count(false),
                given_up: count(true),
                last_error: failures.max_by_key(|failure| failure.at).map(|f| f.reason.clone()),
            }
        };
        Ok(self.policies.keys().map(|source| (source.clone(), status(source))).collect())
    }
}

/// Requests fetches of a source; answers how many webinars are to be fetched from now on.
pub(super) fn request(
    tx: &mut Transaction<'_>,
    source: &SourceName,
    requests: &[FetchRequest],
    at: Millis,
) -> usize {
    // No worker asks for a source that is not in the configuration.
    let Some(policy) = tx.policies.get(source) else { return 0 };
    let mut requested = 0;
    for request in requests {
        let key = WebinarKey::new(policy, request.account.as_ref(), &request.webinar);
        let events = key.iter().flat_map(|key| tx.state.events_of(key));
        let states: Vec<EventState> = events.map(|(_, event)| event.row.state).collect();
        if is_fetch_needed(request.condition, &states) {
            enqueue(tx, source, request, at);
            requested += 1;
        }
    }
    requested
}

fn enqueue(tx: &mut Transaction<'_>, source: &SourceName, request: &FetchRequest, at: Millis) {
    let FetchRequest { account, webinar, .. } = request;
    let is_it = |fetch: &FetchTask| {
        (&fetch.source, &fetch.webinar, &fetch.account) == (source, webinar, account)
    };
    let found = tx.state.fetches.iter().find(|(_, fetch)| is_it(fetch));
    let (id, before) = found.map(|(id, fetch)| (*id, fetch.row.clone())).unzip();
    if before.as_ref().is_none_or(|row| row.given_up) {
        tx.woken_fetches.insert(source.clone());
    }
    let id = id.unwrap_or_else(|| tx.state.next_number());
    let fetch = FetchTask {
        id,
        source: source.clone(),
        webinar: webinar.clone(),
        account: account.clone(),
        row: request_fetch(before, at),
    };
    tx.state.fetches.insert(id, fetch);
}

//! The queue of fetches.

use std::collections::BTreeMap;

use super::live::Live;
use super::merge;
use super::state::{State, StoredFetch};
use super::transaction::Transaction;
use crate::event::{ExternalAccountId, FetchRequest, Millis, SourceName, WebinarId};
use crate::ledger::rules::fetch::{
    due_later, due_since, is_claim_valid, is_fetch_needed, request_fetch, settle_fetch,
};
use crate::ledger::{
    EventState, FETCH_CLAIM, FetchClaim, FetchOutcome, FetchStatus, FetchTask, Policies,
    ReceiptOutcome, WebinarKey,
};

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
        let states = key.map_or_else(|_| Vec::new(), |key| event_states(tx.state, &key));
        if is_fetch_needed(request.condition, &states) {
            enqueue(tx, source, request, at);
            requested += 1;
        }
    }
    requested
}

fn event_states(state: &State, key: &WebinarKey) -> Vec<EventState> {
    let Some(id) = state.webinar_ids.get(key) else { return Vec::new() };
    state.events_of(*id).map(|(_, event)| event.row.state).collect()
}

fn enqueue(tx: &mut Transaction<'_>, source: &SourceName, request: &FetchRequest, at: Millis) {
    let found = find(tx.state, source, &request.webinar, request.account.as_ref());
    let was_waiting = found.is_some_and(|id| !tx.state.fetches[&id].row.given_up);
    let row = request_fetch(found.map(|id| tx.state.fetches[&id].row.clone()), at);
    let id = found.unwrap_or_else(|| tx.state.next_number());
    let (webinar, account) = (request.webinar.clone(), request.account.clone());
    tx.state.fetches.insert(id, StoredFetch { source: source.clone(), webinar, account, row });
    if !was_waiting {
        tx.woken_fetches.insert(source.clone());
    }
}

fn find(
    state: &State,
    source: &SourceName,
    webinar: &WebinarId,
    account: Option<&ExternalAccountId>,
) -> Option<i64> {
    let is_it = |fetch: &StoredFetch| {
        fetch.source == *source && fetch.webinar == *webinar && fetch.account.as_ref() == account
    };
    state.fetches.iter().find(|(_, fetch)| is_it(fetch)).map(|(id, _)| *id)
}

/// Claims what is due; what has been due for longest comes first.
pub(super) fn claim(
    state: &State,
    live: &mut Live,
    source: &SourceName,
    limit: usize,
    now: Millis,
) -> FetchClaim {
    live.fetch_claims.retain(|_, ends_at| is_claim_valid(*ends_at, now));
    let of_source = || state.fetches.iter().filter(|(_, fetch)| fetch.source == *source);
    let mut due: Vec<(Millis, i64)> = of_source()
        .filter(|(id, _)| !live.fetch_claims.contains_key(id))
        .filter_map(|(id, fetch)| Some((due_since(&fetch.row, now)?, *id)))
        .collect();
    due.sort_unstable();
    due.truncate(limit);
    let task = |id: i64| {
        let StoredFetch { source, webinar, account, row } = state.fetches[&id].clone();
        FetchTask {
            id,
            source,
            account,
            webinar,
            version: row.version,
            requested_at: row.requested_at,
            attempts: row.attempts,
        }
    };
    let tasks: Vec<FetchTask> = due.into_iter().map(|(_, id)| task(id)).collect();
    live.fetch_claims.extend(tasks.iter().map(|task| (task.id, now.plus(FETCH_CLAIM))));
    let next_due = of_source().filter_map(|(_, fetch)| due_later(&fetch.row, now)).min();
    FetchClaim { tasks, next_due }
}

/// Records the outcome of a task, and accepts the receipt that the outcome brings.
pub(super) fn settle(
    tx: &mut Transaction<'_>,
    task: &FetchTask,
    mut outcome: FetchOutcome,
) -> Option<ReceiptOutcome> {
    let accepted = match &mut outcome {
        FetchOutcome::Answered(receipt) | FetchOutcome::GivenUp { receipt: Some(receipt), .. } => {
            let task = (&task.account, &task.webinar);
            receipt.fetch_requests.retain(|request| (&request.account, &request.webinar) != task);
            Some(merge::accept(tx, receipt))
        }
        FetchOutcome::GivenUp { receipt: None, .. } | FetchOutcome::Retry { .. } => None,
    };
    // A settlement whose answer was lost is repeated: by then the row may be gone.
    if let Some(fetch) = tx.state.fetches.get(&task.id).cloned() {
        let row = settle_fetch(&fetch.row, task.version, &outcome, tx.now);
        if row.as_ref().is_some_and(|row| due_since(row, tx.now).is_some()) {
            tx.woken_fetches.insert(task.source.clone());
        }
        match row {
            Some(row) => tx.state.fetches.insert(task.id, StoredFetch { row, ..fetch }),
            None => tx.state.fetches.remove(&task.id),
        };
    }
    tx.settled_fetches.push(task.id);
    accepted
}

/// The state of the queue of every source in the configuration.
pub(super) fn statuses(state: &State, policies: &Policies) -> BTreeMap<SourceName, FetchStatus> {
    let status = |source: &SourceName| {
        let rows = || state.fetches.values().filter(|fetch| fetch.source == *source);
        let count = |given_up| rows().filter(|fetch| fetch.row.given_up == given_up).count() as u64;
        let failures = rows().filter_map(|fetch| fetch.row.failure.as_ref());
        FetchStatus {
            pending: count(false),
            given_up: count(true),
            last_error: failures.max_by_key(|failure| failure.at).map(|f| f.reason.clone()),
        }
    };
    policies.keys().map(|source| (source.clone(), status(source))).collect()
}

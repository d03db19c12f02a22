//! What the passing of time makes due, what somebody asks for again, and what opening the store makes of it.

use super::merge;
use super::state::{State, StoredEvent};
use super::transaction::Transaction;
use crate::event::{EventKey, Millis, SourceName};
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::rules::redrive::{can_redrive, is_selected, redrive};
use crate::ledger::rules::settle::recover;
use crate::ledger::rules::source_config::{StoredSource, is_rekeyed, is_reshaped};
use crate::ledger::rules::timers::{Cutoffs, resend};
use crate::ledger::{
    EventState, Policies, RedriveProgress, RedriveRequest, RedriveResult, Retention, TimersRun,
};

/// Webinars that are folded again in one run.
const REFOLDS: usize = 200;

/// Runs what is due, for at most `limit` events of each kind.
pub(super) fn run(tx: &mut Transaction<'_>, limit: usize) -> TimersRun {
    let now = tx.now;
    let due = |state: &State, at: fn(&StoredEvent) -> Option<Millis>| {
        let mut due: Vec<(Millis, i64)> = state
            .events
            .iter()
            .filter_map(|(id, event)| Some((at(event).filter(|at| *at <= now)?, *id)))
            .collect();
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id).collect::<Vec<_>>()
    };
    let mut webinars = Vec::new();
    for id in due(tx.state, |event| event.facts.due_at) {
        let webinar = tx.state.events[&id].webinar;
        if !webinars.contains(&webinar) && webinars.len() < limit {
            webinars.push(webinar);
        }
    }
    for webinar in &webinars {
        refold(tx, *webinar, ReconcileScope::All);
    }
    let resends =
        due(tx.state, |event| event.row.resend_at.filter(|_| event.row.sending_since.is_none()));
    let resends: Vec<i64> = resends.into_iter().take(limit).collect();
    for id in &resends {
        let row = tx.state.events[id].row.clone();
        tx.store_row(*id, resend(row, now));
    }
    let done = webinars.len() + resends.len();
    if refold_some(tx) {
        return TimersRun { done, next_due: Some(now) };
    }
    let times = tx.state.events.values().flat_map(|e| [e.facts.due_at, e.row.resend_at]);
    TimersRun { done, next_due: times.flatten().min() }
}

/// Folds a webinar again with what is known now.
fn refold(tx: &mut Transaction<'_>, webinar: i64, scope: ReconcileScope) {
    let at = tx.now;
    let refused = merge::reconcile(tx, webinar, at, scope);
    debug_assert!(refused.is_ok(), "the events are the webinar's own already");
    // Without a policy nothing was reconciled, and the timer would be due for ever.
    for event in tx.state.events.values_mut().filter(|event| event.webinar == webinar) {
        event.facts.due_at = event.facts.due_at.filter(|due_at| *due_at > at);
    }
}

/// Folds some webinars again after the defaults changed; answers whether there may be more.
fn refold_some(tx: &mut Transaction<'_>) -> bool {
    let Some(after) = tx.state.refolded_up_to else { return false };
    let next: Vec<i64> =
        tx.state.webinars.range(after + 1..).map(|(id, _)| *id).take(REFOLDS).collect();
    for id in &next {
        refold(tx, *id, ReconcileScope::NotOver);
    }
    tx.state.refolded_up_to = next.last().copied();
    !next.is_empty()
}

/// Deletes what is older than it is kept. Nothing is left for another call.
pub(super) fn prune(tx: &mut Transaction<'_>, keep: Retention) -> bool {
    let cutoffs = Cutoffs::new(keep, tx.now);
    let state = &mut *tx.state;
    let old: Vec<i64> = state
        .receipts
        .iter()
        .filter(|(_, row)| row.summary.received_at < cutoffs.receipts)
        .map(|(number, _)| *number)
        .collect();
    for number in old {
        let Some(receipt) = state.receipts.remove(&number) else { continue };
        let source = receipt.summary.source;
        for (id, webinar) in &mut state.webinars {
            if webinar.receipts.remove(&number) {
                // Its fields stay, since no receipt can bring them again.
                webinar.has_expired_receipts = true;
                if receipt.has_lasting_key {
                    state.lasting_keys.insert((source.clone(), receipt.dedupe_key, *id));
                }
            }
        }
        state.receipt_ids.remove(&receipt.summary.id);
        state.dedupe_keys.remove(&(source, receipt.dedupe_key));
    }
    let is_pending = |state: &State, id: i64| {
        state.events_of(id).any(|(_, event)| event.row.state == EventState::Pending)
    };
    let old: Vec<i64> = state
        .webinars
        .iter()
        .filter(|(id, row)| row.last_at < cutoffs.webinars && !is_pending(state, **id))
        .map(|(id, _)| *id)
        .collect();
    for id in old {
        let events: Vec<i64> = state.events_of(id).map(|(event, _)| event).collect();
        for event in events {
            state.delete_event(event);
        }
        if let Some(row) = state.webinars.remove(&id) {
            state.webinar_ids.remove(&row.key);
        }
        state.lasting_keys.retain(|(_, _, webinar)| *webinar != id);
    }
    let policies = tx.policies;
    tx.state.fetches.retain(|_, fetch| {
        let failed_at = fetch.row.failure.as_ref().map(|failure| failure.at);
        let is_old = failed_at.is_some_and(|at| at < cutoffs.receipts);
        !(fetch.row.given_up && is_old && policies.contains_key(&fetch.source))
    });
    false
}

/// Sends one event again.
pub(super) fn redrive_one(tx: &mut Transaction<'_>, key: &EventKey) -> RedriveResult {
    let Some(id) = tx.state.event_ids.get(key).copied() else { return RedriveResult::Unknown };
    match redrive(tx.state.events[&id].row.clone(), tx.now) {
        Ok(row) => {
            tx.store_row(id, row);
            RedriveResult::Pending
        }
        Err(refused) => refused,
    }
}

/// Sends all events again that the request selects. Nothing is left for another call.
pub(super) fn redrive_all(tx: &mut Transaction<'_>, request: &RedriveRequest) -> RedriveProgress {
    let mut redriven = 0;
    if can_redrive(request.state) {
        let after = request.after.unwrap_or(0);
        let selected: Vec<i64> = tx
            .state
            .events
            .range(after + 1..)
            .filter(|(_, event)| {
                let (account, ends_at) = (event.key.hubspot.as_str(), event.facts.ends_at);
                is_selected(request, account, event.row.state, ends_at, tx.now)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in selected {
            if let Ok(row) = redrive(tx.state.events[&id].row.clone(), tx.now) {
                tx.store_row(id, row);
                redriven += 1;
            }
        }
    }
    RedriveProgress { redriven, next: None }
}

/// The first source whose events would get new ids in HubSpot.
pub(super) fn rekeyed_source(state: &State, policies: &Policies) -> Option<SourceName> {
    let is_rekeyed = |name: &SourceName| {
        let now = StoredSource::from_policy(&policies[name]);
        is_rekeyed(state.sources.get(name), &now, !state.webinars.is_empty())
    };
    policies.keys().find(|name| is_rekeyed(name)).cloned()
}

/// What opening the store makes of it: calls that were under way have an unknown outcome, and the sources' configuration is
/// remembered.
pub(super) fn open(state: &mut State, policies: &Policies, now: Millis) {
    recover_calls(state, |_| true, now);
    for (name, policy) in policies {
        let source = StoredSource::from_policy(policy);
        if is_reshaped(state.sources.get(name), &source) {
            state.refolded_up_to = Some(0);
        }
        state.sources.insert(name.clone(), source);
    }
}

/// Takes the calls that were under way with the selected events for ambiguous: whoever made them records no outcome.
pub(super) fn recover_calls(
    state: &mut State,
    is_selected: impl Fn(&StoredEvent) -> bool,
    now: Millis,
) {
    for event in state.events.values_mut().filter(|event| is_selected(event)) {
        if event.row.sending_since.is_some() {
            event.row = recover(event.row.clone(), now);
        }
    }
}

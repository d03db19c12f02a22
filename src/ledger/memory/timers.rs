//! Timers, pruning and redrives, and the opening of a store.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use super::MemoryLedger;
use super::merge;
use super::state::{MemoryEvent, ReceiptRow, State, sequence_number};
use super::transaction::Transaction;
use crate::event::{EventKey, Millis};
use crate::ledger::rules::base::{StoreAge, restore};
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::rules::redrive::{is_selected, redrive};
use crate::ledger::rules::retention::{
    OldReceipts, is_receipt_young, old_receipts, webinar_bounds,
};
use crate::ledger::rules::settle::recover;
use crate::ledger::rules::timers::{
    DERIVED_AGAIN, TIMER_RETRY, is_derived_again, is_overdue, resend,
};
use crate::ledger::rules::waits::{
    LONGEST_FETCH_WAIT, cut, cut_event, cut_status, move_event, move_event_ahead, move_status,
    moved,
};
use crate::ledger::{
    LedgerError, Redrive, RedriveProgress, RedriveRequest, RedriveResult, Retention, Timers,
    TimersRun, WebinarKey,
};

#[async_trait]
impl Timers for MemoryLedger {
    async fn run_timers(&self, limit: usize) -> Result<TimersRun, LedgerError> {
        self.write(|tx| run_timers(tx, limit))
    }

    async fn prune(&self, keep: Retention) -> Result<bool, LedgerError> {
        self.write(|tx| prune(tx, keep))?;
        // Nothing is left for another call.
        Ok(false)
    }
}

fn run_timers(tx: &mut Transaction<'_>, limit: usize) -> TimersRun {
    let (now, time) = (tx.now, tx.timer_time());
    let completes = !tx.is_clock_doubted;
    let events = tx.state.events.values();
    let timed_out = events.filter(|event| {
        let is_early = event.facts.timer.is_some_and(|timer| timer.end > now);
        (completes && is_early) || is_overdue(event.facts.due_at, time)
    });
    let webinars: BTreeSet<WebinarKey> = timed_out.map(|event| event.webinar.clone()).collect();
    let mut done = 0;
    for webinar in webinars.iter().take(limit) {
        refold(tx, webinar, ReconcileScope::All);
        // What was derived again may be sent now, even if it is as it was.
        tx.woken.insert(webinar.hubspot.clone());
        done += 1;
    }
    let resends =
        tx.state.events.values_mut().filter(|event| {
            event.row.sending_since.is_none() && is_overdue(event.row.resend_at, now)
        });
    for event in resends.take(limit) {
        event.store_row(resend(event.row.clone(), now), &mut tx.woken);
        done += 1;
    }
    if std::mem::take(&mut tx.state.are_defaults_new) {
        let webinars: Vec<WebinarKey> = tx.state.webinars.keys().cloned().collect();
        for webinar in &webinars {
            refold(tx, webinar, ReconcileScope::NotOver);
        }
        return TimersRun { done, next_due: Some(now) };
    }
    let counts = |at: &Millis| completes || *at == DERIVED_AGAIN;
    let due_at = |event: &MemoryEvent| event.facts.due_at.filter(counts);
    let times = tx.state.events.values().flat_map(|event| [due_at(event), event.row.resend_at]);
    TimersRun { done, next_due: times.flatten().min() }
}

/// Folds a webinar again with what is known now.
pub(super) fn refold(tx: &mut Transaction<'_>, webinar: &WebinarKey, scope: ReconcileScope) {
    let at = tx.dated_now;
    let refused = merge::reconcile(tx, webinar, (at, false), scope);
    debug_assert!(refused.is_ok(), "the events are the webinar's own already");
    // Without a policy nothing was reconciled: the timers wait until there is one.
    let time = tx.timer_time();
    for event in tx.state.events.values_mut().filter(|event| event.webinar == *webinar) {
        if is_overdue(event.facts.due_at, time) {
            event.facts.due_at = Some(at.plus(TIMER_RETRY));
        }
    }
}

/// Deletes what is older than it is kept. A doubted clock deletes nothing (M10).
fn prune(tx: &mut Transaction<'_>, keep: Retention) {
    if tx.is_clock_doubted {
        return;
    }
    let (now, receipts_since) = (tx.now, tx.now.minus(keep.receipts));
    let (usual, timeless) = webinar_bounds(keep, now);
    let is_refold_due = tx.state.are_defaults_new;
    let State { receipts, webinars, events, fetches, age, .. } = &mut tx.state;
    let before = events.len() + webinars.len();
    let all: Vec<(i64, Option<Millis>)> =
        receipts.iter().map(|(number, row)| (*number, row.undoubted_at())).collect();
    let up_to = match old_receipts(&all, receipts_since, now) {
        OldReceipts::UpTo(number) => number,
        OldReceipts::LookAfter(_) | OldReceipts::None => i64::MIN,
    };
    let is_old = |number: &i64, row: &mut ReceiptRow| {
        *number <= up_to && !is_receipt_young(row.undoubted_at(), receipts_since, now)
    };
    for (number, old) in receipts.extract_if(.., is_old) {
        for webinar in webinars.values_mut() {
            if webinar.receipts.remove(&number).is_some() {
                // Its fields stay, since no receipt can bring them again.
                webinar.has_expired_receipts = true;
                webinar.lasting_keys.extend(old.has_lasting_key.then(|| old.dedupe_key.clone()));
            }
        }
    }
    let open = events.values().filter(|e| e.is_pending() || is_overdue(e.facts.due_at, now));
    let open: BTreeSet<WebinarKey> = open.map(|event| event.webinar.clone()).collect();
    // Until then the dates of the webinars are those of an earlier version or configuration.
    if !is_refold_due {
        webinars.retain(|key, row| {
            let since = if row.is_timeless { timeless } else { usual };
            row.last_at >= since || open.contains(key)
        });
    }
    let is_old = |event: &MemoryEvent| {
        let is_over = event.facts.ends_at.is_some_and(|at| at < usual);
        is_over && event.row.changed_at < usual && !event.is_pending()
    };
    events.retain(|_, event| {
        webinars.contains_key(&event.webinar) && !(event.row.is_frozen && is_old(event))
    });
    if events.len() + webinars.len() < before {
        *age = age.map(|age| age.pruned(usual));
    }
    for (state, span) in keep.ended_fetches() {
        let since = tx.now.minus(span);
        fetches.retain(|_, fetch| {
            let failed_at = fetch.row.failure.as_ref().map(|failure| failure.at);
            let is_old = failed_at.is_some_and(|at| at < since);
            !(fetch.row.state == state && is_old && tx.policies.contains_key(&fetch.source))
        });
    }
}

#[async_trait]
impl Redrive for MemoryLedger {
    async fn redrive(&self, key: &EventKey) -> Result<RedriveResult, LedgerError> {
        self.write(|tx| {
            let found = tx.state.events.values_mut().find(|event| event.key == *key);
            let Some(event) = found else { return RedriveResult::Unknown };
            match redrive(event.row.clone(), tx.now) {
                Ok(row) => {
                    event.redrive(row, &mut tx.woken);
                    RedriveResult::Pending
                }
                Err(refused) => refused,
            }
        })
    }

    async fn redrive_all(&self, request: RedriveRequest) -> Result<RedriveProgress, LedgerError> {
        self.write(|tx| {
            let mut redriven = 0;
            let after = request.after.unwrap_or(0);
            for (_, event) in tx.state.events.range_mut(after + 1..) {
                let (account, ends_at) = (event.key.hubspot.as_str(), event.facts.ends_at);
                if is_selected(&request, account, event.row.state, ends_at, tx.now)
                    && let Ok(row) = redrive(event.row.clone(), tx.now)
                {
                    event.redrive(row, &mut tx.woken);
                    redriven += 1;
                }
            }
            // Nothing is left for another call.
            RedriveProgress { redriven, next: None }
        })
    }
}

/// Lets the timers derive again what [`is_derived_again`], before it is sent.
pub(super) fn derive_again(state: &mut State) {
    for event in state.events.values_mut() {
        if is_derived_again(&event.row, event.facts.timer) {
            event.facts.due_at = Some(DERIVED_AGAIN);
        }
    }
}

/// Moves all waits after the clock was set back by that much. What a timer completed before is derived again.
pub(super) fn move_waits_back(tx: &mut Transaction<'_>, by: Duration) {
    derive_again(&mut tx.state);
    let now = tx.now;
    for event in tx.state.events.values_mut() {
        event.row = move_event(event.row.clone(), now, by);
        tx.woken.insert(event.key.hubspot.clone());
    }
    for fetch in tx.state.fetches.values_mut() {
        fetch.row.not_before = moved(fetch.row.not_before, now, by);
        tx.woken_fetches.insert(fetch.source.clone());
    }
    for (account, status) in &mut tx.state.statuses {
        *status = move_status(status.clone(), now, by);
        tx.woken.insert(account.clone());
    }
    for ends_at in tx.live.fetch_claims.values_mut() {
        *ends_at = ends_at.minus(by);
    }
}

/// Moves the second sendings after the clock was set ahead by that much.
pub(super) fn move_second_sendings_ahead(tx: &mut Transaction<'_>, by: Duration) {
    for event in tx.state.events.values_mut() {
        event.row = move_event_ahead(event.row.clone(), tx.now, by);
    }
}

/// Opens the rows: calls that were under way have an unknown outcome, and what a timer completed is derived again.
pub(super) fn open(state: &mut State, now: Millis) {
    recover_calls(state, |_| true, now);
    derive_again(state);
    let born = StoreAge::new(now);
    let last = sequence_number(state.last_number());
    let age = state.age.get_or_insert(born);
    if std::mem::take(&mut state.is_copy) {
        age.restored_at = Some(now);
        age.restored_above = Some(last);
        for event in state.events.values_mut() {
            let (row, confirmed_input) = restore(event.row.clone(), last);
            event.store_confirmed_input(confirmed_input, None);
            event.row = row;
            event.input = event.input.take().filter(|_| event.row.input_hash.is_some());
        }
    }
    for event in state.events.values_mut() {
        event.row = cut_event(event.row.clone(), now);
    }
    for fetch in state.fetches.values_mut() {
        fetch.row.not_before = cut(fetch.row.not_before, now, LONGEST_FETCH_WAIT);
    }
    for status in state.statuses.values_mut() {
        *status = cut_status(status.clone(), now);
    }
}

/// Takes the calls that were under way with the selected events for ambiguous: nobody records their outcome any more.
pub(super) fn recover_calls(
    state: &mut State,
    is_selected: impl Fn(&MemoryEvent) -> bool,
    now: Millis,
) {
    for event in state.events.values_mut().filter(|event| is_selected(event)) {
        if event.row.sending_since.is_some() {
            event.row = recover(event.row.clone(), now);
        }
    }
}

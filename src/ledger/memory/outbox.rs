//! Claims, attempts and their outcomes, and the statuses of the accounts.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use super::MemoryLedger;
use super::state::{MemoryEvent, State};
use super::timers::refold;
use crate::event::{AccountName, AccountStatus, Millis, StatusChange, StatusUpdate};
use crate::ledger::rules::choose_batch::{BatchCandidate, BatchChoice, choose_batch};
use crate::ledger::rules::choose_probe::{ProbeCandidate, ProbeChoice, choose_probe};
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::rules::settle::{self, SettledEvent, ends_claim};
use crate::ledger::rules::timers::{DERIVED_AGAIN, ends_waits};
use crate::ledger::{
    AccountStatuses, ClaimRequest, ClaimResult, ClaimedEvent, EventState, EventVersion,
    LONGEST_WAIT, Lease, LedgerError, Outbox, RecordResult, Settlement,
};

#[async_trait]
impl Outbox for MemoryLedger {
    async fn acquire_lease(&self, account: &AccountName) -> Result<Option<Lease>, LedgerError> {
        Ok(self.live().acquire_lease(account))
    }

    async fn claim(
        &self,
        lease: &Lease,
        request: ClaimRequest,
    ) -> Result<ClaimResult, LedgerError> {
        let (account, now) = (lease.account(), self.clock.now());
        let (state, mut live) = self.lock();
        if !live.holds(lease) {
            return Ok(ClaimResult::LeaseLost);
        }
        let mut ready: Vec<(i64, &MemoryEvent)> = pending(&state, account)
            .filter(|(id, event)| is_ready(event, now) && !live.is_claimed(account, *id))
            .collect();
        ready.sort_by_key(|(id, event)| (event.row.pending_since, *id));
        if let Some(probe) = &request.probe {
            let candidates = ready.iter().map(|(id, event)| ProbeCandidate {
                id: *id,
                account: event.key.external_account_id.clone(),
                pending_since: event.row.pending_since,
            });
            let witnesses: Vec<i64> = state
                .events
                .iter()
                .rev()
                .filter(|(id, event)| is_witness(event, account) && !live.is_claimed(account, **id))
                .map(|(id, _)| *id)
                .collect();
            let chosen = choose_probe(&witnesses, &candidates.collect::<Vec<_>>(), probe);
            let of = |id| claimed(id, state.events.get(&id)?);
            let event = match chosen {
                Some(ProbeChoice::Pending(id)) => of(id),
                Some(ProbeChoice::Witness(id)) => of(id).map(ClaimedEvent::as_witness),
                None => None,
            };
            if let Some(event) = event {
                live.claim(account, std::slice::from_ref(&event));
                return Ok(ClaimResult::Batch(vec![event]));
            }
            ready.clear();
        }
        let candidates = ready.iter().map(|(id, event)| BatchCandidate {
            id: *id,
            external_event_id: event.key.external_event_id.clone(),
            pending_since: event.row.pending_since,
            input_bytes: event.input.as_deref().map_or(0, |input| input.len() as u64),
        });
        let leaves_at = match choose_batch(candidates.collect(), &request, now) {
            BatchChoice::Send(ids) => {
                let batch: Vec<ClaimedEvent> =
                    ids.into_iter().filter_map(|id| claimed(id, state.events.get(&id)?)).collect();
                live.claim(account, &batch);
                return Ok(ClaimResult::Batch(batch));
            }
            BatchChoice::Wait(leaves_at) => leaves_at,
        };
        let waiting = pending(&state, account).filter_map(|(_, event)| event.row.not_before);
        let waiting = waiting.filter(|at| *at > now);
        Ok(ClaimResult::Wait(leaves_at.into_iter().chain(waiting).min()))
    }

    async fn begin_attempt(
        &self,
        lease: &Lease,
        events: &[EventVersion],
    ) -> Result<RecordResult, LedgerError> {
        self.write(|tx| {
            if !tx.live.holds(lease) {
                return RecordResult::LeaseLost;
            }
            for event in events {
                if let Some(stored) = tx.state.events.get_mut(&event.id) {
                    stored.row = settle::begin_attempt(stored.row.clone(), tx.now);
                }
            }
            RecordResult::Recorded
        })
    }

    async fn settle(
        &self,
        lease: &Lease,
        settlements: Vec<Settlement>,
    ) -> Result<RecordResult, LedgerError> {
        let account = lease.account();
        self.write(|tx| {
            if !tx.live.holds(lease) {
                return RecordResult::LeaseLost;
            }
            let mut folds = BTreeSet::new();
            for Settlement { event, outcome } in &settlements {
                // An event that was deleted meanwhile has nothing to record.
                if let Some(stored) = tx.state.events.get_mut(&event.id) {
                    let SettledEvent { row, confirmed_input } =
                        settle::settle(stored.row.clone(), event, outcome, tx.now);
                    let sent = tx.live.claimed_input(account, event.id);
                    stored.store_confirmed_input(confirmed_input, sent);
                    if settle::is_fold_due(&stored.row, &row) {
                        folds.insert(stored.webinar.clone());
                    }
                    stored.row = row;
                }
                if ends_claim(outcome) {
                    tx.live.release(account, event.id);
                }
            }
            for webinar in folds {
                refold(tx, &webinar, ReconcileScope::All);
            }
            tx.woken.insert(account.clone());
            RecordResult::Recorded
        })
    }

    fn release(&self, lease: &Lease, events: &[EventVersion]) {
        let mut live = self.live();
        if live.holds(lease) {
            for event in events {
                live.release(lease.account(), event.id);
            }
        }
        drop(live);
        self.wake(lease.account());
    }

    async fn has_pending(&self, account: &AccountName) -> Result<bool, LedgerError> {
        let (state, live) = self.lock();
        Ok(pending(&state, account).any(|(id, _)| !live.is_claimed(account, id)))
    }

    fn wake_up(&self, account: &AccountName) -> Arc<Notify> {
        self.notify.get(account).cloned().unwrap_or_default()
    }
}

/// The account's pending events, claimed or not.
pub(super) fn pending<'a>(
    state: &'a State,
    account: &AccountName,
) -> impl Iterator<Item = (i64, &'a MemoryEvent)> {
    let events = state.events.iter().map(|(id, event)| (*id, event));
    events.filter(move |(_, event)| event.key.hubspot == *account && event.is_pending())
}

/// A wait beyond [`LONGEST_WAIT`] was written by a clock that was ahead, and is ignored.
fn is_ready(event: &MemoryEvent, now: Millis) -> bool {
    event.row.not_before.is_none_or(|at| at <= now || at > now.plus(LONGEST_WAIT))
        && event.facts.due_at != Some(DERIVED_AGAIN)
}

/// Whether HubSpot confirmed the event as it is.
fn is_witness(event: &MemoryEvent, account: &AccountName) -> bool {
    event.key.hubspot == *account
        && event.row.state == EventState::Delivered
        && event.row.confirmed_hash == event.row.input_hash
}

fn claimed(id: i64, event: &MemoryEvent) -> Option<ClaimedEvent> {
    let MemoryEvent { key, row, input, .. } = event;
    let input_hash = row.input_hash?;
    Some(ClaimedEvent {
        id,
        key: key.clone(),
        version: row.version,
        pending_since: row.pending_since,
        attempts: row.attempts,
        input: input.clone()?,
        input_hash,
        already_confirmed: row.held_hash == Some(input_hash),
        is_witness: false,
    })
}

#[async_trait]
impl AccountStatuses for MemoryLedger {
    fn watch_status(&self, account: &AccountName) -> watch::Receiver<AccountStatus> {
        let unknown = || watch::channel(AccountStatus::default()).1;
        self.statuses.get(account).map_or_else(unknown, watch::Sender::subscribe)
    }

    async fn account_status(&self, account: &AccountName) -> Result<AccountStatus, LedgerError> {
        Ok(self.store.lock().statuses.get(account).cloned().unwrap_or_default())
    }

    async fn update_status(
        &self,
        account: &AccountName,
        change: StatusChange,
    ) -> Result<StatusUpdate, LedgerError> {
        self.write(|tx| {
            let before = tx.state.statuses.get(account).cloned().unwrap_or_default();
            let after = before.apply(&change, tx.now);
            if ends_waits(&before, &after) {
                let events = tx.state.events.values_mut();
                for event in events.filter(|event| event.key.hubspot == *account) {
                    if event.is_pending() {
                        event.row.not_before = None;
                    }
                }
            }
            if before != after {
                tx.woken.insert(account.clone());
                tx.state.statuses.insert(account.clone(), after.clone());
            }
            StatusUpdate { before, after }
        })
    }
}

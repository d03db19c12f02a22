//! Claims, attempts and their outcomes.

use super::live::Live;
use super::state::{State, StoredEvent};
use super::transaction::Transaction;
use crate::event::{AccountName, AccountStatus, Millis};
use crate::ledger::rules::choose_batch::{BatchCandidate, BatchChoice, choose_batch};
use crate::ledger::rules::settle::{self, SettledEvent, ends_claim};
use crate::ledger::rules::timers::ends_waits;
use crate::ledger::{
    ClaimRequest, ClaimResult, ClaimedEvent, EventState, EventVersion, LONGEST_WAIT, Settlement,
};

/// Claims a batch, if one may leave now.
pub(super) fn claim(
    state: &State,
    live: &mut Live,
    account: &AccountName,
    request: &ClaimRequest,
    now: Millis,
) -> ClaimResult {
    let rows = request.rows_to_read(live.claim_count(account));
    let mut ready: Vec<(i64, &StoredEvent)> =
        pending(state, account).filter(|(_, event)| is_ready(event, now)).collect();
    ready.sort_by_key(|(id, event)| (event.row.pending_since, *id));
    ready.truncate(rows);
    ready.retain(|(id, _)| !live.is_claimed(account, *id));
    let candidates = ready.iter().map(|(id, event)| BatchCandidate {
        id: *id,
        external_event_id: event.key.external_event_id.clone(),
        pending_since: event.row.pending_since,
        input_bytes: event.input.as_deref().map_or(0, |input| input.len() as u64),
    });
    let leaves_at = match choose_batch(candidates.collect(), request, now) {
        BatchChoice::Send(ids) => {
            let batch: Vec<ClaimedEvent> =
                ids.into_iter().filter_map(|id| claimed(id, state.events.get(&id)?)).collect();
            live.claim(account, &batch);
            return ClaimResult::Batch(batch);
        }
        BatchChoice::Wait(leaves_at) => leaves_at,
    };
    let waiting = pending(state, account).filter_map(|(_, event)| event.row.not_before);
    ClaimResult::Wait(leaves_at.into_iter().chain(waiting.filter(|at| *at > now)).min())
}

fn pending<'a>(
    state: &'a State,
    account: &AccountName,
) -> impl Iterator<Item = (i64, &'a StoredEvent)> {
    let events = state.events.iter().map(|(id, event)| (*id, event));
    events.filter(move |(_, event)| {
        event.key.hubspot == *account && event.row.state == EventState::Pending
    })
}

/// A wait beyond [`LONGEST_WAIT`] was written by a clock that was ahead, and is ignored.
fn is_ready(event: &StoredEvent, now: Millis) -> bool {
    event.row.not_before.is_none_or(|at| at <= now || at > now.plus(LONGEST_WAIT))
}

fn claimed(id: i64, event: &StoredEvent) -> Option<ClaimedEvent> {
    let StoredEvent { key, row, input, .. } = event;
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
    })
}

/// Since when the account's oldest pending event has been pending.
pub(super) fn oldest_pending(state: &State, account: &AccountName) -> Option<Millis> {
    pending(state, account).map(|(_, event)| event.row.pending_since).min()
}

/// Whether the account has a pending event that is not claimed.
pub(super) fn has_pending(state: &State, live: &Live, account: &AccountName) -> bool {
    pending(state, account).any(|(id, _)| !live.is_claimed(account, id))
}

/// Records that calls with these events begin.
pub(super) fn begin_attempt(tx: &mut Transaction<'_>, events: &[EventVersion]) {
    for event in events {
        if let Some(stored) = tx.state.events.get_mut(&event.id) {
            stored.row = settle::begin_attempt(stored.row.clone(), tx.now);
        }
    }
}

/// Records outcomes; answers the events whose claims end.
pub(super) fn settle(
    tx: &mut Transaction<'_>,
    account: &AccountName,
    settlements: &[Settlement],
) -> Vec<i64> {
    for Settlement { event, outcome } in settlements {
        // An event that was deleted meanwhile has nothing to record.
        let Some(stored) = tx.state.events.get_mut(&event.id) else { continue };
        let SettledEvent { row, confirmed_input } =
            settle::settle(stored.row.clone(), event, outcome, tx.now);
        let sent = tx.live.claimed_input(account, event.id);
        stored.store_confirmed_input(confirmed_input, sent);
        stored.row = row;
    }
    tx.woken.insert(account.clone());
    let ended = settlements.iter().filter(|settlement| ends_claim(&settlement.outcome));
    ended.map(|settlement| settlement.event.id).collect()
}

/// Stores an account's status, and ends the waits that it ends.
pub(super) fn store_status(
    tx: &mut Transaction<'_>,
    account: &AccountName,
    before: &AccountStatus,
    after: &AccountStatus,
) {
    if ends_waits(before, after) {
        let events = tx.state.events.values_mut();
        for event in events.filter(|event| event.key.hubspot == *account) {
            if event.row.state == EventState::Pending {
                event.row.not_before = None;
            }
        }
    }
    tx.woken.insert(account.clone());
    tx.state.statuses.insert(account.clone(), after.clone());
}

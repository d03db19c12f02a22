//! Reading what HubSpot holds of events before their first send.

use std::cmp::Reverse;

use async_trait::async_trait;

use super::timers::refold;
use super::{MemoryLedger, state::MemoryEvent};
use crate::event::{AccountName, BaseState};
use crate::ledger::rules::base::{self, waits_for_base};
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::{BaseRead, BaseReadOutcome, BaseReads, Lease, LedgerError, RecordResult};

#[async_trait]
impl BaseReads for MemoryLedger {
    async fn claim_base_read(&self, lease: &Lease) -> Result<Option<BaseRead>, LedgerError> {
        let account = lease.account();
        let (state, mut live) = self.lock();
        if !live.holds(lease) {
            return Ok(None);
        }
        let is_free = |(id, event): &(&i64, &MemoryEvent)| {
            event.key.hubspot == *account
                && waits_for_base(&event.row)
                && !live.base_claims.contains(&(account.clone(), **id))
        };
        let is_urgent = |event: &MemoryEvent| {
            matches!(event.row.base, BaseState::Unread { is_urgent: true, .. })
        };
        let next = state.events.iter().filter(is_free);
        let next = next.min_by_key(|(id, event)| (Reverse(is_urgent(event)), **id));
        let next = next.map(|(id, event)| BaseRead { id: *id, key: event.key.clone() });
        if let Some(read) = &next {
            live.base_claims.insert((account.clone(), read.id));
        }
        Ok(next)
    }

    async fn settle_base_read(
        &self,
        lease: &Lease,
        read: &BaseRead,
        outcome: BaseReadOutcome,
    ) -> Result<RecordResult, LedgerError> {
        let account = lease.account();
        self.write(|tx| {
            if !tx.live.holds(lease) {
                return RecordResult::LeaseLost;
            }
            // An event that was deleted meanwhile has nothing to record.
            let event = tx.state.events.get_mut(&read.id);
            if let Some(event) = event.filter(|event| event.key == read.key) {
                let confirmed = event.confirmed_input.as_deref();
                let after = base::settle_base_read(event.row.clone(), outcome, confirmed);
                if after != event.row {
                    event.row = after;
                    let webinar = event.webinar.clone();
                    let events = tx.state.events_of(&webinar);
                    let unread = events.filter(|(_, event)| waits_for_base(&event.row)).count();
                    if base::is_fold_due(unread) {
                        refold(tx, &webinar, ReconcileScope::All);
                    }
                }
            }
            tx.live.base_claims.remove(&(account.clone(), read.id));
            tx.woken.insert(account.clone());
            RecordResult::Recorded
        })
    }

    async fn has_base_reads(&self, account: &AccountName) -> Result<bool, LedgerError> {
        let state = self.store.lock();
        let mut events = state.events.values();
        Ok(events.any(|event| event.key.hubspot == *account && waits_for_base(&event.row)))
    }

    fn release_base_read(&self, lease: &Lease, read: &BaseRead) {
        let mut live = self.live();
        if live.holds(lease) {
            live.base_claims.remove(&(lease.account().clone(), read.id));
        }
        drop(live);
        self.wake(lease.account());
    }
}

//! Claims and leases, which last only while the ledger is open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::ClockSteps;
use crate::event::{AccountName, Millis};
use crate::ledger::{ClaimedEvent, Lease};

/// Claims and leases. They end with the process.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// The claimed events of each account, with the inputs that are being sent.
    claims: BTreeMap<AccountName, BTreeMap<i64, Arc<[u8]>>>,
    /// The events whose bases are being read.
    pub(super) base_claims: BTreeSet<(AccountName, i64)>,
    /// The claimed fetches, and when their claims end.
    pub(super) fetch_claims: BTreeMap<i64, Millis>,
    /// The fencing number of each account's latest lease.
    fences: BTreeMap<AccountName, u64>,
    /// The accounts whose latest lease another process has.
    taken_away: BTreeSet<AccountName>,
    /// Notices that the clock was set back.
    pub(super) steps: ClockSteps,
    /// Whether the clock of the last call that wrote was doubted.
    pub(super) was_doubted: bool,
    /// The ledger is closed: nothing is written any more.
    pub(super) is_closed: bool,
}

impl Live {
    /// The account's lease; none while another process has it.
    pub(super) fn acquire_lease(&mut self, account: &AccountName) -> Option<Lease> {
        if self.taken_away.contains(account) {
            return None;
        }
        let fence = *self.fences.entry(account.clone()).or_insert(1);
        Some(Lease::new(account.clone(), fence))
    }

    /// Whether the lease is the latest one of its account. One that was taken away is not.
    pub(super) fn holds(&self, lease: &Lease) -> bool {
        self.fences.get(lease.account()).is_none_or(|fence| *fence == lease.fence())
    }

    /// Gives the account's lease to another process. The claims under it end.
    pub(super) fn take_lease_away(&mut self, account: &AccountName) {
        *self.fences.entry(account.clone()).or_insert(1) += 1;
        self.taken_away.insert(account.clone());
        self.claims.remove(account);
        self.base_claims.retain(|(of, _)| of != account);
    }

    /// The other process gives the account's lease up.
    pub(super) fn give_lease_back(&mut self, account: &AccountName) {
        self.taken_away.remove(account);
    }

    pub(super) fn claim(&mut self, account: &AccountName, batch: &[ClaimedEvent]) {
        let claims = batch.iter().map(|event| (event.id, Arc::clone(&event.input)));
        self.claims.entry(account.clone()).or_default().extend(claims);
    }

    pub(super) fn release(&mut self, account: &AccountName, id: i64) {
        if let Some(claims) = self.claims.get_mut(account) {
            claims.remove(&id);
        }
    }

    pub(super) fn is_claimed(&self, account: &AccountName, id: i64) -> bool {
        self.claimed_input(account, id).is_some()
    }

    /// The input of a claimed event that is being sent.
    pub(super) fn claimed_input(&self, account: &AccountName, id: i64) -> Option<&Arc<[u8]>> {
        self.claims.get(account)?.get(&id)
    }
}

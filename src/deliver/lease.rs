//! The lease of an account: whoever has it delivers the account's events.

use std::sync::{MutexGuard, PoisonError};

use super::worker::AccountWorker;
use crate::ledger::{Lease, LedgerError};

impl AccountWorker {
    /// The account's lease, taken if this process does not have it; none while another has it.
    pub(super) async fn hold_lease(&self) -> Result<Option<Lease>, LedgerError> {
        if let Some(lease) = self.lease().clone() {
            return Ok(Some(lease));
        }
        let lease = self.ledger.acquire_lease(&self.account).await?;
        self.metrics.set_lease_held(&self.account, lease.is_some());
        self.lease().clone_from(&lease);
        Ok(lease)
    }

    /// Another process has the account's lease: it is to be taken again before anything is sent.
    pub(super) fn lose_lease(&self, lost: &Lease) {
        let mut lease = self.lease();
        if lease.as_ref() == Some(lost) {
            *lease = None;
            self.metrics.set_lease_held(&self.account, false);
            tracing::warn!(hubspot.account = %self.account, "the account's lease was lost; its batches are dropped");
        }
    }

    fn lease(&self) -> MutexGuard<'_, Option<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

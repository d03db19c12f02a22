//! Reads what HubSpot holds of an event before its first send.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::account::DeliveryAccount;
use super::assess::failure;
use crate::event::{StatusChange, StatusUpdate};
use crate::hubspot::{AccountErrorKind, ApiReport, CallPermit, RateLimit};
use crate::ledger::{BaseRead, BaseReadOutcome, Lease, RecordResult};

/// The reads of the last window: at most half of the account's calls, so that sends go on.
#[derive(Debug)]
pub struct ReadShare {
    reads: VecDeque<Instant>,
    most: usize,
    window: Duration,
}

impl ReadShare {
    /// No reads yet.
    #[must_use]
    pub fn new(limit: RateLimit) -> Self {
        let most = usize::try_from(limit.requests / 2).unwrap_or(usize::MAX).max(1);
        Self { reads: VecDeque::new(), most, window: limit.window }
    }

    /// When the next read may go; none: now.
    pub fn next_at(&mut self, now: Instant) -> Option<Instant> {
        while self.reads.front().is_some_and(|at| *at + self.window <= now) {
            self.reads.pop_front();
        }
        if self.reads.len() < self.most {
            return None;
        }
        self.reads.front().map(|at| *at + self.window)
    }

    /// A read goes now.
    pub fn record(&mut self, now: Instant) {
        self.reads.push_back(now);
    }
}

/// Frees the event if it was not settled, however the read ends.
struct Claimed<'a> {
    account: &'a DeliveryAccount,
    lease: &'a Lease,
    read: &'a BaseRead,
    is_settled: bool,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.account.ledger.release_base_read(self.lease, self.read);
        }
    }
}

/// Reads an event, and records what HubSpot holds.
///
/// # Cancel safety
/// Dropping it frees the event, which is read again.
pub async fn read(account: Arc<DeliveryAccount>, lease: Lease, read: BaseRead, permit: CallPermit) {
    let mut claimed = Claimed { account: &account, lease: &lease, read: &read, is_settled: false };
    if !account.may_send() {
        return;
    }
    let ApiReport { outcome, daily_remaining, .. } =
        account.hubspot.read_event(permit, &read.key).await;
    let outcome = match outcome {
        Ok(Some(shown)) => BaseReadOutcome::Found {
            fields: Box::new(shown.base_fields()),
            object_id: shown.object_id(),
        },
        Ok(None) => BaseReadOutcome::Absent,
        Err(error) if error.kind == AccountErrorKind::Forbidden => {
            let change = StatusChange::ReadRefused { detail: error.detail.clone() };
            let update = account.update_status(change).await;
            if update.is_some_and(|StatusUpdate { before, .. }| before.reads_refused.is_none()) {
                tracing::warn!(
                    hubspot.account = %account.name,
                    detail = error.detail,
                    "HubSpot does not show events; those that it may hold from before wait until the credentials have \
                     the scope crm.objects.marketing_events.read"
                );
            }
            return;
        }
        Err(error) => {
            let failure = failure::from_error(&error, (account.settings.random)());
            account.update_status(StatusChange::Failed { failure, daily_remaining }).await;
            account.log_error(&error);
            return;
        }
    };
    let status = account.status();
    if status.reads_refused.is_some() {
        account.update_status(StatusChange::ReadAnswered).await;
    }
    if status.failures > 0 {
        let change = StatusChange::Recovered { accepted: false, daily_remaining };
        account.update_status(change).await;
    }
    match account.ledger.settle_base_read(&lease, &read, outcome).await {
        Ok(RecordResult::Recorded) => claimed.is_settled = true,
        Ok(RecordResult::LeaseLost) => account.lose_lease(&lease),
        Err(error) => {
            tracing::warn!(%error, hubspot.account = %account.name, "what HubSpot holds could not be recorded yet");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_take_at_most_half_of_every_window() {
        let window = Duration::from_secs(10);
        let mut share = ReadShare::new(RateLimit { requests: 5, window });
        let now = Instant::now();
        for _ in 0..2 {
            assert_eq!(share.next_at(now), None);
            share.record(now);
        }
        assert_eq!(share.next_at(now), Some(now + window));
        assert_eq!(share.next_at(now + window), None);
        let mut least = ReadShare::new(RateLimit { requests: 1, window });
        assert_eq!(least.next_at(now), None, "one at least");
    }
}

//! An account's calls: each in a slot of its pace, counted and measured.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::concurrency::Concurrency;
use super::ownership::IdentityAnswer;
use super::worker::DeliverySettings;
use crate::event::AccountName;
use crate::hubspot::{
    AccountClient, AccountErrorKind, ApiOperation, ApiReport, BatchItem, CredentialsFingerprint,
    Permit, PermitWait, RateLimiter, Verdict,
};
use crate::ledger::ClaimedEvent;
use crate::telemetry::Metrics;

/// A slot that waits for an answer is asked for again so often.
pub const SLOT_POLL: Duration = Duration::from_millis(20);

/// An account's calls.
pub struct ApiCalls {
    account: AccountName,
    hubspot: AccountClient,
    metrics: Metrics,
    rate_limiter: Mutex<RateLimiter>,
    concurrency: Mutex<Concurrency>,
}

impl ApiCalls {
    /// None is made yet.
    #[must_use]
    pub fn new(
        account: AccountName,
        hubspot: AccountClient,
        settings: &DeliverySettings,
        metrics: Metrics,
    ) -> Self {
        let pace = Mutex::new(RateLimiter::for_shared_limit(settings.rate_limit));
        let width = Mutex::new(Concurrency::new(settings.max_in_flight));
        Self { account, hubspot, metrics, rate_limiter: pace, concurrency: width }
    }

    /// So many calls may be in flight.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.concurrency.lock().unwrap_or_else(PoisonError::into_inner).limit()
    }

    /// The credentials as they are now.
    #[must_use]
    pub fn fingerprint(&self) -> CredentialsFingerprint {
        self.hubspot.fingerprint()
    }

    /// A slot, if there is one now.
    ///
    /// # Errors
    /// [`Wait`] says when to ask again.
    pub fn reserve_slot(&self) -> Result<Permit, PermitWait> {
        self.rate_limiter().try_acquire(Instant::now())
    }

    /// Gives back a slot in which no call was made.
    pub fn cancel_slot(&self, slot: Permit) {
        self.rate_limiter().cancel(slot);
    }

    /// Waits for a slot; none once it is told to stop and there is none at once.
    pub async fn wait_for_slot(&self, stop: &CancellationToken) -> Option<Permit> {
        let began = Instant::now();
        loop {
            let until = match self.reserve_slot() {
                Ok(slot) => {
                    self.metrics.rate_limit_waited(&self.account, began.elapsed());
                    return Some(slot);
                }
                Err(PermitWait::Until(at)) => at,
                Err(PermitWait::ForResponse) => Instant::now() + SLOT_POLL,
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = stop.cancelled() => return self.reserve_slot().ok(),
            }
        }
    }

    /// Sends these events in that slot; the verdict, and what is left of the day's calls.
    pub async fn upsert(&self, part: &[ClaimedEvent], slot: Permit) -> (Verdict, Option<u64>) {
        let sent: Vec<BatchItem<'_>> = part
            .iter()
            .map(|claimed| BatchItem {
                external_event_id: claimed.key.external_event_id.as_str(),
                input: &claimed.input,
            })
            .collect();
        let mut held = SlotGuard { calls: self, slot: Some(slot) };
        let began = Instant::now();
        let report = self.hubspot.upsert(&sent).await;
        self.metrics.batch_sent(&self.account, part.len());
        let took = self.record_calls(&mut held, &report, ApiOperation::Upsert);
        if let Some(took) = took {
            self.adjust_concurrency(&report.outcome, part.len(), began, took);
        }
        (report.outcome, report.rate_limits.daily_remaining)
    }

    /// Asks in that slot whose account it is, and what is left of the day's calls.
    pub async fn get_account(&self, slot: Permit) -> (IdentityAnswer, Option<u64>) {
        let mut held = SlotGuard { calls: self, slot: Some(slot) };
        let report = self.hubspot.fetch_portal_id().await;
        self.record_calls(&mut held, &report, ApiOperation::Details);
        (
            IdentityAnswer::from_details(report.outcome, self.hubspot.client_id()),
            report.rate_limits.daily_remaining,
        )
    }

    /// Counts the calls that were made, and learns from their headers; how long the last of that kind took, if one was
    /// made.
    fn record_calls<T>(
        &self,
        held: &mut SlotGuard<'_>,
        report: &ApiReport<T>,
        wanted: ApiOperation,
    ) -> Option<Duration> {
        for call in &report.calls {
            let (operation, status) = (call.operation.as_str(), call.status.to_string());
            self.metrics.hubspot_request(&self.account, operation, &status, call.elapsed);
        }
        self.metrics.set_token_expires(&self.account, self.hubspot.token_expires_at());
        let now = Instant::now();
        let made: Vec<_> = report.calls.iter().filter(|call| call.operation == wanted).collect();
        let slot = held.slot.take()?;
        let mut pace = self.rate_limiter();
        if made.is_empty() {
            pace.cancel(slot);
        } else {
            (1..made.len()).for_each(|_| pace.record_call(now));
            report.rate_limits.report_to(&mut pace, &slot, now);
            pace.complete(slot, now);
        }
        made.last().map(|call| call.elapsed)
    }

    /// How many calls HubSpot bears shows in how long it takes, and whether it can answer at all.
    fn adjust_concurrency(&self, verdict: &Verdict, events: usize, began: Instant, took: Duration) {
        let mut width = self.concurrency.lock().unwrap_or_else(PoisonError::into_inner);
        match verdict {
            Verdict::Items(_) | Verdict::Split(_) => width.record_answer(events, took),
            Verdict::Account(trouble) => match trouble.kind {
                AccountErrorKind::Locked
                | AccountErrorKind::Overloaded
                | AccountErrorKind::Transport { .. } => {
                    width.record_failure(began, Instant::now());
                }
                // Not for their number: the pace sees to limits.
                AccountErrorKind::Unauthorized
                | AccountErrorKind::Forbidden
                | AccountErrorKind::NotFound
                | AccountErrorKind::RateLimited { .. }
                | AccountErrorKind::Migrating
                | AccountErrorKind::Redirected => {}
            },
        }
    }

    fn rate_limiter(&self) -> MutexGuard<'_, RateLimiter> {
        self.rate_limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot with which a call is under way. Should the call be given up, it counts as made and ended now.
struct SlotGuard<'a> {
    calls: &'a ApiCalls,
    slot: Option<Permit>,
}

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.calls.rate_limiter().complete(slot, Instant::now());
        }
    }
}

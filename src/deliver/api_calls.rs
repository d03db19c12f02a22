//! An account's calls. Each takes a permit of the rate limiter, and is counted and measured.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::assess::{Answer, CallTiming};
use super::ownership::IdentityAnswer;
use crate::event::AccountName;
use crate::hubspot::{
    AccountClient, ApiOperation, ApiReport, BatchItem, CredentialsFingerprint, Permit, PermitWait,
    RateLimit, RateLimiter,
};
use crate::ledger::ClaimedEvent;
use crate::telemetry::Metrics;

/// Between tries for a permit that waits for an answer.
pub const PERMIT_POLL: Duration = Duration::from_millis(20);

/// An account's calls.
pub struct ApiCalls {
    account: AccountName,
    hubspot: AccountClient,
    metrics: Metrics,
    rate_limiter: Mutex<RateLimiter>,
}

impl ApiCalls {
    /// No call is made yet.
    #[must_use]
    pub fn new(
        account: AccountName,
        hubspot: AccountClient,
        rate_limit: RateLimit,
        metrics: Metrics,
    ) -> Self {
        let rate_limiter = Mutex::new(RateLimiter::for_shared_limit(rate_limit));
        Self { account, hubspot, metrics, rate_limiter }
    }

    /// The credentials as they are now.
    #[must_use]
    pub fn fingerprint(&self) -> CredentialsFingerprint {
        self.hubspot.fingerprint()
    }

    /// Reserves a permit, if there is one now.
    ///
    /// # Errors
    /// [`PermitWait`] carries the time to try again.
    pub fn reserve_permit(&self) -> Result<Permit, PermitWait> {
        self.rate_limiter().try_acquire(Instant::now())
    }

    /// Gives back a permit with which no call was made.
    pub fn cancel(&self, permit: Permit) {
        self.rate_limiter().cancel(permit);
    }

    /// Waits for a permit. None after `stop`, if there is none at once.
    pub async fn wait_for_permit(&self, stop: &CancellationToken) -> Option<Permit> {
        let began = Instant::now();
        loop {
            let until = match self.reserve_permit() {
                Ok(permit) => {
                    self.metrics.rate_limit_waited(&self.account, began.elapsed());
                    return Some(permit);
                }
                Err(PermitWait::Until(at)) => at,
                Err(PermitWait::ForResponse) => Instant::now() + PERMIT_POLL,
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = stop.cancelled() => return self.reserve_permit().ok(),
            }
        }
    }

    /// Sends these events.
    pub async fn upsert(&self, events: &[ClaimedEvent], permit: Permit) -> Answer {
        let items: Vec<BatchItem<'_>> = events
            .iter()
            .map(|event| BatchItem {
                external_event_id: event.key.external_event_id.as_str(),
                input: &event.input,
            })
            .collect();
        let mut guard = PermitGuard { calls: self, permit: Some(permit) };
        let began = Instant::now();
        let report = self.hubspot.upsert(&items).await;
        self.metrics.batch_sent(&self.account, events.len());
        let elapsed = self.record_calls(&mut guard, &report, ApiOperation::Upsert);
        let ended = Instant::now();
        Answer {
            verdict: report.outcome,
            daily_remaining: report.rate_limits.daily_remaining,
            timing: elapsed.map(|elapsed| CallTiming { began, ended, elapsed }),
        }
    }

    /// Asks HubSpot for the account's details. Returns the answer, and the calls left of the day if it reports them.
    pub async fn get_account(&self, permit: Permit) -> (IdentityAnswer, Option<u64>) {
        let mut guard = PermitGuard { calls: self, permit: Some(permit) };
        let report = self.hubspot.fetch_portal_id().await;
        self.record_calls(&mut guard, &report, ApiOperation::Details);
        (
            IdentityAnswer::from_details(report.outcome, self.hubspot.client_id()),
            report.rate_limits.daily_remaining,
        )
    }

    /// Counts the calls that were made, and passes their headers to the rate limiter. Returns the duration of the last
    /// call of that operation, if one was made.
    fn record_calls<T>(
        &self,
        guard: &mut PermitGuard<'_>,
        report: &ApiReport<T>,
        operation: ApiOperation,
    ) -> Option<Duration> {
        for call in &report.calls {
            let status = call.status.to_string();
            let operation = call.operation.as_str();
            self.metrics.hubspot_request(&self.account, operation, &status, call.elapsed);
        }
        self.metrics.set_token_expires(&self.account, self.hubspot.token_expires_at());
        let now = Instant::now();
        let calls: Vec<_> =
            report.calls.iter().filter(|call| call.operation == operation).collect();
        let permit = guard.permit.take()?;
        let mut rate_limiter = self.rate_limiter();
        if calls.is_empty() {
            rate_limiter.cancel(permit);
        } else {
            (1..calls.len()).for_each(|_| rate_limiter.record_call(now));
            report.rate_limits.report_to(&mut rate_limiter, &permit, now);
            rate_limiter.complete(permit, now);
        }
        calls.last().map(|call| call.elapsed)
    }

    fn rate_limiter(&self) -> MutexGuard<'_, RateLimiter> {
        self.rate_limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permit of a call under way. A call that is given up counts as made and ended now.
struct PermitGuard<'a> {
    calls: &'a ApiCalls,
    permit: Option<Permit>,
}

impl Drop for PermitGuard<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.calls.rate_limiter().complete(permit, Instant::now());
        }
    }
}

//! The state that an account's worker, its batches and its checks share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::assess::evidence::Evidence;
use super::base_read::ReadShare;
use super::ownership::{CheckState, Ownership};
use super::settings::DeliverySettings;
use crate::clock::{Clock, ClockTrust};
use crate::event::{AccountName, AccountStatus, PauseReason, StatusChange, StatusUpdate};
use crate::hubspot::{
    AccountClient, AccountError, CallPermit, CredentialsFingerprint, RateLimiter,
    WaitingRateLimiter,
};
use crate::ledger::{DeliveryLedger, Lease, LedgerError, RecordResult, Settlement};
use crate::telemetry::Metrics;

/// Between attempts to record in a ledger that is unavailable.
pub const RECORD_RETRY: Duration = Duration::from_millis(500);

/// An account that events are delivered to.
pub struct DeliveryAccount {
    /// The account's name in the configuration.
    pub name: AccountName,
    /// The ledger, which claims come from and outcomes go to.
    pub ledger: Arc<dyn DeliveryLedger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters and gauges.
    pub metrics: Metrics,
    /// The account's API.
    pub hubspot: AccountClient,
    /// The limit of the account's calls, which other clients may use too.
    pub rate_limiter: WaitingRateLimiter,
    /// The settings of its delivery.
    pub settings: DeliverySettings,
    /// Held from the assessment of a single refusal until it is recorded. Otherwise an answer could revoke a refusal
    /// that is not recorded yet; that refusal would be recorded afterwards, and stay.
    pub refusals_in_order: tokio::sync::Mutex<()>,
    status: watch::Receiver<AccountStatus>,
    lease: Mutex<Option<Lease>>,
    check_state: Mutex<CheckState>,
    evidence: Mutex<Evidence>,
    read_share: Mutex<ReadShare>,
}

impl DeliveryAccount {
    /// Creates an account to which nothing has been sent yet.
    #[must_use]
    pub fn new(
        name: AccountName,
        hubspot: AccountClient,
        settings: DeliverySettings,
        ledger: Arc<dyn DeliveryLedger>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Self {
        let rate_limiter = RateLimiter::for_shared_limit(settings.rate_limit);
        Self {
            hubspot,
            rate_limiter: WaitingRateLimiter::new(rate_limiter),
            status: ledger.watch_status(&name),
            name,
            ledger,
            clock,
            metrics,
            settings,
            refusals_in_order: tokio::sync::Mutex::default(),
            lease: Mutex::default(),
            check_state: Mutex::default(),
            evidence: Mutex::new(Evidence::new(settings.max_batch, settings.max_in_flight)),
            read_share: Mutex::new(ReadShare::new(settings.rate_limit)),
        }
    }

    /// The account's lease, acquired if this process does not hold it; none while another process holds it.
    ///
    /// # Errors
    /// [`LedgerError`] when it is unknown who holds the lease.
    pub async fn hold_lease(&self) -> Result<Option<Lease>, LedgerError> {
        if let Some(lease) = self.lease().clone() {
            return Ok(Some(lease));
        }
        let lease = self.ledger.acquire_lease(&self.name).await?;
        self.metrics.set_lease_held(&self.name, lease.is_some() && self.settings.sends);
        self.lease().clone_from(&lease);
        Ok(lease)
    }

    /// Forgets a lease that another process holds now. It has to be acquired again before anything is sent.
    pub fn lose_lease(&self, lost: &Lease) {
        let mut lease = self.lease();
        if lease.as_ref() == Some(lost) {
            *lease = None;
            self.metrics.set_lease_held(&self.name, false);
            tracing::warn!(hubspot.account = %self.name, "the account's lease was lost; its batches are dropped");
        }
    }

    fn lease(&self) -> MutexGuard<'_, Option<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account's status now.
    #[must_use]
    pub fn status(&self) -> AccountStatus {
        self.status.borrow().clone()
    }

    /// The result of the last check of the credentials.
    pub fn check_state(&self) -> MutexGuard<'_, CheckState> {
        self.check_state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The evidence of earlier answers.
    pub fn evidence(&self) -> MutexGuard<'_, Evidence> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reads of the last window.
    pub fn read_share(&self) -> MutexGuard<'_, ReadShare> {
        self.read_share.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit for a call. None after `stop`, if there is none at once.
    pub async fn wait_for_permit(&self, stop: &CancellationToken) -> Option<CallPermit> {
        let began = Instant::now();
        tokio::select! {
            biased;
            permit = self.rate_limiter.acquire() => {
                self.metrics.rate_limit_waited(&self.name, began.elapsed());
                Some(permit)
            }
            () = stop.cancelled() => self.rate_limiter.try_acquire().ok(),
        }
    }

    /// Whether a call may be made now: no operator has paused the account, and the credentials still open it.
    #[must_use]
    pub fn may_send(&self) -> bool {
        let status = self.status();
        !status.is_paused_for(PauseReason::Operator)
            && self.ownership(self.hubspot.fingerprint(), &status) == Ownership::Confirmed
    }

    /// Whether only HubSpot's word can end a doubt of the clock, or is wanted.
    #[must_use]
    pub fn needs_witness(&self) -> bool {
        let trust = self.clock.trust().filter(|_| self.settings.sends);
        let needs = trust.is_some_and(|trust| trust.needs_witness(self.clock.now()));
        needs || self.wants_time()
    }

    /// Whether HubSpot is to be asked for the time, although nothing speaks against the clock.
    #[must_use]
    pub fn wants_time(&self) -> bool {
        self.settings.sends && self.clock.trust().is_some_and(ClockTrust::wants_hubspot)
    }

    /// The state of the check of these credentials.
    #[must_use]
    pub fn ownership(&self, present: CredentialsFingerprint, status: &AccountStatus) -> Ownership {
        let digest = || self.hubspot.credentials_digest(present);
        self.check_state().ownership(present, digest, status)
    }

    /// Changes the account's status. A change that the ledger could not store holds in memory.
    pub async fn update_status(&self, change: StatusChange) -> Option<StatusUpdate> {
        let update = self.ledger.update_status(&self.name, change).await;
        if let Err(error) = &update {
            tracing::warn!(%error, hubspot.account = %self.name, "the account's status could not be stored");
        }
        update.ok()
    }

    /// Records outcomes as soon as the ledger is available. While it is not, a stop waits for the whole stop timeout.
    /// An outcome that is not recorded by then is not lost: its attempt was recorded, so the next start takes the event
    /// for ambiguous and sends it again. After a lost lease nothing is recorded: the process that holds the lease takes
    /// the events for ambiguous.
    pub async fn settle(&self, lease: &Lease, settlements: Vec<Settlement>) {
        if settlements.is_empty() {
            return;
        }
        loop {
            match self.ledger.settle(lease, settlements.clone()).await {
                Ok(RecordResult::Recorded) => return,
                Ok(RecordResult::LeaseLost) => return self.lose_lease(lease),
                Err(error) => {
                    tracing::warn!(%error, hubspot.account = %self.name, "outcomes could not be recorded yet");
                    tokio::time::sleep(RECORD_RETRY).await;
                }
            }
        }
    }

    /// Logs the account's problem, and the time of the next call.
    pub fn log_error(&self, error: &AccountError) {
        let retry_at = self.status().retry_at;
        tracing::warn!(
            hubspot.account = %self.name,
            hubspot.error = error.kind.as_str(),
            hubspot.correlation_id = error.correlation_id,
            detail = error.detail,
            retry_at = retry_at.map(tracing::field::display),
            "the HubSpot account cannot accept events now; they stay pending"
        );
    }
}

//! One account's loop: wait for something to do, take a slot, claim a batch, send it off.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::api_calls::{ApiCalls, SLOT_POLL};
use super::missing_results::MissingResults;
use super::ownership::{CheckState, Ownership};
use super::poison_events::PoisonEvents;
use super::refusal_streak::{Blame, RefusalStreak};
use super::{account_check, batch, settlements};
use crate::clock::Clock;
use crate::event::{AccountName, AccountStatus, Millis, PauseReason, StatusChange, StatusUpdate};
use crate::hubspot::{
    AccountClient, AccountError, CredentialsFingerprint, EventRefusal, Permit, PermitWait,
    RateLimit,
};
use crate::ledger::{
    ClaimRequest, ClaimResult, ClaimedEvent, DeliveryLedger, LONGEST_WAIT, Lease, LedgerError,
};
use crate::telemetry::Metrics;

/// After a ledger that could not be read.
const LEDGER_RETRY: Duration = Duration::from_millis(500);
/// While another process has the account's lease.
const LEASE_RETRY: Duration = Duration::from_secs(5);
/// Between two looks whether credentials that are refused have changed.
const CREDENTIALS_POLL: Duration = Duration::from_secs(1);
/// The longest sleep: should a clock be set back, nothing waits longer than this for a time that moved away.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How an account's events are sent.
#[derive(Debug, Clone, Copy)]
pub struct DeliverySettings {
    /// The calls that may be made.
    pub rate_limit: RateLimit,
    /// The most events in one call.
    pub max_batch: usize,
    /// How long a pending event waits for company.
    pub max_linger: Duration,
    /// The most calls at a time.
    pub max_in_flight: usize,
    /// Any number at all: the chance in how long an account in trouble is left alone.
    pub random: fn() -> u32,
}

/// An account's way to HubSpot. Lanes share nothing, so one account never waits for another.
pub struct AccountWorker {
    /// The account.
    pub account: AccountName,
    /// Where events come from and outcomes go.
    pub ledger: Arc<dyn DeliveryLedger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    pub(super) api_calls: ApiCalls,
    pub(super) settings: DeliverySettings,
    status: watch::Receiver<AccountStatus>,
    pub(super) lease: Mutex<Option<Lease>>,
    check_state: Mutex<CheckState>,
    refusal_streak: Mutex<RefusalStreak>,
    /// Held from the look at a refusal until it is recorded: what another flight gives back meanwhile would not be dead yet,
    /// and be dead after.
    pub(super) judging: tokio::sync::Mutex<()>,
    missing_results: Mutex<MissingResults>,
    poison_events: Mutex<PoisonEvents>,
}

/// What the loop does next.
enum NextAction {
    /// Send this, under that lease, in that slot.
    SendBatch(Lease, Vec<ClaimedEvent>, Permit),
    /// Ask whose account these credentials open, in that slot.
    CheckAccount(CredentialsFingerprint, Permit),
    /// Look again now.
    Repeat,
    /// Nothing before then, unless woken.
    Wait(Option<Instant>),
    /// The account's limit has no room before then.
    WaitForRateLimit(Instant),
}

impl AccountWorker {
    /// A lane that has sent nothing yet.
    #[must_use]
    pub fn new(
        account: AccountName,
        hubspot: AccountClient,
        settings: DeliverySettings,
        ledger: Arc<dyn DeliveryLedger>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            api_calls: ApiCalls::new(account.clone(), hubspot, &settings, metrics.clone()),
            status: ledger.watch_status(&account),
            account,
            ledger,
            clock,
            metrics,
            settings,
            lease: Mutex::default(),
            check_state: Mutex::default(),
            refusal_streak: Mutex::default(),
            judging: tokio::sync::Mutex::default(),
            missing_results: Mutex::default(),
            poison_events: Mutex::new(PoisonEvents::new(settings.max_batch)),
        })
    }

    /// Sends what is pending until told to stop, and then what still can be sent at once.
    ///
    /// # Cancel safety
    /// Dropping it gives up calls under way; their events are sent again after the next start.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut flights = JoinSet::new();
        let wake_up = self.ledger.wake_up(&self.account);
        loop {
            // Armed before looking: what is committed between the look and the wait still wakes.
            let woken = wake_up.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let draining = stop.is_cancelled();
            let next = self.next_action(flights.len(), draining).await;
            let pacing = matches!(next, NextAction::WaitForRateLimit(_));
            match next {
                NextAction::SendBatch(lease, batch, slot) => {
                    let id = uuid::Uuid::now_v7();
                    let span = tracing::info_span!(
                        "batch",
                        batch.id = %id,
                        hubspot.account = %self.account,
                        batch.events = batch.len()
                    );
                    tracing::debug!(parent: &span, "a batch leaves");
                    let flight =
                        batch::deliver(Arc::clone(&self), lease, batch, slot, stop.clone());
                    flights.spawn(flight.instrument(span));
                }
                NextAction::CheckAccount(credentials, slot) => {
                    self.check_state().begin(credentials);
                    flights.spawn(account_check::check(Arc::clone(&self), slot));
                }
                NextAction::Repeat => {}
                // Nothing more can be sent now, and nobody is to wait for what comes later.
                NextAction::Wait(_) | NextAction::WaitForRateLimit(_)
                    if draining && flights.is_empty() =>
                {
                    return;
                }
                NextAction::Wait(_) | NextAction::WaitForRateLimit(_) => {
                    let began = Instant::now();
                    let until = next.until().unwrap_or_else(|| began + LONGEST_SLEEP);
                    tokio::select! {
                        // Whichever it is, all is looked at again; with an order, the same run goes the same way.
                        biased;
                        () = woken => {}
                        () = tokio::time::sleep_until(until) => {}
                        () = stop.cancelled(), if !draining => {}
                        Some(landed) = flights.join_next() => {
                            if let Err(error) = landed && error.is_panic() {
                                // It gave its events back as it fell.
                                tracing::error!(%error, hubspot.account = %self.account, "a flight panicked");
                            }
                        }
                    }
                    if pacing && self.has_pending().await.unwrap_or(false) {
                        self.metrics.rate_limit_waited(&self.account, began.elapsed());
                    }
                }
            }
            while flights.try_join_next().is_some() {}
        }
    }

    async fn next_action(&self, in_flight: usize, draining: bool) -> NextAction {
        let lease = match self.hold_lease().await {
            Ok(Some(lease)) => lease,
            Ok(None) => return NextAction::Wait(Some(Instant::now() + LEASE_RETRY)),
            Err(error) => {
                tracing::warn!(%error, hubspot.account = %self.account, "the account's lease could not be taken");
                return NextAction::Wait(Some(Instant::now() + LEDGER_RETRY));
            }
        };
        let status = self.status();
        if status.is_paused_for(PauseReason::Operator) {
            return NextAction::Wait(None);
        }
        let credentials = self.api_calls.fingerprint();
        let whose = self.check_state().ownership(credentials, &status);
        // Somebody is to change the credentials: that is looked for, so that it shows at once.
        let look = status.awaits_credentials().then(|| Instant::now() + CREDENTIALS_POLL);
        let changed = look.is_some() && whose == (Ownership::Unchecked { new_credentials: true });
        let now = self.clock.now();
        let believable = |at: &Millis| *at > now && at.since(now) <= LONGEST_WAIT;
        if let Some(retry_at) = status.retry_at.filter(believable).filter(|_| !changed) {
            // Whoever drains does not wait for an account in trouble: what is pending is in the ledger.
            let at = self.timer_instant(retry_at);
            return NextAction::Wait(Some(look.map_or(at, |look| look.min(at))));
        }
        match whose {
            Ownership::Confirmed if status.resync_pending => account_check::resync(self).await.map_or_else(
                |error| {
                    tracing::warn!(%error, hubspot.account = %self.account, "what the new account lacks could not be looked up");
                    NextAction::Wait(Some(Instant::now() + LEDGER_RETRY))
                },
                |()| NextAction::Repeat,
            ),
            Ownership::Confirmed => self.claim_batch(lease, &status, in_flight, draining).await,
            Ownership::Changed => NextAction::Wait(look),
            Ownership::Unchecked { .. } => {
                let is_needed = match self.has_pending().await {
                    Ok(has_pending) => has_pending || status.unconfirmed_identity.is_some(),
                    Err(error) => {
                        tracing::warn!(%error, hubspot.account = %self.account, "the ledger could not be read");
                        return NextAction::Wait(Some(Instant::now() + LEDGER_RETRY));
                    }
                };
                // Without anything to send nobody need be asked.
                if !is_needed {
                    return NextAction::Wait(None);
                }
                match self.reserve_slot() {
                    Ok(slot) => NextAction::CheckAccount(credentials, slot),
                    Err(step) => step,
                }
            }
            Ownership::Checking => NextAction::Wait(None),
        }
    }

    async fn claim_batch(
        &self,
        lease: Lease,
        status: &AccountStatus,
        in_flight: usize,
        draining: bool,
    ) -> NextAction {
        // In trouble one call asks whether it is over; after a pause, a small one.
        let probing = status.failures > 0;
        if in_flight >= if probing { 1 } else { self.api_calls.concurrency() } {
            return NextAction::Wait(None);
        }
        let (size, (first, last)) = {
            let suspicion = self.poison_events();
            (suspicion.batch_size(), suspicion.alone(!probing, Instant::now()))
        };
        let most = if status.paused.is_some() { 1 } else { size };
        let linger = if draining { Duration::ZERO } else { self.settings.max_linger };
        let slot = match self.reserve_slot() {
            Ok(slot) => slot,
            Err(step) => return step,
        };
        let request = ClaimRequest { limit: most, linger, first, last };
        match self.ledger.claim(&lease, request).await {
            Ok(ClaimResult::Batch(batch)) => {
                let (unchanged, batch): (Vec<_>, Vec<_>) =
                    batch.into_iter().partition(|claimed| claimed.already_confirmed);
                settlements::settle_unchanged(self, &lease, unchanged).await;
                if batch.is_empty() {
                    self.api_calls.cancel_slot(slot);
                    return NextAction::Repeat;
                }
                self.poison_events().record_sent(&batch);
                NextAction::SendBatch(lease, batch, slot)
            }
            Ok(ClaimResult::Wait(at)) => {
                self.api_calls.cancel_slot(slot);
                NextAction::Wait(at.map(|at| self.timer_instant(at)))
            }
            Ok(ClaimResult::LeaseLost) => {
                self.api_calls.cancel_slot(slot);
                self.lose_lease(&lease);
                NextAction::Repeat
            }
            Err(error) => {
                self.api_calls.cancel_slot(slot);
                tracing::warn!(%error, hubspot.account = %self.account, "the ledger could not be read");
                NextAction::Wait(Some(Instant::now() + LEDGER_RETRY))
            }
        }
    }

    fn reserve_slot(&self) -> Result<Permit, NextAction> {
        self.api_calls.reserve_slot().map_err(|wait| match wait {
            PermitWait::Until(at) => NextAction::WaitForRateLimit(at),
            PermitWait::ForResponse => NextAction::Wait(Some(Instant::now() + SLOT_POLL)),
        })
    }

    async fn has_pending(&self) -> Result<bool, LedgerError> {
        self.ledger.has_pending(&self.account).await
    }

    /// Whether a call may be made now: no operator has paused the account, and the credentials still open it.
    pub(super) fn may_send(&self) -> bool {
        let status = self.status();
        !status.is_paused_for(PauseReason::Operator)
            && self.check_state().ownership(self.api_calls.fingerprint(), &status)
                == Ownership::Confirmed
    }

    pub(super) fn check_state(&self) -> MutexGuard<'_, CheckState> {
        self.check_state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account answered as it should.
    pub(super) async fn recovered(&self, accepted: bool, daily_remaining: Option<u64>) {
        let change = StatusChange::Recovered { accepted, daily_remaining };
        let Some(StatusUpdate { before, after }) = self.update_status(change).await else { return };
        if before.failures > after.failures || before.paused != after.paused {
            tracing::info!(hubspot.account = %self.account, "the HubSpot account takes events again");
        }
    }

    /// These were accepted.
    pub(super) fn accepted(&self, events: impl Iterator<Item = i64> + Clone) {
        self.refusal_streak.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.missing_results
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .record_accepted(events.clone());
        self.poison_events().record_accepted(events);
    }

    /// A call with these failed, in a way that may be an event's doing.
    pub(super) fn failed_over(&self, events: &[i64]) {
        let failures = self.status().failures;
        self.poison_events().record_failure(events, failures, Instant::now());
    }

    fn poison_events(&self) -> MutexGuard<'_, PoisonEvents> {
        self.poison_events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether others were accepted since this event last came back, alone, without a result.
    pub(super) fn passed_over(&self, claimed: &ClaimedEvent) -> bool {
        self.missing_results
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .record_missing(claimed.id)
    }

    /// Whose fault the refusal of a single event is.
    pub(super) fn blame(&self, claimed: &ClaimedEvent, refusal: &EventRefusal) -> Blame {
        let paused = self.status().is_paused_for(PauseReason::Refused);
        let mut streak = self.refusal_streak.lock().unwrap_or_else(PoisonError::into_inner);
        streak.record_refusal(claimed, refusal, paused)
    }

    /// Says what is wrong with the account, and when it is asked again.
    pub(super) fn log_account_error(&self, trouble: &AccountError) {
        let retry_at = self.status().retry_at;
        tracing::warn!(
            hubspot.account = %self.account,
            hubspot.trouble = trouble.kind.as_str(),
            hubspot.correlation_id = trouble.correlation_id,
            detail = trouble.detail,
            retry_at = retry_at.map(tracing::field::display),
            "the HubSpot account cannot take events now; they stay pending"
        );
    }

    /// The account's status now.
    pub(super) fn status(&self) -> AccountStatus {
        self.status.borrow().clone()
    }

    /// Changes the account's status. A change that the ledger could not store holds in memory.
    pub(super) async fn update_status(&self, change: StatusChange) -> Option<StatusUpdate> {
        let update = self.ledger.update_status(&self.account, change).await;
        if let Err(error) = &update {
            tracing::warn!(%error, hubspot.account = %self.account, "the account's status could not be stored");
        }
        update.ok()
    }

    /// The timer's time for a wall-clock time.
    fn timer_instant(&self, at: Millis) -> Instant {
        Instant::now() + at.since(self.clock.now()).min(LONGEST_SLEEP)
    }
}

impl NextAction {
    fn until(&self) -> Option<Instant> {
        match self {
            Self::WaitForRateLimit(at) => Some(*at),
            Self::Wait(at) => *at,
            Self::SendBatch(..) | Self::CheckAccount(..) | Self::Repeat => None,
        }
    }
}

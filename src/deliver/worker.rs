//! One account's loop: wait for work, take a permit, claim a batch, send it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::account::DeliveryAccount;
use super::assess::bisect::Bisection;
use super::ownership::Ownership;
use super::{account_check, base_read, batch};
use crate::event::{AccountStatus, Millis, PauseReason, StatusChange};
use crate::hubspot::{CallPermit, CredentialsFingerprint, PermitWait};
use crate::ledger::{BaseRead, ClaimRequest, ClaimResult, LONGEST_WAIT, Lease, LedgerError};

/// After the ledger could not be read.
const LEDGER_RETRY: Duration = Duration::from_millis(500);
/// While another process holds the account's lease.
const LEASE_RETRY: Duration = Duration::from_secs(5);
/// Between tries for a permit that waits for an answer.
const PERMIT_POLL: Duration = Duration::from_millis(20);
/// Between checks whether refused credentials have changed.
const CREDENTIALS_POLL: Duration = Duration::from_secs(1);
/// The longest sleep: should a clock be set back, nothing waits longer than this for a time that moved away.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The problem in the log while the ledger cannot be read.
const UNREADABLE: &str = "the ledger could not be read";

/// Delivers the events of one account. Workers share nothing, so no account waits for another.
pub struct AccountWorker {
    account: Arc<DeliveryAccount>,
}

/// The loop's next action.
enum NextAction {
    /// Send the parts of this batch under that lease with that permit.
    SendBatch(Lease, Bisection, CallPermit),
    /// Read that event under that lease with that permit.
    ReadBase(Lease, BaseRead, CallPermit),
    /// Check with that permit which account these credentials open.
    CheckAccount(CredentialsFingerprint, CallPermit),
    /// Look again now.
    Repeat,
}

/// Nothing can be done before then, or before the worker is woken.
#[derive(Clone, Copy)]
struct Wait {
    until: Option<Instant>,
    /// The account's rate limit has no room before then.
    is_rate_limited: bool,
}

impl AccountWorker {
    /// A worker that has sent nothing yet.
    #[must_use]
    pub fn new(account: DeliveryAccount) -> Self {
        Self { account: Arc::new(account) }
    }

    /// Sends pending events until `stop`, and after it those that can be sent at once.
    ///
    /// # Cancel safety
    /// Dropping it gives up calls under way; their events are sent again after the next start.
    pub async fn run(self, stop: CancellationToken) {
        let account = &self.account;
        let mut tasks = JoinSet::new();
        let wake_up = account.ledger.wake_up(&account.name);
        loop {
            // Armed before looking: a commit between the look and the wait still wakes.
            let woken = wake_up.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let draining = stop.is_cancelled();
            match self.next_action(tasks.len(), draining).await {
                Ok(NextAction::SendBatch(lease, batch, permit)) => {
                    account.check_state().record_use(account.hubspot.fingerprint());
                    let id = uuid::Uuid::now_v7();
                    let span = tracing::info_span!(
                        "batch",
                        batch.id = %id,
                        hubspot.account = %account.name,
                        batch.events = batch.events_left()
                    );
                    tracing::debug!(parent: &span, "a batch leaves");
                    let delivery =
                        batch::deliver(Arc::clone(account), lease, batch, permit, stop.clone());
                    tasks.spawn(delivery.instrument(span));
                }
                Ok(NextAction::ReadBase(lease, read, permit)) => {
                    account.check_state().record_use(account.hubspot.fingerprint());
                    tasks.spawn(base_read::read(Arc::clone(account), lease, read, permit));
                }
                Ok(NextAction::CheckAccount(credentials, permit)) => {
                    account.check_state().begin(credentials);
                    tasks.spawn(account_check::check(Arc::clone(account), permit));
                }
                Ok(NextAction::Repeat) => {}
                // Nothing more can be sent now, and a stop waits for nothing that comes later.
                Err(_) if draining && tasks.is_empty() => return,
                Err(Wait { until, is_rate_limited }) => {
                    let began = Instant::now();
                    let until = until.unwrap_or_else(|| began + LONGEST_SLEEP);
                    tokio::select! {
                        // After any of these everything is looked at again. With an order, the same run repeats
                        // exactly.
                        biased;
                        () = woken => {}
                        () = tokio::time::sleep_until(until) => {}
                        () = stop.cancelled(), if !draining => {}
                        Some(ended) = tasks.join_next() => self.log_panic(&ended),
                    }
                    if is_rate_limited && self.has_pending().await.unwrap_or(false) {
                        account.metrics.rate_limit_waited(&account.name, began.elapsed());
                    }
                }
            }
            while let Some(ended) = tasks.try_join_next() {
                self.log_panic(&ended);
            }
        }
    }

    async fn next_action(&self, in_flight: usize, draining: bool) -> Result<NextAction, Wait> {
        let account = &self.account;
        let lease = account
            .hold_lease()
            .await
            .map_err(|error| self.log_failure(&error, "the account's lease could not be acquired"))?
            .ok_or_else(|| Wait::until(Some(Instant::now() + LEASE_RETRY)))?;
        let status = account.status();
        if status.is_paused_for(PauseReason::Operator) {
            return Err(Wait::until(None));
        }
        let credentials = account.hubspot.fingerprint();
        let ownership = account.ownership(credentials, &status);
        // The operator has to change the credentials: they are polled, so that a change shows at once.
        let poll_at = status.awaits_credentials().then(|| Instant::now() + CREDENTIALS_POLL);
        let is_new = match ownership {
            Ownership::Unchecked { new_credentials } => new_credentials,
            Ownership::Confirmed => {
                let state = account.check_state();
                !state.is_used(credentials)
                    && state.check_due(credentials, &status, false).is_some()
            }
            Ownership::Changed | Ownership::Checking => false,
        };
        let have_changed = poll_at.is_some() && is_new;
        let now = account.clock.now();
        let is_credible = |at: &Millis| *at > now && at.since(now) <= LONGEST_WAIT;
        if let Some(retry_at) = status.retry_at.filter(is_credible).filter(|_| !have_changed) {
            let at = self.timer_instant(retry_at);
            return Err(Wait::until(Some(poll_at.map_or(at, |poll_at| poll_at.min(at)))));
        }
        match ownership {
            Ownership::Confirmed if status.resync_pending => {
                let problem = "what the new account lacks could not be looked up";
                let resynced = account_check::resync(account).await;
                resynced.map_err(|error| self.log_failure(&error, problem))?;
                Ok(NextAction::Repeat)
            }
            Ownership::Confirmed => {
                let work = self.claim_work(lease, &status, in_flight, draining).await;
                match work {
                    Err(wait) if !draining => self.check_aside(credentials, &status, wait).await,
                    work => work,
                }
            }
            Ownership::Changed => Err(Wait::until(poll_at)),
            Ownership::Checking => Err(Wait::until(None)),
            Ownership::Unchecked { .. } => {
                let has_work = self.has_work().await;
                let has_work = has_work.map_err(|error| self.log_failure(&error, UNREADABLE))?;
                if !has_work && status.unconfirmed_identity.is_none() && !account.needs_witness() {
                    return Err(Wait::until(None));
                }
                Ok(NextAction::CheckAccount(credentials, self.reserve_permit()?))
            }
        }
    }

    /// A check of the account while nothing else can be done before `wait` ends: the credentials are known, so that
    /// nothing may wait for it. After a start the first call goes alone, and what is to be sent goes first, unless the
    /// clock needs HubSpot's word.
    async fn check_aside(
        &self,
        credentials: CredentialsFingerprint,
        status: &AccountStatus,
        wait: Wait,
    ) -> Result<NextAction, Wait> {
        let account = &self.account;
        let wants_time = account.wants_time();
        let due = account.check_state().check_due(credentials, status, wants_time).ok_or(wait)?;
        let now = account.clock.now();
        if due > now && due.since(now) <= LONGEST_WAIT {
            return Err(wait.or(Wait::until(Some(self.timer_instant(due)))));
        }
        let is_used = account.check_state().is_used(credentials);
        let fail = |error: LedgerError| self.log_failure(&error, UNREADABLE);
        if !is_used && !account.needs_witness() {
            let has_work = self.has_work().await.map_err(fail)?;
            if !has_work || self.has_pending().await.map_err(fail)? {
                return Err(wait);
            }
        }
        let permit = self.reserve_permit().map_err(|permit| wait.or(permit))?;
        Ok(NextAction::CheckAccount(credentials, permit))
    }

    /// The next read or batch. Reads go first within their share of the calls, and last while the account fails: then
    /// what is to be sent probes it.
    async fn claim_work(
        &self,
        lease: Lease,
        status: &AccountStatus,
        in_flight: usize,
        draining: bool,
    ) -> Result<NextAction, Wait> {
        if !self.account.settings.sends {
            return self.claim_read(lease, status, in_flight).await;
        }
        // A stop waits for nothing that is only then sent.
        if draining {
            return self.claim_batch(lease, status, in_flight, draining).await;
        }
        let is_failing = status.failures > 0 || status.paused.is_some();
        if is_failing {
            let batch = self.claim_batch(lease.clone(), status, in_flight, draining).await;
            return match batch {
                Err(wait) => {
                    self.claim_read(lease, status, in_flight).await.map_err(|read| wait.or(read))
                }
                batch => batch,
            };
        }
        match self.claim_read(lease.clone(), status, in_flight).await {
            Err(wait) => {
                let batch = self.claim_batch(lease, status, in_flight, draining).await;
                batch.map_err(|batch| batch.or(wait))
            }
            read => read,
        }
    }

    /// The next event whose base is read.
    async fn claim_read(
        &self,
        lease: Lease,
        status: &AccountStatus,
        in_flight: usize,
    ) -> Result<NextAction, Wait> {
        let account = &self.account;
        let now = account.clock.now();
        let refused = status.reads_refused.as_ref().map(|refused| refused.retry_at);
        if let Some(at) = refused.filter(|at| *at > now && at.since(now) <= LONGEST_WAIT) {
            return Err(Wait::until(Some(self.timer_instant(at))));
        }
        let is_probing = status.failures > 0 || refused.is_some();
        let concurrency = if is_probing { 1 } else { account.evidence().concurrency.limit() };
        if in_flight >= concurrency {
            return Err(Wait::until(None));
        }
        let next_at = account.read_share().next_at(Instant::now());
        if let Some(at) = next_at {
            return Err(Wait::until(Some(at)));
        }
        let permit = self.reserve_permit()?;
        let read = account.ledger.claim_base_read(&lease).await;
        match read.map_err(|error| self.log_failure(&error, UNREADABLE))? {
            Some(read) => {
                account.read_share().record(Instant::now());
                Ok(NextAction::ReadBase(lease, read, permit))
            }
            None => Err(Wait::until(None)),
        }
    }

    async fn claim_batch(
        &self,
        lease: Lease,
        status: &AccountStatus,
        in_flight: usize,
        draining: bool,
    ) -> Result<NextAction, Wait> {
        let account = &self.account;
        // While the account fails, one call at a time probes it; while it is paused, a call with one event.
        let is_failing = status.failures > 0;
        let concurrency = if is_failing { 1 } else { account.evidence().concurrency.limit() };
        if in_flight >= concurrency {
            return Err(Wait::until(None));
        }
        let is_probing = status.is_paused_for(PauseReason::Refused);
        let (probe, batch_size, (first, last)) = {
            let mut evidence = account.evidence();
            if !is_probing {
                evidence.probes.record_resumed();
            }
            let probe = is_probing.then(|| evidence.probes.next());
            let poison_events = &evidence.poison_events;
            (probe, poison_events.batch_size(), poison_events.alone(!is_failing, Instant::now()))
        };
        let ignored = status.batches_ignored;
        let singly = ignored.is_some_and(|it| !it.is_try_due(account.clock.now()));
        let limit = if status.paused.is_some() || singly { 1 } else { batch_size };
        let linger = if draining { Duration::ZERO } else { account.settings.max_linger };
        let permit = self.reserve_permit()?;
        let request = ClaimRequest { limit, linger, first, last, probe };
        let claimed = account.ledger.claim(&lease, request).await;
        match claimed.map_err(|error| self.log_failure(&error, UNREADABLE))? {
            ClaimResult::Batch(batch) => {
                let (unchanged, batch): (Vec<_>, Vec<_>) =
                    batch.into_iter().partition(|event| event.already_confirmed);
                batch::settle_unchanged(account, &lease, unchanged).await;
                if batch.is_empty() {
                    return Ok(NextAction::Repeat);
                }
                {
                    let mut evidence = account.evidence();
                    evidence.poison_events.record_sent(&batch);
                    if let ([probe], true) = (batch.as_slice(), is_probing) {
                        evidence.probes.record_sent(probe);
                    }
                }
                if singly {
                    return Ok(NextAction::SendBatch(lease, Bisection::singles(batch), permit));
                }
                if ignored.is_some() {
                    // Before the call, so that one batch is tried at a time.
                    account.update_status(StatusChange::BatchTried).await;
                }
                Ok(NextAction::SendBatch(lease, Bisection::new(batch), permit))
            }
            ClaimResult::Wait(at) => Err(Wait::until(at.map(|at| self.timer_instant(at)))),
            ClaimResult::LeaseLost => {
                account.lose_lease(&lease);
                Ok(NextAction::Repeat)
            }
        }
    }

    /// Logs a failure of the ledger. Returns the wait before the next try.
    fn log_failure(&self, error: &LedgerError, problem: &str) -> Wait {
        tracing::warn!(%error, hubspot.account = %self.account.name, "{problem}");
        Wait::until(Some(Instant::now() + LEDGER_RETRY))
    }

    fn reserve_permit(&self) -> Result<CallPermit, Wait> {
        self.account.rate_limiter.try_acquire().map_err(|wait| match wait {
            PermitWait::Until(at) => Wait { until: Some(at), is_rate_limited: true },
            PermitWait::ForResponse => Wait::until(Some(Instant::now() + PERMIT_POLL)),
        })
    }

    /// Whether there is something to send, or to read.
    async fn has_work(&self) -> Result<bool, LedgerError> {
        let account = &self.account;
        Ok(account.ledger.has_base_reads(&account.name).await?
            || account.settings.sends && self.has_pending().await?)
    }

    async fn has_pending(&self) -> Result<bool, LedgerError> {
        self.account.ledger.has_pending(&self.account.name).await
    }

    /// The timer's time for a wall-clock time.
    fn timer_instant(&self, at: Millis) -> Instant {
        Instant::now() + at.since(self.account.clock.now()).min(LONGEST_SLEEP)
    }

    /// A batch that panicked released its events.
    fn log_panic(&self, ended: &Result<(), JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(%error, hubspot.account = %self.account.name, "a delivery panicked");
        }
    }
}

impl Wait {
    /// Both waits, whichever ends first.
    fn or(self, other: Self) -> Self {
        let until = self.until.into_iter().chain(other.until).min();
        Self { until, is_rate_limited: self.is_rate_limited || other.is_rate_limited }
    }

    fn until(until: Option<Instant>) -> Self {
        Self { until, is_rate_limited: false }
    }
}

//! One account's loop: wait for something to do, take a slot, claim a batch, send it off.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::calls::{Calls, SLOT_AGAIN};
use super::identity::{Asked, Whose};
use super::silence::Silence;
use super::standing::{self, Heard};
use super::streak::{Blame, Streak};
use super::suspicion::Suspicion;
use super::{flight, home};
use crate::clock::Clock;
use crate::event::{AccountName, Millis};
use crate::hubspot::{Account, AccountTrouble, Fingerprint, RateLimit, Refusal, Slot, Wait};
use crate::ledger::{
    Amend, Amended, Claim, ClaimAsk, Claimed, LONGEST_WAIT, Ledger, PauseReason, Standing,
};
use crate::telemetry::Metrics;

/// After a ledger that could not be read.
const READ_AGAIN: Duration = Duration::from_millis(500);
/// Between two looks whether credentials that are refused have changed.
const LOOK: Duration = Duration::from_secs(1);
/// The longest sleep: should a clock be set back, nothing waits longer than this for a time that moved away.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How an account's events are sent.
#[derive(Debug, Clone, Copy)]
pub struct LaneSettings {
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
pub struct Lane {
    /// The account.
    pub account: AccountName,
    /// Where events come from and outcomes go.
    pub ledger: Arc<dyn Ledger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    pub(super) calls: Calls,
    pub(super) settings: LaneSettings,
    asked: Mutex<Asked>,
    streak: Mutex<Streak>,
    /// Held from the look at a refusal until it is recorded: what another flight gives back meanwhile would not be dead yet,
    /// and be dead after.
    pub(super) judging: tokio::sync::Mutex<()>,
    silence: Mutex<Silence>,
    suspicion: Mutex<Suspicion>,
}

/// What the loop does next.
enum Step {
    /// Send this, in that slot.
    Send(Vec<Claimed>, Slot),
    /// Ask whose account these credentials open, in that slot.
    Ask(Fingerprint, Slot),
    /// Look again now.
    Again,
    /// Nothing before then, unless woken.
    Wait(Option<Instant>),
    /// The account's limit has no room before then.
    Pace(Instant),
}

impl Lane {
    /// A lane that has sent nothing yet.
    #[must_use]
    pub fn new(
        account: AccountName,
        hubspot: Account,
        settings: LaneSettings,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            calls: Calls::new(account.clone(), hubspot, &settings, metrics.clone()),
            account,
            ledger,
            clock,
            metrics,
            settings,
            asked: Mutex::default(),
            streak: Mutex::default(),
            judging: tokio::sync::Mutex::default(),
            silence: Mutex::default(),
            suspicion: Mutex::new(Suspicion::up_to(settings.max_batch)),
        })
    }

    /// Sends what is pending until told to stop, and then what still can be sent at once.
    ///
    /// # Cancel safety
    /// Dropping it gives up calls under way; their events are sent again after the next start.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        // One process has the store, and with it every account.
        self.metrics.set_lease_held(&self.account, true);
        let mut flights = JoinSet::new();
        let wake_up = self.ledger.wake_up(&self.account);
        loop {
            // Armed before looking: what is committed between the look and the wait still wakes.
            let woken = wake_up.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let draining = stop.is_cancelled();
            let next = self.next(flights.len(), draining).await;
            let pacing = matches!(next, Step::Pace(_));
            match next {
                Step::Send(batch, slot) => {
                    let id = uuid::Uuid::now_v7();
                    let span = tracing::info_span!(
                        "batch",
                        batch.id = %id,
                        hubspot.account = %self.account,
                        batch.events = batch.len()
                    );
                    tracing::debug!(parent: &span, "a batch leaves");
                    let flight = flight::fly(Arc::clone(&self), batch, slot, stop.clone());
                    flights.spawn(flight.instrument(span));
                }
                Step::Ask(credentials, slot) => {
                    self.asked().begins(credentials);
                    flights.spawn(home::ask(Arc::clone(&self), slot));
                }
                Step::Again => {}
                // Nothing more can be sent now, and nobody is to wait for what comes later.
                Step::Wait(_) | Step::Pace(_) if draining && flights.is_empty() => return,
                Step::Wait(_) | Step::Pace(_) => {
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
                    if pacing && self.has_pending() {
                        self.metrics.rate_limit_wait(&self.account, began.elapsed());
                    }
                }
            }
            while flights.try_join_next().is_some() {}
        }
    }

    async fn next(&self, in_flight: usize, draining: bool) -> Step {
        let standing = self.ledger.standing(&self.account);
        if standing.is_held() {
            return Step::Wait(None);
        }
        let credentials = self.calls.fingerprint();
        let whose = self.asked().whose(credentials, &standing);
        // Somebody is to change the credentials: that is looked for, so that it shows at once.
        let look = standing::awaits_credentials(&standing).then(|| Instant::now() + LOOK);
        let changed = look.is_some() && whose == (Whose::Unknown { fresh: true });
        let now = self.clock.now();
        let believable = |at: &Millis| *at > now && at.since(now) <= LONGEST_WAIT;
        if let Some(retry_at) = standing.retry_at.filter(believable).filter(|_| !changed) {
            // Whoever drains does not wait for an account in trouble: what is pending is in the ledger.
            let at = self.instant(retry_at);
            return Step::Wait(Some(look.map_or(at, |look| look.min(at))));
        }
        match whose {
            Whose::Ours if standing.moved => home::move_in(self).await.map_or_else(
                |error| {
                    tracing::warn!(%error, hubspot.account = %self.account, "what the new account lacks could not be looked up");
                    Step::Wait(Some(Instant::now() + READ_AGAIN))
                },
                |()| Step::Again,
            ),
            Whose::Ours => self.batch(&standing, in_flight, draining).await,
            Whose::Another => Step::Wait(look),
            Whose::Unknown { .. } if self.has_pending() || standing.stranger.is_some() => {
                match self.reserve() {
                    Ok(slot) => Step::Ask(credentials, slot),
                    Err(step) => step,
                }
            }
            // It is being asked, or nothing is to be sent, so that nobody need be asked.
            Whose::Awaited | Whose::Unknown { .. } => Step::Wait(None),
        }
    }

    async fn batch(&self, standing: &Standing, in_flight: usize, draining: bool) -> Step {
        // In trouble one call asks whether it is over; after a pause, a small one.
        let probing = standing.failures > 0;
        if in_flight >= if probing { 1 } else { self.calls.width() } {
            return Step::Wait(None);
        }
        let (size, (alone, due)) = {
            let suspicion = self.suspicion();
            (suspicion.size(), suspicion.alone(!probing, Instant::now()))
        };
        let most = if standing.paused.is_some() { 1 } else { size };
        let linger = if draining { Duration::ZERO } else { self.settings.max_linger };
        let slot = match self.reserve() {
            Ok(slot) => slot,
            Err(step) => return step,
        };
        match self.ledger.claim(&self.account, ClaimAsk { most, linger, alone, due }).await {
            Ok(Claim::Batch(batch)) => {
                let (unchanged, batch): (Vec<_>, Vec<_>) =
                    batch.into_iter().partition(|claimed| claimed.unchanged);
                flight::settle_unchanged(self, unchanged).await;
                if batch.is_empty() {
                    self.calls.cancel(slot);
                    return Step::Again;
                }
                self.suspicion().sends(&batch);
                Step::Send(batch, slot)
            }
            Ok(Claim::Later(at)) => {
                self.calls.cancel(slot);
                Step::Wait(at.map(|at| self.instant(at)))
            }
            Err(error) => {
                self.calls.cancel(slot);
                tracing::warn!(%error, hubspot.account = %self.account, "the ledger could not be read");
                Step::Wait(Some(Instant::now() + READ_AGAIN))
            }
        }
    }

    fn reserve(&self) -> Result<Slot, Step> {
        self.calls.reserve().map_err(|wait| match wait {
            Wait::Until(at) => Step::Pace(at),
            Wait::ForAnAnswer => Step::Wait(Some(Instant::now() + SLOT_AGAIN)),
        })
    }

    fn has_pending(&self) -> bool {
        self.ledger.census().get(&self.account).is_some_and(|counts| counts.pending > 0)
    }

    /// Whether a call may be made now: no operator has paused the account, and the credentials still open it.
    pub(super) fn may_send(&self) -> bool {
        let standing = self.ledger.standing(&self.account);
        !standing.is_held()
            && self.asked().whose(self.calls.fingerprint(), &standing) == Whose::Ours
    }

    pub(super) fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account answered as it should.
    pub(super) async fn recovered(&self, heard: Heard, daily_remaining: Option<u64>) {
        let amend = move |before: &Standing| standing::recovered(before, heard, daily_remaining);
        let Some(Amended { before, after }) = self.amend_standing(Box::new(amend)).await else {
            return;
        };
        if before.failures > after.failures || before.paused != after.paused {
            tracing::info!(hubspot.account = %self.account, "the HubSpot account takes events again");
        }
    }

    /// These were accepted.
    pub(super) fn accepted(&self, events: impl Iterator<Item = i64> + Clone) {
        self.streak.lock().unwrap_or_else(PoisonError::into_inner).end();
        self.silence.lock().unwrap_or_else(PoisonError::into_inner).took(events.clone());
        self.suspicion().took(events);
    }

    /// A call with these failed, in a way that may be an event's doing.
    pub(super) fn failed_over(&self, events: &[i64]) {
        let failures = self.ledger.standing(&self.account).failures;
        self.suspicion().failed(events, failures, Instant::now());
    }

    fn suspicion(&self) -> MutexGuard<'_, Suspicion> {
        self.suspicion.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether others were accepted since this event last came back, alone, without a result.
    pub(super) fn passed_over(&self, claimed: &Claimed) -> bool {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner).passed_over(claimed.id)
    }

    /// Whose fault the refusal of a single event is.
    pub(super) fn blame(&self, claimed: &Claimed, refusal: &Refusal) -> Blame {
        let paused = self.ledger.standing(&self.account).paused;
        let paused = paused.is_some_and(|pause| pause.reason == PauseReason::Refused);
        let mut streak = self.streak.lock().unwrap_or_else(PoisonError::into_inner);
        streak.refused(claimed, refusal, paused)
    }

    /// Says what is wrong with the account, and when it is asked again.
    pub(super) fn report(&self, trouble: &AccountTrouble) {
        let retry_at = self.ledger.standing(&self.account).retry_at;
        tracing::warn!(
            hubspot.account = %self.account,
            hubspot.trouble = trouble.kind.as_str(),
            hubspot.correlation_id = trouble.correlation_id,
            detail = trouble.detail,
            retry_at = retry_at.map(tracing::field::display),
            "the HubSpot account cannot take events now; they stay pending"
        );
    }

    /// Changes how the account stands; should the ledger not keep it, it is known in memory all the same.
    pub(super) async fn amend_standing(&self, amend: Amend) -> Option<Amended> {
        let amended = self.ledger.amend_standing(&self.account, amend).await;
        if let Err(error) = &amended {
            tracing::warn!(%error, hubspot.account = %self.account, "the account's standing could not be kept");
        }
        amended.ok()
    }

    /// The timer's time for a wall-clock time.
    fn instant(&self, at: Millis) -> Instant {
        Instant::now() + at.since(self.clock.now()).min(LONGEST_SLEEP)
    }
}

impl Step {
    fn until(&self) -> Option<Instant> {
        match self {
            Self::Pace(at) => Some(*at),
            Self::Wait(at) => *at,
            Self::Send(..) | Self::Ask(..) | Self::Again => None,
        }
    }
}

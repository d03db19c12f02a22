//! One account's loop: wait for something to do, take a slot, claim a batch, send it off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::flight;
use super::standing::{self, Heard};
use super::streak::{Blame, Streak};
use crate::clock::Clock;
use crate::event::{AccountName, Millis};
use crate::hubspot::{Account, Operation, Pace, RateLimit, Refusal, Sent, Slot, Verdict, Wait};
use crate::ledger::{
    Amend, Amended, Claim, ClaimAsk, Claimed, LONGEST_WAIT, Ledger, PauseReason, Standing,
};
use crate::telemetry::Metrics;

/// After a ledger that could not be read.
const READ_AGAIN: Duration = Duration::from_millis(500);
/// A slot that waits for an answer is asked for again so often.
const SLOT_AGAIN: Duration = Duration::from_millis(20);
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
    hubspot: Account,
    pub(super) settings: LaneSettings,
    pace: Mutex<Pace>,
    streak: Mutex<Streak>,
}

/// What the loop does next.
enum Step {
    /// Send this, in that slot.
    Send(Vec<Claimed>, Slot),
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
        let pace = Mutex::new(Pace::new(settings.rate_limit));
        let streak = Mutex::default();
        Arc::new(Self { account, ledger, clock, metrics, hubspot, settings, pace, streak })
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
            match self.next(flights.len(), draining).await {
                Step::Send(batch, slot) => {
                    let id = uuid::Uuid::now_v7();
                    let span = tracing::info_span!(
                        "batch",
                        batch.id = %id,
                        hubspot.account = %self.account,
                        batch.events = batch.len()
                    );
                    tracing::debug!(parent: &span, "a batch leaves");
                    flights.spawn(flight::fly(Arc::clone(&self), batch, slot).instrument(span));
                }
                Step::Again => {}
                Step::Pace(until) => {
                    let began = Instant::now();
                    tokio::time::sleep_until(until).await;
                    if self.ledger.census().get(&self.account).is_some_and(|c| c.pending > 0) {
                        self.metrics.rate_limit_wait(&self.account, began.elapsed());
                    }
                }
                // Nothing more can be sent now, and nobody is to wait for what comes later.
                Step::Wait(_) if draining && flights.is_empty() => return,
                Step::Wait(until) => {
                    let until = until.unwrap_or_else(|| Instant::now() + LONGEST_SLEEP);
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
                }
            }
            while flights.try_join_next().is_some() {}
        }
    }

    async fn next(&self, in_flight: usize, draining: bool) -> Step {
        let standing = self.ledger.standing(&self.account);
        if standing.paused.as_ref().is_some_and(|pause| pause.reason == PauseReason::Operator) {
            return Step::Wait(None);
        }
        let now = self.clock.now();
        let believable = |at: &Millis| *at > now && at.since(now) <= LONGEST_WAIT;
        if let Some(retry_at) = standing.retry_at.filter(believable) {
            // Whoever drains does not wait for an account in trouble: what is pending is in the ledger.
            return Step::Wait(Some(self.instant(retry_at)));
        }
        // In trouble one call asks whether it is over; after a pause, a small one.
        let probing = standing.failures > 0;
        let most_flights = if probing { 1 } else { self.settings.max_in_flight };
        if in_flight >= most_flights {
            return Step::Wait(None);
        }
        let most = if standing.paused.is_some() { 1 } else { self.settings.max_batch };
        let linger = if draining { Duration::ZERO } else { self.settings.max_linger };
        let slot = match self.reserve() {
            Ok(slot) => slot,
            Err(Wait::Until(at)) => return Step::Pace(at),
            Err(Wait::ForAnAnswer) => return Step::Wait(Some(Instant::now() + SLOT_AGAIN)),
        };
        match self.ledger.claim(&self.account, ClaimAsk { most, linger }).await {
            Ok(Claim::Batch(batch)) => {
                let (unchanged, batch): (Vec<_>, Vec<_>) =
                    batch.into_iter().partition(|claimed| claimed.unchanged);
                flight::settle_unchanged(self, unchanged).await;
                if batch.is_empty() {
                    self.cancel(slot);
                    return Step::Again;
                }
                Step::Send(batch, slot)
            }
            Ok(Claim::Later(at)) => {
                self.cancel(slot);
                Step::Wait(at.map(|at| self.instant(at)))
            }
            Err(error) => {
                self.cancel(slot);
                tracing::warn!(%error, hubspot.account = %self.account, "the ledger could not be read");
                Step::Wait(Some(Instant::now() + READ_AGAIN))
            }
        }
    }

    /// Waits for a slot, within a flight that needs another call.
    pub(super) async fn slot(&self) -> Slot {
        let began = Instant::now();
        loop {
            let until = match self.reserve() {
                Ok(slot) => {
                    self.metrics.rate_limit_wait(&self.account, began.elapsed());
                    return slot;
                }
                Err(Wait::Until(at)) => at,
                Err(Wait::ForAnAnswer) => Instant::now() + SLOT_AGAIN,
            };
            tokio::time::sleep_until(until).await;
        }
    }

    /// Sends these events in that slot; the verdict, and what is left of the day's calls.
    pub(super) async fn send(&self, part: &[Claimed], slot: Slot) -> (Verdict, Option<u64>) {
        let sent: Vec<Sent<'_>> = part
            .iter()
            .map(|claimed| Sent {
                external_event_id: claimed.key.external_event_id.as_str(),
                input: &claimed.input,
            })
            .collect();
        let mut slot = HeldSlot { lane: self, slot: Some(slot) };
        let report = self.hubspot.upsert(&sent).await;
        self.metrics.batch_sent(&self.account, part.len());
        let mut upserts = 0;
        for call in &report.calls {
            let (operation, status) = (call.operation.as_str(), call.status.to_string());
            self.metrics.request(&self.account, operation, &status, call.took);
            upserts += usize::from(call.operation == Operation::Upsert);
        }
        self.metrics.set_token_expires(&self.account, self.hubspot.token_expires_at());
        let now = Instant::now();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slot.slot.take() else { return (report.verdict, None) };
        if upserts == 0 {
            pace.cancel(slot);
        } else {
            (1..upserts).for_each(|_| pace.count(now));
            pace.observe(&slot, &report.rates, now);
            pace.finish(slot, now);
        }
        (report.verdict, report.rates.daily_remaining)
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

    /// Something was accepted.
    pub(super) fn accepted(&self) {
        self.streak.lock().unwrap_or_else(PoisonError::into_inner).end();
    }

    /// Whose fault the refusal of a single event is.
    pub(super) fn blame(&self, claimed: &Claimed, refusal: &Refusal) -> Blame {
        let paused = self.ledger.standing(&self.account).paused;
        let paused = paused.is_some_and(|pause| pause.reason == PauseReason::Refused);
        let mut streak = self.streak.lock().unwrap_or_else(PoisonError::into_inner);
        streak.refused(claimed, refusal, paused)
    }

    /// Changes how the account stands; should the ledger not keep it, it is known in memory all the same.
    pub(super) async fn amend_standing(&self, amend: Amend) -> Option<Amended> {
        let amended = self.ledger.amend_standing(&self.account, amend).await;
        if let Err(error) = &amended {
            tracing::warn!(%error, hubspot.account = %self.account, "the account's standing could not be kept");
        }
        amended.ok()
    }

    fn reserve(&self) -> Result<Slot, Wait> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner).reserve(Instant::now())
    }

    /// Gives back a slot in which no call was made.
    pub(super) fn cancel(&self, slot: Slot) {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner).cancel(slot);
    }

    /// The timer's time for a wall-clock time.
    fn instant(&self, at: Millis) -> Instant {
        Instant::now() + at.since(self.clock.now()).min(LONGEST_SLEEP)
    }
}

/// A slot with which a call is under way. Should the call be given up, it counts as made and ended now.
struct HeldSlot<'a> {
    lane: &'a Lane,
    slot: Option<Slot>,
}

impl Drop for HeldSlot<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            let mut pace = self.lane.pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.finish(slot, Instant::now());
        }
    }
}

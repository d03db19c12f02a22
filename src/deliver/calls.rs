//! An account's calls: each in a slot of its pace, counted and measured.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::identity::Told;
use super::lane::LaneSettings;
use super::width::Width;
use crate::event::AccountName;
use crate::hubspot::{
    Account, Fingerprint, Operation, Pace, Report, Sent, Slot, TroubleKind, Verdict, Wait,
};
use crate::ledger::Claimed;
use crate::telemetry::Metrics;

/// A slot that waits for an answer is asked for again so often.
pub const SLOT_AGAIN: Duration = Duration::from_millis(20);

/// An account's calls.
pub struct Calls {
    account: AccountName,
    hubspot: Account,
    metrics: Metrics,
    pace: Mutex<Pace>,
    width: Mutex<Width>,
}

impl Calls {
    /// None is made yet.
    #[must_use]
    pub fn new(
        account: AccountName,
        hubspot: Account,
        settings: &LaneSettings,
        metrics: Metrics,
    ) -> Self {
        let pace = Mutex::new(Pace::new(settings.rate_limit));
        let width = Mutex::new(Width::up_to(settings.max_in_flight));
        Self { account, hubspot, metrics, pace, width }
    }

    /// So many calls may be in flight.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width.lock().unwrap_or_else(PoisonError::into_inner).calls()
    }

    /// The credentials as they are now.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.hubspot.fingerprint()
    }

    /// A slot, if there is one now.
    ///
    /// # Errors
    /// [`Wait`] says when to ask again.
    pub fn reserve(&self) -> Result<Slot, Wait> {
        self.pace().reserve(Instant::now())
    }

    /// Gives back a slot in which no call was made.
    pub fn cancel(&self, slot: Slot) {
        self.pace().cancel(slot);
    }

    /// Waits for a slot; none once it is told to stop and there is none at once.
    pub async fn slot(&self, stop: &CancellationToken) -> Option<Slot> {
        let began = Instant::now();
        loop {
            let until = match self.reserve() {
                Ok(slot) => {
                    self.metrics.rate_limit_wait(&self.account, began.elapsed());
                    return Some(slot);
                }
                Err(Wait::Until(at)) => at,
                Err(Wait::ForAnAnswer) => Instant::now() + SLOT_AGAIN,
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = stop.cancelled() => return self.reserve().ok(),
            }
        }
    }

    /// Sends these events in that slot; the verdict, and what is left of the day's calls.
    pub async fn upsert(&self, part: &[Claimed], slot: Slot) -> (Verdict, Option<u64>) {
        let sent: Vec<Sent<'_>> = part
            .iter()
            .map(|claimed| Sent {
                external_event_id: claimed.key.external_event_id.as_str(),
                input: &claimed.input,
            })
            .collect();
        let mut held = HeldSlot { calls: self, slot: Some(slot) };
        let began = Instant::now();
        let report = self.hubspot.upsert(&sent).await;
        self.metrics.batch_sent(&self.account, part.len());
        let took = self.made(&mut held, &report, Operation::Upsert);
        if let Some(took) = took {
            self.measure(&report.outcome, part.len(), began, took);
        }
        (report.outcome, report.rates.daily_remaining)
    }

    /// Asks in that slot whose account it is, and what is left of the day's calls.
    pub async fn details(&self, slot: Slot) -> (Told, Option<u64>) {
        let mut held = HeldSlot { calls: self, slot: Some(slot) };
        let report = self.hubspot.details().await;
        self.made(&mut held, &report, Operation::Details);
        (Told::of(report.outcome, self.hubspot.client_id()), report.rates.daily_remaining)
    }

    /// Counts the calls that were made, and learns from their headers; how long the last of that kind took, if one was
    /// made.
    fn made<T>(
        &self,
        held: &mut HeldSlot<'_>,
        report: &Report<T>,
        wanted: Operation,
    ) -> Option<Duration> {
        for call in &report.calls {
            let (operation, status) = (call.operation.as_str(), call.status.to_string());
            self.metrics.request(&self.account, operation, &status, call.took);
        }
        self.metrics.set_token_expires(&self.account, self.hubspot.token_expires_at());
        let now = Instant::now();
        let made: Vec<_> = report.calls.iter().filter(|call| call.operation == wanted).collect();
        let slot = held.slot.take()?;
        let mut pace = self.pace();
        if made.is_empty() {
            pace.cancel(slot);
        } else {
            (1..made.len()).for_each(|_| pace.count(now));
            pace.observe(&slot, &report.rates, now);
            pace.finish(slot, now);
        }
        made.last().map(|call| call.took)
    }

    /// How many calls HubSpot bears shows in how long it takes, and whether it can answer at all.
    fn measure(&self, verdict: &Verdict, events: usize, began: Instant, took: Duration) {
        let mut width = self.width.lock().unwrap_or_else(PoisonError::into_inner);
        match verdict {
            Verdict::Items(_) | Verdict::Split(_) => width.answered(events, took),
            Verdict::Account(trouble) => match trouble.kind {
                TroubleKind::Locked | TroubleKind::Overloaded | TroubleKind::Transport { .. } => {
                    width.failed(began, Instant::now());
                }
                // Not for their number: the pace sees to limits.
                TroubleKind::Unauthorized
                | TroubleKind::Forbidden
                | TroubleKind::NotFound
                | TroubleKind::RateLimited { .. }
                | TroubleKind::Migrating
                | TroubleKind::Redirected => {}
            },
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot with which a call is under way. Should the call be given up, it counts as made and ended now.
struct HeldSlot<'a> {
    calls: &'a Calls,
    slot: Option<Slot>,
}

impl Drop for HeldSlot<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.calls.pace().finish(slot, Instant::now());
        }
    }
}

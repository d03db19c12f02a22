//! The evidence of HubSpot's earlier answers about the account. In memory only: after a start it is gathered again.

use super::concurrency::Concurrency;
use super::missing_results::MissingResults;
use super::poison_events::PoisonEvents;
use super::probes::{Probes, RefusedEvent};
use super::refusal_streak::{Blame, RefusalStreak};
use super::silent_batches::SilentBatches;
use crate::event::{AccountStatus, HubspotRefusal, PauseReason};
use crate::hubspot::{AccountErrorKind, CallTiming, Verdict};
use crate::ledger::ClaimedEvent;

/// The evidence of HubSpot's earlier answers about the account.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    refusal_streak: RefusalStreak,
    /// Events that answers left out.
    pub missing_results: MissingResults,
    /// Answers to batches that confirmed nothing, and the checks of single events.
    pub silent_batches: SilentBatches,
    /// Events that make calls fail, and the size of the next batch.
    pub poison_events: PoisonEvents,
    /// The probes while the account refuses everything.
    pub probes: Probes,
    /// The number of calls in flight.
    pub concurrency: Concurrency,
}

impl Evidence {
    /// No evidence yet; batches of at most `max_batch` events, and at most `max_in_flight` calls at a time.
    #[must_use]
    pub fn new(max_batch: usize, max_in_flight: usize) -> Self {
        Self {
            refusal_streak: RefusalStreak::default(),
            missing_results: MissingResults::default(),
            silent_batches: SilentBatches::default(),
            poison_events: PoisonEvents::new(max_batch),
            probes: Probes::default(),
            concurrency: Concurrency::new(max_in_flight),
        }
    }

    /// HubSpot confirmed these events. Returns the refusals of others that are upheld by it.
    pub fn record_accepted(&mut self, events: &[i64]) -> Vec<RefusedEvent> {
        self.refusal_streak.clear();
        self.missing_results.record_accepted(events);
        self.poison_events.record_accepted(events);
        self.probes.record_accepted()
    }

    /// Records the refusal of a single event and decides on its cause.
    pub fn blame(
        &mut self,
        event: &ClaimedEvent,
        refusal: &HubspotRefusal,
        status: &AccountStatus,
    ) -> Blame {
        let paused = status.is_paused_for(PauseReason::Refused);
        let blame = self.refusal_streak.record_refusal(event, refusal, paused);
        if let Blame::Account(earlier) = &blame {
            self.probes.record_refusal(event, refusal, earlier);
        }
        blame
    }

    /// Adapts the number of calls in flight to the time of HubSpot's answers, and to its failures to answer.
    pub fn record_timing(&mut self, verdict: &Verdict, events: usize, timing: CallTiming) {
        match verdict {
            Verdict::Items(_) | Verdict::Split(_) => {
                self.concurrency.record_answer(events, timing.elapsed);
            }
            Verdict::Account(error) => match error.kind {
                AccountErrorKind::Locked
                | AccountErrorKind::Overloaded
                | AccountErrorKind::Transport { .. } => {
                    self.concurrency.record_failure(timing.began, timing.ended);
                }
                // The number of calls is not the reason: the rate limiter keeps the limits.
                AccountErrorKind::Unauthorized
                | AccountErrorKind::Forbidden
                | AccountErrorKind::NotFound
                | AccountErrorKind::RateLimited { .. }
                | AccountErrorKind::Migrating
                | AccountErrorKind::Redirected => {}
            },
        }
    }
}

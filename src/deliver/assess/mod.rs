//! Assesses HubSpot's answer to a part of a batch, without I/O: [`batch`](super::batch) carries the assessment out.
//!
//! * [`bisect`]: the parts of a batch that are still to be sent.
//! * [`evidence`]: the evidence of earlier answers, by which the account or an event is blamed.
//! * `items`: assesses an answer that HubSpot gave event by event.
//! * [`probes`]: the events that probe an account which refuses everything.
//! * [`failure`]: derives the account's failure from a failed or unhelpful answer.
//!
//! Promises: each event of the part is settled, sent again in a half, or released, exactly once; an event is sent at
//! most three times more than its batch can be halved; the same evidence gives the same assessment.

pub mod bisect;
pub mod concurrency;
pub mod evidence;
pub mod failure;
mod items;
pub mod missing_results;
pub mod poison_events;
pub mod probes;
pub mod refusal_streak;
pub mod silent_batches;
#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use crate::event::{AccountStatus, HubspotRefusal, StatusChange};
use crate::hubspot::{AccountError, ApiReport, ItemVerdict, SplitReason, Verdict};
use crate::ledger::{ClaimedEvent, DeliveryOutcome, EventVersion};
use bisect::{BatchPart, Confirmed, NextPart};
use evidence::Evidence;
use items::assess_items;
use probes::RefusedEvent;
use refusal_streak::Blame;

/// How long an event waits after it was tried while its account refused everything.
const REFUSED_PROBE_RETRY: Duration = Duration::from_mins(10);

/// The consequences of an answer. By default the batch goes on as if nothing had been answered.
#[derive(Debug, Default)]
pub struct Assessment {
    /// The change of the account's status.
    pub status: Option<StatusChange>,
    /// The outcomes of events of the part.
    pub outcomes: Vec<EventOutcome>,
    /// Events that were settled as refused before, and are pending again: the account refuses everything.
    pub revoked: Vec<EventVersion>,
    /// Events whose refusals were revoked, and that are dead letters after all: HubSpot takes others.
    pub upheld: Vec<RefusedEvent>,
    /// The extent to which HubSpot confirmed the part.
    pub confirmed: Confirmed,
    /// The next part of the batch.
    pub next: NextPart,
    /// Events that may have caused the failure. They are recorded in the evidence once the status has changed.
    pub suspects: Vec<i64>,
    /// Whether the account ignores batches, if the answer shows it.
    pub ignores_batches: Option<bool>,
    /// The log entry.
    pub report: Report,
}

/// The outcome of an event.
#[derive(Debug)]
pub struct EventOutcome {
    /// The event.
    pub event: ClaimedEvent,
    /// Its outcome.
    pub outcome: DeliveryOutcome,
}

/// The log entry of an answer.
#[derive(Debug, Default)]
pub enum Report {
    /// None.
    #[default]
    Nothing,
    /// HubSpot answered event by event.
    Answered {
        /// The events by HubSpot's answer.
        counts: AnswerCounts,
        /// The reason that HubSpot gave if it confirmed and refused nothing.
        confirmed_nothing: Option<String>,
    },
    /// The account refuses every event for this reason.
    RefusesEverything(HubspotRefusal),
    /// The call failed.
    Failed(AccountError),
}

/// The events of a part by HubSpot's answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names suffice")]
pub struct AnswerCounts {
    pub confirmed: usize,
    pub refused: usize,
    pub unconfirmed: usize,
}

/// What an assessment needs beside the answer.
struct AnswerContext<'a> {
    status: &'a AccountStatus,
    daily_remaining: Option<u64>,
    /// Source of a backoff's jitter.
    random: u32,
}

/// Assesses the answer to a part of a batch. `random` is the source of a backoff's jitter.
#[must_use]
pub fn assess(
    evidence: &mut Evidence,
    answer: ApiReport<Verdict>,
    part: BatchPart,
    status: &AccountStatus,
    random: u32,
) -> Assessment {
    let ApiReport { outcome: verdict, daily_remaining, timing } = answer;
    if let Some(timing) = timing {
        evidence.record_timing(&verdict, part.events.len(), timing);
    }
    match verdict {
        Verdict::Account(error) => assess_error(error, part, daily_remaining, random),
        // HubSpot refused the part whole and named no event: its halves are sent at once.
        Verdict::Split(reason) => Assessment {
            status: Some(StatusChange::Recovered { accepted: false, daily_remaining }),
            next: NextPart::Halves(part.refused_whole(reason == SplitReason::BadEvent)),
            ..Assessment::default()
        },
        Verdict::Items(items) => {
            if let ([event], [ItemVerdict::Refused(refusal)]) = (&*part.events, &*items)
                && let Blame::Account(revoked) = evidence.blame(event, refusal, status)
            {
                let is_probed = !evidence.probes.is_first();
                return assess_refusing_account(part, revoked, refusal, is_probed);
            }
            let context = AnswerContext { status, daily_remaining, random };
            assess_items(evidence, items, part, &context)
        }
    }
}

/// The call failed, which is no event's fault.
fn assess_error(
    error: AccountError,
    part: BatchPart,
    daily_remaining: Option<u64>,
    random: u32,
) -> Assessment {
    let failure = failure::from_error(&error, random);
    let suspects = if error.may_be_caused_by_event() { part.ids() } else { Vec::new() };
    let (outcomes, released) = if error.is_ambiguous() {
        (alike(part.events, &DeliveryOutcome::Ambiguous), None)
    } else {
        (Vec::new(), Some(part))
    };
    Assessment {
        status: Some(StatusChange::Failed { failure, daily_remaining }),
        outcomes,
        next: NextPart::Stop { released },
        suspects,
        report: Report::Failed(error),
        ..Assessment::default()
    }
}

/// The account refuses every event for the same reason, so none of them is bad.
fn assess_refusing_account(
    part: BatchPart,
    revoked: Vec<RefusedEvent>,
    refusal: &HubspotRefusal,
    is_probed: bool,
) -> Assessment {
    let failure = failure::from_refusals(&refusal.message, is_probed);
    // If this event is bad after all, the next probe uses another one.
    let outcome = if part.events.iter().any(|event| event.is_witness) {
        DeliveryOutcome::NotApplied
    } else {
        DeliveryOutcome::RetryUncounted {
            wait: REFUSED_PROBE_RETRY,
            reason: refusal.message.clone(),
        }
    };
    Assessment {
        status: Some(StatusChange::Failed { failure, daily_remaining: None }),
        outcomes: alike(part.events, &outcome),
        revoked: revoked.into_iter().map(|(event, _)| event).collect(),
        next: NextPart::Stop { released: None },
        report: Report::RefusesEverything(refusal.clone()),
        ..Assessment::default()
    }
}

/// Settles all of these events with the same outcome.
#[must_use]
pub fn alike(events: Vec<ClaimedEvent>, outcome: &DeliveryOutcome) -> Vec<EventOutcome> {
    events.into_iter().map(|event| EventOutcome { event, outcome: outcome.clone() }).collect()
}

/// Makes the rest of a batch pending again. An event with an unknown outcome may still take effect at HubSpot, so it is
/// sent again now and once more later. For a hundred events that is one call.
#[must_use]
pub fn release(rest: Vec<BatchPart>) -> Vec<EventOutcome> {
    let unknown = DeliveryOutcome::RetryUncounted {
        wait: Duration::ZERO,
        reason: "HubSpot was not asked again yet".to_owned(),
    };
    let settle = |part: BatchPart| {
        let outcome = if part.outcome_unknown { &unknown } else { &DeliveryOutcome::NotApplied };
        alike(part.events, outcome)
    };
    rest.into_iter().flat_map(settle).collect()
}

//! Assesses an answer that HubSpot gave event by event.

use std::time::Duration;

use super::bisect::{BatchPart, Confirmed, NextPart, Way};
use super::evidence::Evidence;
use super::missing_results::MAX_MISSING;
use super::{AnswerContext, AnswerCounts, Assessment, EventOutcome, Report, failure};
use crate::event::{HubspotRefusal, StatusChange};
use crate::hubspot::{ItemVerdict, Unconfirmed};
use crate::ledger::{ClaimedEvent, DeliveryOutcome};

/// Delay of an event that HubSpot neither confirmed nor refused.
const UNCONFIRMED_RETRY: Duration = Duration::from_secs(30);
/// The category of an event for which HubSpot repeatedly returns neither a result nor an error.
const NO_RESULT: &str = "NO_RESULT";

/// HubSpot answered event by event.
pub(super) fn assess_items(
    evidence: &mut Evidence,
    items: Vec<ItemVerdict>,
    part: BatchPart,
    context: &AnswerContext<'_>,
) -> Assessment {
    let AnswerContext { status, daily_remaining, random } = *context;
    let BatchPart { events, batch_confirmed, way, was_silent, .. } = part;
    let sorted = SortedItems::new(events.into_iter().zip(items));
    let SortedItems { counts, confirmed, in_progress, mut outcomes, mut unconfirmed } = sorted;
    let accepted = !confirmed.is_empty();
    let mut ignores_batches = None;
    let mut upheld = Vec::new();
    if accepted {
        upheld = evidence.record_accepted(&confirmed);
        if way != Way::Single {
            evidence.silent_batches.record_work();
            ignores_batches = status.batches_ignored.map(|_| false);
        } else if was_silent && evidence.silent_batches.is_suspicious() {
            ignores_batches = Some(true);
        }
    }
    // A working account confirms or refuses at least one event.
    let works = accepted || counts.refused > 0;
    let mut next = NextPart::Rest;
    let mut confirmed_nothing = None;
    let mut suspects = Vec::new();
    match unconfirmed.pop() {
        None if !works && !batch_confirmed => {
            confirmed_nothing = in_progress.reason;
            suspects = in_progress.ids;
        }
        None => {}
        Some((event, reason, _)) if way != Way::Single && reason != Unconfirmed::Unfinished => {
            let mut events: Vec<_> = unconfirmed.into_iter().map(|(event, ..)| event).collect();
            events.push(event);
            // A missing result beside those of others is that event's alone.
            let is_silent = reason == Unconfirmed::NoResult && !works && !batch_confirmed;
            if is_silent {
                evidence.silent_batches.record_silent();
            }
            let mut rest = BatchPart::unconfirmed(events);
            rest.was_silent = is_silent;
            // An account that is known to ignore batches is not asked again.
            next = if way == Way::Batch && status.batches_ignored.is_none() {
                NextPart::Again(rest)
            } else {
                NextPart::Singly(rest)
            };
        }
        // Sent alone, it was the part's only event. If HubSpot accepts others, the missing confirmation is about the
        // event; if it does not, it may do nothing at all, so the rest of the batch is not tried.
        Some((event, kind, detail)) if counts.total() == 1 => {
            let is_missing = evidence.missing_results.record_missing(event.id) || batch_confirmed;
            outcomes.push(assess_unconfirmed(event, kind, &detail, is_missing));
            confirmed_nothing = (!is_missing).then_some(detail);
        }
        Some((event, ..)) => {
            let mut events: Vec<_> = unconfirmed.into_iter().map(|(event, ..)| event).collect();
            events.push(event);
            next = NextPart::Halves(BatchPart::unconfirmed(events).by(way));
        }
    }
    let status = match &confirmed_nothing {
        // HubSpot answers, but neither confirms nor refuses any event.
        Some(reason) => Some(StatusChange::Failed {
            failure: failure::from_unconfirmed(reason, random),
            daily_remaining: None,
        }),
        None => works.then_some(StatusChange::Recovered { accepted, daily_remaining }),
    };
    Assessment {
        status,
        outcomes,
        upheld,
        confirmed: counts.confirmed_share(),
        next: if confirmed_nothing.is_some() { NextPart::Stop { released: None } } else { next },
        suspects,
        ignores_batches,
        report: Report::Answered { counts, confirmed_nothing },
        ..Assessment::default()
    }
}

/// A part's events by HubSpot's answer, those settled whose outcome needs nothing but the answer.
#[derive(Default)]
struct SortedItems {
    counts: AnswerCounts,
    confirmed: Vec<i64>,
    in_progress: InProgress,
    outcomes: Vec<EventOutcome>,
    unconfirmed: Vec<(ClaimedEvent, Unconfirmed, String)>,
}

/// The events that HubSpot is still working on, and the reason of the first.
#[derive(Default)]
struct InProgress {
    ids: Vec<i64>,
    reason: Option<String>,
}

impl SortedItems {
    fn new(items: impl Iterator<Item = (ClaimedEvent, ItemVerdict)>) -> Self {
        let mut sorted = Self::default();
        for (event, item) in items {
            let outcome = match item {
                ItemVerdict::Confirmed { object_id } => {
                    sorted.counts.confirmed += 1;
                    sorted.confirmed.push(event.id);
                    DeliveryOutcome::Confirmed { object_id }
                }
                ItemVerdict::Refused(refusal) => {
                    sorted.counts.refused += 1;
                    DeliveryOutcome::Refused(refusal)
                }
                // Not sent in halves: they would be answered alike, and the call may take effect at any time.
                ItemVerdict::InProgress { detail: reason } => {
                    sorted.counts.unconfirmed += 1;
                    sorted.in_progress.ids.push(event.id);
                    sorted.in_progress.reason.get_or_insert_with(|| reason.clone());
                    DeliveryOutcome::RetryUncounted { wait: UNCONFIRMED_RETRY, reason }
                }
                ItemVerdict::Unconfirmed { reason, detail } => {
                    sorted.counts.unconfirmed += 1;
                    sorted.unconfirmed.push((event, reason, detail));
                    continue;
                }
            };
            sorted.outcomes.push(EventOutcome { event, outcome });
        }
        sorted
    }
}

impl AnswerCounts {
    fn total(self) -> usize {
        self.confirmed + self.refused + self.unconfirmed
    }

    fn confirmed_share(self) -> Confirmed {
        match self.confirmed {
            0 => Confirmed::None,
            confirmed if confirmed == self.total() => Confirmed::All,
            _ => Confirmed::Some,
        }
    }
}

/// Assesses an event that was sent alone and not confirmed. It is counted against the event if it `is_missing` while
/// others are accepted.
fn assess_unconfirmed(
    event: ClaimedEvent,
    kind: Unconfirmed,
    detail: &str,
    is_missing: bool,
) -> EventOutcome {
    let wait = UNCONFIRMED_RETRY;
    let reason = detail.to_owned();
    let attempts = event.attempts.saturating_add(1);
    let outcome = match kind {
        Unconfirmed::NoResult | Unconfirmed::Conflict if is_missing && attempts >= MAX_MISSING => {
            DeliveryOutcome::Refused(no_result(attempts, detail))
        }
        Unconfirmed::NoResult | Unconfirmed::Conflict if is_missing => {
            DeliveryOutcome::RetryCounted { wait, reason }
        }
        Unconfirmed::NoResult | Unconfirmed::Conflict | Unconfirmed::Unfinished => {
            DeliveryOutcome::RetryUncounted { wait, reason }
        }
    };
    EventOutcome { event, outcome }
}

/// The refusal of an event for which HubSpot returns neither a result nor an error, in the bridge's own words.
fn no_result(attempts: u32, detail: &str) -> HubspotRefusal {
    HubspotRefusal {
        status: 200,
        category: NO_RESULT.to_owned(),
        message: format!(
            "HubSpot answered {attempts} times without a result and without an error for this event, while it took \
             others ({detail})"
        ),
        correlation_id: None,
    }
}

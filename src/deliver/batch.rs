//! One batch on its way to HubSpot and back into the ledger.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bisect::{BatchPart, Bisection};
use super::missing_results::MAX_MISSING;
use super::refusal_streak::Blame;
use super::settlements::{RECORD_RETRY, alike, record, versions};
use super::status;
use super::worker::AccountWorker;
use crate::event::StatusChange;
use crate::hubspot::{AccountError, EventRefusal, ItemVerdict, Permit, Unconfirmed, Verdict};
use crate::ledger::{
    AttemptStart, ClaimedEvent, DeliveryOutcome, HubspotRefusal, Lease, Settlement,
};

/// When an event that HubSpot neither confirmed nor refused is sent again.
const UNCONFIRMED_RETRY: Duration = Duration::from_secs(30);
/// When an event that was refused while everything was is sent again.
const REFUSED_PROBE_RETRY: Duration = Duration::from_mins(10);
/// The category of an event that HubSpot passes over without a word.
const NO_RESULT: &str = "NO_RESULT";

/// What a flight has not settled yet. Dropped, it gives all of it back, so that a flight that ends in whatever way leaves
/// nothing claimed.
struct Unsettled<'a> {
    lane: &'a AccountWorker,
    lease: Lease,
    parts: Bisection,
    /// HubSpot confirmed an event of this batch.
    taken: bool,
}

/// Whether a flight goes on.
enum Next {
    Part,
    End,
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        for part in self.parts.iter() {
            self.lane.ledger.release(&self.lease, &versions(&part.events));
        }
    }
}

/// Sends a batch until each of its events is settled, or the account is in trouble and the rest is given back.
///
/// # Cancel safety
/// Dropping it gives its events back; a call under way may still be acted on, and the same state is sent again.
pub async fn deliver(
    lane: Arc<AccountWorker>,
    lease: Lease,
    batch: Vec<ClaimedEvent>,
    slot: Permit,
    stop: CancellationToken,
) {
    let mut slot = Some(slot);
    let mut held = Unsettled { lane: &lane, lease, parts: Bisection::new(batch), taken: false };
    while let Some(part) = held.parts.next_part() {
        let slot = match slot.take() {
            Some(slot) => slot,
            None => match lane.api_calls.wait_for_slot(&stop).await {
                Some(slot) => slot,
                None => break,
            },
        };
        // Noted first, durably: should the process end now, nobody would know whether the call lands.
        match lane.ledger.begin_attempt(&held.lease, &versions(&part.events)).await {
            Ok(AttemptStart::Started) => {}
            Ok(AttemptStart::LeaseLost) => {
                lane.api_calls.cancel_slot(slot);
                lane.lose_lease(&held.lease);
                return;
            }
            Err(error) => {
                tracing::warn!(%error, hubspot.account = %lane.account, "a call could not be noted, so it is not made");
                lane.api_calls.cancel_slot(slot);
                tokio::time::sleep(RECORD_RETRY).await;
                return;
            }
        }
        // Between this look and the call nothing is waited for: no event goes where it does not belong, and of a batch
        // that is sent in halves none leaves once an operator has paused the account.
        if !lane.may_send() {
            lane.api_calls.cancel_slot(slot);
            break;
        }
        let (verdict, daily_remaining) = lane.api_calls.upsert(&part.events, slot).await;
        let next = match verdict {
            Verdict::Items(items) => held.read(items, daily_remaining).await,
            // Some event of it is refused and the answer does not say which: the halves tell, without waiting.
            Verdict::Split(cause) => {
                lane.recovered(false, daily_remaining).await;
                let part = held.parts.take_part();
                held.parts.split_refused(part, cause);
                Next::Part
            }
            Verdict::Account(trouble) => {
                held.troubled(&trouble, daily_remaining).await;
                Next::End
            }
        };
        match next {
            Next::Part => {}
            Next::End => break,
        }
    }
    held.give_back("HubSpot was not asked again yet").await;
}

impl Unsettled<'_> {
    /// HubSpot answered event by event.
    async fn read(&mut self, items: Vec<ItemVerdict>, daily_remaining: Option<u64>) -> Next {
        let lane = self.lane;
        let part = self.parts.take_part();
        // Kept until what it decides is recorded.
        let mut _judging = None;
        if let ([claimed], [ItemVerdict::Refused(refusal)]) = (&*part.events, &*items) {
            _judging = Some(lane.judging.lock().await);
            if let Blame::Account(blamed) = lane.blame(claimed, refusal) {
                refuses_all(lane, &self.lease, part.events, blamed, refusal).await;
                return Next::End;
            }
        }
        let sorted = Sorted::of(part.events.into_iter().zip(items));
        let accepted = !sorted.confirmed.is_empty();
        // An answer that neither confirms nor refuses any event is not that of an account that works.
        let works = accepted || !sorted.refused.is_empty();
        if works {
            lane.recovered(accepted, daily_remaining).await;
        }
        if accepted {
            self.taken = true;
            lane.accepted(sorted.confirmed.iter().map(|(claimed, _)| claimed.id));
        }
        if !accepted || sorted.count() > sorted.confirmed.len() {
            self.parts.drop_inference();
        }
        sorted.log();
        let at_it = sorted.under_way.first().map(|(_, detail)| detail.clone());
        let under_way: Vec<i64> = sorted.under_way.iter().map(|(claimed, _)| claimed.id).collect();
        let mut unclear = sorted.unclear;
        let settled = settlements(lane, sorted.confirmed, sorted.refused, sorted.under_way);
        record(lane, &self.lease, settled).await;
        match unclear.pop() {
            None => match at_it.filter(|_| !works && !self.taken) {
                Some(detail) => {
                    let next = self.says_nothing(&detail).await;
                    lane.failed_over(&under_way);
                    next
                }
                None => Next::Part,
            },
            Some((claimed, how, detail)) if unclear.is_empty() && sorted.alone => {
                self.alone(claimed, how, detail).await
            }
            Some(last) => {
                unclear.push(last);
                self.parts
                    .split_unconfirmed(unclear.into_iter().map(|(claimed, ..)| claimed).collect());
                Next::Part
            }
        }
    }

    /// An event was sent alone, and still HubSpot did not say what became of it. If it took others, that is about the
    /// event. If it did not, it may do nothing at all, so the rest of the batch is not tried as well.
    async fn alone(&mut self, claimed: ClaimedEvent, how: Unconfirmed, detail: String) -> Next {
        let lane = self.lane;
        let now = lane.clock.now();
        let not_before = now.plus(UNCONFIRMED_RETRY);
        let passed_over = lane.passed_over(&claimed) || self.taken;
        let attempts = claimed.attempts.saturating_add(1);
        let outcome = match how {
            Unconfirmed::NoResult if passed_over && attempts >= MAX_MISSING => {
                refused(lane, &claimed, no_result(attempts, &detail))
            }
            Unconfirmed::NoResult if passed_over => {
                DeliveryOutcome::RetryCounted { not_before, reason: detail.clone() }
            }
            Unconfirmed::NoResult | Unconfirmed::Unfinished => {
                DeliveryOutcome::RetryUncounted { not_before, reason: detail.clone() }
            }
        };
        let event = claimed.event_version();
        record(lane, &self.lease, vec![Settlement { event, outcome }]).await;
        if passed_over {
            return Next::Part;
        }
        self.says_nothing(&detail).await
    }

    /// HubSpot answers, and neither confirms nor refuses anything: it is left alone for a while.
    async fn says_nothing(&mut self, detail: &str) -> Next {
        let lane = self.lane;
        let failure = status::unconfirmed(detail, (lane.settings.random)());
        lane.update_status(StatusChange::Failed { failure, daily_remaining: None }).await;
        tracing::warn!(
            hubspot.account = %lane.account,
            detail,
            "HubSpot answers and confirms nothing; the events stay pending, and it is asked again later"
        );
        Next::End
    }

    /// The account is in trouble: none of it is any event's fault.
    async fn troubled(&mut self, trouble: &AccountError, daily_remaining: Option<u64>) {
        let lane = self.lane;
        let failure = status::failed_call(trouble, (lane.settings.random)());
        lane.update_status(StatusChange::Failed { failure, daily_remaining }).await;
        lane.log_account_error(trouble);
        if let Some(part) = self.parts.next_part().filter(|_| trouble.may_be_caused_by_event()) {
            let events: Vec<i64> = part.events.iter().map(|claimed| claimed.id).collect();
            lane.failed_over(&events);
        }
        if trouble.is_ambiguous() {
            let part = self.parts.take_part();
            record(lane, &self.lease, alike(part.events, &DeliveryOutcome::Ambiguous)).await;
        }
    }

    /// What is left is pending again. Whatever an answer left open about it counts as perhaps taken, and as perhaps
    /// still to be: it is sent once more later, which costs a call for a hundred.
    async fn give_back(&mut self, reason: &str) {
        let lane = self.lane;
        let later = DeliveryOutcome::RetryUncounted {
            not_before: lane.clock.now(),
            reason: reason.to_owned(),
        };
        let settle = |BatchPart { events, outcome_unknown: open, .. }| {
            alike(events, if open { &later } else { &DeliveryOutcome::NotApplied })
        };
        let settled = self.parts.take_rest().into_iter().flat_map(settle).collect();
        record(lane, &self.lease, settled).await;
    }
}

/// A batch's events by what HubSpot says of them.
#[derive(Default)]
struct Sorted {
    confirmed: Vec<(ClaimedEvent, Option<String>)>,
    refused: Vec<(ClaimedEvent, EventRefusal)>,
    unclear: Vec<(ClaimedEvent, Unconfirmed, String)>,
    under_way: Vec<(ClaimedEvent, String)>,
    /// There was one event only.
    alone: bool,
}

impl Sorted {
    fn of(items: impl ExactSizeIterator<Item = (ClaimedEvent, ItemVerdict)>) -> Self {
        let mut sorted = Self { alone: items.len() == 1, ..Self::default() };
        for (claimed, item) in items {
            match item {
                ItemVerdict::Confirmed { object_id } => sorted.confirmed.push((claimed, object_id)),
                ItemVerdict::Refused(refusal) => sorted.refused.push((claimed, refusal)),
                ItemVerdict::Unconfirmed { reason: how, detail } => {
                    sorted.unclear.push((claimed, how, detail));
                }
                ItemVerdict::InProgress { detail } => sorted.under_way.push((claimed, detail)),
            }
        }
        sorted
    }

    fn count(&self) -> usize {
        self.confirmed.len() + self.refused.len() + self.unclear.len() + self.under_way.len()
    }

    fn log(&self) {
        tracing::info!(
            events.confirmed = self.confirmed.len(),
            events.refused = self.refused.len(),
            events.unclear = self.unclear.len() + self.under_way.len(),
            "HubSpot answered a batch"
        );
    }
}

fn settlements(
    lane: &AccountWorker,
    confirmed: Vec<(ClaimedEvent, Option<String>)>,
    refusals: Vec<(ClaimedEvent, EventRefusal)>,
    under_way: Vec<(ClaimedEvent, String)>,
) -> Vec<Settlement> {
    let now = lane.clock.now();
    let confirmed = confirmed.into_iter().map(|(claimed, object_id)| {
        lane.metrics.event_delivered(&lane.account, now.since(claimed.pending_since));
        let event = claimed.event_version();
        Settlement { event, outcome: DeliveryOutcome::Confirmed { object_id } }
    });
    let refusals = refusals.into_iter().map(|(claimed, refusal)| {
        let outcome = refused(lane, &claimed, refusal);
        Settlement { event: claimed.event_version(), outcome }
    });
    // Not halved: the parts would be told the same, and what is under way may land at any time.
    let under_way = under_way.into_iter().map(|(claimed, reason)| Settlement {
        event: claimed.event_version(),
        outcome: DeliveryOutcome::RetryUncounted {
            not_before: now.plus(UNCONFIRMED_RETRY),
            reason,
        },
    });
    confirmed.chain(refusals).chain(under_way).collect()
}

/// HubSpot has no words for it, so these are ours.
fn no_result(attempts: u32, detail: &str) -> EventRefusal {
    EventRefusal {
        status: 200,
        category: NO_RESULT.to_owned(),
        message: format!(
            "HubSpot answered {attempts} times without a result and without an error for this event, while it took \
             others ({detail})"
        ),
        correlation_id: None,
    }
}

fn refused(lane: &AccountWorker, claimed: &ClaimedEvent, refusal: EventRefusal) -> DeliveryOutcome {
    tracing::warn!(
        hubspot.account = %lane.account,
        event.external_id = %claimed.key.external_event_id,
        hubspot.status = refusal.status,
        hubspot.category = refusal.category,
        hubspot.correlation_id = refusal.correlation_id,
        hubspot.message = refusal.message,
        "HubSpot refused an event; it is a dead letter until it changes"
    );
    lane.metrics.event_dead(&lane.account, &refusal.category);
    let EventRefusal { status, category, message, correlation_id } = refusal;
    DeliveryOutcome::Refused(HubspotRefusal { status, category, message, correlation_id })
}

/// The account refuses every event for the same reason, so none of them is bad: they are given back.
async fn refuses_all(
    lane: &AccountWorker,
    lease: &Lease,
    part: Vec<ClaimedEvent>,
    blamed: Vec<ClaimedEvent>,
    refusal: &EventRefusal,
) {
    let now = lane.clock.now();
    tracing::warn!(
        hubspot.account = %lane.account,
        hubspot.category = refusal.category,
        hubspot.correlation_id = refusal.correlation_id,
        hubspot.message = refusal.message,
        "the HubSpot account refuses everything for this reason; no event is blamed, they stay pending"
    );
    let failure = status::refuses_everything(&refusal.message);
    lane.update_status(StatusChange::Failed { failure, daily_remaining: None }).await;
    // Should it be bad all the same, another is to ask next.
    let later = DeliveryOutcome::RetryUncounted {
        not_before: now.plus(REFUSED_PROBE_RETRY),
        reason: refusal.message.clone(),
    };
    let mut settled = alike(part, &later);
    settled.extend(alike(blamed, &DeliveryOutcome::RefusalRevoked));
    record(lane, lease, settled).await;
}

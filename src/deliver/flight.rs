//! One batch on its way to HubSpot and back into the ledger.

use std::sync::Arc;
use std::time::Duration;

use super::lane::Lane;
use super::standing::{self, Heard};
use super::streak::Blame;
use crate::hubspot::{AccountTrouble, ItemVerdict, Refusal, Slot, Verdict};
use crate::ledger::{Claimed, Outcome, RefusedBy, Settlement, Standing};

/// When an event that HubSpot neither confirmed nor refused is sent again.
const UNCLEAR: Duration = Duration::from_secs(30);
/// When an event that was refused while everything was is sent again.
const ASKED: Duration = Duration::from_mins(10);
/// Between attempts to record outcomes in a ledger that is unavailable.
const RECORD_AGAIN: Duration = Duration::from_millis(500);

/// What a flight has not settled yet, in parts, the next one last. Dropped, it gives all of it back, so that a flight
/// that ends in whatever way leaves nothing claimed.
struct Held<'a> {
    lane: &'a Lane,
    parts: Vec<Vec<Claimed>>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for part in &self.parts {
            self.lane.ledger.release(&self.lane.account, part);
        }
    }
}

/// Sends a batch until each of its events is settled, or the account is in trouble and the rest is given back.
///
/// # Cancel safety
/// Dropping it gives its events back; a call under way may still be acted on, and the same state is sent again.
pub async fn fly(lane: Arc<Lane>, batch: Vec<Claimed>, slot: Slot) {
    let mut slot = Some(slot);
    let mut held = Held { lane: &lane, parts: vec![batch] };
    while let Some(part) = held.parts.last() {
        let slot = match slot.take() {
            Some(slot) => slot,
            None => lane.slot().await,
        };
        // Noted first, durably: should the process end now, nobody would know whether the call lands.
        if let Err(error) = lane.ledger.depart(&lane.account, part).await {
            tracing::warn!(%error, hubspot.account = %lane.account, "a call could not be noted, so it is not made");
            lane.cancel(slot);
            tokio::time::sleep(RECORD_AGAIN).await;
            return;
        }
        let (verdict, daily_remaining) = lane.send(part, slot).await;
        match verdict {
            Verdict::Items(items) => {
                let part = held.parts.pop().unwrap_or_default();
                if let ([claimed], [ItemVerdict::Refused(refusal)]) = (&*part, &*items)
                    && let Blame::Account(blamed) = lane.blame(claimed, refusal)
                {
                    refuses_all(&lane, part, blamed, refusal).await;
                    return;
                }
                let taken = items.iter().any(|item| matches!(item, ItemVerdict::Confirmed { .. }));
                if taken {
                    lane.accepted();
                }
                let heard = if taken { Heard::Accepted } else { Heard::Refused };
                lane.recovered(heard, daily_remaining).await;
                let unclear = settle(&lane, part, items).await;
                push_halves(&mut held.parts, unclear);
            }
            // Some event of it is refused and the answer does not say which: the halves tell, without waiting.
            Verdict::Split => {
                lane.recovered(Heard::Refused, daily_remaining).await;
                let part = held.parts.pop().unwrap_or_default();
                push_halves(&mut held.parts, part);
            }
            Verdict::Account(trouble) => {
                let part = held.parts.pop().unwrap_or_default();
                note(&lane, &trouble, part).await;
                return;
            }
        }
    }
}

/// Two halves in their order, the first on top.
fn push_halves(parts: &mut Vec<Vec<Claimed>>, mut events: Vec<Claimed>) {
    let second = events.split_off(events.len().div_ceil(2));
    parts.extend([second, events].into_iter().filter(|part| !part.is_empty()));
}

/// Records what is clear; gives back what must be sent in smaller parts to become clear.
async fn settle(lane: &Lane, part: Vec<Claimed>, items: Vec<ItemVerdict>) -> Vec<Claimed> {
    let single = part.len() == 1;
    let now = lane.clock.now();
    let mut unclear = Vec::new();
    let mut settled = Vec::new();
    for (claimed, item) in part.into_iter().zip(items) {
        let outcome = match item {
            ItemVerdict::Confirmed { object_id } => {
                lane.metrics.delivered(&lane.account, now.since(claimed.pending_since));
                Outcome::Confirmed { object_id }
            }
            ItemVerdict::Refused(refusal) => refused(lane, &claimed, refusal),
            ItemVerdict::Unclear { detail } if single => {
                Outcome::Again { not_before: now.plus(UNCLEAR), reason: detail }
            }
            ItemVerdict::UnderWay { detail } => {
                Outcome::UnderWay { not_before: now.plus(UNCLEAR), reason: detail }
            }
            ItemVerdict::Unclear { .. } => {
                unclear.push(claimed);
                continue;
            }
        };
        settled.push(Settlement { claimed, outcome });
    }
    let count = |confirmed: bool| {
        settled
            .iter()
            .filter(|s| matches!(s.outcome, Outcome::Confirmed { .. }) == confirmed)
            .count()
    };
    tracing::info!(
        events.confirmed = count(true),
        events.not_confirmed = count(false),
        events.unclear = unclear.len(),
        "HubSpot answered a batch"
    );
    record(lane, settled).await;
    unclear
}

/// What changed and changed back before it was sent needs no call.
pub async fn settle_unchanged(lane: &Lane, unchanged: Vec<Claimed>) {
    let settled = unchanged.into_iter();
    let settled = settled.map(|claimed| Settlement { claimed, outcome: Outcome::Unchanged });
    record(lane, settled.collect()).await;
}

fn refused(lane: &Lane, claimed: &Claimed, refusal: Refusal) -> Outcome {
    tracing::warn!(
        hubspot.account = %lane.account,
        event.external_id = %claimed.key.external_event_id,
        hubspot.status = refusal.status,
        hubspot.category = refusal.category,
        hubspot.correlation_id = refusal.correlation_id,
        hubspot.message = refusal.message,
        "HubSpot refused an event; it is a dead letter until it changes"
    );
    lane.metrics.dead(&lane.account, &refusal.category);
    let Refusal { status, category, message, correlation_id } = refusal;
    Outcome::Refused(RefusedBy { status, category, message, correlation_id })
}

/// The account refuses every event for the same reason, so none of them is bad: they are given back.
async fn refuses_all(lane: &Lane, part: Vec<Claimed>, blamed: Vec<Claimed>, refusal: &Refusal) {
    let now = lane.clock.now();
    tracing::warn!(
        hubspot.account = %lane.account,
        hubspot.category = refusal.category,
        hubspot.correlation_id = refusal.correlation_id,
        hubspot.message = refusal.message,
        "the HubSpot account refuses everything for this reason; no event is blamed, they stay pending"
    );
    let reason = refusal.message.clone();
    lane.amend_standing(Box::new(move |before| standing::refusing(before, &reason, now))).await;
    // Should it be bad all the same, another is to ask next.
    let again = Outcome::Again { not_before: now.plus(ASKED), reason: refusal.message.clone() };
    let asked = part.into_iter().map(|claimed| Settlement { claimed, outcome: again.clone() });
    let outcome = Outcome::GivenBack;
    let given = blamed.into_iter().map(|claimed| Settlement { claimed, outcome: outcome.clone() });
    record(lane, asked.chain(given).collect()).await;
}

/// What HubSpot said is not forgotten because the ledger is busy: it is recorded when the ledger can.
async fn record(lane: &Lane, settled: Vec<Settlement>) {
    if settled.is_empty() {
        return;
    }
    while let Err(error) = lane.ledger.settle(&lane.account, settled.clone()).await {
        tracing::warn!(%error, hubspot.account = %lane.account, "outcomes could not be recorded yet");
        tokio::time::sleep(RECORD_AGAIN).await;
    }
}

/// The account is in trouble: none of it is any event's fault.
async fn note(lane: &Lane, trouble: &AccountTrouble, part: Vec<Claimed>) {
    let (now, random) = (lane.clock.now(), (lane.settings.random)());
    let told = trouble.clone();
    let amend = move |before: &Standing| standing::troubled(before, &told, now, random);
    lane.amend_standing(Box::new(amend)).await;
    let retry_at = lane.ledger.standing(&lane.account).retry_at;
    tracing::warn!(
        hubspot.account = %lane.account,
        hubspot.trouble = trouble.kind.as_str(),
        hubspot.correlation_id = trouble.correlation_id,
        detail = trouble.detail,
        retry_at = retry_at.map(tracing::field::display),
        "the HubSpot account cannot take events now; they stay pending"
    );
    let outcome = if trouble.is_ambiguous() { Outcome::Ambiguous } else { Outcome::NotTaken };
    let settled = part.into_iter().map(|claimed| Settlement { claimed, outcome: outcome.clone() });
    record(lane, settled.collect()).await;
}

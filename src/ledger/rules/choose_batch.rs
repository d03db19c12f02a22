//! Which pending events leave in one batch.

use std::collections::BTreeSet;

use crate::event::{ExternalEventId, Millis};
use crate::ledger::ClaimRequest;

/// Most bytes of one batch's inputs, unless a single one has more.
///
/// Bounds the length of a call, and the memory of all calls under way, each of which holds its inputs, its body and its
/// answer. 100 usual events are a third of it.
pub const MAX_BATCH_BYTES: u64 = 1024 * 1024;

/// A pending event that nobody holds and that waits for nothing, without its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchCandidate {
    /// The ledger's number of the event.
    pub id: i64,
    /// The event's id in HubSpot.
    pub external_event_id: ExternalEventId,
    /// Since when the event has been pending.
    pub pending_since: Millis,
    /// The length of its input.
    pub input_bytes: u64,
}

/// The decision on a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchChoice {
    /// These events leave, in this order.
    Send(Vec<i64>),
    /// Nothing leaves before that time, or before there are more candidates.
    Wait(Option<Millis>),
}

/// Chooses the events of a batch from the candidates, oldest first, if one may leave now.
#[must_use]
pub fn choose_batch(
    candidates: Vec<BatchCandidate>,
    request: &ClaimRequest,
    now: Millis,
) -> BatchChoice {
    let mut batch = request.select(candidates, |candidate| candidate.id);
    let selected = batch.len();
    // HubSpot's answer names an event by its external id only: two equal ids in one batch would be ambiguous.
    let mut names = BTreeSet::new();
    batch.retain(|candidate| names.insert(candidate.external_event_id.clone()));
    let mut bytes = 0_u64;
    batch.retain(|candidate| {
        bytes = bytes.saturating_add(candidate.input_bytes);
        bytes <= MAX_BATCH_BYTES || bytes == candidate.input_bytes
    });
    let Some(oldest) = batch.first() else { return BatchChoice::Wait(None) };
    let is_full = selected >= request.limit || batch.len() < selected;
    // After the clock was set back, an event that came before that does not wait until the clock is there again.
    let came_later = oldest.pending_since > now;
    let leaves_at = oldest.pending_since.min(now).plus(request.linger);
    if is_full || came_later || leaves_at <= now {
        BatchChoice::Send(batch.into_iter().map(|candidate| candidate.id).collect())
    } else {
        BatchChoice::Wait(Some(leaves_at))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn candidate(id: i64) -> BatchCandidate {
        BatchCandidate {
            id,
            external_event_id: ExternalEventId::from_stored(id.to_string()),
            pending_since: Millis::new(id),
            input_bytes: 100,
        }
    }

    fn candidates(ids: impl IntoIterator<Item = i64>) -> Vec<BatchCandidate> {
        ids.into_iter().map(candidate).collect()
    }

    fn request(limit: usize) -> ClaimRequest {
        ClaimRequest {
            limit,
            linger: Duration::ZERO,
            first: Vec::new(),
            last: Vec::new(),
            probe: None,
        }
    }

    const NOW: Millis = Millis::new(1_000);

    #[test]
    fn batch_takes_the_oldest_up_to_its_limit() {
        assert_eq!(choose_batch(candidates(1..4), &request(2), NOW), BatchChoice::Send(vec![1, 2]));
        assert_eq!(choose_batch(Vec::new(), &request(2), NOW), BatchChoice::Wait(None));
    }

    #[test]
    fn batch_that_is_not_full_waits_for_its_linger() {
        let lingering = ClaimRequest { linger: Duration::from_secs(1), ..request(3) };
        let wait = BatchChoice::Wait(Some(Millis::new(1_001)));
        assert_eq!(choose_batch(candidates([1, 2]), &lingering, NOW), wait);
        let later = Millis::new(1_001);
        let sent = BatchChoice::Send(vec![1, 2]);
        assert_eq!(choose_batch(candidates([1, 2]), &lingering, later), sent);
        let full = BatchChoice::Send(vec![1, 2, 3]);
        assert_eq!(choose_batch(candidates(1..9), &lingering, NOW), full);
    }

    #[test]
    fn event_pending_since_a_later_time_leaves_at_once() {
        let lingering = ClaimRequest { linger: Duration::from_secs(1), ..request(3) };
        let ahead = candidates([5_000]);
        assert_eq!(choose_batch(ahead, &lingering, NOW), BatchChoice::Send(vec![5_000]));
    }

    #[test]
    fn equal_external_ids_leave_in_different_batches() {
        let mut alike = candidates(1..4);
        alike[1].external_event_id = alike[0].external_event_id.clone();
        assert_eq!(choose_batch(alike, &request(9), NOW), BatchChoice::Send(vec![1, 3]));
    }

    #[test]
    fn inputs_are_bounded_unless_there_is_only_one() {
        let mut long = candidates(1..4);
        long[0].input_bytes = MAX_BATCH_BYTES + 1;
        assert_eq!(choose_batch(long.clone(), &request(9), NOW), BatchChoice::Send(vec![1]));
        long[0].input_bytes = MAX_BATCH_BYTES - 100;
        assert_eq!(choose_batch(long, &request(9), NOW), BatchChoice::Send(vec![1, 2]));
    }

    #[test]
    fn single_events_go_alone_before_or_after_the_others() {
        let singles = ClaimRequest { first: vec![4], last: vec![2, 1], ..request(9) };
        let choose = |ids: &[i64]| choose_batch(candidates(ids.to_vec()), &singles, NOW);
        assert_eq!(choose(&[1, 2, 3, 4]), BatchChoice::Send(vec![4]));
        assert_eq!(choose(&[1, 2, 3]), BatchChoice::Send(vec![3]));
        assert_eq!(choose(&[1, 2]), BatchChoice::Send(vec![2]));
    }
}

//! Distinguishes an account that processes nothing from single events that its answers leave out.

use std::collections::BTreeMap;

/// The number of answers without a result, each while others were accepted, after which an event counts as bad.
///
/// A guess: HubSpot does not document that a 2xx may leave an event out. At half a minute each, HubSpot has had at
/// least two minutes.
pub const MAX_MISSING: u32 = 5;

/// The most events that are remembered. An event that is forgotten counts from the start again.
const CAPACITY: usize = 1_000;

/// Events that came back alone without a result, and whether others were accepted since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingResults {
    /// The number of answers that confirmed an event.
    accepted_calls: u64,
    /// The number of those answers when an event last came back without a result.
    last_missing: BTreeMap<i64, u64>,
}

impl MissingResults {
    /// HubSpot confirmed these.
    pub fn record_accepted(&mut self, events: &[i64]) {
        self.accepted_calls += 1;
        for event in events {
            self.last_missing.remove(event);
        }
    }

    /// Whether the event came back alone without a result, and was not accepted since.
    #[must_use]
    pub fn is_missing(&self, event: i64) -> bool {
        self.last_missing.contains_key(&event)
    }

    /// Records that an event came back alone without a result. Returns whether others were accepted since it last did.
    /// Earlier acceptances do not count: the account may do nothing now.
    pub fn record_missing(&mut self, event: i64) -> bool {
        if self.last_missing.len() >= CAPACITY {
            self.last_missing.clear();
        }
        self.last_missing
            .insert(event, self.accepted_calls)
            .is_some_and(|before| before < self.accepted_calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_missing_if_others_were_accepted_since() {
        let mut missing = MissingResults::default();
        missing.record_accepted(&[7]);
        assert!(!missing.record_missing(1));
        assert!(!missing.record_missing(1), "no other was accepted");
        missing.record_accepted(&[2]);
        assert!(missing.record_missing(1));
        assert!(!missing.record_missing(1), "none since");
        assert!(!missing.record_missing(3));
    }

    #[test]
    fn accepted_event_counts_from_the_start_again() {
        let mut missing = MissingResults::default();
        assert!(!missing.record_missing(1));
        missing.record_accepted(&[1]);
        assert!(!missing.record_missing(1));
    }

    #[test]
    fn remembered_events_are_bounded() {
        let mut missing = MissingResults::default();
        (0..10_000).for_each(|event| assert!(!missing.record_missing(event)));
        assert!(missing.last_missing.len() <= CAPACITY);
    }
}

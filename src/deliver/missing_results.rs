//! Telling an account that does nothing with what it is sent from events that it passes over.

use std::collections::BTreeMap;

/// So many times passed over, each time while others were taken, and an event is taken for bad.
///
/// A guess: HubSpot does not document that a 2xx may leave an event out. At half a minute each, it has had two minutes
/// at least.
pub const MAX_MISSING: u32 = 5;

/// More are not remembered; those that are forgotten count from anew.
const CAPACITY: usize = 1_000;

/// What was taken, and what was not, of late. In memory only: after a start it counts from anew.
#[derive(Debug, Default)]
pub struct MissingResults {
    /// How often anything was taken.
    accepted_calls: u64,
    /// How often anything had been taken when this event last came back without a result.
    last_missing: BTreeMap<i64, u64>,
}

impl MissingResults {
    /// HubSpot confirmed these.
    pub fn record_accepted(&mut self, events: impl Iterator<Item = i64>) {
        self.accepted_calls += 1;
        for event in events {
            self.last_missing.remove(&event);
        }
    }

    /// This event came back alone, without a result: whether others were taken since it last did. That others were taken
    /// some time says nothing: the account may do nothing now.
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
    fn an_event_is_passed_over_if_others_were_taken_since() {
        let mut silence = MissingResults::default();
        silence.record_accepted([7].into_iter());
        assert!(!silence.record_missing(1));
        assert!(!silence.record_missing(1), "silence alone says nothing");
        silence.record_accepted([2].into_iter());
        assert!(silence.record_missing(1));
        assert!(!silence.record_missing(1), "none since");
        assert!(!silence.record_missing(3));
    }

    #[test]
    fn an_event_that_was_taken_counts_from_anew() {
        let mut silence = MissingResults::default();
        assert!(!silence.record_missing(1));
        silence.record_accepted([1].into_iter());
        assert!(!silence.record_missing(1));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut silence = MissingResults::default();
        (0..10_000).for_each(|event| assert!(!silence.record_missing(event)));
        assert!(silence.last_missing.len() <= CAPACITY);
    }
}

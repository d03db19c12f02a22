//! Telling an account that does nothing with what it is sent from events that it passes over.

use std::collections::BTreeMap;

/// So many times passed over, each time while others were taken, and an event is taken for bad.
///
/// A guess: HubSpot does not document that a 2xx may leave an event out. At half a minute each, it has had two minutes
/// at least.
pub const PASSED_OVER: u32 = 5;

/// More are not remembered; those that are forgotten count from anew.
const MOST: usize = 1_000;

/// What was taken, and what was not, of late. In memory only: after a start it counts from anew.
#[derive(Debug, Default)]
pub struct Silence {
    /// How often anything was taken.
    taken: u64,
    /// How often anything had been taken when this event last came back without a result.
    last: BTreeMap<i64, u64>,
}

impl Silence {
    /// HubSpot confirmed these.
    pub fn took(&mut self, events: impl Iterator<Item = i64>) {
        self.taken += 1;
        for event in events {
            self.last.remove(&event);
        }
    }

    /// This event came back alone, without a result: whether others were taken since it last did. That others were taken
    /// some time says nothing: the account may do nothing now.
    pub fn passed_over(&mut self, event: i64) -> bool {
        if self.last.len() >= MOST {
            self.last.clear();
        }
        self.last.insert(event, self.taken).is_some_and(|before| before < self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_passed_over_if_others_were_taken_since() {
        let mut silence = Silence::default();
        silence.took([7].into_iter());
        assert!(!silence.passed_over(1));
        assert!(!silence.passed_over(1), "silence alone says nothing");
        silence.took([2].into_iter());
        assert!(silence.passed_over(1));
        assert!(!silence.passed_over(1), "none since");
        assert!(!silence.passed_over(3));
    }

    #[test]
    fn an_event_that_was_taken_counts_from_anew() {
        let mut silence = Silence::default();
        assert!(!silence.passed_over(1));
        silence.took([1].into_iter());
        assert!(!silence.passed_over(1));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut silence = Silence::default();
        (0..10_000).for_each(|event| assert!(!silence.passed_over(event)));
        assert!(silence.last.len() <= MOST);
    }
}

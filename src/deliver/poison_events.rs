//! Telling an account that fails from an event that makes it fail.
//!
//! A failure (5xx, no answer) is the account's, and no event is charged for it. But HubSpot may fail over one event
//! whenever that is sent, and the oldest go first: all others would wait for it for ever. So while calls go on failing
//! they are made smaller, down to one event. One that fails alone is a suspect: it stays pending, others go before it,
//! and it goes alone, since whatever goes with it would fail with it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::ClaimedEvent;

/// So many failures in a row are more than a moment's trouble: some seconds, as the account is left alone between.
const MIN_FAILURES: u32 = 3;
/// A suspect is not sent again before then, unless there is nothing else to send; twice as long each further time.
const SUSPECT_RETRY: Duration = Duration::from_secs(30);
/// So often it is twice as long: up to 16 minutes.
const MAX_DOUBLINGS: u32 = 5;
/// More are not remembered; then all are found anew, and what is younger than so many that fail waits for ever. A
/// failure alone takes seconds, so it takes a day to get there.
const CAPACITY: usize = 10_000;

/// How many events go in a call, and which are not to go with others. In memory only: after a start it is found anew.
#[derive(Debug)]
pub struct PoisonEvents {
    max_batch: usize,
    batch_size: usize,
    suspects: BTreeMap<i64, SuspectEvent>,
    /// The last call was a suspect's.
    last_was_suspect: bool,
}

/// An event that failed alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SuspectEvent {
    /// When it is sent again.
    due: Instant,
    /// How often it failed alone.
    failures: u32,
}

impl PoisonEvents {
    /// Nobody is suspected, and a call may have `most` events; none is taken for one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            max_batch: most,
            batch_size: most,
            suspects: BTreeMap::new(),
            last_was_suspect: false,
        }
    }

    /// The most events of the next call.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The suspects that go before all other events, and those that go only when no other can; each list begins with the next
    /// one. A suspect goes first once its time has come, if the account is well and the last call was another's. So others
    /// get every second call, however many suspects an outage left.
    #[must_use]
    pub fn alone(&self, is_well: bool, now: Instant) -> (Vec<i64>, Vec<i64>) {
        let mut suspects: Vec<_> =
            self.suspects.iter().map(|(id, suspect)| (*suspect, *id)).collect();
        suspects.sort_unstable();
        let due = suspects.partition_point(|(suspect, _)| suspect.due <= now);
        let mut first: Vec<i64> = suspects.into_iter().map(|(_, id)| id).collect();
        let last = first.split_off(if is_well && !self.last_was_suspect { due } else { 0 });
        (first, last)
    }

    /// These are sent now.
    pub fn record_sent(&mut self, events: &[ClaimedEvent]) {
        self.last_was_suspect =
            events.iter().any(|claimed| self.suspects.contains_key(&claimed.id));
    }

    /// A call with these failed, in a way that may be an event's doing; it was the last of so many failures in a row.
    pub fn record_failure(&mut self, events: &[i64], failures: u32, now: Instant) {
        let is_small = self.batch_size < self.max_batch;
        match events {
            [only]
                if is_small
                    || (self.max_batch == 1 && failures >= MIN_FAILURES)
                    || self.suspects.contains_key(only) =>
            {
                let times = self.suspects.get(only).map_or(0, |suspect| suspect.failures);
                let due = now + SUSPECT_RETRY * 2_u32.pow(times.min(MAX_DOUBLINGS));
                self.suspects
                    .insert(*only, SuspectEvent { due, failures: times.saturating_add(1) });
                if self.suspects.len() > CAPACITY {
                    self.suspects.clear();
                }
            }
            _ => {}
        }
        if is_small || failures >= MIN_FAILURES {
            self.batch_size = (self.batch_size.min(events.len()) / 2).max(1);
        }
    }

    /// These were taken.
    pub fn record_accepted(&mut self, events: impl Iterator<Item = i64>) {
        for event in events {
            self.suspects.remove(&event);
        }
        self.batch_size = self.batch_size.saturating_mul(2).min(self.max_batch);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::claimed;
    use super::*;
    use crate::ledger::ClaimRequest;

    fn events(ids: impl IntoIterator<Item = i64>) -> Vec<ClaimedEvent> {
        ids.into_iter().map(claimed).collect()
    }

    fn ids(events: &[ClaimedEvent]) -> Vec<i64> {
        events.iter().map(|claimed| claimed.id).collect()
    }

    /// What is sent of those from 1 to 5.
    fn sent(suspicion: &mut PoisonEvents, is_well: bool, now: Instant) -> Vec<i64> {
        of(suspicion, 1..6, is_well, now)
    }

    /// What is sent of these.
    fn of(
        suspicion: &mut PoisonEvents,
        free: impl IntoIterator<Item = i64>,
        is_well: bool,
        now: Instant,
    ) -> Vec<i64> {
        let (first, last) = suspicion.alone(is_well, now);
        let request =
            ClaimRequest { limit: suspicion.batch_size(), linger: Duration::ZERO, first, last };
        let sent = request.select(events(free), |claimed| claimed.id);
        suspicion.record_sent(&sent);
        ids(&sent)
    }

    #[test]
    fn calls_become_smaller_while_they_fail_and_larger_when_they_are_taken() {
        let (mut suspicion, now) = (PoisonEvents::new(100), Instant::now());
        let mut sizes = Vec::new();
        for failures in 1..=9 {
            let size = i64::try_from(suspicion.batch_size()).expect("a few");
            suspicion.record_failure(&(0..size).collect::<Vec<_>>(), failures, now);
            sizes.push(suspicion.batch_size());
        }
        assert_eq!(sizes, [100, 100, 50, 25, 12, 6, 3, 1, 1]);
        assert_eq!(suspicion.suspects.len(), 1, "what failed alone");
        let mut sizes = Vec::new();
        for _ in 0..8 {
            suspicion.record_accepted([1].into_iter());
            sizes.push(suspicion.batch_size());
        }
        assert_eq!(sizes, [2, 4, 8, 16, 32, 64, 100, 100]);
    }

    #[test]
    fn a_moments_trouble_is_no_events() {
        let (mut suspicion, now) = (PoisonEvents::new(100), Instant::now());
        (1..MIN_FAILURES).for_each(|failures| suspicion.record_failure(&[0], failures, now));
        assert_eq!((suspicion.batch_size(), suspicion.suspects.len()), (100, 0));
    }

    #[test]
    fn others_go_before_a_suspect_and_none_with_it() {
        let (mut suspicion, now) = (PoisonEvents::new(4), Instant::now());
        suspicion.batch_size = 2;
        suspicion.record_failure(&[1], 9, now);
        suspicion.record_failure(&[3], 10, now + Duration::from_secs(1));
        suspicion.batch_size = 4;
        assert_eq!(sent(&mut suspicion, true, now), [2, 4, 5]);
        let due = now + SUSPECT_RETRY;
        assert_eq!(sent(&mut suspicion, false, due), [2, 4, 5], "not while the account fails");
        assert_eq!(sent(&mut suspicion, true, due), [1]);
        assert_eq!(sent(&mut suspicion, true, due), [2, 4, 5], "others get every second call");
        let only = of(&mut suspicion, [1, 3], false, now);
        assert_eq!(only, [1], "there is nothing else, and it is alone all the same");
        let only = of(&mut suspicion, [3], false, now);
        assert_eq!(only, [3], "the first of those that could go");
        suspicion.record_failure(&[1], 1, due);
        suspicion.batch_size = 4;
        assert_eq!(sent(&mut suspicion, true, due), [2, 4, 5]);
        assert_eq!(sent(&mut suspicion, true, due + SUSPECT_RETRY), [3], "the other's turn");
        suspicion.record_accepted([3].into_iter());
        assert_eq!(sent(&mut suspicion, true, due + SUSPECT_RETRY), [2, 3, 4, 5]);
        assert_eq!(sent(&mut suspicion, true, due + 2 * SUSPECT_RETRY), [1], "later each time");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut suspicion, now) = (PoisonEvents::new(1), Instant::now());
        (0..30_000).for_each(|id| suspicion.record_failure(&[id], 3, now));
        assert!(suspicion.suspects.len() <= CAPACITY);
    }
}

//! Telling an account that fails from an event that makes it fail.
//!
//! A failure (5xx, no answer) is the account's, and no event is charged for it. But HubSpot may fail over one event
//! whenever that is sent, and the oldest go first: all others would wait for it for ever. So while calls go on failing
//! they are made smaller, down to one event. One that fails alone is a suspect: it stays pending, others go before it,
//! and it goes alone, since whatever goes with it would fail with it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::Claimed;

/// So many failures in a row are more than a moment's trouble: some seconds, as the account is left alone between.
const PATIENCE: u32 = 3;
/// A suspect is not sent again before then, unless there is nothing else to send; twice as long each further time.
const AGAIN: Duration = Duration::from_secs(30);
/// So often it is twice as long: up to 16 minutes.
const DOUBLED: u32 = 5;
/// More are not remembered; then all are found anew, and what is younger than so many that fail waits for ever. A
/// failure alone takes seconds, so it takes a day to get there.
const MOST: usize = 10_000;

/// How many events go in a call, and which are not to go with others. In memory only: after a start it is found anew.
#[derive(Debug)]
pub struct Suspicion {
    most: usize,
    now: usize,
    suspects: BTreeMap<i64, Suspect>,
    /// The last call was a suspect's.
    was_suspect: bool,
}

/// An event that failed alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Suspect {
    /// When it is sent again.
    due: Instant,
    /// How often it failed alone.
    times: u32,
}

impl Suspicion {
    /// Nobody is suspected, and a call may have `most` events; none is taken for one.
    #[must_use]
    pub fn up_to(most: usize) -> Self {
        let most = most.max(1);
        Self { most, now: most, suspects: BTreeMap::new(), was_suspect: false }
    }

    /// The most events of the next call.
    #[must_use]
    pub fn size(&self) -> usize {
        self.now
    }

    /// The suspects, the next to be sent first, and how many of them are due: when their time has come, the account is
    /// well, and the last call was another's. So others get every second call, however many suspects an outage left.
    #[must_use]
    pub fn alone(&self, is_well: bool, now: Instant) -> (Vec<i64>, usize) {
        let mut suspects: Vec<_> =
            self.suspects.iter().map(|(id, suspect)| (*suspect, *id)).collect();
        suspects.sort_unstable();
        let due = suspects.partition_point(|(suspect, _)| suspect.due <= now);
        let ids = suspects.into_iter().map(|(_, id)| id).collect();
        (ids, if is_well && !self.was_suspect { due } else { 0 })
    }

    /// These are sent now.
    pub fn sends(&mut self, events: &[Claimed]) {
        self.was_suspect = events.iter().any(|claimed| self.suspects.contains_key(&claimed.id));
    }

    /// A call with these failed, in a way that may be an event's doing; it was the last of so many failures in a row.
    pub fn failed(&mut self, events: &[i64], failures: u32, now: Instant) {
        let is_small = self.now < self.most;
        match events {
            [only]
                if is_small
                    || (self.most == 1 && failures >= PATIENCE)
                    || self.suspects.contains_key(only) =>
            {
                let times = self.suspects.get(only).map_or(0, |suspect| suspect.times);
                let due = now + AGAIN * 2_u32.pow(times.min(DOUBLED));
                self.suspects.insert(*only, Suspect { due, times: times.saturating_add(1) });
                if self.suspects.len() > MOST {
                    self.suspects.clear();
                }
            }
            _ => {}
        }
        if is_small || failures >= PATIENCE {
            self.now = (self.now.min(events.len()) / 2).max(1);
        }
    }

    /// These were taken.
    pub fn took(&mut self, events: impl Iterator<Item = i64>) {
        for event in events {
            self.suspects.remove(&event);
        }
        self.now = self.now.saturating_mul(2).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::claimed;
    use super::*;
    use crate::ledger::ClaimAsk;

    fn events(ids: impl IntoIterator<Item = i64>) -> Vec<Claimed> {
        ids.into_iter().map(claimed).collect()
    }

    fn ids(events: &[Claimed]) -> Vec<i64> {
        events.iter().map(|claimed| claimed.id).collect()
    }

    /// What is sent of those from 1 to 5.
    fn sent(suspicion: &mut Suspicion, is_well: bool, now: Instant) -> Vec<i64> {
        of(suspicion, 1..6, is_well, now)
    }

    /// What is sent of these.
    fn of(
        suspicion: &mut Suspicion,
        free: impl IntoIterator<Item = i64>,
        is_well: bool,
        now: Instant,
    ) -> Vec<i64> {
        let (alone, due) = suspicion.alone(is_well, now);
        let ask = ClaimAsk { most: suspicion.size(), linger: Duration::ZERO, alone, due };
        let sent = ask.choose(events(free), |claimed| claimed.id);
        suspicion.sends(&sent);
        ids(&sent)
    }

    #[test]
    fn calls_become_smaller_while_they_fail_and_larger_when_they_are_taken() {
        let (mut suspicion, now) = (Suspicion::up_to(100), Instant::now());
        let mut sizes = Vec::new();
        for failures in 1..=9 {
            let size = i64::try_from(suspicion.size()).expect("a few");
            suspicion.failed(&(0..size).collect::<Vec<_>>(), failures, now);
            sizes.push(suspicion.size());
        }
        assert_eq!(sizes, [100, 100, 50, 25, 12, 6, 3, 1, 1]);
        assert_eq!(suspicion.suspects.len(), 1, "what failed alone");
        let mut sizes = Vec::new();
        for _ in 0..8 {
            suspicion.took([1].into_iter());
            sizes.push(suspicion.size());
        }
        assert_eq!(sizes, [2, 4, 8, 16, 32, 64, 100, 100]);
    }

    #[test]
    fn a_moments_trouble_is_no_events() {
        let (mut suspicion, now) = (Suspicion::up_to(100), Instant::now());
        (1..PATIENCE).for_each(|failures| suspicion.failed(&[0], failures, now));
        assert_eq!((suspicion.size(), suspicion.suspects.len()), (100, 0));
    }

    #[test]
    fn others_go_before_a_suspect_and_none_with_it() {
        let (mut suspicion, now) = (Suspicion::up_to(4), Instant::now());
        suspicion.now = 2;
        suspicion.failed(&[1], 9, now);
        suspicion.failed(&[3], 10, now + Duration::from_secs(1));
        suspicion.now = 4;
        assert_eq!(sent(&mut suspicion, true, now), [2, 4, 5]);
        let due = now + AGAIN;
        assert_eq!(sent(&mut suspicion, false, due), [2, 4, 5], "not while the account fails");
        assert_eq!(sent(&mut suspicion, true, due), [1]);
        assert_eq!(sent(&mut suspicion, true, due), [2, 4, 5], "others get every second call");
        let only = of(&mut suspicion, [1, 3], false, now);
        assert_eq!(only, [1], "there is nothing else, and it is alone all the same");
        let only = of(&mut suspicion, [3], false, now);
        assert_eq!(only, [3], "the first of those that could go");
        suspicion.failed(&[1], 1, due);
        suspicion.now = 4;
        assert_eq!(sent(&mut suspicion, true, due), [2, 4, 5]);
        assert_eq!(sent(&mut suspicion, true, due + AGAIN), [3], "the other's turn");
        suspicion.took([3].into_iter());
        assert_eq!(sent(&mut suspicion, true, due + AGAIN), [2, 3, 4, 5]);
        assert_eq!(sent(&mut suspicion, true, due + 2 * AGAIN), [1], "later each time");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut suspicion, now) = (Suspicion::up_to(1), Instant::now());
        (0..30_000).for_each(|id| suspicion.failed(&[id], 3, now));
        assert!(suspicion.suspects.len() <= MOST);
    }
}

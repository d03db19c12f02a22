//! Distinguishes an account that fails from an event that makes it fail.
//!
//! A failure (5xx, no answer) is the account's, and no event is charged for it. But HubSpot may fail over one event
//! whenever that event is sent. Since the oldest are sent first, all others would wait for it for ever. So batches
//! become smaller while calls go on failing, down to one event. An event that fails alone is a suspect: it stays
//! pending, others are sent before it, and it is sent alone, since any event beside it would fail with it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::ClaimedEvent;

/// The number of failures in a row that is more than a brief failure: some seconds, with the waits between.
const MIN_FAILURES: u32 = 3;
/// The wait of a suspect, unless there is nothing else to send. It doubles with each further failure.
const SUSPECT_RETRY: Duration = Duration::from_secs(30);
/// How often it doubles: up to 16 minutes.
const MAX_DOUBLINGS: u32 = 5;
/// The most suspects. Beyond it all are forgotten and found again, and an event that is younger than so many suspects
/// waits for ever. A failure alone takes seconds, so it takes a day to get there.
const CAPACITY: usize = 10_000;

/// The size of a batch, and the events that are sent alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoisonEvents {
    max_batch: usize,
    batch_size: usize,
    suspects: BTreeMap<i64, SuspectEvent>,
    /// The last batch was a suspect.
    last_was_suspect: bool,
}

/// An event that failed alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SuspectEvent {
    /// The earliest time that it is sent before others.
    due: Instant,
    /// The number of its failures alone.
    failures: u32,
}

impl PoisonEvents {
    /// No suspects, and batches of `max_batch` events, at least one.
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

    /// The most events of the next batch.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The suspects that go before all other events, and those that go only when no other can; each list begins with
    /// the next one. A suspect goes first once it is due, if the account does not fail and the last batch was not a
    /// suspect. So others get every second call, however many suspects an outage left.
    #[must_use]
    pub fn alone(&self, is_healthy: bool, now: Instant) -> (Vec<i64>, Vec<i64>) {
        let mut suspects: Vec<_> =
            self.suspects.iter().map(|(id, suspect)| (*suspect, *id)).collect();
        suspects.sort_unstable();
        let due = suspects.partition_point(|(suspect, _)| suspect.due <= now);
        let mut first: Vec<i64> = suspects.into_iter().map(|(_, id)| id).collect();
        let last = first.split_off(if is_healthy && !self.last_was_suspect { due } else { 0 });
        (first, last)
    }

    /// These events are sent now.
    pub fn record_sent(&mut self, events: &[ClaimedEvent]) {
        self.last_was_suspect =
            events.iter().any(|claimed| self.suspects.contains_key(&claimed.id));
    }

    /// A call with these events failed, possibly because of one of them, as the last of `failures` in a row.
    pub fn record_suspects(&mut self, events: &[i64], failures: u32, now: Instant) {
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

    /// HubSpot confirmed these events.
    pub fn record_accepted(&mut self, events: &[i64]) {
        for event in events {
            self.suspects.remove(event);
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

    /// Returns the part that is sent of events 1 to 5.
    fn sent(poison: &mut PoisonEvents, is_healthy: bool, now: Instant) -> Vec<i64> {
        of(poison, 1..6, is_healthy, now)
    }

    /// Returns the part that is sent of these events.
    fn of(
        poison: &mut PoisonEvents,
        free: impl IntoIterator<Item = i64>,
        is_healthy: bool,
        now: Instant,
    ) -> Vec<i64> {
        let (first, last) = poison.alone(is_healthy, now);
        let request = ClaimRequest {
            limit: poison.batch_size(),
            linger: Duration::ZERO,
            first,
            last,
            probe: None,
        };
        let sent = request.select(events(free), |claimed| claimed.id);
        poison.record_sent(&sent);
        ids(&sent)
    }

    #[test]
    fn batches_shrink_while_calls_fail_and_grow_when_they_are_accepted() {
        let (mut poison, now) = (PoisonEvents::new(100), Instant::now());
        let mut sizes = Vec::new();
        for failures in 1..=9 {
            let size = i64::try_from(poison.batch_size()).expect("a few");
            poison.record_suspects(&(0..size).collect::<Vec<_>>(), failures, now);
            sizes.push(poison.batch_size());
        }
        assert_eq!(sizes, [100, 100, 50, 25, 12, 6, 3, 1, 1]);
        assert_eq!(poison.suspects.len(), 1, "what failed alone");
        let mut sizes = Vec::new();
        for _ in 0..8 {
            poison.record_accepted(&[1]);
            sizes.push(poison.batch_size());
        }
        assert_eq!(sizes, [2, 4, 8, 16, 32, 64, 100, 100]);
    }

    #[test]
    fn brief_failure_is_no_events() {
        let (mut poison, now) = (PoisonEvents::new(100), Instant::now());
        (1..MIN_FAILURES).for_each(|failures| poison.record_suspects(&[0], failures, now));
        assert_eq!((poison.batch_size(), poison.suspects.len()), (100, 0));
    }

    #[test]
    fn suspect_is_sent_alone_and_after_others() {
        let (mut poison, now) = (PoisonEvents::new(4), Instant::now());
        poison.batch_size = 2;
        poison.record_suspects(&[1], 9, now);
        poison.record_suspects(&[3], 10, now + Duration::from_secs(1));
        poison.batch_size = 4;
        assert_eq!(sent(&mut poison, true, now), [2, 4, 5]);
        let due = now + SUSPECT_RETRY;
        assert_eq!(sent(&mut poison, false, due), [2, 4, 5], "not while the account fails");
        assert_eq!(sent(&mut poison, true, due), [1]);
        assert_eq!(sent(&mut poison, true, due), [2, 4, 5], "others get every second call");
        let only = of(&mut poison, [1, 3], false, now);
        assert_eq!(only, [1], "there is nothing else, and it is alone all the same");
        let only = of(&mut poison, [3], false, now);
        assert_eq!(only, [3], "the first of those that could go");
        poison.record_suspects(&[1], 1, due);
        poison.batch_size = 4;
        assert_eq!(sent(&mut poison, true, due), [2, 4, 5]);
        assert_eq!(sent(&mut poison, true, due + SUSPECT_RETRY), [3], "the other's turn");
        poison.record_accepted(&[3]);
        assert_eq!(sent(&mut poison, true, due + SUSPECT_RETRY), [2, 3, 4, 5]);
        assert_eq!(sent(&mut poison, true, due + 2 * SUSPECT_RETRY), [1], "later each time");
    }

    #[test]
    fn suspects_are_bounded() {
        let (mut poison, now) = (PoisonEvents::new(1), Instant::now());
        (0..30_000).for_each(|id| poison.record_suspects(&[id], 3, now));
        assert!(poison.suspects.len() <= CAPACITY);
    }
}

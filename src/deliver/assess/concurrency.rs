//! How many calls to have in flight: as many as HubSpot bears.
//!
//! Additive increase, multiplicative decrease, as TCP's congestion control has it (Chiu and Jain, "Analysis of the
//! Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks", 1989): each good answer adds a
//! share, so that a whole round of them adds one call; a failure halves. An answer that took much longer than calls of
//! its size used to takes one call away, before HubSpot has to fail.

use std::time::Duration;

use tokio::time::Instant;

/// An answer is slow if it took so many times as long as the fastest of late. A guess: HubSpot's own spread is not known.
const SLOW_FACTOR: f64 = 2.0;
/// What is faster is never slow: below this, what differs is the network. A guess.
const NEVER_SLOW_BELOW: f64 = 0.25;
/// The fastest of late is forgotten by this share with each slower answer, so that a HubSpot that has become slower for
/// good becomes the measure: a dozen answers bring it half the way. A guess.
const FORGET: f64 = 1.0 / 16.0;
/// Sizes of calls, by powers of two: a call of a hundred events takes longer than a call of one.
const SIZES: usize = 8;

/// How many calls to have in flight.
#[derive(Debug, Clone, PartialEq)]
pub struct Concurrency {
    max: f64,
    current: f64,
    /// The fastest answers of late in seconds, by size of the call.
    fastest: [Option<f64>; SIZES],
    /// When it was halved last.
    halved_at: Option<Instant>,
}

impl Concurrency {
    /// Begins with `most`, and never goes beyond; none is taken for one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = f64::from(u32::try_from(most.max(1)).unwrap_or(u32::MAX));
        Self { max: most, current: most, fastest: [None; SIZES], halved_at: None }
    }

    /// So many calls, at least one.
    #[must_use]
    pub fn limit(&self) -> usize {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 2^32")]
        let calls = self.current as usize;
        calls
    }

    /// A call with so many events was answered as it should be.
    pub fn record_answer(&mut self, events: usize, took: Duration) {
        let took = took.as_secs_f64();
        let size = usize::try_from(events.max(1).ilog2()).unwrap_or(SIZES).min(SIZES - 1);
        let fastest = self.fastest[size].map_or(took, |fastest| {
            if took < fastest { took } else { fastest + (took - fastest) * FORGET }
        });
        let slow = self.fastest[size]
            .is_some_and(|before| took > SLOW_FACTOR * before.max(NEVER_SLOW_BELOW));
        self.fastest[size] = Some(fastest);
        self.set(if slow { self.current - 1.0 } else { self.current + 1.0 / self.current });
    }

    /// A call that began then failed as calls fail that are too many. Those that were under way when the last one
    /// failed say nothing new.
    pub fn record_failure(&mut self, began: Instant, now: Instant) {
        if self.halved_at.is_none_or(|cut| began >= cut) {
            self.halved_at = Some(now);
            self.set(self.current / 2.0);
        }
    }

    fn set(&mut self, width: f64) {
        self.current = width.clamp(1.0, self.max);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUICK: Duration = Duration::from_millis(300);

    /// What befalls a call: it fails, so many milliseconds after the one before, or is answered.
    #[derive(Debug, Clone)]
    enum Fate {
        Fails,
        Answers { events: usize, took: u64 },
    }

    fn fates() -> impl Strategy<Value = Vec<Fate>> {
        let answers = (0..200_usize, 0..100_000_u64)
            .prop_map(|(events, took)| Fate::Answers { events, took });
        prop::collection::vec(prop_oneof![Just(Fate::Fails), answers], 0..300)
    }

    fn befall(width: &mut Concurrency, fates: &[Fate]) -> Instant {
        let mut now = Instant::now();
        for fate in fates {
            now += QUICK;
            match fate {
                Fate::Fails => width.record_failure(now, now),
                Fate::Answers { events, took } => {
                    width.record_answer(*events, Duration::from_millis(*took));
                }
            }
        }
        now
    }

    /// So many good answers are enough to get from one to `most`: a round for each call, and one more.
    fn rounds(most: usize) -> usize {
        (0..=most).map(|width| width + 1).sum()
    }

    proptest! {
        #[test]
        fn is_never_nothing_and_never_beyond_its_bound(most in 0..64_usize, fates in fates()) {
            let mut width = Concurrency::new(most);
            for fate in fates {
                befall(&mut width, &[fate]);
                prop_assert!((1..=most.max(1)).contains(&width.limit()));
            }
        }

        #[test]
        fn recovers_whatever_was(most in 1..64_usize, fates in fates(), took in 0..20_000_u64) {
            let mut width = Concurrency::new(most);
            befall(&mut width, &fates);
            // First what is usual must be learned anew, then it grows.
            for _ in 0..200 + rounds(most) {
                width.record_answer(100, Duration::from_millis(took));
            }
            prop_assert_eq!(width.limit(), most);
        }

        #[test]
        fn a_steady_hubspot_gets_all_it_may(
            most in 1..64_usize, one in 1..2_000_u64, hundred in 1..20_000_u64,
        ) {
            let mut width = Concurrency::new(most);
            for call in 0..200 {
                let (events, took) = if call % 3 == 0 { (1, one) } else { (100, hundred) };
                width.record_answer(events, Duration::from_millis(took));
                prop_assert_eq!(width.limit(), most);
            }
        }
    }

    #[test]
    fn failures_halve_once_a_round_and_slowness_takes_one_away() {
        let mut width = Concurrency::new(16);
        let began = Instant::now();
        let seen = began + QUICK;
        for _ in 0..16 {
            width.record_failure(began, seen);
        }
        assert_eq!(width.limit(), 8, "the sixteen of one round are one failure");
        width.record_failure(seen, seen + QUICK);
        assert_eq!(width.limit(), 4);
        width.record_answer(100, QUICK);
        assert_eq!(width.limit(), 4);
        width.record_answer(100, 3 * QUICK);
        assert_eq!(width.limit(), 3);
        for _ in 0..4 {
            width.record_answer(100, QUICK);
        }
        assert_eq!(width.limit(), 4);
    }

    #[test]
    fn what_is_slow_for_good_becomes_the_measure_and_what_is_faster_is_it_at_once() {
        let (one, three) = (Duration::from_secs(1), Duration::from_secs(3));
        let mut width = Concurrency::new(16);
        width.record_answer(100, one);
        // A sixteenth of what is left between them is forgotten with each: the fifth is slow, the sixth is not.
        for left in [15, 14, 13, 12, 11, 11] {
            width.record_answer(100, three);
            assert_eq!(width.limit(), left);
        }
        width.record_answer(100, one);
        width.record_answer(100, three);
        assert_eq!(width.limit(), 10, "one has been seen again");
    }

    #[test]
    fn calls_are_measured_by_their_size_and_what_is_fast_anyway_is_never_slow() {
        let ms = Duration::from_millis;
        let mut width = Concurrency::new(16);
        // Beyond the sizes that are told apart all are alike.
        for (events, took) in [(1, 10), (1, 500), (100, 5_000), (1_000, 9_000), (100_000, 9_000)] {
            width.record_answer(events, ms(took));
            assert_eq!(width.limit(), 16, "{events} in {took} ms");
        }
        width.record_answer(1, ms(501));
        assert_eq!(width.limit(), 15);
    }
}

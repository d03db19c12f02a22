//! The number of calls in flight: as many as HubSpot bears.
//!
//! Additive increase, multiplicative decrease, as in TCP's congestion control (Chiu and Jain, "Analysis of the Increase
//! and Decrease Algorithms for Congestion Avoidance in Computer Networks", 1989): each good answer adds a share, so
//! that a whole round of answers adds one call; a failure halves the number. An answer that is much slower than earlier
//! answers to calls of its size takes one call away, before HubSpot has to fail.

use std::time::Duration;

use tokio::time::Instant;

/// An answer is slow if it takes more than this many times as long as the fastest recent one. A guess: HubSpot's own
/// spread is not known.
const SLOW_FACTOR: f64 = 2.0;
/// A faster answer is never slow, in seconds: below this, the network makes the difference. A guess.
const NEVER_SLOW_BELOW: f64 = 0.25;
/// With each slower answer the fastest recent time moves this share towards it, so that a HubSpot that has become
/// slower for good becomes the measure: a dozen answers move it half the way. A guess.
const FORGET: f64 = 1.0 / 16.0;
/// Size classes of calls, by powers of two: a call of a hundred events takes longer than a call of one.
const SIZES: usize = 8;

/// The number of calls in flight.
#[derive(Debug, Clone, PartialEq)]
pub struct Concurrency {
    max: f64,
    current: f64,
    /// The fastest recent answers in seconds, by size class of the call.
    fastest: [Option<f64>; SIZES],
    /// The last time that the number was halved.
    halved_at: Option<Instant>,
}

impl Concurrency {
    /// Begins with `max`, at least one, and never exceeds it.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = f64::from(u32::try_from(most.max(1)).unwrap_or(u32::MAX));
        Self { max: most, current: most, fastest: [None; SIZES], halved_at: None }
    }

    /// The calls that may be in flight, at least one.
    #[must_use]
    pub fn limit(&self) -> usize {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 2^32")]
        let calls = self.current as usize;
        calls
    }

    /// A call with this many events was answered in that time.
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

    /// A call failed as calls do when there are too many. Calls that were under way when the last one failed count no
    /// further.
    pub fn record_failure(&mut self, began: Instant, now: Instant) {
        if self.halved_at.is_none_or(|cut| began >= cut) {
            self.halved_at = Some(now);
            self.set(self.current / 2.0);
        }
    }

    fn set(&mut self, calls: f64) {
        self.current = calls.clamp(1.0, self.max);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUICK: Duration = Duration::from_millis(300);

    /// The result of a call: it fails, or is answered within milliseconds.
    #[derive(Debug, Clone)]
    enum CallResult {
        Fails,
        Answers { events: usize, took: u64 },
    }

    fn call_results() -> impl Strategy<Value = Vec<CallResult>> {
        let answers = (0..200_usize, 0..100_000_u64)
            .prop_map(|(events, took)| CallResult::Answers { events, took });
        prop::collection::vec(prop_oneof![Just(CallResult::Fails), answers], 0..300)
    }

    fn apply(concurrency: &mut Concurrency, results: &[CallResult]) -> Instant {
        let mut now = Instant::now();
        for result in results {
            now += QUICK;
            match result {
                CallResult::Fails => concurrency.record_failure(now, now),
                CallResult::Answers { events, took } => {
                    concurrency.record_answer(*events, Duration::from_millis(*took));
                }
            }
        }
        now
    }

    /// The good answers that raise one call to `max`: a round for each call, and one more.
    fn rounds(most: usize) -> usize {
        (0..=most).map(|concurrency| concurrency + 1).sum()
    }

    proptest! {
        #[test]
        fn concurrency_is_at_least_one_and_within_its_bound(
            most in 0..64_usize, results in call_results(),
        ) {
            let mut concurrency = Concurrency::new(most);
            for result in results {
                apply(&mut concurrency, &[result]);
                prop_assert!((1..=most.max(1)).contains(&concurrency.limit()));
            }
        }

        #[test]
        fn good_answers_restore_the_bound_after_any_history(
            most in 1..64_usize, results in call_results(), took in 0..20_000_u64,
        ) {
            let mut concurrency = Concurrency::new(most);
            apply(&mut concurrency, &results);
            // First the usual time has to be learned again, then the number grows.
            for _ in 0..200 + rounds(most) {
                concurrency.record_answer(100, Duration::from_millis(took));
            }
            prop_assert_eq!(concurrency.limit(), most);
        }

        #[test]
        fn steady_answers_keep_the_bound(
            most in 1..64_usize, one in 1..2_000_u64, hundred in 1..20_000_u64,
        ) {
            let mut concurrency = Concurrency::new(most);
            for call in 0..200 {
                let (events, took) = if call % 3 == 0 { (1, one) } else { (100, hundred) };
                concurrency.record_answer(events, Duration::from_millis(took));
                prop_assert_eq!(concurrency.limit(), most);
            }
        }
    }

    #[test]
    fn failures_halve_once_a_round_and_a_slow_answer_takes_one_away() {
        let mut concurrency = Concurrency::new(16);
        let began = Instant::now();
        let seen = began + QUICK;
        for _ in 0..16 {
            concurrency.record_failure(began, seen);
        }
        assert_eq!(concurrency.limit(), 8, "the sixteen of one round are one failure");
        concurrency.record_failure(seen, seen + QUICK);
        assert_eq!(concurrency.limit(), 4);
        concurrency.record_answer(100, QUICK);
        assert_eq!(concurrency.limit(), 4);
        concurrency.record_answer(100, 3 * QUICK);
        assert_eq!(concurrency.limit(), 3);
        for _ in 0..4 {
            concurrency.record_answer(100, QUICK);
        }
        assert_eq!(concurrency.limit(), 4);
    }

    #[test]
    fn lasting_slowness_becomes_the_measure_and_a_faster_answer_does_at_once() {
        let (one, three) = (Duration::from_secs(1), Duration::from_secs(3));
        let mut concurrency = Concurrency::new(16);
        concurrency.record_answer(100, one);
        // Each answer moves the measure a sixteenth of the distance: the fifth is slow, the sixth is not.
        for left in [15, 14, 13, 12, 11, 11] {
            concurrency.record_answer(100, three);
            assert_eq!(concurrency.limit(), left);
        }
        concurrency.record_answer(100, one);
        concurrency.record_answer(100, three);
        assert_eq!(concurrency.limit(), 10, "one has been seen again");
    }

    #[test]
    fn answers_are_compared_within_their_size_class_and_fast_ones_are_never_slow() {
        let ms = Duration::from_millis;
        let mut concurrency = Concurrency::new(16);
        // The last size class holds all larger calls.
        for (events, took) in [(1, 10), (1, 500), (100, 5_000), (1_000, 9_000), (100_000, 9_000)] {
            concurrency.record_answer(events, ms(took));
            assert_eq!(concurrency.limit(), 16, "{events} in {took} ms");
        }
        concurrency.record_answer(1, ms(501));
        assert_eq!(concurrency.limit(), 15);
    }
}

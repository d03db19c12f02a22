use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_secs(10);

fn limit(requests: u32) -> RateLimit {
    RateLimit { requests, window: WINDOW }
}

fn told(max: u32, remaining: u32) -> RateLimitHeaders {
    RateLimitHeaders {
        max: Some(max),
        remaining: Some(remaining),
        interval: Some(WINDOW),
        ..RateLimitHeaders::default()
    }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A pace past its first call, with the log empty again.
fn warm(requests: u32, now: &mut Instant) -> RateLimiter {
    let mut pace = RateLimiter::new(limit(requests));
    let slot = pace.try_acquire(*now).unwrap();
    pace.complete(slot, *now);
    *now += WINDOW + GRAIN;
    pace
}

#[test]
fn after_a_start_one_call_goes_first() {
    let now = Instant::now();
    let mut pace = RateLimiter::new(limit(5));
    let first = pace.try_acquire(now).unwrap();
    assert_eq!(pace.try_acquire(now).unwrap_err(), PermitWait::ForResponse);
    pace.observe_headers(&first, &told(5, 4), now);
    let second = pace.try_acquire(now).expect("the headers were seen");
    pace.cancel(second);
    pace.complete(first, now);

    let mut pace = RateLimiter::new(limit(5));
    let first = pace.try_acquire(now).unwrap();
    pace.complete(first, now);
    let second = pace.try_acquire(now).expect("a failure without headers ends the wait too");
    pace.cancel(second);
}

#[test]
fn a_call_that_was_never_made_leaves_no_trace() {
    let now = Instant::now();
    let mut pace = RateLimiter::new(limit(1));
    let slot = pace.try_acquire(now).unwrap();
    pace.cancel(slot);
    let again = pace.try_acquire(now).expect("nothing is used");
    assert_eq!(pace.try_acquire(now).unwrap_err(), PermitWait::ForResponse, "and nothing is known");
    pace.cancel(again);
}

#[test]
fn a_slot_is_free_one_window_after_its_answer() {
    let mut now = Instant::now();
    let mut pace = warm(1, &mut now);
    let slot = pace.try_acquire(now).unwrap();
    assert_eq!(pace.try_acquire(now + WINDOW * 3).unwrap_err(), PermitWait::ForResponse);
    let seen = now + WINDOW * 3;
    pace.complete(slot, seen);
    let free = seen + WINDOW + GRAIN;
    assert_eq!(pace.try_acquire(seen + WINDOW).unwrap_err(), PermitWait::Until(free));
    let slot = pace.try_acquire(free).expect("the window has passed");
    pace.cancel(slot);
}

#[test]
fn a_lower_limit_that_is_told_holds_and_a_higher_one_does_not() {
    for (max, allowed) in [(3, 3), (190, 5)] {
        let mut now = Instant::now();
        let mut pace = warm(5, &mut now);
        let slot = pace.try_acquire(now).unwrap();
        pace.observe_headers(&slot, &told(max, max - 1), now);
        pace.complete(slot, now);
        let slots: Vec<Permit> = std::iter::from_fn(|| pace.try_acquire(now).ok()).collect();
        assert_eq!(slots.len() + 1, allowed, "told {max}");
        for slot in slots {
            pace.cancel(slot);
        }
    }
}

#[test]
fn a_told_interval_of_another_length_holds_beside_the_configured_one() {
    let mut now = Instant::now();
    let mut pace = warm(3, &mut now);
    let second = RateLimitHeaders {
        max: Some(2),
        remaining: Some(1),
        interval: Some(ms(1_000)),
        ..RateLimitHeaders::default()
    };
    let start = now;
    for _ in 0..2 {
        let slot = pace.try_acquire(now).unwrap();
        pace.observe_headers(&slot, &second, now);
        pace.complete(slot, now);
    }
    let free = start + ms(1_000) + GRAIN;
    assert_eq!(pace.try_acquire(now).unwrap_err(), PermitWait::Until(free));
    now = free;
    let slot = pace.try_acquire(now).unwrap();
    pace.complete(slot, now);
    assert_eq!(pace.try_acquire(now).unwrap_err(), PermitWait::Until(start + WINDOW + GRAIN));
}

#[test]
fn what_others_use_is_counted_for_one_interval() {
    let now = Instant::now();
    let mut pace = RateLimiter::new(limit(10));
    let slot = pace.try_acquire(now).unwrap();
    pace.observe_headers(&slot, &told(10, 2), now + ms(50));
    pace.complete(slot, now + ms(50));
    let slots: Vec<Permit> = std::iter::from_fn(|| pace.try_acquire(now + ms(60)).ok()).collect();
    assert_eq!(slots.len(), 2, "one is ours, seven are another's");
    for slot in slots {
        pace.cancel(slot);
    }
    let later = now + ms(50) + WINDOW + GRAIN;
    let slots: Vec<Permit> = std::iter::from_fn(|| pace.try_acquire(later).ok()).collect();
    assert_eq!(slots.len(), 10);
    for slot in slots {
        pace.cancel(slot);
    }
}

#[test]
fn numbers_that_can_be_no_limit_are_not_believed() {
    let mut now = Instant::now();
    let mut pace = warm(4, &mut now);
    let slot = pace.try_acquire(now).unwrap();
    for (max, interval) in [(0, 10_000), (9, 0), (1, u64::MAX)] {
        let rates = RateLimitHeaders {
            max: Some(max),
            remaining: Some(0),
            interval: Some(ms(interval)),
            ..RateLimitHeaders::default()
        };
        pace.observe_headers(&slot, &rates, now);
    }
    pace.complete(slot, now);
    let slots: Vec<Permit> = std::iter::from_fn(|| pace.try_acquire(now).ok()).collect();
    assert_eq!(slots.len(), 3);
    for slot in slots {
        pace.cancel(slot);
    }
}

#[test]
fn an_endless_window_is_no_panic() {
    let now = Instant::now();
    let mut pace = RateLimiter::new(RateLimit { requests: 1, window: Duration::MAX });
    let slot = pace.try_acquire(now).unwrap();
    pace.complete(slot, now);
    assert!(matches!(pace.try_acquire(now), Err(PermitWait::Until(_))));
}

/// HubSpot's headers of an answer: what a rolling window holds at the time the call is counted.
fn headers(counted: &[Instant], at: Instant, max: u32) -> RateLimitHeaders {
    let used = counted.iter().filter(|one| **one <= at && **one + WINDOW > at).count();
    told(max, max.saturating_sub(u32::try_from(used).unwrap()))
}

/// The most that any closed window of that length holds.
fn busiest(mut times: Vec<Instant>, window: Duration) -> usize {
    times.sort();
    (0..times.len())
        .map(|first| times.iter().skip(first).take_while(|t| **t <= times[first] + window).count())
        .max()
        .unwrap_or(0)
}

/// Makes `calls` as fast as the pace lets them, `in_flight` at a time; each takes `latency(i)` and is counted by
/// HubSpot after `share(i)` thousandths of that. Gives back the calls' starts, countings and ends.
fn run(
    pace: &mut RateLimiter,
    calls: &[(u64, u64)],
    in_flight: usize,
    max: u32,
) -> [Vec<Instant>; 3] {
    let mut now = Instant::now();
    let mut flying: Vec<(Instant, Permit, Instant)> = Vec::new();
    let [mut sent, mut counted, mut seen] = [const { Vec::new() }; 3];
    let mut calls = calls.iter();
    let mut next = calls.next();
    while next.is_some() || !flying.is_empty() {
        let wait = match next {
            Some((latency, share)) if flying.len() < in_flight => match pace.try_acquire(now) {
                Ok(slot) => {
                    let at = now + ms(latency * share / 1_000);
                    sent.push(now);
                    counted.push(at);
                    flying.push((now + ms(*latency), slot, at));
                    next = calls.next();
                    continue;
                }
                Err(PermitWait::Until(instant)) => Some(instant),
                Err(PermitWait::ForResponse) => None,
            },
            _ => None,
        };
        flying.sort_by_key(|(end, ..)| *end);
        let answer = flying.first().map(|(end, ..)| *end);
        now = match (wait, answer) {
            (Some(wait), Some(answer)) => wait.min(answer),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => panic!("waits for an answer with nothing in flight"),
        };
        while flying.first().is_some_and(|(end, ..)| *end <= now) {
            let (end, slot, at) = flying.remove(0);
            seen.push(end);
            pace.observe_headers(&slot, &headers(&counted, at, max), now);
            pace.complete(slot, now);
        }
    }
    [sent, counted, seen]
}

#[test]
fn alone_the_whole_window_is_used() {
    let calls = vec![(100, 500); 500];
    let mut pace = RateLimiter::new(limit(100));
    let [sent, ..] = run(&mut pace, &calls, 16, 100);
    assert_eq!(busiest(sent.clone(), WINDOW), 100);
    let took = *sent.last().unwrap() - sent[0];
    // 500 calls in windows of 100: four full windows lie between the first and the last hundred. Each window costs
    // its length and the latency of one answer; the first costs one call that goes alone.
    assert!(took < WINDOW * 4 + ms(1_600), "{took:?}");
}

proptest! {
    #[test]
    fn no_window_ever_holds_more_than_its_limit(
        calls in prop::collection::vec((0_u64..30_000, 0_u64..=1_000), 1..80),
        configured in 1_u32..12,
        max in 1_u32..12,
        in_flight in 1_usize..20,
    ) {
        let mut pace = RateLimiter::new(limit(configured));
        let [sent, counted, seen] = run(&mut pace, &calls, in_flight, max);
        prop_assert_eq!(sent.len(), calls.len());
        // The told limit holds from the first answer on; the first call alone fits into any.
        let most = configured.min(max) as usize;
        for times in [sent, counted, seen] {
            prop_assert!(busiest(times, WINDOW) <= most);
        }
    }

    #[test]
    fn our_own_calls_are_never_taken_for_others(
        calls in prop::collection::vec((0_u64..30_000, 0_u64..=1_000), 1..80),
        most in 1_u32..12,
        in_flight in 1_usize..20,
    ) {
        let mut pace = RateLimiter::new(limit(most));
        run(&mut pace, &calls, in_flight, most);
        prop_assert!(pace.finished.iter().all(|ended| !ended.is_foreign));
    }

    #[test]
    fn the_log_does_not_grow(
        calls in prop::collection::vec((0_u64..200, 0_u64..=1_000), 200..400),
        most in 1_u32..12,
    ) {
        let mut pace = RateLimiter::new(limit(most));
        run(&mut pace, &calls, 4, most);
        prop_assert!(pace.finished.len() <= 2 * most as usize);
    }
}

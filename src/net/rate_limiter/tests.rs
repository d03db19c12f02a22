use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_secs(10);

fn limit(requests: u32) -> RateLimit {
    RateLimit { requests, window: WINDOW }
}

/// Observes a response that reports this limit and this many calls left.
fn observe(limiter: &mut RateLimiter, permit: &Permit, max: u32, remaining: u32, now: Instant) {
    limiter.observe(permit, Some(limit(max)), Some(remaining), now);
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A limiter past its first call, with an empty log.
fn warm(requests: u32, now: &mut Instant) -> RateLimiter {
    let mut limiter = RateLimiter::for_shared_limit(limit(requests));
    let permit = limiter.try_acquire(*now).unwrap();
    limiter.complete(permit, *now);
    *now += WINDOW + GRAIN;
    limiter
}

#[test]
fn try_acquire_usage_unknown_lets_one_call_through() {
    let now = Instant::now();
    let mut limiter = RateLimiter::for_shared_limit(limit(5));
    let first = limiter.try_acquire(now).unwrap();
    assert_eq!(limiter.try_acquire(now).unwrap_err(), PermitWait::ForResponse);
    observe(&mut limiter, &first, 5, 4, now);
    let second = limiter.try_acquire(now).expect("the response was observed");
    limiter.cancel(second);
    limiter.complete(first, now);

    let mut limiter = RateLimiter::for_shared_limit(limit(5));
    let first = limiter.try_acquire(now).unwrap();
    limiter.complete(first, now);
    let second = limiter.try_acquire(now).expect("a failure without numbers ends the wait too");
    limiter.cancel(second);
}

#[test]
fn cancel_call_never_made_leaves_no_trace() {
    let now = Instant::now();
    let mut limiter = RateLimiter::for_shared_limit(limit(1));
    let permit = limiter.try_acquire(now).unwrap();
    limiter.cancel(permit);
    let again = limiter.try_acquire(now).expect("nothing is used");
    assert_eq!(
        limiter.try_acquire(now).unwrap_err(),
        PermitWait::ForResponse,
        "and nothing is known"
    );
    limiter.cancel(again);
}

#[test]
fn permit_finished_call_is_free_one_window_after_its_response() {
    let mut now = Instant::now();
    let mut limiter = warm(1, &mut now);
    let permit = limiter.try_acquire(now).unwrap();
    assert_eq!(limiter.try_acquire(now + WINDOW * 3).unwrap_err(), PermitWait::ForResponse);
    let seen = now + WINDOW * 3;
    limiter.complete(permit, seen);
    let free = seen + WINDOW + GRAIN;
    assert_eq!(limiter.try_acquire(seen + WINDOW).unwrap_err(), PermitWait::Until(free));
    let permit = limiter.try_acquire(free).expect("the window has passed");
    limiter.cancel(permit);
}

#[test]
fn observe_reported_limit_holds_only_if_lower() {
    for (max, allowed) in [(3, 3), (190, 5)] {
        let mut now = Instant::now();
        let mut limiter = warm(5, &mut now);
        let permit = limiter.try_acquire(now).unwrap();
        observe(&mut limiter, &permit, max, max - 1, now);
        limiter.complete(permit, now);
        let permits: Vec<Permit> = std::iter::from_fn(|| limiter.try_acquire(now).ok()).collect();
        assert_eq!(permits.len() + 1, allowed, "reported {max}");
        for permit in permits {
            limiter.cancel(permit);
        }
    }
}

#[test]
fn observe_reported_window_holds_beside_the_configured_one() {
    let mut now = Instant::now();
    let mut limiter = warm(3, &mut now);
    let second = RateLimit { requests: 2, window: ms(1_000) };
    let start = now;
    for _ in 0..2 {
        let permit = limiter.try_acquire(now).unwrap();
        limiter.observe(&permit, Some(second), Some(1), now);
        limiter.complete(permit, now);
    }
    let free = start + ms(1_000) + GRAIN;
    assert_eq!(limiter.try_acquire(now).unwrap_err(), PermitWait::Until(free));
    now = free;
    let permit = limiter.try_acquire(now).unwrap();
    limiter.complete(permit, now);
    assert_eq!(limiter.try_acquire(now).unwrap_err(), PermitWait::Until(start + WINDOW + GRAIN));
}

#[test]
fn observe_foreign_calls_count_for_one_window() {
    let now = Instant::now();
    let mut limiter = RateLimiter::for_shared_limit(limit(10));
    let permit = limiter.try_acquire(now).unwrap();
    observe(&mut limiter, &permit, 10, 2, now + ms(50));
    limiter.complete(permit, now + ms(50));
    let permits: Vec<Permit> =
        std::iter::from_fn(|| limiter.try_acquire(now + ms(60)).ok()).collect();
    assert_eq!(permits.len(), 2, "one call is ours, seven are foreign");
    for permit in permits {
        limiter.cancel(permit);
    }
    let later = now + ms(50) + WINDOW + GRAIN;
    let permits: Vec<Permit> = std::iter::from_fn(|| limiter.try_acquire(later).ok()).collect();
    assert_eq!(permits.len(), 10);
    for permit in permits {
        limiter.cancel(permit);
    }
}

#[test]
fn try_acquire_endless_window_waits() {
    let now = Instant::now();
    let mut limiter =
        RateLimiter::for_shared_limit(RateLimit { requests: 1, window: Duration::MAX });
    let permit = limiter.try_acquire(now).unwrap();
    limiter.complete(permit, now);
    assert!(matches!(limiter.try_acquire(now), Err(PermitWait::Until(_))));
}

/// How many calls a rolling window has left at the time at which a call is counted.
fn remaining(counted: &[Instant], at: Instant, max: u32) -> u32 {
    let used = counted.iter().filter(|one| **one <= at && **one + WINDOW > at).count();
    max.saturating_sub(u32::try_from(used).unwrap())
}

/// The most that any closed window of that length holds.
fn busiest(mut times: Vec<Instant>, window: Duration) -> usize {
    times.sort();
    (0..times.len())
        .map(|first| times.iter().skip(first).take_while(|t| **t <= times[first] + window).count())
        .max()
        .unwrap_or(0)
}

/// Makes `calls` as fast as the limiter allows, `in_flight` at a time; each takes its latency, and the service counts
/// it after its share (thousandths) of that. Returns when the calls were sent, counted and seen to end.
fn run(
    limiter: &mut RateLimiter,
    calls: &[(u64, u64)],
    in_flight: usize,
    max: u32,
) -> [Vec<Instant>; 3] {
    let mut now = Instant::now();
    let mut in_flight_calls: Vec<(Instant, Permit, Instant)> = Vec::new();
    let [mut sent, mut counted, mut seen] = [const { Vec::new() }; 3];
    let mut calls = calls.iter();
    let mut next = calls.next();
    while next.is_some() || !in_flight_calls.is_empty() {
        let wait = match next {
            Some((latency, share)) if in_flight_calls.len() < in_flight => {
                match limiter.try_acquire(now) {
                    Ok(permit) => {
                        let at = now + ms(latency * share / 1_000);
                        sent.push(now);
                        counted.push(at);
                        in_flight_calls.push((now + ms(*latency), permit, at));
                        next = calls.next();
                        continue;
                    }
                    Err(PermitWait::Until(instant)) => Some(instant),
                    Err(PermitWait::ForResponse) => None,
                }
            }
            _ => None,
        };
        in_flight_calls.sort_by_key(|(end, ..)| *end);
        let answer = in_flight_calls.first().map(|(end, ..)| *end);
        now = match (wait, answer) {
            (Some(wait), Some(answer)) => wait.min(answer),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => panic!("waits for a response with nothing in flight"),
        };
        while in_flight_calls.first().is_some_and(|(end, ..)| *end <= now) {
            let (end, permit, at) = in_flight_calls.remove(0);
            seen.push(end);
            observe(limiter, &permit, max, remaining(&counted, at, max), now);
            limiter.complete(permit, now);
        }
    }
    [sent, counted, seen]
}

#[test]
fn limiter_without_foreign_calls_uses_the_whole_window() {
    let calls = vec![(100, 500); 500];
    let mut limiter = RateLimiter::for_shared_limit(limit(100));
    let [sent, ..] = run(&mut limiter, &calls, 16, 100);
    assert_eq!(busiest(sent.clone(), WINDOW), 100);
    let took = *sent.last().unwrap() - sent[0];
    // 500 calls in windows of 100: four full windows lie between the first and the last hundred. Each window costs
    // its length and the latency of one response; the first costs one call that goes alone.
    assert!(took < WINDOW * 4 + ms(1_600), "{took:?}");
}

proptest! {
    #[test]
    fn limiter_any_calls_keep_every_window_within_its_limit(
        calls in prop::collection::vec((0_u64..30_000, 0_u64..=1_000), 1..80),
        configured in 1_u32..12,
        max in 1_u32..12,
        in_flight in 1_usize..20,
    ) {
        let mut limiter = RateLimiter::for_shared_limit(limit(configured));
        let [sent, counted, seen] = run(&mut limiter, &calls, in_flight, max);
        prop_assert_eq!(sent.len(), calls.len());
        // The reported limit holds from the first response on; the first call alone fits into any.
        let most = configured.min(max) as usize;
        for times in [sent, counted, seen] {
            prop_assert!(busiest(times, WINDOW) <= most);
        }
    }

    #[test]
    fn observe_own_calls_never_count_as_foreign(
        calls in prop::collection::vec((0_u64..30_000, 0_u64..=1_000), 1..80),
        most in 1_u32..12,
        in_flight in 1_usize..20,
    ) {
        let mut limiter = RateLimiter::for_shared_limit(limit(most));
        run(&mut limiter, &calls, in_flight, most);
        prop_assert!(limiter.finished.iter().all(|calls| !calls.is_foreign));
    }

    #[test]
    fn limiter_many_calls_keep_the_log_short(
        calls in prop::collection::vec((0_u64..200, 0_u64..=1_000), 200..400),
        most in 1_u32..12,
    ) {
        let mut limiter = RateLimiter::for_shared_limit(limit(most));
        run(&mut limiter, &calls, 4, most);
        prop_assert!(limiter.finished.len() <= 2 * most as usize);
    }
}

//! Delivery against an emulated HubSpot, on virtual time: how many calls it makes, and when.

mod account_check;
mod missing_results;
mod poison_events;
mod silent_batches;

use std::time::Duration;

use webinar_bridge::event::{PauseReason, StatusChange};
use webinar_bridge::http::simple_server::ResponseFault;
use webinar_bridge::hubspot::{AccountCredentials, PermitWait, RateLimit};
use webinar_bridge::ledger::EventState;
use webinar_bridge::sandbox::emulator::{EmulatorFault, EmulatorOperation, EmulatorSettings};
use webinar_bridge::secret::Secret;

use crate::harness::delivery::DeliveryHarness;
use crate::harness::process::TOKEN;
use crate::harness::tell;

const MINUTE: Duration = Duration::from_mins(1);

/// A HubSpot with a rate limit that no test reaches.
fn generous() -> DeliveryHarness {
    let rate = (100_000, Duration::from_secs(10));
    DeliveryHarness::new(EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) })
}

fn upserts(harness: &DeliveryHarness) -> usize {
    harness.hubspot.calls(EmulatorOperation::Upsert)
}

#[tokio::test(start_paused = true)]
async fn bad_event_anywhere_in_a_hundred_costs_at_most_fourteen_calls() {
    let mut worst = 0;
    for bad in 0..100 {
        let mut harness = generous();
        harness.hubspot.emulator().inject_standing(EmulatorFault::RejectNames("poison".into()));
        for at in 0..100 {
            harness.ledger.add(if at == bad { "poison" } else { "Webinar" });
        }
        harness.start();
        harness.drained(MINUTE).await;
        let counts = harness.ledger.counts();
        assert_eq!((counts.delivered, counts.dead), (99, 1), "bad at {bad}");
        assert_eq!(harness.ledger.rows()[bad].state, EventState::Dead);
        assert_eq!(harness.hubspot.emulator().events().len(), 99);
        // 2 x log2(100) is 13.3: a hundred are halved seven times.
        let extra = upserts(&harness) - 1;
        assert!(extra <= 14, "{extra} calls more for the bad event at {bad}");
        worst = worst.max(extra);
    }
    tell(&format!("one bad event in a batch of 100: at most {worst} calls more"));
}

#[tokio::test(start_paused = true)]
async fn seven_bad_events_in_a_thousand_are_found_and_the_others_delivered() {
    // The placement that costs most calls: seven batches, each with a bad event first.
    for places in [[0, 100, 200, 300, 400, 500, 600], [3, 4, 5, 250, 251, 700, 999]] {
        let mut harness = generous();
        harness.hubspot.emulator().inject_standing(EmulatorFault::RejectNames("poison".into()));
        for at in 0..1_000 {
            harness.ledger.add(if places.contains(&at) { "poison" } else { "Webinar" });
        }
        harness.start();
        harness.drained(MINUTE).await;
        let counts = harness.ledger.counts();
        assert_eq!((counts.delivered, counts.dead), (993, 7));
        let calls = harness.hubspot.emulator().calls().len();
        assert!(calls < 130, "{calls} calls");
        tell(&format!("7 bad among 1,000 at {places:?}: {calls} calls"));
    }
}

#[tokio::test(start_paused = true)]
async fn paused_account_gets_no_half_of_a_batch_that_was_refused() {
    let settings =
        EmulatorSettings { rate: (2, Duration::from_secs(10)), ..EmulatorSettings::new(TOKEN) };
    let mut harness = DeliveryHarness::new(settings);
    harness.hubspot.emulator().inject_standing(EmulatorFault::RejectNames("poison".into()));
    (0..7).for_each(|_| harness.ledger.add("Webinar"));
    harness.ledger.add("poison");
    harness.start();
    harness.until(MINUTE, "it is sent whole", || upserts(&harness) == 1).await;
    // Its halves wait for the rate limit.
    harness.ledger.change_status(&StatusChange::Paused);
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(upserts(&harness), 1);
    let counts = harness.ledger.counts();
    assert_eq!((counts.pending, counts.in_flight), (8, 0));
    harness.ledger.change_status(&StatusChange::Resumed);
    harness.drained(2 * MINUTE).await;
    let counts = harness.ledger.counts();
    assert_eq!((counts.delivered, counts.dead), (7, 1));
}

/// In any order of concurrent answers, and however long it takes to record them.
#[tokio::test(start_paused = true)]
async fn account_that_refuses_everything_blames_no_event() {
    for slowness in (0..40).map(|n| Duration::from_millis(n * 10)) {
        let mut harness = generous();
        harness.settings.max_batch = 1;
        *harness.ledger.slowness.lock().expect("not poisoned") = slowness;
        harness.hubspot.emulator().inject_standing(EmulatorFault::RejectNames(String::new()));
        (0..60).for_each(|_| harness.ledger.add("Innocent"));
        harness.start();
        harness.until(MINUTE, "it is paused", || harness.ledger.status().paused.is_some()).await;
        harness.stop().await;
        let counts = harness.ledger.counts();
        assert_eq!((counts.pending, counts.dead), (60, 0), "{slowness:?}");
    }
}

/// The least time for `calls` that are due at once: `per_window` at once, as many one window later, and so on.
fn least_time(calls: u32, per_window: u32, window: Duration) -> Duration {
    window * ((calls - 1) / per_window)
}

#[tokio::test(start_paused = true)]
async fn backlog_drains_at_the_rate_limit_without_a_429() {
    let (per_window, window) = (20, Duration::from_secs(2));
    let settings = EmulatorSettings { rate: (per_window, window), ..EmulatorSettings::new(TOKEN) };
    let mut harness = DeliveryHarness::new(settings);
    harness.start();
    // The account is checked, and the window is empty again.
    harness.ledger.add("The first");
    harness.drained(MINUTE).await;
    tokio::time::sleep(2 * window).await;
    let before = harness.hubspot.emulator().calls().len();
    (0..6_000).for_each(|_| harness.ledger.add("Webinar"));
    let took = harness.drained(MINUTE).await;
    let calls = harness.hubspot.emulator().calls().len() - before;
    assert_eq!(calls, 60);
    let ideal = least_time(60, per_window, window);
    tell(&format!("6,000 events at 20 calls in 2 s: {took:?}, the window's own time is {ideal:?}"));
    assert!(took <= ideal.mul_f64(1.1), "{took:?} where {ideal:?} is the least");
    assert!(harness.hubspot.emulator().calls().iter().all(|call| call.status == 200));
}

#[tokio::test(start_paused = true)]
async fn backlog_at_the_start_costs_one_call_more() {
    let (per_window, window) = (20, Duration::from_secs(2));
    let settings = EmulatorSettings { rate: (per_window, window), ..EmulatorSettings::new(TOKEN) };
    let mut harness = DeliveryHarness::new(settings);
    (0..6_000).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    let took = harness.drained(MINUTE).await;
    let calls = harness.hubspot.emulator().calls().len();
    assert_eq!(calls, 61, "the question whose account it is, and sixty batches");
    let ideal = least_time(61, per_window, window);
    assert!(took <= ideal.mul_f64(1.1), "{took:?} where {ideal:?} is the least");
    assert!(harness.hubspot.emulator().calls().iter().all(|call| call.status == 200));
}

/// Failures lower the number of concurrent calls, and good answers raise it again.
#[tokio::test(start_paused = true)]
async fn recovered_account_returns_to_full_concurrency() {
    let mut harness = generous();
    harness.settings.max_batch = 1;
    let reset = || EmulatorFault::Transport { fault: ResponseFault::Reset, stored: true };
    (0..40).for_each(|_| harness.hubspot.emulator().inject(reset()));
    (0..2_000).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    harness.drained(10 * MINUTE).await;
    assert_eq!(harness.ledger.counts().delivered, 2_000);
    // At the end the most calls are in flight: all of them arrive within the time of one.
    let emulator = harness.hubspot.emulator();
    let calls: Vec<_> = emulator.calls().iter().map(|call| call.at).collect();
    let most = calls.iter().map(|at| calls.iter().filter(|other| *other == at).count()).max();
    assert_eq!(most, Some(harness.settings.max_in_flight));
}

#[tokio::test(start_paused = true)]
async fn slow_answers_lower_concurrency_until_slow_is_usual() {
    let mut harness = generous();
    harness.settings.max_batch = 1;
    (0..500).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    harness
        .until(MINUTE, "the most calls are in flight", || harness.ledger.counts().in_flight == 16)
        .await;
    harness.until(MINUTE, "some are delivered", || harness.ledger.counts().delivered > 100).await;
    *harness.hubspot.latency.lock().expect("not poisoned") = Duration::from_secs(3);
    harness.until(MINUTE, "fewer are in flight", || harness.ledger.counts().in_flight <= 8).await;
    harness
        .until(10 * MINUTE, "as many as before", || harness.ledger.counts().in_flight == 16)
        .await;
    assert!(harness.ledger.counts().pending > 0, "all the while there was something to send");
    harness.drained(10 * MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn exhausted_daily_limit_pauses_until_calls_are_left() {
    let mut harness = generous();
    harness.settings.max_batch = 1;
    harness.hubspot.emulator().set_daily_limit(Some(1_000));
    (0..4).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    harness.drained(MINUTE).await;
    // One of the five checked the account.
    assert_eq!(harness.ledger.status().daily_remaining, Some(995));
    // Other apps use up the day's calls.
    harness.hubspot.emulator().set_daily_limit(Some(0));
    (0..4).for_each(|_| harness.ledger.add("Webinar"));
    let paused = || {
        let pause = harness.ledger.status().paused;
        pause.is_some_and(|pause| pause.reason == PauseReason::DailyLimit)
    };
    harness.until(MINUTE, "the day is used up", paused).await;
    assert_eq!(harness.ledger.counts().delivered, 4);
    assert_eq!(harness.ledger.status().daily_remaining, Some(0));
    harness.hubspot.emulator().set_daily_limit(Some(1_000));
    let asked = upserts(&harness);
    let took = harness.drained(Duration::from_mins(11)).await;
    assert!(took > Duration::from_mins(9), "it is probed every ten minutes: {took:?}");
    assert_eq!(upserts(&harness), asked + 4);
    assert_eq!(harness.ledger.status().paused, None);
    assert_eq!(harness.ledger.status().daily_remaining, Some(996));
}

/// A stop does not wait for the rate limit: pending events are in the ledger.
#[tokio::test(start_paused = true)]
async fn full_window_does_not_delay_a_stop() {
    let rate = (2, Duration::from_hours(1));
    let mut harness =
        DeliveryHarness::new(EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) });
    harness.settings.rate_limit = RateLimit { requests: 2, window: rate.1 };
    harness.settings.max_batch = 1;
    (0..3).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    harness.until(MINUTE, "the window is full", || harness.ledger.counts().delivered == 1).await;
    let began = tokio::time::Instant::now();
    harness.stop().await;
    assert!(began.elapsed() < MINUTE);
    assert_eq!(harness.ledger.counts().pending, 2);
}

/// Other clients may use the account's limit too: the first answer shows how much of it is left.
#[tokio::test(start_paused = true)]
async fn first_call_of_an_account_goes_alone() {
    let account =
        generous().account(AccountCredentials::Token(Secret::Text(TOKEN.to_owned().into())));
    let _first = account.rate_limiter.try_acquire().expect("the window is free");
    assert!(matches!(account.rate_limiter.try_acquire(), Err(PermitWait::ForResponse)));
}

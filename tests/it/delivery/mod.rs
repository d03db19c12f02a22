//! Delivery against an emulated HubSpot, on virtual time: how many calls it makes, and when.

mod account_check;
mod missing_results;
mod poison_events;

use std::time::Duration;

use webinar_bridge::event::{PauseReason, StatusChange};
use webinar_bridge::hubspot::RateLimit;
use webinar_bridge::ledger::EventState;
use webinar_bridge::sandbox::emulator::{
    EmulatorFault, EmulatorOperation, EmulatorSettings, TransportFault,
};

use crate::harness::delivery::DeliveryHarness;
use crate::harness::process::TOKEN;
use crate::harness::tell;

const MINUTE: Duration = Duration::from_mins(1);

/// A HubSpot whose window is in nobody's way.
fn generous() -> DeliveryHarness {
    let rate = (100_000, Duration::from_secs(10));
    DeliveryHarness::new(EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) })
}

fn upserts(rig: &DeliveryHarness) -> usize {
    rig.hubspot.calls(EmulatorOperation::Upsert)
}

#[tokio::test(start_paused = true)]
async fn one_culprit_among_a_hundred_costs_at_most_fourteen_calls_wherever_it_is() {
    let mut worst = 0;
    for culprit in 0..100 {
        let mut rig = generous();
        rig.hubspot.emulator().inject_standing(EmulatorFault::RejectNames("poison".into()));
        for at in 0..100 {
            rig.ledger.add(if at == culprit { "poison" } else { "Webinar" });
        }
        rig.start();
        rig.drained(MINUTE).await;
        let counts = rig.ledger.counts();
        assert_eq!((counts.delivered, counts.dead), (99, 1), "culprit at {culprit}");
        assert_eq!(rig.ledger.rows()[culprit].state, EventState::Dead);
        assert_eq!(rig.hubspot.emulator().events().len(), 99);
        // 2 x log2(100) is 13.3: a hundred are halved seven times.
        let extra = upserts(&rig) - 1;
        assert!(extra <= 14, "{extra} calls more for the culprit at {culprit}");
        worst = worst.max(extra);
    }
    tell(&format!("one culprit in a batch of 100: at most {worst} calls more"));
}

#[tokio::test(start_paused = true)]
async fn seven_bad_among_a_thousand_are_found_and_the_others_delivered() {
    // The dearest placement: seven different batches, each first in its own.
    for places in [[0, 100, 200, 300, 400, 500, 600], [3, 4, 5, 250, 251, 700, 999]] {
        let mut rig = generous();
        rig.hubspot.emulator().inject_standing(EmulatorFault::RejectNames("poison".into()));
        for at in 0..1_000 {
            rig.ledger.add(if places.contains(&at) { "poison" } else { "Webinar" });
        }
        rig.start();
        rig.drained(MINUTE).await;
        let counts = rig.ledger.counts();
        assert_eq!((counts.delivered, counts.dead), (993, 7));
        let calls = rig.hubspot.emulator().calls().len();
        assert!(calls < 130, "{calls} calls");
        tell(&format!("7 bad among 1,000 at {places:?}: {calls} calls"));
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_in_halves_nothing_leaves_once_an_operator_pauses_the_account() {
    let settings =
        EmulatorSettings { rate: (2, Duration::from_secs(10)), ..EmulatorSettings::new(TOKEN) };
    let mut rig = DeliveryHarness::new(settings);
    rig.hubspot.emulator().inject_standing(EmulatorFault::RejectNames("poison".into()));
    (0..7).for_each(|_| rig.ledger.add("Webinar"));
    rig.ledger.add("poison");
    rig.start();
    rig.until(MINUTE, "it is sent whole", || upserts(&rig) == 1).await;
    // Its halves wait for the window.
    rig.ledger.change_status(&StatusChange::Paused);
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(upserts(&rig), 1);
    let counts = rig.ledger.counts();
    assert_eq!((counts.pending, counts.in_flight), (8, 0));
    rig.ledger.change_status(&StatusChange::Resumed);
    rig.drained(2 * MINUTE).await;
    let counts = rig.ledger.counts();
    assert_eq!((counts.delivered, counts.dead), (7, 1));
}

/// However the answers of calls side by side fall, and however long it takes to write down what they say.
#[tokio::test(start_paused = true)]
async fn an_account_that_refuses_everything_blames_no_event() {
    for slowness in (0..40).map(|n| Duration::from_millis(n * 10)) {
        let mut rig = generous();
        rig.settings.max_batch = 1;
        *rig.ledger.slowness.lock().expect("not poisoned") = slowness;
        rig.hubspot.emulator().inject_standing(EmulatorFault::RejectNames(String::new()));
        (0..60).for_each(|_| rig.ledger.add("Innocent"));
        rig.start();
        rig.until(MINUTE, "it is paused", || rig.ledger.status().paused.is_some()).await;
        rig.stop().await;
        let counts = rig.ledger.counts();
        assert_eq!((counts.pending, counts.dead), (60, 0), "{slowness:?}");
    }
}

/// Of `calls` that are due at once, `per_window` go at once, and as many one window later, and so on.
fn windows_own_time(calls: u32, per_window: u32, window: Duration) -> Duration {
    window * ((calls - 1) / per_window)
}

#[tokio::test(start_paused = true)]
async fn a_backlog_drains_at_the_windows_speed_without_a_429() {
    let (per_window, window) = (20, Duration::from_secs(2));
    let settings = EmulatorSettings { rate: (per_window, window), ..EmulatorSettings::new(TOKEN) };
    let mut rig = DeliveryHarness::new(settings);
    rig.start();
    // Whose account it is has been asked, and the window is empty again.
    rig.ledger.add("The first");
    rig.drained(MINUTE).await;
    tokio::time::sleep(2 * window).await;
    let before = rig.hubspot.emulator().calls().len();
    (0..6_000).for_each(|_| rig.ledger.add("Webinar"));
    let took = rig.drained(MINUTE).await;
    let calls = rig.hubspot.emulator().calls().len() - before;
    assert_eq!(calls, 60);
    let ideal = windows_own_time(60, per_window, window);
    tell(&format!("6,000 events at 20 calls in 2 s: {took:?}, the window's own time is {ideal:?}"));
    assert!(took <= ideal.mul_f64(1.1), "{took:?} where {ideal:?} is the least");
    assert!(rig.hubspot.emulator().calls().iter().all(|call| call.status == 200));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_at_the_start_costs_one_call_more() {
    let (per_window, window) = (20, Duration::from_secs(2));
    let settings = EmulatorSettings { rate: (per_window, window), ..EmulatorSettings::new(TOKEN) };
    let mut rig = DeliveryHarness::new(settings);
    (0..6_000).for_each(|_| rig.ledger.add("Webinar"));
    rig.start();
    let took = rig.drained(MINUTE).await;
    let calls = rig.hubspot.emulator().calls().len();
    assert_eq!(calls, 61, "the question whose account it is, and sixty batches");
    let ideal = windows_own_time(61, per_window, window);
    assert!(took <= ideal.mul_f64(1.1), "{took:?} where {ideal:?} is the least");
    assert!(rig.hubspot.emulator().calls().iter().all(|call| call.status == 200));
}

/// Failures make calls fewer, and answers make them more again.
#[tokio::test(start_paused = true)]
async fn an_account_that_failed_gets_back_to_full_speed() {
    let mut rig = generous();
    rig.settings.max_batch = 1;
    let reset = || EmulatorFault::Transport { fault: TransportFault::Reset, stored: true };
    (0..40).for_each(|_| rig.hubspot.emulator().inject(reset()));
    (0..2_000).for_each(|_| rig.ledger.add("Webinar"));
    rig.start();
    rig.drained(10 * MINUTE).await;
    assert_eq!(rig.ledger.counts().delivered, 2_000);
    // At the end as many are in flight as may be: all of them arrive within the time of one.
    let emulator = rig.hubspot.emulator();
    let calls: Vec<_> = emulator.calls().iter().map(|call| call.at).collect();
    let most = calls.iter().map(|at| calls.iter().filter(|other| *other == at).count()).max();
    assert_eq!(most, Some(rig.settings.max_in_flight));
}

#[tokio::test(start_paused = true)]
async fn slow_answers_make_calls_fewer_until_slow_is_usual() {
    let mut rig = generous();
    rig.settings.max_batch = 1;
    (0..500).for_each(|_| rig.ledger.add("Webinar"));
    rig.start();
    rig.until(MINUTE, "all that may be are in flight", || rig.ledger.counts().in_flight == 16)
        .await;
    rig.until(MINUTE, "some are delivered", || rig.ledger.counts().delivered > 100).await;
    *rig.hubspot.latency.lock().expect("not poisoned") = Duration::from_secs(3);
    rig.until(MINUTE, "fewer are in flight", || rig.ledger.counts().in_flight <= 8).await;
    rig.until(10 * MINUTE, "as many as before", || rig.ledger.counts().in_flight == 16).await;
    assert!(rig.ledger.counts().pending > 0, "all the while there was something to send");
    rig.drained(10 * MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn the_days_calls_are_shown_and_waited_for() {
    let mut rig = generous();
    rig.settings.max_batch = 1;
    rig.hubspot.emulator().set_daily_limit(Some(1_000));
    (0..4).for_each(|_| rig.ledger.add("Webinar"));
    rig.start();
    rig.drained(MINUTE).await;
    // One of the five asked whose account it is.
    assert_eq!(rig.ledger.status().daily_remaining, Some(995));
    // Other apps use the day up.
    rig.hubspot.emulator().set_daily_limit(Some(0));
    (0..4).for_each(|_| rig.ledger.add("Webinar"));
    let paused = || {
        let pause = rig.ledger.status().paused;
        pause.is_some_and(|pause| pause.reason == PauseReason::DailyLimit)
    };
    rig.until(MINUTE, "the day is used up", paused).await;
    assert_eq!(rig.ledger.counts().delivered, 4);
    assert_eq!(rig.ledger.status().daily_remaining, Some(0));
    rig.hubspot.emulator().set_daily_limit(Some(1_000));
    let asked = upserts(&rig);
    let took = rig.drained(Duration::from_mins(11)).await;
    assert!(took > Duration::from_mins(9), "it is asked again every ten minutes: {took:?}");
    assert_eq!(upserts(&rig), asked + 4);
    assert_eq!(rig.ledger.status().paused, None);
    assert_eq!(rig.ledger.status().daily_remaining, Some(996));
}

/// A full window keeps nobody who wants to stop: what is pending is in the ledger.
#[tokio::test(start_paused = true)]
async fn a_full_window_does_not_keep_a_stop_waiting() {
    let rate = (2, Duration::from_hours(1));
    let mut rig = DeliveryHarness::new(EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) });
    rig.settings.rate_limit = RateLimit { requests: 2, window: rate.1 };
    rig.settings.max_batch = 1;
    (0..3).for_each(|_| rig.ledger.add("Webinar"));
    rig.start();
    rig.until(MINUTE, "the window is full", || rig.ledger.counts().delivered == 1).await;
    let began = tokio::time::Instant::now();
    rig.stop().await;
    assert!(began.elapsed() < MINUTE);
    assert_eq!(rig.ledger.counts().pending, 2);
}

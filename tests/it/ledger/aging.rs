//! Clocks that are set back, receipts from the future, and for how long events are kept.

use std::time::Duration;

use webinar_bridge::event::{
    AccountFailure, Change, Millis, PauseReason, RetryWait, RunChange, RunPhase, StatusChange,
    WebinarFields,
};
use webinar_bridge::ledger::{
    ClaimResult, EventStateCounts, FetchBlame, FetchOutcome, Ledger, NewReceipt, Policies,
    Retention,
};

use super::back_end::BackEnd;
use super::contract::*;
use super::delivery::{leave_uncounted, pass_a_minute};
use super::fetching::{always, due, due_ids, settle as settle_fetch, want};
use super::{NOW, begin_attempt, claim, confirmed, counts, input, lease, settle};
use crate::harness::build::{NOON, account, created, minutes, policies, receipt, renamed};

const DAY: Duration = Duration::from_hours(24);
const KEEP: Retention = Retention { receipts: Duration::from_hours(720), events: DAY };

fn failure(wait: Duration, pause: Option<PauseReason>) -> StatusChange {
    let pause = pause.map(|reason| (reason, String::new()));
    let failure = AccountFailure { pause, wait: RetryWait::Fixed(wait), error: "503".into() };
    StatusChange::Failed { failure, daily_remaining: None }
}

async fn retry_at(ledger: &impl Ledger) -> Option<Millis> {
    ledger.account_status(&account("main")).await.expect("a status").retry_at
}

/// Whether it is that time, up to the time that passes during the test.
fn is_near(at: Option<Millis>, expected: Millis) -> bool {
    at.is_some_and(|at| at.distance(expected) < Duration::from_secs(10))
}

/// A ledger in which an event, an account and a fetch wait for a minute.
async fn waiting<B: BackEnd>(back_end: &B) -> B::Ledger {
    let ledger = back_end.open_inline(policies());
    leave_uncounted(&ledger).await;
    let change = failure(Duration::from_mins(1), None);
    ledger.update_status(&account("main"), change).await.expect("stored");
    want(&ledger, vec![always("1")]).await;
    let reason = "503".to_owned();
    let later = FetchOutcome::Retry { not_before: minutes(1), reason, blame: FetchBlame::Webinar };
    settle_fetch(&ledger, &due(&ledger).await[0], later).await;
    ledger
}

/// B10: set back by an hour amid a wait of a minute, which is over a minute later all the same.
pub(super) async fn waits_go_on_as_decided_after_the_clock_was_set_back<B: BackEnd>() {
    tokio::time::pause();
    let back_end = B::new();
    let ledger = waiting(&back_end).await;
    back_end.clock().set(minutes(-60));
    ledger.run_timers(10).await.expect("looked");
    assert!(is_near(retry_at(&ledger).await, minutes(-59)));
    let watched = ledger.watch_status(&account("main")).borrow().retry_at;
    assert!(is_near(watched, minutes(-59)), "{watched:?}");
    assert!(due_ids(&ledger).await.is_empty(), "it waits");
    assert!(matches!(
        ledger.claim(&lease(&ledger).await, NOW).await.expect("looked"),
        ClaimResult::Wait(at) if is_near(at, minutes(-59))
    ));
    pass_a_minute(&back_end).await;
    assert_eq!(due_ids(&ledger).await, ["1"]);
    let batch = claim(&ledger, NOW).await;
    begin_attempt(&ledger, &batch).await;
    settle(&ledger, &batch, confirmed).await;
    assert_eq!(ledger.run_timers(10).await.expect("looked").done, 0);
    pass_a_minute(&back_end).await;
    assert_eq!(ledger.run_timers(10).await.expect("looked").done, 1, "it is sent a second time");
}

/// B10: set back while nothing ran.
pub(super) async fn waits_that_are_read_at_the_start_are_cut<B: BackEnd>() {
    let back_end = B::new();
    drop(waiting(&back_end).await);
    back_end.clock().set(minutes(-600));
    let ledger = back_end.open(policies());
    assert_eq!(retry_at(&ledger).await, Some(minutes(-599)));
    assert!(due_ids(&ledger).await.is_empty() && claim(&ledger, NOW).await.is_empty());
    back_end.clock().set(minutes(-590));
    assert_eq!(claim(&ledger, NOW).await.len(), 1);
    back_end.clock().set(minutes(-240));
    assert_eq!(due_ids(&ledger).await, ["1"]);
}

async fn comes(ledger: &impl Ledger, seed: &str, at: Millis, changes: Vec<Change>) {
    let received = NewReceipt { received_at: at, ..receipt(seed, changes) };
    ledger.accept(received).await.expect("stored");
}

async fn prune<B: BackEnd>(back_end: &B, ledger: &impl Ledger, at: Millis, keep: Retention) {
    back_end.clock().set(at);
    while ledger.prune(keep).await.expect("pruned") {}
}

/// B11: receipts dated a year ahead stopped pruning for a year.
pub(super) async fn receipts_from_the_future_do_not_stop_pruning<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let change = |n: u32| vec![renamed("1", &format!("Name {n}"), NOON)];
    for n in 0..1_100 {
        comes(&ledger, &format!("ahead {n}"), NOON.plus(365 * DAY), change(n)).await;
    }
    for n in 0..3 {
        comes(&ledger, &format!("right {n}"), NOON.plus(n * DAY), change(n)).await;
    }
    prune(&back_end, &ledger, NOON.plus(29 * DAY), KEEP).await;
    assert_eq!(back_end.row_counts().receipts, 1_103, "nothing is old enough");
    prune(&back_end, &ledger, NOON.plus(31 * DAY).plus(Duration::from_secs(1)), KEEP).await;
    assert_eq!(back_end.row_counts().receipts, 1, "those ahead are as old as their neighbours");
}

/// B11: a clock that was behind, and doubted, dates receipts long ago. They are as old as their neighbours.
pub(super) async fn receipts_of_a_doubted_clock_are_as_old_as_their_neighbours<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let change = |n: &str| vec![renamed("1", n, NOON)];
    back_end.clock().set_doubted(true);
    comes(&ledger, "behind", NOON.minus(4_000 * DAY), change("behind")).await;
    back_end.clock().set_doubted(false);
    prune(&back_end, &ledger, NOON, KEEP).await;
    assert_eq!(back_end.row_counts().receipts, 1, "nobody knows how old it is");
    comes(&ledger, "right", NOON, change("right")).await;
    prune(&back_end, &ledger, NOON.plus(29 * DAY), KEEP).await;
    assert_eq!(back_end.row_counts().receipts, 2);
    comes(&ledger, "late", NOON.plus(29 * DAY), change("late")).await;
    prune(&back_end, &ledger, NOON.plus(31 * DAY), KEEP).await;
    assert_eq!(back_end.row_counts().receipts, 1, "it is older than the one after it");
}

/// B5: an event to come without a known end was forgotten before it was held.
pub(super) async fn event_is_kept_until_a_day_after_its_start_without_an_end<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let mut endless = created("1", "One", NOON);
    endless.whole.start = Some(NOON.plus(10 * DAY));
    endless.whole.end = None;
    comes(&ledger, "a", NOON, vec![endless]).await;
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    for (at, kept) in [(9, 1), (11, 1), (12, 0)] {
        prune(&back_end, &ledger, NOON.plus(at * DAY).plus(Duration::from_secs(1)), KEEP).await;
        assert_eq!(back_end.row_counts().webinars, kept, "after {at} days");
    }
}

pub(super) async fn event_without_any_time_is_kept_for_400_days<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    comes(&ledger, "a", NOON, vec![renamed("1", "One", NOON)]).await;
    assert_eq!(counts(&ledger).await, EventStateCounts { incomplete: 1, ..Default::default() });
    for (at, kept) in [(399, 1), (401, 0)] {
        prune(&back_end, &ledger, NOON.plus(at * DAY), KEEP).await;
        assert_eq!(back_end.row_counts().webinars, kept, "after {at} days");
    }
}

/// A change of the configuration is no change of an event.
pub(super) async fn changed_defaults_do_not_keep_past_events_for_longer<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    comes(&ledger, "a", NOON, vec![created("1", "One", NOON)]).await;
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    drop(ledger);
    let mut changed = policies();
    changed.get_mut("zoom").expect("there").organizer = Some("Other".into());
    back_end.clock().set(NOON.plus(5 * DAY));
    let ledger = back_end.open(changed);
    assert!(!ledger.prune(KEEP).await.expect("pruned"));
    assert_eq!(back_end.row_counts().webinars, 1, "its dates are derived again first");
    while ledger.run_timers(10).await.expect("looked").next_due == Some(NOON.plus(5 * DAY)) {}
    prune(&back_end, &ledger, NOON.plus(5 * DAY), KEEP).await;
    assert_eq!(back_end.row_counts().webinars, 0);
}

fn timed() -> Policies {
    let mut timed = policies();
    timed.get_mut("zoom").expect("there").complete_after_end = Some(Duration::from_mins(30));
    timed
}

/// What is sent next of the only event; it is confirmed.
async fn sent(ledger: &impl Ledger) -> serde_json::Value {
    let batch = claim(ledger, NOW).await;
    assert_eq!(batch.len(), 1);
    settle(ledger, &batch, confirmed).await;
    input(&batch[0])
}

/// B4b, M18: a clock that was ahead completes nothing for good. The event begins a day after noon, for an hour.
pub(super) async fn completion_by_a_clock_that_was_ahead_is_taken_back<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(timed());
    comes(&ledger, "a", NOON, vec![created("1", "One", NOON)]).await;
    assert_eq!(sent(&ledger).await["eventCompleted"], false);
    back_end.clock().set(NOON.plus(10 * DAY));
    ledger.run_timers(10).await.expect("looked");
    assert_eq!(sent(&ledger).await["eventCompleted"], true);
    back_end.clock().set(minutes(1));
    assert_eq!(ledger.run_timers(10).await.expect("looked").done, 1);
    assert_eq!(sent(&ledger).await["eventCompleted"], false);
    let due = ledger.run_timers(10).await.expect("looked");
    assert_eq!((due.done, due.next_due), (0, Some(minutes(24 * 60 + 90))));
    back_end.clock().set(minutes(24 * 60 + 90));
    ledger.run_timers(10).await.expect("looked");
    assert_eq!(sent(&ledger).await["eventCompleted"], true);
}

/// A ledger whose only event, which begins a day after noon for an hour, is to be sent as completed: its timer ran out by
/// a clock that read `by`.
async fn unsent_completion<B: BackEnd>(back_end: &B, by: Millis) -> B::Ledger {
    let ledger = back_end.open(timed());
    comes(&ledger, "a", NOON, vec![created("1", "One", NOON)]).await;
    assert_eq!(sent(&ledger).await["eventCompleted"], false);
    back_end.clock().set(by);
    assert_eq!(ledger.run_timers(10).await.expect("looked").done, 1);
    assert_eq!(counts(&ledger).await.pending, 1);
    ledger
}

/// M10, M18: HubSpot was not reached until the next start.
pub(super) async fn unsent_completion_is_derived_again_before_it_is_sent<B: BackEnd>() {
    // The end is to come, is past while the timer is not, and both are past.
    for (now, is_completed) in [(1, false), (25 * 60 + 10, false), (26 * 60, true)] {
        let back_end = B::new();
        drop(unsent_completion(&back_end, NOON.plus(10 * DAY)).await);
        back_end.clock().set(minutes(now));
        let ledger = back_end.open(timed());
        assert!(claim(&ledger, NOW).await.is_empty(), "{now}: it was derived by another clock");
        assert_eq!(ledger.run_timers(10).await.expect("looked").done, 1);
        assert_eq!(sent(&ledger).await["eventCompleted"], is_completed, "{now}");
        assert_eq!(ledger.run_timers(10).await.expect("looked").done, 0);
    }
    let back_end = B::new();
    let ledger = unsent_completion(&back_end, NOON.plus(10 * DAY)).await;
    back_end.clock().set(minutes(1));
    want(&ledger, vec![always("1")]).await;
    assert!(claim(&ledger, NOW).await.is_empty(), "the clock was set back");
    ledger.run_timers(10).await.expect("looked");
    assert_eq!(sent(&ledger).await["eventCompleted"], false);
}

/// M10: a doubted clock completes nothing, and everything else goes on.
pub(super) async fn unsent_completion_is_taken_back_while_the_clock_is_doubted<B: BackEnd>() {
    for restarts in [true, false] {
        let back_end = B::new();
        let mut ledger = unsent_completion(&back_end, NOON.plus(3 * DAY)).await;
        back_end.clock().set_doubted(true);
        if restarts {
            drop(ledger);
            ledger = back_end.open(timed());
            assert!(claim(&ledger, NOW).await.is_empty());
        }
        ledger.run_timers(10).await.expect("looked");
        assert_eq!(sent(&ledger).await["eventCompleted"], false, "restarts: {restarts}");
        back_end.clock().set_doubted(false);
        ledger.run_timers(10).await.expect("looked");
        assert_eq!(sent(&ledger).await["eventCompleted"], true, "restarts: {restarts}");
        // What HubSpot confirmed stays.
        back_end.clock().set_doubted(true);
        ledger.run_timers(10).await.expect("looked");
        assert!(claim(&ledger, NOW).await.is_empty(), "restarts: {restarts}");
    }
}

/// M18: the service was off while the timer ran out, and for as long as events are kept.
pub(super) async fn event_is_kept_until_its_timer_has_run<B: BackEnd>() {
    for after_end in [Duration::from_mins(30), 10 * DAY] {
        let back_end = B::new();
        let mut policies = timed();
        policies.get_mut("zoom").expect("there").complete_after_end = Some(after_end);
        let ledger = back_end.open(policies);
        comes(&ledger, "a", NOON, vec![created("1", "One", NOON)]).await;
        assert_eq!(sent(&ledger).await["eventCompleted"], false);
        if after_end > 2 * DAY {
            prune(&back_end, &ledger, NOON.plus(11 * DAY), KEEP).await;
            assert_eq!(back_end.row_counts().webinars, 1, "its timer is to run out");
        }
        prune(&back_end, &ledger, NOON.plus(40 * DAY), KEEP).await;
        assert_eq!(back_end.row_counts().webinars, 1, "{after_end:?}: its timer ran out");
        ledger.run_timers(10).await.expect("looked");
        prune(&back_end, &ledger, NOON.plus(45 * DAY), KEEP).await;
        assert_eq!(sent(&ledger).await["eventCompleted"], true, "{after_end:?}");
        prune(&back_end, &ledger, NOON.plus(45 * DAY), KEEP).await;
        assert_eq!(back_end.row_counts().webinars, 0, "{after_end:?}");
    }
}

/// M18: what HubSpot confirmed as completed by a timer stays so without the timer, unless its end moves.
pub(super) async fn completion_that_was_confirmed_stays_without_its_timer<B: BackEnd>() {
    for is_confirmed in [true, false] {
        let back_end = B::new();
        let ledger = back_end.open(timed());
        comes(&ledger, "a", NOON, vec![created("1", "One", NOON)]).await;
        assert_eq!(sent(&ledger).await["eventCompleted"], false);
        back_end.clock().set(NOON.plus(3 * DAY));
        ledger.run_timers(10).await.expect("looked");
        if is_confirmed {
            assert_eq!(sent(&ledger).await["eventCompleted"], true);
        }
        drop(ledger);
        let ledger = back_end.open(policies());
        for (n, name) in ["Two", "Three"].into_iter().enumerate() {
            let at = minutes(i64::try_from(n).expect("small"));
            comes(&ledger, name, NOON.plus(3 * DAY), vec![renamed("1", name, at)]).await;
        }
        let input = sent(&ledger).await;
        assert_eq!(
            (&input["eventName"], &input["eventCompleted"]),
            (&"Three".into(), &is_confirmed.into())
        );
        let mut moved = renamed("1", "Three", minutes(5));
        moved.whole.start = Some(NOON.plus(9 * DAY));
        comes(&ledger, "moved", NOON.plus(3 * DAY), vec![moved]).await;
        assert_eq!(sent(&ledger).await["eventCompleted"], false, "it is still to come");
    }
}

/// M18: the platform's "ended" was lost.
pub(super) async fn webinar_that_began_is_completed_a_day_after_its_end<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let begins = NOON.plus(DAY);
    comes(&ledger, "a", NOON, vec![created("1", "One", NOON), created("2", "Two", NOON)]).await;
    let began = Change {
        whole: WebinarFields::default(),
        session: Some(RunChange {
            phase: RunPhase::Started,
            started_at: Some(begins),
            ended_at: None,
        }),
        ..renamed("1", "One", begins)
    };
    comes(&ledger, "b", begins, vec![began]).await;
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    back_end.clock().set(minutes(24 * 60 + 60 + 24 * 60 - 1));
    assert_eq!(ledger.run_timers(10).await.expect("looked").done, 0);
    back_end.clock().set(minutes(24 * 60 + 60 + 24 * 60));
    assert_eq!(ledger.run_timers(10).await.expect("looked").done, 1);
    let batch = claim(&ledger, NOW).await;
    assert_eq!(batch.len(), 1, "the other one never began");
    assert_eq!(input(&batch[0])["eventCompleted"], true);
}

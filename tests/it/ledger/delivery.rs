//! What goes out: claims, outcomes, and calls of which nobody knows the end.

use std::time::Duration;

use webinar_bridge::clock::Clock as _;
use webinar_bridge::ledger::{
    ClaimRequest, ClaimResult, ClaimedEvent, DeliveryOutcome, EventStateCounts, HubspotRefusal,
    Ledger, RecordResult, Settlement,
};

use crate::harness::build::{NOON, created, minutes, policies, receipt, renamed};
use crate::harness::events::AllEvents as _;
use webinar_bridge::event::{
    OccurrenceChange, OccurrenceId, OccurrenceListing, Shape, WebinarFields,
};

use super::back_end::BackEnd;
use super::contract::*;
use super::{NOW, begin_attempt, claim, confirmed, counts, input, lease, release, settle};

const MINUTE: Duration = Duration::from_mins(1);

pub(super) async fn claimed_event_is_not_claimed_again_until_it_is_settled<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let batch = claim(&ledger, NOW).await;
    assert_eq!(batch.len(), 1);
    assert!(claim(&ledger, NOW).await.is_empty());
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { in_flight: 1, ..EventStateCounts::default() }
    );
    release(&ledger, &batch).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let batch = claim(&ledger, NOW).await;
    settle(&ledger, &batch, confirmed).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
    assert!(claim(&ledger, NOW).await.is_empty());
}

pub(super) async fn old_version_confirmed_leaves_the_new_one_pending<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let old = claim(&ledger, NOW).await;
    ledger.accept(receipt("b", vec![renamed("1", "Two", NOON)])).await.expect("stored");
    settle(&ledger, &old, confirmed).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let new = claim(&ledger, NOW).await;
    assert_eq!(input(&new[0])["eventName"], "Two");
    assert_eq!(input(&new[0])["startDateTime"], minutes(24 * 60).to_string());
    assert!(new[0].version > old[0].version);
}

pub(super) async fn change_back_to_the_confirmed_state_is_sent_again<B: BackEnd>() {
    for answered in [true, false] {
        let back_end = B::new();
        let ledger = back_end.open(policies());
        ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
        settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
        back_end.clock().set(minutes(10));
        let later = |seed: &str, name: &str, at: i64| {
            let mut receipt = receipt(seed, vec![renamed("1", name, minutes(at))]);
            receipt.received_at = minutes(10);
            receipt
        };
        ledger.accept(later("b", "Two", 2)).await.expect("stored");
        let two = claim(&ledger, NOW).await;
        ledger.accept(later("c", "One", 3)).await.expect("stored");
        // Whether its answer came or got lost, HubSpot may now hold the change in between.
        if answered {
            settle(&ledger, &two, confirmed).await;
        } else {
            settle(&ledger, &two, || DeliveryOutcome::Ambiguous).await;
        }
        assert_eq!(
            counts(&ledger).await,
            EventStateCounts { pending: 1, ..EventStateCounts::default() },
            "{answered}"
        );
        let one = claim(&ledger, NOW).await;
        assert_eq!(input(&one[0])["eventName"], "One");
        assert!(!one[0].already_confirmed);
        settle(&ledger, &one, confirmed).await;
        assert_eq!(
            counts(&ledger).await,
            EventStateCounts { delivered: 1, ..EventStateCounts::default() }
        );
    }
}

pub(super) async fn batch_that_is_not_full_waits_for_its_linger<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let ask = ClaimRequest { limit: 2, linger: Duration::from_mins(1), ..NOW };
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    match ledger.claim(&lease(&ledger).await, ask.clone()).await.expect("a claim") {
        ClaimResult::Wait(at) => assert_eq!(at, Some(minutes(1))),
        ClaimResult::Batch(batch) => panic!("too early: {batch:?}"),
        ClaimResult::LeaseLost => panic!("nobody else has the lease"),
    }
    ledger.accept(receipt("b", vec![created("2", "Two", NOON)])).await.expect("stored");
    assert_eq!(claim(&ledger, ask.clone()).await.len(), 2, "full");
    ledger.accept(receipt("c", vec![created("3", "Three", NOON)])).await.expect("stored");
    assert!(claim(&ledger, ask.clone()).await.is_empty());
    back_end.clock().set(minutes(1));
    assert_eq!(claim(&ledger, ask).await.len(), 1, "its time came");
}

pub(super) async fn claim_takes_the_oldest_and_no_external_id_twice<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    for (seed, id, minute) in [("a", "7", 2), ("b", "8", 1), ("c", "9", 3)] {
        let mut new = receipt(seed, vec![created(id, "Same", NOON)]);
        new.received_at = minutes(minute);
        ledger.accept(new).await.expect("stored");
    }
    let mut twin = created("7", "Twin", NOON);
    twin.account = Some(webinar_bridge::event::ExternalAccountId::parse("acct-2").expect("valid"));
    ledger.accept(receipt("d", vec![twin])).await.expect("stored");
    back_end.clock().set(minutes(5));
    let ids = |batch: &[ClaimedEvent]| -> Vec<String> {
        batch.iter().map(|c| c.key.external_event_id.to_string()).collect()
    };
    let first = claim(&ledger, NOW).await;
    assert_eq!(ids(&first), ["7", "8", "9"]);
    assert_eq!(first[0].key.external_account_id.as_str(), "acct-2", "the oldest of the two");
    let second = claim(&ledger, NOW).await;
    assert_eq!(ids(&second), ["7"]);
}

pub(super) async fn refused_event_is_dead_until_it_changes<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let refused = HubspotRefusal {
        status: 400,
        category: "VALIDATION_ERROR".into(),
        message: "no".into(),
        correlation_id: Some("c-1".into()),
    };
    let words = refused.clone();
    settle(&ledger, &claim(&ledger, NOW).await, move || DeliveryOutcome::Refused(words.clone()))
        .await;
    assert_eq!(counts(&ledger).await, EventStateCounts { dead: 1, ..EventStateCounts::default() });
    assert_eq!(ledger.all_events().await.expect("events")[0].refused, Some(refused));
    ledger.accept(receipt("b", vec![renamed("1", "Two", NOON)])).await.expect("stored");
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
}

pub(super) async fn refusal_of_an_old_version_leaves_the_new_one_pending<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let old = claim(&ledger, NOW).await;
    ledger.accept(receipt("b", vec![renamed("1", "Two", NOON)])).await.expect("stored");
    let words = HubspotRefusal {
        status: 400,
        category: "X".into(),
        message: String::new(),
        correlation_id: None,
    };
    settle(&ledger, &old, move || DeliveryOutcome::Refused(words.clone())).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    assert_eq!(claim(&ledger, NOW).await.len(), 1);
}

/// M10: the clock may be set between the answer and its recording.
pub(super) async fn wait_of_a_retry_counts_from_its_recording<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let batch = claim(&ledger, NOW).await;
    back_end.clock().set(minutes(-720));
    let again =
        || DeliveryOutcome::RetryCounted { wait: Duration::from_mins(5), reason: "no".into() };
    settle(&ledger, &batch, again).await;
    match ledger.claim(&lease(&ledger).await, NOW).await.expect("a claim") {
        ClaimResult::Wait(at) => assert_eq!(at, Some(minutes(-715))),
        ClaimResult::Batch(batch) => panic!("too early: {batch:?}"),
        ClaimResult::LeaseLost => panic!("nobody else has the lease"),
    }
}

pub(super) async fn counted_retry_waits_for_its_time<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let again =
        || DeliveryOutcome::RetryCounted { wait: Duration::from_mins(5), reason: "timeout".into() };
    settle(&ledger, &claim(&ledger, NOW).await, again).await;
    match ledger.claim(&lease(&ledger).await, NOW).await.expect("a claim") {
        ClaimResult::Wait(at) => assert_eq!(at, Some(minutes(5))),
        ClaimResult::Batch(batch) => panic!("too early: {batch:?}"),
        ClaimResult::LeaseLost => panic!("nobody else has the lease"),
    }
    back_end.clock().set(minutes(5));
    assert_eq!(claim(&ledger, NOW).await.len(), 1);
}

pub(super) async fn ambiguous_call_sends_the_present_state_twice<B: BackEnd>() {
    tokio::time::pause();
    let back_end = B::new();
    let ledger = back_end.open_inline(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let batch = claim(&ledger, NOW).await;
    begin_attempt(&ledger, &batch).await;
    settle(&ledger, &batch, || DeliveryOutcome::Ambiguous).await;
    // At once,
    let batch = claim(&ledger, NOW).await;
    assert_eq!(batch.len(), 1);
    begin_attempt(&ledger, &batch).await;
    settle(&ledger, &batch, confirmed).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
    let due = ledger.run_timers(100).await.expect("looked");
    assert_eq!((due.done, due.next_due), (0, Some(minutes(2))));
    // and when the first can no longer land; also if the process was another meanwhile, which waits anew.
    drop(ledger);
    let ledger = back_end.open_inline(policies());
    pass_a_minute(&back_end).await;
    assert_eq!(ledger.run_timers(100).await.expect("looked").done, 0);
    pass_a_minute(&back_end).await;
    assert_eq!(ledger.run_timers(100).await.expect("looked").done, 1);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let again = claim(&ledger, NOW).await;
    assert_eq!(again[0].input, batch[0].input);
    begin_attempt(&ledger, &again).await;
    settle(&ledger, &again, confirmed).await;
    let due = ledger.run_timers(100).await.expect("looked");
    assert_eq!((due.done, due.next_due), (0, None));
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
}

/// A minute passes by both clocks. What the monotonic clock does not show is a step of the clock, which second sendings do
/// not follow.
pub(super) async fn pass_a_minute<B: BackEnd>(back_end: &B) {
    back_end.clock().set(back_end.clock().now().plus(MINUTE));
    tokio::time::advance(MINUTE).await;
}

/// A step of the clock does not bring the second sending before the call can have landed.
pub(super) async fn second_sending_waits_its_time_after_the_clock_was_set_ahead<B: BackEnd>() {
    tokio::time::pause();
    let back_end = B::new();
    let ledger = back_end.open_inline(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let at_it =
        || DeliveryOutcome::RetryUncounted { wait: Duration::ZERO, reason: "PENDING".into() };
    settle(&ledger, &claim(&ledger, NOW).await, at_it).await;
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    back_end.clock().set(minutes(60));
    let run = ledger.run_timers(10).await.expect("looked at");
    assert_eq!((run.done, run.next_due), (0, Some(minutes(62))));
    // Nor does a step while nothing runs: the wait begins again.
    drop(ledger);
    back_end.clock().set(minutes(90));
    let ledger = back_end.open_inline(policies());
    for done in [0, 0, 1] {
        assert_eq!(ledger.run_timers(10).await.expect("looked at").done, done);
        pass_a_minute(&back_end).await;
    }
}

/// An event whose call waits for a minute and is not counted.
pub(super) async fn leave_uncounted(ledger: &impl Ledger) {
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let batch = claim(ledger, NOW).await;
    begin_attempt(ledger, &batch).await;
    settle(ledger, &batch, || DeliveryOutcome::RetryUncounted {
        wait: Duration::from_mins(1),
        reason: "open".into(),
    })
    .await;
}

pub(super) async fn uncounted_retry_waits_and_is_sent_twice<B: BackEnd>() {
    tokio::time::pause();
    let back_end = B::new();
    let ledger = back_end.open_inline(policies());
    leave_uncounted(&ledger).await;
    assert!(matches!(
        ledger.claim(&lease(&ledger).await, NOW).await.expect("looked"),
        ClaimResult::Wait(Some(at)) if at == minutes(1)
    ));
    pass_a_minute(&back_end).await;
    let batch = claim(&ledger, NOW).await;
    assert_eq!(batch[0].attempts, 0);
    begin_attempt(&ledger, &batch).await;
    settle(&ledger, &batch, confirmed).await;
    let due = ledger.run_timers(100).await.expect("looked");
    assert_eq!((due.done, due.next_due), (0, Some(minutes(2))), "it may land until then");
}

pub(super) async fn counted_attempts_survive_a_restart_and_end_with_a_confirmation<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    for attempts in 0..3 {
        let batch = claim(&ledger, NOW).await;
        assert_eq!(batch[0].attempts, attempts);
        settle(&ledger, &batch, || DeliveryOutcome::RetryCounted {
            wait: Duration::ZERO,
            reason: "no".into(),
        })
        .await;
    }
    drop(ledger);
    let ledger = back_end.open(policies());
    let batch = claim(&ledger, NOW).await;
    assert_eq!(batch[0].attempts, 3);
    settle(&ledger, &batch, confirmed).await;
    let mut other = receipt("b", vec![renamed("1", "Two", minutes(1))]);
    other.received_at = minutes(1);
    ledger.accept(other).await.expect("stored");
    back_end.clock().set(minutes(1));
    assert_eq!(claim(&ledger, NOW).await[0].attempts, 0, "a confirmation starts the count again");
}

pub(super) async fn change_undone_before_it_was_sent_needs_no_call<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    ledger.accept(receipt("b", vec![renamed("1", "Two", NOON)])).await.expect("stored");
    let mut back = receipt("c", vec![renamed("1", "One", minutes(1))]);
    back.received_at = minutes(1);
    ledger.accept(back).await.expect("stored");
    back_end.clock().set(minutes(1));
    let batch = claim(&ledger, NOW).await;
    assert!(batch[0].already_confirmed);
    settle(&ledger, &batch, || DeliveryOutcome::AlreadyConfirmed).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
    // What HubSpot neither confirmed nor refused may have arrived all the same.
    let mut away = receipt("d", vec![renamed("1", "Three", minutes(2))]);
    away.received_at = minutes(2);
    ledger.accept(away).await.expect("stored");
    back_end.clock().set(minutes(2));
    let unclear =
        || DeliveryOutcome::RetryCounted { wait: Duration::ZERO, reason: "unclear".into() };
    settle(&ledger, &claim(&ledger, NOW).await, unclear).await;
    let mut back = receipt("e", vec![renamed("1", "One", minutes(3))]);
    back.received_at = minutes(3);
    ledger.accept(back).await.expect("stored");
    back_end.clock().set(minutes(3));
    assert!(!claim(&ledger, NOW).await[0].already_confirmed);
}

pub(super) async fn change_undone_during_an_ambiguous_call_is_sent<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    ledger.accept(receipt("b", vec![renamed("1", "Two", NOON)])).await.expect("stored");
    let two = claim(&ledger, NOW).await;
    begin_attempt(&ledger, &two).await;
    let mut back = renamed("1", "One", minutes(1));
    back.occurred_at = Some(minutes(1));
    let mut back = receipt("c", vec![back]);
    back.received_at = minutes(1);
    ledger.accept(back).await.expect("stored");
    // What HubSpot confirmed last is what it should hold, but "Two" may land yet.
    settle(&ledger, &two, || DeliveryOutcome::Ambiguous).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    back_end.clock().set(minutes(1));
    assert_eq!(input(&claim(&ledger, NOW).await[0])["eventName"], "One");
}

pub(super) async fn change_undone_after_a_failed_call_is_sent<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    ledger.accept(receipt("b", vec![renamed("1", "Two", NOON)])).await.expect("stored");
    let two = claim(&ledger, NOW).await;
    begin_attempt(&ledger, &two).await;
    // A 500 may come after "Two" was stored.
    settle(&ledger, &two, || DeliveryOutcome::NotApplied).await;
    let mut back = receipt("c", vec![renamed("1", "One", minutes(1))]);
    back.received_at = minutes(1);
    ledger.accept(back).await.expect("stored");
    back_end.clock().set(minutes(1));
    assert!(!claim(&ledger, NOW).await[0].already_confirmed);
}

pub(super) async fn unfinished_call_waits_and_is_sent_twice<B: BackEnd>() {
    tokio::time::pause();
    let back_end = B::new();
    let ledger = back_end.open_inline(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let at_it = || DeliveryOutcome::RetryUncounted {
        wait: Duration::from_mins(1),
        reason: "PENDING".into(),
    };
    settle(&ledger, &claim(&ledger, NOW).await, at_it).await;
    assert!(claim(&ledger, NOW).await.is_empty(), "it waits");
    pass_a_minute(&back_end).await;
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
    pass_a_minute(&back_end).await;
    assert_eq!(ledger.run_timers(10).await.expect("looked at").done, 1);
    assert_eq!(claim(&ledger, NOW).await.len(), 1);
}

pub(super) async fn crash_during_a_call_makes_it_ambiguous<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let batch = claim(&ledger, NOW).await;
    begin_attempt(&ledger, &batch).await;
    drop(ledger);
    let ledger = back_end.open(policies());
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let batch = claim(&ledger, NOW).await;
    begin_attempt(&ledger, &batch).await;
    settle(&ledger, &batch, confirmed).await;
    assert_eq!(ledger.run_timers(100).await.expect("looked").next_due, Some(minutes(2)));
}

pub(super) async fn call_that_was_not_applied_is_not_ambiguous<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let batch = claim(&ledger, NOW).await;
    begin_attempt(&ledger, &batch).await;
    settle(&ledger, &batch, || DeliveryOutcome::NotApplied).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    drop(ledger);
    let ledger = back_end.open(policies());
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    assert_eq!(ledger.run_timers(100).await.expect("looked").next_due, None);
}

pub(super) async fn event_that_becomes_incomplete_in_flight_is_counted_once<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let mut series = created("1", "One", NOON);
    series.shape = Some(Shape::Series);
    series.listing = OccurrenceListing::Full;
    let start = WebinarFields { start: Some(minutes(60)), ..WebinarFields::default() };
    let id = OccurrenceId::parse("a").expect("valid");
    series.occurrences = vec![OccurrenceChange { id, fields: start }];
    ledger.accept(receipt("a", vec![series])).await.expect("stored");
    ledger.accept(receipt("b", vec![created("2", "Two", NOON)])).await.expect("stored");
    let one = claim(&ledger, ClaimRequest { limit: 1, ..NOW }).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, in_flight: 1, ..EventStateCounts::default() }
    );
    let mut moved = renamed("1", "One", NOON);
    moved.listing = OccurrenceListing::Unknown;
    ledger.accept(receipt("c", vec![moved])).await.expect("stored");
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, incomplete: 1, ..EventStateCounts::default() }
    );
    settle(&ledger, &one, confirmed).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 2, ..EventStateCounts::default() },
        "what HubSpot holds is complete without its times"
    );
}

/// Inputs of single events do not count against the bytes of the batch that others share.
pub(super) async fn single_events_go_last_however_long_they_are<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    for n in 0..22 {
        let mut change = created(&n.to_string(), "Name", NOON);
        if n < 20 {
            change.whole.description = Some("d".repeat(60_000));
        }
        let mut new = receipt(&n.to_string(), vec![change]);
        new.received_at = minutes(n);
        ledger.accept(new).await.expect("stored");
    }
    back_end.clock().set(minutes(30));
    let mut claimed = Vec::new();
    loop {
        match claim(&ledger, NOW).await {
            batch if batch.is_empty() => break,
            batch => claimed.extend(batch),
        }
    }
    release(&ledger, &claimed).await;
    let all: Vec<i64> = claimed.iter().map(|claimed| claimed.id).collect();
    let ids = |batch: Vec<ClaimedEvent>| batch.iter().map(|claimed| claimed.id).collect::<Vec<_>>();
    let ask = |due| {
        let mut first: Vec<i64> = all[..20].iter().rev().copied().collect();
        let last = first.split_off(due);
        ClaimRequest { limit: 2, first, last, ..NOW }
    };
    assert_eq!(ids(claim(&ledger, ask(1)).await), [all[19]], "its turn");
    assert_eq!(ids(claim(&ledger, ask(0)).await), [all[20], all[21]]);
    assert_eq!(ids(claim(&ledger, ask(0)).await), [all[18]], "there is nothing else");
    assert_eq!(ids(claim(&ledger, ask(0)).await), [all[17]]);
}

/// Another process that takes the account over settles its events; the one before records nothing any more.
pub(super) async fn lost_lease_records_nothing<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    for id in ["1", "2"] {
        ledger.accept(receipt(id, vec![created(id, "One", NOON)])).await.expect("stored");
    }
    let old = lease(&ledger).await;
    let batch = claim(&ledger, NOW).await;
    if !back_end.take_lease_away(&ledger, old.account()) {
        return;
    }
    let versions: Vec<_> = batch.iter().map(ClaimedEvent::event_version).collect();
    let settlements =
        versions.iter().map(|event| Settlement { event: *event, outcome: confirmed() });
    let result = ledger.settle(&old, settlements.collect()).await.expect("answered");
    assert_eq!(result, RecordResult::LeaseLost);
    let started = ledger.begin_attempt(&old, &versions).await.expect("answered");
    assert_eq!(started, RecordResult::LeaseLost);
    let claimed = ledger.claim(&old, NOW).await.expect("answered");
    assert!(matches!(claimed, ClaimResult::LeaseLost));
    assert_eq!(ledger.acquire_lease(old.account()).await.expect("answered"), None);
    assert_eq!(counts(&ledger).await.delivered, 0);
}

/// The call may take effect after those of the next holder of the lease.
pub(super) async fn call_under_way_when_its_lease_is_lost_is_sent_twice<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let old = lease(&ledger).await;
    begin_attempt(&ledger, &claim(&ledger, NOW).await).await;
    if !back_end.take_lease_away(&ledger, old.account()) {
        return;
    }
    back_end.give_lease_back(&ledger, old.account());
    let batch = claim(&ledger, NOW).await;
    begin_attempt(&ledger, &batch).await;
    settle(&ledger, &batch, confirmed).await;
    assert_eq!(ledger.run_timers(100).await.expect("looked").next_due, Some(minutes(2)));
}

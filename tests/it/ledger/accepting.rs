//! What comes in: receipts, statuses of accounts, timers, and changed configuration.

use std::sync::Arc;
use std::time::Duration;

use webinar_bridge::event::{
    AccountFailure, AccountStatus, Change, Millis, OccurrenceChange, OccurrenceId,
    OccurrenceListing, Pause, PauseReason, ProviderId, RecurringMode, RetryWait, Shape, SourceName,
    StatusChange, WebinarFields,
};
use webinar_bridge::ledger::rules::orphans::ConfigRefused;
use webinar_bridge::ledger::sqlite::Rekey;
use webinar_bridge::ledger::{
    ClaimRequest, EventState, EventStateCounts, ReceiptContent, ReceiptOutcome, Retention,
};

use super::back_end::BackEnd;
use super::contract::*;
use super::{NOW, claim, confirmed, counts, input, settle};
use crate::harness::build::{
    NOON, account, created, minutes, policies, policy, receipt, renamed, source,
};
use crate::harness::events::AllEvents as _;

pub(super) async fn receipt_repeated_is_merged_once_and_counted_before_the_answer<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let first = receipt("a", vec![created("1", "One", NOON)]);
    assert_eq!(ledger.accept(first.clone()).await.expect("stored"), ReceiptOutcome::Accepted);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let again = receipt("a", vec![created("1", "One", NOON)]);
    assert_eq!(ledger.accept(again).await.expect("stored"), ReceiptOutcome::Duplicate);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
}

pub(super) async fn body_of_any_bytes_comes_back_unchanged<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let mut odd = receipt("a", Vec::new());
    odd.content = ReceiptContent::Quarantined("no id".into());
    odd.body = (0..=255).cycle().take(70_000).collect();
    let mut ignored = receipt("b", Vec::new());
    ignored.content = ReceiptContent::Ignored;
    ignored.body = Vec::new();
    let merged = receipt("c", vec![created("1", "One", NOON)]);
    let (first, second, third) = tokio::join!(
        ledger.accept(odd.clone()),
        ledger.accept(ignored.clone()),
        ledger.accept(merged.clone()),
    );
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    let kept = async |id| ledger.receipt(id).await.expect("read").expect("stored").record;
    let quarantined = kept(odd.id).await;
    assert_eq!(quarantined.body, Some(odd.body));
    assert_eq!(quarantined.summary.reason.as_deref(), Some("no id"));
    assert_eq!(quarantined.summary.outcome, ReceiptOutcome::Quarantined);
    assert_eq!(kept(ignored.id).await.body, None);
    assert_eq!(kept(merged.id).await.body, Some(merged.body));
}

pub(super) async fn incomplete_event_is_held_until_it_is_complete<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![renamed("1", "One", NOON)])).await.expect("stored");
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { incomplete: 1, ..EventStateCounts::default() }
    );
    let event = ledger.all_events().await.expect("events")[0].clone();
    assert_eq!(event.state, EventState::Incomplete);
    assert_eq!(event.gaps.len(), 3, "its base is unread; no full picture, and no shape");
    assert!(claim(&ledger, NOW).await.is_empty());
    ledger.accept(receipt("b", vec![created("1", "Old", minutes(-1))])).await.expect("stored");
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    assert_eq!(input(&claim(&ledger, NOW).await[0])["eventName"], "One");
}

pub(super) async fn crash_frees_claims_and_keeps_everything_else<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    ledger.accept(receipt("b", vec![created("2", "Two", NOON)])).await.expect("stored");
    let one = ClaimRequest { limit: 1, ..NOW };
    settle(&ledger, &claim(&ledger, one).await, confirmed).await;
    assert_eq!(claim(&ledger, NOW).await.len(), 1);
    let failure = AccountFailure {
        pause: Some((PauseReason::Forbidden, "a scope is missing".into())),
        wait: RetryWait::Fixed(Duration::from_mins(1)),
        error: "403".into(),
    };
    let change = StatusChange::Failed { failure, daily_remaining: Some(7) };
    for _ in 0..3 {
        ledger.update_status(&account("main"), change.clone()).await.expect("stored");
    }
    let status = AccountStatus {
        paused: Some(Pause {
            reason: PauseReason::Forbidden,
            since: NOON,
            detail: "a scope is missing".into(),
        }),
        retry_at: Some(minutes(1)),
        failures: 3,
        failing_since: Some(NOON),
        failed_at: Some(NOON),
        last_error: Some("403".into()),
        daily_remaining: Some(7),
        ..AccountStatus::default()
    };
    assert_eq!(ledger.account_status(&account("main")).await.expect("status"), status);
    drop(ledger);
    let ledger = back_end.open(policies());
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, delivered: 1, ..EventStateCounts::default() }
    );
    assert_eq!(claim(&ledger, NOW).await.len(), 1);
    assert_eq!(ledger.account_status(&account("main")).await.expect("status"), status);
    assert_eq!(*ledger.watch_status(&account("main")).borrow(), status);
    let known = receipt("a", vec![created("1", "One", NOON)]);
    assert_eq!(ledger.accept(known).await.expect("stored"), ReceiptOutcome::Duplicate);
}

pub(super) async fn changed_status_wakes_its_account_and_no_other<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let (main, other) = (account("main"), account("other"));
    let mut status = ledger.watch_status(&main);
    for change in [StatusChange::Paused, StatusChange::Resumed] {
        let (wake_up, others) = (ledger.wake_up(&main), ledger.wake_up(&other));
        let woken = wake_up.notified();
        tokio::pin!(woken);
        assert!(!woken.as_mut().enable(), "nothing has happened yet");
        let update = ledger.update_status(&main, change).await.expect("stored");
        assert!(woken.as_mut().enable(), "the account is woken");
        assert!(status.has_changed().expect("the store is open"));
        assert_eq!(*status.borrow_and_update(), update.after);
        let untold = others.notified();
        tokio::pin!(untold);
        assert!(!untold.as_mut().enable());
    }
    let unchanged = ledger.update_status(&main, StatusChange::Resumed).await.expect("stored");
    assert_eq!(unchanged.before, unchanged.after);
    assert!(!status.has_changed().expect("the store is open"));
}

pub(super) async fn receipt_that_cannot_be_merged_is_stored_whole<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    // Another provider may not change it, and what the same body holds of another webinar goes with it.
    let mut foreign = receipt("b", vec![created("2", "Two", NOON), renamed("1", "Evil", NOON)]);
    foreign.provider = ProviderId::new("goto");
    assert_eq!(ledger.accept(foreign).await.expect("stored"), ReceiptOutcome::Quarantined);
    let events = ledger.all_events().await.expect("events");
    assert_eq!(events.len(), 1);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let mut nameless = created("3", "Three", NOON);
    nameless.account = None;
    let nameless = receipt("c", vec![nameless]);
    assert_eq!(ledger.accept(nameless).await.expect("stored"), ReceiptOutcome::Quarantined);
    let mut odd = receipt("d", Vec::new());
    odd.content = ReceiptContent::Quarantined("no id".into());
    assert_eq!(ledger.accept(odd.clone()).await.expect("stored"), ReceiptOutcome::Quarantined);
    odd.content = ReceiptContent::Ignored;
    assert_eq!(ledger.accept(odd).await.expect("stored"), ReceiptOutcome::Duplicate);
}

pub(super) async fn receipts_accepted_at_once_are_all_stored<B: BackEnd>() {
    let back_end = B::new();
    let ledger = Arc::new(back_end.open(policies()));
    let tasks: Vec<_> = (0..300)
        .map(|n| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                let id = (n % 50).to_string();
                let change = created(&id, &format!("Name {n}"), minutes(-n));
                ledger.accept(receipt(&n.to_string(), vec![change])).await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("no panic").expect("stored"), ReceiptOutcome::Accepted);
    }
    assert_eq!(counts(&*ledger).await.pending, 50);
    let mut seen = Vec::new();
    loop {
        let batch = claim(&*ledger, ClaimRequest { limit: 20, ..NOW }).await;
        if batch.is_empty() {
            break;
        }
        assert!(batch.len() <= 20);
        seen.extend(batch.iter().map(|claimed| claimed.id));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 50);
}

pub(super) async fn accounts_do_not_see_each_others_events<B: BackEnd>() {
    let back_end = B::new();
    let mut both = policies();
    both.insert(SourceName::parse("zoom-2").expect("valid"), policy("other"));
    let ledger = back_end.open(both);
    let mut second = receipt("a", vec![created("1", "One", NOON)]);
    second.source = source("zoom-2");
    ledger.accept(second).await.expect("stored");
    assert!(claim(&ledger, NOW).await.is_empty());
    assert_eq!(ledger.event_counts().await.expect("read")[&account("other")].pending, 1);
    assert_eq!(ledger.oldest_pending(&account("other")).await.expect("read"), Some(NOON));
    assert_eq!(ledger.oldest_pending(&account("main")).await.expect("read"), None);
}

pub(super) async fn pruning_deletes_old_rows_and_keeps_pending_events<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    for n in 0..3 {
        let change = created(&n.to_string(), "Name", NOON);
        ledger.accept(receipt(&n.to_string(), vec![change])).await.expect("stored");
    }
    settle(&ledger, &claim(&ledger, ClaimRequest { limit: 2, ..NOW }).await, confirmed).await;
    let day = Duration::from_hours(24);
    let keep = Retention { receipts: 30 * day, events: 400 * day };
    assert!(!ledger.prune(keep).await.expect("pruned"));
    assert_eq!(counts(&ledger).await.delivered, 2);
    back_end.clock().set(Millis::new(NOON.get()).plus(402 * day));
    while ledger.prune(keep).await.expect("pruned") {}
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let again = receipt("0", vec![created("0", "Name", NOON)]);
    assert_eq!(ledger.accept(again).await.expect("stored"), ReceiptOutcome::Accepted, "forgotten");
}

pub(super) async fn timer_completes_an_event_once_and_moves_with_its_end<B: BackEnd>() {
    let back_end = B::new();
    let mut timed = policies();
    timed.get_mut("zoom").expect("there").complete_after_end = Some(Duration::from_mins(30));
    let ledger = back_end.open(timed);
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    let due = ledger.run_timers(100).await.expect("looked");
    assert_eq!((due.done, due.next_due), (0, Some(minutes(24 * 60 + 90))));
    back_end.clock().set(minutes(24 * 60 + 90));
    assert_eq!(ledger.run_timers(100).await.expect("looked").done, 1);
    let batch = claim(&ledger, NOW).await;
    assert_eq!(input(&batch[0])["eventCompleted"], true);
    let due = ledger.run_timers(100).await.expect("looked");
    assert_eq!((due.done, due.next_due), (0, None));
}

pub(super) async fn changed_defaults_reach_coming_events_but_not_past_ones<B: BackEnd>() {
    let back_end = B::new();
    let mut before = policies();
    before.get_mut("zoom").expect("there").organizer = None;
    let ledger = back_end.open(before);
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { incomplete: 1, ..EventStateCounts::default() }
    );
    drop(ledger);
    let ledger = back_end.open(policies());
    assert_eq!(
        ledger.run_timers(100).await.expect("looked").next_due,
        Some(NOON),
        "there may be more"
    );
    assert_eq!(ledger.run_timers(100).await.expect("looked").next_due, None);
    let batch = claim(&ledger, NOW).await;
    assert_eq!(input(&batch[0])["eventOrganizer"], "Acme GmbH");
    settle(&ledger, &batch, confirmed).await;
    drop(ledger);
    // Opened once more with the same, nothing is done.
    let ledger = back_end.open(policies());
    assert_eq!(ledger.run_timers(100).await.expect("looked").next_due, None);
    drop(ledger);
    // After its end the event keeps the organizer it had.
    back_end.clock().set(minutes(48 * 60));
    let mut after = policies();
    after.get_mut("zoom").expect("there").organizer = Some("Successor".into());
    let ledger = back_end.open(after);
    while ledger.run_timers(100).await.expect("looked").next_due.is_some() {}
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
}

pub(super) async fn changed_identity_is_refused_unless_it_is_accepted<B: BackEnd>() {
    let back_end = B::new();
    drop(back_end.open(policies()));
    let mut series = policies();
    series.get_mut("zoom").expect("there").recurring = RecurringMode::Series;
    // The store holds no event yet that HubSpot could get twice.
    let ledger = back_end.open(series.clone());
    let occurrence = OccurrenceChange {
        id: OccurrenceId::parse("o1").expect("valid"),
        fields: WebinarFields { start: Some(minutes(60)), ..WebinarFields::default() },
    };
    let change = Change {
        shape: Some(Shape::Series),
        listing: OccurrenceListing::Full,
        occurrences: vec![occurrence],
        ..created("1", "One", NOON)
    };
    ledger.accept(receipt("a", vec![change])).await.expect("stored");
    drop(ledger);
    let refused = back_end.try_open(policies(), Rekey::Refuse).err().expect("it is refused");
    assert!(
        matches!(&refused, ConfigRefused::Rekey { source_name, .. } if *source_name == source("zoom")),
        "{refused}"
    );
    assert!(back_end.try_open(series, Rekey::Refuse).is_ok(), "the configuration did not change");
    assert!(back_end.try_open(policies(), Rekey::Accept).is_ok());
    assert!(back_end.try_open(policies(), Rekey::Refuse).is_ok(), "it was accepted once");
}

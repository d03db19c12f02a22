//! The ledger's contract. Every implementation passes it.

mod delivery;
mod fetch_laws;
mod fetching;
mod lasting;
mod looking;
mod rebuilding;
mod redriving;
mod schema;

use std::time::Duration;

use webinar_bridge::event::{
    AccountFailure, AccountStatus, Millis, Pause, PauseReason, ProviderId, RecurringMode,
    RetryWait, SourceName, StatusChange,
};
use webinar_bridge::ledger::sqlite::{OpenError, Rekey, Settings, SqliteLedger};
use webinar_bridge::ledger::{
    AccountStatuses as _, AttemptStart, Browse as _, ClaimRequest, ClaimResult, ClaimedEvent,
    DeliveryOutcome, EventState, EventStateCounts, HubspotRefusal, Intake as _, Lease, LedgerError,
    NewReceipt, Outbox as _, ReceiptContent, ReceiptOutcome, Retention, SettleResult, Settlement,
    Store as _, Timers as _,
};

use crate::harness::build::{
    NOON, account, created, minutes, policies, policy, receipt, renamed, source,
};
use crate::harness::store::Place;

pub(super) const NOW: ClaimRequest =
    ClaimRequest { limit: 100, linger: Duration::ZERO, first: Vec::new(), last: Vec::new() };

pub(super) async fn counts(ledger: &SqliteLedger) -> EventStateCounts {
    ledger.event_counts().await.expect("read")[&account("main")]
}

/// The lease of the account `main`.
pub(super) async fn lease(ledger: &SqliteLedger) -> Lease {
    ledger.acquire_lease(&account("main")).await.expect("known").expect("nobody else has it")
}

pub(super) async fn begin_attempt(ledger: &SqliteLedger, batch: &[ClaimedEvent]) {
    let events: Vec<_> = batch.iter().map(ClaimedEvent::event_version).collect();
    let started = ledger.begin_attempt(&lease(ledger).await, &events).await.expect("noted");
    assert_eq!(started, AttemptStart::Started);
}

pub(super) async fn release(ledger: &SqliteLedger, batch: &[ClaimedEvent]) {
    let events: Vec<_> = batch.iter().map(ClaimedEvent::event_version).collect();
    ledger.release(&lease(ledger).await, &events);
}

pub(super) async fn claim(ledger: &SqliteLedger, ask: ClaimRequest) -> Vec<ClaimedEvent> {
    match ledger.claim(&lease(ledger).await, ask).await.expect("a claim") {
        ClaimResult::Batch(batch) => batch,
        ClaimResult::Wait(_) => Vec::new(),
        ClaimResult::LeaseLost => panic!("nobody else has the lease"),
    }
}

pub(super) async fn settle(
    ledger: &SqliteLedger,
    batch: &[ClaimedEvent],
    outcome: impl Fn() -> DeliveryOutcome,
) {
    let settled = batch
        .iter()
        .map(|claimed| Settlement { event: claimed.event_version(), outcome: outcome() })
        .collect();
    let result = ledger.settle(&lease(ledger).await, settled).await.expect("settled");
    assert_eq!(result, SettleResult::Settled);
}

pub(super) fn confirmed() -> DeliveryOutcome {
    DeliveryOutcome::Confirmed { object_id: Some("42".into()) }
}

pub(super) fn refused_by(message: &str) -> HubspotRefusal {
    HubspotRefusal {
        status: 400,
        category: "VALIDATION_ERROR".into(),
        message: message.into(),
        correlation_id: Some("c-1".into()),
    }
}

pub(super) fn input(claimed: &ClaimedEvent) -> serde_json::Value {
    serde_json::from_slice(&claimed.input).expect("an input is JSON")
}

#[tokio::test]
async fn a_receipt_is_merged_once_and_counted_before_it_is_answered() {
    let place = Place::new();
    let ledger = place.open(policies());
    let first = receipt("a", vec![created("1", "One", NOON)]);
    assert_eq!(ledger.accept(first.clone()).await.expect("kept"), ReceiptOutcome::Accepted);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let again = receipt("a", vec![created("1", "One", NOON)]);
    assert_eq!(ledger.accept(again).await.expect("kept"), ReceiptOutcome::Duplicate);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
}

#[tokio::test]
async fn bodies_come_back_byte_for_byte() {
    let place = Place::new();
    let ledger = place.open(policies());
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
    let kept = async |id| ledger.receipt(id).await.expect("read").expect("kept");
    let quarantined = kept(odd.id).await;
    assert_eq!(quarantined.body, Some(odd.body));
    assert_eq!(quarantined.summary.reason.as_deref(), Some("no id"));
    assert_eq!(quarantined.summary.outcome, ReceiptOutcome::Quarantined);
    assert_eq!(kept(ignored.id).await.body, None);
    assert_eq!(kept(merged.id).await.body, Some(merged.body));
}

#[tokio::test]
async fn what_is_incomplete_is_held_and_seen_and_leaves_when_it_is_complete() {
    let place = Place::new();
    let ledger = place.open(policies());
    ledger.accept(receipt("a", vec![renamed("1", "One", NOON)])).await.expect("kept");
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { incomplete: 1, ..EventStateCounts::default() }
    );
    let event = ledger.events(10).await.expect("events")[0].clone();
    assert_eq!(event.state, EventState::Incomplete);
    assert_eq!(event.gaps.len(), 2, "no full picture, and no shape");
    assert!(claim(&ledger, NOW).await.is_empty());
    ledger.accept(receipt("b", vec![created("1", "Old", minutes(-1))])).await.expect("kept");
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    assert_eq!(input(&claim(&ledger, NOW).await[0])["eventName"], "One");
}

#[tokio::test]
async fn a_crash_frees_claims_and_keeps_everything_else() {
    let place = Place::new();
    let ledger = place.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("kept");
    ledger.accept(receipt("b", vec![created("2", "Two", NOON)])).await.expect("kept");
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
        ledger.update_status(&account("main"), change.clone()).await.expect("kept");
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
        last_error: Some("403".into()),
        daily_remaining: Some(7),
        ..AccountStatus::default()
    };
    assert_eq!(ledger.account_status(&account("main")).await.expect("status"), status);
    drop(ledger);
    let ledger = place.open(policies());
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, delivered: 1, ..EventStateCounts::default() }
    );
    assert_eq!(claim(&ledger, NOW).await.len(), 1);
    assert_eq!(ledger.account_status(&account("main")).await.expect("status"), status);
    assert_eq!(*ledger.watch_status(&account("main")).borrow(), status);
    let known = receipt("a", vec![created("1", "One", NOON)]);
    assert_eq!(ledger.accept(known).await.expect("kept"), ReceiptOutcome::Duplicate);
}

#[tokio::test]
async fn changed_status_wakes_its_account_and_no_other() {
    let place = Place::new();
    let ledger = place.open(policies());
    let (main, other) = (account("main"), account("other"));
    let mut status = ledger.watch_status(&main);
    for change in [StatusChange::Paused, StatusChange::Resumed] {
        let (wake_up, others) = (ledger.wake_up(&main), ledger.wake_up(&other));
        let woken = wake_up.notified();
        tokio::pin!(woken);
        assert!(!woken.as_mut().enable(), "nothing has happened yet");
        let update = ledger.update_status(&main, change).await.expect("kept");
        assert!(woken.as_mut().enable(), "the account is woken");
        assert!(status.has_changed().expect("the store is open"));
        assert_eq!(*status.borrow_and_update(), update.after);
        let untold = others.notified();
        tokio::pin!(untold);
        assert!(!untold.as_mut().enable());
    }
    let unchanged = ledger.update_status(&main, StatusChange::Resumed).await.expect("kept");
    assert_eq!(unchanged.before, unchanged.after);
    assert!(!status.has_changed().expect("the store is open"));
}

#[tokio::test]
async fn nothing_of_a_refused_receipt_is_merged_and_all_of_it_is_kept() {
    let place = Place::new();
    let ledger = place.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("kept");
    // Another provider may not speak of it, and what the same body says of another webinar goes with it.
    let mut foreign = receipt("b", vec![created("2", "Two", NOON), renamed("1", "Evil", NOON)]);
    foreign.provider = ProviderId::new("goto");
    assert_eq!(ledger.accept(foreign).await.expect("kept"), ReceiptOutcome::Quarantined);
    let events = ledger.events(10).await.expect("events");
    assert_eq!(events.len(), 1);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let mut nameless = created("3", "Three", NOON);
    nameless.account = None;
    let nameless = receipt("c", vec![nameless]);
    assert_eq!(ledger.accept(nameless).await.expect("kept"), ReceiptOutcome::Quarantined);
    let mut odd = receipt("d", Vec::new());
    odd.content = ReceiptContent::Quarantined("no id".into());
    assert_eq!(ledger.accept(odd.clone()).await.expect("kept"), ReceiptOutcome::Quarantined);
    odd.content = ReceiptContent::Ignored;
    assert_eq!(ledger.accept(odd).await.expect("kept"), ReceiptOutcome::Duplicate);
}

#[tokio::test]
async fn many_at_once_are_all_kept() {
    let place = Place::new();
    let ledger = std::sync::Arc::new(place.open(policies()));
    let tasks: Vec<_> = (0..300)
        .map(|n| {
            let ledger = std::sync::Arc::clone(&ledger);
            tokio::spawn(async move {
                let id = (n % 50).to_string();
                let change = created(&id, &format!("Name {n}"), minutes(-n));
                ledger.accept(receipt(&n.to_string(), vec![change])).await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("no panic").expect("kept"), ReceiptOutcome::Accepted);
    }
    assert_eq!(counts(&ledger).await.pending, 50);
    let mut seen = Vec::new();
    loop {
        let batch = claim(&ledger, ClaimRequest { limit: 20, ..NOW }).await;
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

#[tokio::test]
async fn two_accounts_do_not_see_each_other() {
    let place = Place::new();
    let mut both = policies();
    both.insert(SourceName::parse("zoom-2").expect("valid"), policy("other"));
    let ledger = place.open(both);
    let mut second = receipt("a", vec![created("1", "One", NOON)]);
    second.source = source("zoom-2");
    ledger.accept(second).await.expect("kept");
    assert!(claim(&ledger, NOW).await.is_empty());
    assert_eq!(ledger.event_counts().await.expect("read")[&account("other")].pending, 1);
    assert_eq!(ledger.oldest_pending(&account("other")).await.expect("read"), Some(NOON));
    assert_eq!(ledger.oldest_pending(&account("main")).await.expect("read"), None);
}

#[tokio::test]
async fn what_was_kept_long_enough_goes_and_what_is_pending_stays() {
    let place = Place::new();
    let ledger = place.open(policies());
    for n in 0..3 {
        let change = created(&n.to_string(), "Name", NOON);
        ledger.accept(receipt(&n.to_string(), vec![change])).await.expect("kept");
    }
    settle(&ledger, &claim(&ledger, ClaimRequest { limit: 2, ..NOW }).await, confirmed).await;
    let day = Duration::from_hours(24);
    let keep = Retention { receipts: 30 * day, events: 400 * day };
    assert!(!ledger.prune(keep).await.expect("pruned"));
    assert_eq!(counts(&ledger).await.delivered, 2);
    place.clock.set(Millis::new(NOON.get()).plus(402 * day));
    while ledger.prune(keep).await.expect("pruned") {}
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let again = receipt("0", vec![created("0", "Name", NOON)]);
    assert_eq!(ledger.accept(again).await.expect("kept"), ReceiptOutcome::Accepted, "forgotten");
}

/// Erasing a person fills free pages with zeros, as bodies that nobody has, and the next are to take other pages.
#[tokio::test]
async fn what_erasing_fills_free_pages_with_is_not_deleted_under_its_hands() {
    let place = Place::new();
    let ledger = place.open(policies());
    ledger.accept(receipt("0", vec![created("0", "Name", NOON)])).await.expect("kept");
    let store = rusqlite::Connection::open(place.file()).expect("opens");
    store.execute("INSERT INTO bodies (id, data) VALUES (-1, zeroblob(9000))", ()).expect("filled");
    let day = Duration::from_hours(24);
    place.clock.set(Millis::new(NOON.get()).plus(402 * day));
    let late = receipt("1", vec![created("1", "Name", NOON)]);
    let late = NewReceipt { received_at: Millis::new(NOON.get()).plus(402 * day), ..late };
    ledger.accept(late).await.expect("kept");
    while ledger.prune(Retention { receipts: 30 * day, events: 400 * day }).await.expect("pruned") {
    }
    let kept = |id: i64| {
        store.query_row("SELECT count(*) FROM bodies WHERE id = ?1", [id], |row| row.get(0))
    };
    assert_eq!((kept(1), kept(-1)), (Ok(0), Ok(1)), "the old body goes, the filling stays");
}

#[tokio::test]
async fn a_timer_completes_an_event_once_and_moves_with_its_end() {
    let place = Place::new();
    let mut timed = policies();
    timed.get_mut("zoom").expect("there").complete_after_end = Some(Duration::from_mins(30));
    let ledger = place.open(timed);
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("kept");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    let due = ledger.run_timers(100).await.expect("looked");
    assert_eq!((due.done, due.next_due), (0, Some(minutes(24 * 60 + 90))));
    place.clock.set(minutes(24 * 60 + 90));
    assert_eq!(ledger.run_timers(100).await.expect("looked").done, 1);
    let batch = claim(&ledger, NOW).await;
    assert_eq!(input(&batch[0])["eventCompleted"], true);
    let due = ledger.run_timers(100).await.expect("looked");
    assert_eq!((due.done, due.next_due), (0, None));
}

#[tokio::test]
async fn one_process_at_a_time() {
    let place = Place::new();
    let ledger = place.open(policies());
    let second = SqliteLedger::open(place.settings(policies()));
    assert!(matches!(second.err(), Some(OpenError::InUse(_))));
    drop(ledger);
    assert!(SqliteLedger::open(place.settings(policies())).is_ok());
}

#[tokio::test]
async fn a_store_that_another_holds_locked_refuses_and_recovers() {
    let place = Place::new();
    let ledger = place.open(policies());
    let other = rusqlite::Connection::open(place.file()).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let refused = ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable { .. })), "{refused:?}");
    assert!(ledger.health().is_err());
    assert_eq!(counts(&ledger).await, EventStateCounts::default());
    other.execute_batch("ROLLBACK").expect("free");
    crate::harness::eventually("the writer finds out by itself", async || ledger.health().is_ok())
        .await;
    let kept = ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await;
    assert_eq!(kept.expect("kept"), ReceiptOutcome::Accepted);
    assert_eq!(counts(&ledger).await.pending, 1);
}

#[tokio::test]
async fn changed_defaults_reach_what_is_there_but_not_what_is_over() {
    let place = Place::new();
    let mut before = policies();
    before.get_mut("zoom").expect("there").organizer = None;
    let ledger = place.open(before);
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("kept");
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { incomplete: 1, ..EventStateCounts::default() }
    );
    drop(ledger);
    let ledger = place.open(policies());
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
    let ledger = place.open(policies());
    assert_eq!(ledger.run_timers(100).await.expect("looked").next_due, None);
    drop(ledger);
    // After its end the event keeps the organizer it had.
    place.clock.set(minutes(48 * 60));
    let mut after = policies();
    after.get_mut("zoom").expect("there").organizer = Some("Successor".into());
    let ledger = place.open(after);
    while ledger.run_timers(100).await.expect("looked").next_due.is_some() {}
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
}

#[tokio::test]
async fn what_would_make_new_events_in_hubspot_is_refused_unless_it_is_meant() {
    let place = Place::new();
    drop(place.open(policies()));
    let mut one = policies();
    one.get_mut("zoom").expect("there").recurring = RecurringMode::Series;
    // Nothing is there yet that could be doubled.
    let ledger = place.open(one.clone());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("kept");
    drop(ledger);
    let refused = SqliteLedger::open(place.settings(policies())).err().expect("refused");
    assert!(matches!(refused, OpenError::Rekey { .. }));
    assert!(refused.to_string().contains("source.zoom"), "{refused}");
    assert!(SqliteLedger::open(place.settings(one)).is_ok(), "as it was");
    let meant = Settings { rekey: Rekey::Accept, ..place.settings(policies()) };
    assert!(SqliteLedger::open(meant).is_ok());
    assert!(SqliteLedger::open(place.settings(policies())).is_ok(), "from now on");
}

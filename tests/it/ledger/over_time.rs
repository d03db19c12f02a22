//! Order and freezing over time: what the sequence of receipts and the bounds of a series decide.

use std::time::Duration;

use webinar_bridge::event::{
    Change, ChangeKind, EndTime, Millis, OccurrenceChange, OccurrenceId, OccurrenceListing, Shape,
    WebinarFields,
};
use webinar_bridge::ledger::{EventState, EventSummary, Ledger, ReceiptOutcome, Retention};

use super::back_end::BackEnd;
use super::contract::*;
use super::{claim, confirmed, settle};
use crate::harness::build::source;
use crate::harness::build::{NOON, created, minutes, policies, receipt, renamed};
use crate::harness::events::AllEvents as _;

const DAY: i64 = 24 * 60;

/// A full list of these occurrences, each a day after the one before, told that many minutes after noon.
fn list(numbers: std::ops::Range<i64>, told: i64) -> Change {
    let occurrence = |n: i64| OccurrenceChange {
        id: OccurrenceId::parse(n.to_string()).expect("valid"),
        fields: WebinarFields {
            start: Some(minutes(40 * DAY + n % 50 * DAY)),
            end: EndTime::after_minutes(60),
            ..WebinarFields::default()
        },
    };
    Change {
        shape: Some(Shape::Series),
        listing: OccurrenceListing::Full,
        occurrences: numbers.map(occurrence).collect(),
        ..created("1", "Series", minutes(told))
    }
}

async fn accept(ledger: &impl Ledger, seed: &str, received: i64, changes: Vec<Change>) {
    let mut receipt = receipt(seed, changes);
    receipt.received_at = minutes(received);
    assert_eq!(ledger.accept(receipt).await.expect("stored"), ReceiptOutcome::Accepted, "{seed}");
}

async fn events(ledger: &impl Ledger) -> Vec<EventSummary> {
    ledger.all_events().await.expect("events")
}

fn is_cancelled(event: &EventSummary) -> bool {
    let input = event.input.as_deref().expect("it is complete");
    String::from_utf8_lossy(input).contains("\"eventCancelled\":true")
}

/// M24, M26, A6: the time of a series of fifty is changed fifteen times, each time with new ids; then all is deleted.
pub(super) async fn series_of_ever_new_occurrences_is_cancelled_whole<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    for edit in 0..15 {
        let numbers = 1_000 + edit * 50..1_050 + edit * 50;
        accept(&ledger, &format!("edit {edit}"), edit, vec![list(numbers, edit)]).await;
    }
    let live = events(&ledger).await.iter().filter(|event| !is_cancelled(event)).count();
    assert_eq!(live, 50, "only the last dates");
    let mut deleted = list(1_700..1_750, 100);
    deleted.kind = ChangeKind::Cancelled;
    deleted.listing = OccurrenceListing::Partial;
    deleted.whole = WebinarFields { cancelled: Some(true), ..WebinarFields::default() };
    accept(&ledger, "deleted", 100, vec![deleted]).await;
    let all = events(&ledger).await;
    assert_eq!(all.len(), 15 * 50, "what was never sent is still to be sent");
    assert!(all.iter().all(is_cancelled));
    assert!(all.iter().all(|event| event.state == EventState::Pending));
}

/// M26: nothing that is said of the whole reaches what was over a month ago; what is said of it alone does.
pub(super) async fn occurrence_of_long_ago_stays_as_it_was<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    accept(&ledger, "created", 0, vec![list(0..3, 0)]).await;
    let batch = claim(&ledger, super::NOW).await;
    assert_eq!(batch.len(), 3);
    settle(&ledger, &batch, confirmed).await;
    let before = events(&ledger).await;
    let later = 90 * DAY;
    accept(&ledger, "renamed", later, vec![renamed("1", "Renamed", minutes(later))]).await;
    accept(&ledger, "listed", later + 1, vec![list(0..3, later + 1)]).await;
    assert_eq!(events(&ledger).await, before);
}

/// M18, M26: the service was off when the timers ran out, and a webhook of the series comes before they have run.
pub(super) async fn occurrence_of_long_ago_is_completed_before_it_leaves_its_series<B: BackEnd>() {
    let back_end = B::new();
    let mut timed = policies();
    timed.get_mut(&source("zoom")).expect("there").complete_after_end =
        Some(Duration::from_mins(30));
    let ledger = back_end.open(timed);
    accept(&ledger, "created", 0, vec![list(0..3, 0)]).await;
    settle(&ledger, &claim(&ledger, super::NOW).await, confirmed).await;
    let later = 90 * DAY;
    back_end.clock().set(minutes(later));
    accept(&ledger, "renamed", later, vec![renamed("1", "Renamed", minutes(later))]).await;
    ledger.run_timers(100).await.expect("run");
    let completed = events(&ledger).await.into_iter().filter(|event| {
        let input = event.input.as_deref().expect("it is complete");
        String::from_utf8_lossy(input).contains("\"eventCompleted\":true")
    });
    assert_eq!(completed.count(), 3);
    accept(&ledger, "again", later + 1, vec![renamed("1", "Again", minutes(later + 1))]).await;
    let renamed = |event: &EventSummary| event.name.as_deref() == Some("Again");
    assert!(!events(&ledger).await.iter().any(renamed), "they have left it now");
}

/// M26: what left the state waits for no timer, and is pruned when it is old itself, although its series goes on.
pub(super) async fn event_of_long_ago_has_no_timer_and_goes_when_it_is_old<B: BackEnd>() {
    let back_end = B::new();
    let day = Duration::from_hours(24);
    let mut timed = policies();
    timed.get_mut(&source("zoom")).expect("there").complete_after_end = Some(40 * day);
    let ledger = back_end.open(timed);
    accept(&ledger, "created", 0, vec![list(0..3, 0)]).await;
    settle(&ledger, &claim(&ledger, super::NOW).await, confirmed).await;
    let later = 75 * DAY;
    back_end.clock().set(minutes(later));
    accept(&ledger, "renamed", later, vec![renamed("1", "Renamed", minutes(later))]).await;
    assert_eq!(ledger.run_timers(100).await.expect("run").next_due, None);
    let later = 118 * DAY;
    back_end.clock().set(minutes(later));
    accept(&ledger, "again", later, vec![renamed("1", "Again", minutes(later))]).await;
    let keep = Retention { receipts: 400 * day, events: 80 * day };
    while ledger.prune(keep).await.expect("pruned") {}
    assert_eq!(events(&ledger).await.len(), 3, "each is kept for as long after its end");
    let keep = Retention { events: 30 * day, ..keep };
    while ledger.prune(keep).await.expect("pruned") {}
    assert_eq!(events(&ledger).await, []);
    let state = ledger.webinar_state(&super::rebuilding::key("1")).await.expect("read");
    assert!(state.webinar.has_frozen, "the series is still there");
}

/// M26: what HubSpot confirmed last is the base of an occurrence that is named again.
pub(super) async fn occurrence_of_long_ago_that_is_named_again_keeps_what_hubspot_has<
    B: BackEnd,
>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    accept(&ledger, "created", 0, vec![list(0..3, 0)]).await;
    settle(&ledger, &claim(&ledger, super::NOW).await, confirmed).await;
    let later = 90 * DAY;
    accept(&ledger, "renamed", later, vec![renamed("1", "Renamed", minutes(later))]).await;
    let described = OccurrenceChange {
        id: OccurrenceId::parse("1").expect("valid"),
        fields: WebinarFields { description: Some("Recording".into()), ..WebinarFields::default() },
    };
    let at = minutes(later + 1);
    let whole = WebinarFields::default();
    let alone = Change { whole, occurrences: vec![described], ..renamed("1", "", at) };
    accept(&ledger, "described", later + 1, vec![alone]).await;
    let [sent]: [_; 1] = claim(&ledger, super::NOW).await.try_into().expect("one event");
    let input: serde_json::Value = serde_json::from_slice(&sent.input).expect("JSON");
    assert_eq!(
        (&input["eventName"], &input["eventDescription"], &input["startDateTime"]),
        (&"Series".into(), &"Recording".into(), &minutes(41 * DAY).to_string().into())
    );
    assert_eq!(input["endDateTime"], minutes(41 * DAY + 60).to_string());
}

/// A5: its times become unknown while its first call is under way. HubSpot holds it with them then, so that
/// a cancellation needs nothing more.
pub(super) async fn event_that_is_confirmed_after_its_times_became_unknown_is_complete<
    B: BackEnd,
>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    accept(&ledger, "created", 0, vec![list(0..2, 0)]).await;
    let batch = claim(&ledger, super::NOW).await;
    assert_eq!(batch.len(), 2);
    let listing = OccurrenceListing::Unknown;
    let moved = Change { listing, whole: WebinarFields::default(), ..renamed("1", "", minutes(1)) };
    accept(&ledger, "moved", 1, vec![moved]).await;
    let states = async || events(&ledger).await.iter().map(|event| event.state).collect::<Vec<_>>();
    assert_eq!(states().await, [EventState::Incomplete; 2]);
    settle(&ledger, &batch, confirmed).await;
    assert_eq!(states().await, [EventState::Pending; 2]);
}

/// M4: of equal times the later arrival wins, and a body that comes again keeps its first place.
pub(super) async fn equal_times_are_ordered_by_the_first_arrival_of_each_body<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    accept(&ledger, "a", 0, vec![created("1", "One", NOON)]).await;
    accept(&ledger, "b", 1, vec![renamed("1", "Two", NOON)]).await;
    let name = async || events(&ledger).await[0].name.clone().expect("a name");
    assert_eq!(name().await, "Two");
    // The first body once more, as a delivery of its own.
    let mut again = receipt("a", vec![created("1", "One", NOON)]);
    again.dedupe_key = [9; 32];
    assert_eq!(ledger.accept(again).await.expect("stored"), ReceiptOutcome::Accepted);
    assert_eq!(name().await, "Two");
}

/// M7, A9c: what has no time of its own is ordered as it was stored, although our clock was an hour ahead.
pub(super) async fn untimed_changes_are_ordered_as_they_were_stored<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    for (received, title) in [(60, "One"), (0, "Two"), (1, "Three")] {
        let change = Change { occurred_at: None, ..created("1", title, Millis::new(0)) };
        accept(&ledger, title, received, vec![change]).await;
        assert_eq!(events(&ledger).await[0].name.as_deref(), Some(title));
    }
    // The places are stored: a replay finds them again.
    let key = super::rebuilding::key("1");
    let state = ledger.webinar_state(&key).await.expect("read");
    let records = ledger.receipts_of(&key, None).await.expect("read").items;
    let places = records.iter().map(|record| state.provenance(record, &renamed("1", "x", NOON), 0));
    let places: Vec<_> = places.map(|provenance| provenance.order.at).collect();
    assert_eq!(places, [minutes(60); 3]);
}

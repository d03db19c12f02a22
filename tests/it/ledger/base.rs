//! Events that HubSpot may hold from before the ledger knew them (M19 to M22).

use std::time::Duration;

use webinar_bridge::event::{
    BaseFields, Change, ChangeKind, CustomProperty, EventKey, ExternalEventId, Gap, Millis,
    OccurrenceChange, OccurrenceId, OccurrenceListing, Policy, Shape, WebinarFields,
    compile_event_expression,
};
use webinar_bridge::ledger::{
    BaseRead, BaseReadOutcome, BaseReads as _, ClaimRequest, EventState, EventSummary, Ledger,
    NewReceipt, RecordResult, Redrive as _, RedriveResult, Retention,
};

use super::back_end::BackEnd;
use super::contract::*;
use super::{NOW, claim, confirmed, input, lease, settle};
use crate::harness::build::{
    NOON, account, created, minutes, policies, policy, receipt, renamed, source,
};
use crate::harness::events::AllEvents as _;

const DAY: Duration = Duration::from_hours(24);

/// A webinar in full, of which nothing says when it was created.
fn older(id: &str, name: &str, at: Millis) -> Change {
    Change { kind: ChangeKind::Updated, created_at: None, ..created(id, name, at) }
}

async fn only_event<L: Ledger>(ledger: &L) -> EventSummary {
    ledger.all_events().await.expect("events").remove(0)
}

async fn claim_read<L: Ledger>(ledger: &L) -> Option<BaseRead> {
    ledger.claim_base_read(&lease(ledger).await).await.expect("it is read")
}

async fn settle_read<L: Ledger>(ledger: &L, read: &BaseRead, outcome: BaseReadOutcome) {
    let lease = lease(ledger).await;
    let recorded = ledger.settle_base_read(&lease, read, outcome).await.expect("it is stored");
    assert_eq!(recorded, RecordResult::Recorded);
}

fn found(fields: BaseFields) -> BaseReadOutcome {
    BaseReadOutcome::Found { fields: Box::new(fields), object_id: Some("42".into()) }
}

/// What HubSpot held of [`older`].
fn held(name: &str) -> BaseFields {
    BaseFields {
        name: Some(name.into()),
        organizer: Some("Acme GmbH".into()),
        event_type: Some("WEBINAR".into()),
        start: Some(minutes(24 * 60)),
        end: Some(minutes(25 * 60)),
        ..BaseFields::default()
    }
}

/// M19, M21.
pub(super) async fn event_of_an_older_webinar_waits_until_hubspot_was_asked<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![older("1", "One", NOON)])).await.expect("stored");
    let event = only_event(&ledger).await;
    assert_eq!((event.state, event.gaps), (EventState::Incomplete, vec![Gap::BaseUnread]));
    assert!(claim(&ledger, NOW).await.is_empty());
    assert!(ledger.has_base_reads(&account("main")).await.expect("read"), "there is work");
    let read = claim_read(&ledger).await.expect("it is to be read");
    assert_eq!(claim_read(&ledger).await, None, "it is being read");
    ledger.release_base_read(&lease(&ledger).await, &read);
    let read = claim_read(&ledger).await.expect("it is to be read again");
    settle_read(&ledger, &read, BaseReadOutcome::Absent).await;
    assert_eq!(claim_read(&ledger).await, None);
    assert_eq!(claim(&ledger, NOW).await.len(), 1);
}

/// M19: not a single read for what was created while the ledger was watching.
pub(super) async fn event_of_a_watched_creation_is_never_read<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let shortly_before = minutes(-59);
    let created = created("1", "One", shortly_before);
    ledger.accept(receipt("a", vec![created])).await.expect("stored");
    assert_eq!(claim_read(&ledger).await, None);
    assert_eq!(claim(&ledger, NOW).await.len(), 1);
}

pub(super) async fn creation_that_is_heard_of_late_makes_the_read_needless<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![older("1", "New", minutes(2))])).await.expect("stored");
    assert_eq!(only_event(&ledger).await.state, EventState::Incomplete);
    ledger.accept(receipt("b", vec![created("1", "Old", minutes(1))])).await.expect("stored");
    assert_eq!(claim_read(&ledger).await, None);
    assert_eq!(only_event(&ledger).await.state, EventState::Pending);
}

/// A20.
pub(super) async fn fields_that_hubspot_held_are_kept<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![renamed("1", "New", NOON)])).await.expect("stored");
    let read = claim_read(&ledger).await.expect("it is to be read");
    let fields = BaseFields { description: Some("Held".into()), ..held("Old") };
    settle_read(&ledger, &read, found(fields)).await;
    let event = only_event(&ledger).await;
    assert_eq!((event.state, event.object_id.as_deref()), (EventState::Pending, Some("42")));
    let input = event.input.expect("it is complete");
    let input: serde_json::Value = serde_json::from_slice(&input).expect("JSON");
    assert_eq!((&input["eventName"], &input["eventDescription"]), (&"New".into(), &"Held".into()));
    assert_eq!(input["endDateTime"], minutes(25 * 60).to_string());
    // What was read outlives the process, and later changes.
    drop(ledger);
    let ledger = back_end.open(policies());
    ledger.accept(receipt("b", vec![renamed("1", "Newer", minutes(1))])).await.expect("stored");
    let input = only_event(&ledger).await.input.expect("it is complete");
    let input: serde_json::Value = serde_json::from_slice(&input).expect("JSON");
    assert_eq!(
        (&input["eventName"], &input["eventDescription"]),
        (&"Newer".into(), &"Held".into())
    );
}

/// M19: what follows being equal to what was read is confirmed without a send.
pub(super) async fn event_that_hubspot_holds_as_it_is_is_not_sent<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![older("1", "One", NOON)])).await.expect("stored");
    let read = claim_read(&ledger).await.expect("it is to be read");
    settle_read(&ledger, &read, found(held("One"))).await;
    let event = only_event(&ledger).await;
    assert_eq!((event.state, event.confirmed_at), (EventState::Delivered, Some(NOON)));
    assert!(claim(&ledger, NOW).await.is_empty());
    ledger.accept(receipt("b", vec![renamed("1", "Two", minutes(1))])).await.expect("stored");
    assert_eq!(claim(&ledger, NOW).await.len(), 1, "a change is sent");
}

pub(super) async fn cancelled_events_are_read_first<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let off = WebinarFields { cancelled: Some(true), ..WebinarFields::default() };
    let cancelled = Change { whole: off, kind: ChangeKind::Cancelled, ..renamed("3", "", NOON) };
    for (seed, change) in
        [("1", older("1", "One", NOON)), ("2", older("2", "Two", NOON)), ("3", cancelled)]
    {
        ledger.accept(receipt(seed, vec![change])).await.expect("stored");
    }
    let mut order = Vec::new();
    while let Some(read) = claim_read(&ledger).await {
        order.push(read.key.external_event_id.as_str().to_owned());
    }
    assert_eq!(order, ["3", "1", "2"]);
}

/// A4: a cancellation alone makes no event.
pub(super) async fn cancellation_of_an_unknown_webinar_makes_no_event<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let off =
        Change { kind: ChangeKind::Cancelled, created_at: None, ..created("1", "Unknown", NOON) };
    ledger.accept(receipt("a", vec![off])).await.expect("stored");
    let read = claim_read(&ledger).await.expect("HubSpot may hold it");
    settle_read(&ledger, &read, BaseReadOutcome::Absent).await;
    assert!(claim(&ledger, NOW).await.is_empty());
    let event = only_event(&ledger).await;
    assert_eq!((event.state, event.gaps), (EventState::Incomplete, vec![Gap::FullPicture]));
}

/// M21: what is over is made only of an answer of the platform's API.
pub(super) async fn past_webinar_is_made_only_of_an_answer<B: BackEnd>() {
    for is_answer in [false, true] {
        let back_end = B::new();
        back_end.clock().set(minutes(30 * 60));
        let ledger = back_end.open(policies());
        let past = Change { is_answer, ..older("1", "One", minutes(30 * 60)) };
        let late = NewReceipt { received_at: minutes(30 * 60), ..receipt("a", vec![past]) };
        ledger.accept(late).await.expect("stored");
        let read = claim_read(&ledger).await.expect("HubSpot may hold it");
        settle_read(&ledger, &read, BaseReadOutcome::Absent).await;
        assert_eq!(claim(&ledger, NOW).await.len(), usize::from(is_answer), "{is_answer}");
    }
}

/// M7, M21: a webhook without a time of its own came while the clock was 20 hours ahead. What comes after it is ordered
/// after it, and describes a webinar that is to come.
pub(super) async fn coming_webinar_is_made_although_a_clock_ahead_dated_its_first_webhook<
    B: BackEnd,
>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let begins = |name| {
        let mut change = Change { occurred_at: None, ..older("1", name, NOON) };
        change.whole.start = Some(minutes(10 * 60));
        change
    };
    for (seed, received) in [("ahead", minutes(20 * 60)), ("right", minutes(1))] {
        let new = NewReceipt { received_at: received, ..receipt(seed, vec![begins(seed)]) };
        ledger.accept(new).await.expect("stored");
    }
    let read = claim_read(&ledger).await.expect("HubSpot may hold it");
    settle_read(&ledger, &read, BaseReadOutcome::Absent).await;
    let batch = claim(&ledger, NOW).await;
    assert_eq!(batch.len(), 1);
    assert_eq!(input(&batch[0])["eventName"], "right");
}

pub(super) async fn read_under_a_lost_lease_records_nothing<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![older("1", "One", NOON)])).await.expect("stored");
    let lost = lease(&ledger).await;
    let read = ledger.claim_base_read(&lost).await.expect("read").expect("it is to be read");
    if !back_end.take_lease_away(&ledger, &account("main")) {
        return;
    }
    let recorded = ledger.settle_base_read(&lost, &read, BaseReadOutcome::Absent).await;
    assert_eq!(recorded.expect("an answer"), RecordResult::LeaseLost);
    assert_eq!(only_event(&ledger).await.gaps, [Gap::BaseUnread]);
    back_end.give_lease_back(&ledger, &account("main"));
    assert!(claim_read(&ledger).await.is_some(), "its claim ended with the lease");
}

/// M19: the ledger was not watching then.
pub(super) async fn event_of_a_creation_before_the_ledger_is_read<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let before = created("1", "One", minutes(-61));
    ledger.accept(receipt("a", vec![before])).await.expect("stored");
    assert!(claim_read(&ledger).await.is_some());
    assert!(claim(&ledger, NOW).await.is_empty());
}

/// M21: what was made, and is called off before its first delivery and its end, is delivered so.
pub(super) async fn cancelled_before_its_first_delivery_is_delivered_cancelled<B: BackEnd>() {
    let answer = Change { is_answer: true, ..older("1", "One", NOON) };
    for made in [created("1", "One", NOON), answer] {
        let back_end = B::new();
        let ledger = back_end.open(policies());
        ledger.accept(receipt("a", vec![made])).await.expect("stored");
        let off = WebinarFields { cancelled: Some(true), ..WebinarFields::default() };
        let kind = ChangeKind::Cancelled;
        let off = Change { whole: off, kind, ..renamed("1", "", minutes(1)) };
        ledger.accept(receipt("b", vec![off])).await.expect("stored");
        if let Some(read) = claim_read(&ledger).await {
            settle_read(&ledger, &read, BaseReadOutcome::Absent).await;
        }
        let [sent]: [_; 1] = claim(&ledger, NOW).await.try_into().expect("one event");
        let input: serde_json::Value = serde_json::from_slice(&sent.input).expect("JSON");
        assert_eq!((&input["eventCancelled"], &input["eventName"]), (&true.into(), &"One".into()));
    }
}

/// A14, M20: the filter refuses what the webinar is called now, but HubSpot holds it from before.
pub(super) async fn filtered_event_that_hubspot_holds_is_called_off_as_it_is<B: BackEnd>() {
    let back_end = B::new();
    let only = compile_event_expression("event.name != 'Internal'").expect("valid");
    let policies = [(source("zoom"), Policy { only: vec![only], ..policy("main") })].into();
    let ledger = back_end.open(policies);
    ledger.accept(receipt("a", vec![renamed("1", "Internal", NOON)])).await.expect("stored");
    let read = claim_read(&ledger).await.expect("HubSpot may hold it");
    let fields = BaseFields { description: Some("Held".into()), ..held("Public") };
    settle_read(&ledger, &read, found(fields)).await;
    assert_eq!(only_event(&ledger).await.state, EventState::Filtered);
    let off = WebinarFields { cancelled: Some(true), ..WebinarFields::default() };
    let kind = ChangeKind::Cancelled;
    let off = Change { whole: off, kind, ..renamed("1", "", minutes(1)) };
    ledger.accept(receipt("b", vec![off])).await.expect("stored");
    let [sent]: [_; 1] = claim(&ledger, NOW).await.try_into().expect("one event");
    let input: serde_json::Value = serde_json::from_slice(&sent.input).expect("JSON");
    assert_eq!((&input["eventName"], &input["eventCancelled"]), (&"Public".into(), &true.into()));
    assert_eq!(input["eventDescription"], "Held");
}

/// A fold reads and writes all events of its webinar, so that hundreds of reads must not each make one.
pub(super) async fn reads_of_a_long_series_share_a_fold<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let occurrence = |n: i64| OccurrenceChange {
        id: OccurrenceId::parse(format!("o{n}")).expect("valid"),
        fields: WebinarFields { start: Some(minutes(1_440 * n)), ..WebinarFields::default() },
    };
    let series = Change {
        shape: Some(Shape::Series),
        occurrences: (1..=70).map(occurrence).collect(),
        listing: OccurrenceListing::Full,
        ..older("1", "One", NOON)
    };
    ledger.accept(receipt("a", vec![series])).await.expect("stored");
    let mut versions = Vec::new();
    while let Some(read) = claim_read(&ledger).await {
        settle_read(&ledger, &read, BaseReadOutcome::Absent).await;
        let events = ledger.all_events().await.expect("events");
        versions.push(events.iter().filter(|event| event.state == EventState::Pending).count());
    }
    assert_eq!(versions.len(), 70);
    versions.dedup();
    assert_eq!(versions, [0, 6, 38, 70], "the last read leaves nothing behind");
}

/// A read that took long: its event was deleted, and another one has its number.
pub(super) async fn read_is_recorded_only_for_its_own_event<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![older("1", "One", NOON)])).await.expect("stored");
    let read = claim_read(&ledger).await.expect("it is to be read");
    let external_event_id = ExternalEventId::from_stored("2".to_owned());
    let key = EventKey { external_event_id, ..read.key.clone() };
    settle_read(&ledger, &BaseRead { key, ..read }, found(held("Two"))).await;
    let event = only_event(&ledger).await;
    assert_eq!((event.gaps, event.object_id), (vec![Gap::BaseUnread], None));
    assert!(claim_read(&ledger).await.is_some());
}

/// A19, M23: the ledger was quiet for so long that it has no receipt any more.
pub(super) async fn restored_copy_without_receipts_keeps_what_hubspot_holds<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    for (seed, name) in [("a", "One"), ("b", "Two"), ("c", "Three")] {
        ledger.accept(receipt(seed, vec![created("1", name, NOON)])).await.expect("stored");
    }
    let batch = claim(&ledger, NOW).await;
    settle(&ledger, &batch, confirmed).await;
    back_end.clock().set(minutes(60));
    let keep = Retention { receipts: Duration::from_mins(1), events: Duration::from_hours(10_000) };
    while ledger.prune(keep).await.expect("pruned") {}
    ledger.close().await;
    drop(ledger);
    back_end.mark_copy();
    let ledger = back_end.open(policies());
    let agenda = WebinarFields { description: Some("New".into()), ..WebinarFields::default() };
    let changed = Change { whole: agenda, ..renamed("1", "", minutes(61)) };
    let changed = NewReceipt { received_at: minutes(61), ..receipt("d", vec![changed]) };
    ledger.accept(changed).await.expect("stored");
    let read = claim_read(&ledger).await.expect("it is to be read");
    settle_read(&ledger, &read, found(held("Renamed since the copy"))).await;
    let input = only_event(&ledger).await.input.expect("it is complete");
    let input: serde_json::Value = serde_json::from_slice(&input).expect("JSON");
    assert_eq!(input["eventName"], "Renamed since the copy");
    assert_eq!(input["eventDescription"], "New", "below everything received since");
}

/// A19, M23: HubSpot is newer than a copy that is put back.
pub(super) async fn restored_copy_reads_what_hubspot_holds_before_it_sends<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    ledger.accept(receipt("b", vec![created("2", "Two", NOON)])).await.expect("stored");
    let batch = claim(&ledger, ClaimRequest { limit: 1, ..NOW }).await;
    settle(&ledger, &batch, confirmed).await;
    ledger.close().await;
    drop(ledger);
    back_end.mark_copy();
    let ledger = back_end.open(policies());
    // The second was never sent, and the original may have sent it since.
    let read = claim_read(&ledger).await.expect("it is to be read");
    assert_eq!(read.key.external_event_id.as_str(), "2");
    settle_read(&ledger, &read, BaseReadOutcome::Absent).await;
    assert_eq!(claim(&ledger, NOW).await.len(), 1);
    assert_eq!(claim_read(&ledger).await, None, "nothing changed of the first");
    let renamed = NewReceipt {
        received_at: minutes(1),
        ..receipt("c", vec![renamed("1", "Newer", minutes(1))])
    };
    ledger.accept(renamed).await.expect("stored");
    let read = claim_read(&ledger).await.expect("it is to be read");
    let fields = BaseFields {
        description: Some("Since the copy".into()),
        cancelled: true,
        ..held("Renamed since the copy")
    };
    settle_read(&ledger, &read, found(fields)).await;
    let page = ledger.all_events().await.expect("events");
    let event = page.into_iter().find(|event| event.key == read.key).expect("it is there");
    let input: serde_json::Value =
        serde_json::from_slice(&event.input.expect("complete")).expect("JSON");
    assert_eq!((&input["eventName"], &input["eventCancelled"]), (&"Newer".into(), &true.into()));
    assert_eq!(input["eventDescription"], "Since the copy");
    // Once: what is created from now on is not read.
    drop(ledger);
    back_end.clock().set(minutes(5));
    let ledger = back_end.open(policies());
    let watched = created("3", "Three", minutes(4));
    let watched = NewReceipt { received_at: minutes(5), ..receipt("d", vec![watched]) };
    ledger.accept(watched).await.expect("stored");
    assert_eq!(claim_read(&ledger).await, None);
}

/// M23: where HubSpot holds what the copy knew it to hold, what the copy had accepted is newer. What equals it is not sent.
pub(super) async fn restored_copy_sends_what_it_had_accepted<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    for (seed, id) in [("a", "1"), ("b", "2")] {
        ledger.accept(receipt(seed, vec![created(id, "Old", NOON)])).await.expect("stored");
    }
    let batch = claim(&ledger, NOW).await;
    settle(&ledger, &batch, confirmed).await;
    let newer = |seed: &str, id: &str, name: &str, at| NewReceipt {
        received_at: at,
        ..receipt(seed, vec![renamed(id, name, at)])
    };
    ledger.accept(newer("c", "1", "New", minutes(1))).await.expect("stored");
    ledger.close().await;
    drop(ledger);
    back_end.mark_copy();
    let ledger = back_end.open(policies());
    // The second, which was delivered, is to be read once it changes.
    ledger.accept(newer("d", "2", "Other", minutes(2))).await.expect("stored");
    ledger.accept(newer("e", "2", "Old", minutes(3))).await.expect("stored");
    for _ in 0..2 {
        let read = claim_read(&ledger).await.expect("it is to be read");
        settle_read(&ledger, &read, found(held("Old"))).await;
    }
    assert_eq!(claim_read(&ledger).await, None);
    let batch = claim(&ledger, NOW).await;
    let [event] = batch.as_slice() else { panic!("one is to be sent: {batch:?}") };
    let input: serde_json::Value = serde_json::from_slice(&event.input).expect("JSON");
    assert_eq!((event.key.external_event_id.as_str(), &input["eventName"]), ("1", &"New".into()));
    let events = ledger.all_events().await.expect("events");
    let second = events.iter().find(|event| event.key.external_event_id.as_str() == "2");
    assert_eq!(second.expect("it is there").state, EventState::Delivered);
}

/// M23: also of an event that is redriven before it is read.
pub(super) async fn redriven_event_of_a_restored_copy_takes_what_the_copy_hears<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "Old", NOON)])).await.expect("stored");
    let batch = claim(&ledger, NOW).await;
    settle(&ledger, &batch, confirmed).await;
    ledger.close().await;
    drop(ledger);
    back_end.mark_copy();
    let ledger = back_end.open(policies());
    let key = only_event(&ledger).await.key;
    assert_eq!(ledger.redrive(&key).await.expect("asked"), RedriveResult::Pending);
    // Received after the copy was made.
    let known = receipt("b", vec![renamed("1", "Known", NOON)]);
    ledger.accept(known).await.expect("stored");
    let read = claim_read(&ledger).await.expect("it is to be read");
    settle_read(&ledger, &read, found(held("Old"))).await;
    let [event] = claim(&ledger, NOW).await.try_into().expect("it is to be sent");
    let input: serde_json::Value = serde_json::from_slice(&event.input).expect("JSON");
    assert_eq!(input["eventName"], "Known");
    let detail = ledger.event_detail(&key).await.expect("read").expect("it is there");
    assert!(detail.confirmed_input.is_some(), "HubSpot held what the copy knew");
}

/// M23: the original may have sent an occurrence that the copy does not know, with a name that the copy does not know.
pub(super) async fn occurrence_that_a_restored_copy_did_not_know_is_as_hubspot_holds_it<
    B: BackEnd,
>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let occurrence = |id: &str, start| OccurrenceChange {
        id: OccurrenceId::parse(id).expect("valid"),
        fields: WebinarFields { start: Some(start), ..WebinarFields::default() },
    };
    let series = Change {
        shape: Some(Shape::Series),
        listing: OccurrenceListing::Full,
        occurrences: vec![occurrence("x", minutes(24 * 60))],
        ..created("1", "One", NOON)
    };
    ledger.accept(receipt("a", vec![series])).await.expect("stored");
    drop(ledger);
    back_end.mark_copy();
    let ledger = back_end.open(policies());
    let more = Change {
        occurrences: vec![occurrence("y", minutes(48 * 60))],
        whole: WebinarFields::default(),
        ..renamed("1", "", minutes(1))
    };
    let more = NewReceipt { received_at: minutes(1), ..receipt("b", vec![more]) };
    ledger.accept(more).await.expect("stored");
    while let Some(read) = claim_read(&ledger).await {
        let is_new = read.key.external_event_id.as_str() == "1-y";
        let known = if is_new { found(held("Newer")) } else { BaseReadOutcome::Absent };
        settle_read(&ledger, &read, known).await;
    }
    let mut names = Vec::new();
    for event in ledger.all_events().await.expect("events") {
        let input = event.input.expect("complete");
        let input: serde_json::Value = serde_json::from_slice(&input).expect("JSON");
        names.push((event.key.external_event_id.as_str().to_owned(), input["eventName"].clone()));
    }
    assert_eq!(names, [("1-x".to_owned(), "One".into()), ("1-y".to_owned(), "Newer".into())]);
}

/// M20: what the source says is no longer what HubSpot held. The length of a name would stay that of an old one.
pub(super) async fn property_that_is_no_longer_configured_goes_although_hubspot_held_it<
    B: BackEnd,
>() {
    let back_end = B::new();
    let mut configured = policies();
    for policy in configured.values_mut() {
        let length = compile_event_expression("string(size(event.name))").expect("valid");
        let text = CustomProperty::Text("spring".into());
        let properties = [("length", CustomProperty::Computed(length)), ("campaign", text)];
        policy.custom_properties =
            properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    }
    let ledger = back_end.open(configured);
    ledger.accept(receipt("a", vec![older("1", "One", NOON)])).await.expect("stored");
    let read = claim_read(&ledger).await.expect("it is to be read");
    let custom = [("length", "3"), ("campaign", "spring"), ("seats", "7")];
    let custom = custom.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let fields = BaseFields { custom: custom.into(), ..held("One") };
    settle_read(&ledger, &read, found(fields)).await;
    assert_eq!(only_event(&ledger).await.state, EventState::Delivered, "HubSpot holds it");
    ledger.close().await;
    drop(ledger);
    let ledger = back_end.open(policies());
    while ledger.run_timers(10).await.expect("looked").next_due == Some(NOON) {}
    let input = only_event(&ledger).await.input.expect("it is complete");
    let input: serde_json::Value = serde_json::from_slice(&input).expect("JSON");
    let seats = serde_json::json!([{ "name": "seats", "value": "7" }]);
    assert_eq!(input["customProperties"], seats);
}

/// A4b, M19: what was pruned was created under the ledger's eyes, too.
pub(super) async fn event_that_was_pruned_is_read_before_it_is_sent_again<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    back_end.clock().set(minutes(60 * 24 * 500));
    let keep = Retention { receipts: DAY, events: 30 * DAY };
    while ledger.prune(keep).await.expect("pruned") {}
    assert!(ledger.all_events().await.expect("read").is_empty());
    let named_again = NewReceipt {
        received_at: minutes(60 * 24 * 500),
        ..receipt("b", vec![Change { created_at: Some(NOON), ..created("1", "Again", NOON) }])
    };
    ledger.accept(named_again).await.expect("stored");
    assert_eq!(only_event(&ledger).await.gaps, [Gap::BaseUnread]);
}

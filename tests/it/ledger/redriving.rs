//! Sending again what somebody asks to be sent again.

use std::time::Duration;

use webinar_bridge::event::{EventKey, WebinarFields};
use webinar_bridge::ledger::{
    ClaimRequest, ClaimedEvent, DeliveryOutcome, EventState, EventStateCounts, Ledger, Probe,
    ProbeKind, RedriveRequest, RedriveResult,
};

use super::back_end::BackEnd;
use super::contract::*;
use super::{NOW, begin_attempt, claim, confirmed, counts, refused_by, settle};
use crate::harness::build::{NOON, account, created, minutes, policies, receipt, renamed};
use crate::harness::events::AllEvents as _;

async fn with_one<B: BackEnd>(back_end: &B) -> (B::Ledger, Vec<ClaimedEvent>) {
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let batch = claim(&ledger, NOW).await;
    (ledger, batch)
}

async fn redrive(ledger: &impl Ledger, key: &EventKey) -> RedriveResult {
    ledger.redrive(key).await.expect("answered")
}

pub(super) async fn redriven_dead_event_is_sent_at_once<B: BackEnd>() {
    let back_end = B::new();
    let (ledger, batch) = with_one(&back_end).await;
    settle(&ledger, &batch, || DeliveryOutcome::Refused(refused_by("no"))).await;
    back_end.clock().set(minutes(5));
    let woken = ledger.wake_up(&account("main"));
    let woken = woken.notified();
    assert_eq!(redrive(&ledger, &batch[0].key).await, RedriveResult::Pending);
    tokio::time::timeout(Duration::from_secs(30), woken).await.expect("deliveries are woken");
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let event = ledger.event_detail(&batch[0].key).await.expect("read").expect("there").summary;
    assert_eq!((event.refused, event.attempts), (None, 0));
    assert_eq!(event.pending_since, Some(minutes(5)));
    let again = claim(&ledger, NOW).await;
    assert_eq!(again[0].input, batch[0].input);
    assert!(!again[0].already_confirmed);
}

pub(super) async fn redriven_delivered_event_is_sent<B: BackEnd>() {
    let back_end = B::new();
    let (ledger, batch) = with_one(&back_end).await;
    settle(&ledger, &batch, confirmed).await;
    assert_eq!(redrive(&ledger, &batch[0].key).await, RedriveResult::Pending);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let again = claim(&ledger, NOW).await;
    assert!(!again[0].already_confirmed, "HubSpot may hold something else by now");
    settle(&ledger, &again, confirmed).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
}

pub(super) async fn redriven_event_waits_no_longer<B: BackEnd>() {
    let back_end = B::new();
    let (ledger, batch) = with_one(&back_end).await;
    let again =
        || DeliveryOutcome::RetryCounted { wait: Duration::from_mins(5), reason: "timeout".into() };
    settle(&ledger, &batch, again).await;
    assert!(claim(&ledger, NOW).await.is_empty());
    assert_eq!(redrive(&ledger, &batch[0].key).await, RedriveResult::Pending);
    assert_eq!(claim(&ledger, NOW).await.len(), 1);
}

pub(super) async fn redrive_of_an_incomplete_or_unknown_event_sends_nothing<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![renamed("1", "One", NOON)])).await.expect("stored");
    let key = ledger.all_events().await.expect("events")[0].key.clone();
    assert_eq!(redrive(&ledger, &key).await, RedriveResult::Incomplete);
    let unknown = EventKey { hubspot: account("other"), ..key };
    assert_eq!(redrive(&ledger, &unknown).await, RedriveResult::Unknown);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { incomplete: 1, ..EventStateCounts::default() }
    );
    let ask = RedriveRequest { state: EventState::Incomplete, ..dead() };
    assert_eq!(redrive_all(&ledger, ask).await, 0);
}

pub(super) async fn redriven_event_survives_a_refusal_of_an_earlier_call<B: BackEnd>() {
    let back_end = B::new();
    let (ledger, batch) = with_one(&back_end).await;
    assert_eq!(redrive(&ledger, &batch[0].key).await, RedriveResult::Pending);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { in_flight: 1, ..EventStateCounts::default() }
    );
    assert!(claim(&ledger, NOW).await.is_empty(), "one flight at a time");
    settle(&ledger, &batch, || DeliveryOutcome::Refused(refused_by("no"))).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let again = claim(&ledger, NOW).await;
    // But a confirmation is one of the present state.
    assert_eq!(redrive(&ledger, &batch[0].key).await, RedriveResult::Pending);
    settle(&ledger, &again, confirmed).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
}

pub(super) async fn late_revocation_leaves_the_new_claim<B: BackEnd>() {
    let back_end = B::new();
    let (ledger, first) = with_one(&back_end).await;
    settle(&ledger, &first, || DeliveryOutcome::Refused(refused_by("no"))).await;
    assert_eq!(redrive(&ledger, &first[0].key).await, RedriveResult::Pending);
    let second = claim(&ledger, NOW).await;
    begin_attempt(&ledger, &second).await;
    // The account turns out to refuse everything, so the first refusal is taken back.
    settle(&ledger, &first, || DeliveryOutcome::RefusalRevoked).await;
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { in_flight: 1, ..EventStateCounts::default() }
    );
    assert!(claim(&ledger, NOW).await.is_empty(), "one flight at a time");
    // That a call is under way is remembered too: a crash amid it leaves it ambiguous.
    drop(ledger);
    let ledger = back_end.open(policies());
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    assert_eq!(ledger.run_timers(100).await.expect("looked").next_due, Some(minutes(2)));
}

pub(super) fn dead() -> RedriveRequest {
    RedriveRequest { account: None, state: EventState::Dead, not_over: false, after: None }
}

pub(super) async fn redrive_all(ledger: &impl Ledger, mut ask: RedriveRequest) -> u64 {
    let mut redriven = 0;
    loop {
        let piece = ledger.redrive_all(ask.clone()).await.expect("answered");
        redriven += piece.redriven;
        match piece.next {
            None => return redriven,
            next => ask.after = next,
        }
    }
}

pub(super) async fn redrive_of_all_dead_events_sends_nothing_else<B: BackEnd>() {
    let back_end = B::new();
    let (ledger, batch) = with_one(&back_end).await;
    settle(&ledger, &batch, confirmed).await;
    for id in ["2", "3", "4"] {
        ledger.accept(receipt(id, vec![created(id, "Name", NOON)])).await.expect("stored");
    }
    settle(&ledger, &claim(&ledger, NOW).await, || DeliveryOutcome::Refused(refused_by("no")))
        .await;
    let of_other = RedriveRequest { account: Some(account("other")), ..dead() };
    assert_eq!(redrive_all(&ledger, of_other).await, 0);
    let of_main = RedriveRequest { account: Some(account("main")), ..dead() };
    assert_eq!(redrive_all(&ledger, of_main).await, 3);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 3, delivered: 1, ..EventStateCounts::default() }
    );
    assert_eq!(redrive_all(&ledger, dead()).await, 0);
    drop(ledger);
    let ledger = back_end.open(policies());
    let stored = EventStateCounts { pending: 3, delivered: 1, ..EventStateCounts::default() };
    assert_eq!(counts(&ledger).await, stored, "in the file too");
}

pub(super) async fn redrive_can_leave_out_past_events<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let mut later = created("2", "Later", NOON);
    later.whole = WebinarFields { start: Some(minutes(48 * 60)), ..later.whole };
    ledger.accept(receipt("a", vec![created("1", "Soon", NOON), later])).await.expect("stored");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    back_end.clock().set(minutes(26 * 60));
    let delivered = RedriveRequest { state: EventState::Delivered, not_over: true, ..dead() };
    assert_eq!(redrive_all(&ledger, delivered).await, 1);
    assert_eq!(claim(&ledger, NOW).await[0].key.external_event_id.as_str(), "2");
}

fn probe(kind: ProbeKind, refused: &[i64]) -> ClaimRequest {
    let refused = refused.iter().copied().collect();
    ClaimRequest { probe: Some(Probe { kind, refused, last_account: None }), ..NOW }
}

/// B1.
pub(super) async fn witness_is_sent_as_it_was_and_counted_as_delivered<B: BackEnd>() {
    let back_end = B::new();
    let (ledger, delivered) = with_one(&back_end).await;
    let witness = || probe(ProbeKind::Witness, &[]);
    release_all(&ledger, &delivered).await;
    let only = claim(&ledger, witness()).await;
    assert_eq!((only.len(), only[0].is_witness), (1, false), "HubSpot confirmed none");
    settle(&ledger, &only, confirmed).await;
    ledger.accept(receipt("b", vec![created("2", "Two", NOON)])).await.expect("stored");
    let sent = claim(&ledger, witness()).await;
    assert_eq!((&sent[0].key, sent[0].is_witness), (&delivered[0].key, true));
    assert_eq!((&sent[0].input, sent[0].already_confirmed), (&delivered[0].input, false));
    let there = EventStateCounts { pending: 1, delivered: 1, ..EventStateCounts::default() };
    assert_eq!(counts(&ledger).await, there, "it is not in flight");
    begin_attempt(&ledger, &sent).await;
    settle(&ledger, &sent, || DeliveryOutcome::NotApplied).await;
    assert_eq!(counts(&ledger).await, there);
    // It is a witness again, and a change that comes meanwhile is sent.
    let sent = claim(&ledger, witness()).await;
    assert!(sent[0].is_witness);
    ledger.accept(receipt("c", vec![renamed("1", "One more", minutes(1))])).await.expect("stored");
    let (in_flight, delivered) = (1, 0);
    assert_eq!(counts(&ledger).await, EventStateCounts { in_flight, delivered, ..there });
    begin_attempt(&ledger, &sent).await;
    settle(&ledger, &sent, confirmed).await;
    assert_eq!(claim(&ledger, NOW).await.len(), 2);
}

async fn release_all(ledger: &impl Ledger, batch: &[ClaimedEvent]) {
    settle(ledger, batch, || DeliveryOutcome::NotApplied).await;
}

/// B1.
pub(super) async fn upheld_refusal_is_a_dead_letter_unless_it_is_on_its_way<B: BackEnd>() {
    let back_end = B::new();
    let (ledger, first) = with_one(&back_end).await;
    let upheld = || DeliveryOutcome::RefusalUpheld(refused_by("no"));
    settle(&ledger, &first, || DeliveryOutcome::Refused(refused_by("no"))).await;
    settle(&ledger, &first, || DeliveryOutcome::RefusalRevoked).await;
    let again = claim(&ledger, probe(ProbeKind::Refused, &[first[0].id])).await;
    begin_attempt(&ledger, &again).await;
    settle(&ledger, &first, upheld).await;
    let on_its_way = EventStateCounts { in_flight: 1, ..EventStateCounts::default() };
    assert_eq!(counts(&ledger).await, on_its_way);
    settle(&ledger, &again, || DeliveryOutcome::NotApplied).await;
    settle(&ledger, &first, upheld).await;
    let dead = EventStateCounts { dead: 1, ..EventStateCounts::default() };
    assert_eq!(counts(&ledger).await, dead);
    let event = ledger.event_detail(&first[0].key).await.expect("read").expect("there").summary;
    assert_eq!(event.refused, Some(refused_by("no")));
}

use std::collections::BTreeMap;

use super::super::event_row::tests::pending;
use super::*;
use crate::event::{AccountName, ExternalAccountId, WebinarId};
use crate::ledger::ReceiptOutcome;

fn key(webinar: &str) -> WebinarKey {
    WebinarKey {
        hubspot: AccountName::parse("main").expect("valid"),
        account: ExternalAccountId::parse("acct").expect("valid"),
        webinar: WebinarId::parse(webinar).expect("valid"),
    }
}

fn webinar(full_picture: bool) -> Webinar {
    Webinar { full_picture, was_whole: true, ..Webinar::default() }
}

fn state(webinar: Webinar) -> WebinarState {
    WebinarState::new(key("7"), webinar, false, &[], BTreeMap::new())
}

fn rebuilt(before: Webinar, after: Webinar) -> RebuiltWebinar {
    RebuiltWebinar { before: state(before), webinar: after, contributes: true }
}

#[test]
fn plan_follows_from_the_webinar_before_and_after() {
    let (one, other, empty) = (webinar(true), webinar(false), Webinar::default());
    for (before, after, now, exists, plan) in [
        (&one, &other, &one, true, WebinarPlan::Replace),
        (&empty, &one, &empty, false, WebinarPlan::Replace),
        (&one, &empty, &one, true, WebinarPlan::Empty),
        (&one, &one, &one, true, WebinarPlan::Link),
        (&empty, &empty, &empty, false, WebinarPlan::Nothing),
        (&one, &one, &other, true, WebinarPlan::Stale),
    ] {
        let rebuilt = rebuilt(before.clone(), after.clone());
        assert_eq!(plan_webinar(&rebuilt, &state(now.clone()), exists, false), plan);
    }
}

#[test]
fn webinar_with_another_receipt_is_stale() {
    let now = WebinarState::new(
        key("7"),
        webinar(true),
        false,
        &[ReceiptId::from_bytes([1; 16])],
        BTreeMap::new(),
    );
    let rebuilt = rebuilt(webinar(true), webinar(false));
    assert_eq!(plan_webinar(&rebuilt, &now, true, true), WebinarPlan::Stale);
}

#[test]
fn checksum_depends_on_the_receipts_and_their_order() {
    let [one, other] = [1, 2].map(|n| ReceiptId::from_bytes([n; 16]));
    let checksum = ReceiptChecksum::from_receipts(&[one, other]);
    assert_eq!(checksum, ReceiptChecksum::from_receipts(&[one, other]));
    for different in [&[other, one][..], &[one], &[]] {
        assert_ne!(checksum, ReceiptChecksum::from_receipts(different));
    }
}

#[test]
fn rebuild_covers_every_webinar_that_the_receipt_built() {
    let request = RebuildRequest {
        receipt: ReceiptId::from_bytes([1; 16]),
        outcome: ReceiptOutcome::Accepted,
        reason: None,
        webinars: vec![rebuilt(webinar(true), webinar(true))],
    };
    assert!(covers_all_webinars(&request, &[]));
    assert!(covers_all_webinars(&request, &[key("7")]));
    assert!(!covers_all_webinars(&request, &[key("7"), key("8")]));
}

/// M31, A16.
#[test]
fn event_of_a_moved_webinar_is_cancelled_only_where_hubspot_may_hold_it() {
    let input = br#"{"eventName":"One","eventCancelled":false,"eventCompleted":false}"#;
    let never = pending("one");
    let at = Millis::new(50);
    assert_eq!(cancel_moved(&never, input, at), None);
    let hash = InputHash::from_input(input);
    let delivered = EventRow {
        state: EventState::Delivered,
        input_hash: Some(hash),
        confirmed_hash: Some(hash),
        ..never
    };
    let cancelled = cancel_moved(&delivered, input, at).expect("HubSpot holds it");
    let text = String::from_utf8(cancelled.input.clone()).expect("text");
    assert!(text.contains(r#""eventCancelled":true"#) && text.contains(r#""eventName":"One""#));
    assert_eq!((cancelled.row.state, cancelled.row.version), (EventState::Pending, 2));
    assert_eq!(cancelled.row.input_hash, Some(InputHash::from_input(&cancelled.input)));
    assert_eq!(cancelled.confirmed_input, ConfirmedInput::TakePresent);
    assert_eq!(cancel_moved(&delivered, &cancelled.input, at), None, "it is already");
}

#[test]
fn webinar_is_moved_if_the_receipt_contributes_to_another() {
    let moved = RebuiltWebinar { contributes: false, ..rebuilt(webinar(true), Webinar::default()) };
    let mut other = rebuilt(Webinar::default(), webinar(true));
    other.before.key = key("8");
    let request = |webinars| RebuildRequest {
        receipt: ReceiptId::from_bytes([1; 16]),
        outcome: ReceiptOutcome::Accepted,
        reason: None,
        webinars,
    };
    assert!(is_moved(&request(vec![moved.clone(), other.clone()]), &moved));
    assert!(!is_moved(&request(vec![moved.clone()]), &moved), "it reports nothing any more");
    assert!(!is_moved(&request(vec![moved, other.clone()]), &other));
}

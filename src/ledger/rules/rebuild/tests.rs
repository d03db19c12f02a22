use std::collections::BTreeMap;

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
        assert_eq!(plan_webinar(&rebuilt, &state(now.clone()), exists), plan);
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
    assert_eq!(plan_webinar(&rebuilt, &now, true), WebinarPlan::Stale);
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

//! Repeated bodies: a missed duplicate is harmless, a false one loses data (M32, M33, M34).

use std::time::Duration;

use webinar_bridge::event::{Change, Millis, ReceiptId};
use webinar_bridge::ledger::{
    Browse, DuplicateRule, Ledger, NewReceipt, ReceiptContent, ReceiptOutcome, ReceiptQuery,
};

use super::back_end::BackEnd;
use super::contract::*;
use super::fetching::{always, answered, due};
use super::lasting::{KEEP, prune};
use crate::harness::build::{NOON, created, policies, receipt, source};
use crate::harness::events::AllEvents as _;

use ReceiptOutcome::{Accepted, Duplicate, Ignored, Quarantined};

/// A body without a time of its own, which nothing signed tells apart from its repetition.
fn undated(seed: &str, webinars: &[&str]) -> NewReceipt {
    let change = |id: &&str| Change { occurred_at: None, ..created(id, seed, NOON) };
    let changes = webinars.iter().map(change).collect();
    NewReceipt { duplicates: DuplicateRule::LastOfWebinar, ..receipt(seed, changes) }
}

/// The receipt arrives that many seconds after noon.
async fn arrives<B: BackEnd>(
    back_end: &B,
    ledger: &impl Ledger,
    second: u64,
    new: &NewReceipt,
) -> ReceiptOutcome {
    let received_at = NOON.plus(Duration::from_secs(second));
    back_end.clock().set(received_at);
    let id = ReceiptId::generate();
    ledger.accept(NewReceipt { received_at, id, ..new.clone() }).await.expect("stored")
}

/// The names of the events, in the order of their ids.
async fn names(ledger: &impl Browse) -> Vec<String> {
    let events = ledger.all_events().await.expect("events");
    events.into_iter().map(|event| event.name.unwrap_or_default()).collect()
}

async fn receipts(ledger: &impl Browse) -> Vec<(ReceiptId, ReceiptOutcome, Millis)> {
    let query = ReceiptQuery { limit: 100, ..ReceiptQuery::default() };
    let page = ledger.list_receipts(query).await.expect("receipts");
    page.items.into_iter().map(|one| (one.id, one.outcome, one.received_at)).collect()
}

/// A7, M33.
pub(super) async fn body_is_no_duplicate_once_another_one_came<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let (a, b) = (undated("A", &["1"]), undated("B", &["1"]));
    let mut outcomes = Vec::new();
    for (second, new) in [&a, &a, &b, &b, &a, &a, &b].into_iter().enumerate() {
        outcomes.push(arrives(&back_end, &ledger, second as u64, new).await);
    }
    assert_eq!(outcomes, [Accepted, Duplicate, Accepted, Duplicate, Accepted, Duplicate, Accepted]);
    assert_eq!(names(&ledger).await, ["B"]);
    assert_eq!(arrives(&back_end, &ledger, 9, &a).await, Accepted);
    assert_eq!(names(&ledger).await, ["A"]);
    assert_eq!(receipts(&ledger).await.len(), 5);
    drop(ledger);
    let ledger = back_end.open(policies());
    assert_eq!(arrives(&back_end, &ledger, 20, &a).await, Duplicate, "also after a restart");
}

/// M23, M33: other ones may have come between a copy and its restore.
pub(super) async fn body_of_a_restored_copy_is_no_duplicate_once<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let body = undated("A", &["1"]);
    assert_eq!(arrives(&back_end, &ledger, 0, &body).await, Accepted);
    drop(ledger);
    back_end.mark_copy();
    let ledger = back_end.open(policies());
    assert_eq!(arrives(&back_end, &ledger, 10, &body).await, Accepted);
    assert_eq!(arrives(&back_end, &ledger, 11, &body).await, Duplicate);
}

pub(super) async fn body_about_several_webinars_is_a_duplicate_if_it_is_the_last_of_each<
    B: BackEnd,
>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let both = undated("both", &["1", "2"]);
    assert_eq!(arrives(&back_end, &ledger, 0, &both).await, Accepted);
    assert_eq!(arrives(&back_end, &ledger, 1, &undated("third", &["3"])).await, Accepted);
    assert_eq!(arrives(&back_end, &ledger, 2, &both).await, Duplicate, "it is another webinar");
    assert_eq!(arrives(&back_end, &ledger, 3, &undated("second", &["2"])).await, Accepted);
    assert_eq!(arrives(&back_end, &ledger, 4, &both).await, Accepted);
    assert_eq!(names(&ledger).await, ["both", "both", "third"]);
}

/// A7: a second is signed, and the platform says A, B, A within it.
pub(super) async fn body_of_one_signed_time_is_a_duplicate_after_its_second<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let timed =
        |seed| NewReceipt { duplicates: DuplicateRule::SignedTime, ..undated(seed, &["1"]) };
    let (a, b) = (timed("A"), timed("B"));
    for (second, new, outcome) in
        [(0, &a, Accepted), (0, &a, Duplicate), (0, &b, Accepted), (1, &a, Accepted)]
    {
        assert_eq!(arrives(&back_end, &ledger, second, new).await, outcome);
    }
    assert_eq!(names(&ledger).await, ["A"]);
    assert_eq!(arrives(&back_end, &ledger, 2, &b).await, Duplicate, "it was captured");
    let dated = |seed: &str| NewReceipt {
        duplicates: DuplicateRule::SignedTime,
        ..receipt(seed, vec![created("2", seed, NOON)])
    };
    for (new, outcome) in [("c", Accepted), ("d", Accepted), ("c", Duplicate)] {
        assert_eq!(arrives(&back_end, &ledger, 3, &dated(new)).await, outcome, "{new}");
    }
}

pub(super) async fn signed_delivery_is_never_accepted_again<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    for (n, duplicates) in [DuplicateRule::Delivery, DuplicateRule::Lasting].into_iter().enumerate()
    {
        let id = n.to_string();
        let new = |seed: &str| NewReceipt { duplicates, ..undated(&format!("{seed}{id}"), &[&id]) };
        for (second, new, outcome) in
            [(0, new("A"), Accepted), (0, new("B"), Accepted), (0, new("A"), Duplicate)]
        {
            assert_eq!(arrives(&back_end, &ledger, second, &new).await, outcome, "{duplicates:?}");
        }
    }
    assert_eq!(names(&ledger).await, ["B0", "B1"]);
}

/// A store of the version before holds lasting keys of all bodies without a signed time.
pub(super) async fn old_lasting_key_does_not_hold_up_a_body_that_may_repeat<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let a = undated("A", &["1"]);
    let old = NewReceipt { duplicates: DuplicateRule::Lasting, ..a.clone() };
    assert_eq!(arrives(&back_end, &ledger, 0, &old).await, Accepted);
    let day = 24 * 60 * 60;
    assert_eq!(arrives(&back_end, &ledger, 31 * day, &undated("B", &["1"])).await, Accepted);
    prune(&ledger).await;
    assert_eq!(back_end.row_counts().lasting_keys, 1);
    assert_eq!(arrives(&back_end, &ledger, 32 * day, &old).await, Duplicate);
    assert_eq!(arrives(&back_end, &ledger, 32 * day, &a).await, Accepted);
    assert_eq!(names(&ledger).await, ["A"]);
    while ledger.prune(KEEP).await.expect("pruned") {}
}

/// A8, M34.
pub(super) async fn receipt_that_said_nothing_is_brought_up_to_date<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let odd = || ReceiptContent::Quarantined("no id".into());
    for duplicates in [
        DuplicateRule::Delivery,
        DuplicateRule::SignedTime,
        DuplicateRule::Lasting,
        DuplicateRule::LastOfWebinar,
    ] {
        for (then, body, first) in
            [(ReceiptContent::Ignored, Vec::new(), Ignored), (odd(), b"body".to_vec(), Quarantined)]
        {
            let seed = format!("{duplicates:?}{first:?}");
            let now = NewReceipt { duplicates, ..undated(&seed, &[&seed]) };
            let was = NewReceipt { content: then, body, ..now.clone() };
            assert_eq!(arrives(&back_end, &ledger, 0, &was).await, first);
            assert_eq!(arrives(&back_end, &ledger, 1, &was).await, Duplicate);
            let [(id, ..), ..] = receipts(&ledger).await[..] else { panic!("it is stored") };
            let before = receipts(&ledger).await.len();
            assert_eq!(arrives(&back_end, &ledger, 2, &now).await, Accepted, "{seed}");
            let all = receipts(&ledger).await;
            assert_eq!(all.len(), before, "it is the same receipt");
            assert_eq!(all[0], (id, Accepted, NOON.plus(Duration::from_secs(2))));
            let shown = ledger.receipt(id).await.expect("read").expect("it is there");
            assert_eq!(shown.events.len(), 1, "{seed}");
            assert!(shown.record.body.is_some(), "{seed}");
            assert_eq!(arrives(&back_end, &ledger, 3, &now).await, Duplicate);
            assert_eq!(arrives(&back_end, &ledger, 3, &was).await, Duplicate, "it says less");
        }
    }
    // What was ignored may be unmappable today, and is kept from then on.
    let odd = NewReceipt { content: odd(), ..undated("odd", &["1"]) };
    let ignored = NewReceipt { content: ReceiptContent::Ignored, body: Vec::new(), ..odd.clone() };
    assert_eq!(arrives(&back_end, &ledger, 4, &ignored).await, Ignored);
    assert_eq!(arrives(&back_end, &ledger, 5, &odd).await, Quarantined);
    assert_eq!(arrives(&back_end, &ledger, 6, &odd).await, Duplicate);
    let (id, ..) = receipts(&ledger).await[0];
    let shown = ledger.receipt(id).await.expect("read").expect("it is there");
    assert_eq!(shown.record.summary.reason.as_deref(), Some("no id"));
    assert_eq!(shown.record.body, Some(odd.body));
}

/// M34: a delivery's id may come with another body, which counts.
pub(super) async fn revived_delivery_shows_the_body_that_counts<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let was = NewReceipt {
        content: ReceiptContent::Quarantined("no id".into()),
        ..receipt("was", Vec::new())
    };
    assert_eq!(arrives(&back_end, &ledger, 0, &was).await, Quarantined);
    let now = receipt("now", vec![created("1", "One", NOON)]);
    let now = NewReceipt { dedupe_key: was.dedupe_key, ..now };
    assert_eq!(arrives(&back_end, &ledger, 1, &now).await, Accepted);
    let (id, ..) = receipts(&ledger).await[0];
    let shown = ledger.receipt(id).await.expect("read").expect("it is there").record;
    assert_eq!(
        shown.body.map(|body| String::from_utf8_lossy(&body).into_owned()),
        Some(String::from_utf8_lossy(&now.body).into_owned())
    );
    assert_eq!(shown.summary.hash, now.hash);
}

pub(super) async fn receipt_that_is_refused_again_is_a_duplicate<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let stranger = NewReceipt { source: source("stranger"), ..undated("A", &["1"]) };
    assert_eq!(arrives(&back_end, &ledger, 0, &stranger).await, Quarantined);
    assert_eq!(arrives(&back_end, &ledger, 1, &stranger).await, Duplicate);
    let mut foreign = undated("B", &["2"]);
    foreign.provider = webinar_bridge::event::ProviderId::new("goto");
    assert_eq!(arrives(&back_end, &ledger, 2, &undated("C", &["2"])).await, Accepted);
    assert_eq!(arrives(&back_end, &ledger, 3, &foreign).await, Quarantined);
    let before = receipts(&ledger).await;
    assert_eq!(arrives(&back_end, &ledger, 4, &foreign).await, Duplicate);
    assert_eq!(receipts(&ledger).await, before);
    drop(ledger);
    // The source is configured by now.
    let mut both = policies();
    both.insert(source("stranger"), both[&source("zoom")].clone());
    let ledger = back_end.open(both);
    assert_eq!(arrives(&back_end, &ledger, 5, &stranger).await, Accepted);
    assert_eq!(names(&ledger).await, ["A", "C"]);
}

/// A body that only says what to ask about.
pub(super) async fn question_that_is_still_open_takes_up_its_repetition<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let thin = NewReceipt {
        fetch_requests: vec![always("1")],
        duplicates: DuplicateRule::OpenRequests,
        ..undated("thin", &[])
    };
    assert_eq!(arrives(&back_end, &ledger, 0, &thin).await, Accepted);
    let asked = due(&ledger).await;
    assert_eq!((asked.len(), asked[0].row.version), (1, 1));
    // It is being asked, and something happened since.
    assert_eq!(arrives(&back_end, &ledger, 1, &thin).await, Duplicate);
    let answer = || answered("answer", vec![created("1", "One", NOON)]);
    ledger.settle_fetch(&asked[0], answer()).await.expect("settled");
    let again = due(&ledger).await;
    assert_eq!((again.len(), again[0].row.version), (1, 2), "it is asked once more");
    ledger.settle_fetch(&again[0], answer()).await.expect("settled");
    assert_eq!(due(&ledger).await, []);
    assert_eq!(arrives(&back_end, &ledger, 2, &thin).await, Accepted);
    assert_eq!(due(&ledger).await.len(), 1);
    // Where a signature tells deliveries apart, a repetition asks nothing.
    let signed = NewReceipt { duplicates: DuplicateRule::Delivery, ..thin };
    let signed = NewReceipt { dedupe_key: [9; 32], fetch_requests: vec![always("2")], ..signed };
    assert_eq!(arrives(&back_end, &ledger, 3, &signed).await, Accepted);
    for asked in due(&ledger).await {
        ledger.settle_fetch(&asked, answer()).await.expect("settled");
    }
    assert_eq!(arrives(&back_end, &ledger, 4, &signed).await, Duplicate);
    assert_eq!(due(&ledger).await, []);
}

//! Keys that live as long as the event: what was captured when it came is known when it is sent again much later.

use std::time::Duration;

use webinar_bridge::event::{Change, Millis};
use webinar_bridge::ledger::{
    DuplicateRule, Ledger, NewReceipt, ReceiptContent, ReceiptOutcome, Retention,
};

use super::back_end::{BackEnd, RowCounts};
use super::fetching::{always, due};
use super::{NOW, claim, confirmed, settle};
use crate::harness::build::{NOON, created, policies, policy, receipt, renamed, source};

const DAY: Duration = Duration::from_hours(24);
pub(super) const KEEP: Retention =
    Retention { receipts: DAY.saturating_mul(30), events: DAY.saturating_mul(400) };

pub(super) fn lasting(seed: &str, changes: Vec<Change>) -> NewReceipt {
    NewReceipt { duplicates: DuplicateRule::Lasting, ..receipt(seed, changes) }
}

/// It comes so many days after noon.
pub(super) async fn comes(
    back_end: &impl BackEnd,
    ledger: &impl Ledger,
    day: u32,
    new: &NewReceipt,
) -> ReceiptOutcome {
    let received_at = at(back_end, day);
    ledger.accept(NewReceipt { received_at, ..new.clone() }).await.expect("stored")
}

pub(super) fn at(back_end: &impl BackEnd, day: u32) -> Millis {
    let now = NOON.plus(day * DAY);
    back_end.clock().set(now);
    now
}

/// All is in HubSpot, and what was kept long enough goes.
pub(super) async fn prune(ledger: &impl Ledger) {
    settle(ledger, &claim(ledger, NOW).await, confirmed).await;
    while ledger.prune(KEEP).await.expect("pruned") {}
}

pub(super) async fn lasting_key_is_known_as_long_as_its_webinar<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let captured = lasting("a", vec![created("1", "One", NOON)]);
    let signed = receipt("b", vec![renamed("1", "One more", NOON.plus(DAY))]);
    for new in [&captured, &signed] {
        assert_eq!(comes(&back_end, &ledger, 0, new).await, ReceiptOutcome::Accepted);
    }
    at(&back_end, 31);
    prune(&ledger).await;
    let left = RowCounts { receipts: 0, webinars: 1, lasting_keys: 1 };
    assert_eq!(back_end.row_counts(), left, "a signed receipt needs no lasting key");
    drop(ledger);

    let mut both = policies();
    both.insert(source("second"), policy("main"));
    let ledger = back_end.open(both);
    let mut again = captured.clone();
    again.fetch_requests = vec![always("1")];
    assert_eq!(comes(&back_end, &ledger, 32, &again).await, ReceiptOutcome::Duplicate);
    // Whatever today's code makes of it.
    for content in [ReceiptContent::Ignored, ReceiptContent::Quarantined("odd".into())] {
        let again = NewReceipt { content, ..again.clone() };
        assert_eq!(comes(&back_end, &ledger, 32, &again).await, ReceiptOutcome::Duplicate);
    }
    let plain = NewReceipt { duplicates: DuplicateRule::Delivery, ..again };
    assert_eq!(comes(&back_end, &ledger, 32, &plain).await, ReceiptOutcome::Duplicate);
    assert_eq!((due(&ledger).await, back_end.row_counts().receipts), (Vec::new(), 0));
    assert_eq!(comes(&back_end, &ledger, 32, &signed).await, ReceiptOutcome::Accepted);
    // Keys are a source's own.
    let mut other = captured.clone();
    other.source = source("second");
    assert_eq!(comes(&back_end, &ledger, 32, &other).await, ReceiptOutcome::Accepted);
    prune(&ledger).await;

    at(&back_end, 31 + 402);
    prune(&ledger).await;
    let left = back_end.row_counts();
    assert_eq!((left.webinars, left.lasting_keys), (0, 0));
    assert_eq!(
        comes(&back_end, &ledger, 433, &captured).await,
        ReceiptOutcome::Accepted,
        "it is gone"
    );
}

pub(super) async fn lasting_key_goes_with_the_last_webinar_it_built<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let captured = lasting("a", vec![created("1", "One", NOON), created("2", "Two", NOON)]);
    comes(&back_end, &ledger, 0, &captured).await;
    at(&back_end, 31);
    prune(&ledger).await;
    // Webhooks go on to come for one.
    comes(&back_end, &ledger, 300, &receipt("b", vec![renamed("2", "Two more", NOON.plus(DAY))]))
        .await;
    at(&back_end, 402);
    prune(&ledger).await;
    let left = back_end.row_counts();
    assert_eq!((left.webinars, left.lasting_keys), (1, 1));
    assert_eq!(comes(&back_end, &ledger, 402, &captured).await, ReceiptOutcome::Duplicate);
    at(&back_end, 701);
    prune(&ledger).await;
    let left = back_end.row_counts();
    assert_eq!((left.webinars, left.lasting_keys), (0, 0));
}

pub(super) async fn lasting_key_that_built_nothing_goes_with_its_receipt<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let ignored = NewReceipt { content: ReceiptContent::Ignored, ..lasting("a", Vec::new()) };
    let odd = NewReceipt {
        content: ReceiptContent::Quarantined("odd".into()),
        ..lasting("b", Vec::new())
    };
    let thin = lasting("c", Vec::new());
    let all = [&ignored, &odd, &thin];
    for new in all {
        comes(&back_end, &ledger, 0, new).await;
    }
    at(&back_end, 29);
    prune(&ledger).await;
    for new in all {
        assert_eq!(comes(&back_end, &ledger, 29, new).await, ReceiptOutcome::Duplicate);
    }
    at(&back_end, 31);
    prune(&ledger).await;
    let left = back_end.row_counts();
    assert_eq!((left.receipts, left.lasting_keys), (0, 0));
    for new in all {
        assert_ne!(comes(&back_end, &ledger, 31, new).await, ReceiptOutcome::Duplicate);
    }
}

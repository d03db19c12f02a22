//! Keys that live as long as the event: what was captured when it came is known when it is sent again much later.

use std::time::Duration;

use webinar_bridge::event::{Change, Millis};
use webinar_bridge::ledger::sqlite::SqliteLedger;
use webinar_bridge::ledger::{
    Intake as _, NewReceipt, ReceiptContent, ReceiptOutcome, Retention, Timers as _,
};

use super::fetching::{always, due};
use super::{NOW, claim, confirmed, settle};
use crate::harness::build::{NOON, created, policies, policy, receipt, renamed, source};
use crate::harness::store::Place;

const DAY: Duration = Duration::from_hours(24);
const KEEP: Retention =
    Retention { receipts: DAY.saturating_mul(30), events: DAY.saturating_mul(400) };

fn lasting(seed: &str, changes: Vec<Change>) -> NewReceipt {
    NewReceipt { lasting_key: true, ..receipt(seed, changes) }
}

/// It comes so many days after noon.
async fn comes(place: &Place, ledger: &SqliteLedger, day: u32, new: &NewReceipt) -> ReceiptOutcome {
    let received_at = at(place, day);
    ledger.accept(NewReceipt { received_at, ..new.clone() }).await.expect("kept")
}

fn at(place: &Place, day: u32) -> Millis {
    let now = NOON.plus(day * DAY);
    place.clock.set(now);
    now
}

/// All is in HubSpot, and what was kept long enough goes.
async fn prune(ledger: &SqliteLedger) {
    settle(ledger, &claim(ledger, NOW).await, confirmed).await;
    while ledger.prune(KEEP).await.expect("pruned") {}
}

fn rows(place: &Place, table: &str) -> i64 {
    let store = rusqlite::Connection::open(place.file()).expect("opens");
    let sql = format!("SELECT count(*) FROM {table}");
    store.query_row(&sql, (), |row| row.get(0)).expect("counted")
}

#[tokio::test]
async fn a_body_that_was_captured_is_known_for_as_long_as_what_it_built() {
    let place = Place::new();
    let ledger = place.open(policies());
    let captured = lasting("a", vec![created("1", "One", NOON)]);
    let signed = receipt("b", vec![renamed("1", "One more", NOON.plus(DAY))]);
    for new in [&captured, &signed] {
        assert_eq!(comes(&place, &ledger, 0, new).await, ReceiptOutcome::Accepted);
    }
    at(&place, 31);
    prune(&ledger).await;
    assert_eq!((rows(&place, "receipts"), rows(&place, "bodies")), (0, 1), "the last may be open");
    assert_eq!(rows(&place, "lasting_keys"), 1, "of a signed one the time is known");
    drop(ledger);

    let mut both = policies();
    both.insert(source("second"), policy("main"));
    let ledger = place.open(both);
    let mut again = captured.clone();
    again.fetch_requests = vec![always("1")];
    assert_eq!(comes(&place, &ledger, 32, &again).await, ReceiptOutcome::Duplicate);
    // Whatever today's code makes of it.
    for content in [ReceiptContent::Ignored, ReceiptContent::Quarantined("odd".into())] {
        let again = NewReceipt { content, ..again.clone() };
        assert_eq!(comes(&place, &ledger, 32, &again).await, ReceiptOutcome::Duplicate);
    }
    let plain = NewReceipt { lasting_key: false, ..again };
    assert_eq!(comes(&place, &ledger, 32, &plain).await, ReceiptOutcome::Duplicate);
    assert_eq!((due(&ledger).await, rows(&place, "receipts")), (Vec::new(), 0));
    assert_eq!(comes(&place, &ledger, 32, &signed).await, ReceiptOutcome::Accepted);
    // Keys are a source's own.
    let mut other = captured.clone();
    other.source = source("second");
    assert_eq!(comes(&place, &ledger, 32, &other).await, ReceiptOutcome::Accepted);
    prune(&ledger).await;

    at(&place, 31 + 402);
    prune(&ledger).await;
    assert_eq!((rows(&place, "webinars"), rows(&place, "lasting_keys")), (0, 0));
    assert_eq!(
        comes(&place, &ledger, 433, &captured).await,
        ReceiptOutcome::Accepted,
        "it is gone"
    );
}

#[tokio::test]
async fn a_key_goes_with_the_last_that_it_built() {
    let place = Place::new();
    let ledger = place.open(policies());
    let captured = lasting("a", vec![created("1", "One", NOON), created("2", "Two", NOON)]);
    comes(&place, &ledger, 0, &captured).await;
    at(&place, 31);
    prune(&ledger).await;
    // One goes on being told of.
    comes(&place, &ledger, 300, &receipt("b", vec![renamed("2", "Two more", NOON.plus(DAY))]))
        .await;
    at(&place, 402);
    prune(&ledger).await;
    assert_eq!((rows(&place, "webinars"), rows(&place, "lasting_keys")), (1, 1));
    assert_eq!(comes(&place, &ledger, 402, &captured).await, ReceiptOutcome::Duplicate);
    at(&place, 701);
    prune(&ledger).await;
    assert_eq!((rows(&place, "webinars"), rows(&place, "lasting_keys")), (0, 0));
}

#[tokio::test]
async fn what_built_nothing_is_kept_as_long_as_any_other() {
    let place = Place::new();
    let ledger = place.open(policies());
    let ignored = NewReceipt { content: ReceiptContent::Ignored, ..lasting("a", Vec::new()) };
    let odd = NewReceipt {
        content: ReceiptContent::Quarantined("odd".into()),
        ..lasting("b", Vec::new())
    };
    let thin = lasting("c", Vec::new());
    let all = [&ignored, &odd, &thin];
    for new in all {
        comes(&place, &ledger, 0, new).await;
    }
    at(&place, 29);
    prune(&ledger).await;
    for new in all {
        assert_eq!(comes(&place, &ledger, 29, new).await, ReceiptOutcome::Duplicate);
    }
    at(&place, 31);
    prune(&ledger).await;
    assert_eq!(rows(&place, "receipts") + rows(&place, "lasting_keys"), 0);
    for new in all {
        assert_ne!(comes(&place, &ledger, 31, new).await, ReceiptOutcome::Duplicate);
    }
}

/// More than one piece of pruning, and none of them too much.
#[tokio::test]
async fn every_key_of_many_is_kept() {
    const MANY: i64 = 1_100;
    let place = Place::new();
    let ledger = place.open(policies());
    comes(&place, &ledger, 0, &lasting("0", vec![created("1", "One", NOON)])).await;
    let store = rusqlite::Connection::open(place.file()).expect("opens");
    store
        .execute_batch(&format!(
            "WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n <= {MANY})
             INSERT INTO receipts (seq, id, source, dedupe_key, provider, event_type, outcome,
                 received_at, hash, lasting)
             SELECT n, CAST(n AS BLOB), source, CAST(n AS BLOB), provider, event_type, outcome,
                 received_at, hash, 1
             FROM n, receipts WHERE seq = 1;
             INSERT INTO webinar_receipts (webinar, receipt) SELECT 1, seq FROM receipts WHERE seq > 1;"
        ))
        .expect("filled");
    at(&place, 31);
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    assert!(ledger.prune(KEEP).await.expect("pruned"), "there is more");
    assert_eq!((rows(&place, "receipts"), rows(&place, "lasting_keys")), (MANY - 1_000 + 1, 1_000));
    prune(&ledger).await;
    assert_eq!((rows(&place, "receipts"), rows(&place, "lasting_keys")), (0, MANY + 1));
    assert_eq!(rows(&place, "webinar_receipts"), 0);
}

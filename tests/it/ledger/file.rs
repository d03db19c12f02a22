//! What only a store in a file can show.

use std::time::Duration;

use webinar_bridge::event::Millis;
use webinar_bridge::ledger::erasure::EmailAddress;
use webinar_bridge::ledger::sqlite::{OpenError, SqliteLedger, backup, erase};
use webinar_bridge::ledger::{
    EventQuery, EventState, EventStateCounts, EventSummary, FetchBlame, FetchOutcome, FetchStatus,
    LedgerError, NewReceipt, ReceiptOutcome, RedriveRequest, Retention,
};

use super::browsing::{all, five, ids};
use super::contract::*;
use super::fetching::{
    always, answer_now, answered, counted, due, due_ids, fetched, given_up, settle as settle_fetch,
    status, want,
};
use super::lasting::{KEEP, at, comes, lasting, prune};
use super::redriving::{dead, redrive_all};
use super::{NOW, claim, confirmed, counts, settle};
use crate::harness::build::{NOON, account, created, minutes, policies, receipt, renamed};
use crate::harness::events::AllEvents as _;
use crate::harness::store::StoreFolder;

/// Erasing a person fills free pages with zeros, as bodies that nobody has, and the next are to take other pages.
#[tokio::test]
async fn pruning_leaves_the_filling_of_erased_pages() {
    let store_folder = StoreFolder::new();
    let ledger = store_folder.open(policies());
    ledger.accept(receipt("0", vec![created("0", "Name", NOON)])).await.expect("stored");
    let store = rusqlite::Connection::open(store_folder.file()).expect("opens");
    store.execute("INSERT INTO bodies (id, data) VALUES (-1, zeroblob(9000))", ()).expect("filled");
    let day = Duration::from_hours(24);
    store_folder.clock.set(Millis::new(NOON.get()).plus(402 * day));
    let late = receipt("1", vec![created("1", "Name", NOON)]);
    let late = NewReceipt { received_at: Millis::new(NOON.get()).plus(402 * day), ..late };
    ledger.accept(late).await.expect("stored");
    while ledger.prune(Retention { receipts: 30 * day, events: 400 * day }).await.expect("pruned") {
    }
    let kept = |id: i64| {
        store.query_row("SELECT count(*) FROM bodies WHERE id = ?1", [id], |row| row.get(0))
    };
    assert_eq!((kept(1), kept(-1)), (Ok(0), Ok(1)), "the old body goes, the filling stays");
}

#[tokio::test]
async fn store_in_use_is_refused() {
    let store_folder = StoreFolder::new();
    let ledger = store_folder.open(policies());
    let second = SqliteLedger::open(store_folder.settings(policies()));
    assert!(matches!(second.err(), Some(OpenError::InUse(_))));
    drop(ledger);
    assert!(SqliteLedger::open(store_folder.settings(policies())).is_ok());
}

#[tokio::test]
async fn locked_store_refuses_and_recovers() {
    let store_folder = StoreFolder::new();
    let ledger = store_folder.open(policies());
    let other = rusqlite::Connection::open(store_folder.file()).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let refused = ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable { .. })), "{refused:?}");
    assert!(ledger.health().is_err());
    assert_eq!(counts(&ledger).await, EventStateCounts::default());
    other.execute_batch("ROLLBACK").expect("free");
    crate::harness::eventually("the writer finds out by itself", async || ledger.health().is_ok())
        .await;
    let kept = ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await;
    assert_eq!(kept.expect("stored"), ReceiptOutcome::Accepted);
    assert_eq!(counts(&ledger).await.pending, 1);
}

#[tokio::test]
async fn erasure_covers_the_queue_and_a_copy_keeps_it() {
    let store_folder = StoreFolder::new();
    let ledger = store_folder.open(policies());
    let person = "qv7@private.example";
    let mut sent = receipt("a", vec![created("1", "One", NOON)]);
    sent.headers = vec![("x-who".into(), person.into())];
    ledger.accept(sent.clone()).await.expect("stored");
    want(&ledger, ["1", "2", "3"].map(always).into()).await;
    let tasks = due(&ledger).await;
    let failed = FetchOutcome::Retry {
        not_before: NOON,
        reason: format!("403: {person} may not"),
        blame: FetchBlame::Webinar,
    };
    settle_fetch(&ledger, &tasks[0], failed).await;
    let mut answer = fetched("b", vec![created("2", "Two", NOON)]);
    answer.body = format!("{{\"host\":{{\"email\":\"{person}\",\"id\":\"h-1\"}}}}").into_bytes();
    let id = answer.id;
    settle_fetch(&ledger, &tasks[1], answer_now(answer)).await;
    settle_fetch(&ledger, &tasks[2], given_up(None)).await;
    let copy = store_folder.folder.path().join("copy.db");
    backup(&store_folder.file(), &copy, NOON).expect("copied");
    ledger.close().await;
    drop(ledger);

    let address = EmailAddress::parse(person).expect("valid");
    let erased = erase(&store_folder.file(), &address).expect("erased");
    assert_eq!((erased.bodies, erased.texts), (1, 2));
    let file = std::fs::read(store_folder.file()).expect("there");
    assert!(!file.windows(3).any(|bytes| bytes == b"qv7"), "it is nowhere in the file");
    let ledger = store_folder.open(policies());
    let record = ledger.receipt(sent.id).await.expect("read").expect("there").record;
    assert_eq!(record.headers, [("x-who".to_owned(), "[erased]".to_owned())]);
    let body = ledger.receipt(id).await.expect("read").expect("there").record.body.expect("stored");
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["host"]["email"], "[erased]");
    let FetchStatus { pending, given_up, .. } = status(&ledger).await;
    assert_eq!((pending, given_up), (1, 1));
    drop(ledger);

    std::fs::rename(&copy, store_folder.file()).expect("put in place");
    let ledger = store_folder.open(policies());
    assert_eq!((due_ids(&ledger).await, counted(&ledger).await), (vec!["1".to_owned()], (1, 1)));
}

/// More than one piece of pruning, and none of them too much.
#[tokio::test]
async fn pruning_keeps_each_of_many_lasting_keys() {
    const MANY: i64 = 1_100;
    let store_folder = StoreFolder::new();
    let ledger = store_folder.open(policies());
    comes(&store_folder, &ledger, 0, &lasting("0", vec![created("1", "One", NOON)])).await;
    let store = rusqlite::Connection::open(store_folder.file()).expect("opens");
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
    at(&store_folder, 31);
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    assert!(ledger.prune(KEEP).await.expect("pruned"), "there is more");
    assert_eq!(
        (store_folder.count_rows("receipts"), store_folder.count_rows("lasting_keys")),
        (MANY - 1_000 + 1, 1_000)
    );
    prune(&ledger).await;
    assert_eq!(
        (store_folder.count_rows("receipts"), store_folder.count_rows("lasting_keys")),
        (0, MANY + 1)
    );
    assert_eq!(store_folder.count_rows("webinar_receipts"), 0);
}

#[tokio::test]
async fn rare_event_is_found_in_bounded_pages() {
    let store_folder = StoreFolder::new();
    let ledger = five(&store_folder).await;
    drop(ledger);
    store_folder.fill(50_000);
    let ledger = store_folder.open(policies());
    let ask = EventQuery { text: Some("paris".into()), limit: 10, ..all() };
    let first = ledger.list_events(ask.clone()).await.expect("a page");
    assert!(first.items.is_empty(), "it looked at a part only");
    assert!(first.next.is_some(), "and names where to go on");
    assert_eq!(ids(&ledger, ask).await, ["1"]);
    // By state the first page finds it, since an index knows.
    for (state, id) in [(EventState::Dead, "1"), (EventState::Incomplete, "4")] {
        let ask = EventQuery { state: Some(state), limit: 10, ..all() };
        let page = ledger.list_events(ask).await.expect("a page");
        assert_eq!(page.items[0].key.external_event_id.as_str(), id);
        assert_eq!(page.next, None);
    }
    let ask = EventQuery { state: Some(EventState::Pending), limit: 10, ..all() };
    let page = ledger.list_events(ask).await.expect("a page");
    assert_eq!((page.items.len(), page.next), (2, None));
}

#[tokio::test]
async fn link_is_deleted_with_its_receipt() {
    let store_folder = StoreFolder::new();
    let ledger = store_folder.open(policies());
    for n in 0..3 {
        let mut new = receipt(&n.to_string(), vec![renamed("1", "Name", minutes(n))]);
        new.received_at = minutes(n);
        ledger.accept(new).await.expect("stored");
    }
    store_folder.clock.set(Millis::new(minutes(61).get()).plus(Duration::from_secs(1)));
    let keep = Retention { receipts: Duration::from_hours(1), ..KEEP };
    while ledger.prune(keep).await.expect("pruned") {}
    let store = rusqlite::Connection::open(store_folder.file()).expect("opens");
    let links: i64 = store
        .query_row("SELECT count(*) FROM webinar_receipts", (), |row| row.get(0))
        .expect("counted");
    assert_eq!(links, 1);
}

#[tokio::test]
async fn redrive_of_many_events_is_done_in_pieces() {
    let store_folder = StoreFolder::new();
    drop(store_folder.open(policies()));
    store_folder.fill(12_000);
    let ledger = store_folder.open(policies());
    let delivered = RedriveRequest { state: EventState::Delivered, ..dead() };
    let piece = ledger.redrive_all(delivered.clone()).await.expect("answered");
    assert_eq!(piece.redriven, 500);
    assert!(piece.next.is_some());
    assert_eq!(redrive_all(&ledger, delivered).await, 11_500);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 12_000, ..EventStateCounts::default() }
    );
    // Looking is bounded too: one that is late among many is found in a later piece.
    let none = RedriveRequest { account: Some(account("other")), ..dead() };
    let none = RedriveRequest { state: EventState::Delivered, ..none };
    let piece = ledger.redrive_all(none).await.expect("answered");
    assert_eq!(piece.redriven, 0);
    assert!(piece.next.is_some());
}

#[tokio::test]
async fn answer_of_a_locked_store_is_neither_accepted_nor_settled() {
    let store_folder = StoreFolder::new();
    let ledger = store_folder.open(policies());
    want(&ledger, vec![always("3")]).await;
    let tasks = due(&ledger).await;
    let outcome = answered("c", vec![created("3", "Three", NOON)]);
    let FetchOutcome::Answered { receipt: ref three, .. } = outcome else {
        unreachable!("it was made so")
    };
    let id = three.id;
    let other = rusqlite::Connection::open(store_folder.file()).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let refused = ledger.settle_fetch(&tasks[0], outcome.clone()).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable { .. })), "{refused:?}");
    other.execute_batch("ROLLBACK").expect("free");
    assert_eq!(due_ids(&ledger).await, ["3"]);
    assert_eq!((counted(&ledger).await, ledger.receipt(id).await.expect("read")), ((1, 0), None));
    assert_eq!(settle_fetch(&ledger, &tasks[0], outcome).await, Some(ReceiptOutcome::Accepted));
    assert_eq!((counted(&ledger).await, counts(&ledger).await.pending), ((0, 0), 1));
}

#[tokio::test]
async fn unreadable_refusal_holds_up_neither_the_start_nor_a_settlement() {
    let store_folder = StoreFolder::new();
    let ledger = store_folder.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    drop(ledger);
    let store = rusqlite::Connection::open(store_folder.file()).expect("opens");
    let damage = "UPDATE events SET refused = 'x', gaps = 'x', sending_since = 1";
    store.execute(damage, ()).expect("changed");
    let ledger = store_folder.open(policies());
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    assert_eq!(counts(&ledger).await.delivered, 1);
}

/// One webinar that cannot be read stops neither the others nor the pruning, and is tried again at the next start.
#[tokio::test]
async fn webinar_that_cannot_be_folded_is_passed_by() {
    let store_folder = StoreFolder::new();
    let ledger = store_folder.open(policies());
    for id in ["1", "2", "3"] {
        ledger.accept(receipt(id, vec![created(id, "Name", NOON)])).await.expect("stored");
    }
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    drop(ledger);
    let file = || rusqlite::Connection::open(store_folder.file()).expect("opens");
    let state: Vec<u8> = file()
        .query_row("SELECT state FROM webinars WHERE webinar = '2'", (), |row| row.get(0))
        .expect("read");
    let set = |state: &[u8]| {
        let sql = "UPDATE webinars SET state = ?1 WHERE webinar = '2'";
        file().execute(sql, [state]).expect("set");
    };
    set(b"{");
    let mut changed = policies();
    for policy in changed.values_mut() {
        policy.organizer = Some("Other GmbH".into());
    }
    let changed_events = async |ledger: &SqliteLedger| {
        while ledger.run_timers(100).await.expect("passed by").next_due == Some(NOON) {}
        let is_changed = |event: &EventSummary| {
            let input = event.input.as_deref().map(String::from_utf8_lossy);
            input.is_some_and(|input| input.contains("Other GmbH"))
        };
        let events = ledger.all_events().await.expect("events");
        events.iter().filter(|event| is_changed(event)).count()
    };
    let passed_by = || -> i64 {
        let sql = "SELECT count(*) FROM unfolded";
        file().query_row(sql, (), |row| row.get(0)).expect("read")
    };
    let ledger = store_folder.open(changed.clone());
    assert_eq!((changed_events(&ledger).await, passed_by()), (2, 1));
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    drop(ledger);
    let ledger = store_folder.open(changed.clone());
    assert_eq!((changed_events(&ledger).await, passed_by()), (2, 1), "it is still unreadable");
    drop(ledger);
    set(&state);
    let ledger = store_folder.open(changed);
    assert_eq!((changed_events(&ledger).await, passed_by()), (3, 0), "it is tried again");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    set(b"{");
    let day = Duration::from_hours(24);
    store_folder.clock.set(NOON.plus(402 * day));
    while ledger.prune(Retention { receipts: 30 * day, events: 400 * day }).await.expect("pruned") {
    }
    assert_eq!(counts(&ledger).await, EventStateCounts::default());
}

//! Stores that an older version wrote.

use std::collections::BTreeMap;

use webinar_bridge::event::{ExternalAccountId, Webinar, WebinarId};
use webinar_bridge::ledger::sqlite::{
    OpenError, Rekey, Settings, SqliteLedger, StoreState, inspect, migrate,
};
use webinar_bridge::ledger::{
    Browse as _, EventQuery, FetchCondition, FetchQueue as _, FetchRequest, FetchStatus,
    Intake as _, PAGE_MAX, ReceiptKind, ReceiptOutcome, ReceiptQuery, Timers as _,
};

use crate::harness::build::{NOON, created, minutes, policies, policy, receipt, renamed, source};
use crate::harness::store::StoreFolder;

/// A store as the first schema had it: one event in HubSpot, built by a receipt that is gone and one that is not, and
/// one that is incomplete.
fn first_schema(store_folder: &StoreFolder) {
    let webinar = |change| {
        let mut webinar = Webinar::default();
        let receipt = receipt("a", Vec::new()).summary(ReceiptOutcome::Accepted, None);
        let order = webinar.next_order(1, receipt.received_at);
        webinar.merge(&change, &receipt.provenance(&change, 0, order)).expect("nothing was known");
        serde_json::to_vec(&webinar).expect("it can be written")
    };
    std::fs::create_dir_all(store_folder.file().parent().expect("a folder")).expect("made");
    let store = rusqlite::Connection::open(store_folder.file()).expect("opens");
    store.execute_batch(include_str!("../../../src/ledger/sqlite/001_initial.sql")).expect("runs");
    store.pragma_update(None, "user_version", 1).expect("set");
    let kept = receipt("a", Vec::new());
    store
        .execute(
            "INSERT INTO receipts (seq, id, source, dedupe_key, provider, event_type, outcome,
                 received_at, hash)
             VALUES (7, ?1, 'zoom', ?2, 'zoom', 'webinar.created', 0, 0, ?3)",
            (
                kept.id.as_bytes().as_slice(),
                kept.dedupe_key.as_slice(),
                kept.hash.to_bytes().as_slice(),
            ),
        )
        .expect("inserted");
    let states = [webinar(created("1", "One", NOON)), webinar(renamed("2", "Two", NOON))];
    for (id, state) in (1..).zip(states) {
        store
            .execute(
                "INSERT INTO webinars (id, hubspot, account, webinar, state, last_at)
                 VALUES (?1, 'main', 'acct-1', ?1, ?2, 0)",
                (id, state),
            )
            .expect("inserted");
    }
    let input = format!("{{\"eventName\":\"One\",\"endDateTime\":\"{}\"}}", minutes(25 * 60));
    store
        .execute(
            "INSERT INTO events (webinar, hubspot, external_account_id, external_event_id, version,
                 state, input, input_hash, changed_at, pending_since)
             VALUES (1, 'main', 'acct-1', '1', 1, 1, ?1, x'00', 0, 0)",
            [input.into_bytes()],
        )
        .expect("inserted");
    store
        .execute_batch(
            "INSERT INTO webinar_receipts (webinar, receipt) VALUES (1, 3), (1, 7), (2, 7);
             INSERT INTO events (webinar, hubspot, external_account_id, external_event_id, version,
                 state, gaps, changed_at, pending_since)
             VALUES (2, 'main', 'acct-1', '2', 1, 2, '[\"full_picture\",\"shape\"]', 0, 0);
             INSERT INTO event_counts VALUES ('main', 1, 1), ('main', 2, 1);",
        )
        .expect("inserted");
}

#[tokio::test]
async fn an_older_store_is_brought_up_to_date_and_shows_all_it_holds() {
    let store_folder = StoreFolder::new();
    first_schema(&store_folder);
    assert_eq!(migrate(&store_folder.file()).expect("migrated"), (1, 4));
    let store = rusqlite::Connection::open(store_folder.file()).expect("opens");
    let ends_at: i64 = store
        .query_row("SELECT ends_at FROM events WHERE name = 'One'", (), |row| row.get(0))
        .expect("named and dated");
    assert_eq!(ends_at, minutes(25 * 60).get());
    let base = |id: i64| -> bool {
        let sql = "SELECT base FROM webinars WHERE id = ?1";
        store.query_row(sql, [id], |row| row.get(0)).expect("there")
    };
    assert!(base(1), "a receipt that built it is gone");
    assert!(!base(2));
    drop(store);
    let ledger = store_folder.open(policies());
    while ledger.run_timers(100).await.expect("looked").next_due.is_some() {}
    let ask = EventQuery { limit: PAGE_MAX, ..EventQuery::default() };
    let page = ledger.list_events(ask).await.expect("a page");
    let names: Vec<_> = page.items.iter().filter_map(|event| event.name.as_deref()).collect();
    assert_eq!(names, ["Two", "One"], "what is incomplete has its name too");
}

/// The same after the second schema's script, and with a body.
fn second_schema(store_folder: &StoreFolder) {
    first_schema(store_folder);
    let store = rusqlite::Connection::open(store_folder.file()).expect("opens");
    store.execute_batch(include_str!("../../../src/ledger/sqlite/002_looking.sql")).expect("runs");
    store.pragma_update(None, "user_version", 2).expect("set");
    let data = lz4_flex::compress_prepend_size(b"{\"seed\":\"a\"}");
    store.execute("INSERT INTO bodies (id, data) VALUES (1, ?1)", [data]).expect("inserted");
    store
        .execute("UPDATE receipts SET body_id = 1, body_offset = 0, body_length = 12", ())
        .expect("updated");
}

#[tokio::test]
async fn a_store_of_the_second_schema_keeps_what_it_holds_and_goes_on() {
    let store_folder = StoreFolder::new();
    second_schema(&store_folder);
    assert_eq!(
        inspect(&store_folder.file()).expect("looked"),
        StoreState::Older { found: 2, known: 4 }
    );
    assert_eq!(migrate(&store_folder.file()).expect("migrated"), (2, 4));
    let ledger = store_folder.open(policies());
    while ledger.run_timers(100).await.expect("looked").next_due.is_some() {}
    let ask = ReceiptQuery { limit: 9, ..ReceiptQuery::default() };
    let page = ledger.list_receipts(ask).await.expect("a page");
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].kind, ReceiptKind::Webhook);
    let detail = ledger.receipt(page.items[0].id).await.expect("read").expect("there");
    assert_eq!(detail.record.body.as_deref(), Some(&br#"{"seed":"a"}"#[..]));
    assert_eq!((detail.record.headers, detail.events.len()), (Vec::new(), 2));
    let known = receipt("a", Vec::new());
    assert_eq!(ledger.accept(known).await.expect("stored"), ReceiptOutcome::Duplicate);
    assert_eq!(
        ledger.fetch_statuses().await.expect("read")[&source("zoom")],
        FetchStatus::default()
    );
    let wanted = FetchRequest {
        account: Some(ExternalAccountId::parse("acct-1").expect("valid")),
        webinar: WebinarId::parse("2").expect("valid"),
        condition: FetchCondition::IfUncertain,
    };
    assert_eq!(ledger.request_fetches(&source("zoom"), vec![wanted]).await.expect("noted"), 1);
    assert_eq!(ledger.fetch_statuses().await.expect("read")[&source("zoom")].pending, 1);
}

#[test]
fn an_older_store_is_not_changed_where_that_is_not_wanted() {
    let store_folder = StoreFolder::new();
    first_schema(&store_folder);
    let settings = Settings { migrate: false, ..store_folder.settings(policies()) };
    let refused = SqliteLedger::open(settings).err().expect("refused");
    assert!(matches!(refused, OpenError::TooOld { found: 1, known: 4 }), "{refused}");
    assert_eq!(
        inspect(&store_folder.file()).expect("looked"),
        StoreState::Older { found: 1, known: 4 }
    );
    let settings = Settings { migrate: false, ..store_folder.settings(policies()) };
    migrate(&store_folder.file()).expect("migrated");
    assert!(SqliteLedger::open(settings).is_ok());
}

/// M30: a start that is refused leaves the way back to the version before.
#[test]
fn an_older_store_is_not_changed_by_a_start_that_is_refused() {
    let store_folder = StoreFolder::new();
    first_schema(&store_folder);
    let store = rusqlite::Connection::open(store_folder.file()).expect("opens");
    let identity = r#"["main",null,"occurrence"]"#;
    store.execute("INSERT INTO sources VALUES ('zoom', ?1, '{}')", [identity]).expect("inserted");
    drop(store);
    let renamed = || BTreeMap::from([(source("acme-zoom"), policy("main"))]);
    let refused = SqliteLedger::open(store_folder.settings(renamed())).err().expect("refused");
    assert!(matches!(refused, OpenError::Config(_)), "{refused}");
    assert_eq!(
        inspect(&store_folder.file()).expect("looked"),
        StoreState::Older { found: 1, known: 4 }
    );
    let accepted = Settings { rekey: Rekey::Accept, ..store_folder.settings(renamed()) };
    assert!(SqliteLedger::open(accepted).is_ok());
}

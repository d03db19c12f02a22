//! Stores that earlier versions wrote: the program of today opens each, shows its history and delivers what is pending.
//!
//! The files are `tests/fixtures/stores/VERSION-schemaN.db`. A release adds its own and keeps the others:
//! `BRIDGE_MAKE_STORE=1 cargo test --test it black_box::store` writes the one of this version.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use webinar_bridge::clock::{Clock as _, SystemClock};
use webinar_bridge::event::Millis;

use super::exchange::{Request, exchange};
use super::redact::Redactor;
use super::scenario::{
    KEEP, Scenario, THEN, created, created_now, of_account, platform, setting, updated,
};
use super::{Snapshot, fixtures};
use crate::harness::eventually;
use crate::harness::process::Bridge;
use crate::harness::zoom::ACCOUNT;

/// The variable that makes the test write the store of this version.
const MAKE: &str = "BRIDGE_MAKE_STORE";
/// Largest file, in bytes.
const LARGEST: u64 = 400_000;
/// A webinar of the source `zoom-api` that the platform is still to be asked about.
const ASKED: &str = "/v2/webinars/9?show_previous_occurrences=true";

/// A platform that takes connections and never answers: what is to be asked of it stays pending without an attempt.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("it listens");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    (listener, url)
}

async fn make() -> PathBuf {
    let (_listener, api) = silent();
    let scenario = Scenario::with_api(&api);
    scenario.tell_webhooks().await;
    let body = of_account(updated(9, json!({ "topic": "Ninth" }), THEN), "acct-api");
    assert_eq!(scenario.send("zoom-api", &body).await, "accepted");
    let hidden = br#"{"id":"h1","title":"Hidden","start":"2040-10-01T15:00:00Z"}"#;
    let line = "POST /webhooks/hidden/a-path-token-of-the-tests";
    let request = Request { line, headers: &[], body: hidden };
    assert_eq!(exchange(&scenario.bridge.webhooks, &request).await.status, 200);
    assert_eq!(scenario.get("POST /api/v1/accounts/main/pause").await.status, 200);
    assert_eq!(scenario.send("zoom", &created_now(10, "Waiting")).await, "accepted");
    let Scenario { bridge, setting, .. } = scenario;
    assert_eq!(bridge.terminate(), Some(0));
    let store = setting.store();
    let schema = schema(&store);
    let connection = rusqlite::Connection::open(&store).expect("it opens");
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).expect("checkpointed");
    drop(connection);
    let name = format!("stores/{}-schema{schema}.db", env!("CARGO_PKG_VERSION"));
    let path = fixtures().join(name);
    fs::copy(&store, &path).expect("it can be copied");
    path
}

/// The store's schema.
fn schema(store: &Path) -> i64 {
    let connection = rusqlite::Connection::open(store).expect("it opens");
    connection.query_row("PRAGMA user_version", (), |row| row.get(0)).expect("it has a version")
}

/// The answers about all that is stored. Its times are old, so they are the same in every run, but for those of changes
/// since the program was `started`.
async fn history(
    bridge: &Bridge,
    started: Millis,
    snapshot: &mut Snapshot,
    redactor: &mut Redactor,
) {
    let mut lines = Vec::new();
    let events = get(bridge, "GET /api/v1/events?limit=200").await;
    for event in events["events"].as_array().expect("a list") {
        let part = |name: &str| event[name].as_str().expect("an id").to_owned();
        let (hubspot, id) = (part("hubspot"), part("external_event_id"));
        let account = part("external_account_id");
        lines.push(format!("GET /api/v1/events/{hubspot}/{account}/{id}"));
    }
    let receipts = get(bridge, "GET /api/v1/receipts?limit=200").await;
    for receipt in receipts["receipts"].as_array().expect("a list") {
        let id = receipt["id"].as_str().expect("an id");
        lines.push(format!("GET /api/v1/receipts/{id}"));
    }
    for line in lines {
        let request = Request { line: &line, headers: &[], body: b"" };
        let answer = exchange(&bridge.ops, &request).await;
        assert_eq!(answer.status, 200, "{line}: {}", answer.body);
        let heading = redactor.redact_ids(&line);
        let mut body = redactor.redact_sentences(&answer.body);
        let changed_at = answer.json()["changed_at"].as_str().map(str::to_owned);
        let changed_at = changed_at.and_then(|at| Some((Millis::parse(&at, None)?, at)));
        if let Some((_, at)) = changed_at.filter(|(changed, _)| *changed >= started) {
            body = body.replace(&at, "[now]");
        }
        snapshot.add(&heading, &redactor.redact_ids(&body));
    }
}

async fn get(bridge: &Bridge, line: &str) -> Value {
    let answer = exchange(&bridge.ops, &Request { line, headers: &[], body: b"" }).await;
    assert_eq!(answer.status, 200, "{line}: {}", answer.body);
    answer.json()
}

async fn counts(bridge: &Bridge, account: usize) -> Value {
    get(bridge, "GET /api/v1/status").await["accounts"][account]["events"].clone()
}

async fn opens(path: &Path) {
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    assert!(fs::metadata(path).expect("it is there").len() < LARGEST, "{name} is too large");
    let (listener, api) = silent();
    let before = setting(&api);
    fs::create_dir_all(before.store().parent().expect("a folder")).expect("it can be made");
    fs::copy(path, before.store()).expect("it can be copied");
    // What HubSpot holds changes nothing yet.
    before.hubspot.emulator().set_read_status(Some(403));
    let started = SystemClock.now();
    let schema = schema(&before.store());
    let bridge = before.start_with(&KEEP);
    let is_migrated = schema != self::schema(&before.store());
    let mut snapshot = Snapshot::new(&format!("store.{name}.txt"));
    eventually("all webinars are folded again", async || {
        let events = get(&bridge, "GET /api/v1/events?state=incomplete").await;
        let is_folded = |event: &Value| event["gaps"][0] == "base_unread";
        !is_migrated || events["events"].as_array().expect("a list").iter().all(is_folded)
    })
    .await;
    history(&bridge, started, &mut snapshot, &mut Redactor::new(Vec::new())).await;
    for (account, status) in ["main", "shadow"].into_iter().enumerate() {
        let counts = counts(&bridge, account).await;
        snapshot.add(&format!("events of {status}"), &counts.to_string());
    }
    let status = get(&bridge, "GET /api/v1/status").await;
    snapshot.add("main is paused", &status["accounts"][0]["paused"]["reason"].to_string());
    let sources = status["sources"].as_array().expect("a list");
    for source in sources {
        snapshot.add(&format!("fetches of {}", source["source"]), &source["fetch"].to_string());
    }
    assert_eq!(bridge.terminate(), Some(0));
    drop(listener);

    // Now the platform answers, and HubSpot may get everything.
    let platform = platform();
    let webinar = json!({
        "id": 9, "host_id": "host-1", "topic": "Told by the platform", "type": 5,
        "start_time": "2040-10-01T15:00:00Z", "duration": 60, "timezone": "UTC",
    });
    platform.answer(ASKED, webinar);
    let after = setting(&platform.base_url());
    fs::create_dir_all(after.store().parent().expect("a folder")).expect("it can be made");
    fs::copy(before.store(), after.store()).expect("it can be copied");
    let variables = [KEEP[0], KEEP[1], ("BRIDGE__HUBSPOT__SHADOW__DELIVER", "true")];
    let bridge = after.start_with(&variables);
    let resume = Request { line: "POST /api/v1/accounts/main/resume", headers: &[], body: b"" };
    assert_eq!(exchange(&bridge.ops, &resume).await.status, 200);
    eventually("the platform was asked and all is delivered", async || {
        let status = get(&bridge, "GET /api/v1/status").await;
        let fetched = status["sources"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|source| source["fetch"]["pending"] == 0);
        fetched && after.held_of("acct-api").contains_key("9")
    })
    .await;
    bridge.settled().await;
    assert_eq!(after.event("10").input.event_name, "Waiting");
    assert_eq!(after.held_of("acct-shadow")["7"].input.event_name, "Held back");
    assert_eq!(after.held_of("acct-api")["9"].input.event_name, "Told by the platform");
    assert_eq!(after.held_of("acct-hidden")["h1"].input.event_name, "Hidden");
    assert_eq!(after.held().len(), 1, "what was confirmed before is not sent again");
    let redrive = Request { line: "POST /api/v1/events/redrive", headers: &[], body: b"" };
    assert_eq!(exchange(&bridge.ops, &redrive).await.json()["redriven"], 1);
    bridge.settled().await;
    assert_eq!(after.event("2").input.event_name, "Bad luck");
    // A webhook that an older version saw may be accepted again, and changes nothing; a newer one does.
    let line = format!("GET /api/v1/events/main/{ACCOUNT}/1");
    assert_eq!(get(&bridge, &line).await["name"], "Calmer releases");
    let zoom = crate::harness::zoom::Zoom::to(&bridge);
    let answer = zoom.tell(created(1, "Calm releases")).await;
    assert!(["accepted", "duplicate"].contains(&answer.as_str()), "{answer}");
    assert_eq!(get(&bridge, &line).await["name"], "Calmer releases");
    zoom.story([updated(1, json!({ "topic": "Calmest releases" }), THEN + 20_000)]).await;
    bridge.settled().await;
    assert_eq!(after.event("1").input.event_name, "Calmest releases");
    assert_eq!(bridge.terminate(), Some(0));
    platform.close();
    snapshot.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_of_earlier_versions_are_opened_and_delivered() {
    if std::env::var_os(MAKE).is_some_and(|value| !value.is_empty()) {
        make().await;
    }
    let folder = fs::read_dir(fixtures().join("stores")).expect("the folder is there");
    let mut paths: Vec<PathBuf> = folder
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "db"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no store of an earlier version is there");
    for path in paths {
        opens(&path).await;
    }
}

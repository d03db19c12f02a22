//! The answers of the private listener: every route, its successes and its problem documents.

use serde_json::{Value, json};

use super::Snapshot;
use super::metrics;
use super::scenario::{Scenario, THEN, created_now, ignored, quarantined, updated};
use crate::harness::zoom::ACCOUNT;

/// No receipt has it.
const NO_RECEIPT: &str = "00000000-0000-7000-8000-000000000000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_listener_answers_as_in_the_snapshot() {
    let mut scenario = Scenario::new();
    let mut snapshot = Snapshot::new("api.empty.txt");
    for line in ["status", "events", "receipts", "fetches", "sources/zoom/webinars"] {
        scenario.ask(&mut snapshot, &format!("GET /api/v1/{line}")).await;
    }
    for line in [
        "POST /api/v1/events/redrive",
        "POST /api/v1/receipts/replay",
        "POST /api/v1/fetches/redrive",
    ] {
        scenario.ask(&mut snapshot, line).await;
    }
    snapshot.check();
    scenario.send_webhooks().await;
    looking(&mut scenario).await;
    refusing(&mut scenario).await;
    changing(&mut scenario).await;
    metrics::check(&mut scenario).await;
}

async fn looking(scenario: &mut Scenario) {
    let mut snapshot = Snapshot::new("api.read.txt");
    for line in [
        "GET /livez",
        "HEAD /livez",
        "GET /readyz",
        "GET /",
        "GET /api/v1/status",
        "HEAD /api/v1/status",
        "GET /api/v1/events",
        "GET /api/v1/events?state=pending",
        "GET /api/v1/events?state=delivered&limit=1",
        "GET /api/v1/events?state=incomplete",
        "GET /api/v1/events?state=filtered",
        "GET /api/v1/events?state=dead",
        "GET /api/v1/events?hubspot=shadow&state=&q=&limit=&cursor=",
        "GET /api/v1/events?q=cALM+rel",
        "GET /api/v1/events?q=nothing%20like%20this",
        "GET /api/v1/events?hubspot=main&state=delivered&q=Course&limit=200",
        "GET /api/v1/receipts",
        "GET /api/v1/receipts?source=zoom-shadow",
        "GET /api/v1/sources/zoom/webinars",
        "GET /api/v1/receipts?outcome=accepted&limit=1",
        "GET /api/v1/receipts?outcome=ignored",
        "GET /api/v1/receipts?outcome=quarantined&source=zoom",
    ] {
        scenario.ask(&mut snapshot, line).await;
    }
    for list in ["events?limit=4", "receipts?limit=6", "events?hubspot=main&limit=3"] {
        pages(scenario, &mut snapshot, list).await;
    }
    let events = scenario.get("GET /api/v1/events?limit=200").await.json();
    for event in events["events"].as_array().expect("a list") {
        let part = |name: &str| event[name].as_str().expect("an id").to_owned();
        let (hubspot, id) = (part("hubspot"), part("external_event_id"));
        let account = part("external_account_id");
        scenario.ask(&mut snapshot, &format!("GET /api/v1/events/{hubspot}/{account}/{id}")).await;
    }
    let receipts = scenario.get("GET /api/v1/receipts?limit=200").await.json();
    for receipt in receipts["receipts"].as_array().expect("a list") {
        let id = receipt["id"].as_str().expect("an id");
        scenario.ask(&mut snapshot, &format!("GET /api/v1/receipts/{id}")).await;
    }
    snapshot.check();
}

/// All pages of a list, by its cursors.
async fn pages(scenario: &mut Scenario, snapshot: &mut Snapshot, list: &str) {
    let mut cursor = String::new();
    for page in 1.. {
        let line = format!("GET /api/v1/{list}{cursor}");
        let answer = scenario.get(&line).await;
        let heading = format!("GET /api/v1/{list}, page {page}");
        snapshot.add_redacted(&heading, &answer.shown(), &mut scenario.redactor);
        let Some(next) = answer.json()["next"].as_str().map(str::to_owned) else { break };
        cursor = format!("&cursor={next}");
    }
}

async fn refusing(scenario: &mut Scenario) {
    let mut snapshot = Snapshot::new("api.problems.txt");
    let long = format!("GET /api/v1/events?q={}", "x".repeat(201));
    let longer = format!("GET /api/v1/events?q={}", "x".repeat(4_100));
    for line in [
        "POST /livez",
        "DELETE /metrics",
        "GET /nothing",
        "GET /api",
        "GET /api/v2/status",
        "GET /api/v1/status/",
        "GET /api/v1/accounts/main",
        "POST /api/v1/status",
        "DELETE /api/v1/events",
        "GET /api/v1/events/redrive",
        "GET /api/v1/accounts/main/pause",
        "POST /api/v1/receipts",
        "GET /api/v1/status?verbose=1",
        "GET /api/v1/events?stat=dead",
        "GET /api/v1/events?state=DEAD",
        "GET /api/v1/events?state=dead&state=dead",
        "GET /api/v1/events?limit=0",
        "GET /api/v1/events?limit=201",
        "GET /api/v1/events?limit=many",
        "GET /api/v1/events?q=%ff",
        "GET /api/v1/events?cursor=nonsense",
        "GET /api/v1/events?hubspot=nobody",
        &long,
        &longer,
        "GET /api/v1/events/main/%ff/1",
        "GET /api/v1/events/main/nobody/1",
        "GET /api/v1/events/other/nobody/1",
        "GET /api/v1/events/main/nobody/1?x=1",
        "POST /api/v1/events/main/nobody/1/redrive",
        "POST /api/v1/events/redrive?state=incomplete",
        "POST /api/v1/events/redrive?state=pending",
        "POST /api/v1/events/redrive?hubspot=nobody",
        "POST /api/v1/events/redrive?cursor=nonsense",
        "GET /api/v1/receipts?source=nobody",
        "GET /api/v1/receipts?outcome=duplicate",
        "GET /api/v1/receipts?cursor=AQAAAAAAAAAAAAAAAAAAAAA",
        "GET /api/v1/receipts/1",
        &format!("GET /api/v1/receipts/{NO_RECEIPT}"),
        &format!("POST /api/v1/receipts/{NO_RECEIPT}/replay"),
        "POST /api/v1/receipts/replay?outcome=ignored",
        "POST /api/v1/receipts/replay?source=nobody",
        "POST /api/v1/fetches",
        "GET /api/v1/fetches/redrive",
        "GET /api/v1/fetches?source=nobody",
        "GET /api/v1/fetches?state=alive",
        "GET /api/v1/fetches?limit=0",
        "GET /api/v1/fetches?cursor=nonsense",
        "POST /api/v1/fetches/redrive?source=nobody",
        "POST /api/v1/fetches/redrive?state=dead",
        "GET /api/v1/sources/nobody/webinars",
        "POST /api/v1/sources/zoom/webinars",
        "GET /api/v1/sources/zoom/webinars?cursor=nonsense",
        "POST /api/v1/sources/nobody/webinars/1/fetch",
        "POST /api/v1/sources/No%2Fname/webinars/1/fetch",
        "POST /api/v1/sources/zoom/webinars/1/fetch",
        "POST /api/v1/sources/zoom-api/webinars/no%20id/fetch",
        "POST /api/v1/sources/zoom-api/webinars/1/fetch?x=1",
        "POST /api/v1/accounts/nobody/pause",
        "POST /api/v1/accounts/No%2Fname/resume",
        "POST /api/v1/accounts/main/pause?for=1h",
    ] {
        scenario.ask(&mut snapshot, line).await;
    }
    // A cursor of one list is of no use for another.
    let page = scenario.get("GET /api/v1/events?limit=1").await.json();
    let cursor = page["next"].as_str().expect("there are more").to_owned();
    for list in ["GET /api/v1/receipts?", "GET /api/v1/events?state=dead&"] {
        let answer = scenario.get(&format!("{list}cursor={cursor}")).await;
        let heading = format!("{list}cursor=[of GET /api/v1/events]");
        snapshot.add_redacted(&heading, &answer.shown(), &mut scenario.redactor);
    }
    let status = "GET /api/v1/status";
    for headers in [
        [("host", "rebound.example")].as_slice(),
        &[("origin", "http://evil.example")],
        &[("sec-fetch-site", "cross-site")],
        &[("x-forwarded-for", "127.0.0.1")],
        &[("forwarded", "for=127.0.0.1")],
        &[("via", "1.1 proxy")],
        &[("sec-fetch-site", "same-origin"), ("origin", "http://localhost")],
    ] {
        let name = if headers.len() == 2 { "HEAD /api/v1/status" } else { status };
        scenario.ask_with(&mut snapshot, name, headers, b"").await;
    }
    let host = [("host", "rebound.example")];
    scenario.ask_with(&mut snapshot, "GET /livez", &host, b"").await;
    let pause = "POST /api/v1/accounts/main/pause";
    scenario.ask_with(&mut snapshot, pause, &[], &vec![b' '; 70_000]).await;
    snapshot.check();
}

async fn changing(scenario: &mut Scenario) {
    let mut snapshot = Snapshot::new("api.write.txt");
    let event = |id: &str, end: &str| format!("POST /api/v1/events/main/{ACCOUNT}/{id}{end}");
    scenario.ask(&mut snapshot, "POST /api/v1/accounts/main/pause").await;
    scenario.ask(&mut snapshot, "POST /api/v1/accounts/main/pause").await;
    assert_eq!(scenario.send("zoom", &created_now(10, "Waiting")).await, "accepted");
    scenario.ask(&mut snapshot, "GET /api/v1/status").await;
    scenario.ask(&mut snapshot, "GET /api/v1/events?hubspot=main&state=pending").await;
    scenario.ask(&mut snapshot, "POST /api/v1/accounts/main/resume").await;
    scenario.settled().await;
    scenario.ask(&mut snapshot, "POST /api/v1/accounts/shadow/resume").await;
    scenario.ask(&mut snapshot, &event("10", "/redrive")).await;
    scenario.settled().await;
    scenario.ask(&mut snapshot, &event("2", "/redrive")).await;
    scenario.settled().await;
    scenario.ask(&mut snapshot, &event("3", "/redrive")).await;
    scenario.ask(&mut snapshot, &event("4", "/redrive")).await;
    scenario.setting.hubspot.emulator().clear_faults();
    scenario.ask(&mut snapshot, "POST /api/v1/events/redrive").await;
    scenario.settled().await;
    let redrive = "POST /api/v1/events/redrive?hubspot=main&state=delivered";
    scenario.ask_with(&mut snapshot, redrive, &[("content-type", "text/plain")], b"{}").await;
    scenario.settled().await;
    scenario.ask(&mut snapshot, "POST /api/v1/events/redrive?hubspot=shadow&state=dead").await;

    let receipts = scenario.get("GET /api/v1/receipts?limit=200").await.json();
    let receipts = receipts["receipts"].as_array().expect("a list").clone();
    for outcome in ["accepted", "ignored", "quarantined"] {
        let of = |receipt: &&Value| receipt["outcome"] == outcome && receipt["source"] == "zoom";
        let receipt = receipts.iter().rev().find(of).expect("there is one");
        let id = receipt["id"].as_str().expect("an id");
        scenario.ask(&mut snapshot, &format!("POST /api/v1/receipts/{id}/replay")).await;
        scenario.settled().await;
    }
    scenario.ask(&mut snapshot, "POST /api/v1/receipts/replay").await;
    scenario.ask(&mut snapshot, "POST /api/v1/receipts/replay?source=zoom&outcome=accepted").await;
    scenario.settled().await;
    // Refused once, it is asked about again in five minutes.
    for line in [
        "GET /api/v1/fetches",
        "GET /api/v1/fetches?source=zoom-api&state=pending&limit=1",
        "GET /api/v1/fetches?state=dead",
        "GET /api/v1/fetches?source=zoom&state=given_up",
        "POST /api/v1/fetches/redrive?source=zoom-api",
    ] {
        scenario.ask(&mut snapshot, line).await;
    }
    scenario.ask(&mut snapshot, "POST /api/v1/sources/zoom-api/webinars/9/fetch").await;
    // Seen before, each in its way.
    for body in [
        created_now(10, "Waiting"),
        updated(3, json!({ "topic": "Half known" }), THEN),
        ignored(),
        quarantined(),
    ] {
        let word = scenario.send("zoom", &body).await;
        snapshot.add("POST /webhooks/zoom, sent again", &word);
    }
    scenario.ask(&mut snapshot, "GET /api/v1/events?hubspot=main").await;
    scenario.ask(&mut snapshot, "GET /api/v1/status").await;
    snapshot.check();
}

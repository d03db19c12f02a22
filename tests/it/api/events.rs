//! Listing, showing and redriving events.

use serde_json::json;
use webinar_bridge::sandbox::emulator::EmulatorFault;

use super::{api_json, call_api, refusal, texts};
use crate::harness::eventually;
use crate::harness::http::scrape;
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{ACCOUNT, Zoom, at, created, renamed};

/// A bridge with two delivered events, a dead and an incomplete one.
async fn start_with_mixed_events(setting: &Setting) -> Bridge {
    setting.hubspot.emulator().inject_standing(EmulatorFault::RejectNames("Bad".into()));
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([
        created(1, "First", at(0)),
        created(2, "Second", at(0)),
        created(3, "Bad luck", at(0)),
        renamed(4, "Half known", at(0)),
    ])
    .await;
    bridge.settled().await;
    bridge
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_listed_by_state_text_and_page() {
    let setting = Setting::new("");
    let bridge = start_with_mixed_events(&setting).await;
    let all = api_json(&bridge, "GET events").await;
    assert_eq!(texts(&all["events"], "external_event_id"), ["4", "3", "2", "1"], "newest first");
    assert!(all["next"].is_null());
    for (query, ids) in [
        ("state=dead", vec!["3"]),
        ("state=delivered", vec!["2", "1"]),
        ("state=incomplete&hubspot=main", vec!["4"]),
        ("state=pending", vec![]),
        ("q=SECOND", vec!["2"]),
        ("q=half+known", vec!["4"]),
        ("q=Half%20k", vec!["4"]),
        ("hubspot=&state=&q=&limit=&cursor=", vec!["4", "3", "2", "1"]),
    ] {
        let list = api_json(&bridge, &format!("GET events?{query}")).await;
        assert_eq!(texts(&list["events"], "external_event_id"), ids, "{query}");
    }
    let dead = &api_json(&bridge, "GET events?state=dead").await["events"][0];
    assert_eq!((&dead["state"], &dead["in_flight"]), (&json!("dead"), &json!(false)));
    assert_eq!(dead["name"], "Bad luck");
    assert_eq!(dead["input"]["eventName"], "Bad luck");
    let refused = &dead["refused"];
    assert_eq!(
        (&refused["status"], &refused["category"]),
        (&json!(400), &json!("VALIDATION_ERROR"))
    );
    assert!(refused["correlation_id"].is_string(), "{refused}");
    let half = &api_json(&bridge, "GET events?state=incomplete").await["events"][0];
    assert!(half["gaps"].as_array().is_some_and(|gaps| gaps.contains(&json!("full_picture"))));
    assert!(half["input"].is_null());

    let mut line = "GET events?limit=1".to_owned();
    let mut seen = Vec::new();
    let cursor = loop {
        let page = api_json(&bridge, &line).await;
        seen.extend(texts(&page["events"], "external_event_id").into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break line };
        line = format!("GET events?limit=1&cursor={next}");
    };
    assert_eq!(seen, ["4", "3", "2", "1"]);
    let cursor = cursor.rsplit('=').next().expect("a cursor").to_owned();
    for line in [
        format!("GET events?cursor={cursor}&state=dead"),
        format!("GET events?cursor={cursor}&q=a"),
        format!("GET receipts?cursor={cursor}"),
        format!("POST events/redrive?cursor={cursor}"),
        "GET events?cursor=nonsense".to_owned(),
    ] {
        let answer = call_api(&bridge, &line).await;
        assert_eq!((answer.status, &answer.json()["parameter"]), (400, &json!("cursor")), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_detail_shows_fields_and_receipts() {
    let setting = Setting::new("");
    let bridge = setting.start();
    Zoom::to(&bridge).story([created(1, "First", at(0)), renamed(1, "Renamed", at(10))]).await;
    bridge.settled().await;
    let event = api_json(&bridge, &format!("GET events/main/{ACCOUNT}/1")).await;
    assert_eq!((&event["state"], &event["attempts"]), (&json!("delivered"), &json!(0)));
    assert_eq!(event["input"]["eventName"], "Renamed");
    assert_eq!(event["confirmed_input"], event["input"]);
    assert_eq!(event["object_id"], setting.event("1").object_id);
    assert!(event["confirmed_at"].is_string(), "{event}");
    let receipts = event["receipts"].as_array().expect("a list");
    assert_eq!(receipts.len(), 2);
    let fields = event["fields"].as_array().expect("a list");
    let name = fields.iter().find(|field| field["field"] == "name").expect("its name");
    assert_eq!(
        (&name["value"], &name["event_type"]),
        (&json!("Renamed"), &json!("webinar.updated"))
    );
    assert_eq!(name["receipt"], receipts[0], "the latest receipt set it");
    let receipt = name["receipt"].as_str().expect("an id");
    let receipt = api_json(&bridge, &format!("GET receipts/{receipt}")).await;
    assert_eq!(receipt["events"][0]["external_event_id"], "1");
    for line in [
        "GET events/main/nobody/1",
        "GET events/main/a%2Fb/%C3%A9%20%2F",
        "GET events/other/nobody/1",
        "POST events/main/nobody/1/redrive",
    ] {
        assert_eq!(refusal(&bridge, line).await, (404, "unknown_event".into()), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_event_is_sent_again_after_redrive() {
    let setting = Setting::new("");
    let bridge = start_with_mixed_events(&setting).await;
    assert_eq!(setting.held().keys().collect::<Vec<_>>(), ["1", "2"]);
    let incomplete = format!("POST events/main/{ACCOUNT}/4/redrive");
    assert_eq!(refusal(&bridge, &incomplete).await, (409, "incomplete".into()));
    setting.hubspot.emulator().clear_faults();
    let answer = api_json(&bridge, &format!("POST events/main/{ACCOUNT}/3/redrive")).await;
    assert_eq!(answer, json!({ "state": "pending" }));
    bridge.settled().await;
    assert_eq!(setting.event("3").input.event_name, "Bad luck");
    assert_eq!(scrape(&bridge.ops).await.events("main", "dead"), 0);
    // A delivered event is sent again, too.
    api_json(&bridge, &format!("POST events/main/{ACCOUNT}/1/redrive")).await;
    eventually("it is sent again", async || setting.event("1").writes == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redrive_of_many_events_sends_all_dead_ones() {
    let setting = Setting::new("");
    let bridge = start_with_mixed_events(&setting).await;
    Zoom::to(&bridge).story([created(5, "Bad as well", at(0))]).await;
    bridge.settled().await;
    setting.hubspot.emulator().clear_faults();
    for line in ["POST events/redrive?state=incomplete", "POST events/redrive?state=pending"] {
        assert_eq!(refusal(&bridge, line).await, (400, "bad_parameter".into()), "{line}");
    }
    let answer = api_json(&bridge, "POST events/redrive").await;
    assert_eq!(answer, json!({ "redriven": 2, "next": null }), "the dead ones");
    bridge.settled().await;
    assert_eq!(setting.held().keys().collect::<Vec<_>>(), ["1", "2", "3", "5"]);
    let answer = api_json(&bridge, "POST events/redrive?hubspot=main&state=delivered").await;
    assert_eq!(answer["redriven"], 4);
    bridge.settled().await;
    assert_eq!(setting.event("1").writes, 2);
    assert_eq!(scrape(&bridge.ops).await.events("main", "incomplete"), 1);
}

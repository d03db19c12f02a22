//! Showing and replaying receipts.

use serde_json::{Value, json};

use super::{api_json, call_api, refusal, texts};
use crate::harness::process::Setting;
use crate::harness::zoom::{ACCOUNT, Zoom, at, created, renamed, webhook};

/// A creation without an account: it cannot be mapped without `external_account_id`.
fn without_account(id: u64, name: &str) -> Value {
    let mut body = created(id, name, at(0));
    body["payload"].as_object_mut().expect("an object").remove("account_id");
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_show_bodies_without_secrets() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([created(1, "Calm releases", at(0))]).await;
    assert_eq!(
        zoom.tell(webhook("webinar.created", at(1), json!({ "topic": "No id" }))).await,
        "quarantined"
    );
    let joined = webhook("webinar.participant_joined", at(2), json!({ "id": "1" }));
    assert_eq!(zoom.tell(joined).await, "ignored");
    let all = api_json(&bridge, "GET receipts?source=zoom").await;
    assert_eq!(texts(&all["receipts"], "outcome"), ["ignored", "quarantined", "accepted"]);
    for (query, count) in
        [("outcome=accepted", 1), ("outcome=quarantined&source=zoom", 1), ("outcome=ignored", 1)]
    {
        let list = api_json(&bridge, &format!("GET receipts?{query}")).await;
        assert_eq!(list["receipts"].as_array().map(Vec::len), Some(count), "{query}");
    }
    let id = |place: usize| all["receipts"][place]["id"].as_str().expect("an id").to_owned();
    let accepted = api_json(&bridge, &format!("GET receipts/{}", id(2))).await;
    assert_eq!(accepted["event_type"], "webinar.created");
    assert_eq!(accepted["body_encoding"], "utf-8");
    let body = accepted["body"].as_str().expect("a body");
    assert!(body.contains("Calm releases") && !body.contains("secret-pwd-of-1"), "{body}");
    assert_eq!(
        accepted["events"],
        json!([{ "hubspot": "main", "external_account_id": ACCOUNT, "external_event_id": "1" }])
    );
    let quarantined = api_json(&bridge, &format!("GET receipts/{}", id(1))).await;
    assert!(quarantined["reason"].is_string() && quarantined["body"].is_string(), "{quarantined}");
    let ignored = api_json(&bridge, &format!("GET receipts/{}", id(0))).await;
    assert!(ignored["body"].is_null(), "{ignored}");
    let replayed = refusal(&bridge, &format!("POST receipts/{}/replay", id(0))).await;
    assert_eq!(replayed, (409, "not_replayed".into()));
    for line in ["GET receipts/1", "GET receipts/00000000-0000-7000-8000-000000000000"] {
        assert_eq!(refusal(&bridge, line).await, (404, "unknown_receipt".into()), "{line}");
    }
    assert_eq!(
        refusal(&bridge, "GET receipts?source=nobody").await,
        (404, "unknown_source".into())
    );
    let answer = call_api(&bridge, "GET receipts?outcome=duplicate").await;
    assert_eq!((answer.status, &answer.json()["parameter"]), (400, &json!("outcome")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quarantined_receipt_is_mapped_by_replay_after_a_configuration_change() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    for (id, name) in [(1, "First"), (2, "Second"), (3, "Third")] {
        assert_eq!(zoom.tell(without_account(id, name)).await, "quarantined");
    }
    let list = api_json(&bridge, "GET receipts?outcome=quarantined").await;
    let id = list["receipts"][0]["id"].as_str().expect("an id").to_owned();
    let replayed = api_json(&bridge, &format!("POST receipts/{id}/replay")).await;
    assert_eq!((&replayed["outcome"], &replayed["events"]), (&json!("quarantined"), &json!([])));
    assert!(replayed["reason"].is_string());
    assert_eq!(bridge.terminate(), Some(0));

    // The same change of the configuration would move existing events to another key.
    let variables = [("BRIDGE__SOURCE__ZOOM__EXTERNAL_ACCOUNT_ID", ACCOUNT)];
    let bridge = setting.start_with_arguments(&["--accept-rekey"], &variables);
    Zoom::to(&bridge).story([renamed(3, "Newer", at(50))]).await;
    let replayed = api_json(&bridge, &format!("POST receipts/{id}/replay")).await;
    assert_eq!(replayed["outcome"], "accepted");
    assert_eq!(replayed["events"][0]["external_event_id"], "3");
    let replayed = api_json(&bridge, "POST receipts/replay?source=zoom&outcome=quarantined").await;
    assert_eq!((&replayed["replayed"], &replayed["accepted"]), (&json!(2), &json!(2)));
    assert!(replayed["next"].is_null());
    bridge.settled().await;
    let names: Vec<String> =
        setting.held().into_values().map(|event| event.input.event_name).collect();
    assert_eq!(names, ["First", "Second", "Newer"], "the later webhook wins");
}

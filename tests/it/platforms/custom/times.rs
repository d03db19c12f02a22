//! The times by which a custom platform's webhooks are ordered.

use serde_json::{Value, json};

use super::super::send;
use crate::harness::process::{Bridge, SECRET, Setting};
use crate::harness::zoom::planned;

fn setting(map: &str) -> Setting {
    Setting::new(&format!(
        "[source.lectern]\nprovider = \"custom\"\nsecret = {{ env = \"TEST_SECRET\" }}\norganizer = \"Acme\"\n\
         external_account_id = \"acme\"\nverify = {{ scheme = \"bearer\" }}\n\
         map = {{ event_id = \"payload.id\", name = \"payload.title\", start = \"payload.start\", \
         end = \"payload.end\", occurred_at = \"payload.at\", {map} }}\n"
    ))
}

async fn tell(bridge: &Bridge, title: &str, at: &str, more: Value) -> String {
    let mut body = json!({
        "id": "w5", "title": title, "at": at, "tz": "Europe/Berlin",
        "start": planned(0).to_string(), "end": planned(60).to_string(),
    });
    let more = more.as_object().cloned().unwrap_or_default();
    body.as_object_mut().expect("an object").extend(more);
    let headers = [("authorization".to_owned(), format!("Bearer {SECRET}"))];
    send(bridge, "lectern", &headers, body.to_string().as_bytes()).await
}

/// A9d.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_webhook_that_comes_late_loses_also_without_an_offset() {
    let setting = setting("timezone = \"payload.tz\"");
    let bridge = setting.start();
    for (title, at) in [("new title", "2026-11-30 10:05:00"), ("old title", "2026-11-30 10:00:00")]
    {
        assert_eq!(tell(&bridge, title, at, json!({})).await, "accepted");
    }
    bridge.settled().await;
    assert_eq!(setting.held_of("acme")["w5"].input.event_name, "new title");
}

/// A22, M5: the creation is stamped after an early rename.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_before_what_is_mapped_as_the_creation() {
    let setting = setting("created = \"payload.type == 'created'\"");
    let bridge = setting.start();
    let early = "2026-11-30T10:00:00Z";
    let late = "2026-11-30T10:00:03Z";
    assert_eq!(tell(&bridge, "renamed", early, json!({ "type": "changed" })).await, "accepted");
    assert_eq!(tell(&bridge, "first", late, json!({ "type": "created" })).await, "accepted");
    bridge.settled().await;
    assert_eq!(setting.held_of("acme")["w5"].input.event_name, "renamed");
}

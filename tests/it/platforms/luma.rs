//! Luma: events are created, updated and cancelled by webhooks, and completed by the timer. Hosts are fetched from the
//! API.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::platform_server::PlatformServer;

use super::{hmac_sha256, open_api, send, status_of};
use crate::harness::eventually;
use crate::harness::http;
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{ago, planned, seconds};

/// 32 bytes in base64: also a valid secret of Standard Webhooks.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const CALENDAR: &str = "cal-of-the-tests";

fn source(more: &str) -> String {
    format!(
        "[source.luma]\nprovider = \"luma\"\nsecret = \"{SECRET}\"\norganizer = \"Acme GmbH\"\n{more}\n"
    )
}

/// The observed headers: the hexadecimal HMAC-SHA256 of `{seconds}.{body}` under the whole text of the secret.
fn signature(secret: &str, id: &str, body: &[u8], seconds: i64) -> Vec<(String, String)> {
    let time = seconds.to_string();
    let code = hex::encode(hmac_sha256(secret.as_bytes(), &[time.as_bytes(), b".", body]));
    vec![
        ("Webhook-Signature".to_owned(), format!("t={time},v1={code}")),
        ("Webhook-Timestamp".to_owned(), time),
        ("Webhook-Id".to_owned(), id.to_owned()),
    ]
}

/// The headers of Standard Webhooks.
fn standard_signature(id: &str, body: &[u8], seconds: i64) -> Vec<(String, String)> {
    let time = seconds.to_string();
    let key = STANDARD.decode(SECRET.replace("whsec_", "")).expect("the secret is base64");
    let code = hmac_sha256(&key, &[id.as_bytes(), b".", time.as_bytes(), b".", body]);
    vec![
        ("Webhook-Id".to_owned(), id.to_owned()),
        ("Webhook-Timestamp".to_owned(), time),
        ("Webhook-Signature".to_owned(), format!("v1,{}", STANDARD.encode(code))),
    ]
}

fn webhook(name: &str, data: impl Into<Value>) -> Value {
    json!({ "type": name, "data": data.into() })
}

/// An event of one hour.
fn event(id: &str, name: &str, start: Millis) -> Value {
    json!({
        "platform": "luma", "id": id, "calendar_id": CALENDAR, "name": name,
        "description": "One editor.", "start_at": start.to_string(),
        "end_at": start.plus(Duration::from_hours(1)).to_string(),
        "created_at": ago(50).to_string(), "timezone": "Europe/Vienna", "location_type": "zoom",
        "meeting_url": "https://rooms.example/secret-room", "url": format!("https://luma.example/{id}"),
    })
}

/// Sends a webhook that was signed this many seconds ago.
async fn send_signed(bridge: &Bridge, body: &Value, seconds_ago: i64) -> String {
    send_signed_at(bridge, body, seconds() - seconds_ago).await
}

/// Sends a webhook that was signed in this second.
async fn send_signed_at(bridge: &Bridge, body: &Value, second: i64) -> String {
    let bytes = body.to_string().into_bytes();
    let headers = signature(SECRET, "msg_1", &bytes, second);
    send(bridge, "luma", &headers, &bytes).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_lifecycle_is_delivered() {
    let setting = Setting::new(&source(""));
    let bridge = setting.start();
    let held = || setting.held_of(CALENDAR).remove("evt-1").expect("the event is in HubSpot");

    let created = webhook("event.created", event("evt-1", "Compilers", planned(0)));
    assert_eq!(send_signed(&bridge, &created, 60).await, "accepted");
    bridge.settled().await;
    let event_ = held();
    assert_eq!(
        (event_.input.event_name.as_str(), event_.input.event_organizer.as_str()),
        ("Compilers", "Acme GmbH")
    );
    assert_eq!(event_.input.event_type.as_deref(), Some("WEBINAR"));
    assert_eq!(
        event_.input.event_url.as_deref(),
        Some("https://luma.example/evt-1"),
        "the public page, not the meeting room"
    );
    assert_eq!(
        (event_.input.start_date_time, event_.input.end_date_time),
        (Some(planned(0)), Some(planned(60)))
    );

    // The later update arrives first.
    let moved = webhook("event.updated", event("evt-1", "Compilers, live", planned(30)));
    let renamed = webhook("event.updated", event("evt-1", "Compilers!", planned(0)));
    assert_eq!(send_signed(&bridge, &moved, 40).await, "accepted");
    assert_eq!(send_signed(&bridge, &renamed, 50).await, "accepted");
    bridge.settled().await;
    let event_ = held();
    assert_eq!(
        (event_.input.event_name.as_str(), event_.input.start_date_time),
        ("Compilers, live", Some(planned(30)))
    );

    let off = webhook("event.canceled", event("evt-1", "Compilers, live", planned(30)));
    assert_eq!(send_signed(&bridge, &off, 20).await, "accepted");
    bridge.settled().await;
    let event_ = held();
    assert_eq!((event_.input.event_cancelled, event_.input.event_completed), (true, false));
    assert_eq!(setting.reads(), 0, "M19: it was created under the bridge's eyes");
}

/// The event is moved and moved back: the third body equals the first and is no duplicate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_body_signed_later_is_no_duplicate() {
    let setting = Setting::new(&source(""));
    let bridge = setting.start();
    let original = webhook("event.updated", event("evt-1", "Compilers", planned(0)));
    let moved = webhook("event.updated", event("evt-1", "Compilers", planned(30)));
    let now = seconds();
    assert_eq!(send_signed_at(&bridge, &original, now - 30).await, "accepted");
    assert_eq!(send_signed_at(&bridge, &moved, now - 20).await, "accepted");
    assert_eq!(send_signed_at(&bridge, &original, now - 10).await, "accepted");
    assert_eq!(send_signed_at(&bridge, &moved, now - 20).await, "duplicate", "the same request");
    bridge.settled().await;
    let event = setting.held_of(CALENDAR).remove("evt-1").expect("the event is in HubSpot");
    assert_eq!(event.input.start_date_time, Some(planned(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_is_completed_after_its_end_by_timer() {
    let setting = Setting::new(&source("complete_after_end = \"15m\""));
    let bridge = setting.start();
    // Minutes decide here, and `ago` counts from the start of all tests.
    let now = Millis::new(seconds() * 1_000);
    for (id, minutes) in [("evt-over", 80), ("evt-ending", 65)] {
        let start = now.minus(Duration::from_mins(minutes));
        // Planned after the fact, but under the bridge's eyes.
        let mut event = event(id, "Compilers", start);
        event["created_at"] = json!(now.to_string());
        let body = webhook("event.created", event);
        assert_eq!(send_signed(&bridge, &body, 10).await, "accepted");
    }
    bridge.settled().await;
    let held = setting.held_of(CALENDAR);
    assert!(held["evt-over"].input.event_completed, "it ended 20 minutes ago");
    assert!(!held["evt-ending"].input.event_completed, "it ended 5 minutes ago");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_or_foreign_webhook_creates_no_event() {
    let setting = Setting::new(&source(""));
    let bridge = setting.start();
    let body = webhook("event.created", event("evt-1", "Forged", planned(0)));
    let bytes = body.to_string().into_bytes();
    let right = signature(SECRET, "msg_1", &bytes, seconds());
    let mut of_another_time = right.clone();
    of_another_time[1].1 = (seconds() + 1).to_string();
    for headers in [
        vec![],
        right[1..].to_vec(),
        [right.clone(), right[..1].to_vec()].concat(),
        of_another_time,
        signature("whsec_another", "msg_1", &bytes, seconds()),
        signature(SECRET.trim_start_matches("whsec_"), "msg_1", &bytes, seconds()),
        signature(SECRET, "msg_1", b"{}", seconds()),
        signature(SECRET, "msg_1", &bytes, seconds() - 30 * 3_600),
        standard_signature("msg_1", &bytes, seconds()),
    ] {
        assert_eq!(status_of(&bridge, "luma", &headers, &bytes).await, 401, "{headers:?}");
    }
    let guest = json!({ "id": "gst-1", "user_email": "someone@mail.example" });
    let external = json!({ "platform": "external", "id": "calev-1", "name": "Elsewhere" });
    for webhook in [
        webhook("guest.registered", guest),
        webhook("calendar.event.added", external),
        webhook("calendar.event.added", event("evt-2", "Somebody's", planned(0))),
    ] {
        assert_eq!(send_signed(&bridge, &webhook, 0).await, "ignored");
    }
    bridge.settled().await;
    assert!(setting.held_of(CALENDAR).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_webhooks_scheme_is_accepted_if_configured() {
    let setting = Setting::new(&source("signature = \"standard_webhooks\""));
    let bridge = setting.start();
    let body = webhook("event.created", event("evt-1", "Compilers", planned(0)));
    let bytes = body.to_string().into_bytes();
    let own = signature(SECRET, "msg_1", &bytes, seconds());
    assert_eq!(status_of(&bridge, "luma", &own, &bytes).await, 401);
    let headers = standard_signature("msg_1", &bytes, seconds());
    assert_eq!(send(&bridge, "luma", &headers, &bytes).await, "accepted");
    let again = standard_signature("msg_1", &bytes, seconds() - 5);
    assert_eq!(
        send(&bridge, "luma", &again, &bytes).await,
        "duplicate",
        "the signed id is the same"
    );
    bridge.settled().await;
    assert_eq!(setting.held_of(CALENDAR).into_keys().collect::<Vec<_>>(), ["evt-1"]);
}

/// An emulated Luma API, and a source that fetches from it.
fn with_api() -> (PlatformServer, Setting) {
    let luma = open_api("x-luma-api-key", "key-of-the-tests");
    let address = luma.base_url();
    let api = format!("api = {{ key = \"key-of-the-tests\", base_url = \"{address}\" }}");
    let setting = Setting::new(&source(&api));
    (luma, setting)
}

/// Sets the API's answer about an event: the fields of the webhooks and the hosts.
fn answer_event(luma: &PlatformServer, mut event: Value) {
    let path = format!("/v1/events/get?event_id={}", event["id"].as_str().expect("an id"));
    event["hosts"] =
        json!([{ "name": null }, { "name": "Tamsin Okoro", "email": "t@mail.example" }]);
    luma.answer(&path, event);
}

async fn wait_for_host(setting: &Setting, id: &str) {
    eventually("the host is in HubSpot", async || {
        let held = setting.held_of(CALENDAR).remove(id);
        held.is_some_and(|event| event.input.event_organizer == "Tamsin Okoro")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn organizer_is_the_host_from_the_api() {
    let (luma, setting) = with_api();
    let bridge = setting.start();
    answer_event(&luma, event("evt-1", "Compilers", planned(0)));
    let created = webhook("event.created", event("evt-1", "Compilers", planned(0)));
    assert_eq!(send_signed(&bridge, &created, 10).await, "accepted");
    wait_for_host(&setting, "evt-1").await;
    let calls = luma.calls();
    assert!(calls.iter().all(|call| call.status == 200), "{calls:?}");

    // A cancellation deletes the event, so it causes no fetch.
    let off = webhook("event.canceled", event("evt-1", "Compilers", planned(0)));
    assert_eq!(send_signed(&bridge, &off, 5).await, "accepted");
    bridge.settled().await;
    let held = setting.held_of(CALENDAR).remove("evt-1").expect("the event is in HubSpot");
    assert_eq!(
        (held.input.event_cancelled, held.input.event_organizer.as_str()),
        (true, "Tamsin Okoro")
    );
    assert_eq!(luma.calls(), calls);
    luma.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfill_delivers_earlier_events() {
    let (luma, setting) = with_api();
    let list = "/v1/calendars/events/list?after=2026-09-30T23%3A59%3A59.999Z&before=2026-11-01T00%3A00%3A00Z";
    let first = json!({ "entries": [{ "id": "evt-1" }], "has_more": true, "next_cursor": "more" });
    luma.answer(list, first);
    let second = json!({ "entries": [{ "id": "evt-2" }], "has_more": false, "next_cursor": null });
    luma.answer(&format!("{list}&pagination_cursor=more"), second);
    for id in ["evt-1", "evt-2"] {
        answer_event(&luma, event(id, "Compilers", planned(0)));
    }
    let october = ["backfill", "--source", "luma", "--from", "2026-10-01", "--to", "2026-11-01"];
    let (code, output) = setting.run(&october).await;
    assert_eq!(code, Some(0), "{output}");
    let bridge = setting.start();
    for id in ["evt-1", "evt-2"] {
        wait_for_host(&setting, id).await;
    }
    bridge.settled().await;
    assert_eq!(setting.held_of(CALENDAR).len(), 2);
    luma.close();
}

/// A8, M34.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_added_to_the_calendar_counts_once_the_source_takes_such_events() {
    let setting = Setting::new(&source("calendar_events = false"));
    let added = |id: &str| webhook("calendar.event.added", event(id, "Compilers", planned(0)));
    let bridge = setting.start();
    for id in ["evt-1", "evt-2"] {
        assert_eq!(send_signed(&bridge, &added(id), 60).await, "ignored");
        assert_eq!(send_signed(&bridge, &added(id), 60).await, "duplicate");
    }
    bridge.kill();
    setting.configure("calendar_events = false", "calendar_events = true");
    let bridge = setting.start();
    assert_eq!(send_signed(&bridge, &added("evt-1"), 60).await, "accepted");
    assert_eq!(send_signed(&bridge, &added("evt-1"), 60).await, "duplicate");
    let replay = "POST /api/v1/receipts/replay?source=luma&outcome=ignored";
    let answer = http::request(&bridge.ops, replay, &[], &[]).await.expect("it is answered");
    assert_eq!(answer.json()["accepted"], 1, "{}", String::from_utf8_lossy(&answer.body));
    bridge.settled().await;
    let held: Vec<String> = setting.held_of(CALENDAR).into_keys().collect();
    assert_eq!(held, ["evt-1", "evt-2"]);
}

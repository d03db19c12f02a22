//! Luma: created, updated, canceled; over by the clock; hosts from its API.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use webinar_bridge::clock::SystemClock;
use webinar_bridge::event::Millis;
use webinar_bridge::providers::DemoApi;
use webinar_bridge::sandbox::platform_server::PlatformServer;

use super::{refused, tell};
use crate::harness::eventually;
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{ago, planned, seconds};

/// 32 bytes in base64, so that it is a secret of Standard Webhooks too.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const CALENDAR: &str = "cal-of-the-tests";

fn source(more: &str) -> String {
    format!(
        "[source.luma]\nprovider = \"luma\"\nsecret = \"{SECRET}\"\norganizer = \"Acme GmbH\"\n{more}\n"
    )
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// The observed headers: the hex HMAC-SHA256 of `{seconds}.{body}` under the whole text of the secret. Not the product's
/// code.
fn signature(secret: &str, id: &str, body: &[u8], seconds: i64) -> Vec<(String, String)> {
    let time = seconds.to_string();
    let code = hex::encode(mac(secret.as_bytes(), &[time.as_bytes(), b".", body]));
    vec![
        ("Webhook-Signature".to_owned(), format!("t={time},v1={code}")),
        ("Webhook-Timestamp".to_owned(), time),
        ("Webhook-Id".to_owned(), id.to_owned()),
    ]
}

/// The headers of Standard Webhooks.
fn standard_signature(id: &str, body: &[u8], seconds: i64) -> Vec<(String, String)> {
    let time = seconds.to_string();
    let key = STANDARD.decode(SECRET.replace("whsec_", "")).expect("it is base64");
    let code = mac(&key, &[id.as_bytes(), b".", time.as_bytes(), b".", body]);
    vec![
        ("Webhook-Id".to_owned(), id.to_owned()),
        ("Webhook-Timestamp".to_owned(), time),
        ("Webhook-Signature".to_owned(), format!("v1,{}", STANDARD.encode(code))),
    ]
}

fn webhook(name: &str, data: impl Into<Value>) -> Value {
    json!({ "type": name, "data": data.into() })
}

/// An event of an hour.
fn event(id: &str, name: &str, start: Millis) -> Value {
    json!({
        "platform": "luma", "id": id, "calendar_id": CALENDAR, "name": name,
        "description": "One editor.", "start_at": start.to_string(),
        "end_at": start.plus(Duration::from_hours(1)).to_string(),
        "created_at": ago(120).to_string(), "timezone": "Europe/Vienna", "location_type": "zoom",
        "meeting_url": "https://rooms.example/secret-room", "url": format!("https://luma.example/{id}"),
    })
}

/// Sends a webhook that was signed so many seconds ago.
async fn post(bridge: &Bridge, body: &Value, seconds_ago: i64) -> String {
    post_of(bridge, body, seconds() - seconds_ago).await
}

/// Sends a webhook that was signed in this second.
async fn post_of(bridge: &Bridge, body: &Value, second: i64) -> String {
    let bytes = body.to_string().into_bytes();
    let headers = signature(SECRET, "msg_1", &bytes, second);
    tell(bridge, "luma", &headers, &bytes).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_created_moved_and_called_off() {
    let setting = Setting::new(&source(""));
    let bridge = setting.start();
    let held = || setting.held_of(CALENDAR).remove("evt-1").expect("HubSpot has it");

    let created = webhook("event.created", event("evt-1", "Compilers", planned(0)));
    assert_eq!(post(&bridge, &created, 60).await, "accepted");
    bridge.settled().await;
    let event_ = held();
    assert_eq!((event_.name.as_str(), event_.organizer.as_str()), ("Compilers", "Acme GmbH"));
    assert_eq!(event_.event_type.as_deref(), Some("WEBINAR"));
    assert_eq!(event_.url.as_deref(), Some("https://luma.example/evt-1"), "not the room");
    assert_eq!((event_.start, event_.end), (Some(planned(0)), Some(planned(60))));

    // The later one arrives first.
    let moved = webhook("event.updated", event("evt-1", "Compilers, live", planned(30)));
    let renamed = webhook("event.updated", event("evt-1", "Compilers!", planned(0)));
    assert_eq!(post(&bridge, &moved, 40).await, "accepted");
    assert_eq!(post(&bridge, &renamed, 50).await, "accepted");
    bridge.settled().await;
    let event_ = held();
    assert_eq!((event_.name.as_str(), event_.start), ("Compilers, live", Some(planned(30))));

    let off = webhook("event.canceled", event("evt-1", "Compilers, live", planned(30)));
    assert_eq!(post(&bridge, &off, 20).await, "accepted");
    bridge.settled().await;
    let event_ = held();
    assert_eq!((event_.cancelled, event_.completed), (true, false));
}

/// There, elsewhere, and there again: the third body is the first once more, and no repetition.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_back_is_changed_back() {
    let setting = Setting::new(&source(""));
    let bridge = setting.start();
    let there = webhook("event.updated", event("evt-1", "Compilers", planned(0)));
    let elsewhere = webhook("event.updated", event("evt-1", "Compilers", planned(30)));
    let now = seconds();
    assert_eq!(post_of(&bridge, &there, now - 30).await, "accepted");
    assert_eq!(post_of(&bridge, &elsewhere, now - 20).await, "accepted");
    assert_eq!(post_of(&bridge, &there, now - 10).await, "accepted");
    assert_eq!(post_of(&bridge, &elsewhere, now - 20).await, "duplicate", "the very same request");
    bridge.settled().await;
    let event = setting.held_of(CALENDAR).remove("evt-1").expect("HubSpot has it");
    assert_eq!(event.start, Some(planned(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_over_some_time_after_its_end() {
    let setting = Setting::new(&source("complete_after_end = \"15m\""));
    let bridge = setting.start();
    for (id, minutes) in [("evt-over", 80), ("evt-ending", 65)] {
        let body = webhook("event.updated", event(id, "Compilers", ago(minutes)));
        assert_eq!(post(&bridge, &body, 10).await, "accepted");
    }
    bridge.settled().await;
    let held = setting.held_of(CALENDAR);
    assert!(held["evt-over"].completed, "it ended 20 minutes ago");
    assert!(!held["evt-ending"].completed, "it ended 5 minutes ago");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forged_or_not_ours_makes_no_event() {
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
        signature(SECRET, "msg_1", &bytes, seconds() - 3 * 3_600),
        standard_signature("msg_1", &bytes, seconds()),
    ] {
        assert_eq!(refused(&bridge, "luma", &headers, &body).await, 401, "{headers:?}");
    }
    let guest = json!({ "id": "gst-1", "user_email": "someone@mail.example" });
    let external = json!({ "platform": "external", "id": "calev-1", "name": "Elsewhere" });
    for webhook in [
        webhook("guest.registered", guest),
        webhook("calendar.event.added", external),
        webhook("calendar.event.added", event("evt-2", "Somebody's", planned(0))),
    ] {
        assert_eq!(post(&bridge, &webhook, 0).await, "ignored");
    }
    bridge.settled().await;
    assert!(setting.held_of(CALENDAR).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_may_say_that_it_is_signed_as_standard_webhooks_are() {
    let setting = Setting::new(&source("signature = \"standard_webhooks\""));
    let bridge = setting.start();
    let body = webhook("event.created", event("evt-1", "Compilers", planned(0)));
    let bytes = body.to_string().into_bytes();
    let own = signature(SECRET, "msg_1", &bytes, seconds());
    assert_eq!(refused(&bridge, "luma", &own, &body).await, 401);
    let headers = standard_signature("msg_1", &bytes, seconds());
    assert_eq!(tell(&bridge, "luma", &headers, &bytes).await, "accepted");
    let again = standard_signature("msg_1", &bytes, seconds() - 5);
    assert_eq!(tell(&bridge, "luma", &again, &bytes).await, "duplicate", "by its signed id");
    bridge.settled().await;
    assert_eq!(setting.held_of(CALENDAR).into_keys().collect::<Vec<_>>(), ["evt-1"]);
}

/// Luma's API, and a source that may ask it.
fn with_api() -> (PlatformServer, Setting) {
    let api = DemoApi::Header("x-luma-api-key", "key-of-the-tests");
    let luma = PlatformServer::open(api, Arc::new(SystemClock)).expect("it listens");
    let address = luma.base_url();
    let api = format!("api = {{ key = \"key-of-the-tests\", base_url = \"{address}\" }}");
    let setting = Setting::new(&source(&api));
    (luma, setting)
}

/// What the API answers about an event: what webhooks show, and its hosts.
fn answer(luma: &PlatformServer, mut event: Value) {
    let path = format!("/v1/events/get?event_id={}", event["id"].as_str().expect("an id"));
    event["hosts"] =
        json!([{ "name": null }, { "name": "Tamsin Okoro", "email": "t@mail.example" }]);
    luma.answer(&path, event);
}

async fn until_hosted(setting: &Setting, id: &str) {
    eventually("HubSpot has the host", async || {
        let held = setting.held_of(CALENDAR).remove(id);
        held.is_some_and(|event| event.organizer == "Tamsin Okoro")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_organizer_is_the_host_whom_the_api_names() {
    let (luma, setting) = with_api();
    let bridge = setting.start();
    answer(&luma, event("evt-1", "Compilers", planned(0)));
    let created = webhook("event.created", event("evt-1", "Compilers", planned(0)));
    assert_eq!(post(&bridge, &created, 10).await, "accepted");
    until_hosted(&setting, "evt-1").await;
    let asked = luma.calls();
    assert!(asked.iter().all(|call| call.status == 200), "{asked:?}");

    // Calling off deletes it: there is nothing to ask.
    let off = webhook("event.canceled", event("evt-1", "Compilers", planned(0)));
    assert_eq!(post(&bridge, &off, 5).await, "accepted");
    bridge.settled().await;
    let held = setting.held_of(CALENDAR).remove("evt-1").expect("HubSpot has it");
    assert_eq!((held.cancelled, held.organizer.as_str()), (true, "Tamsin Okoro"));
    assert_eq!(luma.calls(), asked);
    luma.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_from_before_are_brought_in() {
    let (luma, setting) = with_api();
    let list = "/v1/calendars/events/list?after=2026-09-30T23%3A59%3A59.999Z&before=2026-11-01T00%3A00%3A00Z";
    let first = json!({ "entries": [{ "id": "evt-1" }], "has_more": true, "next_cursor": "more" });
    luma.answer(list, first);
    let second = json!({ "entries": [{ "id": "evt-2" }], "has_more": false, "next_cursor": null });
    luma.answer(&format!("{list}&pagination_cursor=more"), second);
    for id in ["evt-1", "evt-2"] {
        answer(&luma, event(id, "Compilers", planned(0)));
    }
    let october = ["backfill", "--source", "luma", "--from", "2026-10-01", "--to", "2026-11-01"];
    let (code, said) = setting.run(&october).await;
    assert_eq!(code, Some(0), "{said}");
    let bridge = setting.start();
    for id in ["evt-1", "evt-2"] {
        until_hosted(&setting, id).await;
    }
    bridge.settled().await;
    assert_eq!(setting.held_of(CALENDAR).len(), 2);
    luma.close();
}

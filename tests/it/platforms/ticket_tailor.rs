//! Ticket Tailor: events are created, updated and deleted by webhooks, and completed by the timer.

use serde_json::{Value, json};
use webinar_bridge::event::Millis;

use super::{hmac_sha256, send, status_of};
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{ago, at, planned, seconds};

const SECRET: &str = "tickets-secret-of-the-tests";
const ACCOUNT: &str = "the-box-office";
const SOURCE: &str = "[source.tickets]\nprovider = \"ticket_tailor\"\n\
                      secret = \"tickets-secret-of-the-tests\"\norganizer = \"Acme GmbH\"\n\
                      external_account_id = \"the-box-office\"\n";

/// The documented header: the hexadecimal HMAC-SHA256 of the seconds and the body, without a separator.
fn signature(secret: &str, separator: &str, body: &[u8], seconds: i64) -> Vec<(String, String)> {
    let prefix = format!("{seconds}{separator}");
    let code = hex::encode(hmac_sha256(secret.as_bytes(), &[prefix.as_bytes(), body]));
    vec![("Tickettailor-Webhook-Signature".to_owned(), format!("t={seconds},v1={code}"))]
}

fn webhook(id: &str, event: &str, at: i64, payload: impl Into<Value>) -> Value {
    // In UTC, as assumed, and without a zone.
    let created_at = Millis::new(at / 1_000 * 1_000).to_string().replace('T', " ").replace('Z', "");
    json!({
        "id": id, "created_at": created_at, "event": event, "payload": payload.into(),
        "resource_url": "https://tickets.example/v1/events",
    })
}

/// An event of one hour.
fn event(id: &str, name: &str, start: Millis) -> Value {
    let moment = |at: Millis| json!({ "iso": at.to_string(), "unix": at.get() / 1_000 });
    json!({
        "object": "event", "id": id, "name": name, "description": "By hand.", "status": "published",
        "online_event": "false", "start": moment(start),
        "end": moment(start.plus(std::time::Duration::from_hours(1))), "timezone": "Europe/London",
        "url": "https://tickets.example/events/press", "access_code": "open-sesame",
    })
}

async fn send_signed(bridge: &Bridge, body: &Value) -> String {
    let bytes = body.to_string().into_bytes();
    send(bridge, "tickets", &signature(SECRET, "", &bytes, seconds()), &bytes).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_lifecycle_is_delivered() {
    let setting = Setting::new(SOURCE);
    let bridge = setting.start();
    let held = || setting.held_of(ACCOUNT).remove("ev_1").expect("the event is in HubSpot");

    let created = webhook("wh_1", "EVENT.CREATED", at(0), event("ev_1", "Ink", planned(0)));
    assert_eq!(send_signed(&bridge, &created).await, "accepted");
    assert_eq!(send_signed(&bridge, &created).await, "duplicate");
    bridge.settled().await;
    let event_ = held();
    assert_eq!(
        (event_.input.event_name.as_str(), event_.input.event_organizer.as_str()),
        ("Ink", "Acme GmbH")
    );
    assert_eq!(event_.input.event_type.as_deref(), Some("IN_PERSON"));
    assert_eq!(event_.input.event_url.as_deref(), Some("https://tickets.example/events/press"));
    assert_eq!(
        (event_.input.start_date_time, event_.input.end_date_time),
        (Some(planned(0)), Some(planned(60)))
    );

    // The later update arrives first.
    let moved = webhook("wh_3", "EVENT.UPDATED", at(20), event("ev_1", "Ink again", planned(30)));
    let renamed = webhook("wh_2", "EVENT.UPDATED", at(10), event("ev_1", "Ink, too", planned(0)));
    for update in [moved, renamed] {
        assert_eq!(send_signed(&bridge, &update).await, "accepted");
    }
    bridge.settled().await;
    let event_ = held();
    assert_eq!(
        (event_.input.event_name.as_str(), event_.input.start_date_time),
        ("Ink again", Some(planned(30)))
    );
    assert!(!event_.input.event_cancelled);

    let deleted = webhook("wh_4", "EVENT.DELETED", at(30), event("ev_1", "Ink again", planned(30)));
    assert_eq!(send_signed(&bridge, &deleted).await, "accepted");
    bridge.settled().await;
    let event_ = held();
    assert_eq!((event_.input.event_cancelled, event_.input.event_completed), (true, false));
    assert_eq!(setting.reads(), 0, "M19: it was created under the bridge's eyes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_is_completed_half_an_hour_after_its_end() {
    let setting = Setting::new(SOURCE);
    let bridge = setting.start();
    for (id, minutes) in [("ev_over", 100), ("ev_ending", 70)] {
        let body = webhook(id, "EVENT.CREATED", at(0), event(id, "Ink", ago(minutes)));
        assert_eq!(send_signed(&bridge, &body).await, "accepted");
    }
    bridge.settled().await;
    let held = setting.held_of(ACCOUNT);
    assert!(held["ev_over"].input.event_completed, "it ended 40 minutes ago");
    assert!(!held["ev_ending"].input.event_completed, "it ended 10 minutes ago");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_or_other_webhook_creates_no_event() {
    let setting = Setting::new(SOURCE);
    let bridge = setting.start();
    let body = webhook("wh_1", "EVENT.CREATED", at(0), event("ev_1", "Forged", planned(0)));
    let bytes = body.to_string().into_bytes();
    let right = signature(SECRET, "", &bytes, seconds());
    let twice = vec![(right[0].0.clone(), format!("{0},{0}", right[0].1))];
    for headers in [
        vec![],
        [right.clone(), right.clone()].concat(),
        twice,
        signature("another secret", "", &bytes, seconds()),
        signature(SECRET, ".", &bytes, seconds()),
        signature(SECRET, "", b"{}", seconds()),
        signature(SECRET, "", &bytes, seconds() - 30 * 3_600),
    ] {
        assert_eq!(status_of(&bridge, "tickets", &headers, &bytes).await, 401, "{headers:?}");
    }
    let order = json!({ "object": "order", "id": "or_1", "buyer_details": { "name": "Someone" } });
    let series = json!({ "object": "event_series", "id": "es_1", "name": "Ink" });
    for webhook in [
        webhook("wh_2", "ORDER.CREATED", at(0), order),
        webhook("wh_3", "EVENT.UPDATED", at(0), series),
    ] {
        assert_eq!(send_signed(&bridge, &webhook).await, "ignored");
    }
    bridge.settled().await;
    assert!(setting.held_of(ACCOUNT).is_empty());
}

/// A8, M34.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draft_counts_once_the_source_takes_drafts() {
    let setting = Setting::new(&format!("{SOURCE}drafts = false\n"));
    let mut draft = event("ev_1", "Ink", planned(0));
    draft["status"] = "draft".into();
    let created = webhook("wh_1", "EVENT.CREATED", at(0), draft);
    let bridge = setting.start();
    assert_eq!(send_signed(&bridge, &created).await, "ignored");
    bridge.kill();
    setting.configure("drafts = false", "drafts = true");
    let bridge = setting.start();
    assert_eq!(send_signed(&bridge, &created).await, "accepted");
    assert_eq!(send_signed(&bridge, &created).await, "duplicate");
    bridge.settled().await;
    assert!(setting.held_of(ACCOUNT).contains_key("ev_1"));
}

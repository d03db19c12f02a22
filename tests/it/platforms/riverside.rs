//! Riverside: webinars are reported as created, started and ended, and not otherwise.

use serde_json::{Value, json};

use super::{hmac_sha256, send, status_of};
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{ago, at, planned, seconds, with};

const SECRET: &str = "riverside-secret-of-the-tests";
const ACCOUNT: &str = "acc_of_the_tests";
const SOURCE: &str = "[source.studio]\nprovider = \"riverside\"\n\
                      secret = \"riverside-secret-of-the-tests\"\n";

/// The documented headers: `v1=` and the hexadecimal HMAC-SHA256 of `{seconds}:{body}`.
fn signature(secret: &str, body: &[u8], seconds: i64) -> Vec<(String, String)> {
    let mac = hmac_sha256(secret.as_bytes(), &[format!("{seconds}:").as_bytes(), body]);
    let signature = format!("v1={}", hex::encode(mac));
    vec![
        ("X-Riverside-Signature".to_owned(), signature),
        ("X-Riverside-Timestamp".to_owned(), seconds.to_string()),
    ]
}

fn event(id: &str, name: &str, at: i64, data: impl Into<Value>) -> Value {
    json!({
        "id": id, "event": name, "event_ts": at / 1_000, "account_id": ACCOUNT, "data": data.into(),
        "delivery_attempt": 1,
    })
}

/// A webinar of one hour as shown in every event.
fn webinar(id: &str, title: &str, start: i64, more: Value) -> Value {
    let webinar = json!({
        "event_id": id, "id": id, "title": title, "description": "With examples.",
        "scheduled_start_time": ago(-start).to_string(), "scheduled_end_time": ago(-start - 60).to_string(),
        "timezone": "Europe/Lisbon", "type": "live", "hosted_by": "Tamsin Okoro",
    });
    with(webinar, more)
}

async fn send_signed(bridge: &Bridge, body: &Value) -> String {
    let bytes = body.to_string().into_bytes();
    send(bridge, "studio", &signature(SECRET, &bytes, seconds()), &bytes).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webinar_lifecycle_is_delivered() {
    let setting = Setting::new(SOURCE);
    let bridge = setting.start();
    let held = || setting.held_of(ACCOUNT).remove("w1").expect("the event is in HubSpot");

    let plan = |title: &str, more: Value| webinar("w1", title, -50, more);
    let created = event("evt_1", "webinar.created", at(0), plan("Editing", json!({})));
    assert_eq!(send_signed(&bridge, &created).await, "accepted");
    bridge.settled().await;
    let planned = held();
    assert_eq!(
        (planned.input.event_name.as_str(), planned.input.event_organizer.as_str()),
        ("Editing", "Tamsin Okoro")
    );
    assert_eq!(planned.input.event_description.as_deref(), Some("With examples."));
    assert_eq!(planned.input.event_type.as_deref(), Some("WEBINAR"));
    assert_eq!(
        (planned.input.start_date_time, planned.input.end_date_time),
        (Some(ago(50)), Some(ago(-10)))
    );
    assert_eq!(
        (planned.input.event_cancelled, planned.input.event_completed, planned.input.event_url),
        (false, false, None)
    );

    let mut again = created.clone();
    again["delivery_attempt"] = 2.into();
    assert_eq!(
        send_signed(&bridge, &again).await,
        "duplicate",
        "the id identifies the delivery, not the body"
    );

    // No event reports a new title by itself.
    let began = json!({ "actual_start_time": ago(48).to_string() });
    let started = event("evt_2", "webinar.started", at(10), plan("Editing by ear", began));
    assert_eq!(send_signed(&bridge, &started).await, "accepted");
    bridge.settled().await;
    let running = held();
    assert_eq!(
        (running.input.event_name.as_str(), running.input.event_completed),
        ("Editing by ear", false)
    );
    assert_eq!(
        (running.input.start_date_time, running.input.end_date_time),
        (Some(ago(50)), Some(ago(-10)))
    );

    let over = json!({
        "actual_start_time": ago(48).to_string(), "actual_end_time": ago(3).to_string(),
        "attendee_count": 88,
    });
    let ended = event("evt_3", "webinar.ended", at(20), plan("Editing by ear", over));
    assert_eq!(send_signed(&bridge, &ended).await, "accepted");
    bridge.settled().await;
    let ended = held();
    assert_eq!(
        (ended.input.start_date_time, ended.input.end_date_time),
        (Some(ago(50)), Some(ago(3))),
        "the actual end"
    );
    assert_eq!((ended.input.event_cancelled, ended.input.event_completed), (false, true));
    assert_eq!(setting.reads(), 0, "M19: it was created under the bridge's eyes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_out_of_order_give_the_same_event() {
    let setting = Setting::new(SOURCE);
    let bridge = setting.start();
    let over = json!({
        "actual_start_time": ago(48).to_string(), "actual_end_time": ago(3).to_string(),
    });
    let ended = webinar("w1", "Editing by ear", -50, over);
    let created = webinar("w1", "Editing", -50, json!({ "hosted_by": null }));
    let webhooks = [
        event("evt_3", "webinar.ended", at(20), ended),
        event("evt_1", "webinar.created", at(0), created),
    ];
    for webhook in webhooks {
        assert_eq!(send_signed(&bridge, &webhook).await, "accepted");
        bridge.settled().await;
    }
    let event = setting.held_of(ACCOUNT).remove("w1").expect("the event is in HubSpot");
    assert_eq!(
        (event.input.event_name.as_str(), event.input.event_organizer.as_str()),
        ("Editing by ear", "Tamsin Okoro")
    );
    assert_eq!((event.input.end_date_time, event.input.event_completed), (Some(ago(3)), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_old_or_test_webhook_creates_no_event() {
    let setting = Setting::new(SOURCE);
    let bridge = setting.start();
    let body = event("evt_1", "webinar.created", at(0), webinar("w1", "Forged", 60, json!({})));
    let bytes = body.to_string().into_bytes();
    let right = signature(SECRET, &bytes, seconds());
    let mut of_another_time = right.clone();
    of_another_time[1].1 = (seconds() + 1).to_string();
    for headers in [
        vec![],
        right[..1].to_vec(),
        [right.clone(), right[..1].to_vec()].concat(),
        signature("another secret", &bytes, seconds()),
        signature(SECRET, &[&bytes[..], b" "].concat(), seconds()),
        signature(SECRET, &bytes, seconds() - 30 * 3_600),
        of_another_time,
    ] {
        assert_eq!(status_of(&bridge, "studio", &headers, &bytes).await, 401, "{headers:?}");
    }
    let test = webinar("w2", "Test", 60, json!({ "test": true }));
    let ignored = [
        event("evt_2", "webinar.created", at(0), test),
        event("evt_3", "registrant.created", at(0), json!({ "email": "someone@mail.example" })),
    ];
    for webhook in ignored {
        assert_eq!(send_signed(&bridge, &webhook).await, "ignored");
    }
    bridge.settled().await;
    assert!(setting.held_of(ACCOUNT).is_empty());
    let planned = planned(0).to_string();
    let real = webinar("w3", "Real", 60, json!({ "scheduled_start_time": planned }));
    assert_eq!(
        send_signed(&bridge, &event("evt_4", "webinar.created", at(0), real)).await,
        "accepted"
    );
    bridge.settled().await;
    assert_eq!(setting.held_of(ACCOUNT).into_keys().collect::<Vec<_>>(), ["w3"]);
}

//! Zoom: webhook bodies, a signer and a sender of the tests' own.

use std::io;
use std::sync::LazyLock;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use webinar_bridge::clock::{Clock as _, SystemClock};
use webinar_bridge::event::Millis;

use super::http::{self, Answer};
use super::process::{Bridge, SECRET};

/// The customer's account at Zoom.
pub(crate) const ACCOUNT: &str = "qxT3nB0uRzWc7eHk";
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Start of the tests, in whole minutes.
static NOW: LazyLock<i64> = LazyLock::new(|| now() / MINUTE * MINUTE);

fn now() -> i64 {
    SystemClock.now().get()
}

/// Time of a change: this many seconds after a time 50 minutes ago. A creation then counts as made under the bridge's
/// eyes: its first start is at most an hour later.
pub(crate) fn at(seconds: i64) -> i64 {
    *NOW - 50 * MINUTE + seconds * 1_000
}

/// A planned time: this many minutes after a time tomorrow.
pub(crate) fn planned(minutes: i64) -> Millis {
    Millis::new(*NOW + 24 * HOUR + minutes * MINUTE)
}

/// The time this many minutes ago.
pub(crate) fn ago(minutes: i64) -> Millis {
    Millis::new(*NOW - minutes * MINUTE)
}

/// A webhook with this event name, time and object.
pub(crate) fn webhook(event: &str, at: i64, object: impl Into<Value>) -> Value {
    let payload = json!({ "account_id": ACCOUNT, "object": object.into() });
    json!({ "event": event, "event_ts": at, "payload": payload })
}

/// Adds members to the webhook's `payload`: scope, operation, `old_object`.
pub(crate) fn payload(mut body: Value, more: Value) -> Value {
    patch(&mut body["payload"], more);
    body
}

/// The object with these fields replaced.
pub(crate) fn with(mut object: Value, more: Value) -> Value {
    patch(&mut object, more);
    object
}

fn patch(value: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("{more} is not an object") };
    for (key, new) in more {
        value[key] = new;
    }
}

/// A webinar of one hour, in the form of `webinar.created`.
pub(crate) fn webinar(id: u64, topic: &str) -> Value {
    json!({
        "uuid": format!("uuid-{id}=="), "id": id, "host_id": "uLoRgfbbTayCX6r2Q_qQsQ", "topic": topic, "type": 5,
        "start_time": planned(0).to_string(), "duration": 60, "timezone": "UTC",
        "join_url": format!("https://example.zoom.us/j/{id}?pwd=secret-pwd-of-{id}"),
    })
}

/// A series of three half hours, in the form of `webinar.created`; the occurrences are `o1`, `o2`, `o3`, a day apart.
pub(crate) fn series(id: u64, topic: &str) -> Value {
    let mut object = webinar(id, topic);
    let occurrences: Vec<Value> = (0..3).map(|day| occurrence(day + 1, day * 24 * 60)).collect();
    patch(
        &mut object,
        json!({
            "type": 9, "duration": 30, "occurrences": occurrences,
            "recurrence": { "type": 1, "repeat_interval": 1, "end_times": 3 },
        }),
    );
    object
}

/// An entry of `occurrences`: `o{number}`, half an hour that begins this many minutes after the first.
pub(crate) fn occurrence(number: i64, minutes: i64) -> Value {
    json!({
        "occurrence_id": format!("o{number}"), "start_time": planned(minutes).to_string(), "duration": 30,
        "status": "available",
    })
}

pub(crate) fn created(id: u64, topic: &str, at: i64) -> Value {
    webhook("webinar.created", at, webinar(id, topic))
}

/// `webinar.updated` as Zoom sends it: the id and the changed fields.
pub(crate) fn updated(id: u64, changed: Value, at: i64) -> Value {
    webhook("webinar.updated", at, with(json!({ "id": id }), changed))
}

pub(crate) fn renamed(id: u64, topic: &str, at: i64) -> Value {
    updated(id, json!({ "topic": topic }), at)
}

/// Zoom's documented headers: `v0=` and the hex HMAC-SHA256 of `v0:{seconds}:{body}`. Not the product's code.
pub(crate) fn signature(secret: &str, body: &[u8], seconds: i64) -> Vec<(String, String)> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length will do");
    mac.update(format!("v0:{seconds}:").as_bytes());
    mac.update(body);
    let signature = format!("v0={}", hex::encode(mac.finalize().into_bytes()));
    vec![
        ("x-zm-signature".to_owned(), signature),
        ("x-zm-request-timestamp".to_owned(), seconds.to_string()),
    ]
}

/// The second in which the tests sign: the same one in the whole process, so that an equal body is an equal delivery.
pub(crate) fn seconds() -> i64 {
    static SECOND: LazyLock<i64> = LazyLock::new(|| now() / 1_000);
    *SECOND
}

/// A sender of Zoom's webhooks to one source.
#[derive(Clone)]
pub(crate) struct Zoom {
    address: String,
    source: String,
}

impl Zoom {
    /// A sender to the source `zoom`.
    pub(crate) fn to(bridge: &Bridge) -> Self {
        Self::to_source(bridge, "zoom")
    }

    pub(crate) fn to_source(bridge: &Bridge, source: &str) -> Self {
        Self { address: bridge.webhooks.clone(), source: source.to_owned() }
    }

    /// Sends a body with these headers.
    pub(crate) async fn raw(
        &self,
        headers: &[(String, String)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let line = format!("POST /webhooks/{}", self.source);
        http::request(&self.address, &line, headers, body).await
    }

    /// Sends a webhook, signed now; an error if it is not answered.
    pub(crate) async fn post(&self, body: &Value) -> io::Result<Answer> {
        let bytes = body.to_string().into_bytes();
        self.raw(&signature(SECRET, &bytes, seconds()), &bytes).await
    }

    /// Sends a webhook that must be answered with 200; returns its outcome.
    pub(crate) async fn tell(&self, body: Value) -> String {
        let answer = self.post(&body).await.expect("it is answered");
        assert_eq!(answer.status, 200, "{body}");
        answer.word()
    }

    /// Sends webhooks in order; each must be accepted.
    pub(crate) async fn story(&self, bodies: impl IntoIterator<Item = Value>) {
        for body in bodies {
            assert_eq!(self.tell(body.clone()).await, "accepted", "{body}");
        }
    }
}

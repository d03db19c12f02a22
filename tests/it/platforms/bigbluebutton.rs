//! BigBlueButton: the meetings of a server. A body is a form, and its hash is in the query.

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use url::form_urlencoded::Serializer;
use webinar_bridge::clock::{Clock as _, SystemClock};
use webinar_bridge::event::Millis;

use super::{assert_not_stored, send, status_of};
use crate::harness::process::{Bridge, Setting};

const SECRET: &str = "secret-of-the-server";
/// The registered URL. The bridge listens elsewhere, behind a proxy.
const CALLBACK: &str = "https://bridge.example/webhooks/bbb?via=hooks";
const DOMAIN: &str = "bbb.example.net";
const MEETING: &str = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1790000000001";

fn setting(keys: &str) -> Setting {
    Setting::new(&format!(
        "[source.bbb]\nprovider = 'bigbluebutton'\nsecret = '{SECRET}'\norganizer = 'Acme GmbH'\n{keys}"
    ))
}

/// The time this many seconds ago, in milliseconds.
fn ago(seconds: i64) -> i64 {
    SystemClock.now().get() - seconds * 1_000
}

/// A form with one event, sent now.
fn form(name: &str, meeting: &Value, at: i64) -> String {
    let attributes = json!({ "meeting": meeting, "user": { "name": "A guest" } });
    let data =
        json!({ "type": "event", "id": name, "attributes": attributes, "event": { "ts": at } });
    let event = json!([{ "data": data }]).to_string();
    let pairs = [("domain", DOMAIN), ("event", &event), ("timestamp", &ago(0).to_string())];
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn created(start: i64) -> String {
    let meeting = json!({
        "internal-meeting-id": MEETING, "external-meeting-id": "weekly", "name": "Weekly demo",
        "is-breakout": false, "duration": 0, "create-time": start, "moderator-pass": "secret-mod",
        "viewer-pass": "secret-view", "voice-conf": "71347", "metadata": { "a": "secret-meta" },
    });
    form("meeting-created", &meeting, start + 10)
}

fn meeting_ids() -> Value {
    json!({ "internal-meeting-id": MEETING, "external-meeting-id": "weekly" })
}

/// The path of a request with the SHA-1 of URL, body and secret in its query.
fn signed_path(body: &str) -> String {
    let hash = Sha1::digest(format!("{CALLBACK}{body}{SECRET}"));
    format!("bbb?via=hooks&checksum={}", hex::encode(hash))
}

fn headers() -> Vec<(String, String)> {
    let form = "application/x-www-form-urlencoded;charset=UTF-8";
    vec![("content-type".to_owned(), form.to_owned())]
}

async fn send_signed(bridge: &Bridge, body: &str) -> String {
    send(bridge, &signed_path(body), &headers(), body.as_bytes()).await
}

async fn status(bridge: &Bridge, path: &str, body: &str) -> u16 {
    status_of(bridge, path, &headers(), body.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meeting_created_and_ended_is_delivered_and_completed() {
    let setting = setting(&format!("callback_url = '{CALLBACK}'"));
    let bridge = setting.start();
    let (start, end) = (ago(3_000), ago(60));
    let body = created(start);
    assert_eq!(send_signed(&bridge, &body).await, "accepted");
    assert_eq!(send_signed(&bridge, &body).await, "duplicate", "a retry has the same timestamp");
    assert_eq!(
        send_signed(&bridge, &form("user-joined", &meeting_ids(), ago(90))).await,
        "ignored"
    );
    bridge.settled().await;
    let event = setting.held_of(DOMAIN).remove(MEETING).expect("the event is in HubSpot");
    assert_eq!(
        (event.input.event_name.as_str(), event.input.event_organizer.as_str()),
        ("Weekly demo", "Acme GmbH")
    );
    assert_eq!(event.input.event_type.as_deref(), Some("MEETING"));
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(Millis::new(start)), None)
    );
    assert_eq!(
        (event.input.event_cancelled, event.input.event_completed, event.input.event_url),
        (false, false, None)
    );

    assert_eq!(send_signed(&bridge, &form("meeting-ended", &meeting_ids(), end)).await, "accepted");
    bridge.settled().await;
    let event = setting.held_of(DOMAIN).remove(MEETING).expect("the event is in HubSpot");
    assert_eq!(event.input.event_name, "Weekly demo");
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(Millis::new(start)), Some(Millis::new(end)))
    );
    assert_eq!((event.input.event_cancelled, event.input.event_completed), (false, true));

    let secrets = ["secret-mod", "secret-view", "secret-meta", "71347", "guest"];
    assert_eq!(assert_not_stored(&bridge, "bbb", &secrets).await, 3);
    assert_eq!(setting.reads(), 0, "M19: it was created under the bridge's eyes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_not_signed_by_the_server_is_refused() {
    let setting = setting(&format!("callback_url = '{CALLBACK}'"));
    let bridge = setting.start();
    let body = created(ago(600));
    let right = signed_path(&body);
    assert_eq!(status(&bridge, &right, &body.replace("Weekly", "Weakly")).await, 401);
    assert_eq!(status(&bridge, "bbb?via=hooks", &body).await, 401);
    assert_eq!(status(&bridge, &format!("{right}&checksum=0"), &body).await, 401);
    for other in [
        Sha1::digest(format!("{CALLBACK}{body}another")),
        Sha1::digest(format!("https://bridge.example/webhooks/bbb{body}{SECRET}")),
        Sha1::digest(format!("{body}{SECRET}")),
    ] {
        assert_eq!(
            status(&bridge, &format!("bbb?checksum={}", hex::encode(other)), &body).await,
            401
        );
    }
    let longer = hex::encode(Sha256::digest(format!("{CALLBACK}{body}{SECRET}")));
    assert_eq!(status(&bridge, &format!("bbb?checksum={longer}"), &body).await, 401);
    let sent = body.rsplit('=').next().expect("the form ends with its timestamp");
    let old = body.replace(sent, &ago(30 * 60 * 60).to_string());
    assert_eq!(status(&bridge, &signed_path(&old), &old).await, 401);
    bridge.settled().await;
    assert!(setting.held_of(DOMAIN).is_empty());
    assert_eq!(send_signed(&bridge, &body).await, "accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sha256_checksum_and_bearer_secret_are_accepted_if_configured() {
    for keys in
        [format!("callback_url = '{CALLBACK}'\nchecksum = 'sha256'"), "auth = 'bearer'".into()]
    {
        let setting = setting(&keys);
        let bridge = setting.start();
        let body = created(ago(600));
        let hash = hex::encode(Sha256::digest(format!("{CALLBACK}{body}{SECRET}")));
        let mut headers = headers();
        headers.push(("authorization".to_owned(), format!("Bearer {SECRET}")));
        let path = format!("bbb?via=hooks&checksum={hash}");
        assert_eq!(send(&bridge, &path, &headers, body.as_bytes()).await, "accepted", "{keys}");
        headers.pop();
        let forged = body.replace("Weekly", "Weakly");
        let status = status_of(&bridge, &path, &headers, forged.as_bytes()).await;
        assert_eq!(status, 401, "{keys}");
        bridge.settled().await;
        assert_eq!(setting.held_of(DOMAIN).len(), 1, "{keys}");
    }
}

//! BigBlueButton: a server's meetings, each body a form, its hash in the query.

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use url::form_urlencoded::Serializer;
use webinar_bridge::clock::{Clock as _, SystemClock};
use webinar_bridge::event::Millis;

use super::tell;
use crate::harness::http;
use crate::harness::process::{Bridge, Setting};

const SECRET: &str = "secret-of-the-server";
/// As it was registered; not where the bridge listens, since a proxy stands before it.
const CALLBACK: &str = "https://bridge.example/webhooks/bbb?via=hooks";
const DOMAIN: &str = "bbb.example.net";
const MEETING: &str = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1790000000001";

fn setting(keys: &str) -> Setting {
    Setting::new(&format!(
        "[source.bbb]\nprovider = 'bigbluebutton'\nsecret = '{SECRET}'\norganizer = 'Acme GmbH'\n{keys}"
    ))
}

/// So many seconds ago, in milliseconds.
fn ago(seconds: i64) -> i64 {
    SystemClock.now().get() - seconds * 1_000
}

/// The form of one event, sent now.
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

fn short() -> Value {
    json!({ "internal-meeting-id": MEETING, "external-meeting-id": "weekly" })
}

/// The path of a request whose query has the SHA-1 of the URL, the body and the secret.
fn signed(body: &str) -> String {
    let hash = Sha1::digest(format!("{CALLBACK}{body}{SECRET}"));
    format!("bbb?via=hooks&checksum={}", hex::encode(hash))
}

fn headers() -> Vec<(String, String)> {
    let form = "application/x-www-form-urlencoded;charset=UTF-8";
    vec![("content-type".to_owned(), form.to_owned())]
}

async fn told(bridge: &Bridge, body: &str) -> String {
    tell(bridge, &signed(body), &headers(), body.as_bytes()).await
}

async fn status(bridge: &Bridge, path: &str, body: &str) -> u16 {
    let line = format!("POST /webhooks/{path}");
    let answer = http::request(&bridge.webhooks, &line, &headers(), body.as_bytes()).await;
    answer.expect("it is answered").status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_is_an_event_from_its_beginning_and_over_at_its_end() {
    let setting = setting(&format!("callback_url = '{CALLBACK}'"));
    let bridge = setting.start();
    let (start, end) = (ago(3_000), ago(60));
    let body = created(start);
    assert_eq!(told(&bridge, &body).await, "accepted");
    assert_eq!(told(&bridge, &body).await, "duplicate", "it is sent again with the same time");
    assert_eq!(told(&bridge, &form("user-joined", &short(), ago(90))).await, "ignored");
    bridge.settled().await;
    let event = setting.held_of(DOMAIN).remove(MEETING).expect("HubSpot has it");
    assert_eq!((event.name.as_str(), event.organizer.as_str()), ("Weekly demo", "Acme GmbH"));
    assert_eq!(event.event_type.as_deref(), Some("MEETING"));
    assert_eq!((event.start, event.end), (Some(Millis::new(start)), None));
    assert_eq!((event.cancelled, event.completed, event.url), (false, false, None));

    assert_eq!(told(&bridge, &form("meeting-ended", &short(), end)).await, "accepted");
    bridge.settled().await;
    let event = setting.held_of(DOMAIN).remove(MEETING).expect("HubSpot has it");
    assert_eq!(event.name, "Weekly demo");
    assert_eq!((event.start, event.end), (Some(Millis::new(start)), Some(Millis::new(end))));
    assert_eq!((event.cancelled, event.completed), (false, true));

    let receipts = http::request(&bridge.ops, "GET /api/v1/receipts?source=bbb", &[], &[]).await;
    let receipts = receipts.expect("answered").json();
    let listed = receipts["receipts"].as_array().expect("a list").clone();
    assert_eq!(listed.len(), 3);
    for receipt in listed {
        let path = format!("GET /api/v1/receipts/{}", receipt["id"].as_str().expect("an id"));
        let kept = http::request(&bridge.ops, &path, &[], &[]).await.expect("answered");
        let kept = String::from_utf8(kept.body).expect("text");
        for secret in ["secret-mod", "secret-view", "secret-meta", "71347", "guest"] {
            assert!(!kept.contains(secret), "{secret} is kept: {kept}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_did_not_sign_is_refused() {
    let setting = setting(&format!("callback_url = '{CALLBACK}'"));
    let bridge = setting.start();
    let body = created(ago(600));
    let right = signed(&body);
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
    let sent = body.rsplit('=').next().expect("it ends with its time");
    let old = body.replace(sent, &ago(3 * 60 * 60).to_string());
    assert_eq!(status(&bridge, &signed(&old), &old).await, 401);
    bridge.settled().await;
    assert!(setting.held_of(DOMAIN).is_empty());
    assert_eq!(told(&bridge, &body).await, "accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_make_a_longer_hash_or_send_its_secret() {
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
        assert_eq!(tell(&bridge, &path, &headers, body.as_bytes()).await, "accepted", "{keys}");
        headers.pop();
        let forged = body.replace("Weekly", "Weakly");
        let line = format!("POST /webhooks/{path}");
        let answer = http::request(&bridge.webhooks, &line, &headers, forged.as_bytes()).await;
        assert_eq!(answer.expect("answered").status, 401, "{keys}");
        bridge.settled().await;
        assert_eq!(setting.held_of(DOMAIN).len(), 1, "{keys}");
    }
}

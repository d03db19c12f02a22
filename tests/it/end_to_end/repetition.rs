//! Repeated bodies: what the platform says again counts again, unless a signature tells that it is the same delivery.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{FAST, generous};
use crate::harness::http::request;
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{ACCOUNT, Zoom, at, created, planned, seconds};

const SECRET: &str = "a-secret-of-these-tests";
const MAP: &str = "map = { event_id = \"payload.id\", name = \"payload.title\", start = \"payload.start\", \
                   end = \"payload.end\", cancelled = 'payload.status == \"cancelled\"' }";

fn source(name: &str, verify: &str, more: &str) -> String {
    let secret = if verify.contains("path_token") {
        String::new()
    } else {
        format!("secret = \"{SECRET}\"\n")
    };
    format!(
        "[source.{name}]\nprovider = \"custom\"\norganizer = \"Acme\"\nexternal_account_id = \"{name}\"\n\
         {secret}verify = {verify}\n{MAP}\n{more}\n"
    )
}

fn hmac_hex(parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key");
    for part in parts {
        mac.update(part);
    }
    hex::encode(mac.finalize().into_bytes())
}

fn body(title: &str, status: &str) -> Value {
    let (start, end) = (planned(0).to_string(), planned(60).to_string());
    json!({ "id": "1", "title": title, "start": start, "end": end, "status": status })
}

/// The schemes: name, `verify`, path after the name, and headers that prove a body in a second.
type Prove = fn(&[u8], i64) -> Vec<(String, String)>;

fn header(name: &str, value: String) -> Vec<(String, String)> {
    vec![(name.to_owned(), value)]
}

fn schemes() -> [(&'static str, &'static str, &'static str, Prove); 6] {
    [
        (
            "timed",
            "{ scheme = \"hmac\", header = \"x-sign\", header_format = \"t={timestamp},v1={signature}\", \
             signed = \"{timestamp}.{body}\" }",
            "",
            |body, at| {
                let mac = hmac_hex(&[at.to_string().as_bytes(), b".", body]);
                header("x-sign", format!("t={at},v1={mac}"))
            },
        ),
        (
            "two_headers",
            "{ scheme = \"hmac\", header = \"x-sign\", timestamp_header = \"x-time\", \
             signed = \"{timestamp}.{body}\" }",
            "",
            |body, at| {
                let mac = hmac_hex(&[at.to_string().as_bytes(), b".", body]);
                [header("x-sign", mac), header("x-time", at.to_string())].concat()
            },
        ),
        ("plain", "{ scheme = \"hmac\", header = \"x-sign\" }", "", |body, _| {
            header("x-sign", hmac_hex(&[body]))
        }),
        ("bearer", "{ scheme = \"bearer\" }", "", |_, _| {
            header("authorization", format!("Bearer {SECRET}"))
        }),
        ("basic", "{ scheme = \"basic\", username = \"acme\" }", "", |_, _| {
            header("authorization", format!("Basic {}", STANDARD.encode(format!("acme:{SECRET}"))))
        }),
        ("pathed", "{ scheme = \"path_token\" }", "/a-token-of-these-tests", |_, _| Vec::new()),
    ]
}

async fn send(bridge: &Bridge, path: &str, headers: &[(String, String)], body: &Value) -> String {
    let line = format!("POST /webhooks/{path}");
    let body = body.to_string().into_bytes();
    let answer = request(&bridge.webhooks, &line, headers, &body).await.expect("it is answered");
    assert_eq!(answer.status, 200);
    answer.word()
}

fn all_sources() -> String {
    let source = |(name, verify, path, _): (&str, &str, &str, Prove)| {
        let more = path.strip_prefix('/').map(|token| format!("path_token = \"{token}\""));
        source(name, verify, &more.unwrap_or_default())
    };
    schemes().map(source).concat()
}

/// A7, A7b, M32, M33.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_again_after_something_else_counts_again() {
    let setting = Setting::with(generous(), FAST, &all_sources());
    let bridge = setting.start();
    for (name, _, path, prove) in schemes() {
        let told = async |body: &Value, at: i64| {
            let headers = prove(body.to_string().as_bytes(), at);
            send(&bridge, &format!("{name}{path}"), &headers, body).await
        };
        let held = || setting.held_of(name).remove("1").expect("the event is in HubSpot").input;
        let (a, b) = (body("Bees", "scheduled"), body("Wasps", "scheduled"));
        for (said, at) in [(&a, 0), (&b, 1), (&a, 2)] {
            assert_eq!(told(said, seconds() + at).await, "accepted", "{name}");
        }
        bridge.settled().await;
        assert_eq!(held().event_name, "Bees", "{name}");
        assert_eq!(told(&a, seconds() + 2).await, "duplicate", "{name}: the same delivery");

        let off = body("Bees", "cancelled");
        for (said, at) in [(&off, 3), (&a, 4)] {
            assert_eq!(told(said, seconds() + at).await, "accepted", "{name}");
        }
        bridge.settled().await;
        assert!(!held().event_cancelled, "{name}");
    }
}

/// A7: the recipe without signature and time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recipe_without_a_time_ends_with_what_was_said_last() {
    let setting = Setting::with(
        generous(),
        FAST,
        "[source.airmeet]\nprovider = \"custom\"\nrecipe = \"airmeet\"\norganizer = \"Acme\"\n\
         path_token = \"a-token-of-these-tests\"",
    );
    let bridge = setting.start();
    let body = |name: &str| {
        json!({
            "airmeet_id": "am-1", "community_id": "c1", "name": name, "timezone": "UTC",
            "start_time": planned(0).to_string(), "end_time": planned(60).to_string(),
        })
    };
    for name in ["Bees", "Wasps", "Bees"] {
        let told = send(&bridge, "airmeet/a-token-of-these-tests", &[], &body(name)).await;
        assert_eq!(told, "accepted", "{name}");
    }
    bridge.settled().await;
    assert_eq!(setting.held_of("c1")["am-1"].input.event_name, "Bees");
}

/// M33.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_that_refuses_replays_takes_each_body_once() {
    let bearer = "{ scheme = \"bearer\" }";
    let setting =
        Setting::with(generous(), FAST, &source("strict", bearer, "replays = \"refuse\""));
    let bridge = setting.start();
    let headers = header("authorization", format!("Bearer {SECRET}"));
    for (title, outcome) in [("Bees", "accepted"), ("Wasps", "accepted"), ("Bees", "duplicate")] {
        assert_eq!(send(&bridge, "strict", &headers, &body(title, "scheduled")).await, outcome);
    }
    bridge.settled().await;
    assert_eq!(setting.held_of("strict")["1"].input.event_name, "Wasps");
}

async fn latest_receipt(bridge: &Bridge) -> (String, String) {
    let answer = request(&bridge.ops, "GET /api/v1/receipts?limit=1", &[], &[]).await;
    let list = answer.expect("it is answered").json();
    let text = |key: &str| list["receipts"][0][key].as_str().unwrap_or_default().to_owned();
    (text("id"), text("outcome"))
}

/// A8, M34.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_counts_once_the_setting_that_left_it_out_is_put_right() {
    let plain = "{ scheme = \"hmac\", header = \"x-sign\" }";
    let setting = Setting::with(
        generous(),
        FAST,
        &source("lectern", plain, "")
            .replace("map = {", "map = { when = 'payload.status == \"planned\"',"),
    );
    let prove = |body: &Value| header("x-sign", hmac_hex(&[body.to_string().as_bytes()]));
    let mut bodies = Vec::new();
    for id in ["1", "2", "3"] {
        let mut body = body("Bees", "scheduled");
        body["id"] = id.into();
        bodies.push(body);
    }
    let [first, second, third] = &bodies[..] else { panic!("three bodies") };
    let bridge = setting.start();
    for body in [first, second] {
        assert_eq!(send(&bridge, "lectern", &prove(body), body).await, "ignored");
    }
    let (excluded, outcome) = latest_receipt(&bridge).await;
    assert_eq!(outcome, "ignored");
    bridge.kill();
    setting.configure("payload.status == \"planned\"", "payload.status != \"draft\"");
    setting.configure("event_id = \"payload.id\"", "event_id = \"payload.key\"");
    let bridge = setting.start();
    assert_eq!(send(&bridge, "lectern", &prove(third), third).await, "quarantined");
    let (unmapped, _) = latest_receipt(&bridge).await;
    bridge.kill();

    // All is put right: the platform resends, or the operator replays.
    setting.configure("event_id = \"payload.key\"", "event_id = \"payload.id\"");
    let bridge = setting.start();
    assert_eq!(send(&bridge, "lectern", &prove(first), first).await, "accepted");
    assert_eq!(send(&bridge, "lectern", &prove(third), third).await, "accepted");
    assert_eq!(latest_receipt(&bridge).await, (unmapped, "accepted".to_owned()));
    let replay = async |path: &str| {
        let replay = format!("POST /api/v1/receipts/{path}");
        request(&bridge.ops, &replay, &[], &[]).await.expect("it is answered")
    };
    let answer = replay("replay?outcome=ignored").await;
    assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (200, Some(1)));
    let answer = replay(&format!("{excluded}/replay")).await;
    assert_eq!((answer.status, answer.json()["outcome"].as_str()), (200, Some("accepted")));
    bridge.settled().await;
    let held: Vec<String> = setting.held_of("lectern").into_keys().collect();
    assert_eq!(held, ["1", "2", "3"]);
    assert_eq!(send(&bridge, "lectern", &prove(first), first).await, "duplicate");
}

/// A16, M31.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_under_a_wrong_id_is_cancelled_by_the_replay_that_puts_it_right() {
    let setting = Setting::with(
        generous(),
        FAST,
        &source("lectern", "{ scheme = \"hmac\", header = \"x-sign\" }", "")
            .replace("payload.id", "payload.room"),
    );
    let mut body = body("Bees", "scheduled");
    body["room"] = "room-7".into();
    let proof = header("x-sign", hmac_hex(&[body.to_string().as_bytes()]));
    let bridge = setting.start();
    assert_eq!(send(&bridge, "lectern", &proof, &body).await, "accepted");
    bridge.settled().await;
    assert!(!setting.held_of("lectern")["room-7"].input.event_cancelled);
    let (id, _) = latest_receipt(&bridge).await;
    bridge.kill();
    setting.configure("payload.room", "payload.id");
    let bridge = setting.start();
    let replay = format!("POST /api/v1/receipts/{id}/replay");
    let answer = request(&bridge.ops, &replay, &[], &[]).await.expect("it is answered");
    assert_eq!((answer.status, answer.json()["outcome"].as_str()), (200, Some("accepted")));
    bridge.settled().await;
    let held = setting.held_of("lectern");
    assert!(held["room-7"].input.event_cancelled, "it no longer follows");
    assert!(!held["1"].input.event_cancelled);
}

/// A8, M34.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_counts_once_the_source_may_speak_for_its_account() {
    let setting = Setting::new("platform_accounts = ['acc-of-others']");
    let created = created(1, "Calm releases", at(0));
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    assert_eq!(zoom.tell(created.clone()).await, "ignored");
    assert_eq!(zoom.tell(created.clone()).await, "duplicate");
    let (foreign, _) = latest_receipt(&bridge).await;
    bridge.kill();
    setting.configure("acc-of-others", ACCOUNT);
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    assert_eq!(zoom.tell(created.clone()).await, "accepted");
    assert_eq!(latest_receipt(&bridge).await, (foreign, "accepted".to_owned()));
    assert_eq!(zoom.tell(created).await, "duplicate");
    bridge.settled().await;
    assert_eq!(setting.event("1").input.event_name, "Calm releases");
}

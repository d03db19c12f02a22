//! Platforms by configuration alone: the documented example, the recipes, and published keys.

mod reference;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use webinar_bridge::clock::SystemClock;
use webinar_bridge::event::Millis;
use webinar_bridge::providers::DemoApi;
use webinar_bridge::sandbox::platform_server::PlatformServer;

use super::{refused, tell};
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{at, planned, seconds};
use crate::harness::{eventually, http};

/// The page that documents custom platforms.
const PAGE: &str = "docs/platforms/custom.md";
/// The variable that the page's example reads its secret from.
const SECRET: (&str, &str) = ("LECTERN_SECRET", "a secret of the documented example");

fn page() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    std::fs::read_to_string(path).expect("the page is there")
}

/// The first example of a language in the page.
fn example(language: &str) -> String {
    let page = page();
    let fence = format!("```{language}\n");
    let (_, example) = page.split_once(&fence).expect("the page has the example");
    example.split("```").next().unwrap_or_default().to_owned()
}

fn hmac(secret: &str, message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn header(name: &str, value: impl Into<String>) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.into())]
}

/// Signs as the documented platform does: `t=SECONDS,v1=HEX`, over the seconds, a dot and the body.
fn lectern(body: &[u8], secret: &str) -> Vec<(String, String)> {
    let time = seconds();
    let message = [format!("{time}.").as_bytes(), body].concat();
    header("x-lectern-signature", format!("t={time},v1={}", hex::encode(hmac(secret, &message))))
}

async fn lectern_says(bridge: &Bridge, body: &Value) -> String {
    let body = body.to_string().into_bytes();
    tell(bridge, "lectern", &lectern(&body, SECRET.1), &body).await
}

#[tokio::test]
async fn documented_example_brings_a_platform_in() {
    let setting = Setting::new(&example("toml"));
    let bridge = setting.start_with(&[SECRET]);
    let mut body: Value = serde_json::from_str(&example("json")).expect("the example is JSON");
    let account = body["organization"].as_str().expect("it has one").to_owned();
    let id = body["session"]["id"].to_string();
    body["session"]["starts_at"] = planned(0).to_string().into();
    body["sent_at"] = Millis::new(at(0)).to_string().into();
    assert_eq!(lectern_says(&bridge, &body).await, "accepted");
    assert_eq!(lectern_says(&bridge, &body).await, "duplicate");
    bridge.settled().await;
    let held = setting.held_of(&account).remove(&id).expect("it is in HubSpot");
    let title = body["session"]["title"].as_str().expect("it has one");
    assert_eq!((held.name.as_str(), held.start), (title, Some(planned(0))));
    assert_eq!(held.end, Some(planned(body["session"]["minutes"].as_i64().expect("it has some"))));
    assert_eq!((held.cancelled, held.completed), (false, false));

    // It is moved and called off; a forgery in between changes nothing.
    body["type"] = "session.changed".into();
    body["session"]["starts_at"] = planned(60).to_string().into();
    body["session"]["state"] = "called_off".into();
    body["sent_at"] = Millis::new(at(1)).to_string().into();
    let forged = lectern(body.to_string().as_bytes(), "another secret");
    assert_eq!(refused(&bridge, "lectern", &forged, &body).await, 401);
    assert_eq!(refused(&bridge, "lectern", &[], &body).await, 401);
    assert_eq!(lectern_says(&bridge, &body).await, "accepted");
    bridge.settled().await;
    let held = setting.held_of(&account).remove(&id).expect("it is in HubSpot");
    assert_eq!((held.start, held.cancelled), (Some(planned(60)), true));

    // It takes place after all, and is over.
    for (second, state) in [(2, "scheduled"), (3, "over")] {
        body["session"]["state"] = state.into();
        body["sent_at"] = Millis::new(at(second)).to_string().into();
        assert_eq!(lectern_says(&bridge, &body).await, "accepted");
    }
    let person = json!({ "type": "person.registered", "person": { "email": "a@b.example" } });
    assert_eq!(lectern_says(&bridge, &person).await, "ignored");
    let nameless = json!({ "type": "session.changed", "session": {} });
    assert_eq!(lectern_says(&bridge, &nameless).await, "quarantined");
    bridge.settled().await;
    let held = setting.held_of(&account).remove(&id).expect("it is in HubSpot");
    assert_eq!((held.cancelled, held.completed), (false, true));
}

/// The commands that the page shows for trying a configuration.
#[tokio::test]
async fn documented_example_can_be_tried_out() {
    let setting = Setting::new(&example("toml"));
    let body = setting.folder.path().join("body.json");
    std::fs::write(&body, example("json")).expect("a file can be written");
    let body = body.to_str().expect("its name is text");
    let map = ["map", "--provider", "custom", "--source", "lectern", body];
    let (code, told) = setting.run(&map).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("\"inputs\"") && told.contains("\"eventOrganizer\""), "{told}");

    let bridge = setting.start_with(&[("LECTERN_SECRET", crate::harness::process::SECRET)]);
    let url = format!("http://{}/webhooks/lectern", bridge.webhooks);
    let sign = [
        "sign",
        "--provider",
        "custom",
        "--source",
        "lectern",
        "--secret-env",
        "TEST_SECRET",
        "--url",
        &url,
        body,
    ];
    let (code, told) = setting.run(&sign).await;
    assert_eq!(code, Some(0), "{told}");
    let signature = told.lines().find_map(|line| {
        let (_, value) = line.split_once("--header 'x-lectern-signature: ")?;
        Some(value.split('\'').next().unwrap_or_default().to_owned())
    });
    let signature = header("x-lectern-signature", signature.expect("it is signed"));
    let sent = tell(&bridge, "lectern", &signature, example("json").as_bytes()).await;
    assert_eq!(sent, "accepted");
}

/// One webhook after the other of each recipe's platform, through to HubSpot.
#[tokio::test]
async fn the_recipes_bring_their_platforms_in() {
    let setting = Setting::new(
        "[source.zuddl]\nprovider = \"custom\"\nrecipe = \"zuddl\"\nsecret = \"z\"\norganizer = \"Acme\"\n\
         [source.geek]\nprovider = \"custom\"\nrecipe = \"webinargeek\"\nsecret = \"g\"\norganizer = \"Acme\"\n\
         external_account_id = \"geek-account\"\n\
         [source.sequel]\nprovider = \"custom\"\nrecipe = \"sequel\"\nsecret = \"s\"\n\
         [source.sessions]\nprovider = \"custom\"\nrecipe = \"sessions_us\"\npath_token = \"a-path-of-sessions\"\n\
         external_account_id = \"sessions-account\"\norganizer = \"Acme\"\n\
         [source.airmeet]\nprovider = \"custom\"\nrecipe = \"airmeet\"\npath_token = \"a-path-of-airmeet\"\n",
    );
    let bridge = setting.start();

    let event = |name: &str, start: i64, status: &str| {
        json!({
            "id": "z-1", "organizationId": "z-org", "name": name, "startDate": planned(start).to_string(),
            "endDate": planned(start + 60).to_string(), "status": status, "type": "WEBINAR",
        })
    };
    for (second, action, event) in [
        (0, "EVENT_CREATED", event("First", 0, "UPCOMING")),
        (1, "EVENT_UPDATED", event("Second", 30, "UPCOMING")),
    ] {
        let created = Millis::new(at(second)).to_string();
        let body =
            json!({ "action": action, "actionCreatedAt": created, "event": event }).to_string();
        let signature = hex::encode(hmac("z", body.as_bytes()));
        let signed = header("x-webhook-signature", format!("sha256={signature}"));
        assert_eq!(tell(&bridge, "zuddl", &signed, body.as_bytes()).await, "accepted");
    }
    let forged = header("x-webhook-signature", format!("sha256={}", "0".repeat(64)));
    assert_eq!(refused(&bridge, "zuddl", &forged, &json!({})).await, 401);

    for (second, ended) in [(0, false), (1, true)] {
        let body = json!({
            "event": "webinar_subscribed", "timestamp": at(second),
            "entity": {
                "email": "a@b.example", "broadcast": { "id": 7, "date": at(-3_600) / 1_000, "has_ended": ended },
                "webinar": { "title": "Evening class" },
            },
        });
        let body = body.to_string();
        let signed = header("signature", hex::encode(hmac("g", body.as_bytes())));
        assert_eq!(tell(&bridge, "geek", &signed, body.as_bytes()).await, "accepted");
    }

    for (second, what) in [(0, "created"), (1, "event-ended")] {
        let details = json!({ "companyId": "s-co", "companyName": "Sequel Co", "eventId": "s-1", "eventName": "Stage" });
        let time = Millis::new(at(second)).to_string();
        let body = json!({ "eventType": format!("virtual-stage-{what}"), "timestamp": time, "details": details });
        let key = header("x-introvoke-web-hook-auth", "s");
        assert_eq!(tell(&bridge, "sequel", &key, body.to_string().as_bytes()).await, "accepted");
    }

    for (trigger, ended) in
        [("EVENT_CREATED", None), ("EVENT_ENDED", Some(planned(45).to_string()))]
    {
        let session = json!({ "id": "ses-1", "name": "Session", "startAt": planned(0).to_string(), "endedAt": ended });
        let body = json!({ "trigger": trigger, "data": { "session": session } }).to_string();
        let path = "sessions/a-path-of-sessions";
        assert_eq!(tell(&bridge, path, &[], body.as_bytes()).await, "accepted");
    }
    assert_eq!(refused(&bridge, "sessions/a-path-of-another", &[], &json!({})).await, 404);

    let airmeet = json!({
        "airmeet_id": "air-1", "community_id": "air-co", "airmeetName": "Airs", "organiser_name": "Air Co",
        "start_time": planned(0).get().to_string(), "end_time": planned(60).get().to_string(),
    });
    let path = "airmeet/a-path-of-airmeet";
    assert_eq!(tell(&bridge, path, &[], airmeet.to_string().as_bytes()).await, "accepted");

    bridge.settled().await;
    let held = |account: &str, id: &str| {
        setting.held_of(account).remove(id).unwrap_or_else(|| panic!("HubSpot has no {id}"))
    };
    let zuddl = held("z-org", "z-1");
    assert_eq!(
        (zuddl.name.as_str(), zuddl.start, zuddl.end),
        ("Second", Some(planned(30)), Some(planned(90)))
    );
    let geek = held("geek-account", "7");
    assert_eq!((geek.name.as_str(), geek.completed), ("Evening class", true));
    let sequel = held("s-co", "s-1");
    assert_eq!(
        (sequel.name.as_str(), sequel.organizer.as_str(), sequel.completed),
        ("Stage", "Sequel Co", true)
    );
    let session = held("sessions-account", "ses-1");
    assert_eq!((session.end, session.completed), (Some(planned(45)), true));
    let airmeet = held("air-co", "air-1");
    assert_eq!((airmeet.organizer.as_str(), airmeet.end), ("Air Co", Some(planned(60))));
}

/// A token of HS256's shape with the key's id, signed by nobody who is known.
fn token(kid: &str, key: &[u8]) -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let head = part(json!({ "alg": "ES256", "kid": kid }));
    let signed = format!("{head}.{}", part(json!({ "exp": seconds() + 300 })));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(sign_es256(key, signed.as_bytes())))
}

/// ECDSA over P-256, by the library that TLS brings.
fn sign_es256(pkcs8: &[u8], message: &[u8]) -> Vec<u8> {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).expect("a key");
    pair.sign(&SystemRandom::new(), message).expect("it can sign").as_ref().to_vec()
}

#[tokio::test]
async fn published_keys_are_waited_for_and_then_decide() {
    let publisher =
        PlatformServer::open(DemoApi::Header("accept", "application/json"), Arc::new(SystemClock));
    let publisher = publisher.expect("it listens");
    let setting = Setting::new(&format!(
        "[source.tokens]\nprovider = \"custom\"\nexternal_account_id = \"t\"\norganizer = \"Acme\"\n\
         verify = {{ scheme = \"jwt\", algorithms = [\"ES256\"], jwks_url = \"{}/keys\" }}\n\
         map = {{ event_id = \"payload.id\", name = \"payload.name\", full_picture = \"true\" }}\n",
        publisher.base_url()
    ));
    let pem = include_str!("../../fixtures/jwt/ec.private.pem");
    let key: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = STANDARD.decode(key).expect("PEM is base64");
    let bearer = |kid: &str| header("authorization", format!("Bearer {}", token(kid, &key)));
    let body = json!({ "id": "t-1", "name": "With a token" });
    let bridge = setting.start();
    assert_eq!(refused(&bridge, "tokens", &bearer("one"), &body).await, 503);

    let set = serde_json::from_str(include_str!("../../fixtures/jwt/ec.jwks.json"));
    publisher.answer("/keys", set.expect("JSON"));
    let line = "POST /webhooks/tokens";
    eventually("the keys are there", async || {
        let body = body.to_string();
        let answer = http::request(&bridge.webhooks, line, &bearer("one"), body.as_bytes()).await;
        answer.expect("it is answered").status == 200
    })
    .await;
    bridge.settled().await;
    assert_eq!(setting.held_of("t")["t-1"].name, "With a token");
    // Of an unknown key it was asked less than a minute ago.
    assert_eq!(refused(&bridge, "tokens", &bearer("two"), &body).await, 401);
    assert_eq!(refused(&bridge, "tokens", &header("authorization", "Bearer x"), &body).await, 401);
    publisher.close();
}

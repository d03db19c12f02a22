//! Platforms by configuration alone: the documented example, the recipes, and published keys.

mod recipes;
mod reference;
mod times;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use webinar_bridge::event::Millis;

use super::{hmac_sha256, open_api, send, status_of};
use crate::harness::eventually_within;
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{at, planned, seconds};

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

fn header(name: &str, value: impl Into<String>) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.into())]
}

/// Signs as the documented platform does: `t=SECONDS,v1=HEX`, over the seconds, a dot and the body.
fn lectern_signature(body: &[u8], secret: &str) -> Vec<(String, String)> {
    let time = seconds();
    let mac = hmac_sha256(secret.as_bytes(), &[format!("{time}.").as_bytes(), body]);
    header("x-lectern-signature", format!("t={time},v1={}", hex::encode(mac)))
}

async fn send_from_lectern(bridge: &Bridge, body: &Value) -> String {
    let body = body.to_string().into_bytes();
    send(bridge, "lectern", &lectern_signature(&body, SECRET.1), &body).await
}

#[tokio::test]
async fn documented_example_delivers_its_platform_to_hubspot() {
    let setting = Setting::new(&example("toml"));
    let bridge = setting.start_with(&[SECRET]);
    let mut body: Value = serde_json::from_str(&example("json")).expect("the example is JSON");
    let account = body["organization"].as_str().expect("an organization").to_owned();
    let id = body["session"]["id"].to_string();
    body["session"]["starts_at"] = planned(0).to_string().into();
    body["sent_at"] = Millis::new(at(0)).to_string().into();
    assert_eq!(send_from_lectern(&bridge, &body).await, "accepted");
    assert_eq!(send_from_lectern(&bridge, &body).await, "duplicate");
    bridge.settled().await;
    let held = setting.held_of(&account).remove(&id).expect("the event is in HubSpot");
    let title = body["session"]["title"].as_str().expect("a title");
    assert_eq!(
        (held.input.event_name.as_str(), held.input.start_date_time),
        (title, Some(planned(0)))
    );
    assert_eq!(
        held.input.end_date_time,
        Some(planned(body["session"]["minutes"].as_i64().expect("a duration")))
    );
    assert_eq!((held.input.event_cancelled, held.input.event_completed), (false, false));

    // The session is moved and cancelled. Forged webhooks change nothing.
    body["type"] = "session.changed".into();
    body["session"]["starts_at"] = planned(60).to_string().into();
    body["session"]["state"] = "called_off".into();
    body["sent_at"] = Millis::new(at(1)).to_string().into();
    let bytes = body.to_string().into_bytes();
    for headers in [lectern_signature(&bytes, "another secret"), Vec::new()] {
        assert_eq!(status_of(&bridge, "lectern", &headers, &bytes).await, 401, "{headers:?}");
    }
    assert_eq!(send_from_lectern(&bridge, &body).await, "accepted");
    bridge.settled().await;
    let held = setting.held_of(&account).remove(&id).expect("the event is in HubSpot");
    assert_eq!((held.input.start_date_time, held.input.event_cancelled), (Some(planned(60)), true));

    // The session is restored, and ends.
    for (second, state) in [(2, "scheduled"), (3, "over")] {
        body["session"]["state"] = state.into();
        body["sent_at"] = Millis::new(at(second)).to_string().into();
        assert_eq!(send_from_lectern(&bridge, &body).await, "accepted");
    }
    let person = json!({ "type": "person.registered", "person": { "email": "a@b.example" } });
    assert_eq!(send_from_lectern(&bridge, &person).await, "ignored");
    let without_id = json!({ "type": "session.changed", "session": {} });
    assert_eq!(send_from_lectern(&bridge, &without_id).await, "quarantined");
    bridge.settled().await;
    let held = setting.held_of(&account).remove(&id).expect("the event is in HubSpot");
    assert_eq!((held.input.event_cancelled, held.input.event_completed), (false, true));
}

/// The commands that the page shows for trying a configuration.
#[tokio::test]
async fn documented_example_works_with_the_map_and_sign_commands() {
    let setting = Setting::new(&example("toml"));
    let body = setting.folder.path().join("body.json");
    std::fs::write(&body, example("json")).expect("a file can be written");
    let body = body.to_str().expect("the path is UTF-8");
    let map = ["map", "--provider", "custom", "--source", "lectern", body];
    let (code, output) = setting.run(&map).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("\"inputs\"") && output.contains("\"eventOrganizer\""), "{output}");

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
    let (code, output) = setting.run(&sign).await;
    assert_eq!(code, Some(0), "{output}");
    let signature = output.lines().find_map(|line| {
        let (_, value) = line.split_once("--header 'x-lectern-signature: ")?;
        Some(value.split('\'').next().unwrap_or_default().to_owned())
    });
    let signature =
        header("x-lectern-signature", signature.expect("the command prints a signature"));
    let outcome = send(&bridge, "lectern", &signature, example("json").as_bytes()).await;
    assert_eq!(outcome, "accepted");
}

#[tokio::test]
async fn each_recipe_delivers_its_platform_to_hubspot() {
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
        let signature = hex::encode(hmac_sha256(b"z", &[body.as_bytes()]));
        let signed = header("x-webhook-signature", format!("sha256={signature}"));
        assert_eq!(send(&bridge, "zuddl", &signed, body.as_bytes()).await, "accepted");
    }
    let forged = header("x-webhook-signature", format!("sha256={}", "0".repeat(64)));
    assert_eq!(status_of(&bridge, "zuddl", &forged, b"{}").await, 401);

    for (second, ended) in [(0, false), (1, true)] {
        let body = json!({
            "event": "webinar_subscribed", "timestamp": at(second),
            "entity": {
                "email": "a@b.example", "broadcast": { "id": 7, "date": at(-3_600) / 1_000, "has_ended": ended },
                "webinar": { "title": "Evening class" },
            },
        });
        let body = body.to_string();
        let signed = header("signature", hex::encode(hmac_sha256(b"g", &[body.as_bytes()])));
        assert_eq!(send(&bridge, "geek", &signed, body.as_bytes()).await, "accepted");
    }

    for (second, event) in [(0, "created"), (1, "event-ended")] {
        let details = json!({ "companyId": "s-co", "companyName": "Sequel Co", "eventId": "s-1", "eventName": "Stage" });
        let time = Millis::new(at(second)).to_string();
        let body = json!({ "eventType": format!("virtual-stage-{event}"), "timestamp": time, "details": details });
        let key = header("x-introvoke-web-hook-auth", "s");
        assert_eq!(send(&bridge, "sequel", &key, body.to_string().as_bytes()).await, "accepted");
    }

    for (trigger, ended) in
        [("EVENT_CREATED", None), ("EVENT_ENDED", Some(planned(45).to_string()))]
    {
        let session = json!({ "id": "ses-1", "name": "Session", "startAt": planned(0).to_string(), "endedAt": ended });
        let body = json!({ "trigger": trigger, "data": { "session": session } }).to_string();
        let path = "sessions/a-path-of-sessions";
        assert_eq!(send(&bridge, path, &[], body.as_bytes()).await, "accepted");
    }
    assert_eq!(status_of(&bridge, "sessions/a-path-of-another", &[], b"{}").await, 404);

    let airmeet = json!({
        "airmeet_id": "air-1", "community_id": "air-co", "airmeetName": "Airs", "organiser_name": "Air Co",
        "start_time": planned(0).get().to_string(), "end_time": planned(60).get().to_string(),
    });
    let path = "airmeet/a-path-of-airmeet";
    assert_eq!(send(&bridge, path, &[], airmeet.to_string().as_bytes()).await, "accepted");

    bridge.settled().await;
    let held = |account: &str, id: &str| {
        setting.held_of(account).remove(id).unwrap_or_else(|| panic!("HubSpot has no {id}"))
    };
    let zuddl = held("z-org", "z-1");
    assert_eq!(
        (zuddl.input.event_name.as_str(), zuddl.input.start_date_time, zuddl.input.end_date_time),
        ("Second", Some(planned(30)), Some(planned(90)))
    );
    let geek = held("geek-account", "7");
    assert_eq!(
        (geek.input.event_name.as_str(), geek.input.event_completed),
        ("Evening class", true)
    );
    let sequel = held("s-co", "s-1");
    assert_eq!(
        (
            sequel.input.event_name.as_str(),
            sequel.input.event_organizer.as_str(),
            sequel.input.event_completed
        ),
        ("Stage", "Sequel Co", true)
    );
    let session = held("sessions-account", "ses-1");
    assert_eq!(
        (session.input.end_date_time, session.input.event_completed),
        (Some(planned(45)), true)
    );
    let airmeet = held("air-co", "air-1");
    assert_eq!(
        (airmeet.input.event_organizer.as_str(), airmeet.input.end_date_time),
        ("Air Co", Some(planned(60)))
    );
}

/// A token that names this key id and is signed with this key.
fn token(kid: &str, key: &[u8]) -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let head = part(json!({ "alg": "ES256", "kid": kid }));
    let signed = format!("{head}.{}", part(json!({ "exp": seconds() + 300 })));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(sign_es256(key, signed.as_bytes())))
}

/// Signs with ECDSA over P-256, by the TLS library's implementation.
fn sign_es256(pkcs8: &[u8], message: &[u8]) -> Vec<u8> {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).expect("a key");
    pair.sign(&SystemRandom::new(), message).expect("the key can sign").as_ref().to_vec()
}

#[tokio::test]
async fn webhook_with_published_keys_is_answered_503_until_they_are_fetched() {
    let publisher = open_api("accept", "application/json");
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
    let body = json!({ "id": "t-1", "name": "With a token" }).to_string().into_bytes();
    let status = async |bridge: &Bridge, headers: &[(String, String)]| {
        status_of(bridge, "tokens", headers, &body).await
    };
    let bridge = setting.start();
    assert_eq!(status(&bridge, &bearer("one")).await, 503);

    let set = serde_json::from_str(include_str!("../../fixtures/jwt/ec.jwks.json"));
    publisher.answer("/keys", set.expect("JSON"));
    // On a busy machine several tries fail before, and each waits longer.
    let minutes = Duration::from_mins(3);
    let accepted = async || status(&bridge, &bearer("one")).await == 200;
    eventually_within(minutes, "the keys are fetched", accepted).await;
    bridge.settled().await;
    assert_eq!(setting.held_of("t")["t-1"].input.event_name, "With a token");
    // The keys were fetched less than a minute ago, so an unknown key is refused at once.
    assert_eq!(status(&bridge, &bearer("two")).await, 401);
    assert_eq!(status(&bridge, &header("authorization", "Bearer x")).await, 401);
    publisher.close();
}

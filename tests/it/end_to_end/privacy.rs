//! Secrets and personal data are absent from the store, the log and HubSpot.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::http::{request, scrape};
use crate::harness::process::{Bridge, SECRET, Setting, TOKEN};
use crate::harness::zoom::{
    Zoom, at, payload, seconds, signature, updated, webhook, webinar, with,
};

/// Texts that must be nowhere. None shares four letters with other text, so compression cannot hide one.
const PASSCODE: &str = "k7Qz9vWx";
const PWD: &str = "B3nJ8yRt5LmP";
const TK: &str = "Xw2cG6hVd4";
const EMAIL: &str = "uJf1oZq@private.example";
const PERSON: &str = "Yvrgnb Tkwsje";
const UNSIGNED: &str = "eH5iK9aNs0";
/// A text that bodies may hold: proof that the search would find the others.
const HARMLESS: &str = "dU8pC2xEb6";

fn bodies() -> Vec<Value> {
    let personal = json!({
        "host_id": HARMLESS, "host_email": EMAIL, "password": PASSCODE, "encrypted_password": PASSCODE,
        "h323_password": PASSCODE, "agenda": format!("Join: https://example.zoom.us/j/1?pwd={PWD}"),
        "join_url": format!("https://example.zoom.us/j/1?pwd={PWD}"),
        "registration_url": format!("https://example.zoom.us/w/1?tk={TK}&x=1"),
        "settings": { "alternative_hosts": EMAIL },
    });
    let registrant = json!({
        "id": 1, "topic": "Quiet", "registrant": {
            "email": EMAIL, "first_name": PERSON, "join_url": format!("https://example.zoom.us/w/1?tk={TK}&pwd={PWD}"),
        },
    });
    let participant = json!({ "id": "1", "participant": { "user_name": PERSON, "email": EMAIL } });
    let operator = json!({ "operator": EMAIL, "operator_id": "x" });
    let no_id = with(personal.clone(), json!({ "topic": "Not to be mapped" }));
    vec![
        payload(
            webhook("webinar.created", at(0), with(webinar(1, "Quiet"), personal)),
            operator.clone(),
        ),
        payload(updated(1, json!({ "topic": "Quieter", "password": PASSCODE }), at(1)), operator),
        webhook("webinar.registration_created", at(2), registrant),
        webhook("webinar.participant_joined", at(3), participant),
        webhook("webinar.created", at(4), no_id),
    ]
}

/// All files under the folder with their contents.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).expect("a file")));
        }
    }
    found
}

fn contains_text(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Searches everything that is stored or shown.
async fn assert_no_secrets(setting: &Setting, bridge: &Bridge) {
    let mut places = files(&setting.folder.path().join("data"));
    assert!(
        places.iter().any(|(_, bytes)| contains_text(bytes, HARMLESS)),
        "bodies can be searched"
    );
    let hubspot = format!("{:?}", setting.hubspot.emulator().events());
    assert!(hubspot.contains("Quieter"));
    places.push(("HubSpot".into(), hubspot.into_bytes()));
    places.push(("the log".into(), bridge.logged().into_bytes()));
    let metrics = request(&bridge.ops, "GET /metrics", &[], &[]).await.expect("answered");
    places.push(("the metrics".into(), metrics.body));
    for (place, bytes) in &places {
        for secret in [PASSCODE, PWD, TK, EMAIL, PERSON, UNSIGNED, SECRET, TOKEN] {
            assert!(!contains_text(bytes, secret), "{secret} is in {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_personal_data_are_neither_stored_logged_nor_sent() {
    let setting = Setting::new("");
    let bridge = setting.start_with(&[("BRIDGE_LOG", "trace")]);
    let zoom = Zoom::to(&bridge);
    let outcomes = ["accepted", "accepted", "ignored", "ignored", "quarantined"];
    for (body, outcome) in bodies().into_iter().zip(outcomes) {
        assert_eq!(zoom.tell(body.clone()).await, outcome, "{body}");
    }
    // Unauthenticated requests leave no trace.
    let body = json!({ "event": "webinar.created", "note": UNSIGNED }).to_string().into_bytes();
    let mut headers = signature(UNSIGNED, &body, seconds());
    headers.push(("x-note".into(), UNSIGNED.into()));
    headers.push(("authorization".into(), format!("Bearer {UNSIGNED}")));
    let answer = zoom.raw(&headers, &body).await.expect("the request is answered");
    assert_eq!(answer.status, 401);
    let lines = [format!("POST /webhooks/zoom/{UNSIGNED}"), format!("POST /webhooks/{UNSIGNED}")];
    for line in lines {
        let answer = request(&bridge.webhooks, &line, &headers, &body).await.expect("answered");
        assert_eq!(answer.status, 404);
    }
    bridge.settled().await;
    assert_eq!(scrape(&bridge.ops).await.events("main", "delivered"), 1);
    let event = setting.event("1");
    assert_eq!(event.input.event_url.as_deref(), Some("https://example.zoom.us/w/1?x=1"));
    assert!(bridge.logged().contains("\"DEBUG\""), "the log holds debug entries");
    assert_no_secrets(&setting, &bridge).await;
    // After a clean stop and another start, the write-ahead log is part of the database file.
    assert_eq!(bridge.terminate(), Some(0));
    let bridge = setting.start();
    assert_no_secrets(&setting, &bridge).await;
}

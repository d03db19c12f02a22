//! The answers of the public listener.

use serde_json::json;

use super::exchange::{Request, exchange};
use super::scenario::{Scenario, THEN, created, event, ignored, owned, quarantined, updated};
use super::{Snapshot, metrics};
use crate::harness::process::SECRET;
use crate::harness::zoom::{seconds, signature};

const HIDDEN: &str = "/webhooks/hidden/a-path-token-of-the-tests";

/// One request and what it is about.
struct Case {
    name: &'static str,
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn case(name: &'static str, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Case {
    Case { name, line: line.to_owned(), headers: owned(headers), body: body.to_vec() }
}

/// A webhook to the source `zoom`, signed so many seconds from now.
fn signed(name: &'static str, body: Vec<u8>, offset: i64, more: &[(&str, &str)]) -> Case {
    let mut headers = signature(SECRET, &body, seconds() + offset);
    headers.extend(owned(more));
    Case { name, line: "POST /webhooks/zoom".to_owned(), headers, body }
}

fn cases() -> Vec<Case> {
    let bytes = |value: serde_json::Value| value.to_string().into_bytes();
    let first = || bytes(created(1, "Calm releases"));
    let next = |id| bytes(created(id, "Packed"));
    let bad = json!({ "start_time": "soon", "duration": "long" });
    let validation = json!({
        "event": "endpoint.url_validation", "event_ts": THEN,
        "payload": { "plainToken": "qgg8vlvZRS6UYooatFL8Aw" },
    });
    let hidden = br#"{"id":"h1","title":"Hidden","start":"2040-10-01T15:00:00Z"}"#;
    let mut unlike = signed("wrong signature", first(), 0, &[]);
    unlike.headers[0].1 = format!("v0={}", "0".repeat(64));
    let mut malformed = signed("malformed timestamp", first(), 0, &[]);
    "yesterday".clone_into(&mut malformed.headers[1].1);
    vec![
        case("root", "GET /", &[], b""),
        case("root without body", "HEAD /", &[], b""),
        case("health", "GET /healthz", &[], b""),
        case("root by POST", "POST /", &[], b""),
        case("health by POST", "POST /healthz", &[], b""),
        case("unknown path", "GET /nothing", &[], b""),
        case("ops path on the public listener", "GET /metrics", &[], b""),
        case("API path on the public listener", "GET /api/v1/status", &[], b""),
        case("no source", "POST /webhooks/", &[], b""),
        case("unknown source", "POST /webhooks/nobody", &[], b"{}"),
        case("unknown source by GET", "GET /webhooks/nobody", &[], b""),
        case("source by GET", "GET /webhooks/zoom", &[], b""),
        case("source by PUT", "PUT /webhooks/zoom", &[], b"{}"),
        case("unexpected path token", "POST /webhooks/zoom/token", &[], b"{}"),
        case("missing path token", "POST /webhooks/hidden", &[], hidden),
        case("wrong path token", "POST /webhooks/hidden/a-path-token-of-others", &[], hidden),
        case("path token and more", &format!("POST {HIDDEN}/more"), &[], hidden),
        case("right path token", &format!("POST {HIDDEN}"), &[], hidden),
        case("right path token and a slash", &format!("POST {HIDDEN}/"), &[], hidden),
        case("unmappable for custom", &format!("POST {HIDDEN}"), &[], br#"{"title":"x"}"#),
        case("no JSON for custom", &format!("POST {HIDDEN}"), &[], b"<xml/>"),
        case("unsigned", "POST /webhooks/zoom", &[], b"{}"),
        unlike,
        malformed,
        signed("stale", first(), -90_000, &[]),
        signed("from the future", first(), 90_000, &[]),
        signed("oversized", vec![b' '; 5_000], 0, &[]),
        signed("handshake", bytes(validation), 0, &[]),
        signed("accepted", first(), 0, &[]),
        signed("duplicate", first(), 0, &[]),
        signed("unknown content coding", next(3), 0, &[("content-encoding", "br")]),
        signed("broken gzip", next(4), 0, &[("content-encoding", "gzip")]),
        signed("bad fields", bytes(updated(1, bad, THEN + 1)), 0, &[]),
        signed("ignored", bytes(ignored()), 0, &[]),
        signed("ignored and unknown", bytes(event("webinar.new_thing", THEN, json!({}))), 0, &[]),
        signed("quarantined", bytes(quarantined()), 0, &[]),
        signed("no JSON", b"no JSON".to_vec(), 0, &[]),
        signed("empty", Vec::new(), 0, &[]),
        signed(
            "foreign account",
            bytes(super::scenario::of_account(created(2, "Foreign"), "acct-of-others")),
            0,
            &[],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_listener_answers_as_in_the_snapshot() {
    let mut scenario = Scenario::new();
    let mut snapshot = Snapshot::new("webhooks.txt");
    for case in cases() {
        let request = Request { line: &case.line, headers: &case.headers, body: &case.body };
        let answer = exchange(&scenario.bridge.webhooks, &request).await;
        let heading = format!("{}: {}", case.name, case.line);
        snapshot.add_redacted(&heading, &answer.shown(), &mut scenario.redactor);
    }
    scenario.settled().await;
    snapshot.check();
    metrics::check_webhooks(&mut scenario).await;
}

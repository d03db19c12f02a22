//! Authentication of webhooks, the answers to senders, and the counters of outcomes.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::harness::http::{request, scrape};
use crate::harness::process::{SECRET, Setting};
use crate::harness::zoom::{Zoom, at, created, seconds, signature, webhook};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn url_validation_is_answered_only_if_signed() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let body = json!({
        "event": "endpoint.url_validation", "event_ts": at(0), "payload": { "plainToken": "qgg8vlvZRS6UYooatFL8Aw" },
    });
    let answer = zoom.post(&body).await.expect("the request is answered");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key");
    mac.update(b"qgg8vlvZRS6UYooatFL8Aw");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({
            "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
            "encryptedToken": hex::encode(mac.finalize().into_bytes()),
        })
    );
    let bytes = body.to_string().into_bytes();
    for headers in [Vec::new(), signature("another secret", &bytes, seconds())] {
        let answer = zoom.raw(&headers, &bytes).await.expect("the request is answered");
        assert_eq!(answer.status, 401);
        let answered = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!answered.contains("encryptedToken") && !answered.contains("qgg8"), "{answered}");
    }
    let scrape = scrape(&bridge.ops).await;
    assert_eq!(scrape.count("bridge_webhooks_total", &[("outcome", "handshake")]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsigned_webhook_is_refused_and_its_reason_counted() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let body = created(1, "Forged", at(0)).to_string().into_bytes();
    let now = seconds();
    let day = 24 * 60 * 60;
    let signed = |at| signature(SECRET, &body, at);
    let only = |index: usize| vec![signed(now).swap_remove(index)];
    let mut other_time = signed(now);
    other_time[1].1 = (now - 1).to_string();
    let mut not_hex = signed(now);
    not_hex[0].1 = "v0=nonsense".into();
    let cases = [
        ("missing", Vec::new()),
        ("missing", only(0)),
        ("missing", only(1)),
        ("malformed", not_hex),
        ("mismatch", signature("another secret", &body, now)),
        ("mismatch", other_time),
        ("mismatch", signature(SECRET, b"{}", now)),
        ("stale", signed(now - 2 * day)),
        ("future", signed(now + 2 * day)),
    ];
    let mut answers = Vec::new();
    for (reason, headers) in &cases {
        let answer = zoom.raw(headers, &body).await.expect("the request is answered");
        assert_eq!(answer.status, 401, "{reason}");
        answers.push(answer.body);
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "every refusal has the same answer"
    );
    let scrape = scrape(&bridge.ops).await;
    let rejected = |reason| scrape.count("bridge_webhooks_rejected_total", &[("reason", reason)]);
    for (reason, _) in &cases {
        let expected = cases.iter().filter(|(other, _)| other == reason).count();
        assert_eq!(rejected(reason), expected as u64, "{reason}");
    }
    let unauthenticated = [("source", "zoom"), ("outcome", "unauthenticated")];
    assert_eq!(scrape.count("bridge_webhooks_total", &unauthenticated), cases.len() as u64);
    for state in ["pending", "in_flight", "delivered", "incomplete", "filtered", "dead"] {
        assert_eq!(scrape.events("main", state), 0, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authentic_webhook_is_answered_200_and_its_outcome_counted() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    assert_eq!(zoom.tell(created(1, "One", at(0))).await, "accepted");
    assert_eq!(zoom.tell(created(1, "One", at(0))).await, "duplicate");
    let joined = webhook("webinar.participant_joined", at(0), json!({ "id": "1" }));
    assert_eq!(zoom.tell(joined).await, "ignored");
    let unknown = webhook("webinar.something_new", at(0), json!({ "id": "1" }));
    assert_eq!(zoom.tell(unknown).await, "ignored");
    let nameless = webhook("webinar.created", at(0), json!({ "topic": "No id" }));
    assert_eq!(zoom.tell(nameless).await, "quarantined");
    let nonsense = b"this is no JSON";
    let answer = zoom.raw(&signature(SECRET, nonsense, seconds()), nonsense).await;
    assert_eq!(answer.expect("the request is answered").word(), "quarantined");
    let get = request(&bridge.webhooks, "GET /webhooks/zoom", &[], &[]).await.expect("answered");
    let nowhere = Zoom::to_source(&bridge, "nowhere").post(&json!({})).await.expect("answered");
    let large = vec![b' '; 1_500_000];
    let large = zoom.raw(&signature(SECRET, &large, seconds()), &large).await.expect("answered");
    assert_eq!((get.status, nowhere.status, large.status), (405, 404, 413));
    let scrape = scrape(&bridge.ops).await;
    for (outcome, count) in
        [("accepted", 1), ("duplicate", 1), ("ignored", 2), ("quarantined", 2), ("oversized", 1)]
    {
        let labels = [("source", "zoom"), ("provider", "zoom"), ("outcome", outcome)];
        assert_eq!(scrape.count("bridge_webhooks_total", &labels), count, "{outcome}");
    }
    bridge.settled().await;
    assert_eq!(setting.held().len(), 1);
}

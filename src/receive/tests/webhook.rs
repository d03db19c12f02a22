//! Every row of the table of answers, and the receipts that are stored.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::fake_intake::{IntakeMode, source};
use super::harness::{SECRET, TOKEN, endpoint, start_listener};
use crate::event::BodyHash;
use crate::http::tests::client::{connect, is_closed, read_response, request};
use crate::ledger::ReceiptContent;
use crate::secret::Secret;

#[tokio::test]
async fn webhook_that_is_accepted_is_stored_before_the_answer() {
    let listener = start_listener(|_| {});
    let body = b"changes a | with a token";
    let answer = listener.post("open", body).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"accepted"}"#));

    let [receipt] = &listener.ledger.stored()[..] else { panic!("one receipt") };
    let digest: [u8; 32] = Sha256::digest(body).into();
    assert_eq!(receipt.dedupe_key, digest);
    assert_eq!(receipt.hash, BodyHash::from_digest(&digest));
    assert_eq!(receipt.source, source("open"));
    assert_eq!(receipt.provider.as_str(), "fake");
    assert_eq!(receipt.event_type, "fake.event");
    assert_eq!(receipt.body, b"scrubbed changes a | with a token");
    assert!(matches!(&receipt.content, ReceiptContent::Changes(changes) if changes.len() == 1));

    assert_eq!(listener.outcomes("open", "accepted").as_deref(), Some("1"));
    let bad = "bridge_webhook_bad_fields_total{field=\"duration\",provider=\"fake\"}";
    assert_eq!(listener.metric(bad).as_deref(), Some("1"));
    let last = listener.metric("bridge_last_webhook_timestamp_seconds{source=\"open\"}");
    assert_ne!(last.expect("a gauge"), "0");
}

#[tokio::test]
async fn webhook_sent_twice_is_a_duplicate() {
    let listener = start_listener(|_| {});
    assert_eq!(listener.post("open", b"changes a").await.body, r#"{"status":"accepted"}"#);
    let again = listener.post("open", b"changes a").await;
    assert_eq!((again.status, again.body.as_str()), (200, r#"{"status":"duplicate"}"#));
    assert_eq!(listener.ledger.stored().len(), 1);
    assert_eq!(listener.outcomes("open", "duplicate").as_deref(), Some("1"));
}

#[tokio::test]
async fn webhook_that_is_ignored_leaves_no_body() {
    let listener = start_listener(|_| {});
    let answer = listener.post("open", b"ignored").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"ignored"}"#));
    let [receipt] = &listener.ledger.stored()[..] else { panic!("one receipt") };
    assert!(receipt.body.is_empty() && matches!(receipt.content, ReceiptContent::Ignored));
}

#[tokio::test]
async fn webhook_that_is_unmappable_is_stored_whole() {
    let listener = start_listener(|_| {});
    let answer = listener.post("open", b"\xff\xfe").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"quarantined"}"#));
    let [receipt] = &listener.ledger.stored()[..] else { panic!("one receipt") };
    assert_eq!(receipt.body, b"scrubbed \xff\xfe");
    assert!(matches!(&receipt.content, ReceiptContent::Quarantined(why) if why == "no id"));
}

#[tokio::test]
async fn handshake_is_answered_in_the_form_of_the_platform() {
    let listener = start_listener(|_| {});
    let answer = listener.post("open", b"handshake").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "the answer"));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert!(listener.ledger.stored().is_empty());
    assert_eq!(listener.outcomes("open", "handshake").as_deref(), Some("1"));
}

#[tokio::test]
async fn refusals_of_all_reasons_look_the_same() {
    let listener = start_listener(|_| {});
    let keys: [(&[(&str, &str)], &str); 5] = [
        (&[], "missing"),
        (&[("x-key", SECRET), ("x-key", SECRET)], "malformed"),
        (&[("x-key", "wrong")], "mismatch"),
        (&[("x-key", "stale")], "stale"),
        (&[("x-key", "future")], "future"),
    ];
    for (headers, reason) in keys {
        let answer = listener.send(&request("POST", "/webhooks/open", headers, b"changes a")).await;
        assert_eq!((answer.status, answer.body.as_str()), (401, r#"{"error":"unauthorized"}"#));
        let counter =
            format!("bridge_webhooks_rejected_total{{reason=\"{reason}\",source=\"open\"}}");
        assert_eq!(listener.metric(&counter).as_deref(), Some("1"), "{reason}");
    }
    assert!(listener.ledger.stored().is_empty());
    assert_eq!(listener.outcomes("open", "unauthenticated").as_deref(), Some("5"));
}

#[tokio::test]
async fn source_that_is_unknown_and_token_that_is_wrong_look_the_same() {
    let listener = start_listener(|_| {});
    let ask = async |path: &str| {
        listener.send(&request("POST", path, &[("x-key", SECRET)], b"changes a")).await
    };
    let unknown = ask("/webhooks/nobody").await;
    assert_eq!((unknown.status, unknown.body.as_str()), (404, r#"{"error":"not_found"}"#));
    for path in [
        "/webhooks/closed",
        "/webhooks/closed/",
        "/webhooks/closed/wrong",
        "/webhooks/closed/token-of-the-path%3",
        "/webhooks/closed/token-of-the-path=/",
        "/webhooks/open/",
        "/webhooks/open/token-of-the-path=",
        "/webhooks/",
        "/webhooks",
        "/",
        "/livez",
        "/metrics",
    ] {
        assert_eq!(ask(path).await, unknown, "{path}");
    }
    assert!(listener.ledger.stored().is_empty());

    assert_eq!(ask(&format!("/webhooks/closed/{TOKEN}")).await.status, 200);
    assert_eq!(ask("/webhooks/closed/token-of-the-path%3D").await.status, 200);
}

#[tokio::test]
async fn method_other_than_post_is_refused() {
    let listener = start_listener(|_| {});
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = listener.send(&request(method, "/webhooks/open", &[], b"")).await;
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.header("allow")),
            (405, r#"{"error":"method_not_allowed"}"#, Some("POST")),
            "{method}"
        );
        // The answer to a wrong method does not reveal whether a source exists.
        let unknown = listener.send(&request(method, "/webhooks/nobody", &[], b"")).await;
        assert_eq!(unknown.status, 404, "{method}");
    }
}

#[tokio::test]
async fn body_that_is_large_is_accepted_like_a_small_one() {
    let listener = start_listener(|_| {});
    let body = [b"changes a | ".as_slice(), &vec![b'x'; 1024 * 1024 - 12]].concat();
    assert_eq!(listener.post("open", &body).await.status, 200);
    assert_eq!(listener.ledger.stored()[0].body.len(), body.len() + 9);
}

#[tokio::test]
async fn webhook_while_the_store_fails_is_answered_503() {
    let listener = start_listener(|_| {});
    listener.ledger.set(IntakeMode::Failing);
    let answer = listener.post("open", b"changes a").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"error":"unavailable"}"#));
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(listener.outcomes("open", "unavailable").as_deref(), Some("1"));
    listener.ledger.set(IntakeMode::Accepting);
    assert_eq!(listener.post("open", b"changes a").await.body, r#"{"status":"accepted"}"#);
}

#[tokio::test]
async fn webhook_while_the_store_hangs_is_answered_503() {
    let listener = start_listener(|webhooks| {
        webhooks.limits.accept_timeout = std::time::Duration::from_millis(50);
    });
    listener.ledger.set(IntakeMode::Waiting);
    let answer = listener.post("open", b"changes a").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
}

#[tokio::test]
async fn webhook_of_a_source_with_an_unreadable_secret_is_answered_503() {
    let listener = start_listener(|webhooks| {
        let mut tokenless = endpoint("tokenless");
        tokenless.path_token = Some(Secret::file("/nowhere/at/all"));
        webhooks.sources.push(Arc::new(tokenless));
    });
    for path in ["keyless", "tokenless/whatever"] {
        let answer = listener.post(path, b"changes a").await;
        assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"error":"unavailable"}"#));
        assert_eq!(answer.header("retry-after"), Some("5"), "{path}");
    }
    assert_eq!(listener.outcomes("keyless", "unavailable").as_deref(), Some("1"));
}

#[tokio::test]
async fn webhook_of_a_foreign_platform_account_is_ignored() {
    let listener = start_listener(|_| {});
    let foreign = "bridge_webhooks_foreign_account_total{source=\"picky\"}";

    assert_eq!(listener.post("picky", b"changes a b").await.body, r#"{"status":"accepted"}"#);
    assert_eq!(listener.metric(foreign).as_deref(), Some("0"));
    for body in [b"changes c".as_slice(), b"changes ?"] {
        assert_eq!(listener.post("picky", body).await.body, r#"{"status":"ignored"}"#);
    }
    assert_eq!(listener.metric(foreign).as_deref(), Some("2"));
    assert_eq!(listener.post("picky", b"changes a c").await.body, r#"{"status":"accepted"}"#);
    assert_eq!(listener.metric(foreign).as_deref(), Some("3"));

    let kept: Vec<usize> = listener
        .ledger
        .stored()
        .iter()
        .map(|receipt| match &receipt.content {
            ReceiptContent::Changes(changes) => changes.len(),
            ReceiptContent::Ignored | ReceiptContent::Quarantined(_) => 0,
        })
        .collect();
    assert_eq!(kept, [2, 0, 0, 1]);
}

#[tokio::test]
async fn answers_name_their_type_and_not_the_server() {
    let listener = start_listener(|_| {});
    let key = [("x-key", SECRET)];
    let answers = [
        listener.send(&request("POST", "/webhooks/open", &key, b"changes a")).await,
        listener.send(&request("POST", "/webhooks/open", &[], b"changes a")).await,
        listener.send(&request("POST", "/webhooks/nobody", &key, b"changes a")).await,
        listener.send(&request("GET", "/webhooks/open", &key, b"")).await,
        listener.send(&request("POST", "/webhooks/keyless", &key, b"changes a")).await,
        listener.send(&request("POST", "/webhooks/open", &key, b"panic")).await,
    ];
    for answer in answers {
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
        assert_eq!(answer.header("server"), None, "{answer:?}");
        serde_json::from_str::<serde_json::Value>(&answer.body).expect("JSON");
    }
}

#[tokio::test]
async fn connection_is_kept_for_proven_senders_only() {
    let listener = start_listener(|_| {});
    let key = [("x-key", SECRET)];
    let mut stream = connect(listener.address).await;
    for body in ["changes a", "ignored", "handshake", "unmappable"] {
        let bytes = request("POST", "/webhooks/open", &key, body.as_bytes());
        stream.write_all(&bytes).await.expect("still open");
        assert_eq!(read_response(&mut stream).await.expect("an answer").status, 200);
    }
    listener.ledger.set(IntakeMode::Failing);
    stream.write_all(&request("POST", "/webhooks/open", &key, b"changes b")).await.expect("open");
    assert_eq!(read_response(&mut stream).await.expect("an answer").status, 503);
    stream.write_all(&request("POST", "/webhooks/open", &[], b"changes c")).await.expect("open");
    assert_eq!(read_response(&mut stream).await.expect("an answer").status, 401);
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn webhooks_that_are_pipelined_are_answered_in_order() {
    let listener = start_listener(|_| {});
    let key = [("x-key", SECRET)];
    let bodies = ["changes a", "ignored", "changes a"];
    let bytes =
        bodies.map(|body| request("POST", "/webhooks/open", &key, body.as_bytes())).concat();
    let mut stream = connect(listener.address).await;
    stream.write_all(&bytes).await.expect("open");
    for status in ["accepted", "ignored", "duplicate"] {
        let answer = read_response(&mut stream).await.expect("an answer");
        assert_eq!(answer.body, format!("{{\"status\":\"{status}\"}}"));
    }
}

#[tokio::test]
async fn webhook_that_has_begun_is_finished_when_stopping() {
    let listener = start_listener(|_| {});
    listener.ledger.set(IntakeMode::Waiting);
    let mut begun = connect(listener.address).await;
    begun
        .write_all(&request("POST", "/webhooks/open", &[("x-key", SECRET)], b"changes a"))
        .await
        .expect("open");
    listener.ledger.begun.notified().await;
    listener.stop.cancel();
    // The listener is gone once connecting is refused; a connection may have slipped into the kernel's queue before.
    while tokio::net::TcpStream::connect(listener.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    listener.ledger.gate.add_permits(1);
    let answer = read_response(&mut begun).await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"accepted"}"#));
    assert!(is_closed(&mut begun).await);
    listener.running.await.expect("no panic").expect("an orderly end");
}

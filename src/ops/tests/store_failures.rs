//! The operators' API while the store fails or hangs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::fake_ledger::{FakeLedger, LedgerMode};
use super::probes::{RunningOps, start_ops};
use crate::http::tests::client::{TestResponse, send};
use crate::replay::{ReplayRequest, Replayer};

impl RunningOps {
    async fn ask(&self, line: &str) -> (TestResponse, Value) {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let head = format!("{method} /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = send(self.address, head.as_bytes()).await;
        let json = serde_json::from_str(&answer.body).unwrap_or_default();
        (answer, json)
    }
}

const RECEIPT: &str = "GET receipts/00000000-0000-7000-8000-000000000000";

#[tokio::test]
async fn request_while_the_store_fails_is_answered_503_with_a_time() {
    let ops = start_ops();
    ops.ledger.set(LedgerMode::Failing);
    for line in ["GET events", RECEIPT, "POST events/redrive"] {
        let (answer, problem) = ops.ask(line).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{line}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem["type"], "urn:webinar-bridge:problem:unavailable");
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains("disk full")));
    }
}

#[tokio::test]
async fn request_while_the_store_hangs_is_answered_in_time() {
    let ops = start_ops();
    ops.ledger.set(LedgerMode::Hanging);
    let (list, receipt, status) =
        tokio::join!(ops.ask("GET events"), ops.ask(RECEIPT), ops.ask("GET status"));
    assert_eq!((list.0.status, receipt.0.status), (503, 503));
    let (answer, status) = status;
    assert_eq!(answer.status, 200, "the answer holds the known part");
    let account = &status["accounts"][0];
    assert_eq!(account["hubspot"], "main");
    assert!(account["oldest_pending_since"].is_null());
    assert_eq!(status["store"]["bytes"], 4_096);
}

#[tokio::test]
async fn status_names_the_problem_of_the_store() {
    let ops = start_ops();
    *ops.ledger.health.lock().unwrap() = Err("disk full".to_owned());
    let (_, status) = ops.ask("GET status").await;
    assert_eq!(
        (&status["store"]["ok"], &status["store"]["problem"]),
        (&false.into(), &"disk full".into())
    );
    assert_eq!(status["uptime_seconds"], 0);
}

/// The store fails after three pieces: the answer counts them, and its cursor continues behind them.
#[tokio::test]
async fn redrive_that_fails_midway_returns_its_progress_and_a_cursor() {
    let ops = start_ops();
    ops.ledger.breaks_after.store(3, Ordering::Relaxed);
    let (answer, result) = ops.ask("POST events/redrive?state=delivered").await;
    assert_eq!((answer.status, &result["redriven"]), (200, &30.into()));
    let next = result["next"].as_str().expect("a cursor").to_owned();
    ops.ledger.breaks_after.store(4, Ordering::Relaxed);
    let line = format!("POST events/redrive?state=delivered&cursor={next}");
    let (_, result) = ops.ask(&line).await;
    assert_eq!(result["redriven"], 10);
    let (answer, _) = ops.ask(&format!("POST events/redrive?state=dead&cursor={next}")).await;
    assert_eq!(answer.status, 400, "it belongs to the other state");
}

/// Each piece ends in time and leads to the next, even if one receipt takes longer than a piece may.
#[tokio::test(start_paused = true)]
async fn replay_of_many_receipts_ends_in_time_and_makes_progress() {
    let ledger = Arc::new(FakeLedger::default());
    *ledger.receipts.lock().unwrap() = [4, 4, 3_600, 4, 4, 4].map(Duration::from_secs).into();
    let replayer = Replayer::new(ledger, BTreeMap::new());
    let (mut pieces, mut after) = (Vec::new(), None);
    loop {
        let until = Instant::now() + Duration::from_secs(10);
        let ask = ReplayRequest { after, ..ReplayRequest::default() };
        let piece = replayer.replay_all(ask, until).await.expect("a piece");
        assert!(Instant::now() <= until + Duration::from_millis(1), "as its timer ticks");
        // Their source is not in the configuration.
        pieces.push(piece.failed);
        after = piece.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pieces, [2, 1, 1, 2]);
}

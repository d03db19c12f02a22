//! The operators' API before a store that fails or hangs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::probes::{Desk, desk};
use crate::http::tests::client::{TestResponse, send};
use crate::receive::tests::fake_ledger::{FakeLedger, LedgerMode};
use crate::replay::{ReplayRequest, Replayer};

impl Desk {
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
async fn a_store_that_fails_is_503_and_says_when_to_come_again() {
    let desk = desk();
    desk.ledger.set(LedgerMode::Failing);
    for line in ["GET events", RECEIPT, "POST events/redrive"] {
        let (answer, problem) = desk.ask(line).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{line}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem["type"], "urn:webinar-bridge:problem:unavailable");
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains("disk full")));
    }
}

#[tokio::test]
async fn a_store_that_hangs_holds_up_nobody_for_ever() {
    let desk = desk();
    desk.ledger.set(LedgerMode::Waiting);
    let (list, receipt, status) =
        tokio::join!(desk.ask("GET events"), desk.ask(RECEIPT), desk.ask("GET status"));
    assert_eq!((list.0.status, receipt.0.status), (503, 503));
    let (answer, status) = status;
    assert_eq!(answer.status, 200, "what is known is told");
    let account = &status["accounts"][0];
    assert_eq!(account["hubspot"], "main");
    assert!(account["oldest_pending_since"].is_null());
    assert_eq!(status["store"]["bytes"], 4_096);
}

#[tokio::test]
async fn the_status_says_what_is_wrong_with_the_store() {
    let desk = desk();
    *desk.ledger.health.lock().unwrap() = Err("disk full".to_owned());
    let (_, status) = desk.ask("GET status").await;
    assert_eq!(
        (&status["store"]["ok"], &status["store"]["problem"]),
        (&false.into(), &"disk full".into())
    );
    assert_eq!(status["uptime_seconds"], 0);
}

/// Three pieces are done when the store fails: they are told, and the cursor leads to where it went on.
#[tokio::test]
async fn what_was_done_before_the_trouble_is_told() {
    let desk = desk();
    desk.ledger.breaks_after.store(3, Ordering::Relaxed);
    let (answer, told) = desk.ask("POST events/redrive?state=delivered").await;
    assert_eq!((answer.status, &told["redriven"]), (200, &30.into()));
    let next = told["next"].as_str().expect("a cursor").to_owned();
    desk.ledger.breaks_after.store(4, Ordering::Relaxed);
    let line = format!("POST events/redrive?state=delivered&cursor={next}");
    let (_, told) = desk.ask(&line).await;
    assert_eq!(told["redriven"], 10);
    let (answer, _) = desk.ask(&format!("POST events/redrive?state=dead&cursor={next}")).await;
    assert_eq!(answer.status, 400, "it belongs to the other state");
}

/// Each piece ends in time and leads to the next, also past one that takes longer than there is time for.
#[tokio::test(start_paused = true)]
async fn replaying_many_ends_in_time_and_gets_on() {
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

//! Probes and scrapes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::VirtualClock;
use crate::event::{AccountStatus, Millis, Pause, PauseReason, ProviderId};
use crate::http::tests::client::{TestResponse, bind, request, send};
use crate::ledger::{EventStateCounts, Ledger};
use crate::ops::{ApiAccess, OpsState, Readiness, run_ops};
use crate::receive::tests::fake_ledger::{FakeLedger, account, source};
use crate::receive::tests::harness::metric;
use crate::replay::Replayer;
use crate::telemetry::Metrics;

pub(super) struct Desk {
    pub(super) address: SocketAddr,
    pub(super) ledger: Arc<FakeLedger>,
    readiness: Readiness,
}

const NOW: Millis = Millis::new(1_700_000_000_000);

pub(super) fn desk() -> Desk {
    let ledger = Arc::new(FakeLedger::default());
    let readiness = Readiness::default();
    let ops = OpsState {
        ledger: Arc::<FakeLedger>::clone(&ledger) as Arc<dyn Ledger>,
        replayer: Replayer::new(
            Arc::<FakeLedger>::clone(&ledger) as Arc<dyn Ledger>,
            BTreeMap::new(),
        ),
        clock: Arc::new(VirtualClock::starting_at(NOW)),
        metrics: Metrics::new(&[account()], &[(source("open"), ProviderId::new("fake"))]),
        accounts: vec![account()],
        sources: vec![(source("open"), ProviderId::new("fake"))],
        fetchable_sources: BTreeMap::new(),
        readiness: readiness.clone(),
        started_at: NOW,
        access: ApiAccess::Loopback,
    };
    let (listener, address) = bind();
    tokio::spawn(run_ops(listener, ops, CancellationToken::new(), Duration::from_secs(1)));
    Desk { address, ledger, readiness }
}

impl Desk {
    async fn get(&self, path: &str) -> TestResponse {
        send(self.address, &request("GET", path, &[], b"")).await
    }

    async fn readyz(&self) -> (u16, String) {
        let answer = self.get("/readyz").await;
        (answer.status, answer.body)
    }
}

#[tokio::test]
async fn alive_is_alive_whatever_the_store_says() {
    let desk = desk();
    *desk.ledger.health.lock().unwrap() = Err("disk full".to_owned());
    let answer = desk.get("/livez").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"alive"}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn ready_is_started_writing_and_not_draining() {
    let desk = desk();
    let unready = |reasons: &str| (503, format!(r#"{{"reasons":[{reasons}],"status":"unready"}}"#));
    assert_eq!(desk.readyz().await, unready(r#""starting""#));
    desk.readiness.set_started();
    assert_eq!(desk.readyz().await, (200, r#"{"status":"ready"}"#.to_owned()));
    *desk.ledger.health.lock().unwrap() = Err("disk full".to_owned());
    assert_eq!(desk.readyz().await, unready(r#""store: disk full""#));
    *desk.ledger.health.lock().unwrap() = Ok(());
    assert_eq!(desk.readyz().await.0, 200);
    desk.readiness.set_draining();
    assert_eq!(desk.readyz().await, unready(r#""draining""#));
}

#[tokio::test]
async fn a_scrape_shows_the_ledger_as_it_is() {
    let desk = desk();
    *desk.ledger.counts.lock().unwrap() = EventStateCounts {
        pending: 5,
        in_flight: 4,
        delivered: 3,
        incomplete: 2,
        filtered: 6,
        dead: 1,
    };
    *desk.ledger.oldest.lock().unwrap() = Ok(Some(NOW.minus(Duration::from_hours(1))));
    *desk.ledger.status.lock().unwrap() = AccountStatus {
        paused: Some(Pause { reason: PauseReason::DailyLimit, since: NOW, detail: String::new() }),
        daily_remaining: Some(0),
        ..AccountStatus::default()
    };
    let answer = desk.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let value = |line: &str| metric(&answer.body, line).unwrap_or_else(|| panic!("{line}"));
    for (state, count) in [
        ("pending", "5"),
        ("in_flight", "4"),
        ("delivered", "3"),
        ("incomplete", "2"),
        ("filtered", "6"),
        ("dead", "1"),
    ] {
        let line = format!("bridge_events{{hubspot=\"main\",state=\"{state}\"}}");
        assert_eq!(value(&line), count, "{state}");
    }
    assert_eq!(value("bridge_account_paused{hubspot=\"main\",reason=\"daily_limit\"}"), "1");
    assert_eq!(value("bridge_account_paused{hubspot=\"main\",reason=\"operator\"}"), "0");
    assert_eq!(value("bridge_daily_remaining{hubspot=\"main\"}"), "0");
    assert_eq!(value("bridge_store_bytes"), "4096");
    assert_eq!(value("bridge_store_free_bytes"), "1024");
    assert_eq!(value("bridge_wal_bytes"), "512");
    let age: f64 = value("bridge_oldest_pending_age_seconds{hubspot=\"main\"}").parse().unwrap();
    assert!((3_600.0..3_700.0).contains(&age), "{age}");

    // What the store cannot tell stays as it was, and the scrape is answered all the same.
    *desk.ledger.oldest.lock().unwrap() = Err(());
    let answer = desk.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let line = "bridge_oldest_pending_age_seconds{hubspot=\"main\"}";
    let stale: f64 = metric(&answer.body, line).expect("a gauge").parse().unwrap();
    assert!((age - stale).abs() < f64::EPSILON);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let desk = desk();
    let answer = desk.get("/webhooks/open").await;
    assert_eq!((answer.status, answer.body.as_str()), (404, r#"{"error":"not_found"}"#));
    let answer = send(desk.address, &request("POST", "/metrics", &[], b"")).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
}

//! Probes and scrapes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fake_ledger::FakeLedger;
use crate::clock::VirtualClock;
use crate::event::{AccountStatus, Millis, Pause, PauseReason, ProviderId};
use crate::http::tests::client::{TestResponse, bind, request, send};
use crate::ledger::EventStateCounts;
use crate::ops::{ApiAccess, OpsState, Readiness, run_ops};
use crate::receive::tests::fake_intake::{account, source};
use crate::receive::tests::harness::{endpoint, metric};
use crate::replay::Replayer;
use crate::telemetry::Metrics;

pub(super) struct RunningOps {
    pub(super) address: SocketAddr,
    pub(super) ledger: Arc<FakeLedger>,
    readiness: Readiness,
}

const NOW: Millis = Millis::new(1_700_000_000_000);

pub(super) fn start_ops() -> RunningOps {
    let ledger = Arc::new(FakeLedger::default());
    let readiness = Readiness::default();
    let ops = OpsState {
        ledger: Arc::<FakeLedger>::clone(&ledger),
        replayer: Replayer::new(Arc::<FakeLedger>::clone(&ledger), BTreeMap::new()),
        clock: Arc::new(VirtualClock::starting_at(NOW)),
        metrics: Metrics::new(&[account()], &[(source("open"), ProviderId::new("fake"))]),
        accounts: vec![account()],
        sources: BTreeMap::from([(source("open"), endpoint("open").provider)]),
        readiness: readiness.clone(),
        started_at: Instant::now(),
        access: ApiAccess::Loopback,
    };
    let (listener, address) = bind();
    tokio::spawn(run_ops(listener, ops, CancellationToken::new(), Duration::from_secs(1)));
    RunningOps { address, ledger, readiness }
}

impl RunningOps {
    async fn get(&self, path: &str) -> TestResponse {
        send(self.address, &request("GET", path, &[], b"")).await
    }

    async fn readyz(&self) -> (u16, String) {
        let answer = self.get("/readyz").await;
        (answer.status, answer.body)
    }
}

#[tokio::test]
async fn liveness_does_not_depend_on_the_store() {
    let ops = start_ops();
    *ops.ledger.health.lock().unwrap() = Err("disk full".to_owned());
    let answer = ops.get("/livez").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"alive"}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn readiness_requires_a_start_a_healthy_store_and_no_draining() {
    let ops = start_ops();
    let unready = |reasons: &str| (503, format!(r#"{{"reasons":[{reasons}],"status":"unready"}}"#));
    assert_eq!(ops.readyz().await, unready(r#""starting""#));
    ops.readiness.set_started();
    assert_eq!(ops.readyz().await, (200, r#"{"status":"ready"}"#.to_owned()));
    *ops.ledger.health.lock().unwrap() = Err("disk full".to_owned());
    assert_eq!(ops.readyz().await, unready(r#""store: disk full""#));
    *ops.ledger.health.lock().unwrap() = Ok(());
    assert_eq!(ops.readyz().await.0, 200);
    ops.readiness.set_draining();
    assert_eq!(ops.readyz().await, unready(r#""draining""#));
}

#[tokio::test]
async fn scrape_shows_the_counts_of_the_ledger() {
    let ops = start_ops();
    *ops.ledger.counts.lock().unwrap() = EventStateCounts {
        pending: 5,
        in_flight: 4,
        delivered: 3,
        incomplete: 2,
        filtered: 6,
        dead: 1,
    };
    *ops.ledger.oldest.lock().unwrap() = Ok(Some(NOW.minus(Duration::from_hours(1))));
    *ops.ledger.status.lock().unwrap() = AccountStatus {
        paused: Some(Pause { reason: PauseReason::DailyLimit, since: NOW, detail: String::new() }),
        daily_remaining: Some(0),
        ..AccountStatus::default()
    };
    let answer = ops.get("/metrics").await;
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

    // A gauge that the store cannot supply keeps its value, and the scrape is answered.
    *ops.ledger.oldest.lock().unwrap() = Err(());
    let answer = ops.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let line = "bridge_oldest_pending_age_seconds{hubspot=\"main\"}";
    let stale: f64 = metric(&answer.body, line).expect("a gauge").parse().unwrap();
    assert!((age - stale).abs() < f64::EPSILON);
}

#[tokio::test]
async fn path_or_method_of_no_route_is_refused() {
    let ops = start_ops();
    let answer = ops.get("/webhooks/open").await;
    assert_eq!((answer.status, answer.body.as_str()), (404, r#"{"error":"not_found"}"#));
    let answer = send(ops.address, &request("POST", "/metrics", &[], b"")).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
}

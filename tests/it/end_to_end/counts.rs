//! `bridge_events` is exact: it counts every event with a webhook that was answered before the scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use webinar_bridge::sandbox::emulator::EmulatorCall;

use crate::harness::http::scrape;
use crate::harness::process::Setting;
use crate::harness::zoom::{Zoom, at, created, payload, renamed, series, updated, webhook};

/// Shadow mode: nothing is sent, so pending events stay pending.
const SHADOW: &str = "deliver = false";

fn shadow() -> Setting {
    Setting::with(super::generous(), SHADOW, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_counts_are_exact_after_each_answer() {
    let setting = shadow();
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    // A webhook, and the numbers of pending and incomplete events that it adds.
    let mut webhooks: Vec<(Value, u64, u64)> = Vec::new();
    for id in 1..=12 {
        webhooks.push((created(id, "A webinar", at(0)), 1, 0));
        webhooks.push((renamed(id, "Renamed", at(10)), 0, 0));
    }
    webhooks.push((webhook("webinar.created", at(0), series(90, "A series")), 3, 0));
    webhooks.push((
        payload(updated(90, json!({ "duration": 50 }), at(5)), json!({ "scope": "all" })),
        0,
        0,
    ));
    webhooks.push((renamed(91, "Never seen whole", at(0)), 0, 1));
    webhooks.push((webhook("webinar.participant_joined", at(0), json!({ "id": "1" })), 0, 0));
    let (mut pending, mut incomplete) = (0, 0);
    for (body, more_pending, more_incomplete) in webhooks {
        zoom.tell(body.clone()).await;
        pending += more_pending;
        incomplete += more_incomplete;
        let scrape = scrape(&bridge.ops).await;
        assert_eq!(scrape.events("main", "pending"), pending, "after {body}");
        assert_eq!(scrape.events("main", "incomplete"), incomplete, "after {body}");
    }
    zoom.story([created(91, "Seen whole", at(1))]).await;
    let seen = scrape(&bridge.ops).await;
    assert_eq!(seen.events("main", "pending"), pending + 1);
    for state in ["incomplete", "in_flight", "delivered", "dead"] {
        assert_eq!(seen.events("main", state), 0, "{state}");
    }
    assert!(seen.sum("bridge_oldest_pending_age_seconds", &[("hubspot", "main")]) > 0.0);
    let is_write = |call: &&EmulatorCall| call.inputs > 0;
    let writes = setting.hubspot.emulator().calls().iter().filter(is_write).count();
    assert_eq!(writes, 0, "shadow mode sends nothing");
    // The counts come from the store and survive the process.
    assert_eq!(bridge.terminate(), Some(0));
    let bridge = setting.start();
    assert_eq!(scrape(&bridge.ops).await.events("main", "pending"), pending + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_counts_are_exact_under_concurrent_senders() {
    const SENDERS: u64 = 16;
    const EACH: u64 = 12;
    let setting = shadow();
    let bridge = setting.start();
    let (begun, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        let (zoom, ops) = (Zoom::to(&bridge), bridge.ops.clone());
        let (begun, answered) = (Arc::clone(&begun), Arc::clone(&answered));
        senders.spawn(async move {
            for number in 0..EACH {
                let id = 1_000 + sender * EACH + number;
                begun.fetch_add(1, Ordering::SeqCst);
                zoom.story([created(id, "A webinar", at(0))]).await;
                let at_least = answered.fetch_add(1, Ordering::SeqCst) + 1;
                let pending = scrape(&ops).await.events("main", "pending");
                let at_most = begun.load(Ordering::SeqCst);
                assert!(
                    (at_least..=at_most).contains(&pending),
                    "{pending} are pending, {at_least} were answered and {at_most} begun"
                );
            }
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.expect("the sender finished");
    }
    assert_eq!(scrape(&bridge.ops).await.events("main", "pending"), SENDERS * EACH);
    let accepted =
        scrape(&bridge.ops).await.count("bridge_webhooks_total", &[("outcome", "accepted")]);
    assert_eq!(accepted, SENDERS * EACH);
}

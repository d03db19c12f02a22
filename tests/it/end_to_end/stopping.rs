//! Graceful stops under load.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::generous;
use crate::harness::eventually;
use crate::harness::http::scrape;
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{Zoom, at, created};

const SENDERS: u64 = 8;

/// Sends webinars until no request is answered, and returns those that were answered 200.
async fn load(zoom: Zoom, sender: u64, answered: Arc<AtomicUsize>) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    for id in sender * 100_000.. {
        let Ok(answer) = zoom.post(&created(id, &format!("Webinar {id}"), at(0))).await else {
            break;
        };
        assert!([200, 503].contains(&answer.status), "{}", answer.status);
        if answer.status == 200 {
            taken.insert(id.to_string());
            answered.fetch_add(1, Ordering::SeqCst);
        }
    }
    taken
}

async fn terminate(bridge: Bridge) -> Option<i32> {
    // On its own thread: the exit waits for the HubSpot of this runtime.
    tokio::task::spawn_blocking(|| bridge.terminate()).await.expect("it exits")
}

/// Stops a bridge under load. Returns the webinars answered 200 and those that HubSpot held after the stop.
async fn stop_under_load(setting: &Setting) -> (BTreeSet<String>, BTreeSet<String>) {
    let bridge = setting.start();
    let answered = Arc::new(AtomicUsize::new(0));
    let mut senders = tokio::task::JoinSet::new();
    for sender in 1..=SENDERS {
        senders.spawn(load(Zoom::to(&bridge), sender, Arc::clone(&answered)));
    }
    eventually("there is load", async || answered.load(Ordering::SeqCst) >= 200).await;
    assert_eq!(terminate(bridge).await, Some(0));
    let mut taken = BTreeSet::new();
    while let Some(sent) = senders.join_next().await {
        taken.extend(sent.expect("the sender finished"));
    }
    assert!(taken.len() >= 200);
    (taken, setting.held().into_keys().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graceful_stop_under_load_delivers_every_answered_webhook() {
    let setting = Setting::with(generous(), super::FAST, "");
    let (taken, held) = stop_under_load(&setting).await;
    let missing: Vec<_> = taken.difference(&held).collect();
    assert!(missing.is_empty(), "the stop had time to deliver everything: {missing:?}");
    // Nothing is left for the next start.
    let bridge = setting.start();
    assert_eq!(scrape(&bridge.ops).await.events("main", "pending"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_left_by_a_stop_are_delivered_after_the_next_start() {
    // The rate limit is too low to deliver everything before the stop.
    let slow = "rate_limit = { requests = 1, window = \"2s\" }\nmax_batch = 5";
    let setting = Setting::with(generous(), slow, "");
    let (taken, held) = stop_under_load(&setting).await;
    assert!(held.len() < taken.len(), "some events are left");
    let file = setting.folder.path().join("bridge.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, text.replace(slow, super::FAST)).expect("the file can be written");
    let bridge = setting.start();
    bridge.settled().await;
    let held: BTreeSet<String> = setting.held().into_keys().collect();
    let missing: Vec<_> = taken.difference(&held).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let seen = scrape(&bridge.ops).await;
    assert_eq!(seen.events("main", "delivered"), held.len() as u64);
}

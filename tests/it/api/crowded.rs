//! Replay of a webinar with thousands of receipts, without delaying other work and within the memory limit.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::api_json;
use crate::harness::process::{Bridge, Setting};
use crate::harness::tell;
use crate::harness::zoom::{ACCOUNT, Zoom, at, created, renamed};

/// Number of webhooks about the one webinar.
const RECEIPTS: i64 = 5_000;
const SENDERS: i64 = 16;
/// Memory limit of the process in MiB (README: limits).
const MEMORY: f64 = 150.0;

/// Sends many webhooks about webinar 1.
async fn send_many(bridge: &Bridge) {
    let mut senders = JoinSet::new();
    for first in 0..SENDERS {
        let zoom = Zoom::to(bridge);
        senders.spawn(async move {
            for n in (first..RECEIPTS).step_by(usize::try_from(SENDERS).expect("a small number")) {
                zoom.story([renamed(1, &format!("Name {n}"), at(1) + n)]).await;
            }
        });
    }
    senders.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_of_thousands_of_receipts_delays_no_other_work() {
    let setting = Setting::new("");
    let bridge = setting.start_with(&[("BRIDGE__HUBSPOT__MAIN__DELIVER", "false")]);
    let zoom = Zoom::to(&bridge);
    zoom.story([created(1, "Crowded", at(0)), created(2, "Neighbour", at(0))]).await;
    let began = Instant::now();
    send_many(&bridge).await;
    let each = began.elapsed() / u32::try_from(RECEIPTS).expect("a small number");
    let loaded = bridge.memory("VmHWM");
    let path = format!("GET events/main/{ACCOUNT}/1");
    let before = api_json(&bridge, &path).await;
    assert_eq!(before["name"], format!("Name {}", RECEIPTS - 1));
    let newest = api_json(&bridge, "GET receipts?limit=1").await;
    let id = newest["receipts"][0]["id"].as_str().expect("an id").to_owned();

    // Webhooks about another webinar arrive all the while.
    let line = format!("POST receipts/{id}/replay");
    let replaying = async {
        let began = Instant::now();
        let replayed = api_json(&bridge, &line).await;
        (replayed, began.elapsed())
    };
    tokio::pin!(replaying);
    let (mut neighbours, mut slowest) = (0, Duration::ZERO);
    let (replayed, took) = loop {
        let began = Instant::now();
        tokio::select! {
            replayed = &mut replaying => break replayed,
            () = zoom.story([renamed(2, &format!("Name {neighbours}"), at(1) + neighbours)]) => {
                neighbours += 1;
                slowest = slowest.max(began.elapsed());
            }
        }
    };
    assert_eq!((&replayed["outcome"], &replayed["reason"]), (&json!("accepted"), &json!(null)));
    assert_eq!(api_json(&bridge, &path).await, before, "mapped as before it changes nothing");
    // All receipts, as many as there is time for.
    let began = Instant::now();
    let many = api_json(&bridge, "POST receipts/replay?outcome=accepted").await;
    let many_took = began.elapsed();
    assert!(many["replayed"].as_u64().is_some_and(|n| n > 0) && many["failed"] == 0, "{many}");
    assert_eq!(api_json(&bridge, &path).await, before);
    let peak = bridge.memory("VmHWM");
    tell(&format!(
        "{RECEIPTS} receipts of one webinar: {:.2} ms each with {SENDERS} senders; one replayed in {:.0} ms, while {neighbours} \
         webhooks of a neighbour took {:.0} ms at most; in bulk {} in {:.1} s; VmHWM {loaded:.0} MiB before, {peak:.0} MiB \
         in all",
        each.as_secs_f64() * 1e3,
        took.as_secs_f64() * 1e3,
        slowest.as_secs_f64() * 1e3,
        many["replayed"],
        many_took.as_secs_f64(),
    ));
    assert!(peak < MEMORY, "{peak} MiB");
}

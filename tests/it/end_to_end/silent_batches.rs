//! A HubSpot that answers batches with success and does nothing with them (A21).

use webinar_bridge::sandbox::emulator::{EmulatorFault, EmulatorOperation};

use super::{FAST, generous};
use crate::harness::http::{request, scrape};
use crate::harness::process::Setting;
use crate::harness::zoom::{Zoom, at, created, renamed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_by_single_writes_and_the_account_shows_why() {
    let setting = Setting::with(generous(), FAST, "");
    setting.hubspot.emulator().inject_standing(EmulatorFault::NoResults("COMPLETE"));
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story((1..=5).map(|id| created(id, "Calm releases", at(0)))).await;
    bridge.settled().await;
    zoom.story([renamed(3, "Calmer releases", at(10))]).await;
    bridge.settled().await;
    assert_eq!(setting.held().len(), 5);
    assert_eq!(setting.event("3").input.event_name, "Calmer releases");
    let calls = |operation| {
        let emulator = setting.hubspot.emulator();
        emulator.calls().iter().filter(|call| call.operation == Some(operation)).count()
    };
    assert_eq!(calls(EmulatorOperation::Put), 6);

    let scrape = scrape(&bridge.ops).await;
    assert_eq!(scrape.count("bridge_account_batches_ignored", &[("hubspot", "main")]), 1);
    let puts = [("operation", "put"), ("status", "200")];
    assert_eq!(scrape.count("bridge_hubspot_requests_total", &puts), 6);
    assert!(scrape.count("bridge_hubspot_requests_total", &[("operation", "read")]) > 0);
    let status = request(&bridge.ops, "GET /api/v1/status", &[], &[]).await.expect("an answer");
    let account = &status.json()["accounts"][0];
    assert!(account["batches_ignored_since"].is_string(), "{account}");
    assert_eq!(account["paused"], serde_json::Value::Null);
    let told = "HubSpot answers batches with success and does nothing with them";
    assert_eq!(bridge.logged().matches(told).count(), 1);

    // It is remembered across a restart.
    drop(bridge);
    let before = calls(EmulatorOperation::Upsert);
    let bridge = setting.start();
    Zoom::to(&bridge).story([renamed(4, "Calmest releases", at(20))]).await;
    bridge.settled().await;
    assert_eq!(setting.event("4").input.event_name, "Calmest releases");
    assert_eq!(calls(EmulatorOperation::Upsert), before);
}

//! Events that HubSpot refuses for what they are, among good ones (B1).

use std::time::Duration;

use serde_json::json;
use webinar_bridge::sandbox::emulator::EmulatorFault;

use super::{FAST, generous};
use crate::harness::eventually_within;
use crate::harness::http::{request, scrape};
use crate::harness::process::Setting;
use crate::harness::zoom::{Zoom, at, created, webhook};

/// B1: dead letters are redriven before their cause is mended. The account is not blamed for them: a witness shows that
/// it works, so new events and cancellations are delivered, and the bad ones are dead again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redrive_of_the_guilty_holds_up_no_good_event() {
    let setting = Setting::with(generous(), FAST, "");
    setting.hubspot.emulator().inject_standing(EmulatorFault::RejectNames("poison".into()));
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    // Good ones lie between the bad, so that no 20 are refused in a row.
    for id in 1..=85_u64 {
        let name = if id > 60 { "poison".to_owned() } else { format!("Webinar {id}") };
        zoom.story([created(id, &name, at(0))]).await;
        if id > 60 {
            bridge.settled().await;
            zoom.story([created(id + 1_000, "Between", at(0))]).await;
        }
    }
    bridge.settled().await;
    let seen = scrape(&bridge.ops).await;
    assert_eq!((seen.events("main", "delivered"), seen.events("main", "dead")), (85, 25));

    let path = "POST /api/v1/events/redrive?hubspot=main&state=dead";
    let answer = request(&bridge.ops, path, &[], &[]).await.expect("an answer");
    assert_eq!(answer.json()["redriven"], 25, "{}", answer.json());
    zoom.story([created(500, "Good news", at(0))]).await;
    zoom.story([webhook("webinar.deleted", at(20), json!({ "id": 7 }))]).await;
    for _ in 0..3 {
        let resume = "POST /api/v1/accounts/main/resume";
        assert_eq!(request(&bridge.ops, resume, &[], &[]).await.expect("an answer").status, 200);
    }
    eventually_within(Duration::from_secs(30), "the good events arrive", async || {
        let held = setting.held();
        held.contains_key("500") && held["7"].input.event_cancelled
    })
    .await;
    eventually_within(Duration::from_mins(1), "the bad ones are dead again", async || {
        let seen = scrape(&bridge.ops).await;
        let open = seen.events("main", "pending") + seen.events("main", "in_flight");
        (seen.events("main", "dead"), open) == (25, 0)
    })
    .await;
    let paused = scrape(&bridge.ops).await;
    assert_eq!(paused.count("bridge_account_paused", &[("reason", "refused")]), 0);
    assert_eq!(paused.events("main", "delivered"), 86);
}

//! Failures of HubSpot: once it recovers, every event is delivered, and none was charged for the account's failures.

use std::time::Duration;

use webinar_bridge::http::simple_server::ResponseFault;
use webinar_bridge::sandbox::emulator::{EmulatorFault, EmulatorSettings, HANG};

use super::{FAST, generous};
use crate::harness::eventually;
use crate::harness::http::{request, scrape};
use crate::harness::process::{Bridge, Setting, TOKEN};
use crate::harness::zoom::{Zoom, at, created, renamed};

/// Longer than the minute after which a paused account is probed.
const PROBE_WAIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_event_does_not_block_others_in_its_batch() {
    let setting = Setting::with(generous(), FAST, "");
    setting.hubspot.emulator().inject_standing(EmulatorFault::RejectNames("poison".into()));
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    for id in 1..=20 {
        let name = if id == 13 { "poison".to_owned() } else { format!("Webinar {id}") };
        zoom.story([created(id, &name, at(0))]).await;
    }
    bridge.settled().await;
    let held = setting.held();
    assert_eq!(held.len(), 19);
    assert!(!held.contains_key("13"));
    let seen = scrape(&bridge.ops).await;
    assert_eq!(seen.events("main", "delivered"), 19);
    assert_eq!(seen.events("main", "dead"), 1);
    let category = [("hubspot", "main"), ("category", "VALIDATION_ERROR")];
    assert_eq!(seen.count("bridge_events_dead_total", &category), 1);
    assert!(bridge.logged().contains("e3a1c0de-0000-4000"), "HubSpot's correlationId is logged");
    // A refused event is sent again once it changes.
    zoom.story([renamed(13, "Wholesome", at(10))]).await;
    bridge.settled().await;
    assert_eq!(setting.event("13").input.event_name, "Wholesome");
    let seen = scrape(&bridge.ops).await;
    assert_eq!((seen.events("main", "delivered"), seen.events("main", "dead")), (20, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_errors_with_or_without_event_ids_refuse_only_the_bad_event() {
    for named in [true, false] {
        let setting = Setting::with(generous(), FAST, "");
        let fault = EmulatorFault::PartialErrors { name: "poison".into(), identified: named };
        setting.hubspot.emulator().inject_standing(fault);
        let bridge = setting.start();
        let zoom = Zoom::to(&bridge);
        for id in 1..=10 {
            let name = if id == 4 { "poison".to_owned() } else { format!("Webinar {id}") };
            zoom.story([created(id, &name, at(0))]).await;
        }
        bridge.settled().await;
        assert_eq!(setting.held().len(), 9, "named: {named}");
        let seen = scrape(&bridge.ops).await;
        assert_eq!((seen.events("main", "delivered"), seen.events("main", "dead")), (9, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transport_and_account_failures_are_retried_and_charged_to_no_event() {
    let account = format!("{FAST}\nrequest_timeout = \"1s\"");
    let setting = Setting::with(generous(), &account, "");
    let lost = |fault, stored| EmulatorFault::Transport { fault, stored };
    let faults = [
        EmulatorFault::Status { status: 503, retry_after: None },
        EmulatorFault::Status { status: 502, retry_after: None },
        lost(ResponseFault::Reset, false),
        EmulatorFault::Status { status: 500, retry_after: Some(1) },
        lost(ResponseFault::Truncate, true),
        lost(HANG, false),
        lost(ResponseFault::Reset, true),
    ];
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    for (number, fault) in (1..).zip(&faults) {
        setting.hubspot.emulator().inject(fault.clone());
        zoom.story([created(number, &format!("Webinar {number}"), at(0))]).await;
        bridge.settled().await;
        assert_eq!(
            setting.event(&number.to_string()).input.event_name,
            format!("Webinar {number}"),
            "{fault:?}"
        );
    }
    let seen = scrape(&bridge.ops).await;
    assert_eq!(seen.events("main", "delivered"), 7);
    assert_eq!(seen.events("main", "dead"), 0);
    for (status, times) in
        [("503", 1), ("502", 1), ("500", 1), ("reset", 3), ("timeout", 1), ("200", 7)]
    {
        let labels = [("operation", "upsert"), ("status", status)];
        assert_eq!(seen.count("bridge_hubspot_requests_total", &labels), times, "{status}");
    }
}

/// HubSpot stored a state, its answer was lost, and the webinar changed back to the last confirmed state. The event
/// must be sent although its state equals the confirmed one, because HubSpot holds another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answer_and_change_back_end_with_the_latest_state() {
    for fault in [HANG, ResponseFault::Reset] {
        let account = format!("{FAST}\nrequest_timeout = \"2s\"");
        let setting = Setting::with(generous(), &account, "");
        let bridge = setting.start();
        let zoom = Zoom::to(&bridge);
        zoom.story([created(1, "One", at(0))]).await;
        bridge.settled().await;
        setting
            .hubspot
            .emulator()
            .inject_standing(EmulatorFault::Transport { fault, stored: true });
        zoom.story([renamed(1, "Two", at(10))]).await;
        eventually("HubSpot stored it", async || setting.event("1").input.event_name == "Two")
            .await;
        zoom.story([renamed(1, "One", at(20))]).await;
        setting.hubspot.emulator().clear_faults();
        bridge.settled().await;
        assert_eq!(setting.event("1").input.event_name, "One", "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_recoveries_deliver_everything() {
    tokio::join!(answers_without_results_are_retried(), rate_limit_used_by_others_is_respected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_refusing_every_event_is_paused_and_no_event_is_dead() {
    let setting = Setting::with(generous(), FAST, "");
    setting.hubspot.emulator().inject_standing(EmulatorFault::RejectNames(String::new()));
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    for id in 1..=30 {
        zoom.story([created(id, "Innocent", at(0))]).await;
    }
    let labels = [("hubspot", "main"), ("reason", "refused")];
    wait_for_pause(&bridge, &labels).await;
    // The pause shows a moment before all events of its batch are released.
    eventually("all events are released", async || {
        let seen = scrape(&bridge.ops).await;
        (seen.events("main", "pending"), seen.events("main", "dead")) == (30, 0)
    })
    .await;
    setting.hubspot.emulator().clear_faults();
    bridge.settled_within(PROBE_WAIT).await;
    assert_eq!(setting.held().len(), 30);
    let seen = scrape(&bridge.ops).await;
    assert_eq!((seen.events("main", "delivered"), seen.events("main", "dead")), (30, 0));
    // The last answer is recorded a moment before the pause is seen to be over.
    eventually("the pause is over", async || {
        scrape(&bridge.ops).await.count("bridge_account_paused", &labels) == 0
    })
    .await;
}

async fn wait_for_pause(bridge: &Bridge, labels: &[(&str, &str)]) {
    eventually("the account is paused", async || {
        scrape(&bridge.ops).await.count("bridge_account_paused", labels) == 1
    })
    .await;
}

/// A 200 without results proves nothing about any event: all are sent again, and then alone.
async fn answers_without_results_are_retried() {
    let setting = Setting::with(generous(), FAST, "");
    setting.hubspot.emulator().inject_standing(EmulatorFault::NoResults("COMPLETE"));
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    for id in 1..=5 {
        zoom.story([created(id, "Unheard", at(0))]).await;
    }
    bridge.settled_within(PROBE_WAIT).await;
    assert_eq!(setting.held().len(), 5, "each was sent alone");
    assert_eq!(scrape(&bridge.ops).await.events("main", "dead"), 0);
    setting.hubspot.emulator().clear_faults();
    bridge.settled_within(PROBE_WAIT).await;
    assert_eq!(setting.held().len(), 5);
    assert_eq!(scrape(&bridge.ops).await.events("main", "delivered"), 5);
}

/// Another app uses up the account's rate limit. A 429 concerns the account and no event.
async fn rate_limit_used_by_others_is_respected() {
    let rate = (4, Duration::from_secs(3));
    let small = EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) };
    let setting = Setting::with(small, "max_batch = 1", "");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let hubspot = setting.hubspot.base_url();
    let address = hubspot.strip_prefix("http://").expect("plain HTTP");
    let token = [("authorization".to_owned(), format!("Bearer {TOKEN}"))];
    for _ in 0..4 {
        let answer = request(address, "GET /account-info/v3/details", &token, &[]).await;
        assert_eq!(answer.expect("the request is answered").status, 200);
    }
    for id in 1..=12 {
        zoom.story([created(id, "One at a time", at(0))]).await;
    }
    bridge.settled_within(PROBE_WAIT).await;
    assert_eq!(setting.held().len(), 12);
    let seen = scrape(&bridge.ops).await;
    assert_eq!((seen.events("main", "delivered"), seen.events("main", "dead")), (12, 0));
    // The first call identifies the account and gets the one 429. From then on the limit is kept.
    let calls = |labels: &[_]| seen.count("bridge_hubspot_requests_total", labels);
    assert_eq!(calls(&[("operation", "details"), ("status", "429")]), 1);
    assert_eq!(calls(&[("operation", "upsert")]), 12);
    assert_eq!(calls(&[("operation", "upsert"), ("status", "200")]), 12);
}

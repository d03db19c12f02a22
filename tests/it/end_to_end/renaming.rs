//! Renamed sources and accounts.

use std::sync::Arc;

use webinar_bridge::clock::SystemClock;
use webinar_bridge::sandbox::emulator::EmulatorSettings;
use webinar_bridge::sandbox::hubspot_server::HubSpotServer;

use super::{FAST, generous};
use crate::harness::eventually;
use crate::harness::http::{request, scrape};
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{
    ACCOUNT, Zoom, ago, at, created, planned, renamed, webhook, webinar, with,
};

/// A10, M30.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renamed_source_goes_on_with_its_events_at_both_addresses() {
    let setting = Setting::with(generous(), FAST, "complete_after_end = \"2s\"");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([created(1, "One", at(0)), created(2, "Two", at(0))]).await;
    bridge.settled().await;
    assert_eq!(bridge.terminate(), Some(0));

    // Renamed without a word of it, and with another organizer.
    setting.configure("[source.zoom]", "[source.acme-zoom]");
    setting.configure("organizer = \"Acme GmbH\"", "organizer = \"Successor\"");
    for command in ["check", "serve"] {
        let (code, output) = setting.run(&[command]).await;
        assert_eq!(code, Some(2), "{output}");
        let remedy = "set formerly = [\"zoom\"] in [source.acme-zoom]. If not, start once with --accept-rekey";
        assert!(output.contains(remedy), "{output}");
    }

    setting.configure("[source.acme-zoom]", "[source.acme-zoom]\nformerly = [\"zoom\"]");
    let (code, output) = setting.run(&["check"]).await;
    assert_eq!(code, Some(0), "{output}");
    let bridge = setting.start();
    eventually("the organizer reaches what is there", async || {
        setting.event("1").input.event_organizer == "Successor"
    })
    .await;
    let (old, new) = (Zoom::to(&bridge), Zoom::to_source(&bridge, "acme-zoom"));
    assert_eq!(old.tell(created(1, "One", at(0))).await, "duplicate", "its keys are inherited");
    old.story([renamed(1, "At the old address", at(10))]).await;
    new.story([renamed(2, "At the new address", at(10))]).await;
    bridge.settled().await;
    assert_eq!(setting.event("1").input.event_name, "At the old address");
    assert_eq!(setting.event("2").input.event_name, "At the new address");
    let seen = scrape(&bridge.ops).await;
    assert_eq!(
        seen.count("bridge_webhooks_total", &[("source", "acme-zoom"), ("outcome", "accepted")]),
        2
    );
    assert_eq!(bridge.terminate(), Some(0));

    // And back.
    setting.configure(
        "[source.acme-zoom]\nformerly = [\"zoom\"]",
        "[source.zoom]\nformerly = [\"acme-zoom\"]",
    );
    let bridge = setting.start();
    Zoom::to_source(&bridge, "acme-zoom").story([renamed(1, "Back", at(20))]).await;
    bridge.settled().await;
    assert_eq!(setting.event("1").input.event_name, "Back");
    assert_eq!(setting.held().len(), 2);
}

/// A10: a completion timer runs out while the source has another name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timer_of_a_renamed_source_completes_its_event_when_it_is_back() {
    let setting = Setting::with(generous(), FAST, "complete_after_end = \"100d\"");
    let bridge = setting.start();
    let over = with(webinar(1, "Over"), serde_json::json!({ "start_time": ago(90).to_string() }));
    Zoom::to(&bridge).story([webhook("webinar.created", ago(100).get(), over)]).await;
    bridge.settled().await;
    assert!(!setting.event("1").input.event_completed);
    assert_eq!(bridge.terminate(), Some(0));
    // Its timer has run out, and there is no source that says so.
    let store = rusqlite::Connection::open(setting.store()).expect("it opens");
    store.execute("UPDATE events SET due_at = 1000", ()).expect("it is written");
    drop(store);
    setting.configure("complete_after_end = \"100d\"", "complete_after_end = \"1s\"");
    setting.configure("[source.zoom]", "[source.acme-zoom]");
    let bridge = setting.start_with_arguments(&["--accept-rekey"], &[]);
    eventually("the timers were run", async || {
        let store = rusqlite::Connection::open(setting.store()).expect("it opens");
        store.query_row("SELECT due_at > 1000 FROM events", (), |row| row.get(0)).expect("read")
    })
    .await;
    assert!(bridge.logged().contains("source.zoom is not configured any more"));
    assert!(!setting.event("1").input.event_completed);
    assert_eq!(bridge.terminate(), Some(0));
    let (code, output) = setting.run(&["check"]).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("warning: source.zoom is not configured any more"), "{output}");

    setting.configure("[source.acme-zoom]", "[source.zoom]");
    let _bridge = setting.start();
    eventually("it is completed", async || setting.event("1").input.event_completed).await;
}

/// A setting with a delivered event of `[hubspot.main]`, which has another name by now.
async fn with_renamed_account() -> Setting {
    let setting = Setting::with(generous(), FAST, "");
    let bridge = setting.start();
    Zoom::to(&bridge).story([created(1, "One", at(0))]).await;
    bridge.settled().await;
    assert_eq!(bridge.terminate(), Some(0));
    setting.configure("[hubspot.main]", "[hubspot.portal]");
    setting
}

/// A partial update is complete with what is known.
async fn assert_account_goes_on(bridge: &Bridge, hubspot: &HubSpotServer) {
    Zoom::to(bridge).story([renamed(1, "Two", at(10))]).await;
    bridge.settled().await;
    let held = hubspot.emulator().events()[&(ACCOUNT.to_owned(), "1".to_owned())].input.clone();
    assert_eq!((held.event_name.as_str(), held.start_date_time), ("Two", Some(planned(0))));
    assert_eq!(scrape(&bridge.ops).await.events("portal", "delivered"), 1);
    let shown = request(&bridge.ops, "GET /api/v1/events?hubspot=portal", &[], &[]).await;
    assert_eq!(shown.expect("answered").json()["events"].as_array().map(Vec::len), Some(1));
}

/// B6, M30: the credentials are the same, so it is the same account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renamed_account_goes_on_with_its_events() {
    for arguments in [&[][..], &["--accept-rekey"]] {
        let setting = with_renamed_account().await;
        let (code, output) = setting.run(&["check"]).await;
        assert_eq!(code, Some(0), "{output}");
        let said = "hubspot.portal takes the place of hubspot.main: its credentials are the same";
        assert!(output.contains(said), "{output}");
        let bridge = setting.start_with_arguments(arguments, &[]);
        assert_account_goes_on(&bridge, &setting.hubspot).await;
    }
}

/// B6, M30: other credentials of the same portal, which HubSpot tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_of_the_same_portal_goes_on_with_the_events_of_one_that_is_gone() {
    let open = |settings: EmulatorSettings| {
        HubSpotServer::open(settings, Arc::new(SystemClock)).expect("the server listens")
    };
    let gateway = open(generous());
    let other_portal = open(EmulatorSettings { portal_id: 7, ..generous() });
    for arguments in [&[][..], &["--accept-rekey"]] {
        let setting = with_renamed_account().await;
        let (code, output) = setting.run(&["check", "--online"]).await;
        assert_eq!(code, Some(0), "{output}");
        setting.configure(&setting.hubspot.base_url(), &other_portal.base_url());
        let (code, output) = setting.run(&["check", "--online"]).await;
        assert_eq!(code, Some(2), "another portal: {output}");
        setting.configure(&other_portal.base_url(), &gateway.base_url());
        let (code, output) = setting.run(&["check"]).await;
        assert_eq!(code, Some(2), "HubSpot is not asked: {output}");
        let (code, output) = setting.run(&["check", "--online"]).await;
        assert_eq!(code, Some(0), "{output}");
        let said = "hubspot.portal takes the place of hubspot.main: it is the same portal";
        assert!(output.contains(said), "{output}");
        let bridge = setting.start_with_arguments(arguments, &[]);
        assert_account_goes_on(&bridge, &gateway).await;
    }
    gateway.close();
    other_portal.close();
}

/// B6, M30: HubSpot does not say whose account it is, so nothing is written under the new name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_account_waits_for_hubspots_word_or_formerly() {
    let setting = with_renamed_account().await;
    let url = setting.hubspot.base_url();
    setting.configure(&url, "http://127.0.0.1:9");
    let (code, output) = setting.run(&["serve", "--accept-rekey"]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("set formerly in [hubspot.portal]"), "{output}");
    setting.configure("http://127.0.0.1:9", &url);
    setting.configure("[hubspot.portal]", "[hubspot.portal]\nformerly = [\"main\"]");
    let bridge = setting.start();
    assert_account_goes_on(&bridge, &setting.hubspot).await;
}

//! Renamed sources and accounts.

use super::{FAST, generous};
use crate::harness::eventually;
use crate::harness::http::{request, scrape};
use crate::harness::process::Setting;
use crate::harness::zoom::{Zoom, ago, at, created, planned, renamed, webhook, webinar, with};

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

/// B6, M30.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renamed_account_goes_on_with_its_events() {
    let setting = Setting::with(generous(), FAST, "");
    let bridge = setting.start();
    Zoom::to(&bridge).story([created(1, "One", at(0))]).await;
    bridge.settled().await;
    assert_eq!(bridge.terminate(), Some(0));
    setting.configure("[hubspot.main]", "[hubspot.portal]");
    let (code, output) = setting.run(&["check"]).await;
    assert_eq!(code, Some(2), "{output}");
    setting.configure("[hubspot.portal]", "[hubspot.portal]\nformerly = [\"main\"]");
    let bridge = setting.start();
    // A partial update is complete with what is known.
    Zoom::to(&bridge).story([renamed(1, "Two", at(10))]).await;
    bridge.settled().await;
    let held = setting.event("1").input;
    assert_eq!((held.event_name.as_str(), held.start_date_time), ("Two", Some(planned(0))));
    assert_eq!(scrape(&bridge.ops).await.events("portal", "delivered"), 1);
    let shown = request(&bridge.ops, "GET /api/v1/events?hubspot=portal", &[], &[]).await;
    assert_eq!(shown.expect("answered").json()["events"].as_array().map(Vec::len), Some(1));
}

//! Several sources of one account.

use serde_json::json;

use super::{FAST, generous};
use crate::harness::http::request;
use crate::harness::process::{SECRET, Setting};
use crate::harness::zoom::{Zoom, at, created, payload, planned, webhook, webinar};

/// A11, M29.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_heard_by_a_source_without_organizer_is_delivered() {
    let more = "[source.another]\nprovider = \"zoom\"\nsecret = { env = \"TEST_SECRET\" }";
    let setting = Setting::with(generous(), FAST, more);
    let bridge = setting.start();
    let (zoom, another) = (Zoom::to(&bridge), Zoom::to_source(&bridge, "another"));
    zoom.story([created(1, "One", at(0))]).await;
    bridge.settled().await;
    let off = payload(
        webhook("webinar.deleted", at(10), webinar(1, "One")),
        json!({ "operation": "all" }),
    );
    for sender in [&another, &zoom] {
        sender.story([off.clone()]).await;
    }
    bridge.settled().await;
    let held = setting.event("1").input;
    assert_eq!((held.event_cancelled, held.event_organizer.as_str()), (true, "Acme GmbH"));
}

/// A12, M28.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_sources_with_one_account_and_id_are_kept_apart() {
    let source = |name: &str, map: &str, more: &str| {
        format!(
            "[source.{name}]\nprovider = \"custom\"\nsecret = {{ env = \"TEST_SECRET\" }}\norganizer = \"Acme\"\n\
             verify = {{ scheme = \"bearer\" }}\nmap = {{ event_id = \"payload.id\", name = \"payload.title\", \
             start = \"payload.start\", end = \"payload.end\", {map} }}\n{more}\n"
        )
    };
    let account = "account = \"payload.account\"";
    let off = "cancelled = \"payload.off\"";
    let fixed = "external_account_id = \"acme\"";
    let sources = source("bees", off, fixed) + &source("wasps", &format!("{account}, {off}"), "");
    let setting = Setting::with(generous(), FAST, &sources);
    let bridge = setting.start();
    let headers = [("authorization".to_owned(), format!("Bearer {SECRET}"))];
    let tell = async |source: &str, title: &str, off: bool| {
        let body = json!({
            "id": 4711, "title": title, "account": "acme", "off": off,
            "start": planned(0).to_string(), "end": planned(60).to_string(),
        });
        let line = format!("POST /webhooks/{source}");
        let body = body.to_string().into_bytes();
        request(&bridge.webhooks, &line, &headers, &body).await.expect("it is answered").word()
    };
    assert_eq!(tell("bees", "Bees", false).await, "accepted");
    assert_eq!(tell("wasps", "Wasps", false).await, "quarantined");
    assert_eq!(tell("wasps", "Wasps", true).await, "quarantined");
    bridge.settled().await;
    let held = setting.held_of("acme").remove("4711").expect("the event is in HubSpot").input;
    assert_eq!((held.event_name.as_str(), held.event_cancelled), ("Bees", false));
    assert_eq!(bridge.terminate(), Some(0));

    // The configuration shows that both would make the same event.
    setting.configure(&format!("{account}, {off}"), off);
    setting.configure("[source.wasps]\n", &format!("[source.wasps]\n{fixed}\n"));
    let (code, output) = setting.run(&["check"]).await;
    assert_eq!(code, Some(2), "{output}");
    assert!(
        output.contains("source.wasps.external_account_id: is that of source.bees"),
        "{output}"
    );
    let shared = "[source.wasps]\nshares_events_with = [\"bees\"]\n";
    setting.configure("[source.wasps]\n", shared);
    let (code, output) = setting.run(&["check"]).await;
    assert_eq!(code, Some(0), "{output}");
}

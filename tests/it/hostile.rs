//! Malicious senders against the real program: none crashes it, fills its disk or memory, or denies service to others.

mod bodies;
mod crowd;
mod disk;
mod requests;
mod wal;

use webinar_bridge::sandbox::hubspot_server::HubSpotServer;

use crate::harness::eventually;
use crate::harness::process::{Bridge, Setting};
use crate::harness::wire::{self, created};

/// The path of the tests' source.
const ZOOM: &str = "/webhooks/zoom";

/// A value of the bridge's metrics. `series` is the name with its labels, as printed.
async fn metric(bridge: &Bridge, series: &str) -> f64 {
    let page = wire::get(&bridge.ops, "/metrics").await.body;
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in {page}")).parse().expect("a number")
}

/// The event's name in HubSpot, if HubSpot has the event.
fn name_at_hubspot(hubspot: &HubSpotServer, id: u64) -> Option<String> {
    let emulator = hubspot.emulator();
    let event = emulator.events().get(&("acct".to_owned(), id.to_string()))?;
    Some(event.input.event_name.clone())
}

/// Asserts that the bridge runs, has not panicked, and still delivers.
async fn assert_still_works(setting: &Setting, bridge: &Bridge, id: u64) {
    assert_eq!(wire::get(&bridge.ops, "/livez").await.status, 200);
    let answer = wire::ask(&bridge.webhooks, &wire::webhook(ZOOM, &created(id, "After", ""))).await;
    assert_eq!(answer.status_and_body(), (200, r#"{"status":"accepted"}"#));
    eventually("the event is delivered", async || {
        name_at_hubspot(&setting.hubspot, id).as_deref() == Some("After")
    })
    .await;
    let logged = bridge.logged();
    assert!(!logged.contains("panicked"), "{logged}");
    assert_eq!(setting.hubspot.emulator().violations(), [""; 0]);
}

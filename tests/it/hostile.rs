//! Senders that mean no good, against the real program: none of them ends it, fills it, or takes it from the others.

mod bodies;
mod crowd;
mod disk;
mod requests;
mod wal;

use webinar_bridge::sandbox::hubspot_server::HubSpotServer;

use crate::harness::eventually;
use crate::harness::process::{Bridge, Setting};
use crate::harness::wire::{self, created};

/// Where the source of the tests is.
const ZOOM: &str = "/webhooks/zoom";

/// A number in the bridge's metrics; `series` is the name with its labels, as written there.
async fn metric(bridge: &Bridge, series: &str) -> f64 {
    let page = wire::get(&bridge.ops, "/metrics").await.body;
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in {page}")).parse().expect("a number")
}

/// What HubSpot calls the event, if it knows it.
fn name_at_hubspot(hubspot: &HubSpotServer, id: u64) -> Option<String> {
    let emulator = hubspot.emulator();
    let event = emulator.events().get(&("acct".to_owned(), id.to_string()))?;
    Some(event.name.clone())
}

/// After whatever was done to it: it lives, has not panicked, and does its work.
async fn still_works(setting: &Setting, bridge: &Bridge, id: u64) {
    assert_eq!(wire::get(&bridge.ops, "/livez").await.status, 200);
    let answer = wire::ask(&bridge.webhooks, &wire::webhook(ZOOM, &created(id, "After", ""))).await;
    assert_eq!(answer.told(), (200, r#"{"status":"accepted"}"#));
    eventually("it is delivered", async || {
        name_at_hubspot(&setting.hubspot, id).as_deref() == Some("After")
    })
    .await;
    let logged = bridge.logged();
    assert!(!logged.contains("panicked"), "{logged}");
    assert_eq!(setting.hubspot.emulator().violations(), [""; 0]);
}

//! Delivery from end to end, with the real program over real HTTP: webhooks become events in HubSpot.
//!
//! Each test sends webhooks to a bridge, waits until nothing is pending, and checks what the emulated HubSpot holds.
//! Each also fails if HubSpot was ever sent something invalid.

mod accounts;
mod adapting;
mod base;
mod counts;
mod doors;
mod endings;
mod faults;
mod filtering;
mod guilty;
mod order;
mod over_time;
mod privacy;
mod renaming;
mod repetition;
mod series;
mod sharing;
mod silent_batches;
mod single;
mod stopping;

use std::time::Duration;

use serde_json::Value;
use webinar_bridge::sandbox::emulator::EmulatorSettings;

use crate::harness::http::request;
use crate::harness::process::{Bridge, Setting, TOKEN};
use crate::harness::zoom::ACCOUNT;

/// Settings for tests that are not about the rate limit: no call waits for another.
const FAST: &str = "rate_limit = { requests = 10000, window = \"10s\" }";

/// Settings of an emulated HubSpot for [`FAST`].
fn generous() -> EmulatorSettings {
    EmulatorSettings { rate: (10_000, Duration::from_secs(10)), ..EmulatorSettings::new(TOKEN) }
}

/// All events in HubSpot, and whether each is cancelled.
fn cancelled(setting: &Setting) -> Vec<(String, bool)> {
    setting.held().into_iter().map(|(id, event)| (id, event.input.event_cancelled)).collect()
}

fn states(states: &[(&str, bool)]) -> Vec<(String, bool)> {
    states.iter().map(|(id, cancelled)| ((*id).to_owned(), *cancelled)).collect()
}

/// The state and the gaps of an event as the API shows them.
async fn state_and_gaps(bridge: &Bridge, id: &str) -> (Value, Value) {
    let line = format!("GET /api/v1/events/main/{ACCOUNT}/{id}");
    let answer = request(&bridge.ops, &line, &[], b"").await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let event = answer.json();
    (event["state"].clone(), event["gaps"].clone())
}

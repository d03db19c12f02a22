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

use webinar_bridge::sandbox::emulator::EmulatorSettings;

use crate::harness::process::TOKEN;

/// Settings for tests that are not about the rate limit: no call waits for another.
const FAST: &str = "rate_limit = { requests = 10000, window = \"10s\" }";

/// Settings of an emulated HubSpot for [`FAST`].
fn generous() -> EmulatorSettings {
    EmulatorSettings { rate: (10_000, Duration::from_secs(10)), ..EmulatorSettings::new(TOKEN) }
}

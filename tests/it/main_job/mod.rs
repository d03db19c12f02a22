//! The main job, with the real program over real HTTP: what platforms say ends up in HubSpot.
//!
//! Each test tells a bridge something, waits until the bridge says that nothing is left to do, and looks at what the
//! emulated HubSpot holds. Every one of them also fails if HubSpot was ever sent what must not be sent.

mod accounts;
mod adapting;
mod counts;
mod doors;
mod endings;
mod faults;
mod filtering;
mod order;
mod privacy;
mod series;
mod single;
mod stopping;

use std::time::Duration;

use webinar_bridge::sandbox::emulator::EmulatorSettings;

use crate::harness::process::TOKEN;

/// For tests that are not about the pace: no call waits for another.
const FAST: &str = "rate_limit = { requests = 10000, window = \"10s\" }";

/// The HubSpot that goes with [`FAST`].
fn generous() -> EmulatorSettings {
    EmulatorSettings { rate: (10_000, Duration::from_secs(10)), ..EmulatorSettings::new(TOKEN) }
}

//! A year in virtual time: webinars of all platforms with an API live and end, an operator works, machines fail, and every
//! evening HubSpot holds what a person would expect.
//!
//! One process, one thread, paused time. The bridge is the real one but for its sockets. Equal seeds give equal years;
//! `BRIDGE_YEAR_SEED` runs another one.
//!
//! * `truth`: what the platforms know; `platforms`: how each tells it, by webhooks and by its API;
//! * `script`: what happens, drawn from the seed; `settings`: the configuration of the day;
//! * `world`: everything except the bridge; `wire`: the bridge's calls; `bridge`: the bridge;
//! * `run`: carries the script out; `expected`: what HubSpot should hold; `figures`: what it cost.

mod bridge;
mod expected;
mod figures;
mod platforms;
mod run;
mod script;
mod settings;
mod truth;
mod wire;
mod world;

use crate::harness::tell;
use script::Extent;

/// All kinds of faults fit into it.
const WEEKS: Extent = Extent { days: 49, webinars: 40, series: 8 };
const YEAR: Extent = Extent { days: 365, webinars: 200, series: 40 };

fn seed(otherwise: u64) -> u64 {
    let set = std::env::vars().find(|(name, _)| name == "BRIDGE_YEAR_SEED");
    set.and_then(|(_, text)| text.parse().ok()).unwrap_or(otherwise)
}

fn live_through(seed: u64, extent: Extent) {
    match run::live(seed, extent) {
        Ok(figures) => tell(&format!("{} days, seed {seed}: {figures}", extent.days)),
        Err(difference) => panic!("seed {seed}: {difference}"),
    }
}

#[test]
fn hubspot_is_right_every_evening_for_seven_weeks() {
    live_through(seed(1), WEEKS);
}

#[test]
fn one_seed_gives_the_same_weeks_each_time() {
    let days = Extent { days: 9, webinars: 12, series: 4 };
    let (one, other) = (run::live(2, days), run::live(2, days));
    assert_eq!(one, other);
}

#[test]
#[ignore = "long; make soak"]
fn hubspot_is_right_every_evening_for_a_year() {
    live_through(seed(1), YEAR);
}

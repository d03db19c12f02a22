//! The real program is killed at random points under load. Whatever it answered 200 reaches HubSpot after the restart.

use std::time::Duration;

use webinar_bridge::sandbox::emulator::EmulatorSettings;

use crate::harness::dice::Dice;
use crate::harness::eventually;
use crate::harness::http::scrape;
use crate::harness::process::{Setting, TOKEN};
use crate::harness::senders::Senders;

/// Most answers in a round before the kill.
const ROUND: usize = 160;

async fn crash(rounds: usize, seed: u64) {
    let rate = (100_000, Duration::from_secs(10));
    let hubspot = EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) };
    let account = "rate_limit = { requests = 100000, window = \"10s\" }";
    let setting = Setting::with(hubspot, account, "");
    let mut dice = Dice::seeded(seed);
    let mut senders = Senders::new();
    let mut answered = 0;
    for _ in 0..rounds {
        let bridge = setting.start();
        let load = senders.send_to(&bridge);
        let enough = 1 + dice.below(ROUND);
        eventually("there is load", async || load.answered() >= enough).await;
        bridge.kill();
        answered += load.answered();
        senders = load.ended().await;
        // Every other time it is killed again while it makes up for it.
        if dice.below(2) == 0 {
            let bridge = setting.start();
            let calls = setting.hubspot.emulator().calls().len();
            let more = dice.below(3);
            eventually("it makes up for it", async || {
                let called = setting.hubspot.emulator().calls().len();
                called >= calls + more || scrape(&bridge.ops).await.events("main", "pending") == 0
            })
            .await;
            bridge.kill();
        }
        let bridge = setting.start();
        bridge.settled().await;
        senders.check(&setting);
        assert_eq!(bridge.terminate(), Some(0));
    }
    assert!(answered >= rounds, "{answered} answers in {rounds} rounds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_kill_at_any_point() {
    crash(12, 1).await;
}

/// `BRIDGE_SOAK_ROUNDS` rounds, or 100; `BRIDGE_SOAK_SEED` for others than the usual.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn what_was_answered_survives_many_kills() {
    let variables: std::collections::BTreeMap<String, String> = std::env::vars().collect();
    let number = |name: &str| variables.get(name).and_then(|text| text.parse::<u64>().ok());
    let rounds = number("BRIDGE_SOAK_ROUNDS").unwrap_or(100);
    let seed = number("BRIDGE_SOAK_SEED").unwrap_or(2);
    crash(usize::try_from(rounds).expect("it fits"), seed).await;
}

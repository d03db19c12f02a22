//! The real program is killed at random points under load. Whatever it answered 200 reaches HubSpot after the restart.

use std::time::Duration;

use webinar_bridge::http::simple_server::ResponseFault;
use webinar_bridge::sandbox::emulator::{EmulatorFault, EmulatorSettings, HANG};

use crate::harness::disk::SmallDisk;
use crate::harness::http::scrape;
use crate::harness::process::{Setting, TOKEN};
use crate::harness::rng::SeededRng;
use crate::harness::senders::Senders;
use crate::harness::{eventually, tell};

/// Most answers in a round before the kill.
const ROUND: usize = 160;

async fn crash(rounds: usize, seed: u64) {
    let rate = (100_000, Duration::from_secs(10));
    let hubspot = EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) };
    let account = "rate_limit = { requests = 100000, window = \"10s\" }";
    let setting = Setting::with(hubspot, account, "");
    let mut rng = SeededRng::from_seed(seed);
    let mut senders = Senders::new();
    let mut answered = 0;
    for _ in 0..rounds {
        let bridge = setting.start();
        let load = senders.send_to(&bridge);
        let enough = 1 + rng.below(ROUND);
        eventually("there is load", async || load.answered() >= enough).await;
        bridge.kill();
        answered += load.answered();
        senders = load.ended().await;
        // Every other time it is killed again while it makes up for it.
        if rng.below(2) == 0 {
            let bridge = setting.start();
            let calls = setting.hubspot.emulator().calls().len();
            let more = rng.below(3);
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

/// What HubSpot does to a call, and how it may go wrong.
fn fault(rng: &mut SeededRng, pausing: bool) -> EmulatorFault {
    let stored = rng.below(2) == 0;
    let retry_after = [None, Some(1)][rng.below(2)];
    let status = [408, 423, 429, 500, 502, 503, 504][rng.below(7)];
    // Whose names those are is as good as chance.
    let name = format!(" {}", rng.below(10));
    match rng.below(if pausing { 9 } else { 8 }) {
        0 | 1 => EmulatorFault::Status { status, retry_after },
        2 => EmulatorFault::Transport { fault: HANG, stored },
        3 => EmulatorFault::Transport { fault: ResponseFault::Reset, stored },
        4 => EmulatorFault::Transport { fault: ResponseFault::Truncate, stored },
        5 => EmulatorFault::NoResults("COMPLETE"),
        6 => EmulatorFault::PartialErrors { name, identified: stored },
        7 => EmulatorFault::RejectNames(name),
        _ => EmulatorFault::Status { status: 403, retry_after: None },
    }
}

/// Everything at once: HubSpot fails in every way, the process is killed, and the disk is full for a while. When all is
/// well again HubSpot holds what was answered.
async fn storm(rounds: usize, seed: u64, pausing: bool) {
    let rate = (100_000, Duration::from_secs(10));
    let hubspot = EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) };
    let account =
        "rate_limit = { requests = 100000, window = \"10s\" }\nrequest_timeout = \"300ms\"";
    let setting = Setting::with(hubspot, account, "");
    let disk = SmallDisk::mount(&setting.folder.path().join("data"), "128m");
    if disk.is_none() {
        tell("the disk is never full here: mounting a tmpfs is not permitted");
    }
    let mut rng = SeededRng::from_seed(seed);
    let mut senders = Senders::new();
    let (mut faults, mut full) = (0, 0);
    for _ in 0..rounds {
        let bridge = setting.start();
        let load = senders.send_to(&bridge);
        for _ in 0..=rng.below(8) {
            let enough = load.answered() + 1 + rng.below(40);
            setting.hubspot.emulator().inject(fault(&mut rng, pausing));
            faults += 1;
            eventually("there is load", async || load.answered() >= enough).await;
        }
        let filler = (rng.below(2) == 0).then(|| disk.as_ref().map(SmallDisk::fill)).flatten();
        if let Some(filler) = filler {
            full += 1;
            let refused = load.refused();
            eventually("the disk is full", async || load.refused() > refused + 16).await;
            // Killed in it, or after it.
            if rng.below(2) == 0 {
                let enough = load.answered() + 20;
                std::fs::remove_file(&filler).expect("it is there");
                eventually("it goes on", async || load.answered() >= enough).await;
                bridge.kill();
            } else {
                bridge.kill();
                std::fs::remove_file(&filler).expect("it is there");
            }
        } else {
            bridge.kill();
        }
        senders = load.ended().await;
    }
    setting.hubspot.emulator().clear_faults();
    // What HubSpot refused for good is sent again once it changes.
    let bridge = setting.start();
    let load = senders.send_to(&bridge);
    eventually("everything changes once more", async || load.answered() >= 400).await;
    senders = load.stop().await;
    // An account that was paused is asked again after a minute.
    bridge.settled_within(Duration::from_secs(100)).await;
    assert_eq!(scrape(&bridge.ops).await.events("main", "dead"), 0);
    senders.check(&setting);
    assert_eq!(bridge.terminate(), Some(0));
    tell(&format!(
        "{rounds} kills, {faults} faults of HubSpot's, {full} times a full disk: nothing lost"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_kills_faults_and_a_full_disk() {
    storm(20, 3, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn what_was_answered_survives_a_long_storm() {
    let (rounds, seed) = soak(60, 4);
    storm(rounds, seed, true).await;
}

/// `BRIDGE_SOAK_ROUNDS` and `BRIDGE_SOAK_SEED`, or the usual.
fn soak(rounds: usize, seed: u64) -> (usize, u64) {
    let variables: std::collections::BTreeMap<String, String> = std::env::vars().collect();
    let number = |name: &str| variables.get(name).and_then(|text| text.parse::<u64>().ok());
    let rounds = number("BRIDGE_SOAK_ROUNDS")
        .map_or(rounds, |rounds| usize::try_from(rounds).expect("it fits"));
    (rounds, number("BRIDGE_SOAK_SEED").unwrap_or(seed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn what_was_answered_survives_many_kills() {
    let (rounds, seed) = soak(100, 2);
    crash(rounds, seed).await;
}

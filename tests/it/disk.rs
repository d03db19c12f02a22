//! The disk fails under load, in every way that can be had here: nothing that was answered is lost, the service reports
//! the reason, and it recovers by itself.
//!
//! Each test has a disk of its own on a loop device, which takes root, and the programs of `harness/disk.rs`. They
//! belong to `make soak`.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;
use webinar_bridge::sandbox::emulator::EmulatorSettings;

use crate::harness::disk::{Disk, Failing, Kind, possible};
use crate::harness::process::{Bridge, Setting, TOKEN};
use crate::harness::rng::SeededRng;
use crate::harness::senders::{Load, Senders};
use crate::harness::wire::{self, ask, created, webhook};
use crate::harness::{eventually, tell};

const ZOOM: &str = "/webhooks/zoom";

fn setting() -> Setting {
    let rate = (100_000, Duration::from_secs(10));
    let hubspot = EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) };
    Setting::with(hubspot, "rate_limit = { requests = 100000, window = \"10s\" }", "")
}

fn data(setting: &Setting) -> PathBuf {
    setting.folder.path().join("data")
}

/// Waits until so many more were answered.
async fn wait_for_answers(load: &Load, more: usize) {
    let enough = load.answered() + more;
    eventually("there is load", async || load.answered() >= enough).await;
}

/// Waits until `/readyz` answers 503 with these words, while everything else answers; returns its body.
async fn wait_until_unready(bridge: &Bridge, words: &str) -> String {
    let reasons = Mutex::new(String::new());
    eventually(&format!("it is unready: {words}"), async || {
        let answer = wire::get(&bridge.ops, "/readyz").await;
        reasons.lock().expect("nobody panics").clone_from(&answer.body);
        answer.status == 503 && answer.body.contains(words)
    })
    .await;
    assert_eq!(wire::get(&bridge.ops, "/livez").await.status, 200);
    assert_eq!(wire::get(&bridge.ops, "/metrics").await.status, 200);
    reasons.into_inner().expect("nobody panics")
}

/// Checks that a webhook is answered 503 now.
async fn assert_unavailable(bridge: &Bridge, id: u64) {
    let answer = ask(&bridge.webhooks, &webhook(ZOOM, &created(id, "Refused", ""))).await;
    assert_eq!(answer.status_and_body(), (503, r#"{"error":"unavailable"}"#));
    assert_eq!(answer.header("retry-after"), Some("5"));
}

/// Waits until it is ready again, and reports how long that took.
async fn wait_until_ready(bridge: &Bridge, what: &str) {
    let began = Instant::now();
    eventually("it is ready by itself", async || {
        wire::get(&bridge.ops, "/readyz").await.status == 200
    })
    .await;
    tell(&format!("{what}: ready again after {:.1} s", began.elapsed().as_secs_f64()));
}

/// At the end of a fault that was survived: everything answered is at HubSpot now, and in the store after a kill.
async fn assert_nothing_lost(setting: &Setting, bridge: Bridge, load: Load) {
    wait_for_answers(&load, 50).await;
    let senders = load.stop().await;
    bridge.settled().await;
    senders.check(setting);
    bridge.kill();
    sound(&data(setting).join("bridge.db"), setting.folder.path());
    let bridge = setting.start();
    bridge.settled().await;
    senders.check(setting);
    let load = senders.send_to(&bridge);
    wait_for_answers(&load, 50).await;
    let senders = load.stop().await;
    bridge.settled().await;
    senders.check(setting);
    assert_eq!(bridge.terminate(), Some(0));
}

/// Fails unless a copy of the store, its WAL with it, is whole. A copy: looking would tidy it up.
fn sound(store: &Path, scratch: &Path) {
    let copy = scratch.join("copy.db");
    let wal = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    drop(std::fs::remove_file(wal(&copy)));
    std::fs::copy(store, &copy).expect("it is there");
    if wal(store).exists() {
        std::fs::copy(wal(store), wal(&copy)).expect("it is there");
    }
    let connection = Connection::open(&copy).expect("it opens");
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .expect("it can be checked");
    assert_eq!(verdict, "ok");
}

/// The power goes: first the process does nothing any more, so that whatever it answered was answered before; then
/// what the kernel has not written yet is gone.
fn cut(disk: &Disk, bridge: Bridge) {
    bridge.freeze();
    disk.lose_power();
    bridge.kill();
}

/// Numbers from the environment of `make soak`, or the usual ones.
fn soak(name: &str, usual: usize) -> usize {
    let value = std::env::vars().find(|(known, _)| known == name);
    value.and_then(|(_, value)| value.parse().ok()).unwrap_or(usual)
}

/// The power is cut at random moments, the first of them right after the very first answer.
async fn power_cuts(kind: Kind) {
    let setting = setting();
    let disk = Disk::make(kind, &data(&setting));
    // A folder in a folder: their entries are to be durable as well.
    let store = disk.mount.join("new/folder/bridge.db");
    let url = format!("sqlite:{}", store.display());
    let start = || setting.start_with(&[("BRIDGE__STORE__URL", &url)]);
    let mut rng = SeededRng::from_seed(7);
    let mut senders = Senders::new();
    let mut answered = 0;
    for round in 0..soak("BRIDGE_SOAK_CUTS", 12) {
        let bridge = start();
        let load = senders.send_to(&bridge);
        let most = [1, 40, 400, 2_000][round % 4];
        wait_for_answers(&load, if round == 0 { 1 } else { 1 + rng.below(most) }).await;
        cut(&disk, bridge);
        answered += load.answered();
        senders = load.ended().await;
        disk.unmount();
        disk.mount();
        sound(&store, setting.folder.path());
        let bridge = start();
        bridge.settled().await;
        senders.check(&setting);
        assert_eq!(bridge.terminate(), Some(0));
    }
    tell(&format!("{kind}: power cut after {answered} answers in all, nothing lost"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts disks; make soak"]
async fn a_power_cut_loses_nothing_that_was_answered() {
    if !possible("a_power_cut_loses_nothing_that_was_answered") {
        return;
    }
    for kind in [Kind::Ext4, Kind::Xfs] {
        power_cuts(kind).await;
    }
}

/// The strictest: HubSpot has confirmed nothing yet, so only the store can know what was answered at the first start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts disks; make soak"]
async fn a_power_cut_right_after_the_first_answer_loses_nothing() {
    if !possible("a_power_cut_right_after_the_first_answer_loses_nothing") {
        return;
    }
    for kind in [Kind::Ext4, Kind::Xfs] {
        let setting = Setting::with(EmulatorSettings::new(TOKEN), "deliver = false", "");
        let disk = Disk::make(kind, &data(&setting));
        let store = disk.mount.join("new/folder/bridge.db");
        let url = format!("sqlite:{}", store.display());
        let bridge = setting.start_with(&[("BRIDGE__STORE__URL", &url)]);
        let first = created(1, "First", "");
        assert_eq!(ask(&bridge.webhooks, &webhook(ZOOM, &first)).await.status, 200);
        cut(&disk, bridge);
        disk.unmount();
        disk.mount();
        sound(&store, setting.folder.path());
        let bridge = setting.start_with(&[("BRIDGE__STORE__URL", &url)]);
        let answer = ask(&bridge.webhooks, &webhook(ZOOM, &first)).await;
        assert_eq!(
            answer.status_and_body(),
            (200, r#"{"status":"duplicate"}"#),
            "{kind}: it was kept"
        );
        bridge.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts disks; make soak"]
async fn a_disk_that_is_full_for_a_while_loses_nothing() {
    if !possible("a_disk_that_is_full_for_a_while_loses_nothing") {
        return;
    }
    for kind in [Kind::Ext4, Kind::Xfs] {
        let setting = setting();
        let disk = Disk::make(kind, &data(&setting));
        let bridge = setting.start();
        let load = Senders::new().send_to(&bridge);
        wait_for_answers(&load, 200).await;
        let mut filler = disk.fill();
        let reasons = loop {
            // A file system keeps some room back and gives it to whoever comes later.
            let unready = wire::get(&bridge.ops, "/readyz").await;
            if unready.status == 503 {
                break wait_until_unready(&bridge, "no space left").await;
            }
            filler = disk.fill();
        };
        assert!(reasons.contains("make room"), "{reasons}");
        let refused = load.refused();
        eventually("senders are turned away", async || load.refused() > refused + 20).await;
        assert_unavailable(&bridge, 9_000).await;
        std::fs::remove_file(&filler).expect("it is there");
        wait_until_ready(&bridge, &format!("{kind}, full disk")).await;
        assert_nothing_lost(&setting, bridge, load).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts disks; make soak"]
async fn a_log_that_cannot_be_synced_loses_nothing() {
    if !possible("a_log_that_cannot_be_synced_loses_nothing") {
        return;
    }
    for (kind, and_power) in [(Kind::Ext4, false), (Kind::Ext4, true), (Kind::Xfs, true)] {
        let setting = setting();
        let disk = Disk::make(kind, &data(&setting));
        let mut bridge = setting.start();
        let mut load = Senders::new().send_to(&bridge);
        for _ in 0..3 {
            wait_for_answers(&load, 200).await;
            let failing = Failing::syncs(&bridge, &disk.mount.join("bridge.db-wal"));
            wait_until_unready(&bridge, "I/O error").await;
            assert_unavailable(&bridge, 9_000).await;
            failing.end();
            wait_until_ready(&bridge, &format!("{kind}, WAL not synced")).await;
            if and_power {
                // What was answered since must not rest on what the failed syncs left behind.
                wait_for_answers(&load, 1).await;
                cut(&disk, bridge);
                let senders = load.ended().await;
                disk.unmount();
                disk.mount();
                sound(&disk.mount.join("bridge.db"), setting.folder.path());
                bridge = setting.start();
                bridge.settled().await;
                senders.check(&setting);
                load = senders.send_to(&bridge);
            }
        }
        assert_nothing_lost(&setting, bridge, load).await;
    }
}

/// Some megabytes for the WAL, so that it is copied back.
async fn fill_wal(bridge: &Bridge, from: u64) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for id in from..from + 60 {
        let mut noise = vec![0; 90_000];
        rand::fill(&mut noise[..]);
        let body = created(id, "Large", &format!("\"agenda\":\"{}\"", hex::encode(noise)));
        assert_eq!(ask(&bridge.webhooks, &webhook(ZOOM, &body)).await.status, 200);
        bodies.push(body);
    }
    bodies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts disks; make soak"]
async fn a_database_that_cannot_be_synced_loses_nothing() {
    if !possible("a_database_that_cannot_be_synced_loses_nothing") {
        return;
    }
    for kind in [Kind::Ext4, Kind::Xfs] {
        let setting = Setting::with(EmulatorSettings::new(TOKEN), "deliver = false", "");
        let disk = Disk::make(kind, &data(&setting));
        let bridge = setting.start();
        let mut bodies = fill_wal(&bridge, 1).await;
        let failing = Failing::syncs(&bridge, &disk.mount.join("bridge.db"));
        // What is answered is in the WAL, so webhooks are still taken; the log holds the error.
        let mut from = 1_000;
        let began = Instant::now();
        while !bridge.logged().contains("could not be checkpointed") {
            assert!(began.elapsed() < Duration::from_secs(30), "no checkpoint failed");
            bodies.extend(fill_wal(&bridge, from).await);
            from += 1_000;
        }
        failing.end();
        eventually("it is copied back", async || bridge.logged().contains("is checkpointed again"))
            .await;
        bodies.extend(fill_wal(&bridge, from).await);
        cut(&disk, bridge);
        disk.unmount();
        disk.mount();
        sound(&disk.mount.join("bridge.db"), setting.folder.path());
        let bridge = setting.start();
        for body in &bodies {
            let answer = ask(&bridge.webhooks, &webhook(ZOOM, body)).await;
            assert_eq!(
                answer.status_and_body(),
                (200, r#"{"status":"duplicate"}"#),
                "{kind}: it was kept"
            );
        }
        bridge.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts disks; make soak"]
async fn a_disk_that_hangs_for_a_while_loses_nothing() {
    if !possible("a_disk_that_hangs_for_a_while_loses_nothing") {
        return;
    }
    for kind in [Kind::Ext4, Kind::Xfs] {
        let setting = setting();
        let disk = Disk::make(kind, &data(&setting));
        let bridge = setting.start();
        let load = Senders::new().send_to(&bridge);
        wait_for_answers(&load, 200).await;
        disk.freeze();
        wait_until_unready(&bridge, "does not answer").await;
        assert_unavailable(&bridge, 9_000).await;
        disk.thaw();
        wait_until_ready(&bridge, &format!("{kind}, hanging disk")).await;
        assert_nothing_lost(&setting, bridge, load).await;
    }
}

/// Made read-only and writable again, as by hand with `remount`: what the process sees of it is put in its way, since
/// the kernel does it only with the whole machine's disks while files are open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts disks; make soak"]
async fn a_disk_that_is_read_only_for_a_while_loses_nothing() {
    if !possible("a_disk_that_is_read_only_for_a_while_loses_nothing") {
        return;
    }
    let setting = setting();
    let disk = Disk::make(Kind::Ext4, &data(&setting));
    let bridge = setting.start();
    let load = Senders::new().send_to(&bridge);
    wait_for_answers(&load, 200).await;
    let files = ["bridge.db", "bridge.db-wal", "bridge.db.lock"].map(|name| disk.mount.join(name));
    let failing = Failing::writes_read_only(&bridge, &files);
    let reasons = wait_until_unready(&bridge, "read-only").await;
    assert!(reasons.contains("continues by itself"), "{reasons}");
    assert_unavailable(&bridge, 9_000).await;
    failing.end();
    wait_until_ready(&bridge, "read-only").await;
    assert_nothing_lost(&setting, bridge, load).await;
}

/// The kernel makes the file system read-only for good after an error; only an unmount mends that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts disks; make soak"]
async fn a_file_system_that_the_kernel_gives_up_loses_nothing() {
    if !possible("a_file_system_that_the_kernel_gives_up_loses_nothing") {
        return;
    }
    let setting = setting();
    let disk = Disk::make(Kind::Ext4, &data(&setting));
    let mut senders = Senders::new();
    // The moment matters: from then on ext4's fsync may succeed without writing.
    for _ in 0..soak("BRIDGE_SOAK_CUTS", 12) {
        let bridge = setting.start();
        let load = senders.send_to(&bridge);
        wait_for_answers(&load, 200).await;
        disk.fail();
        let reasons = wait_until_unready(&bridge, "read-only").await;
        assert!(reasons.contains("fsck"), "{reasons}");
        assert_unavailable(&bridge, 9_000).await;
        bridge.kill();
        senders = load.ended().await;
        disk.unmount();
        disk.mount();
        sound(&disk.mount.join("bridge.db"), setting.folder.path());
        let bridge = setting.start();
        bridge.settled().await;
        senders.check(&setting);
        assert_eq!(bridge.terminate(), Some(0));
    }
    let bridge = setting.start();
    let load = senders.send_to(&bridge);
    wait_for_answers(&load, 200).await;
    disk.fail();
    wait_until_unready(&bridge, "read-only").await;
    let senders = load.stop().await;
    assert_eq!(bridge.terminate(), Some(0), "it can be stopped");
    disk.unmount();
    disk.mount();
    let bridge = setting.start();
    let load = senders.send_to(&bridge);
    assert_nothing_lost(&setting, bridge, load).await;
}

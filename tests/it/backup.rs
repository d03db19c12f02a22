//! `backup`: what was answered before it began is in the copy, and a bridge started on the copy goes on from there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use webinar_bridge::sandbox::emulator::EmulatorSettings;

use crate::harness::disk::SmallDisk;
use crate::harness::eventually;
use crate::harness::process::{Bridge, Setting, TOKEN};
use crate::harness::senders::Senders;
use crate::harness::tell;
use crate::harness::wire::{ask, created, webhook};
use crate::harness::zoom::{self, Zoom, at};

const BEFORE: u64 = 40;

/// Nothing is sent, so that only the copy can tell.
fn silent() -> Setting {
    Setting::with(EmulatorSettings::new(TOKEN), "deliver = false", "")
}

async fn accepted(bridge: &Bridge, id: u64) {
    let body = created(id, &format!("Event {id}"), "");
    assert_eq!(ask(&bridge.webhooks, &webhook("/webhooks/zoom", &body)).await.status, 200);
}

/// The files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_holds_what_was_answered_before_and_serves() {
    let setting = silent();
    let bridge = setting.start();
    for id in 1..=BEFORE {
        accepted(&bridge, id).await;
    }
    let load = Senders::new().send_to(&bridge);
    eventually("there is load", async || load.answered() >= 50).await;
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.db");
    let (code, said) = setting.run(&["backup", "--to", copy.to_str().expect("text")]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("schema 4, checked") && said.contains("pending: "), "{said}");
    assert_eq!(names(folder.path()), ["copy.db"], "nothing else is left");
    let mode = fs::metadata(&copy).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(load.stop().await);
    bridge.kill();

    // What was pending in the copy is read before it is sent: the original may have sent it since.
    let line = "rate_limit = { requests = 100000, window = \"10s\" }";
    let rate = (100_000, Duration::from_secs(10));
    let generous = EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) };
    let restored = Setting::with(generous, line, "");
    fs::create_dir_all(restored.store().parent().expect("a folder")).expect("made");
    fs::copy(&copy, restored.store()).expect("put in place");
    let bridge = restored.start();
    bridge.settled().await;
    let held = restored.held_of("acct");
    for id in 1..=BEFORE {
        let event = held.get(&id.to_string()).unwrap_or_else(|| panic!("{id} is not in the copy"));
        assert_eq!(event.input.event_name, format!("Event {id}"));
    }
    accepted(&bridge, 5_000).await;
    bridge.settled().await;
    assert!(restored.held_of("acct").contains_key("5000"), "it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_replaces_nothing() {
    let setting = silent();
    let bridge = setting.start();
    accepted(&bridge, 1).await;
    let folder = setting.folder.path();
    let there = folder.join("there.db");
    fs::write(&there, "precious").expect("written");
    std::os::unix::fs::symlink(folder.join("nowhere"), folder.join("link.db")).expect("made");
    let data = folder.join("data");
    let before = names(&data);
    for (to, why) in [
        (there.clone(), "is there already"),
        (folder.join("link.db"), "is there already"),
        (setting.store(), "own files"),
        (folder.join("data/../data/bridge.db-wal"), "own files"),
        (folder.join("data/bridge.db-journal"), "own files"),
        (folder.join("no/folder/copy.db"), "cannot write"),
    ] {
        let (code, said) = setting.run(&["backup", "--to", to.to_str().expect("text")]).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(fs::read(&there).expect("it is there"), b"precious");
    assert_eq!(names(&data), before);
    accepted(&bridge, 2).await;
    bridge.kill();
    // Without a store there is nothing to copy, and none is made.
    fs::remove_dir_all(&data).expect("removed");
    let copy = folder.join("copy.db");
    let (code, said) = setting.run(&["backup", "--to", copy.to_str().expect("text")]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(!data.exists() && !copy.exists(), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_onto_a_full_disk_leaves_nothing() {
    let setting = silent();
    let full = setting.folder.path().join("full");
    let Some(_disk) = SmallDisk::mount(&full, "64k") else {
        tell("SKIPPED a_backup_onto_a_full_disk_leaves_nothing: mounting a tmpfs is not permitted");
        return;
    };
    let bridge = setting.start();
    accepted(&bridge, 1).await;
    let copy = full.join("copy.db");
    let (code, said) = setting.run(&["backup", "--to", copy.to_str().expect("text")]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("full"), "{said}");
    assert_eq!(names(&full), [""; 0], "nothing is left");
    accepted(&bridge, 2).await;
}

/// Whoever copies the files of a stopped service may well leave out its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_service_leaves_everything_in_one_file() {
    let setting = silent();
    let bridge = setting.start();
    for id in 1..=5 {
        accepted(&bridge, id).await;
    }
    assert_eq!(bridge.terminate(), Some(0));
    let copy = setting.folder.path().join("copy.db");
    fs::copy(setting.store(), &copy).expect("copied");
    let connection = Connection::open(&copy).expect("it opens");
    let receipts = connection.query_row("SELECT count(*) FROM receipts", (), |row| row.get(0));
    assert_eq!(receipts, Ok(5));
}

/// The steps of "Restore" in `docs/operations.md`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_put_in_place_is_told_what_it_missed_before_anything_is_sent() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([zoom::created(1, "One", at(0)), zoom::created(2, "Two", at(0))]).await;
    bridge.settled().await;
    let copy = setting.folder.path().join("copy.db");
    let (code, said) = setting.run(&["backup", "--to", copy.to_str().expect("text")]).await;
    assert_eq!(code, Some(0), "{said}");
    // What the copy does not know.
    let missed = [zoom::renamed(1, "One, newer", at(10)), zoom::created(3, "Three", at(11))];
    zoom.story(missed.clone()).await;
    bridge.settled().await;
    let before = setting.held();

    assert_eq!(bridge.terminate(), Some(0));
    for file in names(setting.store().parent().expect("a folder")) {
        if file.starts_with("bridge.db-") {
            fs::remove_file(setting.store().with_file_name(file)).expect("removed");
        }
    }
    fs::copy(&copy, setting.store()).expect("put in place");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    // The copy's name is older than HubSpot's, which this leaves alone.
    zoom.story([zoom::updated(1, json!({ "agenda": "Now with one" }), at(20))]).await;
    bridge.settled().await;
    assert_eq!(setting.event("1").input.event_name, "One, newer");
    assert_eq!(setting.held().len(), before.len());
    zoom.story(missed).await;
    bridge.settled().await;
    let mut held = setting.held();
    let one = held.remove("1").expect("it is there");
    assert_eq!(
        (one.input.event_name.as_str(), one.input.event_description.as_deref()),
        ("One, newer", Some("Now with one"))
    );
    let others: Vec<_> = held.values().map(|event| event.input.event_name.as_str()).collect();
    assert_eq!(others, ["Two", "Three"]);
    assert_eq!(bridge.terminate(), Some(0));
}

/// A19: a copy from before a cancellation is put back; then only the topic changes. The copy of `backup` knows by itself
/// that it is one, and one that was made by hand is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_put_back_undoes_no_cancellation() {
    for by_hand in [false, true] {
        let setting = Setting::new("");
        let bridge = setting.start();
        Zoom::to(&bridge).story([zoom::created(1, "Calm releases", at(0))]).await;
        bridge.settled().await;
        let copy = setting.folder.path().join("copy.db");
        if !by_hand {
            let (code, said) = setting.run(&["backup", "--to", copy.to_str().expect("text")]).await;
            assert_eq!(code, Some(0), "{said}");
        }
        assert_eq!(bridge.terminate(), Some(0));
        if by_hand {
            fs::copy(setting.store(), &copy).expect("copied");
        }
        let bridge = setting.start();
        let deleted = zoom::webhook("webinar.deleted", at(60), zoom::webinar(1, "Calm releases"));
        Zoom::to(&bridge).story([zoom::payload(deleted, json!({ "operation": "all" }))]).await;
        bridge.settled().await;
        assert!(setting.event("1").input.event_cancelled);
        assert_eq!(bridge.terminate(), Some(0));
        fs::copy(&copy, setting.store()).expect("put back");
        let arguments: &[&str] = if by_hand { &["--restored"] } else { &[] };
        let bridge = setting.start_with_arguments(arguments, &[]);
        Zoom::to(&bridge).story([zoom::renamed(1, "Calmer releases", at(120))]).await;
        bridge.settled().await;
        let input = setting.event("1").input;
        assert_eq!(input.event_name, "Calmer releases");
        assert!(input.event_cancelled, "by hand: {by_hand}");
    }
}

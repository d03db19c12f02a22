//! `backup`: what was answered before it began is in the copy, and a bridge started on the copy goes on from there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use webinar_bridge::sandbox::emulator::{EmulatorFault, EmulatorSettings};

use crate::harness::disk::SmallDisk;
use crate::harness::eventually;
use crate::harness::process::{Bridge, Setting, TOKEN};
use crate::harness::senders::Senders;
use crate::harness::tell;
use crate::harness::wire::{ask, created, webhook};
use crate::harness::zoom::{self, Zoom, ago, at, planned};

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

/// Puts a copy in the place of the store, without the log of what it replaces.
fn replace_store(setting: &Setting, copy: &Path) {
    for file in names(setting.store().parent().expect("a folder")) {
        if file.starts_with("bridge.db-") {
            fs::remove_file(setting.store().with_file_name(file)).expect("removed");
        }
    }
    fs::copy(copy, setting.store()).expect("put in place");
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
    replace_store(&setting, &copy);
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
        replace_store(&setting, &copy);
        let arguments: &[&str] = if by_hand { &["--restored"] } else { &[] };
        let bridge = setting.start_with_arguments(arguments, &[]);
        Zoom::to(&bridge).story([zoom::renamed(1, "Calmer releases", at(120))]).await;
        bridge.settled().await;
        let input = setting.event("1").input;
        assert_eq!(input.event_name, "Calmer releases");
        assert!(input.event_cancelled, "by hand: {by_hand}");
    }
}

/// Puts the copy in the place of the store and tells the bridge something newer of each of these webinars.
async fn put_back(
    setting: &Setting,
    copy: &Path,
    later: impl IntoIterator<Item = Value>,
) -> Bridge {
    replace_store(setting, copy);
    let bridge = setting.start();
    Zoom::to(&bridge).story(later).await;
    bridge.settled().await;
    bridge
}

/// M23: HubSpot is newer also where it holds that something is not so, or nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_put_back_takes_back_no_recovery_no_opening_and_no_removal() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let all = |body| zoom::payload(body, json!({ "operation": "all" }));
    let one = |event: &str, at| {
        let object = json!({ "id": 9, "type": 9, "topic": "Onboarding",
            "occurrences": [{ "occurrence_id": "o2", "start_time": planned(24 * 60).to_string() }] });
        zoom::payload(zoom::webhook(event, at, object), json!({ "operation": "single" }))
    };
    let past = json!({ "start_time": ago(40).to_string(), "duration": 20 });
    let over = zoom::with(zoom::webinar(2, "Over"), past);
    let run = json!({ "start_time": ago(40).to_string(), "end_time": ago(20).to_string() });
    let described = zoom::with(zoom::webinar(3, "Described"), json!({ "agenda": "Too much" }));
    Zoom::to(&bridge)
        .story([
            zoom::created(1, "Off", at(0)),
            zoom::webhook("webinar.created", at(0), over.clone()),
            zoom::webhook("webinar.created", at(0), described),
            zoom::webhook("webinar.created", at(0), zoom::series(8, "Off, too")),
            zoom::webhook("webinar.created", at(0), zoom::series(9, "Onboarding")),
            all(zoom::webhook("webinar.deleted", at(10), zoom::webinar(1, "Off"))),
            all(zoom::webhook("webinar.deleted", at(10), zoom::series(8, "Off, too"))),
            one("webinar.deleted", at(10)),
            zoom::webhook("webinar.ended", ago(20).get(), zoom::with(over, run)),
        ])
        .await;
    bridge.settled().await;
    let held = |id: &str| setting.event(id).input;
    for id in ["1", "8-o1", "8-o2", "8-o3", "9-o2"] {
        assert!(held(id).event_cancelled, "{id}");
    }
    assert!(held("2").event_completed);
    let copy = setting.folder.path().join("copy.db");
    let (code, said) = setting.run(&["backup", "--to", copy.to_str().expect("text")]).await;
    assert_eq!(code, Some(0), "{said}");
    // What the copy does not know.
    let moved = json!({ "start_time": planned(30 * 24 * 60).to_string(), "duration": 20 });
    Zoom::to(&bridge)
        .story([
            all(zoom::webhook("webinar.recovered", at(20), zoom::webinar(1, "Off"))),
            all(zoom::webhook("webinar.recovered", at(20), zoom::series(8, "Off, too"))),
            one("webinar.recovered", at(20)),
            zoom::updated(2, moved, ago(10).get()),
            zoom::updated(3, json!({ "agenda": "" }), at(20)),
        ])
        .await;
    bridge.settled().await;
    let check = |when: &str| {
        for id in ["1", "8-o1", "8-o2", "8-o3", "9-o1", "9-o2", "9-o3"] {
            assert!(!held(id).event_cancelled, "{id} {when}");
        }
        assert!(!held("2").event_completed, "{when}");
        assert_eq!(held("2").start_date_time, Some(planned(30 * 24 * 60)), "{when}");
        assert_eq!(held("3").event_description.unwrap_or_default(), "", "{when}");
    };
    check("before");
    assert_eq!(bridge.terminate(), Some(0));
    let later = [1, 2, 3, 8, 9].map(|id| zoom::renamed(id, &format!("Later {id}"), ago(5).get()));
    let _bridge = put_back(&setting, &copy, later).await;
    check("after");
    for (id, name) in [("1", "Later 1"), ("2", "Later 2"), ("8-o1", "Later 8"), ("9-o2", "Later 9")]
    {
        assert_eq!(held(id).event_name, name);
    }
}

/// M23: what the copy had accepted and not delivered is newer than what HubSpot holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_put_back_delivers_what_it_had_accepted() {
    let setting = Setting::new("");
    let bridge = setting.start();
    Zoom::to(&bridge).story([zoom::created(1, "One", at(0)), zoom::created(2, "Two", at(0))]).await;
    bridge.settled().await;
    let fault = EmulatorFault::Status { status: 503, retry_after: None };
    setting.hubspot.emulator().inject_standing(fault);
    let deleted = zoom::webhook("webinar.deleted", at(10), zoom::webinar(2, "Two"));
    let deleted = zoom::payload(deleted, json!({ "operation": "all" }));
    Zoom::to(&bridge).story([zoom::renamed(1, "One, newer", at(10)), deleted]).await;
    let copy = setting.folder.path().join("copy.db");
    let (code, said) = setting.run(&["backup", "--to", copy.to_str().expect("text")]).await;
    assert_eq!(code, Some(0), "{said}");
    bridge.kill();
    setting.hubspot.emulator().clear_faults();
    let _bridge = put_back(&setting, &copy, []).await;
    assert_eq!(setting.event("1").input.event_name, "One, newer");
    assert!(setting.event("2").input.event_cancelled);
}

/// M23, M27: of a series that is one event HubSpot's times are newer, until its dates are heard of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_put_back_keeps_the_times_of_a_series_that_is_one_event() {
    let setting = Setting::new("recurring = \"series\"");
    let bridge = setting.start();
    let date = |id: &str, day: i64| {
        let start = planned(day * 24 * 60).to_string();
        json!({ "occurrence_id": id, "start_time": start, "duration": 30 })
    };
    let dates = |event: &str, at, all: &[Value]| {
        let with_dates = json!({ "occurrences": all });
        zoom::webhook(event, at, zoom::with(zoom::series(9, "Onboarding"), with_dates))
    };
    let listed = [date("o1", 1), date("o2", 2), date("o3", 3)];
    Zoom::to(&bridge).story([dates("webinar.created", at(0), &listed)]).await;
    bridge.settled().await;
    let copy = setting.folder.path().join("copy.db");
    let (code, said) = setting.run(&["backup", "--to", copy.to_str().expect("text")]).await;
    assert_eq!(code, Some(0), "{said}");
    let listed = [date("o2", 2), date("o3", 3), date("o4", 9)];
    let longer =
        zoom::payload(dates("webinar.updated", at(20), &listed), json!({ "scope": "all" }));
    Zoom::to(&bridge).story([longer]).await;
    bridge.settled().await;
    let check = |name: &str, day: i64| {
        let input = setting.event("9").input;
        let times = (input.start_date_time, input.end_date_time);
        let expected = (Some(planned(2 * 24 * 60)), Some(planned(day * 24 * 60 + 30)));
        assert_eq!((input.event_name.as_str(), times), (name, expected));
        assert!(!input.event_cancelled && !input.event_completed);
    };
    check("Onboarding", 9);
    assert_eq!(bridge.terminate(), Some(0));
    let bridge = put_back(&setting, &copy, [zoom::renamed(9, "Later", at(40))]).await;
    check("Later", 9);
    let object = json!({ "id": 9, "type": 9, "topic": "Later", "occurrences": [date("o4", 10)] });
    let moved = zoom::webhook("webinar.updated", at(50), object);
    Zoom::to(&bridge).story([zoom::payload(moved, json!({ "scope": "single" }))]).await;
    bridge.settled().await;
    check("Later", 10);
}

/// M17, M23, M27: what changed its shape while the copy was away has the shape that HubSpot holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_put_back_keeps_the_shape_that_hubspot_holds() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let all = |body| zoom::payload(body, json!({ "scope": "all" }));
    let series = |id| {
        let object = zoom::series(id, "Onboarding");
        all(zoom::webhook("webinar.updated", ago(160).get(), object))
    };
    let single = |id, at| {
        let times = json!({ "type": 5, "start_time": planned(120).to_string() });
        let object = zoom::with(zoom::webinar(id, "Onboarding"), times);
        zoom::webhook("webinar.updated", at, object)
    };
    // The first date of the webinar 7 was held.
    let mut held = zoom::series(7, "Onboarding");
    held["occurrences"][0]["start_time"] = ago(150).to_string().into();
    let run = json!({ "id": 7, "type": 9, "topic": "Onboarding", "start_time": ago(150).to_string(),
        "end_time": ago(120).to_string() });
    Zoom::to(&bridge)
        .story([
            zoom::created(7, "Onboarding", ago(200).get()),
            all(zoom::webhook("webinar.updated", ago(160).get(), held)),
            zoom::webhook("webinar.ended", ago(120).get(), run),
            zoom::created(8, "Onboarding", ago(200).get()),
            series(8),
            zoom::created(9, "Onboarding", ago(200).get()),
        ])
        .await;
    bridge.settled().await;
    let input = |id: &str| setting.event(id).input;
    assert!(input("7-o1").event_completed && input("7").event_cancelled);
    let copy = setting.folder.path().join("copy.db");
    let (code, said) = setting.run(&["backup", "--to", copy.to_str().expect("text")]).await;
    assert_eq!(code, Some(0), "{said}");
    Zoom::to(&bridge)
        .story([single(7, ago(60).get()), zoom::renamed(8, "Newer", ago(60).get()), series(9)])
        .await;
    bridge.settled().await;
    let off = |ids: &[&str]| ids.iter().map(|id| input(id).event_cancelled).collect::<Vec<_>>();
    let ids = ["7", "7-o1", "7-o2", "7-o3", "8", "8-o1", "9", "9-o1"];
    let expected = [false, false, true, true, true, false, true, false];
    assert_eq!(off(&ids), expected, "before");
    assert_eq!(bridge.terminate(), Some(0));
    let later = [
        zoom::renamed(7, "Later", ago(30).get()),
        zoom::renamed(8, "Later", ago(30).get()),
        series(9),
    ];
    let bridge = put_back(&setting, &copy, later).await;
    assert_eq!(off(&ids), expected, "after");
    assert!(input("7-o1").event_completed);
    assert_eq!(input("7").event_name, "Later");
    // Now they are single ones.
    Zoom::to(&bridge).story([single(8, ago(20).get()), single(9, ago(20).get())]).await;
    bridge.settled().await;
    assert_eq!(off(&["8", "8-o1", "9", "9-o1"]), [false, true, false, true]);
}

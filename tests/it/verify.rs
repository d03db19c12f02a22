//! `verify`: what HubSpot lost, or somebody changed there, is found and sent again.

use std::process::{Command, Stdio};
use std::time::Duration;

use webinar_bridge::sandbox::emulator::{
    EmulatorCall, EmulatorFault, EmulatorOperation, EmulatorSettings, StoredEvent,
};

use crate::harness::eventually;
use crate::harness::process::{Bridge, SECRET, Setting, TOKEN};
use crate::harness::zoom::{ACCOUNT, Zoom, at, created, renamed};

/// How it ended, and what it said.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs `verify` beside the bridge, if there is one.
async fn verify(setting: &Setting, bridge: Option<&Bridge>, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"));
    command
        .args(["verify", "--config"])
        .arg(setting.folder.path().join("bridge.toml"))
        .args(arguments)
        .env("TEST_TOKEN", TOKEN)
        .env("TEST_SECRET", SECRET)
        .stdin(Stdio::null());
    if let Some(bridge) = bridge {
        command.env("BRIDGE__LISTEN__OPS", &bridge.ops);
    }
    let output = tokio::task::spawn_blocking(move || command.output().expect("it runs"));
    let output = tokio::time::timeout(Duration::from_mins(1), output).await.expect("it ends");
    let output = output.expect("it ends well");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it says text");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A bridge that has delivered so many webinars, and knows one that is incomplete.
async fn delivered(setting: &Setting, count: u64) -> Bridge {
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story((1..=count).map(|id| created(id, &format!("Webinar {id}"), at(0)))).await;
    zoom.story([renamed(count + 1, "Half known", at(0))]).await;
    bridge.settled().await;
    bridge
}

fn tamper(setting: &Setting, id: &str, with: impl FnOnce(StoredEvent) -> Option<StoredEvent>) {
    setting.hubspot.emulator().tamper(ACCOUNT, id, with);
}

/// The reads of events that the bridge delivered; the half known one is read once, before its first send.
fn reads(setting: &Setting) -> usize {
    let emulator = setting.hubspot.emulator();
    let is_read = |call: &&EmulatorCall| {
        call.operation == Some(EmulatorOperation::Read) && call.status != 404
    };
    emulator.calls().iter().filter(is_read).count()
}

/// Says that exactly one event differs, and how.
fn assert_found(ran: &Ran, id: &str, fields: &str) {
    let rows: Vec<&str> = ran.out.lines().filter(|line| line.starts_with(ACCOUNT)).collect();
    let [row] = rows.as_slice() else { panic!("one row: {ran:?}") };
    let cells: Vec<&str> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells, [ACCOUNT, id, fields]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_delivered_it_does_not_speak_of_equality() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let ran = verify(&setting, Some(&bridge), &[]).await;
    assert_eq!(ran.out, "hubspot.main: no events are delivered: nothing was compared\n");
    assert_eq!((ran.code, reads(&setting)), (Some(0), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_the_running_service_it_finds_and_mends_exactly_what_differs() {
    let setting = Setting::new("");
    let bridge = delivered(&setting, 5).await;
    let ran = verify(&setting, Some(&bridge), &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out, "hubspot.main: 5 delivered events compared, all equal\n");
    assert_eq!(reads(&setting), 5, "each is read once");

    tamper(&setting, "3", |mut event| {
        event.input.event_name = "Renamed by hand".into();
        event.input.end_date_time = None;
        Some(event)
    });
    let ran = verify(&setting, Some(&bridge), &["--dry-run"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_found(&ran, "3", "eventName, endDateTime");
    bridge.settled().await;
    assert_eq!(setting.event("3").input.event_name, "Renamed by hand", "nothing was sent");

    let ran = verify(&setting, Some(&bridge), &["--hubspot", "main"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_found(&ran, "3", "eventName, endDateTime");
    eventually("it is as it was", async || setting.event("3").input.event_name == "Webinar 3")
        .await;
    bridge.settled().await;
    let writes = |id: &str| setting.event(id).writes;
    assert_eq!((writes("3"), writes("1"), writes("5")), (2, 1, 1), "no other was sent again");
    let ran = verify(&setting, Some(&bridge), &[]).await;
    assert!(ran.out.contains("all equal") && ran.code == Some(0), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_free_store_it_works_without_the_service() {
    let setting = Setting::new("");
    let bridge = delivered(&setting, 3).await;
    assert_eq!(bridge.terminate(), Some(0));
    tamper(&setting, "2", |_| None);
    let ran = verify(&setting, None, &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_found(&ran, "2", "not there");
    assert!(ran.out.contains("3 delivered events compared, 1 differ"), "{ran:?}");
    assert_eq!(setting.held().len(), 2, "it is sent when the service runs");
    let bridge = setting.start();
    bridge.settled().await;
    assert_eq!(setting.event("2").input.event_name, "Webinar 2");
    let ran = verify(&setting, Some(&bridge), &[]).await;
    assert!(ran.out.contains("all equal") && ran.code == Some(0), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_delivered_is_not_compared() {
    let setting = Setting::new("");
    setting.hubspot.emulator().inject_standing(EmulatorFault::RejectNames("Webinar 2".into()));
    let bridge = delivered(&setting, 2).await;
    let ran = verify(&setting, Some(&bridge), &[]).await;
    assert_eq!(ran.out, "hubspot.main: 1 delivered events compared, all equal\n", "{ran:?}");
    assert_eq!(reads(&setting), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_page_is_compared_within_the_window() {
    let strict =
        EmulatorSettings { rate: (40, Duration::from_secs(1)), ..EmulatorSettings::new(TOKEN) };
    let line = "rate_limit = { requests = 40, window = \"1s\" }";
    let setting = Setting::with(strict, line, "");
    let bridge = delivered(&setting, 120).await;
    tamper(&setting, "1", |mut event| {
        event.input.event_cancelled = true;
        Some(event)
    });
    tamper(&setting, "120", |mut event| {
        event.input.event_organizer = "Else".into();
        Some(event)
    });
    let ran = verify(&setting, Some(&bridge), &["--dry-run"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("120 delivered events compared, 2 differ"), "{ran:?}");
    assert_eq!(reads(&setting), 120);
    let emulator = setting.hubspot.emulator();
    assert!(emulator.calls().iter().all(|call| call.status != 429), "the window was kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hubspot_that_holds_nothing_at_all_is_not_filled_again() {
    let setting = Setting::new("");
    let bridge = delivered(&setting, 12).await;
    for id in 1..=12 {
        tamper(&setting, &id.to_string(), |_| None);
    }
    let ran = verify(&setting, Some(&bridge), &[]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("another app"), "{ran:?}");
    bridge.settled().await;
    assert!(setting.held().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_compared_is_a_failure_and_wrong_use_is_2() {
    let setting = Setting::new("");
    let ran = verify(&setting, None, &[]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("there is no store"), "{ran:?}");
    let ran = verify(&setting, None, &["--hubspot", "nobody"]).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");

    let bridge = delivered(&setting, 1).await;
    std::fs::write(
        setting.folder.path().join("other.toml"),
        std::fs::read_to_string(setting.folder.path().join("bridge.toml"))
            .expect("it is there")
            .replace("{ env = \"TEST_TOKEN\" }", "\"pat-wrong\""),
    )
    .expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"));
    command.args(["verify", "--config"]).arg(setting.folder.path().join("other.toml"));
    command.env("TEST_SECRET", SECRET).env("BRIDGE__LISTEN__OPS", &bridge.ops);
    let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await;
    let output = output.expect("it ends well");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("hubspot.main") && said.contains("HTTP 401"), "{said}");
    assert!(!said.contains("pat-wrong"), "{said}");
    assert_eq!(setting.event("1").writes, 1);
}

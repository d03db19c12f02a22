//! The store's file has one owner, under whatever name, and stays the file that was opened (B7).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::harness::eventually;
use crate::harness::http::request;
use crate::harness::process::{Bridge, SECRET, Setting, TOKEN};
use crate::harness::wire::{ask, created, webhook};

async fn answer(bridge: &Bridge, id: u64) -> u16 {
    let body = created(id, &format!("Event {id}"), "");
    ask(&bridge.webhooks, &webhook("/webhooks/zoom", &body)).await.status
}

/// A command of the program, with the store under this name. A command that does not end by itself is killed.
fn run_on(setting: &Setting, store: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"))
        .args(arguments)
        .arg("--config")
        .arg(setting.folder.path().join("bridge.toml"))
        .env("BRIDGE__STORE__URL", format!("sqlite:{}", store.display()))
        .env("TEST_TOKEN", TOKEN)
        .env("TEST_SECRET", SECRET)
        .current_dir(setting.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let until = Instant::now() + Duration::from_secs(10);
    while child.try_wait().expect("it is a child").is_none() {
        if Instant::now() > until {
            child.kill().expect("it can be killed");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it has ended");
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// A symbolic and a hard link to the store.
fn names(setting: &Setting) -> (PathBuf, PathBuf) {
    let (link, hard) =
        (setting.folder.path().join("link.db"), setting.folder.path().join("hard.db"));
    symlink(setting.store(), &link).expect("linked");
    fs::hard_link(setting.store(), &hard).expect("linked");
    (link, hard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_process_is_refused_under_every_name_of_the_file() {
    let setting = Setting::new("");
    let bridge = setting.start();
    assert_eq!(answer(&bridge, 1).await, 200);
    let (link, hard) = names(&setting);
    for store in [&setting.store(), &link, &hard] {
        for command in ["serve", "migrate"] {
            let (code, printed) = run_on(&setting, store, &[command]);
            assert_eq!(code, Some(1), "{command} {store:?}: {printed}");
            assert!(printed.contains("in use by another process"), "{printed}");
        }
    }
    fs::remove_file(setting.folder.path().join("data/bridge.db.lock")).expect("removed");
    let (code, printed) = run_on(&setting, &setting.store(), &["serve"]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("in use by another process"), "{printed}");
    assert_eq!(answer(&bridge, 2).await, 200, "the first goes on");
    bridge.settled().await;
    assert_eq!(setting.held().len(), 0, "another account of Zoom");
    assert_eq!(setting.held_of("acct").len(), 2);
}

/// The least configuration names the store so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_is_used_under_a_relative_path_and_through_a_link_to_its_folder() {
    let setting = Setting::new("");
    let folder = setting.folder.path();
    fs::create_dir(folder.join("there")).expect("made");
    symlink(folder.join("there"), folder.join("linked")).expect("linked");
    for store in ["data/relative.db", "./there/dotted.db", "bare.db", "linked/through.db"] {
        let (code, printed) = run_on(&setting, Path::new(store), &["migrate"]);
        assert_eq!(code, Some(0), "{store}: {printed}");
        assert!(folder.join(store).exists(), "{store}");
    }
}

/// SQLite's log lies beside one name: through another one a tool would read an old state, or write over the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_are_refused_beside_the_service_while_the_file_has_two_names() {
    let setting = Setting::new("");
    let bridge = setting.start();
    assert_eq!(answer(&bridge, 1).await, 200);
    let copy = |name: &str| setting.folder.path().join(name).display().to_string();
    let link = setting.folder.path().join("link.db");
    symlink(setting.store(), &link).expect("linked");
    let (code, printed) = run_on(&setting, &link, &["backup", "--to", &copy("copy.db")]);
    assert_eq!(code, Some(0), "a symbolic link leads to the service's file: {printed}");
    assert!(printed.contains("receipts: 1"), "{printed}");
    let hard = setting.folder.path().join("hard.db");
    fs::hard_link(setting.store(), &hard).expect("linked");
    let second = copy("second.db");
    for arguments in
        [&["backup", "--to", &second][..], &["erase", "--email", "a@example.org"], &["check"]]
    {
        let (code, printed) = run_on(&setting, &hard, arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {printed}");
        assert!(printed.contains("more than one name"), "{arguments:?}: {printed}");
    }
    assert_eq!(answer(&bridge, 2).await, 200, "the service goes on");
    assert_eq!(bridge.terminate(), Some(0));
    let (code, printed) = run_on(&setting, &hard, &["backup", "--to", &second]);
    assert_eq!(code, Some(0), "nobody uses it: {printed}");
    assert!(printed.contains("receipts: 2"), "{printed}");
}

async fn unready(bridge: &Bridge) -> Option<String> {
    let answer = request(&bridge.ops, "GET /readyz", &[], &[]).await.expect("it answers");
    (answer.status == 503).then(|| String::from_utf8_lossy(&answer.body).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_is_gone_or_replaced_is_refused_until_it_is_back() {
    let setting = Setting::new("");
    let bridge = setting.start();
    assert_eq!(answer(&bridge, 1).await, 200);
    bridge.settled().await;
    let (store, away) = (setting.store(), setting.folder.path().join("away.db"));
    fs::rename(&store, &away).expect("moved");
    assert_eq!(answer(&bridge, 2).await, 503, "nobody would find it again");
    let reason = unready(&bridge).await.expect("it is not ready");
    assert!(reason.contains("is gone"), "{reason}");
    fs::write(&store, b"").expect("written");
    assert_eq!(answer(&bridge, 2).await, 503);
    let reason = unready(&bridge).await.expect("it is not ready");
    assert!(reason.contains("is not the file that the service opened"), "{reason}");
    fs::rename(&away, &store).expect("moved back");
    eventually("the service goes on", async || unready(&bridge).await.is_none()).await;
    assert_eq!(answer(&bridge, 2).await, 200);
    let log = bridge.logged();
    assert!(log.contains("is gone: it was deleted or moved"), "{log}");
    bridge.settled().await;
    assert_eq!(setting.held_of("acct").len(), 2);
}

/// Also while no webhook comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_log_is_noticed_by_an_idle_service_and_loses_nothing() {
    let setting = Setting::with(
        webinar_bridge::sandbox::emulator::EmulatorSettings::new(TOKEN),
        "deliver = false",
        "",
    );
    let bridge = setting.start();
    assert_eq!(answer(&bridge, 1).await, 200);
    fs::remove_file(setting.folder.path().join("data/bridge.db-wal")).expect("removed");
    eventually("it is noticed", async || unready(&bridge).await.is_some()).await;
    let reason = unready(&bridge).await.expect("it is not ready");
    assert!(reason.contains("bridge.db-wal was deleted or replaced"), "{reason}");
    assert_eq!(answer(&bridge, 2).await, 503);
    assert_eq!(bridge.terminate(), Some(0));
    let bridge = setting.start();
    assert_eq!(answer(&bridge, 2).await, 200);
    let list = request(&bridge.ops, "GET /api/v1/events", &[], &[]).await.expect("it answers");
    assert_eq!(list.json()["events"].as_array().map(Vec::len), Some(2), "the first is there too");
}

/// The log lies beside the real file: a service that looks for it beside the link would never shorten it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_of_a_linked_store_is_measured() {
    let setting = Setting::new("");
    let real = setting.folder.path().join("real");
    fs::create_dir_all(&real).expect("made");
    fs::create_dir_all(setting.store().parent().expect("a folder")).expect("made");
    symlink(real.join("bridge.db"), setting.store()).expect("linked");
    let bridge = setting.start();
    assert_eq!(answer(&bridge, 1).await, 200);
    let scrape = crate::harness::http::scrape(&bridge.ops).await;
    assert!(scrape.sum("bridge_wal_bytes", &[]) > 0.0);
    assert!(real.join("bridge.db-wal").exists());
}

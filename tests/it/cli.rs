//! The commands of the real program: what they print, and how they end.

mod configuration;

use std::fs::{self, File};
use std::future::ready;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::process::{Bridge, SECRET, Setting, TOKEN};
use crate::harness::wire::{self, Answer, created};
use crate::harness::{eventually, tell};

const PROGRAM: &str = env!("CARGO_BIN_EXE_webinar-bridge");

/// How a command ended.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn said(&self) -> (Option<i32>, &str, &str) {
        (self.code, &self.out, &self.err)
    }
}

/// A command that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // As a rule it has ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs it to its end, or fails the test; its output goes to files, which no amount of it can block.
async fn run(mut command: Command, stdin: &[u8]) -> Ran {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let file = |name: &str| File::create(path(name)).expect("a file can be made");
    fs::write(path("in"), stdin).expect("a file can be written");
    command.stdin(File::open(path("in")).expect("it is there"));
    let child = command.stdout(file("out")).stderr(file("err")).spawn();
    let mut child = Running(child.expect("the command starts"));
    let mut status = None;
    eventually("the command ends", || {
        status = child.0.try_wait().expect("it can be waited for");
        ready(status.is_some())
    })
    .await;
    let text = |name: &str| fs::read_to_string(path(name)).expect("its output is text");
    Ran { code: status.and_then(|status| status.code()), out: text("out"), err: text("err") }
}

/// The program, in that folder, with the secrets of the tests and nothing else around it.
fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(folder).env_clear();
    command.env("TEST_TOKEN", TOKEN).env("TEST_SECRET", SECRET);
    command
}

async fn ran(setting: &Setting, arguments: &[&str]) -> Ran {
    run(program(setting.folder.path(), arguments), b"").await
}

fn config(setting: &Setting) -> String {
    setting.folder.path().join("bridge.toml").display().to_string()
}

fn store(setting: &Setting) -> String {
    setting.folder.path().join("data/bridge.db").display().to_string()
}

async fn sent(bridge: &Bridge, body: &[u8]) -> Answer {
    wire::ask(&bridge.webhooks, &wire::webhook("/webhooks/zoom", body)).await
}

/// A Zoom webhook of the shared fixtures.
fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/zoom/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn wrong_use_is_2_and_help_is_0() {
    let setting = Setting::new("");
    for arguments in [
        vec![],
        vec!["fly"],
        vec!["check", "--colour"],
        vec!["map"],
        vec!["map", "--provider", "nobody"],
        vec!["map", "--provider", "zoom", "--config", "bridge.toml"],
        vec!["map", "--provider", "zoom", "--source", "nobody"],
        vec!["sign", "--provider", "zoom", "--secret-env", "TEST_SECRET", "--url", "nowhere"],
        vec!["sign", "--provider", "zoom", "--secret-env", "UNSET", "--url", "http://x/"],
        vec!["completions", "tcl"],
        vec!["check", "--config", "missing.toml"],
        vec!["serve", "--config", "missing.toml"],
    ] {
        let ran = ran(&setting, &arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?}: {ran:?}");
        assert!(!ran.err.is_empty(), "{arguments:?}");
    }
    for command in ["serve", "sandbox", "check", "map", "sign", "health", "migrate", "completions"]
    {
        let ran = ran(&setting, &[command, "--help"]).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{command}");
        assert!(ran.out.contains("Usage: webinar-bridge"), "{ran:?}");
    }
    let version = ran(&setting, &["--version"]).await;
    assert_eq!(version.out, concat!("webinar-bridge ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[tokio::test]
async fn map_shows_what_hubspot_would_get() {
    let setting = Setting::new("");
    let golden = format!("{}/tests/fixtures/cli", env!("CARGO_MANIFEST_DIR"));
    for name in ["created_single", "created_series", "zoom_events.event_published"] {
        let path = fixture(name);
        let arguments = ["map", "--provider", "zoom", "--source", "zoom", &path];
        let ran = ran(&setting, &arguments).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        let expected = format!("{golden}/map.{name}.expected");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&expected, &ran.out).expect("an expectation can be written");
        }
        assert_eq!(ran.out, fs::read_to_string(expected).expect("it is there"), "{name}");
    }
    // Without a source there is no organizer. Standard input does as well.
    let body = fs::read(fixture("created_single")).expect("it is there");
    let bare = run(program(Path::new("/"), &["map", "--provider", "zoom"]), &body).await;
    assert_eq!((bare.code, bare.err.as_str()), (Some(0), ""), "{bare:?}");
    let told: serde_json::Value = serde_json::from_str(&bare.out).expect("it is JSON");
    assert_eq!(told["inputs"], serde_json::json!([]));
    let gaps = serde_json::json!([{ "id": "86420013579", "gaps": ["organizer"] }]);
    assert_eq!(told["incomplete"], gaps);

    let unmappable = ran(&setting, &["map", "--provider", "zoom", &fixture("no_id")]).await;
    assert_eq!(unmappable.code, Some(1), "{unmappable:?}");
    assert!(unmappable.err.starts_with("error: the body cannot be mapped: "), "{unmappable:?}");
    let absent = ran(&setting, &["map", "--provider", "zoom", "not-there.json"]).await;
    assert_eq!(absent.code, Some(1), "{absent:?}");
    assert!(absent.err.contains("not-there.json"), "{absent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sign_prints_is_accepted() {
    if !Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
    {
        tell("SKIPPED what_sign_prints_is_accepted: there is no curl");
        return;
    }
    let setting = Setting::new("");
    let bridge = setting.start();
    let url = format!("http://{}/webhooks/zoom", bridge.webhooks);
    let file = setting.folder.path().join("it's a body.json");
    let quoted = created(1, "It's \\\"quoted\\\" $HOME `id` \\\\ @x", "");
    fs::write(&file, created(2, "From a file", "")).expect("a file can be written");
    let file = file.to_str().expect("it is text");
    let base = ["sign", "--provider", "zoom", "--secret-env", "TEST_SECRET", "--url", &url];
    for (more, stdin, status) in [
        (None, quoted.as_slice(), "accepted"),
        (Some(file), b"", "accepted"),
        (Some("-"), &quoted, "duplicate"),
    ] {
        let arguments: Vec<&str> = base.into_iter().chain(more).collect();
        let signed = run(program(setting.folder.path(), &arguments), stdin).await;
        assert_eq!((signed.code, signed.err.as_str()), (Some(0), ""), "{signed:?}");
        assert!(!signed.out.contains(SECRET), "{signed:?}");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&signed.out).args(["sh"]).env("no_proxy", "127.0.0.1");
        let answer = run(shell, b"").await;
        assert_eq!(answer.code, Some(0), "{answer:?}");
        assert_eq!(answer.out, format!(r#"{{"status":"{status}"}}"#), "{signed:?}");
    }
}

#[tokio::test]
async fn migrate_may_be_run_again() {
    let setting = Setting::new("");
    let store = store(&setting);
    let first = ran(&setting, &["migrate"]).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.out.starts_with(&format!("{store}: made, schema ")), "{first:?}");
    let again = ran(&setting, &["migrate"]).await;
    assert_eq!((again.code, again.err.as_str()), (Some(0), ""));
    assert!(again.out.ends_with(", nothing to do\n"), "{again:?}");
    let bridge = setting.start();
    let beside = ran(&setting, &["migrate"]).await;
    assert_eq!(beside.code, Some(1), "{beside:?}");
    assert!(beside.err.contains("in use by another process"), "{beside:?}");
    drop(bridge);
}

#[tokio::test]
async fn health_is_0_while_it_runs_and_1_after() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let ops = bridge.ops.clone();
    let health = || {
        let mut command = program(setting.folder.path(), &["health"]);
        command.env("BRIDGE__LISTEN__OPS", &ops);
        run(command, b"")
    };
    assert_eq!(health().await.said(), (Some(0), "alive\n", ""));
    bridge.kill();
    let after = health().await;
    assert_eq!((after.code, after.out.as_str()), (Some(1), ""), "{after:?}");
    assert!(after.err.contains(&ops), "{after:?}");
}

#[tokio::test]
async fn completions_are_a_script() {
    let setting = Setting::new("");
    let script = ran(&setting, &["completions", "bash"]).await;
    assert_eq!((script.code, script.err.as_str()), (Some(0), ""));
    let Ok(bash) = Command::new("bash").arg("--version").stdout(Stdio::null()).status() else {
        tell("SKIPPED completions_are_a_script: there is no bash");
        return;
    };
    assert!(bash.success());
    let complete = "COMP_WORDS=(webinar-bridge che); COMP_CWORD=1; _webinar__bridge webinar-bridge che webinar-bridge; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(format!("{}\n{complete}", script.out));
    assert_eq!(run(bash, b"").await.said(), (Some(0), "check\n", ""));
}

#[tokio::test]
async fn the_sandbox_tells_its_story_and_ends() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ran = run(program(folder.path(), &["sandbox", "--once"]), b"").await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.out.contains("confirmed"), "{ran:?}");
    let left = fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(left, 0, "it leaves nothing behind");
}

fn told_to_stop(bridge: &Bridge) {
    let pid = bridge.pid().to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
    assert!(told.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn told_once_it_drains_and_told_twice_it_stops() {
    let setting = Setting::new("");
    let text = fs::read_to_string(config(&setting)).expect("it is there");
    // Where the second signal is not heard, it ends after this with another code.
    fs::write(config(&setting), format!("listen.shutdown_delay = \"20s\"\n{text}"))
        .expect("a file can be written");
    let bridge = setting.start();
    told_to_stop(&bridge);
    eventually("it is not ready any more", async || {
        let readyz = wire::get(&bridge.ops, "/readyz").await;
        readyz.status == 503 && readyz.body.contains("draining")
    })
    .await;
    let body = created(1, "Late", "");
    let late = sent(&bridge, &body).await;
    assert_eq!(late.told(), (200, r#"{"status":"accepted"}"#), "balancers have not heard yet");
    assert_eq!(bridge.terminate(), Some(1));

    // It was answered, so it is kept.
    fs::write(config(&setting), text).expect("a file can be written");
    let bridge = setting.start();
    let again = sent(&bridge, &body).await;
    assert_eq!(again.told(), (200, r#"{"status":"duplicate"}"#));
    assert_eq!(bridge.terminate(), Some(0));
}

//! The commands of the real program: output and exit codes.

mod configuration;

use std::fs::{self, File};
use std::future::ready;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::process::{Bridge, SECRET, Setting, TOKEN};
use crate::harness::wire::{self, Answer, created};
use crate::harness::{eventually, tell};

const PROGRAM: &str = env!("CARGO_BIN_EXE_webinar-bridge");

/// Output and exit code of a command.
#[derive(Debug)]
struct CommandOutput {
    code: Option<i32>,
    out: String,
    err: String,
}

impl CommandOutput {
    fn outputs(&self) -> (Option<i32>, &str, &str) {
        (self.code, &self.out, &self.err)
    }
}

/// A command that is killed at the end of its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Usually it has already exited.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs a command until it exits. Its output goes to files, which cannot block it.
async fn run(mut command: Command, stdin: &[u8]) -> CommandOutput {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let file = |name: &str| File::create(path(name)).expect("a file can be made");
    fs::write(path("in"), stdin).expect("a file can be written");
    command.stdin(File::open(path("in")).expect("the file exists"));
    let child = command.stdout(file("out")).stderr(file("err")).spawn();
    let mut child = Running(child.expect("the command starts"));
    let mut status = None;
    eventually("the command ends", || {
        status = child.0.try_wait().expect("the process can be awaited");
        ready(status.is_some())
    })
    .await;
    let text = |name: &str| fs::read_to_string(path(name)).expect("its output is text");
    CommandOutput {
        code: status.and_then(|status| status.code()),
        out: text("out"),
        err: text("err"),
    }
}

/// The program in this folder, with the tests' secrets and no other environment.
fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(folder).env_clear();
    command.env("TEST_TOKEN", TOKEN).env("TEST_SECRET", SECRET);
    command
}

async fn run_command(setting: &Setting, arguments: &[&str]) -> CommandOutput {
    run(program(setting.folder.path(), arguments), b"").await
}

fn config(setting: &Setting) -> String {
    setting.folder.path().join("bridge.toml").display().to_string()
}

fn store(setting: &Setting) -> String {
    setting.folder.path().join("data/bridge.db").display().to_string()
}

async fn post(bridge: &Bridge, body: &[u8]) -> Answer {
    wire::ask(&bridge.webhooks, &wire::webhook("/webhooks/zoom", body)).await
}

/// The path of a Zoom webhook among the shared fixtures.
fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/zoom/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn wrong_arguments_exit_2_and_help_exits_0() {
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
        let ran = run_command(&setting, &arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?}: {ran:?}");
        assert!(!ran.err.is_empty(), "{arguments:?}");
    }
    for command in ["serve", "sandbox", "check", "map", "sign", "health", "migrate", "completions"]
    {
        let ran = run_command(&setting, &[command, "--help"]).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{command}");
        assert!(ran.out.contains("Usage: webinar-bridge"), "{ran:?}");
    }
    let version = run_command(&setting, &["--version"]).await;
    assert_eq!(version.out, concat!("webinar-bridge ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[tokio::test]
async fn map_prints_the_inputs_for_hubspot() {
    let setting = Setting::new("");
    let golden = format!("{}/tests/fixtures/cli", env!("CARGO_MANIFEST_DIR"));
    for name in ["created_single", "created_series", "zoom_events.event_published"] {
        let path = fixture(name);
        let arguments = ["map", "--provider", "zoom", "--source", "zoom", &path];
        let ran = run_command(&setting, &arguments).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        let expected = format!("{golden}/map.{name}.expected");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&expected, &ran.out).expect("an expectation can be written");
        }
        assert_eq!(ran.out, fs::read_to_string(expected).expect("the file exists"), "{name}");
    }
    // Without a source there is no organizer. The body may come from standard input.
    let body = fs::read(fixture("created_single")).expect("the file exists");
    let without_source = run(program(Path::new("/"), &["map", "--provider", "zoom"]), &body).await;
    assert_eq!(
        (without_source.code, without_source.err.as_str()),
        (Some(0), ""),
        "{without_source:?}"
    );
    let printed: serde_json::Value =
        serde_json::from_str(&without_source.out).expect("the output is JSON");
    assert_eq!(printed["inputs"], serde_json::json!([]));
    let gaps = serde_json::json!([{ "id": "86420013579", "gaps": ["organizer"] }]);
    assert_eq!(printed["incomplete"], gaps);

    let unmappable = run_command(&setting, &["map", "--provider", "zoom", &fixture("no_id")]).await;
    assert_eq!(unmappable.code, Some(1), "{unmappable:?}");
    assert!(unmappable.err.starts_with("error: the body cannot be mapped: "), "{unmappable:?}");
    let absent = run_command(&setting, &["map", "--provider", "zoom", "not-there.json"]).await;
    assert_eq!(absent.code, Some(1), "{absent:?}");
    assert!(absent.err.contains("not-there.json"), "{absent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_request_printed_by_sign_is_accepted() {
    if !Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
    {
        tell("SKIPPED signed_request_printed_by_sign_is_accepted: there is no curl");
        return;
    }
    let setting = Setting::new("");
    let bridge = setting.start();
    let url = format!("http://{}/webhooks/zoom", bridge.webhooks);
    let file = setting.folder.path().join("it's a body.json");
    let quoted = created(1, "It's \\\"quoted\\\" $HOME `id` \\\\ @x", "");
    fs::write(&file, created(2, "From a file", "")).expect("a file can be written");
    let file = file.to_str().expect("the text is UTF-8");
    let base = ["sign", "--provider", "zoom", "--secret-env", "TEST_SECRET", "--url", &url];
    // Signed in another second, the same body is another delivery.
    let again: &[&str] = &["duplicate", "accepted"];
    for (more, stdin, statuses) in [
        (None, quoted.as_slice(), &["accepted"][..]),
        (Some(file), b"", &["accepted"]),
        (Some("-"), &quoted, again),
    ] {
        let arguments: Vec<&str> = base.into_iter().chain(more).collect();
        let signed = run(program(setting.folder.path(), &arguments), stdin).await;
        assert_eq!((signed.code, signed.err.as_str()), (Some(0), ""), "{signed:?}");
        assert!(!signed.out.contains(SECRET), "{signed:?}");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&signed.out).args(["sh"]).env("no_proxy", "127.0.0.1");
        let answer = run(shell, b"").await;
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let is_it = |status: &&str| answer.out == format!(r#"{{"status":"{status}"}}"#);
        assert!(statuses.iter().any(is_it), "{} of {signed:?}", answer.out);
    }
}

#[tokio::test]
async fn migrate_is_idempotent() {
    let setting = Setting::new("");
    let store = store(&setting);
    let first = run_command(&setting, &["migrate"]).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.out.starts_with(&format!("{store}: made, schema ")), "{first:?}");
    let again = run_command(&setting, &["migrate"]).await;
    assert_eq!((again.code, again.err.as_str()), (Some(0), ""));
    assert!(again.out.ends_with(", nothing to do\n"), "{again:?}");
    let bridge = setting.start();
    let beside = run_command(&setting, &["migrate"]).await;
    assert_eq!(beside.code, Some(1), "{beside:?}");
    assert!(beside.err.contains("in use by another process"), "{beside:?}");
    drop(bridge);
}

#[tokio::test]
async fn health_exits_0_while_running_and_1_after() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let ops = bridge.ops.clone();
    let health = || {
        let mut command = program(setting.folder.path(), &["health"]);
        command.env("BRIDGE__LISTEN__OPS", &ops);
        run(command, b"")
    };
    assert_eq!(health().await.outputs(), (Some(0), "alive\n", ""));
    bridge.kill();
    let after = health().await;
    assert_eq!((after.code, after.out.as_str()), (Some(1), ""), "{after:?}");
    assert!(after.err.contains(&ops), "{after:?}");
}

#[tokio::test]
async fn completions_print_a_working_script() {
    let setting = Setting::new("");
    let script = run_command(&setting, &["completions", "bash"]).await;
    assert_eq!((script.code, script.err.as_str()), (Some(0), ""));
    let Ok(bash) = Command::new("bash").arg("--version").stdout(Stdio::null()).status() else {
        tell("SKIPPED completions_print_a_working_script: there is no bash");
        return;
    };
    assert!(bash.success());
    let complete = "COMP_WORDS=(webinar-bridge che); COMP_CWORD=1; _webinar__bridge webinar-bridge che webinar-bridge; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(format!("{}\n{complete}", script.out));
    assert_eq!(run(bash, b"").await.outputs(), (Some(0), "check\n", ""));
}

#[tokio::test]
async fn sandbox_prints_its_scenario_and_exits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ran = run(program(folder.path(), &["sandbox", "--once"]), b"").await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.out.contains("confirmed"), "{ran:?}");
    let left = fs::read_dir(folder.path()).expect("the file exists").count();
    assert_eq!(left, 0, "the sandbox removes its files");
}

fn send_sigterm(bridge: &Bridge) {
    let pid = bridge.pid().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
    assert!(killed.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn first_signal_drains_and_second_signal_stops() {
    let setting = Setting::new("");
    let text = fs::read_to_string(config(&setting)).expect("the file exists");
    // Without a second signal the program would exit after this time, with another code.
    fs::write(config(&setting), format!("listen.shutdown_delay = \"20s\"\n{text}"))
        .expect("a file can be written");
    let bridge = setting.start();
    send_sigterm(&bridge);
    eventually("the bridge is not ready", async || {
        let readyz = wire::get(&bridge.ops, "/readyz").await;
        readyz.status == 503 && readyz.body.contains("draining")
    })
    .await;
    let body = created(1, "Late", "");
    let late = post(&bridge, &body).await;
    assert_eq!(
        late.status_and_body(),
        (200, r#"{"status":"accepted"}"#),
        "load balancers may still send requests"
    );
    assert_eq!(bridge.terminate(), Some(1));

    // An answered webhook is stored.
    fs::write(config(&setting), text).expect("a file can be written");
    let bridge = setting.start();
    let again = post(&bridge, &body).await;
    assert_eq!(again.status_and_body(), (200, r#"{"status":"duplicate"}"#));
    assert_eq!(bridge.terminate(), Some(0));
}

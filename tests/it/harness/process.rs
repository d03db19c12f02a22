//! The real program as a process, with an emulated HubSpot that outlives it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use webinar_bridge::clock::SystemClock;
use webinar_bridge::sandbox::emulator::{
    EmulatorCall, EmulatorOperation, EmulatorSettings, StoredEvent,
};
use webinar_bridge::sandbox::hubspot_server::HubSpotServer;

use super::eventually_within;
use super::http::{Scrape, request, scrape as read_metrics};
use super::zoom::ACCOUNT;

/// Access token of the emulated HubSpot.
pub(crate) const TOKEN: &str = "pat-test-000";
/// Secret of the source `zoom`.
pub(crate) const SECRET: &str = "zoom-secret-of-the-tests";

/// A folder with a configuration and a store, and a HubSpot, for one bridge at a time.
///
/// Dropping it at the end of a test fails the test if the bridge ever violated HubSpot's rules.
pub(crate) struct Setting {
    pub(crate) folder: TempDir,
    pub(crate) hubspot: HubSpotServer,
}

/// A running bridge; dropping it kills the process.
pub(crate) struct Bridge {
    child: Child,
    pub(crate) webhooks: String,
    pub(crate) ops: String,
    log: PathBuf,
}

impl Setting {
    /// A configuration with an account `main`, a source `zoom`, and `more` TOML after it.
    pub(crate) fn new(more: &str) -> Self {
        Self::with(EmulatorSettings::new(TOKEN), "", more)
    }

    /// As [`Self::new`], with further lines in `[hubspot.main]`. In all lines `{hubspot}` is HubSpot's address and
    /// `{folder}` the folder.
    pub(crate) fn with(hubspot: EmulatorSettings, account: &str, more: &str) -> Self {
        let hubspot = HubSpotServer::open(hubspot, Arc::new(SystemClock)).expect("it listens");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut text = String::new();
        write!(
            text,
            "listen.webhooks = \"127.0.0.1:0\"\nlisten.ops = \"127.0.0.1:0\"\n\
             store.url = \"sqlite:{}\"\n\
             [hubspot.main]\naccess_token = {{ env = \"TEST_TOKEN\" }}\nbase_url = \"{}\"\n\
             max_linger = \"50ms\"\n{account}\n\
             [source.zoom]\nprovider = \"zoom\"\nsecret = {{ env = \"TEST_SECRET\" }}\n\
             organizer = \"Acme GmbH\"\n{more}\n",
            folder.path().join("data/bridge.db").display(),
            hubspot.base_url(),
        )
        .expect("text can be written");
        let text = text
            .replace("{hubspot}", &hubspot.base_url())
            .replace("{folder}", &folder.path().display().to_string());
        std::fs::write(folder.path().join("bridge.toml"), text).expect("a file can be written");
        Self { folder, hubspot }
    }

    /// HubSpot's events of Zoom's account, by external event id.
    pub(crate) fn held(&self) -> BTreeMap<String, StoredEvent> {
        self.held_of(ACCOUNT)
    }

    /// HubSpot's events of this external account, by external event id.
    pub(crate) fn held_of(&self, account: &str) -> BTreeMap<String, StoredEvent> {
        let emulator = self.hubspot.emulator();
        let events = emulator.events().iter().filter(|((owner, _), _)| owner == account);
        events.map(|((_, id), event)| (id.clone(), event.clone())).collect()
    }

    /// HubSpot's event of this webinar; it must exist.
    pub(crate) fn event(&self, id: &str) -> StoredEvent {
        self.held().remove(id).unwrap_or_else(|| panic!("HubSpot has no event {id}"))
    }

    /// Runs another command of the program with this configuration to its end; returns its exit code and output.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"));
        command.args(arguments).arg("--config").arg(self.folder.path().join("bridge.toml"));
        command.env("TEST_TOKEN", TOKEN).env("TEST_SECRET", SECRET);
        let ending = tokio::task::spawn_blocking(move || command.output());
        let output = ending.await.expect("it ends").expect("the program starts");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("its output is text"))
    }

    /// Replaces a part of the configuration, for the next start.
    pub(crate) fn configure(&self, from: &str, to: &str) {
        let path = self.folder.path().join("bridge.toml");
        let text = std::fs::read_to_string(&path).expect("a configuration");
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(path, text.replace(from, to)).expect("a file can be written");
    }

    /// Path of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("data/bridge.db")
    }

    /// Starts the bridge and waits until it serves.
    pub(crate) fn start(&self) -> Bridge {
        self.start_with(&[])
    }

    /// As [`Self::start`], with these environment variables.
    pub(crate) fn start_with(&self, variables: &[(&str, &str)]) -> Bridge {
        self.start_with_arguments(&[], variables)
    }

    /// As [`Self::start_with`], with more arguments.
    pub(crate) fn start_with_arguments(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Bridge {
        let log = self.folder.path().join("bridge.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"))
            .arg("serve")
            .arg("--config")
            .arg(self.folder.path().join("bridge.toml"))
            .args(arguments)
            .env("TEST_TOKEN", TOKEN)
            .env("TEST_SECRET", SECRET)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(file.try_clone().expect("a second handle"))
            .spawn()
            .expect("the bridge starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let (webhooks, ops) = loop {
            let mut line = String::new();
            if lines.read_line(&mut line).expect("its output is text") == 0 {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("the bridge did not start: {log}");
            }
            std::io::Write::write_all(&mut &file, line.as_bytes()).expect("logged");
            let entry: Value = serde_json::from_str(&line).expect("log lines are JSON");
            if let (Some(webhooks), Some(ops)) =
                (entry["listen.webhooks"].as_str(), entry["listen.ops"].as_str())
                && entry["message"] == "webinar-bridge serves"
            {
                break (webhooks.to_owned(), ops.to_owned());
            }
        };
        // Later output goes to the file; an unread pipe would block the bridge.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut &file));
        Bridge { child, webhooks, ops, log }
    }
}

impl Bridge {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A line of `/proc/PID/status`, in MiB.
    pub(crate) fn memory(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it runs");
        let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(":"));
        let kib: f64 = value
            .and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok())
            .expect("the kernel reports memory in kB");
        kib / 1024.0
    }

    /// SIGKILL: the process cannot clean up.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// SIGSTOP: the process stands still.
    pub(crate) fn freeze(&self) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-STOP", &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    /// SIGTERM; returns the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(status.success());
        self.child.wait().expect("it ends").code()
    }

    /// Waits until nothing is pending or in flight. Exact: webhooks answered before are counted.
    pub(crate) async fn settled(&self) {
        self.settled_within(Duration::from_secs(30)).await;
    }

    /// As [`Self::settled`], with another time limit.
    pub(crate) async fn settled_within(&self, limit: Duration) {
        eventually_within(limit, "all that is pending is delivered", async || {
            let scrape = read_metrics(&self.ops).await;
            let open = ["pending", "in_flight"].map(|state| ("state", state));
            // What is read becomes pending, so that the counts are looked at once more afterwards.
            let is_open = |scrape: &Scrape| {
                open.iter().any(|state| scrape.count("bridge_events", &[*state]) > 0)
            };
            if is_open(&scrape) || scrape.count("bridge_events", &[("state", "incomplete")]) == 0 {
                return !is_open(&scrape);
            }
            !self.waits_for_hubspots_events().await && !is_open(&read_metrics(&self.ops).await)
        })
        .await;
    }

    /// Whether an event waits until HubSpot was asked what it holds.
    pub(crate) async fn waits_for_hubspots_events(&self) -> bool {
        let path = "GET /api/v1/events?state=incomplete&limit=200";
        let Ok(list) = request(&self.ops, path, &[], &[]).await else { return false };
        let list = list.json();
        let events = list["events"].as_array().into_iter().flatten();
        let mut gaps = events.flat_map(|event| event["gaps"].as_array().into_iter().flatten());
        gaps.any(|gap| gap == "base_unread")
    }

    /// All log lines so far.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }
}

impl Setting {
    /// The number of events that were read at HubSpot so far.
    pub(crate) fn reads(&self) -> usize {
        let emulator = self.hubspot.emulator();
        let is_read = |call: &&EmulatorCall| call.operation == Some(EmulatorOperation::Read);
        emulator.calls().iter().filter(is_read).count()
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        self.hubspot.close();
        if !std::thread::panicking() {
            let violations = self.hubspot.emulator().violations().to_vec();
            assert!(violations.is_empty(), "the bridge violated HubSpot's rules: {violations:#?}");
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // The process may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

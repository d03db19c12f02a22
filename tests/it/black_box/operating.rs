//! Commands about a store and a running bridge: exit codes, and what they print.

use super::scenario::{Scenario, setting};
use super::{Snapshot, exit};

/// Commands, in this order. Each gets `--config`.
const BESIDE: [&str; 10] = [
    "check",
    "check --online",
    "migrate",
    "serve",
    "backup --to {folder}/copy.db",
    "backup --to {folder}/copy.db",
    "erase --email nobody@example.org",
    "verify --dry-run --hubspot main",
    "verify --hubspot nobody",
    "backfill --source zoom",
];
const AFTER: [&str; 4] =
    ["check", "migrate", "verify --dry-run --hubspot main", "verify --hubspot main"];
const ALONE: [&str; 5] =
    ["check", "migrate", "verify --hubspot main", "backfill --source nobody", "health"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_operators_end_as_in_the_snapshot() {
    let scenario = Scenario::new();
    scenario.tell_webhooks().await;
    let Scenario { bridge, setting: used, mut redactor, .. } = scenario;
    let fresh = setting("http://127.0.0.1:9");
    let mut codes = Snapshot::new("operating.txt");
    let mut messages = Snapshot::new("operating.messages.txt");
    let mut bridge = Some(bridge);
    let fresh_folder = fresh.folder.path().display().to_string();
    for (place, setting, lines) in [
        ("beside a bridge", &used, BESIDE.as_slice()),
        ("after the bridge", &used, &AFTER),
        ("without a store", &fresh, &ALONE),
    ] {
        for line in lines {
            let folder = setting.folder.path().display().to_string();
            let filled = line.replace("{folder}", &folder);
            let arguments: Vec<&str> = filled.split_whitespace().collect();
            let (code, printed) = setting.run(&arguments).await;
            let heading = format!("{place}: {line}");
            codes.add(&heading, &exit(code));
            let printed = printed.replace(&fresh_folder, "[folder]");
            messages.add(&heading, &redactor.redact(&printed));
        }
        if let Some(bridge) = bridge.take() {
            assert_eq!(bridge.terminate(), Some(0));
        }
    }
    codes.check();
    messages.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_with_tokens_configured_answers_as_in_the_snapshot() {
    let mut scenario = Scenario::with_variables(&[
        ("BRIDGE__OPS__AUTH__JWT__ALGORITHM", "HS256"),
        ("BRIDGE__OPS__AUTH__JWT__SECRET", "0123456789abcdef0123456789abcdef"),
        ("BRIDGE__OPS__AUTH__JWT__AUDIENCE", "webinar-bridge"),
    ]);
    let mut snapshot = Snapshot::new("api.closed.txt");
    for line in ["GET /livez", "GET /readyz", "GET /api/v1/status", "GET /api/v1/nothing"] {
        scenario.ask(&mut snapshot, line).await;
    }
    let proxy = [("x-forwarded-for", "127.0.0.1")];
    scenario.ask_with(&mut snapshot, "GET /api/v1/status", &proxy, b"").await;
    let host = [("host", "rebound.example")];
    scenario.ask_with(&mut snapshot, "GET /api/v1/status", &host, b"").await;
    snapshot.check();
}

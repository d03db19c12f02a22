//! `GET /metrics`: names, types, labels, and the values that are the same in every run. Help texts are left out.

use super::Snapshot;
use super::scenario::Scenario;

/// Metrics whose values the story decides.
const EXACT: [&str; 9] = [
    "bridge_account_paused",
    "bridge_events",
    "bridge_events_dead_total",
    "bridge_events_delivered_total",
    "bridge_fetch_pending",
    "bridge_webhook_bad_fields_total",
    "bridge_webhooks_foreign_account_total",
    "bridge_webhooks_rejected_total",
    "bridge_webhooks_total",
];

/// All metrics after the whole story.
pub(super) async fn check(scenario: &mut Scenario) {
    compare(scenario, "metrics.txt", "").await;
}

/// Those of webhooks alone.
pub(super) async fn check_webhooks(scenario: &mut Scenario) {
    compare(scenario, "metrics.webhooks.txt", "bridge_webhook").await;
}

async fn compare(scenario: &mut Scenario, file: &str, prefix: &str) {
    let answer = scenario.get("GET /metrics").await;
    let mut lines = vec![answer.head.clone(), String::new()];
    for line in answer.body.lines().filter(|line| !line.starts_with("# HELP ")) {
        let name = line.trim_start_matches("# TYPE ");
        if !name.starts_with(prefix) {
            continue;
        }
        let line = if line.starts_with('#') { line.to_owned() } else { series(line) };
        lines.push(line);
    }
    let mut snapshot = Snapshot::new(file);
    snapshot.add("GET /metrics", &scenario.redactor.redact(&lines.join("\n")));
    snapshot.check();
}

/// A series with its value, or with a word for it.
fn series(line: &str) -> String {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let name = series.split('{').next().unwrap_or_default();
    let number: f64 = value.parse().expect("a number");
    assert!(number >= 0.0 || name == "bridge_clock_skew_seconds", "{line}");
    if EXACT.contains(&name) {
        return line.to_owned();
    }
    if name == "bridge_build_info" {
        // Its labels are the version and the revision of this build.
        return "bridge_build_info{revision=\"[revision]\",version=\"[version]\"} 1".to_owned();
    }
    format!("{series} [value]")
}

//! Pausing and resuming accounts, and the status.

use serde_json::json;

use super::{api_json, refusal};
use crate::harness::http::scrape;
use crate::harness::process::Setting;
use crate::harness::zoom::{Zoom, at, created};

const OPERATOR: [(&str, &str); 2] = [("hubspot", "main"), ("reason", "operator")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_account_sends_nothing_until_resumed_even_after_restart() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let answer = api_json(&bridge, "POST accounts/main/pause").await;
    assert_eq!(
        (&answer["hubspot"], &answer["paused"]["reason"]),
        (&json!("main"), &json!("operator"))
    );
    Zoom::to(&bridge).story([created(1, "Calm releases", at(0))]).await;
    assert_eq!(scrape(&bridge.ops).await.count("bridge_account_paused", &OPERATOR), 1);
    // A graceful stop delivers what it may: nothing of a paused account.
    assert_eq!(bridge.terminate(), Some(0));
    assert!(setting.held().is_empty());

    let bridge = setting.start();
    assert_eq!(scrape(&bridge.ops).await.count("bridge_account_paused", &OPERATOR), 1);
    let again = api_json(&bridge, "POST accounts/main/pause").await;
    assert_eq!(again["paused"], answer["paused"], "the time of the pause stays");
    let status = api_json(&bridge, "GET status").await;
    assert_eq!(status["accounts"][0]["paused"], answer["paused"]);
    assert_eq!(status["accounts"][0]["events"]["pending"], 1);
    assert!(setting.held().is_empty());
    let resumed = api_json(&bridge, "POST accounts/main/resume").await;
    assert!(resumed["paused"].is_null(), "{resumed}");
    bridge.settled().await;
    assert_eq!(setting.event("1").input.event_name, "Calm releases");
    assert_eq!(scrape(&bridge.ops).await.count("bridge_account_paused", &OPERATOR), 0);
    // Resuming a running account changes nothing.
    api_json(&bridge, "POST accounts/main/resume").await;
    assert_eq!(
        refusal(&bridge, "POST accounts/other/pause").await,
        (404, "unknown_account".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_shows_store_accounts_and_sources() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let before = api_json(&bridge, "GET status").await;
    assert!(before["sources"][0]["last_webhook_at"].is_null());
    Zoom::to(&bridge).story([created(1, "Calm releases", at(0))]).await;
    bridge.settled().await;
    let status = api_json(&bridge, "GET status").await;
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["revision"].is_string() && status["uptime_seconds"].is_u64());
    let store = &status["store"];
    assert_eq!((&store["ok"], &store["problem"]), (&json!(true), &json!(null)));
    for size in ["bytes", "free_bytes", "wal_bytes"] {
        assert!(store[size].is_u64(), "{store}");
    }
    let account = &status["accounts"][0];
    assert_eq!(account["hubspot"], "main");
    let events = json!({ "pending": 0, "in_flight": 0, "delivered": 1, "incomplete": 0, "filtered": 0, "dead": 0 });
    assert_eq!(account["events"], events);
    for field in ["paused", "retry_at", "last_error", "oldest_pending_age_seconds"] {
        assert!(account.get(field).is_some_and(serde_json::Value::is_null), "{field}: {account}");
    }
    let source = &status["sources"][0];
    assert_eq!((&source["source"], &source["provider"]), (&json!("zoom"), &json!("zoom")));
    assert_eq!(source["webhooks_since_start"]["accepted"], 1);
    assert_eq!(source["webhooks_since_start"]["quarantined"], 0);
    let last = source["last_webhook_at"].as_str().expect("a time");
    assert!(last.ends_with('Z') && last.len() == "2026-01-01T00:00:00.000Z".len(), "{last}");
}

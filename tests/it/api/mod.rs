//! The operators' API of the real program.

mod accounts;
mod crowded;
mod doors;
mod events;
mod receipts;

use serde_json::Value;

use crate::harness::http::{self, Answer};
use crate::harness::process::Bridge;

/// Asks the API of a bridge, as `curl` on the same machine does.
async fn asked(bridge: &Bridge, line: &str) -> Answer {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let line = format!("{method} /api/v1/{path}");
    http::request(&bridge.ops, &line, &[], b"").await.expect("it is answered")
}

/// What the API shows, which it must.
async fn shown(bridge: &Bridge, line: &str) -> Value {
    let answer = asked(bridge, line).await;
    let told = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 200, "{line}: {told}");
    answer.json()
}

/// The end of a refusal's type, with its status.
async fn refused(bridge: &Bridge, line: &str) -> (u16, String) {
    let answer = asked(bridge, line).await;
    let kind = answer.json()["type"].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.json()["status"], answer.status, "{line}: {:?}", answer.json());
    (answer.status, kind.rsplit(':').next().unwrap_or_default().to_owned())
}

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let items = list.as_array().expect("a list").iter();
    items.map(|item| item[field].as_str().unwrap_or_default()).collect()
}

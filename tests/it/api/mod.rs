//! The operations API of the real program.

mod accounts;
mod crowded;
mod doors;
mod events;
mod receipts;

use serde_json::Value;

use crate::harness::http::{self, Answer};
use crate::harness::process::Bridge;

/// Sends a request to the API, as `curl` on the same machine does.
async fn call_api(bridge: &Bridge, line: &str) -> Answer {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let line = format!("{method} /api/v1/{path}");
    http::request(&bridge.ops, &line, &[], b"").await.expect("the request is answered")
}

/// The JSON that the API shows. Panics for other answers.
async fn api_json(bridge: &Bridge, line: &str) -> Value {
    let answer = call_api(bridge, line).await;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 200, "{line}: {body}");
    answer.json()
}

/// The status of a refusal, and the last part of its type.
async fn refusal(bridge: &Bridge, line: &str) -> (u16, String) {
    let answer = call_api(bridge, line).await;
    let kind = answer.json()["type"].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.json()["status"], answer.status, "{line}: {:?}", answer.json());
    (answer.status, kind.rsplit(':').next().unwrap_or_default().to_owned())
}

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let items = list.as_array().expect("a list").iter();
    items.map(|item| item[field].as_str().unwrap_or_default()).collect()
}

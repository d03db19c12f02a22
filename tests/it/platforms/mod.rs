//! Each platform from its webhooks to HubSpot: the real program over real HTTP, an emulated HubSpot and, for platforms
//! with fetches, an emulated platform API. Signatures are computed here, not by the product's code.

mod bigbluebutton;
mod custom;
mod eventbrite;
mod lagging;
mod livestorm;
mod luma;
mod riverside;
mod ticket_tailor;
mod wix;
mod zoom_api;

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use webinar_bridge::clock::SystemClock;
use webinar_bridge::providers::DemoApi;
use webinar_bridge::sandbox::platform_server::PlatformServer;

use crate::harness::process::{Bridge, Setting};
use crate::harness::{eventually, http};

/// Sends a webhook that must be answered 200, and returns its outcome.
async fn send(bridge: &Bridge, path: &str, headers: &[(String, String)], body: &[u8]) -> String {
    let answer = post(bridge, path, headers, body).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(body));
    answer.word()
}

/// Sends a webhook, and returns the status of the answer.
async fn status_of(bridge: &Bridge, path: &str, headers: &[(String, String)], body: &[u8]) -> u16 {
    post(bridge, path, headers, body).await.status
}

async fn post(
    bridge: &Bridge,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> http::Answer {
    let line = format!("POST /webhooks/{path}");
    http::request(&bridge.webhooks, &line, headers, body).await.expect("the webhook is answered")
}

/// Opens an emulated platform API that requires this request header.
fn open_api(header: &'static str, value: &'static str) -> PlatformServer {
    let api = DemoApi::Header(header, value);
    PlatformServer::open(api, Arc::new(SystemClock)).expect("the server listens")
}

/// Waits until the source has no pending fetch and every resulting event is delivered.
async fn fetched_and_settled(bridge: &Bridge, source: &str) {
    eventually("all fetches are done", async || {
        let scrape = http::scrape(&bridge.ops).await;
        scrape.count("bridge_fetch_pending", &[("source", source)]) == 0
    })
    .await;
    bridge.settled().await;
}

/// The stored receipts of a source, each as the operations API shows it with its body.
async fn stored_receipts(bridge: &Bridge, source: &str) -> Vec<String> {
    let list = format!("GET /api/v1/receipts?source={source}&limit=100");
    let list = http::request(&bridge.ops, &list, &[], &[]).await.expect("the list is answered");
    let mut receipts = Vec::new();
    for receipt in list.json()["receipts"].as_array().expect("a list of receipts") {
        let line = format!("GET /api/v1/receipts/{}", receipt["id"].as_str().expect("an id"));
        let answer = http::request(&bridge.ops, &line, &[], &[]).await;
        let answer = answer.expect("the receipt is answered");
        assert_eq!(answer.status, 200);
        receipts.push(String::from_utf8(answer.body).expect("a receipt is UTF-8"));
    }
    receipts
}

/// Asserts that none of these texts is in a stored receipt of the source. Returns the number of receipts.
async fn assert_not_stored(bridge: &Bridge, source: &str, secrets: &[&str]) -> usize {
    let receipts = stored_receipts(bridge, source).await;
    for receipt in &receipts {
        for secret in secrets {
            assert!(!receipt.contains(secret), "{secret} is stored: {receipt}");
        }
    }
    receipts.len()
}

/// Runs `check` on an invalid source, and returns what it prints.
async fn check_errors(source: &str) -> String {
    let (code, output) = Setting::new(source).run(&["check"]).await;
    assert_eq!(code, Some(2), "{output}");
    output
}

/// The HMAC-SHA256 of the concatenated parts.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

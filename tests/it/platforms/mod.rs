//! Every platform from its webhooks to HubSpot: the real program, real HTTP, an emulated HubSpot and, where the platform
//! is asked, an emulated API of it. Signatures are made here, not by the product's code.

mod bigbluebutton;
mod custom;
mod eventbrite;
mod livestorm;
mod luma;
mod riverside;
mod ticket_tailor;
mod wix;
mod zoom_api;

use std::sync::Arc;

use serde_json::Value;
use webinar_bridge::clock::{Clock as _, SystemClock};
use webinar_bridge::providers::DemoApi;
use webinar_bridge::sandbox::platform_server::PlatformServer;

use crate::harness::process::Bridge;
use crate::harness::{eventually, http};

/// Sends a webhook that must be answered 200; what became of it.
pub(super) async fn tell(
    bridge: &Bridge,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> String {
    let line = format!("POST /webhooks/{path}");
    let answer = http::request(&bridge.webhooks, &line, headers, body).await;
    let answer = answer.expect("it is answered");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(body));
    answer.word()
}

/// The same of one that must not be believed; its status.
pub(super) async fn refused(
    bridge: &Bridge,
    path: &str,
    headers: &[(String, String)],
    body: &Value,
) -> u16 {
    let line = format!("POST /webhooks/{path}");
    let body = body.to_string().into_bytes();
    http::request(&bridge.webhooks, &line, headers, &body).await.expect("it is answered").status
}

/// The API of a platform that wants this request header.
pub(super) fn api(header: &'static str, value: &'static str) -> PlatformServer {
    let api = DemoApi::Header(header, value);
    PlatformServer::open(api, Arc::new(SystemClock)).expect("it listens")
}

/// Waits until the source's platform has been asked for all that is wanted, and HubSpot has what follows.
pub(super) async fn asked_and_settled(bridge: &Bridge, source: &str) {
    eventually("the platform has answered", async || {
        let scrape = http::scrape(&bridge.ops).await;
        scrape.count("bridge_fetch_pending", &[("source", source)]) == 0
    })
    .await;
    bridge.settled().await;
}

/// The present time in whole seconds since 1970.
pub(super) fn seconds() -> i64 {
    SystemClock.now().get() / 1_000
}

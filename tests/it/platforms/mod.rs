//! Every platform from its webhooks to HubSpot: the real program, real HTTP, an emulated HubSpot and, where the platform
//! is asked, an emulated API of it. Signatures are made here, not by the product's code.

mod bigbluebutton;
mod luma;
mod riverside;
mod ticket_tailor;
mod zoom_api;

use serde_json::Value;

use crate::harness::http;
use crate::harness::process::Bridge;

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

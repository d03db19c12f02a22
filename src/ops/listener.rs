//! The private listener: routes requests to probes, metrics and the API.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::api;
use super::gauges::update_gauges;
use super::state::OpsState;
use crate::http::{self, BodyMemory, ListenerLimits, ServerRequest, ServerResponse};
use crate::telemetry::metrics::TEXT_FORMAT;

/// Enough for probes, scrapers and operators.
const MAX_CONNECTIONS: usize = 256;
/// How long a connection's first head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves probes, metrics and the API until `stop`; the requests that have begun get `stop_timeout` to end.
///
/// # Errors
/// When the listener cannot be used, or its threads cannot be started.
///
/// # Cancel safety
/// Dropped, it ends at once; nothing is lost.
pub async fn run_ops(
    listener: TcpListener,
    ops: OpsState,
    stop: CancellationToken,
    stop_timeout: Duration,
) -> io::Result<()> {
    let limits = ListenerLimits {
        max_connections: MAX_CONNECTIONS,
        head_timeout: HEAD_TIMEOUT,
        stop_timeout,
    };
    let ops = Arc::new(ops);
    let memory = BodyMemory::new(api::BODY_MEMORY);
    let handler = move |request| {
        let (ops, memory) = (Arc::clone(&ops), memory.clone());
        async move { respond(&ops, &memory, request).await }
    };
    http::serve(listener, limits, handler, stop).await
}

async fn respond(ops: &OpsState, memory: &BodyMemory, request: ServerRequest) -> ServerResponse {
    if api::is_api_path(request.path()) {
        return api::respond(ops, memory, request).await;
    }
    let is_known = ["/livez", "/readyz", "/metrics"].contains(&request.path());
    if is_known && !["GET", "HEAD"].contains(&request.method()) {
        return ServerResponse::error(405, "method_not_allowed").with_header("allow", "GET, HEAD");
    }
    match request.path() {
        "/livez" => ServerResponse::json(200, &json!({ "status": "alive" })),
        "/readyz" => readiness_response(ops),
        "/metrics" => {
            update_gauges(ops).await;
            ServerResponse::new(200, TEXT_FORMAT, ops.metrics.render())
        }
        _ => ServerResponse::error(404, "not_found"),
    }
}

fn readiness_response(ops: &OpsState) -> ServerResponse {
    let mut reasons = ops.readiness.reasons();
    reasons.extend(ops.ledger.health().err().map(|error| format!("store: {error}")));
    if reasons.is_empty() {
        ServerResponse::json(200, &json!({ "status": "ready" }))
    } else {
        ServerResponse::json(503, &json!({ "status": "unready", "reasons": reasons }))
    }
}

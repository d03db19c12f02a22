//! The private listener: is it alive, is it ready, what does it count; and the operators' API.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::api::guard::ApiAccess;
use super::api::{self, ApiBodyMemory};
use super::reply;
use super::server::{self, ListenerLimits};
use crate::clock::Clock;
use crate::event::{AccountName, Millis, ProviderId, SourceName};
use crate::ledger::{EventStateCounts, Ledger, StoreSizes};
use crate::providers::Provider;
use crate::replay::Replayer;
use crate::telemetry::metrics::TEXT_FORMAT;
use crate::telemetry::{EventCounts, Metrics};

/// Probes, scrapers and operators, not the public.
const MAX_CONNECTIONS: usize = 256;
/// How long a connection's first head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the store may take to tell an account's oldest pending event, before its gauge is left as it was.
const OLDEST_PENDING_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether webhooks should be sent here, as far as the process's own life goes. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<ReadinessFlags>);

#[derive(Debug, Default)]
struct ReadinessFlags {
    started: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// Everything is set up, and the counts are right.
    pub fn set_started(&self) {
        self.0.started.store(true, Ordering::Release);
    }

    /// The process is about to stop: balancers should look elsewhere. There is no way back.
    pub fn set_draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    fn reasons(&self) -> Vec<String> {
        let flags = [
            (!self.0.started.load(Ordering::Acquire), "starting"),
            (self.0.draining.load(Ordering::Acquire), "draining"),
        ];
        flags.into_iter().filter(|(set, _)| *set).map(|(_, reason)| reason.to_owned()).collect()
    }
}

/// What the private listener is to serve.
#[derive(Clone)]
pub struct OpsState {
    /// What is asked for its state.
    pub ledger: Arc<dyn Ledger>,
    /// What maps receipts again.
    pub replayer: Replayer,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is shown.
    pub metrics: Metrics,
    /// The HubSpot accounts.
    pub accounts: Vec<AccountName>,
    /// The sources, with their providers.
    pub sources: Vec<(SourceName, ProviderId)>,
    /// Those of them whose platform can be asked.
    pub fetchable_sources: BTreeMap<SourceName, Arc<dyn Provider>>,
    /// The process's own state.
    pub readiness: Readiness,
    /// When the process started.
    pub started_at: Millis,
    /// Who may use the API.
    pub access: ApiAccess,
}

/// Serves probes, metrics and the API until `stop`; the requests that have begun get `stopping` to end.
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
    stopping: Duration,
) -> io::Result<()> {
    let bounds = ListenerLimits {
        max_connections: MAX_CONNECTIONS,
        head_timeout: HEAD_TIMEOUT,
        stop_timeout: stopping,
    };
    let ops = Arc::new(ops);
    let bodies = ApiBodyMemory::default();
    let handler = move |request: HttpRequest, payload| {
        let (ops, bodies) = (Arc::clone(&ops), bodies.clone());
        async move { ops.respond(&bodies, &request, payload).await }
    };
    server::serve(listener, bounds, handler, stop).await
}

impl OpsState {
    async fn respond(
        &self,
        bodies: &ApiBodyMemory,
        request: &HttpRequest,
        payload: Payload,
    ) -> HttpResponse {
        if api::is_api_path(request.path())
            && let Some(answer) = api::handle_request(self, bodies, request, payload).await
        {
            return answer;
        }
        let known = ["/livez", "/readyz", "/metrics"].contains(&request.path());
        if known && request.method() != Method::GET && request.method() != Method::HEAD {
            let refusal = json!({ "error": "method_not_allowed" });
            let mut answer = reply::json_response(StatusCode::METHOD_NOT_ALLOWED, &refusal);
            let allow = header::HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(header::ALLOW, allow);
            return answer;
        }
        match request.path() {
            "/livez" => reply::json_response(StatusCode::OK, &json!({ "status": "alive" })),
            "/readyz" => self.readiness_response(),
            "/metrics" => {
                self.update_gauges().await;
                reply::response_builder(StatusCode::OK, TEXT_FORMAT).body(self.metrics.render())
            }
            _ => reply::json_response(StatusCode::NOT_FOUND, &json!({ "error": "not_found" })),
        }
    }

    fn readiness_response(&self) -> HttpResponse {
        let mut reasons = self.readiness.reasons();
        reasons.extend(self.ledger.health().err().map(|error| format!("store: {error}")));
        if reasons.is_empty() {
            reply::json_response(StatusCode::OK, &json!({ "status": "ready" }))
        } else {
            let body = json!({ "status": "unready", "reasons": reasons });
            reply::json_response(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }

    /// Sets the gauges to what the ledger knows now; what it cannot tell stays as it was.
    async fn update_gauges(&self) {
        for (account, counts) in self.ledger.event_counts() {
            let EventStateCounts { pending, in_flight, delivered, incomplete, filtered, dead } =
                counts;
            let counts = EventCounts { pending, in_flight, delivered, incomplete, filtered, dead };
            self.metrics.set_events(&account, counts);
        }
        for account in &self.accounts {
            let standing = self.ledger.account_status(account);
            let reason = standing.paused.map(|pause| pause.reason.as_str());
            self.metrics.set_paused(account, reason);
            self.metrics.set_daily_remaining(account, standing.daily_remaining);
            match timeout(OLDEST_PENDING_TIMEOUT, self.ledger.oldest_pending(account)).await {
                Ok(Ok(since)) => {
                    let age = since.map(|since| self.clock.now().since(since));
                    self.metrics.set_oldest_pending(account, age);
                }
                Ok(Err(error)) => tracing::debug!(%error, "the oldest pending event is unknown"),
                Err(_) => tracing::debug!("the oldest pending event is unknown: it took too long"),
            }
        }
        for (source, status) in self.ledger.fetch_statuses() {
            // What was wanted of a platform that cannot be asked any more waits for nothing.
            let waits = self.fetchable_sources.contains_key(&source);
            self.metrics.set_fetch_pending(&source, if waits { status.pending } else { 0 });
        }
        let StoreSizes { store, free, wal } = self.ledger.store_sizes();
        self.metrics.set_store_sizes(store, free, wal);
    }
}

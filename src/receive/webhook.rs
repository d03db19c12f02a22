//! `POST /webhooks/{source}[/{path_token}]`: from a request to its answer.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, debug, warn};

use super::error::WebhookError;
use super::path::WebhookPath;
use super::settings::{PublishedKeys, WebhookSettings};
use crate::clock::Clock;
use crate::event::{ReceiptId, SourceName};
use crate::http::{
    self, BodyLimits, BodyMemory, ListenerLimits, LogThrottle, RequestBody, ServerRequest,
    ServerResponse, catch_panic,
};
use crate::intake::{IntakeReceipt, IntakeResult, Source, VerificationKeys};
use crate::ledger::{Ledger, ReceiptOutcome};
use crate::providers::{HandshakeReply, Inbound, VerifyError};
use crate::secret::{Secret, SecretError};
use crate::telemetry::{Metrics, WebhookOutcome};

/// Most connections of the public listener.
///
/// An idle one costs some 20 KiB. One that sends a large body as fast as it can costs up to a quarter of a megabyte of
/// the framework's buffers, which have no setting. Platforms use tens of connections.
const MAX_CONNECTIONS: usize = 2_560;
/// Longest body that is verified and read on the thread of its connection: this takes less than a millisecond, about
/// as much as moving it to another thread.
const INLINE_MAX: usize = 64 * 1024;
/// The route in logs, which never hold a path: paths hold tokens.
const ROUTE: &str = "/webhooks/{source}";

/// Receives webhooks until `stop`. Then it takes no new connection, and the requests that have begun get
/// `stop_timeout` to end.
///
/// # Errors
/// When the listener cannot be used, or its threads cannot be started.
///
/// # Cancel safety
/// Dropped, it ends without finishing the requests that have begun; they are not answered, so nothing is lost.
pub async fn run_webhooks(
    listener: TcpListener,
    settings: WebhookSettings,
    stop: CancellationToken,
    stop_timeout: Duration,
) -> io::Result<()> {
    let limits = ListenerLimits {
        max_connections: MAX_CONNECTIONS,
        head_timeout: settings.limits.head_timeout,
        stop_timeout,
    };
    let service = Arc::new(WebhookService::new(settings));
    let handler = move |request| {
        let service = Arc::clone(&service);
        async move { service.respond(request).await }
    };
    http::serve(listener, limits, handler, stop).await
}

/// Answers webhooks.
struct WebhookService {
    endpoints: BTreeMap<SourceName, Arc<LiveEndpoint>>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    body_limits: BodyLimits,
    accept_timeout: Duration,
    memory: BodyMemory,
    store_warning: LogThrottle,
}

/// A source with the state of its endpoint.
struct LiveEndpoint {
    source: Arc<Source>,
    /// Published keys that the provider verifies with, if it needs them.
    keys: Option<Arc<dyn PublishedKeys>>,
    secret_warning: LogThrottle,
    foreign_warning: LogThrottle,
}

/// How a request was handled.
enum Handled {
    Stored(ReceiptOutcome),
    Handshake(HandshakeReply),
}

impl WebhookService {
    fn new(settings: WebhookSettings) -> Self {
        let WebhookSettings { sources, keys, ledger, clock, metrics, max_body, limits } = settings;
        let endpoint = |source: Arc<Source>| {
            let name = source.name.clone();
            let keys =
                source.provider.scheme().published_keys().and_then(|url| keys.get(url).cloned());
            let (secret_warning, foreign_warning) = Default::default();
            (name, Arc::new(LiveEndpoint { source, keys, secret_warning, foreign_warning }))
        };
        Self {
            endpoints: sources.into_iter().map(endpoint).collect(),
            ledger,
            clock,
            metrics,
            body_limits: BodyLimits {
                max_size: max_body,
                timeout: limits.body_timeout,
                max_excess_size: limits.max_excess_bytes,
                excess_timeout: limits.excess_timeout,
            },
            accept_timeout: limits.accept_timeout,
            memory: BodyMemory::new(limits.body_memory),
            store_warning: LogThrottle::default(),
        }
    }

    async fn respond(&self, mut request: ServerRequest) -> ServerResponse {
        let began = Instant::now();
        let endpoint = match self.find_endpoint(request.path()) {
            Ok(endpoint) => endpoint,
            Err(problem) => return reject(problem, request),
        };
        let Source { name, provider, .. } = &*endpoint.source;
        let span = tracing::info_span!(
            "webhook",
            source.name = name.as_str(),
            receipt.id = tracing::field::Empty
        );
        let processing = catch_panic(self.process(endpoint, &mut request)).instrument(span);
        let (answer, outcome) = match processing.await.unwrap_or(Err(WebhookError::Panicked)) {
            Ok(Handled::Stored(acceptance)) => {
                (acceptance_response(acceptance), Some(webhook_outcome(acceptance)))
            }
            Ok(Handled::Handshake(reply)) => {
                (handshake_response(reply), Some(WebhookOutcome::Handshake))
            }
            Err(problem) => (reject(problem, request), problem.row().outcome),
        };
        if let Some(outcome) = outcome {
            self.metrics.webhook_answered(name, &provider.id(), outcome, began.elapsed());
        }
        debug!(
            http.route = ROUTE,
            source.name = name.as_str(),
            http.status = answer.status(),
            "answered"
        );
        answer
    }

    /// The endpoint that the path names. An unknown source and a wrong path token are the same error.
    fn find_endpoint(&self, path: &str) -> Result<&Arc<LiveEndpoint>, WebhookError> {
        let path = WebhookPath::parse(path).ok_or(WebhookError::NotFound)?;
        let endpoint = self.endpoints.get(path.source).ok_or(WebhookError::NotFound)?;
        match (&endpoint.source.path_token, path.token) {
            (None, None) => Ok(endpoint),
            (Some(expected), Some(token)) => {
                let expected =
                    expected.read().map_err(|error| endpoint.secret_unreadable(&error))?;
                let right = token.ct_eq(expected.expose_secret().as_bytes());
                if right.into() { Ok(endpoint) } else { Err(WebhookError::NotFound) }
            }
            (None, Some(_)) | (Some(_), None) => Err(WebhookError::NotFound),
        }
    }

    async fn process(
        &self,
        endpoint: &Arc<LiveEndpoint>,
        request: &mut ServerRequest,
    ) -> Result<Handled, WebhookError> {
        if request.method() != "POST" {
            return Err(WebhookError::Method);
        }
        let RequestBody { bytes, permit } =
            request.read_body(self.body_limits, &self.memory).await?;
        let result = self.verify_and_read(endpoint, request, bytes).await?;
        let name = &endpoint.source.name;
        let handled = match result {
            IntakeResult::Refused(VerifyError::UnknownKey)
                if endpoint.keys.as_ref().is_some_and(|k| k.request_refresh()) =>
            {
                debug!("the sender's key may be published by now; it is asked to come again");
                return Err(WebhookError::KeysUnavailable);
            }
            IntakeResult::Refused(refusal) => {
                let reason = rejection_reason(refusal);
                self.metrics.webhook_rejected(name, reason);
                debug!(reason, "the sender is not believed");
                return Err(WebhookError::Unauthenticated);
            }
            IntakeResult::Handshake(reply) => {
                self.metrics.authentic_webhook_received(name, self.clock.now());
                Handled::Handshake(reply)
            }
            IntakeResult::Receipt(receipt) => {
                Handled::Stored(self.store_receipt(endpoint, *receipt).await?)
            }
        };
        // Not before: the receipt holds a copy of the body while it waits for its commit.
        drop(permit);
        Ok(handled)
    }

    async fn verify_and_read(
        &self,
        endpoint: &Arc<LiveEndpoint>,
        request: &ServerRequest,
        body: Vec<u8>,
    ) -> Result<IntakeResult, WebhookError> {
        let secrets = endpoint.source.secrets.iter().map(Secret::read);
        let secrets: Vec<SecretString> = secrets
            .collect::<Result<_, _>>()
            .map_err(|error| endpoint.secret_unreadable(&error))?;
        let published = match &endpoint.keys {
            Some(keys) => Some(keys.current().ok_or(WebhookError::KeysUnavailable)?),
            None => None,
        };
        let keys = VerificationKeys { secrets, published };
        let received_at = self.clock.now();
        let id = ReceiptId::generate();
        if body.len() <= INLINE_MAX && !endpoint.source.provider.capabilities().slow {
            let headers = request.headers();
            let request = Inbound::new(&headers, request.query(), &body, received_at);
            return Ok(endpoint.source.receive_webhook(&keys, request, id));
        }
        let endpoint = Arc::clone(endpoint);
        let (headers, query) = (request.headers().into_owned(), request.query().to_owned());
        let verifying = tokio::task::spawn_blocking(move || {
            let request = Inbound::new(&headers, &query, &body, received_at);
            endpoint.source.receive_webhook(&keys, request, id)
        });
        verifying.await.map_err(|_| WebhookError::Panicked)
    }

    /// Stores the receipt; it is durable on return.
    async fn store_receipt(
        &self,
        endpoint: &LiveEndpoint,
        accepted: IntakeReceipt,
    ) -> Result<ReceiptOutcome, WebhookError> {
        let IntakeReceipt { receipt, bad_fields, has_foreign_accounts } = accepted;
        let Source { name, provider, .. } = &*endpoint.source;
        Span::current().record("receipt.id", tracing::field::display(receipt.id));
        self.metrics.authentic_webhook_received(name, receipt.received_at);
        for field in bad_fields {
            self.metrics.webhook_bad_field(&provider.id(), field);
        }
        if has_foreign_accounts {
            self.metrics.webhook_foreign_account(name);
            if endpoint.foreign_warning.is_due() {
                warn!(
                    "ignored webhooks of a platform account that platform_accounts does not name"
                );
            }
        }
        let (event_type, reason) = (receipt.event_type.clone(), receipt.content.reason());
        let error = match timeout(self.accept_timeout, self.ledger.accept(receipt)).await {
            Ok(Ok(ReceiptOutcome::Quarantined)) => {
                // The merge may refuse a webhook that the platform's code can read.
                let reason =
                    reason.unwrap_or_else(|| "it cannot be merged: see its receipt".into());
                warn!(event_type, reason, "a webhook is authentic but not understood; it is kept");
                return Ok(ReceiptOutcome::Quarantined);
            }
            Ok(Ok(acceptance)) => {
                debug!(event_type, outcome = webhook_outcome(acceptance).as_str(), "kept");
                return Ok(acceptance);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        if self.store_warning.is_due() {
            warn!(error, "the store did not commit; senders are asked to come again");
        }
        Err(WebhookError::StoreUnavailable)
    }
}

impl LiveEndpoint {
    fn secret_unreadable(&self, error: &SecretError) -> WebhookError {
        if self.secret_warning.is_due() {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            warn!(
                source.name = self.source.name.as_str(),
                %error,
                cause,
                "a secret cannot be read; senders are asked to come again"
            );
        }
        WebhookError::SecretUnreadable
    }
}

fn reject(problem: WebhookError, request: ServerRequest) -> ServerResponse {
    debug!(http.route = ROUTE, error = %problem, "refused");
    problem.response().holding(request)
}

fn acceptance_response(acceptance: ReceiptOutcome) -> ServerResponse {
    ServerResponse::json(200, &json!({ "status": webhook_outcome(acceptance).as_str() }))
}

fn handshake_response(reply: HandshakeReply) -> ServerResponse {
    ServerResponse::new(reply.status, reply.content_type, reply.body)
}

fn webhook_outcome(acceptance: ReceiptOutcome) -> WebhookOutcome {
    match acceptance {
        ReceiptOutcome::Accepted => WebhookOutcome::Accepted,
        ReceiptOutcome::Duplicate => WebhookOutcome::Duplicate,
        ReceiptOutcome::Ignored => WebhookOutcome::Ignored,
        ReceiptOutcome::Quarantined => WebhookOutcome::Quarantined,
    }
}

fn rejection_reason(refusal: VerifyError) -> &'static str {
    match refusal {
        VerifyError::Missing => "missing",
        VerifyError::Malformed => "malformed",
        VerifyError::Mismatch | VerifyError::UnknownKey => "mismatch",
        VerifyError::Stale => "stale",
        VerifyError::Future => "future",
    }
}

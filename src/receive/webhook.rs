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

/// Connections of the public listener, in all. An idle one costs some 20 KiB; one that sends a large body as fast as it can
/// costs up to a quarter of a megabyte of the framework's buffers, which are not ours to bound. Platforms use tens.
const MAX_CONNECTIONS: usize = 2_560;
/// Bodies up to this size are verified and read on the thread that serves the connection: less than a millisecond,
/// about what handing them over costs.
const INLINE_MAX: usize = 64 * 1024;
/// What logs say instead of a path: paths hold tokens.
const ROUTE: &str = "/webhooks/{source}";

/// Receives webhooks until `stop`; then takes no new connection, and gives the requests that have begun `stopping`
/// to end.
///
/// # Errors
/// When the listener cannot be used, or its threads cannot be started.
///
/// # Cancel safety
/// Dropped, it ends without finishing the requests that have begun; they are not answered, so nothing is lost.
pub async fn run_webhooks(
    listener: TcpListener,
    webhooks: WebhookSettings,
    stop: CancellationToken,
    stopping: Duration,
) -> io::Result<()> {
    let bounds = ListenerLimits {
        max_connections: MAX_CONNECTIONS,
        head_timeout: webhooks.limits.head_timeout,
        stop_timeout: stopping,
    };
    let reception = Arc::new(WebhookService::new(webhooks));
    let handler = move |request| {
        let reception = Arc::clone(&reception);
        async move { reception.respond(request).await }
    };
    http::serve(listener, bounds, handler, stop).await
}

/// The public listener at work.
struct WebhookService {
    endpoints: BTreeMap<SourceName, Arc<LiveEndpoint>>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    body_limits: BodyLimits,
    accept_timeout: Duration,
    budget: BodyMemory,
    store_warning: LogThrottle,
}

/// An endpoint at work.
struct LiveEndpoint {
    source: Arc<Source>,
    /// What its provider verifies with, where somebody else publishes that.
    keys: Option<Arc<dyn PublishedKeys>>,
    secret_warning: LogThrottle,
    foreign_warning: LogThrottle,
}

/// A request that was taken.
enum Handled {
    Stored(ReceiptOutcome),
    Handshake(HandshakeReply),
}

impl WebhookService {
    fn new(webhooks: WebhookSettings) -> Self {
        let WebhookSettings { sources, keys, ledger, clock, metrics, max_body, limits } = webhooks;
        let desk = |source: Arc<Source>| {
            let name = source.name.clone();
            let keys = source.provider.published_keys().and_then(|url| keys.get(url).cloned());
            let (secret_warning, foreign_warning) = Default::default();
            (name, Arc::new(LiveEndpoint { source, keys, secret_warning, foreign_warning }))
        };
        Self {
            endpoints: sources.into_iter().map(desk).collect(),
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
            budget: BodyMemory::new(limits.body_memory),
            store_warning: LogThrottle::default(),
        }
    }

    async fn respond(&self, mut request: ServerRequest) -> ServerResponse {
        let began = Instant::now();
        let desk = match self.find_endpoint(request.path()) {
            Ok(desk) => desk,
            Err(problem) => return reject(problem, request),
        };
        let Source { name, provider, .. } = &*desk.source;
        let span = tracing::info_span!(
            "webhook",
            source.name = name.as_str(),
            receipt.id = tracing::field::Empty
        );
        let taking = catch_panic(self.process(desk, &mut request)).instrument(span);
        let (answer, outcome) = match taking.await.unwrap_or(Err(WebhookError::Panicked)) {
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

    /// The endpoint that the path names, with its token if it has one. What is unknown and what is wrong are one.
    fn find_endpoint(&self, path: &str) -> Result<&Arc<LiveEndpoint>, WebhookError> {
        let path = WebhookPath::parse(path).ok_or(WebhookError::NotFound)?;
        let desk = self.endpoints.get(path.source).ok_or(WebhookError::NotFound)?;
        match (&desk.source.path_token, path.token) {
            (None, None) => Ok(desk),
            (Some(expected), Some(token)) => {
                let expected = expected.read().map_err(|error| desk.secret_unreadable(&error))?;
                let right = token.ct_eq(expected.expose_secret().as_bytes());
                if right.into() { Ok(desk) } else { Err(WebhookError::NotFound) }
            }
            (None, Some(_)) | (Some(_), None) => Err(WebhookError::NotFound),
        }
    }

    async fn process(
        &self,
        desk: &Arc<LiveEndpoint>,
        request: &mut ServerRequest,
    ) -> Result<Handled, WebhookError> {
        if request.method() != "POST" {
            return Err(WebhookError::Method);
        }
        let RequestBody { bytes, permit } =
            request.read_body(self.body_limits, &self.budget).await?;
        let judgement = self.verify_and_read(desk, request, bytes).await?;
        let name = &desk.source.name;
        let taken = match judgement {
            IntakeResult::Refused(VerifyError::UnknownKey)
                if desk.keys.as_ref().is_some_and(|k| k.request_refresh()) =>
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
            IntakeResult::Receipt(kept) => Handled::Stored(self.store_receipt(desk, *kept).await?),
        };
        // Only now: the receipt holds a copy of the body while it waits for its commit.
        drop(permit);
        Ok(taken)
    }

    async fn verify_and_read(
        &self,
        desk: &Arc<LiveEndpoint>,
        request: &ServerRequest,
        body: Vec<u8>,
    ) -> Result<IntakeResult, WebhookError> {
        let secrets = desk.source.secrets.iter().map(Secret::read);
        let secrets: Vec<SecretString> =
            secrets.collect::<Result<_, _>>().map_err(|error| desk.secret_unreadable(&error))?;
        let published = match &desk.keys {
            Some(keys) => Some(keys.current().ok_or(WebhookError::KeysUnavailable)?),
            None => None,
        };
        let keys = VerificationKeys { secrets, published };
        let received_at = self.clock.now();
        let id = ReceiptId::generate();
        if body.len() <= INLINE_MAX && !desk.source.provider.capabilities().slow {
            let headers = request.headers();
            let request = Inbound::new(&headers, request.query(), &body, received_at);
            return Ok(desk.source.receive_webhook(&keys, request, id));
        }
        let desk = Arc::clone(desk);
        let (headers, query) = (request.headers().into_owned(), request.query().to_owned());
        let judging = tokio::task::spawn_blocking(move || {
            let request = Inbound::new(&headers, &query, &body, received_at);
            desk.source.receive_webhook(&keys, request, id)
        });
        judging.await.map_err(|_| WebhookError::Panicked)
    }

    /// Hands a receipt to the ledger; what is returned is durable.
    async fn store_receipt(
        &self,
        desk: &LiveEndpoint,
        kept: IntakeReceipt,
    ) -> Result<ReceiptOutcome, WebhookError> {
        let IntakeReceipt { receipt, bad_fields, has_foreign_accounts: foreign } = kept;
        let Source { name, provider, .. } = &*desk.source;
        Span::current().record("receipt.id", tracing::field::display(receipt.id));
        self.metrics.authentic_webhook_received(name, receipt.received_at);
        for field in bad_fields {
            self.metrics.webhook_bad_field(&provider.id(), field);
        }
        if foreign {
            self.metrics.webhook_foreign_account(name);
            if desk.foreign_warning.is_due() {
                warn!(
                    "ignored webhooks of a platform account that platform_accounts does not name"
                );
            }
        }
        let (event_type, reason) = (receipt.event_type.clone(), receipt.content.reason());
        let error = match timeout(self.accept_timeout, self.ledger.accept(receipt)).await {
            Ok(Ok(ReceiptOutcome::Quarantined)) => {
                // What the platform's code can read, the merge may still refuse.
                let reason =
                    reason.unwrap_or_else(|| "it cannot be merged: its receipt says why".into());
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
    problem.response().holding(request.into_unread_body())
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

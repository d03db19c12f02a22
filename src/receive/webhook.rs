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
use crate::event::{ReceiptId, SourceName};
use crate::http::{
    self, BodyMemory, ListenerLimits, LogThrottle, RequestBody, ServerRequest, ServerResponse,
    catch_panic,
};
use crate::intake::{IntakeReceipt, IntakeResult, Source, VerificationKeys};
use crate::ledger::ReceiptOutcome;
use crate::providers::{HandshakeReply, Inbound, VerifyError};
use crate::secret::{Secret, SecretError};
use crate::telemetry::WebhookOutcome;

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
    settings: WebhookSettings,
    endpoints: BTreeMap<SourceName, Arc<LiveEndpoint>>,
    memory: BodyMemory,
    store_warning: LogThrottle,
}

/// A source with the state of its endpoint.
struct LiveEndpoint {
    source: Arc<Source>,
    /// Published keys that the provider verifies with, if it needs them.
    keys: Option<Arc<dyn PublishedKeys>>,
    secret_warning: LogThrottle,
    clock_warning: LogThrottle,
    foreign_warning: LogThrottle,
}

impl WebhookService {
    fn new(settings: WebhookSettings) -> Self {
        let endpoint = |source: &Arc<Source>| {
            let keys = source.provider.scheme().published_keys();
            let endpoint = LiveEndpoint {
                source: Arc::clone(source),
                keys: keys.and_then(|url| settings.keys.get(url).cloned()),
                secret_warning: LogThrottle::default(),
                clock_warning: LogThrottle::default(),
                foreign_warning: LogThrottle::default(),
            };
            let endpoint = Arc::new(endpoint);
            // Platforms go on to send to a source's former addresses.
            let names = std::iter::once(&source.name).chain(&source.formerly);
            names.map(|name| (name.clone(), Arc::clone(&endpoint))).collect::<Vec<_>>()
        };
        Self {
            endpoints: settings.sources.iter().flat_map(endpoint).collect(),
            memory: BodyMemory::new(settings.limits.body_memory),
            store_warning: LogThrottle::default(),
            settings,
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
            Ok((answer, outcome)) => (answer, Some(outcome)),
            Err(problem) => (reject(problem, request), problem.row().outcome),
        };
        if let Some(outcome) = outcome {
            self.settings.metrics.webhook_answered(name, &provider.id(), outcome, began.elapsed());
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
    ) -> Result<(ServerResponse, WebhookOutcome), WebhookError> {
        if request.method() != "POST" {
            return Err(WebhookError::Method);
        }
        let WebhookSettings { clock, metrics, limits, .. } = &self.settings;
        let RequestBody { bytes, permit } = request.read_body(limits.body, &self.memory).await?;
        let result = self.verify_and_read(endpoint, request, bytes).await?;
        self.observe_signed_time(&result);
        let name = &endpoint.source.name;
        let answered = match result {
            IntakeResult::Refused(VerifyError::UnknownKey)
                if endpoint.keys.as_ref().is_some_and(|k| k.request_refresh()) =>
            {
                debug!("the sender's key may be published by now; it is asked to retry");
                return Err(WebhookError::KeysUnavailable);
            }
            IntakeResult::OutOfTime { error: refusal, .. } if !self.is_clock_proven() => {
                metrics.webhook_rejected(name, rejection_reason(refusal));
                if let Some(trust) = clock.trust() {
                    trust.want_hubspot();
                }
                if endpoint.clock_warning.is_due() {
                    warn!(
                        reason = rejection_reason(refusal),
                        "a webhook's signature is right, and its time is not; nobody has confirmed this machine's clock, \
                         so the sender is asked to retry"
                    );
                }
                return Err(WebhookError::ClockUncertain);
            }
            IntakeResult::Refused(refusal) | IntakeResult::OutOfTime { error: refusal, .. } => {
                let reason = rejection_reason(refusal);
                metrics.webhook_rejected(name, reason);
                debug!(reason, "the sender is not believed");
                return Err(WebhookError::Unauthenticated);
            }
            IntakeResult::Handshake(HandshakeReply { status, content_type, body }) => {
                metrics.authentic_webhook_received(name, clock.now());
                (ServerResponse::new(status, content_type, body), WebhookOutcome::Handshake)
            }
            IntakeResult::Receipt { receipt, .. } => {
                let outcome = self.store_receipt(endpoint, *receipt).await?;
                (ServerResponse::json(200, &json!({ "status": outcome.as_ref() })), outcome)
            }
        };
        // Not before: the receipt holds a copy of the body while it waits for its commit.
        drop(permit);
        Ok(answered)
    }

    /// Lets a signed time that is ahead of ours speak against our clock.
    fn observe_signed_time(&self, result: &IntakeResult) {
        let (IntakeResult::Receipt { signed_at: Some(signed_at), .. }
        | IntakeResult::OutOfTime { signed_at: Some(signed_at), .. }) = result
        else {
            return;
        };
        let clock = &self.settings.clock;
        if let Some(trust) = clock.trust() {
            trust.observe_signed_time(*signed_at, clock.now());
        }
    }

    /// Whether our clock is known to be right: then a signature that is out of time is the sender's.
    fn is_clock_proven(&self) -> bool {
        let clock = &self.settings.clock;
        clock.trust().is_none_or(|trust| trust.is_proven(clock.now()))
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
        let received_at = self.settings.clock.now();
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
    ) -> Result<WebhookOutcome, WebhookError> {
        let IntakeReceipt { mut receipt, bad_fields, has_foreign_accounts } = accepted;
        let WebhookSettings { ledger, metrics, limits, clock, .. } = &self.settings;
        receipt.received_at = clock.dated_now();
        let Source { name, provider, .. } = &*endpoint.source;
        Span::current().record("receipt.id", tracing::field::display(receipt.id));
        metrics.authentic_webhook_received(name, receipt.received_at);
        for field in bad_fields {
            metrics.webhook_bad_field(&provider.id(), field);
        }
        if has_foreign_accounts {
            metrics.webhook_foreign_account(name);
            if endpoint.foreign_warning.is_due() {
                warn!(
                    "ignored webhooks of a platform account that platform_accounts does not name"
                );
            }
        }
        let (event_type, reason) = (receipt.event_type.clone(), receipt.content.reason());
        let error = match timeout(limits.accept_timeout, ledger.accept(receipt)).await {
            Ok(Ok(ReceiptOutcome::Quarantined)) => {
                // The merge may refuse a webhook that the platform's code can read.
                let reason =
                    reason.unwrap_or_else(|| "it cannot be merged: see its receipt".into());
                warn!(event_type, reason, "a webhook is authentic but not understood; it is kept");
                return Ok(WebhookOutcome::Quarantined);
            }
            Ok(Ok(outcome)) => {
                let outcome = webhook_outcome(outcome);
                debug!(event_type, outcome = outcome.as_ref(), "kept");
                return Ok(outcome);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        if self.store_warning.is_due() {
            warn!(error, "the store did not commit; senders are asked to retry");
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
                "a secret cannot be read; senders are asked to retry"
            );
        }
        WebhookError::SecretUnreadable
    }
}

fn reject(problem: WebhookError, request: ServerRequest) -> ServerResponse {
    debug!(http.route = ROUTE, error = %problem, "refused");
    problem.response().holding(request)
}

fn webhook_outcome(outcome: ReceiptOutcome) -> WebhookOutcome {
    match outcome {
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

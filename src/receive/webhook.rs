//! `POST /webhooks/{source}[/{path_token}]`: from a request to its answer.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, debug, warn};

use super::body::{self, Body, BodyBounds, Budget};
use super::error::Problem;
use super::judge::{Given, Judgement, Kept, Request, judge};
use super::path::WebhookPath;
use super::reply;
use super::server::{self, Bounds};
use super::settings::{Endpoint, PublishedKeys, Webhooks};
use super::throttle::Throttle;
use crate::clock::Clock;
use crate::event::{ReceiptId, SourceName};
use crate::ledger::{Acceptance, Ledger};
use crate::providers::{Refusal, Reply};
use crate::secret::{Secret, SecretError};
use crate::telemetry::{Metrics, WebhookOutcome};

/// Connections of the public listener, in all. An idle one costs some 20 KiB; one that sends a large body as fast as it can
/// costs up to a quarter of a megabyte of the framework's buffers, which are not ours to bound. Platforms use tens.
const CONNECTIONS: usize = 2_560;
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
    webhooks: Webhooks,
    stop: CancellationToken,
    stopping: Duration,
) -> io::Result<()> {
    let bounds = Bounds { connections: CONNECTIONS, head: webhooks.limits.head, stopping };
    let reception = Arc::new(Reception::open(webhooks));
    let handler = move |request, payload| {
        let reception = Arc::clone(&reception);
        async move { reception.answer(request, payload).await }
    };
    server::serve(listener, bounds, handler, stop).await
}

/// The public listener at work.
struct Reception {
    endpoints: BTreeMap<SourceName, Arc<Desk>>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    body: BodyBounds,
    accept: Duration,
    budget: Budget,
    store_warning: Throttle,
}

/// An endpoint at work.
struct Desk {
    endpoint: Endpoint,
    /// What its provider verifies with, where somebody else publishes that.
    keys: Option<Arc<dyn PublishedKeys>>,
    secret_warning: Throttle,
    foreign_warning: Throttle,
}

/// A request that was taken.
enum Taken {
    Kept(Acceptance),
    Handshake(Reply),
}

impl Reception {
    fn open(webhooks: Webhooks) -> Self {
        let Webhooks { endpoints, keys, ledger, clock, metrics, max_body, limits } = webhooks;
        let desk = |endpoint: Endpoint| {
            let name = endpoint.name.clone();
            let keys = endpoint.provider.published_keys().and_then(|url| keys.get(url).cloned());
            let (secret_warning, foreign_warning) = Default::default();
            (name, Arc::new(Desk { endpoint, keys, secret_warning, foreign_warning }))
        };
        Self {
            endpoints: endpoints.into_iter().map(desk).collect(),
            ledger,
            clock,
            metrics,
            body: BodyBounds {
                size: max_body,
                time: limits.body,
                excess_size: limits.excess_bytes,
                excess_time: limits.excess,
            },
            accept: limits.accept,
            budget: Budget::new(limits.memory),
            store_warning: Throttle::default(),
        }
    }

    async fn answer(&self, request: HttpRequest, mut payload: Payload) -> HttpResponse {
        let began = Instant::now();
        let desk = match self.desk(request.path()) {
            Ok(desk) => desk,
            Err(problem) => return refuse(problem, payload),
        };
        let Endpoint { name, provider, .. } = &desk.endpoint;
        let span = tracing::info_span!(
            "webhook",
            source.name = name.as_str(),
            receipt.id = tracing::field::Empty
        );
        let taking = server::caught(self.take(desk, &request, &mut payload)).instrument(span);
        let (answer, outcome) = match taking.await.unwrap_or(Err(Problem::Panicked)) {
            Ok(Taken::Kept(acceptance)) => (kept(acceptance), Some(outcome(acceptance))),
            Ok(Taken::Handshake(reply)) => (handshake(reply), Some(WebhookOutcome::Handshake)),
            Err(problem) => (refuse(problem, payload), problem.row().outcome),
        };
        if let Some(outcome) = outcome {
            self.metrics.webhook(name, &provider.id(), outcome, began.elapsed());
        }
        debug!(
            http.route = ROUTE,
            source.name = name.as_str(),
            http.status = answer.status().as_u16(),
            "answered"
        );
        answer
    }

    /// The endpoint that the path names, with its token if it has one. What is unknown and what is wrong are one.
    fn desk(&self, path: &str) -> Result<&Arc<Desk>, Problem> {
        let path = WebhookPath::parse(path).ok_or(Problem::NotFound)?;
        let desk = self.endpoints.get(path.source).ok_or(Problem::NotFound)?;
        match (&desk.endpoint.path_token, path.token) {
            (None, None) => Ok(desk),
            (Some(expected), Some(token)) => {
                let expected = expected.read().map_err(|error| desk.unreadable(&error))?;
                let right = token.ct_eq(expected.expose_secret().as_bytes());
                if right.into() { Ok(desk) } else { Err(Problem::NotFound) }
            }
            (None, Some(_)) | (Some(_), None) => Err(Problem::NotFound),
        }
    }

    async fn take(
        &self,
        desk: &Arc<Desk>,
        request: &HttpRequest,
        payload: &mut Payload,
    ) -> Result<Taken, Problem> {
        if request.method() != Method::POST {
            return Err(Problem::Method);
        }
        let declared = request.headers().get(header::CONTENT_LENGTH);
        let declared = declared.and_then(|value| value.to_str().ok()?.parse().ok());
        let Body { bytes, share } = body::read(payload, declared, self.body, &self.budget).await?;
        let judgement = self.judged(desk, request, bytes).await?;
        let Endpoint { name, .. } = &desk.endpoint;
        let taken = match judgement {
            Judgement::Refused(Refusal::UnknownKey)
                if desk.keys.as_ref().is_some_and(|k| k.missed()) =>
            {
                debug!("the sender's key may be published by now; it is asked to come again");
                return Err(Problem::KeysMissing);
            }
            Judgement::Refused(refusal) => {
                let reason = reason(refusal);
                self.metrics.rejected(name, reason);
                debug!(reason, "the sender is not believed");
                return Err(Problem::Unauthenticated);
            }
            Judgement::Handshake(reply) => {
                self.metrics.heard_from(name, self.clock.now());
                Taken::Handshake(reply)
            }
            Judgement::Receipt(kept) => Taken::Kept(self.keep(desk, *kept).await?),
        };
        // Only now: the receipt holds a copy of the body while it waits for its commit.
        drop(share);
        Ok(taken)
    }

    async fn judged(
        &self,
        desk: &Arc<Desk>,
        request: &HttpRequest,
        body: Vec<u8>,
    ) -> Result<Judgement, Problem> {
        let secrets = desk.endpoint.secrets.iter().map(Secret::read);
        let secrets: Vec<SecretString> =
            secrets.collect::<Result<_, _>>().map_err(|error| desk.unreadable(&error))?;
        let published = match &desk.keys {
            Some(keys) => Some(keys.current().ok_or(Problem::KeysMissing)?),
            None => None,
        };
        let keys = Given { secrets, published };
        let received_at = self.clock.now();
        let id = ReceiptId::generate();
        if body.len() <= INLINE_MAX && !desk.endpoint.provider.traits().slow {
            let request = Request {
                headers: request.headers(),
                query: request.query_string(),
                body: &body,
                received_at,
            };
            return Ok(judge(&desk.endpoint, &keys, &request, id));
        }
        let desk = Arc::clone(desk);
        let (headers, query) = (request.headers().clone(), request.query_string().to_owned());
        let judging = tokio::task::spawn_blocking(move || {
            let request = Request { headers: &headers, query: &query, body: &body, received_at };
            judge(&desk.endpoint, &keys, &request, id)
        });
        judging.await.map_err(|_| Problem::Panicked)
    }

    /// Hands a receipt to the ledger; what is returned is durable.
    async fn keep(&self, desk: &Desk, kept: Kept) -> Result<Acceptance, Problem> {
        let Kept { receipt, bad_fields, foreign } = kept;
        let Endpoint { name, provider, .. } = &desk.endpoint;
        Span::current().record("receipt.id", tracing::field::display(receipt.id));
        self.metrics.heard_from(name, receipt.received_at);
        for field in bad_fields {
            self.metrics.bad_field(&provider.id(), field);
        }
        if foreign {
            self.metrics.foreign_account(name);
            if desk.foreign_warning.due() {
                warn!(
                    "ignored webhooks of a platform account that platform_accounts does not name"
                );
            }
        }
        let (event_type, reason) = (receipt.event_type.clone(), receipt.content.reason());
        let error = match timeout(self.accept, self.ledger.accept(receipt)).await {
            Ok(Ok(Acceptance::Quarantined)) => {
                // What the platform's code can read, the merge may still refuse.
                let reason =
                    reason.unwrap_or_else(|| "it cannot be merged: its receipt says why".into());
                warn!(event_type, reason, "a webhook is authentic but not understood; it is kept");
                return Ok(Acceptance::Quarantined);
            }
            Ok(Ok(acceptance)) => {
                debug!(event_type, outcome = outcome(acceptance).as_str(), "kept");
                return Ok(acceptance);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        if self.store_warning.due() {
            warn!(error, "the store did not commit; senders are asked to come again");
        }
        Err(Problem::StoreUnavailable)
    }
}

impl Desk {
    fn unreadable(&self, error: &SecretError) -> Problem {
        if self.secret_warning.due() {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            warn!(
                source.name = self.endpoint.name.as_str(),
                %error,
                cause,
                "a secret cannot be read; senders are asked to come again"
            );
        }
        Problem::SecretUnreadable
    }
}

fn refuse(problem: Problem, unread: Payload) -> HttpResponse {
    debug!(http.route = ROUTE, error = %problem, "refused");
    reply::problem(problem, Some(unread))
}

fn kept(acceptance: Acceptance) -> HttpResponse {
    reply::json(StatusCode::OK, &json!({ "status": outcome(acceptance).as_str() }))
}

fn handshake(reply: Reply) -> HttpResponse {
    // A provider's constant; if it is no status, it is our mistake and shows as one.
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply::plain(status, reply.content_type).body(reply.body)
}

fn outcome(acceptance: Acceptance) -> WebhookOutcome {
    match acceptance {
        Acceptance::Accepted => WebhookOutcome::Accepted,
        Acceptance::Duplicate => WebhookOutcome::Duplicate,
        Acceptance::Ignored => WebhookOutcome::Ignored,
        Acceptance::Quarantined => WebhookOutcome::Quarantined,
    }
}

fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Missing => "missing",
        Refusal::Malformed => "malformed",
        Refusal::Mismatch | Refusal::UnknownKey => "mismatch",
        Refusal::Stale => "stale",
        Refusal::Future => "future",
    }
}

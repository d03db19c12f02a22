//! A small HTTP/1 server for the emulators of the sandbox and of the tests. It can fail on purpose.
//!
//! It gives none of the promises of the service's own listeners; bind it to loopback.

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::server::{self, ListenerLimits};

/// Longest accepted body, in bytes.
const MAX_BODY: usize = 8 * 1024 * 1024;
const MAX_CONNECTIONS: usize = 1_024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Nothing is lost with a request that takes longer.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Answers the requests of a [`serve`] call.
#[async_trait]
pub trait SimpleHandler: Send + Sync + 'static {
    /// Answers one request.
    async fn handle(&self, request: SimpleRequest) -> SimpleResponse;
}

/// A request with its whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleRequest {
    /// The method, such as `POST`.
    pub method: String,
    /// The path, as sent.
    pub path: String,
    /// The query, without `?`; empty if there is none.
    pub query: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// A response, and how it fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimpleResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The failure, if the response is to fail.
    pub fault: Option<ResponseFault>,
}

/// A failure on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFault {
    /// The response is delayed by this time.
    Hang(Duration),
    /// The connection is closed without a response.
    Reset,
    /// The connection is closed in the middle of the body.
    Truncate,
}

/// Answers requests until `stop`.
///
/// # Errors
/// When the listener cannot be used, or its threads cannot be started.
///
/// # Cancel safety
/// Dropped, it ends at once.
pub async fn serve(
    listener: TcpListener,
    handler: Arc<dyn SimpleHandler>,
    stop: CancellationToken,
) -> io::Result<()> {
    let limits = ListenerLimits {
        max_connections: MAX_CONNECTIONS,
        head_timeout: HEAD_TIMEOUT,
        stop_timeout: STOP_TIMEOUT,
    };
    let handler = move |head, body| {
        let handler = Arc::clone(&handler);
        async move { handle_request(handler.as_ref(), &head, body).await }
    };
    server::serve_framework(listener, limits, handler, stop).await
}

async fn handle_request(
    handler: &dyn SimpleHandler,
    head: &HttpRequest,
    body: Payload,
) -> HttpResponse {
    let body = match body.to_bytes_limited(MAX_BODY).await {
        Ok(Ok(body)) => body.to_vec(),
        Ok(Err(_)) => return HttpResponse::BadRequest().force_close().finish(),
        Err(_) => return HttpResponse::PayloadTooLarge().force_close().finish(),
    };
    let headers = head.headers().iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let response = handler
        .handle(SimpleRequest {
            method: head.method().as_str().to_owned(),
            path: head.path().to_owned(),
            query: head.query_string().to_owned(),
            headers: headers.collect(),
            body,
        })
        .await;
    if let Some(ResponseFault::Hang(time)) = response.fault {
        tokio::time::sleep(time).await;
    }
    respond(response)
}

fn respond(response: SimpleResponse) -> HttpResponse {
    let SimpleResponse { status, headers, body, fault } = response;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for header in headers {
        response.append_header(header);
    }
    match fault {
        None | Some(ResponseFault::Hang(_)) => response.body(body),
        Some(ResponseFault::Reset) => response.body(FailingBody::new(Vec::new(), body.len())),
        Some(ResponseFault::Truncate) => {
            let half = body.iter().copied().take(body.len() / 2).collect();
            response.body(FailingBody::new(half, body.len()))
        }
    }
}

/// A body that announces a length, sends less, and fails; the framework then drops the connection.
struct FailingBody {
    length: u64,
    steps: VecDeque<BodyStep>,
}

enum BodyStep {
    Send(Bytes),
    /// Lets the framework send what it holds: when a body fails, it sends nothing more.
    Flush,
}

impl FailingBody {
    fn new(bytes: Vec<u8>, length: usize) -> Self {
        let steps = if bytes.is_empty() {
            VecDeque::new()
        } else {
            [BodyStep::Send(bytes.into()), BodyStep::Flush].into()
        };
        // The framework does not poll a body of length 0.
        Self { length: length.max(1) as u64, steps }
    }
}

impl MessageBody for FailingBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        match self.get_mut().steps.pop_front() {
            Some(BodyStep::Send(bytes)) => Poll::Ready(Some(Ok(bytes))),
            Some(BodyStep::Flush) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(Some(Err(io::Error::other("broken on purpose")))),
        }
    }
}

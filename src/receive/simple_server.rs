//! A plain HTTP/1 server for what plays HubSpot in the sandbox and in tests. It can fail on purpose.
//!
//! Here because this folder is the only door to the web framework. It promises nothing of what the listeners for the
//! outside promise, and should be bound to loopback.

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

/// Longest body that is taken, in bytes.
const MAX_BODY: usize = 8 * 1024 * 1024;
const MAX_CONNECTIONS: usize = 1_024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// There is nothing to be lost by not waiting for more.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Answers requests.
#[async_trait]
pub trait SimpleHandler: Send + Sync + 'static {
    /// Answers one request.
    async fn handle(&self, exchange: SimpleRequest) -> SimpleResponse;
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleRequest {
    /// `POST`.
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

/// What to do with a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimpleResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What goes wrong, if something does.
    pub fault: Option<ResponseFault>,
}

/// What goes wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFault {
    /// The answer comes so much later.
    Hang(Duration),
    /// The connection is closed without an answer.
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
    answer: Arc<dyn SimpleHandler>,
    stop: CancellationToken,
) -> io::Result<()> {
    let bounds = ListenerLimits {
        max_connections: MAX_CONNECTIONS,
        head_timeout: HEAD_TIMEOUT,
        stop_timeout: STOP_TIMEOUT,
    };
    let handler = move |request, payload| {
        let answer = Arc::clone(&answer);
        async move { handle_request(answer.as_ref(), &request, payload).await }
    };
    server::serve(listener, bounds, handler, stop).await
}

async fn handle_request(
    answer: &dyn SimpleHandler,
    request: &HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let body = match payload.to_bytes_limited(MAX_BODY).await {
        Ok(Ok(body)) => body.to_vec(),
        Ok(Err(_)) => return HttpResponse::BadRequest().force_close().finish(),
        Err(_) => return HttpResponse::PayloadTooLarge().force_close().finish(),
    };
    let headers = request.headers().iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let reply = answer
        .handle(SimpleRequest {
            method: request.method().as_str().to_owned(),
            path: request.path().to_owned(),
            query: request.query_string().to_owned(),
            headers: headers.collect(),
            body,
        })
        .await;
    if let Some(ResponseFault::Hang(time)) = reply.fault {
        tokio::time::sleep(time).await;
    }
    respond(reply)
}

fn respond(reply: SimpleResponse) -> HttpResponse {
    let SimpleResponse { status, headers, body, fault } = reply;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    for header in headers {
        answer.append_header(header);
    }
    match fault {
        None | Some(ResponseFault::Hang(_)) => answer.body(body),
        Some(ResponseFault::Reset) => answer.body(FailingBody::new(Vec::new(), body.len())),
        Some(ResponseFault::Truncate) => {
            let half = body.iter().copied().take(body.len() / 2).collect();
            answer.body(FailingBody::new(half, body.len()))
        }
    }
}

/// A body that announces some length, gives less, and fails: upon which the framework drops the connection.
struct FailingBody {
    length: u64,
    steps: VecDeque<BodyStep>,
}

enum BodyStep {
    Send(Bytes),
    /// Let what was given be sent; what the framework still holds when a body fails is never sent.
    Flush,
}

impl FailingBody {
    fn new(bytes: Vec<u8>, length: usize) -> Self {
        let steps = if bytes.is_empty() {
            VecDeque::new()
        } else {
            [BodyStep::Send(bytes.into()), BodyStep::Flush].into()
        };
        // A body of no length would not be asked for.
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

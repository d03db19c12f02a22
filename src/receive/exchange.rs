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

use super::server::{self, Bounds};

/// Longest body that is taken, in bytes.
const BODY_MAX: usize = 8 * 1024 * 1024;
const CONNECTIONS: usize = 1_024;
const HEAD: Duration = Duration::from_secs(5);
/// There is nothing to be lost by not waiting for more.
const STOPPING: Duration = Duration::from_secs(1);

/// Answers requests.
#[async_trait]
pub trait Answer: Send + Sync + 'static {
    /// Answers one request.
    async fn answer(&self, exchange: Exchange) -> ExchangeReply;
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
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
pub struct ExchangeReply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What goes wrong, if something does.
    pub fault: Option<Fault>,
}

/// What goes wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
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
    answer: Arc<dyn Answer>,
    stop: CancellationToken,
) -> io::Result<()> {
    let bounds = Bounds { connections: CONNECTIONS, head: HEAD, stopping: STOPPING };
    let handler = move |request, payload| {
        let answer = Arc::clone(&answer);
        async move { exchange(answer.as_ref(), &request, payload).await }
    };
    server::serve(listener, bounds, handler, stop).await
}

async fn exchange(answer: &dyn Answer, request: &HttpRequest, payload: Payload) -> HttpResponse {
    let body = match payload.to_bytes_limited(BODY_MAX).await {
        Ok(Ok(body)) => body.to_vec(),
        Ok(Err(_)) => return HttpResponse::BadRequest().force_close().finish(),
        Err(_) => return HttpResponse::PayloadTooLarge().force_close().finish(),
    };
    let headers = request.headers().iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let reply = answer
        .answer(Exchange {
            method: request.method().as_str().to_owned(),
            path: request.path().to_owned(),
            query: request.query_string().to_owned(),
            headers: headers.collect(),
            body,
        })
        .await;
    if let Some(Fault::Hang(time)) = reply.fault {
        tokio::time::sleep(time).await;
    }
    respond(reply)
}

fn respond(reply: ExchangeReply) -> HttpResponse {
    let ExchangeReply { status, headers, body, fault } = reply;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    for header in headers {
        answer.append_header(header);
    }
    match fault {
        None | Some(Fault::Hang(_)) => answer.body(body),
        Some(Fault::Reset) => answer.body(Breaking::after(Vec::new(), body.len())),
        Some(Fault::Truncate) => {
            let half = body.iter().copied().take(body.len() / 2).collect();
            answer.body(Breaking::after(half, body.len()))
        }
    }
}

/// A body that announces some length, gives less, and fails: upon which the framework drops the connection.
struct Breaking {
    length: u64,
    steps: VecDeque<Step>,
}

enum Step {
    Give(Bytes),
    /// Let what was given be sent; what the framework still holds when a body fails is never sent.
    Flush,
}

impl Breaking {
    fn after(bytes: Vec<u8>, length: usize) -> Self {
        let steps = if bytes.is_empty() {
            VecDeque::new()
        } else {
            [Step::Give(bytes.into()), Step::Flush].into()
        };
        // A body of no length would not be asked for.
        Self { length: length.max(1) as u64, steps }
    }
}

impl MessageBody for Breaking {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        match self.get_mut().steps.pop_front() {
            Some(Step::Give(bytes)) => Poll::Ready(Some(Ok(bytes))),
            Some(Step::Flush) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(Some(Err(io::Error::other("broken on purpose")))),
        }
    }
}

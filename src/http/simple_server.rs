//! A small HTTP/1 server for the emulators of the sandbox and of the tests. It can fail on purpose.
//!
//! It gives none of the promises of the service's own listeners; bind it to loopback.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::Value;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use super::request::ServerRequest;
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

impl SimpleRequest {
    /// The value of the header with this name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(present, _)| present.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
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

impl SimpleResponse {
    /// A response in JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        let content_type = "application/json;charset=utf-8".to_owned();
        let headers = vec![("content-type".to_owned(), content_type)];
        Self { status, headers, body: body.to_string().into_bytes(), fault: None }
    }
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
    let handler = move |request| {
        let handler = Arc::clone(&handler);
        async move { handle_request(handler.as_ref(), request).await }
    };
    server::serve(listener, limits, handler, stop).await
}

async fn handle_request(handler: &dyn SimpleHandler, request: ServerRequest) -> HttpResponse {
    let ServerRequest { head, body } = request;
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
    // The framework does not poll a body of length 0.
    let announced = body.len().max(1) as u64;
    let failure = async { Err(io::Error::other("broken on purpose")) };
    match fault {
        None | Some(ResponseFault::Hang(_)) => response.body(body),
        Some(ResponseFault::Reset) => {
            response.body(SizedStream::new(announced, stream::once(failure)))
        }
        Some(ResponseFault::Truncate) => {
            let mut half = body;
            half.truncate(half.len() / 2);
            // The pause lets the framework send the half: when a body fails, it sends nothing more.
            let failure = yield_now().then(|()| failure);
            let broken = stream::once(async { Ok(Bytes::from(half)) }).chain(stream::once(failure));
            response.body(SizedStream::new(announced, broken))
        }
    }
}

//! The only door to the outside's HTTP: bounded in size and time, redirects never followed.
//!
//! [`Http`] is a trait so that what decides can be tested, and simulated, without sockets.
//! [`Client`] is the one over real sockets. [`KeySet`] keeps what others publish of their keys; [`oauth`] is
//! the wire of buying tokens.

mod client;
mod jwks;
pub mod oauth;

use std::borrow::Cow;
use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;

pub use client::{HttpClient, HttpClientError};
pub use jwks::JwksCache;

/// Sends one request and reads its whole answer, within the request's bounds.
#[async_trait]
pub trait Http: Send + Sync + 'static {
    /// Sends the request.
    ///
    /// # Errors
    /// [`TransportError`] when no whole answer came; a status of any kind is an answer.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError>;
}

/// A request to an outside service.
#[derive(Clone)]
pub struct HttpRequest {
    /// `GET`, `POST`.
    pub method: HttpMethod,
    /// The whole URL.
    pub url: url::Url,
    /// Headers; their values may be secret.
    pub headers: Vec<(Cow<'static, str>, secrecy::SecretString)>,
    /// The body.
    pub body: Vec<u8>,
    /// For everything, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Longest answer that is read, in bytes.
    pub max_response_bytes: usize,
}

/// Without the body, which may hold a client's secret, and without the URL's query.
impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("path", &self.url.path())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are HTTP's own")]
pub enum HttpMethod {
    Get,
    Post,
}

/// An answer of any status.
#[derive(Debug, Clone, Default)]
pub struct HttpResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first header of that (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }
}

impl TransportError {
    /// Its text with its causes, which it leaves out by itself.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let (mut text, mut next) = (self.to_string(), self.source());
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        text
    }
}

/// Why no whole answer came. Whether the service acted on the request is unknown unless [`TransportError::Connect`].
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection was made: the request was not sent.
    #[error("no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The time ran out.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke, or the answer was not HTTP.
    #[error("the connection broke")]
    Reset(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is longer than the request's bound.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
}

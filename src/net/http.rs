//! Requests to outside services, and their responses.

use std::borrow::Cow;
use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

/// Sends one request and reads its whole response, within the request's bounds. It is a trait so that callers can be
/// tested, and simulated, without sockets.
#[async_trait]
pub trait Http: Send + Sync + 'static {
    /// Sends the request.
    ///
    /// # Errors
    /// [`TransportError`] when no whole response came; a response of any status is none.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError>;
}

/// A request to an outside service. It has no `Debug`: the URL, the headers and the body may hold secrets.
#[derive(Clone)]
pub struct HttpRequest {
    /// Method.
    pub method: HttpMethod,
    /// The whole URL.
    pub url: url::Url,
    /// Headers; their values may be secret.
    pub headers: Vec<(Cow<'static, str>, secrecy::SecretString)>,
    /// Body.
    pub body: Vec<u8>,
    /// Time for everything, from connecting to the last byte of the response.
    pub timeout: Duration,
    /// Longest body of a response that is read, in bytes.
    pub max_response_bytes: usize,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are HTTP's own")]
pub enum HttpMethod {
    Get,
    Post,
    Put,
}

/// A response of any status.
#[derive(Debug, Clone, Default)]
pub struct HttpResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first header of that (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }

    /// The number in `Retry-After`, which counts seconds (RFC 9110, 10.2.3). The header's other form, a date, is not
    /// read.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after")?.trim().parse().ok()
    }
}

impl TransportError {
    /// Its text with its causes, which `Display` leaves out.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let causes = std::iter::successors(self.source(), |&cause| cause.source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }
}

/// Why no whole response came. Unless it is [`TransportError::Connect`], the service may have acted on the request.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection was made: the request was not sent.
    #[error("no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The time ran out.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke, or the response was not HTTP.
    #[error("the connection broke")]
    Reset(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The response is longer than the request's bound.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
}

/// Parses a JSON object. A derived parser would also accept an array, each element for the field in its place.
#[must_use]
pub fn parse_json_object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let is_object = json.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(json).ok()).flatten()
}

/// The value of the label `status` of the metrics that count calls.
#[must_use]
pub fn call_status(result: &Result<HttpResponse, TransportError>) -> Cow<'static, str> {
    match result {
        Ok(response) => response.status.to_string().into(),
        Err(TransportError::Timeout) => "timeout".into(),
        Err(TransportError::Connect(_)) => "connect".into(),
        Err(TransportError::Reset(_) | TransportError::TooLarge(_)) => "reset".into(),
    }
}

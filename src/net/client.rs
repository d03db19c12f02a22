//! [`Http`] over real sockets.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::http::{Http, HttpMethod, HttpRequest, HttpResponse, TransportError};

/// Time for making a connection. A host that has not accepted it by then will not answer the request either, and calls
/// that wait behind should learn so before the request's own time (30 s by default) is used up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The `User-Agent` of every request.
const USER_AGENT: &str = concat!("webinar-bridge/", env!("CARGO_PKG_VERSION"));

/// Sends requests over pooled connections: HTTP/1.1, TLS by rustls.
///
/// It follows no redirect, since a redirect would carry credentials to an address that is not configured; and it
/// repeats no request, since the ledger counts attempts. Cheap to clone; the clones share the connections.
///
/// Requests to other machines use the proxy of `HTTPS_PROXY`, if set; those to loopback never do.
#[derive(Debug, Clone)]
pub struct HttpClient {
    outside: reqwest::Client,
    loopback: reqwest::Client,
}

/// The client cannot be built: the machine's TLS set-up is unusable.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up")]
pub struct HttpClientError(#[source] reqwest::Error);

/// Why a request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum UnsendableRequest {
    #[error("only https leaves this machine")]
    PlainHttp,
    #[error("a header's value holds characters that HTTP does not allow")]
    BadHeaderValue,
}

impl HttpClient {
    /// Creates a client with its own connections.
    ///
    /// # Errors
    /// [`HttpClientError`] when the machine's TLS set-up is unusable.
    pub fn new() -> Result<Self, HttpClientError> {
        let bounded = || {
            reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
        };
        Ok(Self {
            outside: bounded().https_only(true).build().map_err(HttpClientError)?,
            loopback: bounded().no_proxy().build().map_err(HttpClientError)?,
        })
    }

    /// The configuration refuses plain HTTP to other machines already; this check holds even if that one has a hole.
    fn client_for(&self, url: &Url) -> Result<&reqwest::Client, UnsendableRequest> {
        match (is_loopback(url), url.scheme()) {
            (true, _) => Ok(&self.loopback),
            (false, "https") => Ok(&self.outside),
            (false, _) => Err(UnsendableRequest::PlainHttp),
        }
    }

    fn prepare(&self, request: HttpRequest) -> Result<reqwest::RequestBuilder, UnsendableRequest> {
        let client = self.client_for(&request.url)?;
        let method = match request.method {
            HttpMethod::Get => reqwest::Method::GET,
            HttpMethod::Post => reqwest::Method::POST,
            HttpMethod::Put => reqwest::Method::PUT,
        };
        let mut prepared = client.request(method, request.url).timeout(request.timeout);
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| UnsendableRequest::BadHeaderValue)?;
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| UnsendableRequest::BadHeaderValue)?;
            value.set_sensitive(true);
            prepared = prepared.header(name, value);
        }
        Ok(if request.body.is_empty() { prepared } else { prepared.body(request.body) })
    }
}

#[async_trait]
impl Http for HttpClient {
    /// # Cancel safety
    /// A cancelled call may have been acted on by the service.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let max_bytes = request.max_response_bytes;
        let prepared =
            self.prepare(request).map_err(|error| TransportError::Connect(Box::new(error)))?;
        let mut response = prepared.send().await.map_err(transport_error)?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut body = Vec::new();
        // Chunks arrive decompressed, so that a small compressed body that expands into a huge one is cut off too.
        while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
            if chunk.len() > max_bytes.saturating_sub(body.len()) {
                return Err(TransportError::TooLarge(max_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, headers, body })
    }
}

/// A time-out while connecting is both kinds of error; it counts as "no connection", since nothing was sent.
fn transport_error(error: reqwest::Error) -> TransportError {
    if error.is_connect() {
        TransportError::Connect(Box::new(error.without_url()))
    } else if error.is_timeout() {
        TransportError::Timeout
    } else {
        TransportError::Reset(Box::new(error.without_url()))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests;

//! Sample webhooks and their signing, for the sandbox and for trying an endpoint.

use serde_json::Value;
use url::Url;

use crate::event::Millis;

/// A source of a platform in the sandbox, with its credentials.
#[derive(Debug, Clone)]
pub struct Demo {
    /// Name of the source.
    pub source: &'static str,
    /// The lines of `[source.NAME]` except `provider` and `organizer`. `{api}` is replaced by the address of the
    /// emulated platform's API.
    pub settings: &'static str,
    /// Key that the platform signs with: the source's secret, or the private key to the source's public key.
    pub signing_key: &'static str,
    /// Last part of the URL, for platforms that do not sign.
    pub path_token: Option<&'static str>,
    /// Authentication of the platform's emulated API.
    pub api: DemoApi,
}

/// Authentication of a platform's emulated API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoApi {
    /// The platform has no emulated API.
    None,
    /// A request header (name in lower case) with this value.
    Header(&'static str, &'static str),
    /// `authorization: Bearer TOKEN` with a token that `POST {api}/oauth/token` issues for this client id and secret
    /// (HTTP Basic).
    Client(&'static str, &'static str),
}

/// A sample webhook.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What happens, for people: `the host moves the start by an hour`.
    pub summary: &'static str,
    /// Further headers, which are not signed.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Answers of the platform's API after this webhook, by path and query: `/v2/webinars/1`.
    pub answers: Vec<(String, Value)>,
}

impl Sample {
    /// A sample without headers and API answers.
    #[must_use]
    pub fn new(summary: &'static str, body: Vec<u8>) -> Self {
        Self { summary, headers: Vec::new(), body, answers: Vec::new() }
    }
}

/// A webhook before signing.
#[derive(Clone, Copy)]
pub struct UnsignedRequest<'a> {
    /// URL of the endpoint, as registered at the platform.
    pub url: &'a Url,
    /// The body.
    pub body: &'a [u8],
    /// The secret that signs.
    pub secret: &'a [u8],
    /// Time of signing.
    pub now: Millis,
}

/// A signed webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// URL of the request; some platforms sign in the query.
    pub url: Url,
    /// The headers; `content-type` only where it is not `application/json`.
    pub headers: Vec<(String, String)>,
    /// The body; some platforms wrap it to sign it.
    pub body: Vec<u8>,
}

impl SignedRequest {
    /// Adds the headers that sign the request.
    #[must_use]
    pub fn with_headers(request: UnsignedRequest<'_>, headers: Vec<(String, String)>) -> Self {
        Self { url: request.url.clone(), headers, body: request.body.to_vec() }
    }

    /// Replaces the body by a token.
    pub(super) fn with_token_body(request: UnsignedRequest<'_>, token: String) -> Self {
        let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
        Self { body: token.into_bytes(), ..Self::with_headers(request, headers) }
    }
}

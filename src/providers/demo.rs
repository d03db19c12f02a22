//! What a platform would send: for the sandbox, and for trying an endpoint.

use serde_json::Value;
use url::Url;

use crate::event::Millis;

/// A source with which the sandbox shows a platform: what its user would write, and what they would know.
#[derive(Debug, Clone)]
pub struct Demo {
    /// The source's name.
    pub source: &'static str,
    /// The lines of `[source.NAME]`, but for `provider` and `organizer`. `{api}` stands for the address of the emulated
    /// platform's API.
    pub settings: &'static str,
    /// What the platform signs with: the source's secret, or the private key of the source's public one.
    pub signing_key: &'static str,
    /// The last part of the URL, where the platform proves itself by that.
    pub path_token: Option<&'static str>,
    /// How the emulated API of the platform is to be called.
    pub api: DemoApi,
}

/// How an emulated API of a platform is to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoApi {
    /// There is none.
    None,
    /// With this request header (name in lower case), and no other value.
    Header(&'static str, &'static str),
    /// With a token that `POST {api}/oauth/token` gives for this client id and secret by HTTP Basic: `authorization: Bearer
    /// TOKEN`.
    Client(&'static str, &'static str),
}

/// A webhook that a platform could send.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What happens, for a reader: `the host moves the start by an hour`.
    pub summary: &'static str,
    /// Further headers that it has, unsigned.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What the platform's API answers from now on, by path and query: `/v2/webinars/1`.
    pub answers: Vec<(String, Value)>,
}

impl Sample {
    /// One that needs nothing of the platform's API.
    #[must_use]
    pub fn new(story: &'static str, body: Vec<u8>) -> Self {
        Self { summary: story, headers: Vec::new(), body, answers: Vec::new() }
    }
}

/// A webhook that is to be signed.
#[derive(Clone, Copy)]
pub struct UnsignedRequest<'a> {
    /// Where it goes, as it was registered at the platform.
    pub url: &'a Url,
    /// What it says.
    pub body: &'a [u8],
    /// What to sign with.
    pub secret: &'a [u8],
    /// When.
    pub now: Millis,
}

/// A webhook that a source believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// Where it goes; some platforms sign in the query.
    pub url: Url,
    /// Its headers; `content-type` only where it is not `application/json`.
    pub headers: Vec<(String, String)>,
    /// What it says; some platforms sign by wrapping it.
    pub body: Vec<u8>,
}

impl SignedRequest {
    /// The same request with these headers.
    #[must_use]
    pub fn with_headers(request: UnsignedRequest<'_>, headers: Vec<(String, String)>) -> Self {
        Self { url: request.url.clone(), headers, body: request.body.to_vec() }
    }
}

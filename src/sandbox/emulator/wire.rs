//! Requests and answers, and what a request is for.

use std::borrow::Cow;

use url::form_urlencoded;

use super::fault::TransportFault;
use crate::event::Millis;

/// Where marketing events live. The dated version has v3's operations and schemas (published OpenAPI of both).
const PREFIXES: [&str; 2] =
    ["/marketing/v3/marketing-events/", "/marketing/marketing-events/2026-03/"];

/// A request as it came.
#[derive(Clone, Default)]
pub struct EmulatorRequest {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, still percent-encoded.
    pub path: String,
    /// What follows the `?`, or nothing.
    pub query: String,
    /// Headers; the case of names does not matter.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl EmulatorRequest {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(present, _)| present.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn has_content_type(&self, wanted: &str) -> bool {
        let essence = self.header("content-type").and_then(|value| value.split(';').next());
        essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(wanted))
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulatorReply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How the answer gets lost on its way, if it does.
    pub fault: Option<TransportFault>,
}

/// What a call asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EmulatorOperation {
    /// The batch upsert.
    Upsert,
    /// Reading one event.
    Read,
    /// The account's details.
    Details,
    /// Refreshing an access token.
    Token,
    /// Nothing that exists.
    Unknown,
}

/// A call that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulatorCall {
    /// When.
    pub at: Millis,
    /// What for.
    pub operation: EmulatorOperation,
    /// The answer's status, even if the answer got lost.
    pub status: u16,
    /// How many events an upsert carried, as far as it could be read.
    pub inputs: usize,
}

/// What a request turns out to be.
pub(super) enum EmulatorRoute<'a> {
    Upsert,
    Read(Cow<'a, str>),
    Details,
    Token,
    WrongMethod,
    NotFound,
}

pub(super) fn route(request: &EmulatorRequest) -> EmulatorRoute<'_> {
    let path = request.path.as_str();
    let (wanted, route) = match path {
        "/account-info/v3/details" => ("GET", EmulatorRoute::Details),
        "/oauth/2026-03/token" => ("POST", EmulatorRoute::Token),
        _ => {
            let within = PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix));
            match within.and_then(|rest| rest.strip_prefix("events/")) {
                Some("upsert") => ("POST", EmulatorRoute::Upsert),
                Some(event) if !event.is_empty() && !event.contains('/') => {
                    ("GET", EmulatorRoute::Read(percent_decode(event)))
                }
                Some(_) | None => return EmulatorRoute::NotFound,
            }
        }
    };
    if request.method == wanted { route } else { EmulatorRoute::WrongMethod }
}

/// A path's segment without its percent-encoding. A form's value is encoded likewise but for these two characters.
fn percent_decode(segment: &str) -> Cow<'_, str> {
    let form = format!("={}", segment.replace('+', "%2B").replace('&', "%26"));
    let value = form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned());
    value.map_or(Cow::Borrowed(segment), Cow::Owned)
}

//! Requests, replies and routes.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::fault::TransportFault;
use crate::event::Millis;

/// Path prefixes of marketing events. The dated version has v3's operations and schemas (published OpenAPI of both).
const PREFIXES: [&str; 2] =
    ["/marketing/v3/marketing-events/", "/marketing/marketing-events/2026-03/"];

/// A request.
#[derive(Clone, Default)]
pub struct EmulatorRequest {
    /// HTTP method.
    pub method: String,
    /// Path, percent-encoded.
    pub path: String,
    /// Query without `?`; may be empty.
    pub query: String,
    /// Headers, with names in any case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl EmulatorRequest {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(present, _)| present.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn has_content_type(&self, expected: &str) -> bool {
        let essence = self.header("content-type").and_then(|value| value.split(';').next());
        essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected))
    }
}

/// The reply to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulatorReply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Way in which the reply is lost, if it is.
    pub fault: Option<TransportFault>,
}

/// Operation of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EmulatorOperation {
    /// Batch upsert.
    Upsert,
    /// Read of one event.
    Read,
    /// Details of the account.
    Details,
    /// Refresh of an access token.
    Token,
    /// No existing operation.
    Unknown,
}

/// An answered call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulatorCall {
    /// Time of the call.
    pub at: Millis,
    /// Operation.
    pub operation: EmulatorOperation,
    /// Status of the reply, even if it was lost.
    pub status: u16,
    /// Number of events in an upsert, if it could be read.
    pub inputs: usize,
}

/// Route of a request.
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
    let (method, route) = match path {
        "/account-info/v3/details" => ("GET", EmulatorRoute::Details),
        "/oauth/2026-03/token" => ("POST", EmulatorRoute::Token),
        _ => {
            let within = PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix));
            match within.and_then(|rest| rest.strip_prefix("events/")) {
                Some("upsert") => ("POST", EmulatorRoute::Upsert),
                Some(event) if !event.is_empty() && !event.contains('/') => {
                    ("GET", EmulatorRoute::Read(percent_decode_str(event).decode_utf8_lossy()))
                }
                Some(_) | None => return EmulatorRoute::NotFound,
            }
        }
    };
    if request.method == method { route } else { EmulatorRoute::WrongMethod }
}

//! Operations, their routes, and records of calls.

use crate::event::Millis;
use crate::http::simple_server::SimpleRequest;

/// Path prefixes of marketing events. The dated version has v3's operations and schemas (published OpenAPI of both).
const PREFIXES: [&str; 2] =
    ["/marketing/v3/marketing-events/events/", "/marketing/marketing-events/2026-03/events/"];

/// Operation of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EmulatorOperation {
    /// Batch upsert.
    Upsert,
    /// Read of one event.
    Read,
    /// Single write of one event.
    Put,
    /// Details of the account.
    Details,
    /// Refresh of an access token.
    Token,
}

/// An answered call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulatorCall {
    /// Time of the call.
    pub at: Millis,
    /// Operation; none if the path or the method does not exist.
    pub operation: Option<EmulatorOperation>,
    /// Status of the reply, even if it was lost.
    pub status: u16,
    /// Number of events in a valid upsert.
    pub inputs: usize,
}

/// The operation of a request, or the status of its refusal.
pub(super) fn route(request: &SimpleRequest) -> Result<EmulatorOperation, u16> {
    let path = request.path.as_str();
    let (method, operation) = match (path, event_id(path)) {
        ("/account-info/v3/details", _) => ("GET", EmulatorOperation::Details),
        ("/oauth/2026-03/token", _) => ("POST", EmulatorOperation::Token),
        (_, Some("upsert")) => ("POST", EmulatorOperation::Upsert),
        (_, Some(event)) if !event.is_empty() && !event.contains('/') => {
            match request.method.as_str() {
                "PUT" => ("PUT", EmulatorOperation::Put),
                _ => ("GET", EmulatorOperation::Read),
            }
        }
        _ => return Err(404),
    };
    if request.method == method { Ok(operation) } else { Err(405) }
}

/// The last part of the path of an event, percent-encoded.
pub(super) fn event_id(path: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix))
}

pub(super) fn has_content_type(request: &SimpleRequest, expected: &str) -> bool {
    let essence = request.header("content-type").and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected))
}

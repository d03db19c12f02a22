//! A call that was made, for metrics and rate limits.

use std::time::Duration;

use crate::net::CallStatus;

/// A call that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiCall {
    /// The operation that was called.
    pub operation: ApiOperation,
    /// The result of the call.
    pub status: CallStatus,
    /// Time that the call took.
    pub elapsed: Duration,
}

/// An operation of HubSpot's API: label values of `bridge_hubspot_requests_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiOperation {
    /// The batch upsert.
    Upsert,
    /// The read of one event.
    Read,
    /// The account's details.
    Details,
    /// The OAuth token endpoint.
    Token,
}

impl ApiOperation {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Read => "read",
            Self::Details => "details",
            Self::Token => "token",
        }
    }
}

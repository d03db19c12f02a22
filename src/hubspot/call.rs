//! A call that was made, for metrics and rate limits.

use std::time::Duration;

use crate::net::CallStatus;

/// A call that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiCall {
    /// What was called.
    pub operation: ApiOperation,
    /// How the call ended.
    pub status: CallStatus,
    /// Time that the call took.
    pub elapsed: Duration,
}

/// What is called: label values of `bridge_hubspot_requests_total`.
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

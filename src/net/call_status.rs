//! How a call ended, for metrics.

use std::fmt;

use super::http::{HttpResponse, TransportError};

/// How a call ended; displays as the label value `status` of the metrics that count calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallStatus {
    /// A response of that status came.
    Http(u16),
    /// No response came in time.
    Timeout,
    /// No connection was made.
    Connect,
    /// The connection broke, or the response was not read to its end.
    Reset,
}

impl CallStatus {
    /// The status of a call with that result.
    #[must_use]
    pub fn from_result(result: &Result<HttpResponse, TransportError>) -> Self {
        match result {
            Ok(response) => Self::Http(response.status),
            Err(TransportError::Timeout) => Self::Timeout,
            Err(TransportError::Connect(_)) => Self::Connect,
            Err(TransportError::Reset(_) | TransportError::TooLarge(_)) => Self::Reset,
        }
    }
}

impl fmt::Display for CallStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(status) => write!(f, "{status}"),
            Self::Timeout => f.write_str("timeout"),
            Self::Connect => f.write_str("connect"),
            Self::Reset => f.write_str("reset"),
        }
    }
}

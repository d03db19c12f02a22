//! The table of errors of a webhook and their answers.

use crate::http::{BodyError, ServerResponse};
use crate::telemetry::WebhookOutcome;

/// Why a webhook is not answered 2xx. The answer holds the code of the row and nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WebhookError {
    #[error("no such endpoint")]
    NotFound,
    #[error("the method is not POST")]
    Method,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the signature is missing, wrong or outside the tolerance")]
    Unauthenticated,
    #[error("the signed time is outside the tolerance, and our clock may be wrong")]
    ClockUncertain,
    #[error("a secret cannot be read")]
    SecretUnreadable,
    #[error("the published keys are not available yet")]
    KeysUnavailable,
    #[error("the store did not commit")]
    StoreUnavailable,
    #[error("the handler panicked")]
    Panicked,
}

/// How a [`WebhookError`] is answered and counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct WebhookErrorRow {
    pub(super) status: u16,
    /// The value of `error` in the answer.
    pub(super) code: &'static str,
    /// Seconds in `Retry-After`.
    pub(super) retry_after: Option<&'static str>,
    /// Whether the connection is closed. Only a proven sender may keep it: the framework limits the time of a
    /// connection's first head alone, so a kept connection could be held for ever.
    pub(super) closes: bool,
    /// The outcome that is counted, if the source is known.
    pub(super) outcome: Option<WebhookOutcome>,
}

impl WebhookError {
    /// The table.
    #[rustfmt::skip]
    pub(super) fn row(self) -> WebhookErrorRow {
        use {BodyError as B, WebhookOutcome as O};
        let (status, code, retry_after, closes, outcome) = match self {
            Self::NotFound            => (404, "not_found",          None,      true,  None),
            Self::Method              => (405, "method_not_allowed", None,      true,  None),
            Self::Body(B::TooLarge)   => (413, "too_large",          None,      true,  Some(O::Oversized)),
            Self::Body(B::TimedOut)   => (408, "timeout",            None,      true,  Some(O::Incomplete)),
            Self::Body(B::Incomplete) => (400, "bad_request",        None,      true,  Some(O::Incomplete)),
            // Memory is free again as soon as one of the bodies is read.
            Self::Body(B::NoMemory)   => (503, "unavailable",        Some("1"), true,  Some(O::Unavailable)),
            Self::Unauthenticated     => (401, "unauthorized",       None,      true,  Some(O::Unauthenticated)),
            // The platform repeats it, and by then HubSpot may have confirmed the clock.
            Self::ClockUncertain      => (503, "unavailable",        Some("60"), true, Some(O::Unavailable)),
            Self::SecretUnreadable
            | Self::KeysUnavailable   => (503, "unavailable",        Some("5"), true,  Some(O::Unavailable)),
            Self::StoreUnavailable    => (503, "unavailable",        Some("5"), false, Some(O::Unavailable)),
            Self::Panicked            => (500, "internal",           None,      true,  Some(O::Unavailable)),
        };
        WebhookErrorRow { status, code, retry_after, closes, outcome }
    }

    /// The response.
    pub(super) fn response(self) -> ServerResponse {
        let WebhookErrorRow { status, code, retry_after, closes, outcome: _ } = self.row();
        let mut response = ServerResponse::error(status, code);
        if let Some(seconds) = retry_after {
            response = response.with_header("retry-after", seconds);
        }
        if self == Self::Method {
            response = response.with_header("allow", "POST");
        }
        if closes { response.closing() } else { response }
    }
}

//! The table of errors of the API and their answers: RFC 9457.

use std::borrow::Cow;

use serde_json::json;

use super::models::{PROBLEM_TYPE_PREFIX, ProblemModel};
use crate::http::{BodyError, ServerRequest, ServerResponse};
use crate::ledger::LedgerError;
use crate::replay::ReplayError;

/// The reason for which a call failed. Displays as the answer's `detail`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    #[error("there is nothing at this path")]
    NotFound,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error(
        "ops.auth is configured, and this version cannot check tokens yet; without it the API is open on loopback"
    )]
    Closed,
    #[error("this path takes {0}")]
    Method(&'static str),
    #[error("{name}: {why}")]
    Parameter { name: String, why: Cow<'static, str> },
    #[error("a part of the path is not percent-encoded UTF-8")]
    Path,
    #[error("no HubSpot account of that name is configured")]
    UnknownAccount,
    #[error("no source of that name is configured")]
    UnknownSource,
    #[error("the source has no api, so its platform cannot be asked")]
    NotFetchable,
    #[error("the ledger holds no such event")]
    UnknownEvent,
    #[error("the ledger holds no such receipt (any more)")]
    UnknownReceipt,
    #[error("the event is incomplete: there is nothing to send before what is missing is known")]
    Incomplete,
    #[error("the source's filter (`only`) refuses the event")]
    Filtered,
    #[error("{0}")]
    NotReplayed(String),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Corrupt(String),
}

/// The answer to an [`ApiError`], beside its detail.
struct ApiErrorRow {
    status: u16,
    /// The end of `type`: stable, for programs.
    code: &'static str,
    title: &'static str,
}

/// Seconds; the store may be back soon.
const RETRY_AFTER: &str = "5";

impl ApiError {
    /// A parameter has an invalid value.
    pub(super) fn parameter(name: impl Into<String>, why: impl Into<Cow<'static, str>>) -> Self {
        Self::Parameter { name: name.into(), why: why.into() }
    }

    /// The store did not answer in time.
    pub(super) fn store_timeout() -> Self {
        Self::Unavailable("the store did not answer in time".to_owned())
    }

    /// The table.
    #[rustfmt::skip]
    fn row(&self) -> ApiErrorRow {
        use BodyError as B;
        let (status, code, title) = match self {
            Self::NotFound            => (404, "not_found",          "Not found"),
            Self::Forbidden(_)        => (403, "foreign_request",    "Only for this machine"),
            Self::Closed              => (403, "closed",             "The API is closed"),
            Self::Method(_)           => (405, "method_not_allowed", "Method not allowed"),
            Self::Parameter { .. }    => (400, "bad_parameter",      "A parameter is wrong"),
            Self::Path                => (400, "bad_path",           "The path cannot be read"),
            Self::UnknownAccount      => (404, "unknown_account",    "Unknown account"),
            Self::UnknownSource       => (404, "unknown_source",     "Unknown source"),
            Self::NotFetchable        => (409, "not_askable",        "The platform cannot be asked"),
            Self::UnknownEvent        => (404, "unknown_event",      "Unknown event"),
            Self::UnknownReceipt      => (404, "unknown_receipt",    "Unknown receipt"),
            Self::Incomplete          => (409, "incomplete",         "The event is incomplete"),
            Self::Filtered            => (409, "filtered",           "The event is filtered"),
            Self::NotReplayed(_)      => (409, "not_replayed",       "The receipt was not replayed"),
            Self::Body(B::TooLarge)   => (413, "too_large",          "The body is too large"),
            Self::Body(B::TimedOut)   => (408, "timeout",            "The body is too slow"),
            Self::Body(B::Incomplete) => (400, "bad_body",           "The body is broken"),
            Self::Body(B::NoMemory)
            | Self::Unavailable(_)    => (503, "unavailable",        "The store is unavailable"),
            Self::Corrupt(_)          => (500, "corrupt",            "The store cannot be read"),
        };
        ApiErrorRow { status, code, title }
    }

    /// The response to a request whose body was read.
    pub(super) fn response(&self) -> ServerResponse {
        let ApiErrorRow { status, code, title } = self.row();
        let parameter =
            if let Self::Parameter { name, .. } = self { Some(name.clone()) } else { None };
        let body = json!(ProblemModel {
            kind: format!("{PROBLEM_TYPE_PREFIX}{code}"),
            title: title.to_owned(),
            status,
            detail: self.to_string(),
            parameter,
        });
        let mut response =
            ServerResponse::new(status, "application/problem+json", body.to_string());
        if let Self::Method(allowed) = self {
            response = response.with_header("allow", *allowed);
        }
        if status == 503 {
            response = response.with_header("retry-after", RETRY_AFTER);
        }
        response
    }

    /// The response to a request whose body may not have been read to its end: the connection closes.
    pub(super) fn early_response(&self, request: ServerRequest) -> ServerResponse {
        self.response().closing().holding(request)
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable { .. } => Self::Unavailable(error.to_string()),
            LedgerError::Corrupt { .. } => Self::Corrupt(error.to_string()),
        }
    }
}

impl From<ReplayError> for ApiError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Unknown => Self::UnknownReceipt,
            ReplayError::NoBody
            | ReplayError::NoSource(_)
            | ReplayError::OtherProvider { .. }
            | ReplayError::NoLongerAccepted(_) => Self::NotReplayed(error.to_string()),
            ReplayError::Busy => Self::Unavailable(error.to_string()),
            ReplayError::Ledger(error) => error.into(),
        }
    }
}

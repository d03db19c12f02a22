//! Results of verifying and reading a request.

use std::collections::BTreeSet;

use crate::event::{Change, ExternalAccountId, FetchRequest, text};
use crate::jwt::JwtError;

/// Longest name of a webhook, in characters. Platforms' own have up to some fifty.
const EVENT_TYPE_MAX: usize = 100;

/// Why a request is not authentic. The names are label values of `bridge_webhooks_rejected_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum VerifyError {
    /// The header with the signature, or its time, is missing.
    #[error("missing")]
    Missing,
    /// That header is unreadable or repeated.
    #[error("malformed")]
    Malformed,
    /// No secret produces this signature of this body.
    #[error("mismatch")]
    Mismatch,
    /// The key is not in the published set. A newer set may hold it.
    #[error("mismatch")]
    UnknownKey,
    /// The signed time is too long ago.
    #[error("stale")]
    Stale,
    /// The signed time is too far ahead.
    #[error("future")]
    Future,
}

impl From<JwtError> for VerifyError {
    fn from(error: JwtError) -> Self {
        match error {
            JwtError::Malformed => Self::Malformed,
            JwtError::Mismatch => Self::Mismatch,
            JwtError::UnknownKey => Self::UnknownKey,
            JwtError::Stale => Self::Stale,
            JwtError::Future => Self::Future,
        }
    }
}

/// An authentic body as the platform's code reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedPayload {
    /// The platform's name of the webhook, cleaned and cut; `unknown` without one.
    pub event_type: String,
    /// The meaning of the body.
    pub content: PayloadContent,
    /// Webinars to ask the platform's API about. Only with [`PayloadContent::Changes`], which may be empty.
    pub fetch_requests: Vec<FetchRequest>,
    /// The delivery's id, documented as unique and covered by the signature, or another signed value that is unique
    /// to the delivery. It recognizes duplicates; without it, the body does.
    pub delivery_id: Option<String>,
}

impl ParsedPayload {
    /// A payload without fetch requests. The name is cleaned and cut.
    #[must_use]
    pub fn new(event_type: &str, content: PayloadContent) -> Self {
        let name: String = text::clean_text(event_type).chars().take(EVENT_TYPE_MAX).collect();
        let event_type = if name.is_empty() { "unknown".to_owned() } else { name };
        Self { event_type, content, fetch_requests: Vec::new(), delivery_id: None }
    }

    /// A payload with the content, or with the reason why the body cannot be mapped.
    pub(super) fn from_result(event_type: &str, content: Result<PayloadContent, String>) -> Self {
        Self::new(event_type, content.unwrap_or_else(PayloadContent::Unmappable))
    }

    /// A payload whose body does not even show its name.
    pub(super) fn unreadable(reason: String) -> Self {
        Self::new("", PayloadContent::Unmappable(reason))
    }

    /// A payload from the answers of a platform's API.
    pub(super) fn fetched(content: Result<PayloadContent, String>) -> Self {
        Self::from_result("fetched", content)
    }

    /// Whether the body says nothing itself, but only what to ask the platform about.
    #[must_use]
    pub fn only_requests_fetches(&self) -> bool {
        let says_nothing = match &self.content {
            PayloadContent::Changes { changes, .. } => changes.is_empty(),
            PayloadContent::Ignored
            | PayloadContent::Excluded
            | PayloadContent::Unmappable(_)
            | PayloadContent::Handshake(_) => false,
        };
        says_nothing && !self.fetch_requests.is_empty()
    }

    /// Keeps the changes of these accounts of the platform, all if none are named, and returns whether that removed
    /// any. A change without a known account is removed. A fetch request without one stays: its answers are
    /// restricted.
    #[must_use]
    pub fn restrict_to_accounts(mut self, accounts: Option<&BTreeSet<String>>) -> (Self, bool) {
        let (Some(accounts), PayloadContent::Changes { changes, .. }) =
            (accounts, &mut self.content)
        else {
            return (self, false);
        };
        let before = changes.len() + self.fetch_requests.len();
        let is_named = |account: &ExternalAccountId| accounts.contains(account.as_str());
        changes.retain(|change| change.account.as_ref().is_some_and(is_named));
        self.fetch_requests.retain(|request| request.account.as_ref().is_none_or(is_named));
        let after = changes.len() + self.fetch_requests.len();
        let has_foreign = after < before;
        if has_foreign && after == 0 {
            self.content = PayloadContent::Ignored;
        }
        (self, has_foreign)
    }
}

/// The meaning of an authentic body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadContent {
    /// The body is about webinars. At most one change for each.
    Changes {
        /// The changes.
        changes: Vec<Change>,
        /// Names of optional fields with unreadable values, which count as missing: `start_time`.
        bad_fields: Vec<&'static str>,
    },
    /// The body is about something else: an unknown type, a registration, a participant, a platform account that the
    /// source may not speak for. Only its hash is kept.
    Ignored,
    /// A setting of the source leaves the body out. It is kept, so that it can be replayed once the setting is right.
    Excluded,
    /// The body is about a webinar, but its id or type is unreadable. The reason is for operators and contains nothing
    /// personal.
    Unmappable(String),
    /// The platform asks for a proof. The reply is sent, and nothing is stored.
    Handshake(HandshakeReply),
}

/// The reply to a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeReply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

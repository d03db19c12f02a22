//! What verifying and reading a request come to.

use std::collections::BTreeSet;

use crate::event::{Change, ExternalAccountId, FetchRequest, text};
use crate::jwt::JwtError;

/// Longest name of a webhook that is kept, in characters; platforms' own have up to some fifty.
const EVENT_TYPE_MAX: usize = 100;

/// Why a request is not believed. The names are label values of `bridge_webhooks_rejected_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum VerifyError {
    /// A header that carries the signature, or its time, is not there.
    #[error("missing")]
    Missing,
    /// Such a header is there but cannot be read, or is there twice.
    #[error("malformed")]
    Malformed,
    /// No secret makes this signature of this body.
    #[error("mismatch")]
    Mismatch,
    /// It is signed with a key that is not in the published set; it may be, once that is asked for again.
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

/// What an authentic request turns out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedPayload {
    /// The platform's name of the webhook; `unknown` where it has none. Bounded and cleaned.
    pub event_type: String,
    /// What it means.
    pub content: PayloadContent,
    /// What of the platform's API should be asked because of it. Only with [`Meaning::Changes`], which may be none.
    pub fetch_requests: Vec<FetchRequest>,
    /// The platform's own id of the delivery, where it is documented as unique and is part of what was verified, or what
    /// else of that no other delivery has: the same is a duplicate. None: the same body is.
    pub delivery_id: Option<String>,
}

impl ParsedPayload {
    /// A reading that asks for nothing. The name is cleaned and cut.
    #[must_use]
    pub fn new(event_type: &str, meaning: PayloadContent) -> Self {
        let name: String = text::clean_text(event_type).chars().take(EVENT_TYPE_MAX).collect();
        let event_type = if name.is_empty() { "unknown".to_owned() } else { name };
        Self { event_type, content: meaning, fetch_requests: Vec::new(), delivery_id: None }
    }

    /// What of it a source may say that speaks for these accounts of the platform, for all if none are named; and
    /// whether that is less than all. A list admits what it names, so not a change of which no account is known. What is
    /// to be asked for is judged once it is fetched, if no account is known of it before.
    #[must_use]
    pub fn restrict_to_accounts(mut self, accounts: Option<&BTreeSet<String>>) -> (Self, bool) {
        let (Some(accounts), PayloadContent::Changes { changes, .. }) =
            (accounts, &mut self.content)
        else {
            return (self, false);
        };
        let said = changes.len() + self.fetch_requests.len();
        let named = |account: &ExternalAccountId| accounts.contains(account.as_str());
        let ours = |change: &Change| change.account.as_ref().is_some_and(named);
        changes.retain(ours);
        self.fetch_requests.retain(|wanted| wanted.account.as_ref().is_none_or(named));
        let left = changes.len() + self.fetch_requests.len();
        let nothing_left = left == 0;
        let foreign = left < said;
        if foreign && nothing_left {
            self.content = PayloadContent::Ignored;
        }
        (self, foreign)
    }
}

/// What an authentic request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadContent {
    /// It says something of webinars. At most one change for each webinar.
    Changes {
        /// What it says.
        changes: Vec<Change>,
        /// Optional fields whose value was none, and that were therefore taken as not said: `start_time`.
        bad_fields: Vec<&'static str>,
    },
    /// There is nothing in it for us: an unknown type, a registration, a participant.
    Ignored,
    /// It should say something of a webinar but its id or type cannot be read. The text is for operators, and holds
    /// nothing personal.
    Unmappable(String),
    /// The platform asks us to prove something; answer this and keep nothing.
    Handshake(HandshakeReply),
}

/// The answer to a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeReply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

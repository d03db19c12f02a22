//! The account that credentials open, and the check of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AccountFailure, RetryWait};
use crate::event::time::Millis;

/// The wait between checks that hold nothing up.
const CHECK_RETRY: Duration = Duration::from_mins(1);

/// An app within a portal. HubSpot keys events by both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Number of the portal.
    pub portal_id: u64,
    /// OAuth app; `None` for an access token, since HubSpot does not report a token's app.
    pub client_id: Option<String>,
}

/// A digest that tells after a restart whether an account's credentials are the same. It is stored, and shown nowhere:
/// neither in logs nor by the API.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CredentialsDigest(String);

/// The check of an account fails whose credentials are those of an earlier check. Events are sent all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckFailed {
    /// The first failure in a row.
    pub since: Millis,
    /// When it is checked again.
    pub retry_at: Millis,
    /// The last failure, for operators.
    pub detail: String,
}

impl CredentialsDigest {
    /// The digest of these bytes, which tell nothing of the secrets.
    #[must_use]
    pub fn new(digest: &[u8; 32]) -> Self {
        Self(hex::encode(digest))
    }
}

impl CheckFailed {
    /// The check failed at that time, after `before`. It is repeated after a minute, or when HubSpot allows it.
    pub(super) fn after(before: Option<&Self>, failure: &AccountFailure, now: Millis) -> Self {
        let wait = match failure.wait {
            RetryWait::Fixed(wait) => wait.max(CHECK_RETRY),
            RetryWait::Backoff { .. } => CHECK_RETRY,
        };
        Self {
            since: before.map_or(now, |before| before.since),
            retry_at: now.plus(wait),
            detail: failure.error.clone(),
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.client_id {
            Some(client_id) => write!(f, "portal {} by OAuth app {client_id}", self.portal_id),
            None => write!(f, "portal {} by an access token", self.portal_id),
        }
    }
}

impl std::fmt::Debug for CredentialsDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialsDigest(..)")
    }
}

//! Whose account the credentials open.
//!
//! HubSpot keys events by app within a portal: sent to another, each would be there a second time. So HubSpot is asked
//! before the first batch, and again whenever the credentials have changed.

use crate::event::{AccountStatus, Identity};
use crate::hubspot::{AccountError, AccountErrorKind, CredentialsFingerprint};

/// What HubSpot was last asked with, and what came of it. Not kept: after a start it is asked again.
#[derive(Debug, Default)]
pub struct CheckState(Option<(CredentialsFingerprint, LastCheck)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastCheck {
    Checking,
    Confirmed,
    Changed,
    Failed,
}

/// Whose the present credentials are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Of the account that events go to.
    Confirmed,
    /// Of another: nothing is sent.
    Changed,
    /// HubSpot is being asked.
    Checking,
    /// HubSpot is to be asked.
    Unchecked {
        /// The credentials are not those it was asked with before.
        new_credentials: bool,
    },
}

/// What HubSpot says of the credentials.
#[derive(Debug, PartialEq, Eq)]
pub enum IdentityAnswer {
    /// That they open this account.
    Identified(Identity),
    /// Nothing, and it will not: they may not ask, or nobody there can be asked. Events are delivered all the same.
    Undisclosed,
    /// Nothing now: the account is in trouble.
    Failed(AccountError),
}

/// What that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckResult {
    /// Events go there; remember it, if HubSpot told whose it is.
    Confirmed(Option<Identity>),
    /// It is another than the one remembered.
    Changed {
        /// The account so far.
        remembered: Identity,
        /// The account now.
        seen: Identity,
    },
}

impl CheckState {
    /// Whose these credentials are, as far as HubSpot was asked.
    #[must_use]
    pub fn ownership(&self, present: CredentialsFingerprint, status: &AccountStatus) -> Ownership {
        let Some((asked, answer)) = self.0 else {
            return Ownership::Unchecked { new_credentials: true };
        };
        match answer {
            LastCheck::Checking => Ownership::Checking,
            LastCheck::Confirmed | LastCheck::Changed | LastCheck::Failed if asked != present => {
                Ownership::Unchecked { new_credentials: true }
            }
            LastCheck::Confirmed => Ownership::Confirmed,
            LastCheck::Changed if status.unconfirmed_identity.is_some() => Ownership::Changed,
            // An operator has said that it is the right one; asked again, should it have changed since.
            LastCheck::Changed => Ownership::Unchecked { new_credentials: true },
            LastCheck::Failed => Ownership::Unchecked { new_credentials: false },
        }
    }

    /// HubSpot is asked now, with these.
    pub fn begin(&mut self, present: CredentialsFingerprint) {
        self.0 = Some((present, LastCheck::Checking));
    }

    /// What came of it; none if there was no answer.
    pub fn finish(&mut self, finding: Option<&CheckResult>) {
        if let Some((_, answer)) = &mut self.0 {
            *answer = match finding {
                Some(CheckResult::Confirmed(_)) => LastCheck::Confirmed,
                Some(CheckResult::Changed { .. }) => LastCheck::Changed,
                None => LastCheck::Failed,
            };
        }
    }
}

impl IdentityAnswer {
    /// Reads what HubSpot said. A refusal to tell is told from a failure to: 401 and the like are the account's trouble
    /// for a batch as well, but not to be allowed to ask (403), or to ask what is not there, says nothing about batches.
    #[must_use]
    pub fn from_details(outcome: Result<u64, AccountError>, client_id: Option<&str>) -> Self {
        let trouble = match outcome {
            Ok(portal_id) => {
                return Self::Identified(Identity {
                    portal_id,
                    client_id: client_id.map(str::to_owned),
                });
            }
            Err(trouble) => trouble,
        };
        let silent = match trouble.kind {
            AccountErrorKind::Forbidden | AccountErrorKind::NotFound => true,
            // An answer of success that tells no portal, and refusals of other kinds.
            AccountErrorKind::Overloaded => {
                matches!(trouble.status, Some(200..=299 | 400..=407 | 409..=499 | 501))
            }
            AccountErrorKind::Unauthorized
            | AccountErrorKind::RateLimited { .. }
            | AccountErrorKind::Locked
            | AccountErrorKind::Migrating
            | AccountErrorKind::Redirected
            | AccountErrorKind::Transport { .. } => false,
        };
        if silent { Self::Undisclosed } else { Self::Failed(trouble) }
    }
}

/// Compares what HubSpot says with what is remembered.
///
/// A token tells nothing of its app, so two tokens of one portal
/// count as one app's, as when a token is rotated; another kind of credential is very likely another app's.
#[must_use]
pub fn compare(remembered: Option<&Identity>, seen: Option<Identity>) -> CheckResult {
    match (remembered, seen) {
        (Some(remembered), Some(seen)) if *remembered != seen => {
            CheckResult::Changed { remembered: remembered.clone(), seen }
        }
        (_, seen) => CheckResult::Confirmed(seen),
    }
}

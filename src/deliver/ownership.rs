//! The account that the credentials open.
//!
//! HubSpot keys events by app within a portal: in another account each event would be created a second time. So the
//! account is checked before the first batch, and again whenever the credentials have changed. Credentials that were
//! checked before a restart are still those of the same account: they are checked again, and nothing waits for that.

#[cfg(test)]
mod tests;

use crate::event::{AccountStatus, CredentialsDigest, Identity, Millis};
use crate::hubspot::{AccountError, AccountErrorKind, CredentialsFingerprint};

/// The checks since the start. In memory only: after a start the credentials are checked again.
#[derive(Debug, Default)]
pub struct CheckState {
    /// The credentials of the last check, and its result.
    last: Option<(CredentialsFingerprint, Ownership)>,
    /// The credentials of the last call with events.
    used: Option<CredentialsFingerprint>,
}

/// The state of the check of the present credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The account that events go to.
    Confirmed,
    /// Another account: nothing is sent.
    Changed,
    /// A check is under way.
    Checking,
    /// A check is needed.
    Unchecked {
        /// The credentials are not those of the last check.
        new_credentials: bool,
    },
}

impl CheckState {
    /// The state of the check of these credentials. `digest` gives theirs, none while they cannot be read: it is asked
    /// for only while no check since the start has answered, since this is looked up at every wake.
    #[must_use]
    pub fn ownership(
        &self,
        present: CredentialsFingerprint,
        digest: impl FnOnce() -> Option<CredentialsDigest>,
        status: &AccountStatus,
    ) -> Ownership {
        if status.unconfirmed_identity.is_none() {
            let is_confirmed = self.last == Some((present, Ownership::Confirmed));
            let checked = status.checked_credentials.as_ref();
            if is_confirmed || checked.is_some_and(|checked| digest().as_ref() == Some(checked)) {
                return Ownership::Confirmed;
            }
        }
        let unchecked = Ownership::Unchecked { new_credentials: true };
        match self.last {
            Some((_, Ownership::Checking)) => Ownership::Checking,
            // An operator confirmed the other account. It is checked again, in case it has changed since.
            Some((_, Ownership::Changed)) if status.unconfirmed_identity.is_none() => unchecked,
            Some((checked, result)) if checked == present => result,
            Some(_) | None => unchecked,
        }
    }

    /// When these credentials, which are confirmed, are to be checked; none: not any more, or a check is under way. A check
    /// is also how HubSpot is asked for the time.
    #[must_use]
    pub fn check_due(
        &self,
        present: CredentialsFingerprint,
        status: &AccountStatus,
        wants_time: bool,
    ) -> Option<Millis> {
        let at_once = Millis::new(0);
        match self.last {
            Some((_, Ownership::Checking)) => None,
            Some((checked, Ownership::Confirmed)) if checked == present => {
                wants_time.then_some(at_once)
            }
            Some((checked, Ownership::Unchecked { .. })) if checked == present => {
                Some(status.check_failed.as_ref().map_or(at_once, |failed| failed.retry_at))
            }
            Some(_) | None => Some(at_once),
        }
    }

    /// Whether a call with events was made with these credentials.
    #[must_use]
    pub fn is_used(&self, present: CredentialsFingerprint) -> bool {
        self.used == Some(present)
    }

    /// A call with events is made with these credentials.
    pub fn record_use(&mut self, present: CredentialsFingerprint) {
        self.used = Some(present);
    }

    /// Begins a check with these credentials.
    pub fn begin(&mut self, present: CredentialsFingerprint) {
        self.last = Some((present, Ownership::Checking));
    }

    /// Ends the check with this result.
    pub fn finish(&mut self, result: Ownership) {
        if let Some((_, last)) = &mut self.last {
            *last = result;
        }
    }
}

/// Reads HubSpot's answer to the check: the account that the credentials open.
///
/// It is none if HubSpot cannot name the account, since the credentials lack the scope (403) or the path does not
/// exist. That concerns no batch, so it is no failure.
///
/// # Errors
/// The error of the check: 401 and the like fail a batch as well.
pub fn read_identity(
    outcome: Result<u64, AccountError>,
    client_id: Option<&str>,
) -> Result<Option<Identity>, AccountError> {
    let error = match outcome {
        Ok(portal_id) => {
            return Ok(Some(Identity { portal_id, client_id: client_id.map(str::to_owned) }));
        }
        Err(error) => error,
    };
    let is_undisclosed = match error.kind {
        AccountErrorKind::Forbidden | AccountErrorKind::NotFound => true,
        // A success without a portal, and refusals of other kinds.
        AccountErrorKind::Overloaded => {
            matches!(error.status, Some(200..=299 | 400..=407 | 409..=499 | 501))
        }
        AccountErrorKind::Unauthorized
        | AccountErrorKind::RateLimited { .. }
        | AccountErrorKind::Locked
        | AccountErrorKind::Migrating
        | AccountErrorKind::Redirected
        | AccountErrorKind::Transport { .. } => false,
    };
    if is_undisclosed { Ok(None) } else { Err(error) }
}

/// The remembered account and the one that the credentials open, if they are known and differ.
///
/// A token does not show its app, so two tokens of one portal count as one app's, as when a token is rotated. Another
/// kind of credential is very likely another app's.
#[must_use]
pub fn changed_identity<'a>(
    remembered: Option<&'a Identity>,
    seen: Option<&'a Identity>,
) -> Option<(&'a Identity, &'a Identity)> {
    remembered.zip(seen).filter(|(remembered, seen)| remembered != seen)
}

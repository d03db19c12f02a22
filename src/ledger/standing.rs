//! How an account stands with HubSpot.

use serde::{Deserialize, Serialize};

use crate::event::Millis;

/// An account's standing with HubSpot, kept across restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Why nothing is sent, if so.
    pub paused: Option<Pause>,
    /// Nothing is sent before then.
    pub retry_at: Option<Millis>,
    /// Failures of the account in a row.
    pub failures: u32,
    /// Since when it has been failing.
    pub failing_since: Option<Millis>,
    /// The last failure, for showing.
    pub last_error: Option<String>,
    /// What is left of the day's calls, where HubSpot tells.
    pub daily_remaining: Option<u64>,
    /// Whose account it is, from the first time that HubSpot told.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// Whose account the credentials open now, where that is another: nothing is sent until they are put back, or an
    /// operator resumes the account.
    #[serde(default)]
    pub stranger: Option<Identity>,
    /// It has become another account: what the one before was sent is to be sent to this one.
    #[serde(default)]
    pub moved: bool,
}

/// Whose account it is: HubSpot keys events by app within a portal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The portal's number.
    pub portal_id: u64,
    /// The OAuth app; none for a token, of which HubSpot does not tell the app.
    pub client_id: Option<String>,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.client_id {
            Some(client_id) => write!(f, "portal {} by OAuth app {client_id}", self.portal_id),
            None => write!(f, "portal {} by an access token", self.portal_id),
        }
    }
}

impl AccountStatus {
    /// Nothing is sent until [`Self::resumed`]: an operator said so.
    #[must_use]
    pub fn paused_by_operator(&self, now: Millis) -> Self {
        let already = self.paused.as_ref().filter(|pause| pause.reason == PauseReason::Operator);
        let pause = already.cloned().unwrap_or_else(|| Pause {
            reason: PauseReason::Operator,
            since: now,
            detail: "an operator paused it".to_owned(),
        });
        Self { paused: Some(pause), ..self.clone() }
    }

    /// Whether an operator paused it.
    #[must_use]
    pub fn is_paused_by_operator(&self) -> bool {
        self.paused.as_ref().is_some_and(|pause| pause.reason == PauseReason::Operator)
    }

    /// Whatever it was paused for, or waiting for, is tried again now: an operator said so. If it was shown to be
    /// paused because the credentials open another account, that account is the right one from now on.
    #[must_use]
    pub fn resumed(&self) -> Self {
        let shown = self.paused.as_ref().is_some_and(|p| p.reason == PauseReason::Misconfigured);
        let confirmed = self.stranger.clone().filter(|_| shown);
        Self {
            moved: self.moved || confirmed.is_some(),
            identity: confirmed.or_else(|| self.identity.clone()),
            stranger: None,
            ..self.cleared()
        }
    }

    /// Nothing is held against it.
    #[must_use]
    pub fn cleared(&self) -> Self {
        Self {
            paused: None,
            retry_at: None,
            failures: 0,
            failing_since: None,
            last_error: None,
            ..self.clone()
        }
    }
}

/// A change of a standing, made of the present one.
pub type StatusFunction = Box<dyn FnOnce(&AccountStatus) -> AccountStatus + Send>;

/// A standing before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "they say it")]
pub struct StatusUpdate {
    pub before: AccountStatus,
    pub after: AccountStatus,
}

/// A pause of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why.
    pub reason: PauseReason,
    /// Since when.
    pub since: Millis,
    /// What to do about it, for operators.
    pub detail: String,
}

/// Why an account is paused: label values of `bridge_account_paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// 401 with credentials that are fresh.
    Unauthorized,
    /// 403.
    Forbidden,
    /// The path is not there, or the account is another.
    Misconfigured,
    /// The day's calls are used up.
    DailyLimit,
    /// HubSpot moves the account between data centres (477).
    Migrating,
    /// HubSpot refuses everything for the same reason.
    Refused,
    /// An operator said so.
    Operator,
}

impl PauseReason {
    /// All reasons, for metrics that exist from the start.
    pub const ALL: [Self; 7] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::Misconfigured,
        Self::DailyLimit,
        Self::Migrating,
        Self::Refused,
        Self::Operator,
    ];

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Misconfigured => "misconfigured",
            Self::DailyLimit => "daily_limit",
            Self::Migrating => "migrating",
            Self::Refused => "refused",
            Self::Operator => "operator",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_name_where_it_is_kept_and_where_it_is_counted() {
        for reason in PauseReason::ALL {
            assert_eq!(serde_json::json!(reason), reason.as_str());
        }
    }
}

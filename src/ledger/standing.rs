//! How an account stands with HubSpot.

use serde::{Deserialize, Serialize};

use crate::event::Millis;

/// An account's standing with HubSpot, kept across restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
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

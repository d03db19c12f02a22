//! The status of a HubSpot account.

use serde::{Deserialize, Serialize};

use crate::event::{AccountName, AccountStatus, Millis, Pause, PauseReason, rfc3339};

/// `POST /accounts/{hubspot}/pause` and `.../resume`: the account after the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PausedAccountModel {
    /// HubSpot account.
    pub hubspot: AccountName,
    /// Status of the account.
    #[serde(flatten)]
    pub status: AccountStatusModel,
}

/// The status of a HubSpot account; all members are `null` while its status is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatusModel {
    /// Pause of the account, during which nothing is sent.
    pub paused: Option<PauseModel>,
    /// Time before which nothing is sent.
    #[serde(default, with = "rfc3339::option")]
    pub retry_at: Option<Millis>,
    /// Failures of the account in a row.
    pub failures: Option<u32>,
    /// Time since which the account fails.
    #[serde(default, with = "rfc3339::option")]
    pub failing_since: Option<Millis>,
    /// Last failure.
    pub last_error: Option<String>,
    /// Calls left today, where HubSpot reports them.
    pub daily_remaining: Option<u64>,
    /// Time since which the account answers batches and does nothing with them, so that events go one by one.
    #[serde(default, with = "rfc3339::option")]
    pub batches_ignored_since: Option<Millis>,
    /// Why events cannot be read, as for a missing scope; those that have to be read first wait.
    pub reads_refused: Option<String>,
    /// Why HubSpot does not say whose account it is. The credentials are those of the last check, and nothing waits.
    pub check_failed: Option<String>,
}

/// A pause of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseModel {
    /// Reason, as in `bridge_account_paused`.
    pub reason: PauseReason,
    /// Beginning of the pause.
    #[serde(with = "rfc3339")]
    pub since: Millis,
    /// Remedy, for operators.
    pub detail: String,
}

impl From<AccountStatus> for AccountStatusModel {
    fn from(status: AccountStatus) -> Self {
        Self {
            paused: status.paused.map(PauseModel::from),
            retry_at: status.retry_at,
            failures: Some(status.failures),
            failing_since: status.failing_since,
            last_error: status.last_error,
            daily_remaining: status.daily_remaining,
            batches_ignored_since: status.batches_ignored.map(|ignored| ignored.since),
            reads_refused: status.reads_refused.map(|refused| refused.detail),
            check_failed: status.check_failed.map(|failed| failed.detail),
        }
    }
}

impl From<Pause> for PauseModel {
    fn from(pause: Pause) -> Self {
        let Pause { reason, since, detail } = pause;
        Self { reason, since, detail }
    }
}

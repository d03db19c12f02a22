//! The status of a HubSpot account: its pause, its failures in a row, and the account that its credentials open.

pub mod backoff;
mod batches_ignored;
mod identity;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Millis;
pub use batches_ignored::BatchesIgnored;
pub use identity::{CheckFailed, CredentialsDigest, Identity};

/// Wait after HubSpot refused to show an event: a person has to add the scope.
const READ_RETRY: Duration = Duration::from_mins(10);

/// The status of a HubSpot account, kept across restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Pause, if deliveries are paused.
    pub paused: Option<Pause>,
    /// Earliest time of the next call.
    pub retry_at: Option<Millis>,
    /// Failures of the account in a row.
    pub failures: u32,
    /// Time of the first of these failures.
    pub failing_since: Option<Millis>,
    /// Time of the last of these failures, which decided the wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Millis>,
    /// Last failure, for people.
    pub last_error: Option<String>,
    /// Calls left of the day, as HubSpot reported them last.
    pub daily_remaining: Option<u64>,
    /// The account that events are sent to, from the first time that HubSpot reported it.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// The credentials of the last check that found that account, or that HubSpot does not disclose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_credentials: Option<CredentialsDigest>,
    /// Failure of a check of these credentials, which holds nothing up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_failed: Option<CheckFailed>,
    /// The account that the credentials open now, if it is another. Nothing is sent until the old credentials are back
    /// or an operator resumes the account.
    #[serde(default, rename = "stranger")]
    pub unconfirmed_identity: Option<Identity>,
    /// Whether an operator confirmed another account that still lacks the events of the former one.
    #[serde(default, rename = "moved")]
    pub resync_pending: bool,
    /// Whether the account answers batches and does nothing with them: its events are sent one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches_ignored: Option<BatchesIgnored>,
    /// Refusal of reads, which pauses nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads_refused: Option<ReadsRefused>,
}

/// HubSpot refuses to show events, most likely since the credentials lack the scope for it. Events that have to be read
/// first wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadsRefused {
    /// Since when.
    pub since: Millis,
    /// When a read is tried again.
    pub retry_at: Millis,
    /// The refusal, for operators.
    pub detail: String,
}

/// A pause of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Reason of the pause.
    pub reason: PauseReason,
    /// Start of the pause.
    pub since: Millis,
    /// Remedy, for operators.
    pub detail: String,
}

/// Reason of a pause, and label value of `bridge_account_paused`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PauseReason {
    /// HubSpot answers 401 to fresh credentials.
    Unauthorized,
    /// HubSpot answers 403.
    Forbidden,
    /// The path does not exist, or the credentials open another account.
    Misconfigured,
    /// The day's calls are used up.
    DailyLimit,
    /// HubSpot moves the account between data centres (477).
    Migrating,
    /// HubSpot refuses everything for the same reason.
    Refused,
    /// An operator paused the account.
    Operator,
}

/// A change of an account's status. It carries every decision, chance included, so that it can be applied again when
/// another change came first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusChange {
    /// An operator paused the account.
    Paused,
    /// An operator resumed the account. If it was shown as paused because the credentials open another account, the
    /// operator confirmed that account.
    Resumed,
    /// HubSpot answered a batch as expected.
    Recovered {
        /// Whether HubSpot confirmed an event.
        accepted: bool,
        /// Calls left of the day, if the answer had them.
        daily_remaining: Option<u64>,
    },
    /// A call with events failed, or HubSpot confirmed none of them.
    Failed {
        /// The failure.
        failure: AccountFailure,
        /// Calls left of the day, if the answer had them.
        daily_remaining: Option<u64>,
    },
    /// The check of the credentials' account failed, and nothing is sent before it succeeds.
    IdentityCheckFailed {
        /// The failure.
        failure: AccountFailure,
        /// Calls left of the day, if the answer had them.
        daily_remaining: Option<u64>,
    },
    /// The check of credentials that were checked before failed. Nothing waits for it.
    IdentityUnchecked {
        /// The failure.
        failure: AccountFailure,
        /// Calls left of the day, if the answer had them.
        daily_remaining: Option<u64>,
    },
    /// The credentials open the account that events are sent to, or HubSpot does not disclose it.
    IdentityConfirmed {
        /// The account, if HubSpot disclosed it.
        identity: Option<Identity>,
        /// The digest of the credentials, if they can be read.
        credentials: Option<CredentialsDigest>,
        /// Calls left of the day, if the answer had them.
        daily_remaining: Option<u64>,
    },
    /// The credentials open another account than the one that events are sent to.
    IdentityChanged {
        /// The account that they open.
        seen: Identity,
        /// Remedy, for operators.
        detail: String,
        /// Calls left of the day, if the answer had them.
        daily_remaining: Option<u64>,
    },
    /// HubSpot answered batches and did nothing with them, and took single events of them.
    BatchesIgnored,
    /// A batch is about to be sent to an account that ignored batches.
    BatchTried,
    /// HubSpot confirmed events of a batch.
    BatchesWork,
    /// HubSpot refused to show an event.
    ReadRefused {
        /// The refusal, for operators.
        detail: String,
    },
    /// HubSpot showed an event, or that there is none.
    ReadAnswered,
    /// All events of the former account were made pending for the newly confirmed one.
    Resynced,
}

/// A failure of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountFailure {
    /// Pause that follows, if any, with the remedy for operators.
    pub pause: Option<(PauseReason, String)>,
    /// The wait before the next call.
    pub wait: RetryWait,
    /// The failure, for people.
    pub error: String,
}

/// Wait after a failure of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryWait {
    /// A fixed time.
    Fixed(Duration),
    /// A time that grows with each failure in a row: see [`backoff::delay`].
    Backoff {
        /// Jitter: any number.
        random: u32,
    },
}

/// An account's status before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are clear")]
pub struct StatusUpdate {
    pub before: AccountStatus,
    pub after: AccountStatus,
}

impl AccountStatus {
    /// The status after a change at that time.
    #[must_use]
    pub fn apply(&self, change: &StatusChange, now: Millis) -> Self {
        let (after, daily_remaining) = match change {
            StatusChange::Paused => (self.paused_by_operator(now), &None),
            StatusChange::Resumed => (self.resumed(), &None),
            StatusChange::BatchesIgnored => {
                let ignored = self.batches_ignored.unwrap_or_else(|| BatchesIgnored::new(now));
                (Self { batches_ignored: Some(ignored), ..self.clone() }, &None)
            }
            StatusChange::BatchTried => {
                let tried = self.batches_ignored.map(|ignored| ignored.tried(now));
                (Self { batches_ignored: tried, ..self.clone() }, &None)
            }
            StatusChange::BatchesWork => (Self { batches_ignored: None, ..self.clone() }, &None),
            StatusChange::ReadRefused { detail } => (self.read_refused(detail, now), &None),
            StatusChange::ReadAnswered => (Self { reads_refused: None, ..self.clone() }, &None),
            StatusChange::Resynced => (Self { resync_pending: false, ..self.clone() }, &None),
            StatusChange::Recovered { accepted, daily_remaining } => {
                (self.recovered(*accepted), daily_remaining)
            }
            StatusChange::Failed { failure, daily_remaining } => {
                (self.failed(failure, now), daily_remaining)
            }
            StatusChange::IdentityCheckFailed { failure, daily_remaining } => {
                let unchecked =
                    Self { unconfirmed_identity: None, check_failed: None, ..self.clone() };
                (unchecked.failed(failure, now), daily_remaining)
            }
            StatusChange::IdentityUnchecked { failure, daily_remaining } => {
                let failed = CheckFailed::after(self.check_failed.as_ref(), failure, now);
                (Self { check_failed: Some(failed), ..self.clone() }, daily_remaining)
            }
            StatusChange::IdentityConfirmed { identity, credentials, daily_remaining } => {
                let checked = Self { checked_credentials: credentials.clone(), ..self.clone() };
                (checked.identity_confirmed(identity.as_ref()), daily_remaining)
            }
            StatusChange::IdentityChanged { seen, detail, daily_remaining } => {
                (self.identity_changed(seen, detail, now), daily_remaining)
            }
        };
        Self { daily_remaining: daily_remaining.or(after.daily_remaining), ..after }
    }

    /// Whether the account is paused for that reason.
    #[must_use]
    pub fn is_paused_for(&self, reason: PauseReason) -> bool {
        self.paused.as_ref().is_some_and(|pause| pause.reason == reason)
    }

    /// Whether a person must change the credentials or their permissions before anything can be sent.
    #[must_use]
    pub fn awaits_credentials(&self) -> bool {
        self.paused.as_ref().is_some_and(|pause| match pause.reason {
            PauseReason::Unauthorized | PauseReason::Forbidden | PauseReason::Misconfigured => true,
            PauseReason::DailyLimit
            | PauseReason::Migrating
            | PauseReason::Refused
            | PauseReason::Operator => false,
        })
    }

    /// The status without pause, wait and failures.
    #[must_use]
    pub fn cleared(&self) -> Self {
        Self {
            paused: None,
            retry_at: None,
            failures: 0,
            failing_since: None,
            failed_at: None,
            last_error: None,
            ..self.clone()
        }
    }

    fn read_refused(&self, detail: &str, now: Millis) -> Self {
        let since = self.reads_refused.as_ref().map_or(now, |refused| refused.since);
        let retry_at = now.plus(READ_RETRY);
        let refused = ReadsRefused { since, retry_at, detail: detail.to_owned() };
        Self { reads_refused: Some(refused), ..self.clone() }
    }

    /// A pause for that reason. It keeps the start of the present pause if that has the same reason.
    fn pause(&self, reason: PauseReason, detail: &str, now: Millis) -> Pause {
        let same = self.paused.as_ref().filter(|pause| pause.reason == reason);
        Pause { reason, since: same.map_or(now, |pause| pause.since), detail: detail.to_owned() }
    }

    fn paused_by_operator(&self, now: Millis) -> Self {
        let pause = self.pause(PauseReason::Operator, "an operator paused it", now);
        Self { paused: Some(pause), ..self.clone() }
    }

    fn resumed(&self) -> Self {
        // An operator's own pause hides the other account, so resuming does not confirm it.
        let was_shown = self.is_paused_for(PauseReason::Misconfigured);
        let confirmed = self.unconfirmed_identity.clone().filter(|_| was_shown);
        Self {
            resync_pending: self.resync_pending || confirmed.is_some(),
            // They open the former account.
            checked_credentials: self.checked_credentials.clone().filter(|_| confirmed.is_none()),
            identity: confirmed.or_else(|| self.identity.clone()),
            unconfirmed_identity: None,
            ..self.cleared()
        }
    }

    /// An account that refuses everything recovers only when it accepts an event.
    fn recovered(&self, accepted: bool) -> Self {
        if self.is_paused_for(PauseReason::Refused) && !accepted {
            return self.clone();
        }
        Self { paused: self.lasting_pause(), ..self.cleared() }
    }

    /// Counts a failure. An operator's pause outlasts others. A failure without a pause ends no pause: a busy HubSpot
    /// does not remedy the reason of the present pause.
    fn failed(&self, failure: &AccountFailure, now: Millis) -> Self {
        let paused =
            failure.pause.as_ref().map(|(reason, detail)| self.pause(*reason, detail, now));
        let failures = self.failures.saturating_add(1);
        let failing_since = self.failing_since.unwrap_or(now);
        let wait = match failure.wait {
            RetryWait::Fixed(wait) => wait,
            RetryWait::Backoff { random } => {
                backoff::delay(failures, now.since(failing_since), random)
            }
        };
        Self {
            paused: self.lasting_pause().or(paused).or_else(|| self.paused.clone()),
            retry_at: Some(now.plus(wait)),
            failures,
            failing_since: Some(failing_since),
            failed_at: Some(now),
            last_error: Some(failure.error.clone()),
            ..self.clone()
        }
    }

    /// Ends a pause and a wait that the former credentials caused.
    fn identity_confirmed(&self, identity: Option<&Identity>) -> Self {
        let identity = identity.or(self.identity.as_ref()).cloned();
        // New credentials may be allowed to read.
        let unread = Self { reads_refused: None, check_failed: None, ..self.clone() };
        if self.unconfirmed_identity.is_some() {
            let paused = self.operator_pause();
            return Self { paused, identity, unconfirmed_identity: None, ..unread.cleared() };
        }
        // The check follows new credentials: calls refused to the old ones may be repeated at once.
        let retry_at = self.retry_at.filter(|_| !self.awaits_credentials());
        Self { retry_at, identity, ..unread }
    }

    fn identity_changed(&self, seen: &Identity, detail: &str, now: Millis) -> Self {
        let pause = self.pause(PauseReason::Misconfigured, detail, now);
        Self {
            paused: self.operator_pause().or(Some(pause)),
            unconfirmed_identity: Some(seen.clone()),
            last_error: Some(detail.to_owned()),
            check_failed: None,
            ..self.cleared()
        }
    }

    fn operator_pause(&self) -> Option<Pause> {
        self.paused.clone().filter(|pause| pause.reason == PauseReason::Operator)
    }

    /// The pause that no answer of a batch ends or replaces: answers of earlier calls still arrive.
    fn lasting_pause(&self) -> Option<Pause> {
        self.paused.clone().filter(|pause| {
            pause.reason == PauseReason::Operator
                || (pause.reason == PauseReason::Misconfigured
                    && self.unconfirmed_identity.is_some())
        })
    }
}

//! Derives the account's failure from a failed or unhelpful answer of HubSpot: the wait, and whether to pause.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::event::{AccountFailure, PauseReason, RetryWait};
use crate::hubspot::{AccountError, AccountErrorKind, RateLimitPolicy};

/// Wait, during a pause, before one event probes the account.
const PAUSE_PROBE: Duration = Duration::from_mins(1);
/// Interval of probing whether the daily limit was reset. The reset is at midnight in the account's time zone, which is
/// not known here.
const DAILY_LIMIT_PROBE: Duration = Duration::from_mins(10);
/// Wait after a 477 without `Retry-After`. A data-centre move lasts up to a day (error handling: 477).
const MIGRATION: Duration = Duration::from_mins(5);

/// The failure of a call with that error. `random` is the source of its backoff's jitter.
#[must_use]
pub fn from_error(error: &AccountError, random: u32) -> AccountFailure {
    let fixed = |default| RetryWait::Fixed(error.retry_after.unwrap_or(default));
    let probe = RetryWait::Fixed(PAUSE_PROBE);
    let (wait, reason) = match &error.kind {
        AccountErrorKind::Unauthorized => (probe, Some(PauseReason::Unauthorized)),
        AccountErrorKind::Forbidden => (probe, Some(PauseReason::Forbidden)),
        AccountErrorKind::NotFound | AccountErrorKind::Redirected => {
            (probe, Some(PauseReason::Misconfigured))
        }
        AccountErrorKind::Migrating => (fixed(MIGRATION), Some(PauseReason::Migrating)),
        AccountErrorKind::RateLimited { policy: RateLimitPolicy::Daily } => {
            (fixed(DAILY_LIMIT_PROBE), Some(PauseReason::DailyLimit))
        }
        // The error of a lock, or of a limit that is not the day's, holds its wait.
        AccountErrorKind::RateLimited { .. }
        | AccountErrorKind::Locked
        | AccountErrorKind::Overloaded
        | AccountErrorKind::Transport { .. } => {
            (error.retry_after.map_or(RetryWait::Backoff { random }, RetryWait::Fixed), None)
        }
    };
    let pause = reason.map(|reason| (reason, error.detail.clone()));
    AccountFailure { pause, wait, error: describe(error) }
}

/// The failure of an account that answers and confirms nothing: it is left alone for a while.
#[must_use]
pub fn from_unconfirmed(detail: &str, random: u32) -> AccountFailure {
    let wait = RetryWait::Backoff { random };
    AccountFailure { pause: None, wait, error: detail.to_owned() }
}

/// The failure of an account that refuses everything for the same reason: no event is blamed, and one event at a time
/// probes the account.
///
/// The first probe leaves at once, since it may show that the account works.
#[must_use]
pub fn from_refusals(reason: &str, is_probed: bool) -> AccountFailure {
    let wait = if is_probed { PAUSE_PROBE } else { Duration::ZERO };
    AccountFailure {
        pause: Some((PauseReason::Refused, reason.to_owned())),
        wait: RetryWait::Fixed(wait),
        error: reason.to_owned(),
    }
}

fn describe(error: &AccountError) -> String {
    match &error.correlation_id {
        Some(id) => format!("{} (correlationId {id})", error.detail),
        None => error.detail.clone(),
    }
}

//! What HubSpot's answers mean for an account: back off, pause, or go on. Decided here, done by the lane.

use std::time::Duration;

use crate::event::Millis;
use crate::hubspot::{AccountError, AccountErrorKind, RateLimitPolicy, backoff};
use crate::ledger::{AccountStatus, Identity, Pause, PauseReason};

/// How long a pause lasts before one small batch asks again.
const PAUSE_PROBE: Duration = Duration::from_mins(1);
/// HubSpot's rolling window, when it does not say when to come back (usage guidelines: limits per 10 seconds).
const WINDOW: Duration = Duration::from_secs(10);
/// A locked object stays so for 2 s (error handling: 423).
const LOCKED: Duration = Duration::from_secs(2);
/// Between questions whether the day's calls are there again; the reset is at midnight in the account's time zone, which
/// is not ours to know.
const DAILY_LIMIT_PROBE: Duration = Duration::from_mins(10);
/// A data-centre move lasts up to a day and names its end in `Retry-After` (error handling: 477).
const MIGRATION: Duration = Duration::from_mins(5);

/// What the account did with what it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It took some of it.
    Accepted,
    /// It answered as it should, and took nothing.
    Refused,
}

/// The account answered as it should: nothing is held against it any more. But one that refuses everything must take
/// something first.
#[must_use]
pub fn recovered(
    before: &AccountStatus,
    heard: Heard,
    daily_remaining: Option<u64>,
) -> AccountStatus {
    let refuses = before.paused.as_ref().is_some_and(|pause| pause.reason == PauseReason::Refused);
    let daily_remaining = daily_remaining.or(before.daily_remaining);
    if refuses && heard == Heard::Refused {
        return AccountStatus { daily_remaining, ..before.clone() };
    }
    AccountStatus { paused: lasting(before), daily_remaining, ..before.cleared() }
}

/// A pause that is not over because a call went well, or badly: those that were under way when it was set still do.
fn lasting(before: &AccountStatus) -> Option<Pause> {
    let lasts = |pause: &Pause| {
        pause.reason == PauseReason::Operator
            || (pause.reason == PauseReason::Misconfigured && before.stranger.is_some())
    };
    before.paused.clone().filter(lasts)
}

/// Whether it is waiting for somebody to change the credentials or what they may do.
#[must_use]
pub fn awaits_credentials(status: &AccountStatus) -> bool {
    status.paused.as_ref().is_some_and(|pause| match pause.reason {
        PauseReason::Unauthorized | PauseReason::Forbidden | PauseReason::Misconfigured => true,
        PauseReason::DailyLimit
        | PauseReason::Migrating
        | PauseReason::Refused
        | PauseReason::Operator => false,
    })
}

/// HubSpot answers, and does nothing with what it is sent: the account is left alone for a while, as after a failure.
#[must_use]
pub fn unconfirmed(
    before: &AccountStatus,
    detail: &str,
    now: Millis,
    random: u32,
) -> AccountStatus {
    let failing_since = before.failing_since.unwrap_or(now);
    let failures = before.failures.saturating_add(1);
    let wait = backoff::delay(failures, now.since(failing_since), random);
    AccountStatus {
        retry_at: Some(now.plus(wait)),
        failures,
        failing_since: Some(failing_since),
        last_error: Some(detail.to_owned()),
        ..before.clone()
    }
}

/// The credentials open the account that they should, or HubSpot does not tell: what was paused for them goes on.
#[must_use]
pub fn identity_confirmed(before: &AccountStatus, seen: Option<Identity>) -> AccountStatus {
    let identity = seen.or_else(|| before.identity.clone());
    if before.stranger.is_some() {
        let operator = |pause: &Pause| pause.reason == PauseReason::Operator;
        let paused = before.paused.clone().filter(operator);
        return AccountStatus { paused, identity, stranger: None, ..before.cleared() };
    }
    // They were asked because they are new: what the old ones were refused is tried again now.
    let retry_at = before.retry_at.filter(|_| !awaits_credentials(before));
    AccountStatus { retry_at, identity, ..before.clone() }
}

/// The credentials open another account, or are another app's: nothing is sent. HubSpot keys events by app, so each
/// would be there twice.
#[must_use]
pub fn identity_changed(
    before: &AccountStatus,
    remembered: &Identity,
    seen: Identity,
    now: Millis,
) -> AccountStatus {
    let detail = format!(
        "the account was {remembered} and is {seen}: nothing is sent, since every event would be there a second time. \
         Put the old credentials back, or resume the account (POST /api/v1/accounts/NAME/resume) to go on with the new \
         one, which is then sent all that is not over"
    );
    let since = before.paused.as_ref().filter(|p| p.reason == PauseReason::Misconfigured);
    let since = since.map_or(now, |pause| pause.since);
    let reason = PauseReason::Misconfigured;
    let operator = before.paused.clone().filter(|pause| pause.reason == PauseReason::Operator);
    AccountStatus {
        paused: operator.or(Some(Pause { reason, since, detail: detail.clone() })),
        stranger: Some(seen),
        last_error: Some(detail),
        ..before.cleared()
    }
}

/// The account is in trouble: when to ask again, and whether to call it a pause. `random` is any number.
#[must_use]
pub fn failed_call(
    before: &AccountStatus,
    trouble: &AccountError,
    now: Millis,
    random: u32,
) -> AccountStatus {
    let failing_since = before.failing_since.unwrap_or(now);
    let told = trouble.retry_after;
    let (wait, reason) = match &trouble.kind {
        AccountErrorKind::Unauthorized => (PAUSE_PROBE, Some(PauseReason::Unauthorized)),
        AccountErrorKind::Forbidden => (PAUSE_PROBE, Some(PauseReason::Forbidden)),
        AccountErrorKind::NotFound | AccountErrorKind::Redirected => {
            (PAUSE_PROBE, Some(PauseReason::Misconfigured))
        }
        AccountErrorKind::Migrating => (told.unwrap_or(MIGRATION), Some(PauseReason::Migrating)),
        AccountErrorKind::RateLimited { policy: RateLimitPolicy::Daily } => {
            (told.unwrap_or(DAILY_LIMIT_PROBE), Some(PauseReason::DailyLimit))
        }
        AccountErrorKind::RateLimited { policy: RateLimitPolicy::Secondly } => {
            (told.unwrap_or(Duration::from_secs(1)), None)
        }
        AccountErrorKind::RateLimited {
            policy: RateLimitPolicy::TenSecondly | RateLimitPolicy::Unknown,
        } => (told.unwrap_or(WINDOW), None),
        AccountErrorKind::Locked => (told.unwrap_or(LOCKED), None),
        AccountErrorKind::Overloaded | AccountErrorKind::Transport { .. } => {
            let jitter =
                backoff::delay(before.failures.saturating_add(1), now.since(failing_since), random);
            (told.unwrap_or(jitter), None)
        }
    };
    let pause = reason.map(|reason| (reason, trouble.detail.as_str()));
    failed(before, pause, wait, describe(trouble), now)
}

/// The account refuses everything for the same reason: nobody is blamed, and one event at a time asks again.
#[must_use]
pub fn refuses_everything(before: &AccountStatus, reason: &str, now: Millis) -> AccountStatus {
    failed(before, Some((PauseReason::Refused, reason)), PAUSE_PROBE, reason.to_owned(), now)
}

/// One failure more. An operator's pause outlasts others, and a pause for the same reason goes on. What is no pause by
/// itself ends none: that HubSpot is busy says nothing of what was paused for.
fn failed(
    before: &AccountStatus,
    pause: Option<(PauseReason, &str)>,
    wait: Duration,
    error: String,
    now: Millis,
) -> AccountStatus {
    let paused_for = |reason| before.paused.as_ref().filter(|pause| pause.reason == reason);
    let paused = pause.map(|(reason, detail)| {
        let since = paused_for(reason).map_or(now, |pause| pause.since);
        Pause { reason, since, detail: detail.to_owned() }
    });
    AccountStatus {
        paused: lasting(before).or(paused).or_else(|| before.paused.clone()),
        retry_at: Some(now.plus(wait)),
        failures: before.failures.saturating_add(1),
        failing_since: Some(before.failing_since.unwrap_or(now)),
        last_error: Some(error),
        ..before.clone()
    }
}

fn describe(trouble: &AccountError) -> String {
    match &trouble.correlation_id {
        Some(id) => format!("{} (correlationId {id})", trouble.detail),
        None => trouble.detail.clone(),
    }
}

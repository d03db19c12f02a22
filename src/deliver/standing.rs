//! What HubSpot's answers mean for an account: back off, pause, or go on. Decided here, done by the lane.

use std::time::Duration;

use crate::event::Millis;
use crate::hubspot::{AccountTrouble, RatePolicy, TroubleKind, backoff};
use crate::ledger::{Identity, Pause, PauseReason, Standing};

/// How long a pause lasts before one small batch asks again.
const PROBE: Duration = Duration::from_mins(1);
/// HubSpot's rolling window, when it does not say when to come back (usage guidelines: limits per 10 seconds).
const WINDOW: Duration = Duration::from_secs(10);
/// A locked object stays so for 2 s (error handling: 423).
const LOCKED: Duration = Duration::from_secs(2);
/// Between questions whether the day's calls are there again; the reset is at midnight in the account's time zone, which
/// is not ours to know.
const DAILY: Duration = Duration::from_mins(10);
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
pub fn recovered(before: &Standing, heard: Heard, daily_remaining: Option<u64>) -> Standing {
    let refuses = before.paused.as_ref().is_some_and(|pause| pause.reason == PauseReason::Refused);
    let daily_remaining = daily_remaining.or(before.daily_remaining);
    if refuses && heard == Heard::Refused {
        return Standing { daily_remaining, ..before.clone() };
    }
    Standing { paused: lasting(before), daily_remaining, ..before.well() }
}

/// A pause that is not over because a call went well, or badly: those that were under way when it was set still do.
fn lasting(before: &Standing) -> Option<Pause> {
    let lasts = |pause: &Pause| {
        pause.reason == PauseReason::Operator
            || (pause.reason == PauseReason::Misconfigured && before.stranger.is_some())
    };
    before.paused.clone().filter(lasts)
}

/// Whether it is waiting for somebody to change the credentials or what they may do.
#[must_use]
pub fn awaits_credentials(standing: &Standing) -> bool {
    standing.paused.as_ref().is_some_and(|pause| match pause.reason {
        PauseReason::Unauthorized | PauseReason::Forbidden | PauseReason::Misconfigured => true,
        PauseReason::DailyLimit
        | PauseReason::Migrating
        | PauseReason::Refused
        | PauseReason::Operator => false,
    })
}

/// HubSpot answers, and does nothing with what it is sent: the account is left alone for a while, as after a failure.
#[must_use]
pub fn silent(before: &Standing, detail: &str, now: Millis, random: u32) -> Standing {
    let failing_since = before.failing_since.unwrap_or(now);
    let failures = before.failures.saturating_add(1);
    let wait = backoff::delay(failures, now.since(failing_since), random);
    Standing {
        retry_at: Some(now.plus(wait)),
        failures,
        failing_since: Some(failing_since),
        last_error: Some(detail.to_owned()),
        ..before.clone()
    }
}

/// The credentials open the account that they should, or HubSpot does not tell: what was paused for them goes on.
#[must_use]
pub fn at_home(before: &Standing, seen: Option<Identity>) -> Standing {
    let identity = seen.or_else(|| before.identity.clone());
    if before.stranger.is_some() {
        let operator = |pause: &Pause| pause.reason == PauseReason::Operator;
        let paused = before.paused.clone().filter(operator);
        return Standing { paused, identity, stranger: None, ..before.well() };
    }
    // They were asked because they are new: what the old ones were refused is tried again now.
    let retry_at = before.retry_at.filter(|_| !awaits_credentials(before));
    Standing { retry_at, identity, ..before.clone() }
}

/// The credentials open another account, or are another app's: nothing is sent. HubSpot keys events by app, so each
/// would be there twice.
#[must_use]
pub fn elsewhere(
    before: &Standing,
    remembered: &Identity,
    seen: Identity,
    now: Millis,
) -> Standing {
    let detail = format!(
        "the account was {remembered} and is {seen}: nothing is sent, since every event would be there a second time. \
         Put the old credentials back, or resume the account (POST /api/v1/accounts/NAME/resume) to go on with the new \
         one, which is then sent all that is not over"
    );
    let since = before.paused.as_ref().filter(|p| p.reason == PauseReason::Misconfigured);
    let since = since.map_or(now, |pause| pause.since);
    let reason = PauseReason::Misconfigured;
    let operator = before.paused.clone().filter(|pause| pause.reason == PauseReason::Operator);
    Standing {
        paused: operator.or(Some(Pause { reason, since, detail: detail.clone() })),
        stranger: Some(seen),
        last_error: Some(detail),
        ..before.well()
    }
}

/// The account is in trouble: when to ask again, and whether to call it a pause. `random` is any number.
#[must_use]
pub fn troubled(before: &Standing, trouble: &AccountTrouble, now: Millis, random: u32) -> Standing {
    let failing_since = before.failing_since.unwrap_or(now);
    let told = trouble.retry_after;
    let (wait, reason) = match &trouble.kind {
        TroubleKind::Unauthorized => (PROBE, Some(PauseReason::Unauthorized)),
        TroubleKind::Forbidden => (PROBE, Some(PauseReason::Forbidden)),
        TroubleKind::NotFound | TroubleKind::Redirected => {
            (PROBE, Some(PauseReason::Misconfigured))
        }
        TroubleKind::Migrating => (told.unwrap_or(MIGRATION), Some(PauseReason::Migrating)),
        TroubleKind::RateLimited { policy: RatePolicy::Daily } => {
            (told.unwrap_or(DAILY), Some(PauseReason::DailyLimit))
        }
        TroubleKind::RateLimited { policy: RatePolicy::Secondly } => {
            (told.unwrap_or(Duration::from_secs(1)), None)
        }
        TroubleKind::RateLimited { policy: RatePolicy::TenSecondly | RatePolicy::Unknown } => {
            (told.unwrap_or(WINDOW), None)
        }
        TroubleKind::Locked => (told.unwrap_or(LOCKED), None),
        TroubleKind::Overloaded | TroubleKind::Transport { .. } => {
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
pub fn refusing(before: &Standing, reason: &str, now: Millis) -> Standing {
    failed(before, Some((PauseReason::Refused, reason)), PROBE, reason.to_owned(), now)
}

/// One failure more. An operator's pause outlasts others, and a pause for the same reason goes on. What is no pause by
/// itself ends none: that HubSpot is busy says nothing of what was paused for.
fn failed(
    before: &Standing,
    pause: Option<(PauseReason, &str)>,
    wait: Duration,
    error: String,
    now: Millis,
) -> Standing {
    let paused_for = |reason| before.paused.as_ref().filter(|pause| pause.reason == reason);
    let paused = pause.map(|(reason, detail)| {
        let since = paused_for(reason).map_or(now, |pause| pause.since);
        Pause { reason, since, detail: detail.to_owned() }
    });
    Standing {
        paused: lasting(before).or(paused).or_else(|| before.paused.clone()),
        retry_at: Some(now.plus(wait)),
        failures: before.failures.saturating_add(1),
        failing_since: Some(before.failing_since.unwrap_or(now)),
        last_error: Some(error),
        ..before.clone()
    }
}

fn describe(trouble: &AccountTrouble) -> String {
    match &trouble.correlation_id {
        Some(id) => format!("{} (correlationId {id})", trouble.detail),
        None => trouble.detail.clone(),
    }
}

use strum::VariantArray as _;

use super::super::tests::{error, identity};
use super::*;
use crate::event::{AccountStatus, Millis, Pause, StatusChange};

const NOW: Millis = Millis::new(1_800_000_000_000);

fn paused(reason: PauseReason) -> AccountStatus {
    AccountStatus {
        paused: Some(Pause { reason, since: NOW, detail: "why".into() }),
        retry_at: Some(NOW.plus(Duration::from_mins(1))),
        failures: 3,
        failing_since: Some(NOW),
        last_error: Some("why".into()),
        daily_remaining: Some(7),
        identity: Some(identity(1, None)),
        ..AccountStatus::default()
    }
}

/// The status after a failed call.
fn fail(before: &AccountStatus, error: &AccountError, now: Millis, random: u32) -> AccountStatus {
    let failure = from_error(error, random);
    before.apply(&StatusChange::Failed { failure, daily_remaining: None }, now)
}

fn reason(status: &AccountStatus) -> Option<PauseReason> {
    status.paused.as_ref().map(|pause| pause.reason)
}

#[test]
fn error_that_pauses_decides_wait_and_pause() {
    use PauseReason::{DailyLimit, Forbidden, Migrating, Misconfigured, Unauthorized};
    let limited = |policy| AccountErrorKind::RateLimited { policy };
    // Seconds, and whether `Retry-After` replaces them.
    let table = [
        (AccountErrorKind::Unauthorized, 60, false, Unauthorized),
        (AccountErrorKind::Forbidden, 60, false, Forbidden),
        (AccountErrorKind::NotFound, 60, false, Misconfigured),
        (AccountErrorKind::Redirected, 60, false, Misconfigured),
        (AccountErrorKind::Migrating, 300, true, Migrating),
        (limited(RateLimitPolicy::Daily), 600, true, DailyLimit),
    ];
    for (kind, wait, heeded, expected) in table {
        let before = AccountStatus::default();
        let after = fail(&before, &error(kind, None), NOW, 0);
        let retry_at = Some(NOW.plus(Duration::from_secs(wait)));
        assert_eq!((reason(&after), after.retry_at), (Some(expected), retry_at), "{kind:?}");
        let limited = AccountError {
            retry_after: Some(Duration::from_secs(77)),
            correlation_id: Some("c-1".into()),
            ..error(kind, None)
        };
        let after = fail(&before, &limited, NOW, 0);
        let wait = Duration::from_secs(if heeded { 77 } else { wait });
        assert_eq!(after.retry_at, Some(NOW.plus(wait)), "{kind:?}");
        let last_error = after.last_error.expect("it is shown");
        assert_eq!(last_error, "HubSpot detail (correlationId c-1)");
    }
}

#[test]
fn brief_errors_back_off_unless_hubspot_says_when_to_retry() {
    let later = NOW.plus(Duration::from_mins(20));
    let limited = |policy| AccountErrorKind::RateLimited { policy };
    for kind in [
        limited(RateLimitPolicy::Secondly),
        limited(RateLimitPolicy::TenSecondly),
        limited(RateLimitPolicy::Unknown),
        AccountErrorKind::Locked,
        AccountErrorKind::Overloaded,
        AccountErrorKind::Transport { ambiguous: true },
    ] {
        let wait = |before: &AccountStatus, now| {
            let after = fail(before, &error(kind, None), now, u32::MAX);
            (after.retry_at.expect("it waits").since(now).as_millis(), after)
        };
        let (first, after) = wait(&AccountStatus::default(), NOW);
        let (second, after) = wait(&after, NOW);
        assert_eq!((first, second), (500, 1_000));
        let failing = AccountStatus { failures: 20, ..after };
        assert_eq!((wait(&failing, NOW).0, wait(&failing, later).0), (5_000, 60_000));
        let retry_after = Some(Duration::from_secs(3));
        let limited = AccountError { retry_after, ..error(kind, None) };
        let after = fail(&failing, &limited, NOW, u32::MAX);
        assert_eq!(after.retry_at, Some(NOW.plus(Duration::from_secs(3))));
    }
}

#[test]
fn error_without_a_pause_ends_no_pause() {
    let unknown = RateLimitPolicy::Unknown;
    for kind in [
        AccountErrorKind::Overloaded,
        AccountErrorKind::Locked,
        AccountErrorKind::RateLimited { policy: unknown },
        AccountErrorKind::Transport { ambiguous: true },
    ] {
        for waits_for in PauseReason::VARIANTS.iter().copied() {
            let before = paused(waits_for);
            let after = fail(&before, &error(kind, Some(503)), NOW, 0);
            assert_eq!(after.paused, before.paused, "{kind:?} while {waits_for:?}");
        }
        let well = AccountStatus::default();
        let after = fail(&well, &error(kind, Some(503)), NOW, 0);
        assert_eq!(after.paused, None, "{kind:?}");
    }
}

#[test]
fn account_that_refuses_everything_is_paused_and_probed() {
    let failure = from_refusals("no", true);
    assert_eq!(failure.pause, Some((PauseReason::Refused, "no".into())));
    assert_eq!(failure.wait, RetryWait::Fixed(Duration::from_mins(1)));
    assert_eq!(failure.error, "no");
}

#[test]
fn answer_that_confirms_nothing_backs_off_without_a_pause() {
    let failure = from_unconfirmed("no results", 7);
    assert_eq!((failure.pause, failure.wait), (None, RetryWait::Backoff { random: 7 }));
    assert_eq!(failure.error, "no results");
}

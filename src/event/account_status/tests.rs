use strum::VariantArray as _;

use super::*;

const NOW: Millis = Millis::new(1_800_000_000_000);

fn identity(portal_id: u64, client_id: Option<&str>) -> Identity {
    Identity { portal_id, client_id: client_id.map(str::to_owned) }
}

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

fn reason(status: &AccountStatus) -> Option<PauseReason> {
    status.paused.as_ref().map(|pause| pause.reason)
}

fn recovered(accepted: bool, daily_remaining: Option<u64>) -> StatusChange {
    StatusChange::Recovered { accepted, daily_remaining }
}

fn paused_failure(reason: PauseReason, error: &str) -> StatusChange {
    let failure = AccountFailure {
        pause: Some((reason, error.to_owned())),
        wait: RetryWait::Fixed(Duration::from_mins(1)),
        error: error.to_owned(),
    };
    StatusChange::Failed { failure, daily_remaining: None }
}

fn backed_off(error: &str, random: u32) -> StatusChange {
    let wait = RetryWait::Backoff { random };
    let failure = AccountFailure { pause: None, wait, error: error.to_owned() };
    StatusChange::Failed { failure, daily_remaining: None }
}

fn identity_confirmed(identity: Option<Identity>) -> StatusChange {
    StatusChange::IdentityConfirmed { identity, credentials: None, daily_remaining: None }
}

fn identity_changed(seen: Identity) -> StatusChange {
    StatusChange::IdentityChanged { seen, detail: "another".into(), daily_remaining: None }
}

#[test]
fn pause_reason_has_one_name_in_store_and_metrics() {
    let names = [
        "unauthorized",
        "forbidden",
        "misconfigured",
        "daily_limit",
        "migrating",
        "refused",
        "operator",
    ];
    assert_eq!(PauseReason::VARIANTS.iter().map(AsRef::<str>::as_ref).collect::<Vec<_>>(), names);
    for reason in PauseReason::VARIANTS {
        assert_eq!(serde_json::json!(reason), reason.as_ref());
    }
}

#[test]
fn status_of_older_version_is_read() {
    let old = r#"{"paused":null,"retry_at":null,"failures":2,"failing_since":null,
                  "last_error":"x","daily_remaining":null}"#;
    let read: AccountStatus = serde_json::from_str(old).expect("it is read");
    assert_eq!(
        (read.failures, read.identity, read.unconfirmed_identity, read.resync_pending),
        (2, None, None, false)
    );
}

#[test]
fn stored_status_keeps_its_member_names() {
    let status = AccountStatus {
        unconfirmed_identity: Some(identity(2, Some("app"))),
        resync_pending: true,
        ..paused(PauseReason::DailyLimit)
    };
    let stored = serde_json::json!({
        "paused": { "reason": "daily_limit", "since": NOW.get(), "detail": "why" },
        "retry_at": NOW.get() + 60_000,
        "failures": 3,
        "failing_since": NOW.get(),
        "last_error": "why",
        "daily_remaining": 7,
        "identity": { "portal_id": 1, "client_id": null },
        "stranger": { "portal_id": 2, "client_id": "app" },
        "moved": true,
    });
    assert_eq!(serde_json::json!(status), stored);
    assert_eq!(serde_json::from_value::<AccountStatus>(stored).expect("it is read"), status);
}

#[test]
fn changed_identity_pauses_until_old_credentials_are_back() {
    let before = AccountStatus { identity: Some(identity(1, None)), ..AccountStatus::default() };
    let paused = before.apply(&identity_changed(identity(2, Some("app"))), NOW);
    assert_eq!(reason(&paused), Some(PauseReason::Misconfigured));
    assert_eq!((paused.retry_at, paused.failures), (None, 0), "nothing is asked by itself");
    assert_eq!(paused.paused.as_ref().expect("it is paused").detail, "another");
    // Answers of calls that were under way change nothing about it.
    let late = paused.apply(&recovered(true, Some(9)), NOW);
    assert_eq!(
        (late.paused.clone(), late.unconfirmed_identity.clone()),
        (paused.paused.clone(), paused.unconfirmed_identity.clone())
    );
    let late = paused.apply(&paused_failure(PauseReason::Unauthorized, "401"), NOW);
    assert_eq!(late.paused, paused.paused);
    assert_eq!(late.unconfirmed_identity, paused.unconfirmed_identity);
    let back = late.apply(&identity_confirmed(Some(identity(1, None))), NOW);
    assert_eq!(
        back,
        AccountStatus { identity: Some(identity(1, None)), ..AccountStatus::default() }
    );
}

#[test]
fn failed_identity_check_forgets_the_unconfirmed_identity() {
    let before = AccountStatus { identity: Some(identity(1, None)), ..AccountStatus::default() };
    let changed = before.apply(&identity_changed(identity(2, None)), NOW);
    let failure = AccountFailure {
        pause: Some((PauseReason::Unauthorized, "401".into())),
        wait: RetryWait::Fixed(Duration::from_mins(1)),
        error: "401".into(),
    };
    let failed = StatusChange::IdentityCheckFailed { failure, daily_remaining: Some(3) };
    let after = changed.apply(&failed, NOW);
    assert_eq!((after.unconfirmed_identity.as_ref(), after.daily_remaining), (None, Some(3)));
    assert_eq!(reason(&after), Some(PauseReason::Unauthorized), "which is what is wrong now");
}

#[test]
fn resuming_confirms_the_identity_that_was_shown() {
    let before = AccountStatus { identity: Some(identity(1, None)), ..AccountStatus::default() };
    let paused = before.apply(&identity_changed(identity(2, None)), NOW);
    let resumed = paused.apply(&StatusChange::Resumed, NOW);
    let expected = AccountStatus {
        identity: Some(identity(2, None)),
        resync_pending: true,
        ..AccountStatus::default()
    };
    assert_eq!(resumed, expected);
    // Behind an operator's own pause nobody saw it: it is checked again, and shown.
    let hidden = paused.apply(&StatusChange::Paused, NOW);
    assert_eq!(reason(&hidden), Some(PauseReason::Operator));
    assert_eq!(hidden.apply(&StatusChange::Resumed, NOW), before);
    // Another resumption does not forget that the account is not yet resynced.
    let twice = resumed.apply(&StatusChange::Resumed, NOW);
    assert!(twice.resync_pending);
    assert!(!twice.apply(&StatusChange::Resynced, NOW).resync_pending);
}

#[test]
fn operators_pause_outlasts_every_other_change() {
    let held = paused(PauseReason::Operator);
    for change in [
        recovered(true, None),
        paused_failure(PauseReason::Forbidden, "403"),
        paused_failure(PauseReason::Refused, "no"),
        backed_off("no results", 0),
        identity_changed(identity(2, None)),
        identity_confirmed(Some(identity(1, None))),
    ] {
        let after = held.apply(&change, NOW);
        assert_eq!(reason(&after), Some(PauseReason::Operator));
        assert!(after.identity.is_some(), "the identity is not forgotten");
    }
}

#[test]
fn confirmed_identity_is_tried_at_once_only_where_credentials_were_the_reason() {
    use PauseReason::{DailyLimit, Forbidden, Migrating, Misconfigured, Unauthorized};
    for (reason, at_once) in [
        (Unauthorized, true),
        (Forbidden, true),
        (Misconfigured, true),
        (DailyLimit, false),
        (Migrating, false),
    ] {
        let before = paused(reason);
        let after = before.apply(&identity_confirmed(None), NOW);
        assert_eq!(after.retry_at.is_none(), at_once, "{reason:?}");
        assert_eq!(after.paused, before.paused, "it is over when a batch goes through");
        assert_eq!(after.identity, before.identity);
    }
}

#[test]
fn failures_in_a_row_are_followed_by_longer_waits() {
    let wait = |before: &AccountStatus| {
        let after = before.apply(&backed_off("0 results for 1 inputs", u32::MAX), NOW);
        assert_eq!((&after.paused, after.last_error.is_some()), (&before.paused, true));
        (after.retry_at.expect("it waits").since(NOW), after)
    };
    let (first, after) = wait(&AccountStatus::default());
    assert_eq!((after.failures, after.failing_since), (1, Some(NOW)));
    let (second, _) = wait(&after);
    assert_eq!((first.as_millis(), second.as_millis()), (500, 1_000));
}

#[test]
fn recovered_account_is_cleared_and_keeps_the_calls_left() {
    let cleared =
        |before: &AccountStatus, left| AccountStatus { daily_remaining: left, ..before.cleared() };
    for reason in [PauseReason::Refused, PauseReason::Forbidden, PauseReason::Misconfigured] {
        let before = paused(reason);
        assert_eq!(before.apply(&recovered(true, Some(5)), NOW), cleared(&before, Some(5)));
        assert_eq!(before.apply(&recovered(true, None), NOW), cleared(&before, Some(7)));
    }
    // To refuse as it should is enough, unless it refuses everything.
    let before = paused(PauseReason::Forbidden);
    assert_eq!(before.apply(&recovered(false, Some(5)), NOW), cleared(&before, Some(5)));
    let before = paused(PauseReason::Refused);
    let after = before.apply(&recovered(false, Some(5)), NOW);
    assert_eq!(after, AccountStatus { daily_remaining: Some(5), ..before.clone() });
    assert_eq!(before.apply(&recovered(false, None), NOW), before);
}

#[test]
fn failures_count_from_the_first_and_a_pause_lasts_from_its_first_reason_on() {
    let later = NOW.plus(Duration::from_secs(90));
    let forbidden = paused_failure(PauseReason::Forbidden, "as HubSpot says");
    let again = AccountStatus::default().apply(&forbidden, NOW).apply(&forbidden, later);
    let expected = AccountStatus {
        paused: Some(Pause {
            reason: PauseReason::Forbidden,
            since: NOW,
            detail: "as HubSpot says".into(),
        }),
        retry_at: Some(later.plus(Duration::from_mins(1))),
        failures: 2,
        failing_since: Some(NOW),
        failed_at: Some(later),
        last_error: Some("as HubSpot says".into()),
        ..AccountStatus::default()
    };
    assert_eq!(again, expected);
    // Another reason is another pause; the account has been failing since the first all the same.
    let since = |status: &AccountStatus| status.paused.as_ref().map(|pause| pause.since);
    let refusing = again.apply(&paused_failure(PauseReason::Refused, "no"), later);
    assert_eq!((reason(&refusing), since(&refusing)), (Some(PauseReason::Refused), Some(later)));
    assert_eq!((refusing.failures, refusing.failing_since), (3, Some(NOW)));
    assert_eq!(refusing.retry_at, Some(later.plus(Duration::from_mins(1))));
    assert_eq!(refusing.last_error.as_deref(), Some("no"));
    // An answer that confirms nothing counts alike.
    let unconfirmed = refusing.apply(&backed_off("no results", 0), later);
    assert_eq!((unconfirmed.failures, unconfirmed.failing_since), (4, Some(NOW)));
    assert_eq!(unconfirmed.last_error.as_deref(), Some("no results"));
}

#[test]
fn identity_is_remembered_once_hubspot_discloses_it() {
    let ours = identity(1, None);
    let found_out =
        AccountStatus { unconfirmed_identity: Some(identity(2, None)), ..AccountStatus::default() };
    for before in [AccountStatus::default(), found_out] {
        let after = before.apply(&identity_confirmed(Some(ours.clone())), NOW);
        let expected = AccountStatus { identity: Some(ours.clone()), ..AccountStatus::default() };
        assert_eq!(after, expected);
    }
}

#[test]
fn changed_identity_lasts_from_its_first_sight_on() {
    let later = NOW.plus(Duration::from_secs(90));
    let theirs = identity(2, None);
    let change = |before: &AccountStatus, now| before.apply(&identity_changed(theirs.clone()), now);
    let first = change(&paused(PauseReason::Forbidden), NOW);
    assert_eq!(first.unconfirmed_identity, Some(theirs.clone()));
    assert_eq!(first.last_error, first.paused.as_ref().map(|pause| pause.detail.clone()));
    assert_eq!(change(&first, later), first);
    let since = |status: AccountStatus| status.paused.map(|pause| pause.since);
    assert_eq!(since(change(&paused(PauseReason::Forbidden), later)), Some(later));
    // An operator's pause from before goes on, as it was.
    let held = AccountStatus::default().apply(&StatusChange::Paused, NOW);
    assert_eq!(change(&held, later).paused, held.paused);
    assert_eq!(held.apply(&StatusChange::Paused, later), held, "paused since the first time");
    let back = change(&held, later).apply(&identity_confirmed(None), later);
    assert_eq!(
        (back.paused, back.unconfirmed_identity, back.last_error),
        (held.paused, None, None)
    );
}

/// B9
#[test]
fn failed_check_of_known_credentials_is_shown_and_holds_nothing_up() {
    let digest = CredentialsDigest::new(&[7; 32]);
    let known = AccountStatus::default().apply(
        &StatusChange::IdentityConfirmed {
            identity: Some(identity(1, None)),
            credentials: Some(digest.clone()),
            daily_remaining: None,
        },
        NOW,
    );
    assert_eq!(known.checked_credentials, Some(digest));
    let failed = |wait| StatusChange::IdentityUnchecked {
        failure: AccountFailure { pause: None, wait, error: "HTTP 500".into() },
        daily_remaining: None,
    };
    let first = known.apply(&failed(RetryWait::Backoff { random: 0 }), NOW);
    let minutes = |minutes| NOW.plus(Duration::from_mins(minutes));
    let check_failed = CheckFailed { since: NOW, retry_at: minutes(1), detail: "HTTP 500".into() };
    assert_eq!(first, AccountStatus { check_failed: Some(check_failed), ..known.clone() });
    let second = first.apply(&failed(RetryWait::Fixed(Duration::from_mins(10))), minutes(1));
    let times = second.check_failed.as_ref().map(|failed| (failed.since, failed.retry_at));
    assert_eq!(times, Some((NOW, minutes(11))));
    let stored = serde_json::to_value(&second).expect("it is written");
    assert_eq!(stored["checked_credentials"], "07".repeat(32));
    assert_eq!(serde_json::from_value::<AccountStatus>(stored).expect("it is read"), second);
    assert!(!format!("{second:?}").contains("0707"), "it is not shown");
    assert_eq!(second.apply(&identity_confirmed(None), NOW).check_failed, None);
}

/// The former account's credentials are not those of the one that an operator confirmed.
#[test]
fn confirmed_account_forgets_the_former_credentials() {
    let known = AccountStatus {
        identity: Some(identity(1, None)),
        checked_credentials: Some(CredentialsDigest::new(&[7; 32])),
        ..AccountStatus::default()
    };
    let changed = known.apply(&identity_changed(identity(2, None)), NOW);
    assert_eq!(changed.checked_credentials, known.checked_credentials);
    let resumed = changed.apply(&StatusChange::Resumed, NOW);
    assert_eq!((resumed.identity, resumed.checked_credentials), (Some(identity(2, None)), None));
    // Resuming an account that an operator paused confirms nothing.
    let paused = known.apply(&StatusChange::Paused, NOW);
    assert_eq!(paused.apply(&StatusChange::Resumed, NOW), known);
}

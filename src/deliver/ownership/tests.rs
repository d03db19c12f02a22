use super::super::assess::tests::{error, identity};
use super::*;
use crate::event::CheckFailed;
use crate::hubspot::RateLimitPolicy;

#[test]
fn another_portal_app_or_kind_of_credential_changes_the_identity() {
    let token = identity(1, None);
    let app = identity(1, Some("app"));
    let table = [
        (None, Some(token.clone()), true),
        (None, None, true),
        (Some(token.clone()), None, true),
        (Some(token.clone()), Some(token.clone()), true),
        (Some(token.clone()), Some(identity(2, None)), false),
        (Some(token.clone()), Some(app.clone()), false),
        (Some(app.clone()), Some(app.clone()), true),
        (Some(app.clone()), Some(token), false),
        (Some(app.clone()), Some(identity(1, Some("other"))), false),
        (Some(app), Some(identity(2, Some("app"))), false),
    ];
    for (remembered, seen, ours) in table {
        let changed = changed_identity(remembered.as_ref(), seen.as_ref());
        assert_eq!(changed.is_none(), ours, "{remembered:?} {seen:?}");
    }
}

#[test]
fn answer_that_withholds_the_account_is_no_failure() {
    let read = |kind, status| read_identity(Err(error(kind, status)), None);
    for (kind, status) in [
        (AccountErrorKind::Forbidden, 403),
        (AccountErrorKind::NotFound, 404),
        (AccountErrorKind::NotFound, 405),
        (AccountErrorKind::Overloaded, 200),
        (AccountErrorKind::Overloaded, 400),
        (AccountErrorKind::Overloaded, 501),
    ] {
        assert_eq!(read(kind, Some(status)), Ok(None), "{status}");
    }
    let daily = AccountErrorKind::RateLimited { policy: RateLimitPolicy::Daily };
    for (kind, status) in [
        (AccountErrorKind::Unauthorized, Some(401)),
        (AccountErrorKind::Overloaded, Some(408)),
        (AccountErrorKind::Locked, Some(423)),
        (daily, Some(429)),
        (AccountErrorKind::Migrating, Some(477)),
        (AccountErrorKind::Overloaded, Some(500)),
        (AccountErrorKind::Overloaded, Some(503)),
        (AccountErrorKind::Redirected, Some(302)),
        (AccountErrorKind::Transport { ambiguous: true }, None),
    ] {
        assert!(read(kind, status).is_err(), "{status:?}");
    }
    assert_eq!(read_identity(Ok(7), Some("app")), Ok(Some(identity(7, Some("app")))));
}

#[test]
fn credentials_are_checked_once_until_they_change() {
    let print = |text: &str| CredentialsFingerprint::for_tests(text);
    let (old, new) = (print("old"), print("new"));
    let known = AccountStatus::default();
    let foreign =
        AccountStatus { unconfirmed_identity: Some(identity(2, None)), ..AccountStatus::default() };
    let mut state = CheckState::default();
    let fresh = Ownership::Unchecked { new_credentials: true };
    assert_eq!(state.ownership(old, || None, &known), fresh);
    state.begin(old);
    assert_eq!(state.ownership(old, || None, &known), Ownership::Checking);
    assert_eq!(state.ownership(new, || None, &known), Ownership::Checking);
    let failed = Ownership::Unchecked { new_credentials: false };
    state.finish(failed);
    assert_eq!(state.ownership(old, || None, &known), failed);
    state.begin(old);
    state.finish(Ownership::Confirmed);
    assert_eq!(state.ownership(old, || None, &known), Ownership::Confirmed);
    assert_eq!(state.ownership(new, || None, &known), fresh);
    state.begin(new);
    state.finish(Ownership::Changed);
    assert_eq!(state.ownership(new, || None, &foreign), Ownership::Changed);
    assert_eq!(state.ownership(old, || None, &foreign), fresh, "the old ones are back");
    assert_eq!(state.ownership(new, || None, &known), fresh, "an operator resumed the account");
}

/// B9
#[test]
fn credentials_of_the_last_check_are_confirmed_before_they_are_checked_again() {
    let print = |text: &str| CredentialsFingerprint::for_tests(text);
    let digest = |print: CredentialsFingerprint| {
        CredentialsDigest::new(
            &print.digest_of(&["https://hubspot.example", "app"]).expect("a digest"),
        )
    };
    let (old, new) = (print("old"), print("new"));
    let (old_digest, new_digest) = (digest(old), digest(new));
    let before = AccountStatus::default();
    let known =
        AccountStatus { checked_credentials: Some(old_digest.clone()), ..AccountStatus::default() };
    let foreign = AccountStatus { unconfirmed_identity: Some(identity(2, None)), ..known.clone() };
    let mut state = CheckState::default();
    let fresh = Ownership::Unchecked { new_credentials: true };
    let old_ones = |state: &CheckState, status: &AccountStatus| {
        state.ownership(old, || Some(old_digest.clone()), status)
    };
    assert_eq!(old_ones(&state, &known), Ownership::Confirmed);
    let at_once = Some(Millis::new(0));
    assert_eq!((state.check_due(old, &known, false), state.is_used(old)), (at_once, false));
    assert_eq!(old_ones(&state, &before), fresh, "a store of before");
    assert_eq!(old_ones(&state, &foreign), fresh, "they are back");
    assert_eq!(state.ownership(new, || Some(new_digest.clone()), &known), fresh);
    assert_eq!(state.ownership(old, || None, &known), fresh, "they cannot be read");
    state.record_use(old);
    assert!(state.is_used(old) && !state.is_used(new));
    state.begin(old);
    assert_eq!(old_ones(&state, &known), Ownership::Confirmed, "nothing waits for the check");
    assert_eq!(state.check_due(old, &known, false), None);
    state.finish(Ownership::Unchecked { new_credentials: false });
    assert_eq!(old_ones(&state, &known), Ownership::Confirmed, "nor for the next one");
    assert_eq!(state.check_due(old, &known, false), at_once);
    let (since, retry_at) = (Millis::new(1_000), Millis::new(61_000));
    let check_failed = Some(CheckFailed { since, retry_at, detail: "HTTP 500".into() });
    let failed = AccountStatus { check_failed, ..known.clone() };
    assert_eq!(state.check_due(old, &failed, false), Some(retry_at));
    assert_eq!(CheckState::default().check_due(old, &failed, false), at_once, "after a start");
    state.begin(old);
    state.finish(Ownership::Confirmed);
    assert_eq!(state.check_due(old, &known, false), None);
    assert_eq!(state.check_due(new, &known, false), at_once);
    assert_eq!(state.check_due(old, &known, true), at_once, "HubSpot is asked for the time");
    state.begin(old);
    assert_eq!(state.check_due(old, &known, true), None, "it is asked");
}

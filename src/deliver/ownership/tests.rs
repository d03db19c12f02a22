use super::super::assess::tests::{error, identity};
use super::*;
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
    assert_eq!(state.ownership(old, &known), fresh);
    state.begin(old);
    assert_eq!(state.ownership(old, &known), Ownership::Checking);
    assert_eq!(state.ownership(new, &known), Ownership::Checking);
    let failed = Ownership::Unchecked { new_credentials: false };
    state.finish(failed);
    assert_eq!(state.ownership(old, &known), failed);
    state.begin(old);
    state.finish(Ownership::Confirmed);
    assert_eq!(state.ownership(old, &known), Ownership::Confirmed);
    assert_eq!(state.ownership(new, &known), fresh);
    state.begin(new);
    state.finish(Ownership::Changed);
    assert_eq!(state.ownership(new, &foreign), Ownership::Changed);
    assert_eq!(state.ownership(old, &foreign), fresh, "the old ones are back");
    assert_eq!(state.ownership(new, &known), fresh, "an operator resumed the account");
}

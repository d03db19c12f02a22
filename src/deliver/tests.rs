//! What the room's own tests share, and tests of what is decided about an account.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::bisect::Bisection;
use super::ownership::{CheckResult, CheckState, IdentityAnswer, Ownership, compare};
use super::status::{self, Heard};
use crate::event::{AccountName, EventKey, ExternalAccountId, ExternalEventId, Millis};
use crate::hubspot::{AccountError, AccountErrorKind, RateLimitPolicy, SplitReason};
use crate::ledger::{AccountStatus, ClaimedEvent, Identity, Pause, PauseReason};

const NOW: Millis = Millis::new(1_800_000_000_000);

pub(super) fn claimed(id: i64) -> ClaimedEvent {
    ClaimedEvent {
        id,
        key: EventKey {
            hubspot: AccountName::parse("main").expect("valid"),
            external_account_id: ExternalAccountId::parse("a").expect("valid"),
            external_event_id: ExternalEventId::from_stored(id.to_string()),
        },
        version: 1,
        pending_since: Millis::new(0),
        attempts: 0,
        input: Vec::new(),
        already_confirmed: false,
    }
}

/// Sends a batch of so many to a HubSpot that refuses whatever holds one of these; the calls, and who was taken and
/// refused.
fn search(
    count: i64,
    culprits: &BTreeSet<i64>,
    cause: SplitReason,
) -> (usize, BTreeSet<i64>, BTreeSet<i64>) {
    let mut parts = Bisection::new((0..count).map(claimed).collect());
    let (mut calls, mut taken, mut refused) = (0, BTreeSet::new(), BTreeSet::new());
    while parts.next_part().is_some() {
        calls += 1;
        let part = parts.take_part();
        let ids: Vec<i64> = part.events.iter().map(|claimed| claimed.id).collect();
        if !ids.iter().any(|id| culprits.contains(id)) {
            taken.extend(ids);
        } else if let [only] = ids[..] {
            parts.drop_inference();
            refused.insert(only);
        } else {
            parts.split_refused(part, cause);
        }
    }
    (calls, taken, refused)
}

#[test]
fn one_culprit_costs_at_most_two_calls_for_each_halving() {
    for count in [1_i64, 2, 3, 7, 64, 100] {
        // 2 x log2(100) is 13.3, and a hundred are halved seven times.
        let halvings =
            usize::try_from(count.ilog2()).unwrap() + usize::from(!is_power_of_two(count));
        for culprit in 0..count {
            let (calls, taken, refused) = search(count, &[culprit].into(), SplitReason::BadEvent);
            assert_eq!(
                (taken.len(), refused),
                (usize::try_from(count - 1).unwrap(), [culprit].into())
            );
            assert!(calls <= 1 + 2 * halvings, "{calls} calls for {culprit} of {count}");
        }
        // Where the first half is taken, the second is not sent whole.
        let (calls, ..) = search(count, &[count - 1].into(), SplitReason::BadEvent);
        assert!(calls <= 2 + halvings, "{calls} calls for the last of {count}");
    }
}

fn is_power_of_two(count: i64) -> bool {
    count.count_ones() == 1
}

proptest! {
    #[test]
    fn every_culprit_is_found_and_nobody_else(
        count in 1..=100_i64,
        culprits in prop::collection::btree_set(0..100_i64, 0..12),
        whole: bool,
    ) {
        let culprits: BTreeSet<i64> = culprits.into_iter().filter(|id| *id < count).collect();
        let cause = if whole { SplitReason::WholeBatch } else { SplitReason::BadEvent };
        let (calls, taken, refused) = search(count, &culprits, cause);
        prop_assert_eq!(&refused, &culprits);
        prop_assert_eq!(taken.len() + culprits.len(), usize::try_from(count).unwrap());
        prop_assert!(calls <= 1 + 14 * culprits.len());
    }
}

#[test]
fn what_an_answer_left_open_stays_so_in_every_part() {
    let mut parts = Bisection::new((0..4).map(claimed).collect());
    let whole = parts.take_part();
    assert!(!whole.outcome_unknown);
    parts.split_unconfirmed(whole.events);
    let half = parts.take_part();
    assert!(half.outcome_unknown);
    parts.split_refused(half, SplitReason::BadEvent);
    assert_eq!(parts.iter().count(), 3);
    let left = parts.take_rest();
    assert_eq!(left.len(), 3);
    assert!(left.iter().all(|part| part.outcome_unknown));
    assert!(parts.next_part().is_none(), "nothing is left twice");
}

fn identity(portal_id: u64, client_id: Option<&str>) -> Identity {
    Identity { portal_id, client_id: client_id.map(str::to_owned) }
}

fn trouble(kind: AccountErrorKind, status: Option<u16>) -> AccountError {
    AccountError {
        kind,
        status,
        retry_after: None,
        detail: "as HubSpot says".into(),
        correlation_id: None,
    }
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

#[test]
fn another_portal_app_or_kind_of_credential_is_another_account() {
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
        let finding = compare(remembered.as_ref(), seen.clone());
        assert_eq!(matches!(finding, CheckResult::Confirmed(_)), ours, "{remembered:?} {seen:?}");
    }
}

#[test]
fn not_to_tell_is_not_to_fail() {
    let told = |kind, status| IdentityAnswer::from_details(Err(trouble(kind, status)), None);
    for (kind, status) in [
        (AccountErrorKind::Forbidden, 403),
        (AccountErrorKind::NotFound, 404),
        (AccountErrorKind::NotFound, 405),
        (AccountErrorKind::Overloaded, 200),
        (AccountErrorKind::Overloaded, 400),
        (AccountErrorKind::Overloaded, 501),
    ] {
        assert_eq!(told(kind, Some(status)), IdentityAnswer::Undisclosed, "{status}");
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
        assert!(matches!(told(kind, status), IdentityAnswer::Failed(_)), "{status:?}");
    }
    let account = IdentityAnswer::Identified(identity(7, Some("app")));
    assert_eq!(IdentityAnswer::from_details(Ok(7), Some("app")), account);
}

#[test]
fn another_account_is_paused_until_the_old_one_is_back() {
    let before = AccountStatus { identity: Some(identity(1, None)), ..AccountStatus::default() };
    let paused =
        status::identity_changed(&before, &identity(1, None), identity(2, Some("app")), NOW);
    assert_eq!(reason(&paused), Some(PauseReason::Misconfigured));
    assert_eq!((paused.retry_at, paused.failures), (None, 0), "nothing is asked by itself");
    let detail = &paused.paused.as_ref().expect("it is paused").detail;
    for words in ["portal 1 by an access token", "portal 2 by OAuth app app", "/resume"] {
        assert!(detail.contains(words), "{detail}");
    }
    // Flights that were under way when it was found out change nothing about it.
    let late = status::recovered(&paused, Heard::Accepted, Some(9));
    assert_eq!(
        (late.paused.clone(), late.stranger.clone()),
        (paused.paused.clone(), paused.stranger.clone())
    );
    let late =
        status::failed_call(&paused, &trouble(AccountErrorKind::Unauthorized, Some(401)), NOW, 0);
    assert_eq!(late.paused, paused.paused);
    assert_eq!(late.stranger, paused.stranger);
    // The old credentials are back.
    let back = status::identity_confirmed(&late, Some(identity(1, None)));
    assert_eq!(
        back,
        AccountStatus { identity: Some(identity(1, None)), ..AccountStatus::default() }
    );
}

#[test]
fn an_operator_who_resumes_confirms_the_account_that_was_shown() {
    let before = AccountStatus { identity: Some(identity(1, None)), ..AccountStatus::default() };
    let paused = status::identity_changed(&before, &identity(1, None), identity(2, None), NOW);
    let resumed = paused.resumed();
    let expected = AccountStatus {
        identity: Some(identity(2, None)),
        moved: true,
        ..AccountStatus::default()
    };
    assert_eq!(resumed, expected);
    // Behind an operator's own pause nobody saw it: it is asked again, and shown.
    let hidden = paused.paused_by_operator(NOW);
    assert_eq!(reason(&hidden), Some(PauseReason::Operator));
    assert_eq!(hidden.resumed(), before);
    // What was begun is not forgotten by another resumption.
    assert!(resumed.resumed().moved);
}

#[test]
fn an_operators_pause_outlasts_everything() {
    let held = paused(PauseReason::Operator);
    let seen = || identity(2, None);
    for after in [
        status::recovered(&held, Heard::Accepted, None),
        status::failed_call(&held, &trouble(AccountErrorKind::Forbidden, Some(403)), NOW, 0),
        status::refuses_everything(&held, "no", NOW),
        status::unconfirmed(&held, "no results", NOW, 0),
        status::identity_changed(&held, &identity(1, None), seen(), NOW),
        status::identity_confirmed(&held, Some(identity(1, None))),
    ] {
        assert_eq!(reason(&after), Some(PauseReason::Operator));
        assert!(after.identity.is_some(), "whose account it is is not forgotten");
    }
}

#[test]
fn new_credentials_are_tried_at_once_and_only_where_they_may_help() {
    use PauseReason::{DailyLimit, Forbidden, Migrating, Misconfigured, Unauthorized};
    for (reason, at_once) in [
        (Unauthorized, true),
        (Forbidden, true),
        (Misconfigured, true),
        (DailyLimit, false),
        (Migrating, false),
    ] {
        let before = paused(reason);
        let after = status::identity_confirmed(&before, None);
        assert_eq!(after.retry_at.is_none(), at_once, "{reason:?}");
        assert_eq!(after.paused, before.paused, "it is over when a batch goes through");
        assert_eq!(after.identity, before.identity);
    }
}

#[test]
fn a_silent_account_is_asked_ever_less() {
    let wait = |before: &AccountStatus| {
        let after = status::unconfirmed(before, "0 results for 1 inputs", NOW, u32::MAX);
        assert_eq!((&after.paused, after.last_error.is_some()), (&before.paused, true));
        (after.retry_at.expect("it waits").since(NOW), after)
    };
    let (first, after) = wait(&AccountStatus::default());
    assert_eq!((after.failures, after.failing_since), (1, Some(NOW)));
    let (second, _) = wait(&after);
    assert_eq!((first.as_millis(), second.as_millis()), (500, 1_000));
}

#[test]
fn a_standing_of_an_older_version_can_be_read() {
    let old = r#"{"paused":null,"retry_at":null,"failures":2,"failing_since":null,
                  "last_error":"x","daily_remaining":null}"#;
    let read: AccountStatus = serde_json::from_str(old).expect("it is read");
    assert_eq!((read.failures, read.identity, read.stranger, read.moved), (2, None, None, false));
}

#[test]
fn credentials_are_asked_about_once_until_they_change() {
    let print = |text: &str| crate::hubspot::CredentialsFingerprint::for_tests(text);
    let (old, new) = (print("old"), print("new"));
    let known = AccountStatus::default();
    let foreign = AccountStatus { stranger: Some(identity(2, None)), ..AccountStatus::default() };
    let another =
        || CheckResult::Changed { remembered: identity(1, None), seen: identity(2, None) };
    let mut asked = CheckState::default();
    let fresh = Ownership::Unchecked { new_credentials: true };
    assert_eq!(asked.ownership(old, &known), fresh);
    asked.begin(old);
    assert_eq!(asked.ownership(old, &known), Ownership::Checking);
    assert_eq!(asked.ownership(new, &known), Ownership::Checking);
    asked.finish(None);
    assert_eq!(asked.ownership(old, &known), Ownership::Unchecked { new_credentials: false });
    asked.begin(old);
    asked.finish(Some(&CheckResult::Confirmed(None)));
    assert_eq!(asked.ownership(old, &known), Ownership::Confirmed);
    assert_eq!(asked.ownership(new, &known), fresh);
    asked.begin(new);
    asked.finish(Some(&another()));
    assert_eq!(asked.ownership(new, &foreign), Ownership::Changed);
    assert_eq!(asked.ownership(old, &foreign), fresh, "the old ones are back");
    assert_eq!(asked.ownership(new, &known), fresh, "an operator said go on");
}

#[test]
fn an_account_that_took_something_is_well_and_what_the_day_has_left_is_kept() {
    let well =
        |before: &AccountStatus, left| AccountStatus { daily_remaining: left, ..before.cleared() };
    for reason in [PauseReason::Refused, PauseReason::Forbidden, PauseReason::Misconfigured] {
        let before = paused(reason);
        assert_eq!(status::recovered(&before, Heard::Accepted, Some(5)), well(&before, Some(5)));
        assert_eq!(status::recovered(&before, Heard::Accepted, None), well(&before, Some(7)));
    }
    // To refuse as it should is enough, unless it refuses everything.
    let before = paused(PauseReason::Forbidden);
    assert_eq!(status::recovered(&before, Heard::Refused, Some(5)), well(&before, Some(5)));
    let before = paused(PauseReason::Refused);
    let after = status::recovered(&before, Heard::Refused, Some(5));
    assert_eq!(after, AccountStatus { daily_remaining: Some(5), ..before.clone() });
    assert_eq!(status::recovered(&before, Heard::Refused, None), before);
}

#[test]
fn every_trouble_has_its_wait_and_its_reason() {
    use PauseReason::{DailyLimit, Forbidden, Migrating, Misconfigured, Unauthorized};
    let limited = |policy| AccountErrorKind::RateLimited { policy };
    // Seconds, and whether HubSpot's own word goes before them.
    let table = [
        (AccountErrorKind::Unauthorized, 60, false, Some(Unauthorized)),
        (AccountErrorKind::Forbidden, 60, false, Some(Forbidden)),
        (AccountErrorKind::NotFound, 60, false, Some(Misconfigured)),
        (AccountErrorKind::Redirected, 60, false, Some(Misconfigured)),
        (AccountErrorKind::Migrating, 300, true, Some(Migrating)),
        (limited(RateLimitPolicy::Daily), 600, true, Some(DailyLimit)),
        (limited(RateLimitPolicy::Secondly), 1, true, None),
        (limited(RateLimitPolicy::TenSecondly), 10, true, None),
        (limited(RateLimitPolicy::Unknown), 10, true, None),
        (AccountErrorKind::Locked, 2, true, None),
    ];
    for (kind, wait, heeded, expected) in table {
        let before = AccountStatus::default();
        let after = status::failed_call(&before, &trouble(kind, None), NOW, 0);
        let retry_at = Some(NOW.plus(Duration::from_secs(wait)));
        assert_eq!((reason(&after), after.retry_at), (expected, retry_at), "{kind:?}");
        let told = AccountError {
            retry_after: Some(Duration::from_secs(77)),
            correlation_id: Some("c-1".into()),
            ..trouble(kind, None)
        };
        let after = status::failed_call(&before, &told, NOW, 0);
        let wait = Duration::from_secs(if heeded { 77 } else { wait });
        assert_eq!(after.retry_at, Some(NOW.plus(wait)), "{kind:?}");
        let error = after.last_error.expect("it is shown");
        assert_eq!(error, "as HubSpot says (correlationId c-1)");
    }
}

#[test]
fn what_may_be_over_soon_is_asked_ever_less_unless_hubspot_says_when() {
    let later = NOW.plus(Duration::from_mins(20));
    for kind in [AccountErrorKind::Overloaded, AccountErrorKind::Transport { ambiguous: true }] {
        let wait = |before: &AccountStatus, now| {
            let after = status::failed_call(before, &trouble(kind, None), now, u32::MAX);
            (after.retry_at.expect("it waits").since(now).as_millis(), after)
        };
        let (first, after) = wait(&AccountStatus::default(), NOW);
        let (second, after) = wait(&after, NOW);
        assert_eq!((first, second), (500, 1_000));
        let failing = AccountStatus { failures: 20, ..after };
        assert_eq!((wait(&failing, NOW).0, wait(&failing, later).0), (5_000, 60_000));
        let told = Some(Duration::from_secs(3));
        let told = AccountError { retry_after: told, ..trouble(kind, None) };
        let after = status::failed_call(&failing, &told, NOW, u32::MAX);
        assert_eq!(after.retry_at, Some(NOW.plus(Duration::from_secs(3))));
    }
}

#[test]
fn failures_are_counted_from_the_first_and_a_pause_lasts_from_its_first_reason_on() {
    let later = NOW.plus(Duration::from_secs(90));
    let forbidden = trouble(AccountErrorKind::Forbidden, Some(403));
    let first = status::failed_call(&AccountStatus::default(), &forbidden, NOW, 0);
    let again = status::failed_call(&first, &forbidden, later, 0);
    let expected = AccountStatus {
        paused: Some(Pause {
            reason: PauseReason::Forbidden,
            since: NOW,
            detail: "as HubSpot says".into(),
        }),
        retry_at: Some(later.plus(Duration::from_mins(1))),
        failures: 2,
        failing_since: Some(NOW),
        last_error: Some("as HubSpot says".into()),
        ..AccountStatus::default()
    };
    assert_eq!(again, expected);
    // Another reason is another pause; it fails since the first all the same.
    let since = |status: &AccountStatus| status.paused.as_ref().map(|pause| pause.since);
    let refusing = status::refuses_everything(&again, "no", later);
    assert_eq!((reason(&refusing), since(&refusing)), (Some(PauseReason::Refused), Some(later)));
    assert_eq!((refusing.failures, refusing.failing_since), (3, Some(NOW)));
    assert_eq!(refusing.retry_at, Some(later.plus(Duration::from_mins(1))));
    assert_eq!(refusing.last_error.as_deref(), Some("no"));
    // Silence counts alike.
    let silent = status::unconfirmed(&refusing, "no results", later, 0);
    assert_eq!((silent.failures, silent.failing_since), (4, Some(NOW)));
    assert_eq!(silent.last_error.as_deref(), Some("no results"));
}

#[test]
fn a_trouble_that_is_no_pause_ends_none() {
    let unknown = RateLimitPolicy::Unknown;
    for kind in [
        AccountErrorKind::Overloaded,
        AccountErrorKind::Locked,
        AccountErrorKind::RateLimited { policy: unknown },
        AccountErrorKind::Transport { ambiguous: true },
    ] {
        for waits_for in PauseReason::ALL {
            let before = paused(waits_for);
            let after = status::failed_call(&before, &trouble(kind, Some(503)), NOW, 0);
            assert_eq!(after.paused, before.paused, "{kind:?} while {waits_for:?}");
        }
        let well = AccountStatus::default();
        let after = status::failed_call(&well, &trouble(kind, Some(503)), NOW, 0);
        assert_eq!(after.paused, None, "{kind:?}");
    }
}

#[test]
fn whose_account_it_is_is_remembered_once_hubspot_tells() {
    let ours = identity(1, None);
    let found_out = AccountStatus { stranger: Some(identity(2, None)), ..AccountStatus::default() };
    for before in [AccountStatus::default(), found_out] {
        let after = status::identity_confirmed(&before, Some(ours.clone()));
        assert_eq!(
            after,
            AccountStatus { identity: Some(ours.clone()), ..AccountStatus::default() }
        );
    }
}

#[test]
fn another_account_is_so_since_it_was_first_seen() {
    let later = NOW.plus(Duration::from_secs(90));
    let (ours, theirs) = (identity(1, None), identity(2, None));
    let elsewhere =
        |before: &AccountStatus, now| status::identity_changed(before, &ours, theirs.clone(), now);
    let first = elsewhere(&paused(PauseReason::Forbidden), NOW);
    assert_eq!(first.stranger, Some(theirs.clone()));
    assert_eq!(first.last_error, first.paused.as_ref().map(|pause| pause.detail.clone()));
    assert_eq!(elsewhere(&first, later), first);
    let since = |status: AccountStatus| status.paused.map(|pause| pause.since);
    assert_eq!(since(elsewhere(&paused(PauseReason::Forbidden), later)), Some(later));
    // An operator's pause from before goes on, as it was.
    let held = AccountStatus::default().paused_by_operator(NOW);
    assert_eq!(elsewhere(&held, later).paused, held.paused);
    assert_eq!(held.paused_by_operator(later), held, "held twice it is held since the first time");
    let back = status::identity_confirmed(&elsewhere(&held, later), None);
    assert_eq!((back.paused, back.stranger, back.last_error), (held.paused, None, None));
}

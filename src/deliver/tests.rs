//! What the room's own tests share, and tests of what is decided about an account.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::bisect::Bisection;
use super::ownership::{CheckResult, CheckState, IdentityAnswer, Ownership, compare};
use super::{account_check, status};
use crate::event::{
    AccountName, AccountStatus, EventKey, ExternalAccountId, ExternalEventId, Identity, Millis,
    Pause, PauseReason, RetryWait, StatusChange,
};
use crate::hubspot::{AccountError, AccountErrorKind, RateLimitPolicy, SplitReason};
use crate::ledger::{ClaimedEvent, InputHash};

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
        input: [].into(),
        input_hash: InputHash::from_input(b""),
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

/// The status after a failed call.
fn fail(before: &AccountStatus, error: &AccountError, now: Millis, random: u32) -> AccountStatus {
    let failure = status::failed_call(error, random);
    before.apply(&StatusChange::Failed { failure, daily_remaining: None }, now)
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
fn credentials_are_asked_about_once_until_they_change() {
    let print = |text: &str| crate::hubspot::CredentialsFingerprint::for_tests(text);
    let (old, new) = (print("old"), print("new"));
    let known = AccountStatus::default();
    let foreign =
        AccountStatus { unconfirmed_identity: Some(identity(2, None)), ..AccountStatus::default() };
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
        let after = fail(&before, &trouble(kind, None), NOW, 0);
        let retry_at = Some(NOW.plus(Duration::from_secs(wait)));
        assert_eq!((reason(&after), after.retry_at), (expected, retry_at), "{kind:?}");
        let told = AccountError {
            retry_after: Some(Duration::from_secs(77)),
            correlation_id: Some("c-1".into()),
            ..trouble(kind, None)
        };
        let after = fail(&before, &told, NOW, 0);
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
            let after = fail(before, &trouble(kind, None), now, u32::MAX);
            (after.retry_at.expect("it waits").since(now).as_millis(), after)
        };
        let (first, after) = wait(&AccountStatus::default(), NOW);
        let (second, after) = wait(&after, NOW);
        assert_eq!((first, second), (500, 1_000));
        let failing = AccountStatus { failures: 20, ..after };
        assert_eq!((wait(&failing, NOW).0, wait(&failing, later).0), (5_000, 60_000));
        let told = Some(Duration::from_secs(3));
        let told = AccountError { retry_after: told, ..trouble(kind, None) };
        let after = fail(&failing, &told, NOW, u32::MAX);
        assert_eq!(after.retry_at, Some(NOW.plus(Duration::from_secs(3))));
    }
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
            let after = fail(&before, &trouble(kind, Some(503)), NOW, 0);
            assert_eq!(after.paused, before.paused, "{kind:?} while {waits_for:?}");
        }
        let well = AccountStatus::default();
        let after = fail(&well, &trouble(kind, Some(503)), NOW, 0);
        assert_eq!(after.paused, None, "{kind:?}");
    }
}

#[test]
fn changed_identity_names_both_accounts_and_the_remedy() {
    let detail = account_check::describe_change(&identity(1, None), &identity(2, Some("app")));
    for words in ["portal 1 by an access token", "portal 2 by OAuth app app", "/resume"] {
        assert!(detail.contains(words), "{detail}");
    }
}

#[test]
fn account_that_refuses_everything_is_paused_and_probed() {
    let failure = status::refuses_everything("no");
    assert_eq!(failure.pause, Some((PauseReason::Refused, "no".into())));
    assert_eq!(failure.wait, RetryWait::Fixed(Duration::from_mins(1)));
    assert_eq!(failure.error, "no");
}

#[test]
fn answer_that_confirms_nothing_backs_off_without_a_pause() {
    let failure = status::unconfirmed("no results", 7);
    assert_eq!((failure.pause, failure.wait), (None, RetryWait::Backoff { random: 7 }));
    assert_eq!(failure.error, "no results");
}

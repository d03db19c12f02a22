//! What the room's own tests share, and tests of what is decided about an account.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::identity::{Asked, Finding, Told, Whose, compare};
use super::parts::Parts;
use super::standing::{self, Heard};
use crate::event::{AccountName, EventKey, ExternalAccountId, ExternalEventId, Millis};
use crate::hubspot::{AccountTrouble, Cause, RatePolicy, TroubleKind};
use crate::ledger::{Claimed, Identity, Pause, PauseReason, Standing};

const NOW: Millis = Millis::new(1_800_000_000_000);

pub(super) fn claimed(id: i64) -> Claimed {
    Claimed {
        id,
        key: EventKey {
            hubspot: AccountName::parse("main").expect("valid"),
            external_account_id: ExternalAccountId::parse("a").expect("valid"),
            external_event_id: ExternalEventId::stored(id.to_string()),
        },
        version: 1,
        pending_since: Millis::new(0),
        attempts: 0,
        input: Vec::new(),
        unchanged: false,
    }
}

/// Sends a batch of so many to a HubSpot that refuses whatever holds one of these; the calls, and who was taken and
/// refused.
fn search(
    count: i64,
    culprits: &BTreeSet<i64>,
    cause: Cause,
) -> (usize, BTreeSet<i64>, BTreeSet<i64>) {
    let mut parts = Parts::of((0..count).map(claimed).collect());
    let (mut calls, mut taken, mut refused) = (0, BTreeSet::new(), BTreeSet::new());
    while parts.to_send().is_some() {
        calls += 1;
        let part = parts.take();
        let ids: Vec<i64> = part.events.iter().map(|claimed| claimed.id).collect();
        if !ids.iter().any(|id| culprits.contains(id)) {
            taken.extend(ids);
        } else if let [only] = ids[..] {
            parts.not_clean();
            refused.insert(only);
        } else {
            parts.refused(part, cause);
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
            let (calls, taken, refused) = search(count, &[culprit].into(), Cause::Culprit);
            assert_eq!(
                (taken.len(), refused),
                (usize::try_from(count - 1).unwrap(), [culprit].into())
            );
            assert!(calls <= 1 + 2 * halvings, "{calls} calls for {culprit} of {count}");
        }
        // Where the first half is taken, the second is not sent whole.
        let (calls, ..) = search(count, &[count - 1].into(), Cause::Culprit);
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
        let cause = if whole { Cause::Whole } else { Cause::Culprit };
        let (calls, taken, refused) = search(count, &culprits, cause);
        prop_assert_eq!(&refused, &culprits);
        prop_assert_eq!(taken.len() + culprits.len(), usize::try_from(count).unwrap());
        prop_assert!(calls <= 1 + 14 * culprits.len());
    }
}

#[test]
fn what_an_answer_left_open_stays_so_in_every_part() {
    let mut parts = Parts::of((0..4).map(claimed).collect());
    let whole = parts.take();
    assert!(!whole.open);
    parts.left_open(whole.events);
    let half = parts.take();
    assert!(half.open);
    parts.refused(half, Cause::Culprit);
    assert_eq!(parts.iter().count(), 3);
    let left = parts.left();
    assert_eq!(left.len(), 3);
    assert!(left.iter().all(|part| part.open));
    assert!(parts.to_send().is_none(), "nothing is left twice");
}

fn identity(portal_id: u64, client_id: Option<&str>) -> Identity {
    Identity { portal_id, client_id: client_id.map(str::to_owned) }
}

fn trouble(kind: TroubleKind, status: Option<u16>) -> AccountTrouble {
    AccountTrouble {
        kind,
        status,
        retry_after: None,
        detail: "as HubSpot says".into(),
        correlation_id: None,
    }
}

fn paused(reason: PauseReason) -> Standing {
    Standing {
        paused: Some(Pause { reason, since: NOW, detail: "why".into() }),
        retry_at: Some(NOW.plus(Duration::from_mins(1))),
        failures: 3,
        failing_since: Some(NOW),
        last_error: Some("why".into()),
        daily_remaining: Some(7),
        identity: Some(identity(1, None)),
        ..Standing::default()
    }
}

fn reason(standing: &Standing) -> Option<PauseReason> {
    standing.paused.as_ref().map(|pause| pause.reason)
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
        assert_eq!(matches!(finding, Finding::Ours(_)), ours, "{remembered:?} {seen:?}");
    }
}

#[test]
fn not_to_tell_is_not_to_fail() {
    let told = |kind, status| Told::of(Err(trouble(kind, status)), None);
    for (kind, status) in [
        (TroubleKind::Forbidden, 403),
        (TroubleKind::NotFound, 404),
        (TroubleKind::NotFound, 405),
        (TroubleKind::Overloaded, 200),
        (TroubleKind::Overloaded, 400),
        (TroubleKind::Overloaded, 501),
    ] {
        assert_eq!(told(kind, Some(status)), Told::Nothing, "{status}");
    }
    let daily = TroubleKind::RateLimited { policy: RatePolicy::Daily };
    for (kind, status) in [
        (TroubleKind::Unauthorized, Some(401)),
        (TroubleKind::Overloaded, Some(408)),
        (TroubleKind::Locked, Some(423)),
        (daily, Some(429)),
        (TroubleKind::Migrating, Some(477)),
        (TroubleKind::Overloaded, Some(500)),
        (TroubleKind::Overloaded, Some(503)),
        (TroubleKind::Redirected, Some(302)),
        (TroubleKind::Transport { ambiguous: true }, None),
    ] {
        assert!(matches!(told(kind, status), Told::Trouble(_)), "{status:?}");
    }
    let account = Told::Account(identity(7, Some("app")));
    assert_eq!(Told::of(Ok(7), Some("app")), account);
}

#[test]
fn another_account_is_paused_until_the_old_one_is_back() {
    let before = Standing { identity: Some(identity(1, None)), ..Standing::default() };
    let paused = standing::elsewhere(&before, &identity(1, None), identity(2, Some("app")), NOW);
    assert_eq!(reason(&paused), Some(PauseReason::Misconfigured));
    assert_eq!((paused.retry_at, paused.failures), (None, 0), "nothing is asked by itself");
    let detail = &paused.paused.as_ref().expect("it is paused").detail;
    for words in ["portal 1 by an access token", "portal 2 by OAuth app app", "/resume"] {
        assert!(detail.contains(words), "{detail}");
    }
    // Flights that were under way when it was found out change nothing about it.
    let late = standing::recovered(&paused, Heard::Accepted, Some(9));
    assert_eq!(
        (late.paused.clone(), late.stranger.clone()),
        (paused.paused.clone(), paused.stranger.clone())
    );
    let late = standing::troubled(&paused, &trouble(TroubleKind::Unauthorized, Some(401)), NOW, 0);
    assert_eq!(late.paused, paused.paused);
    assert_eq!(late.stranger, paused.stranger);
    // The old credentials are back.
    let back = standing::at_home(&late, Some(identity(1, None)));
    assert_eq!(back, Standing { identity: Some(identity(1, None)), ..Standing::default() });
}

#[test]
fn an_operator_who_resumes_confirms_the_account_that_was_shown() {
    let before = Standing { identity: Some(identity(1, None)), ..Standing::default() };
    let paused = standing::elsewhere(&before, &identity(1, None), identity(2, None), NOW);
    let resumed = paused.resumed();
    let expected =
        Standing { identity: Some(identity(2, None)), moved: true, ..Standing::default() };
    assert_eq!(resumed, expected);
    // Behind an operator's own pause nobody saw it: it is asked again, and shown.
    let hidden = paused.held(NOW);
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
        standing::recovered(&held, Heard::Accepted, None),
        standing::troubled(&held, &trouble(TroubleKind::Forbidden, Some(403)), NOW, 0),
        standing::refusing(&held, "no", NOW),
        standing::silent(&held, "no results", NOW, 0),
        standing::elsewhere(&held, &identity(1, None), seen(), NOW),
        standing::at_home(&held, Some(identity(1, None))),
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
        let after = standing::at_home(&before, None);
        assert_eq!(after.retry_at.is_none(), at_once, "{reason:?}");
        assert_eq!(after.paused, before.paused, "it is over when a batch goes through");
        assert_eq!(after.identity, before.identity);
    }
}

#[test]
fn a_silent_account_is_asked_ever_less() {
    let wait = |before: &Standing| {
        let after = standing::silent(before, "0 results for 1 inputs", NOW, u32::MAX);
        assert_eq!((&after.paused, after.last_error.is_some()), (&before.paused, true));
        (after.retry_at.expect("it waits").since(NOW), after)
    };
    let (first, after) = wait(&Standing::default());
    assert_eq!((after.failures, after.failing_since), (1, Some(NOW)));
    let (second, _) = wait(&after);
    assert_eq!((first.as_millis(), second.as_millis()), (500, 1_000));
}

#[test]
fn a_standing_of_an_older_version_can_be_read() {
    let old = r#"{"paused":null,"retry_at":null,"failures":2,"failing_since":null,
                  "last_error":"x","daily_remaining":null}"#;
    let read: Standing = serde_json::from_str(old).expect("it is read");
    assert_eq!((read.failures, read.identity, read.stranger, read.moved), (2, None, None, false));
}

#[test]
fn credentials_are_asked_about_once_until_they_change() {
    let print = |text: &str| crate::hubspot::Fingerprint::for_tests(text);
    let (old, new) = (print("old"), print("new"));
    let known = Standing::default();
    let foreign = Standing { stranger: Some(identity(2, None)), ..Standing::default() };
    let another = || Finding::Another { remembered: identity(1, None), seen: identity(2, None) };
    let mut asked = Asked::default();
    let fresh = Whose::Unknown { fresh: true };
    assert_eq!(asked.whose(old, &known), fresh);
    asked.begins(old);
    assert_eq!(asked.whose(old, &known), Whose::Awaited);
    assert_eq!(asked.whose(new, &known), Whose::Awaited);
    asked.ends(None);
    assert_eq!(asked.whose(old, &known), Whose::Unknown { fresh: false });
    asked.begins(old);
    asked.ends(Some(&Finding::Ours(None)));
    assert_eq!(asked.whose(old, &known), Whose::Ours);
    assert_eq!(asked.whose(new, &known), fresh);
    asked.begins(new);
    asked.ends(Some(&another()));
    assert_eq!(asked.whose(new, &foreign), Whose::Another);
    assert_eq!(asked.whose(old, &foreign), fresh, "the old ones are back");
    assert_eq!(asked.whose(new, &known), fresh, "an operator said go on");
}

#[test]
fn an_account_that_took_something_is_well_and_what_the_day_has_left_is_kept() {
    let well = |before: &Standing, left| Standing { daily_remaining: left, ..before.well() };
    for reason in [PauseReason::Refused, PauseReason::Forbidden, PauseReason::Misconfigured] {
        let before = paused(reason);
        assert_eq!(standing::recovered(&before, Heard::Accepted, Some(5)), well(&before, Some(5)));
        assert_eq!(standing::recovered(&before, Heard::Accepted, None), well(&before, Some(7)));
    }
    // To refuse as it should is enough, unless it refuses everything.
    let before = paused(PauseReason::Forbidden);
    assert_eq!(standing::recovered(&before, Heard::Refused, Some(5)), well(&before, Some(5)));
    let before = paused(PauseReason::Refused);
    let after = standing::recovered(&before, Heard::Refused, Some(5));
    assert_eq!(after, Standing { daily_remaining: Some(5), ..before.clone() });
    assert_eq!(standing::recovered(&before, Heard::Refused, None), before);
}

#[test]
fn every_trouble_has_its_wait_and_its_reason() {
    use PauseReason::{DailyLimit, Forbidden, Migrating, Misconfigured, Unauthorized};
    let limited = |policy| TroubleKind::RateLimited { policy };
    // Seconds, and whether HubSpot's own word goes before them.
    let table = [
        (TroubleKind::Unauthorized, 60, false, Some(Unauthorized)),
        (TroubleKind::Forbidden, 60, false, Some(Forbidden)),
        (TroubleKind::NotFound, 60, false, Some(Misconfigured)),
        (TroubleKind::Redirected, 60, false, Some(Misconfigured)),
        (TroubleKind::Migrating, 300, true, Some(Migrating)),
        (limited(RatePolicy::Daily), 600, true, Some(DailyLimit)),
        (limited(RatePolicy::Secondly), 1, true, None),
        (limited(RatePolicy::TenSecondly), 10, true, None),
        (limited(RatePolicy::Unknown), 10, true, None),
        (TroubleKind::Locked, 2, true, None),
    ];
    for (kind, wait, heeded, expected) in table {
        let before = Standing::default();
        let after = standing::troubled(&before, &trouble(kind, None), NOW, 0);
        let retry_at = Some(NOW.plus(Duration::from_secs(wait)));
        assert_eq!((reason(&after), after.retry_at), (expected, retry_at), "{kind:?}");
        let told = AccountTrouble {
            retry_after: Some(Duration::from_secs(77)),
            correlation_id: Some("c-1".into()),
            ..trouble(kind, None)
        };
        let after = standing::troubled(&before, &told, NOW, 0);
        let wait = Duration::from_secs(if heeded { 77 } else { wait });
        assert_eq!(after.retry_at, Some(NOW.plus(wait)), "{kind:?}");
        let error = after.last_error.expect("it is shown");
        assert_eq!(error, "as HubSpot says (correlationId c-1)");
    }
}

#[test]
fn what_may_be_over_soon_is_asked_ever_less_unless_hubspot_says_when() {
    let later = NOW.plus(Duration::from_mins(20));
    for kind in [TroubleKind::Overloaded, TroubleKind::Transport { ambiguous: true }] {
        let wait = |before: &Standing, now| {
            let after = standing::troubled(before, &trouble(kind, None), now, u32::MAX);
            (after.retry_at.expect("it waits").since(now).as_millis(), after)
        };
        let (first, after) = wait(&Standing::default(), NOW);
        let (second, after) = wait(&after, NOW);
        assert_eq!((first, second), (500, 1_000));
        let failing = Standing { failures: 20, ..after };
        assert_eq!((wait(&failing, NOW).0, wait(&failing, later).0), (5_000, 60_000));
        let told = Some(Duration::from_secs(3));
        let told = AccountTrouble { retry_after: told, ..trouble(kind, None) };
        let after = standing::troubled(&failing, &told, NOW, u32::MAX);
        assert_eq!(after.retry_at, Some(NOW.plus(Duration::from_secs(3))));
    }
}

#[test]
fn failures_are_counted_from_the_first_and_a_pause_lasts_from_its_first_reason_on() {
    let later = NOW.plus(Duration::from_secs(90));
    let forbidden = trouble(TroubleKind::Forbidden, Some(403));
    let first = standing::troubled(&Standing::default(), &forbidden, NOW, 0);
    let again = standing::troubled(&first, &forbidden, later, 0);
    let expected = Standing {
        paused: Some(Pause {
            reason: PauseReason::Forbidden,
            since: NOW,
            detail: "as HubSpot says".into(),
        }),
        retry_at: Some(later.plus(Duration::from_mins(1))),
        failures: 2,
        failing_since: Some(NOW),
        last_error: Some("as HubSpot says".into()),
        ..Standing::default()
    };
    assert_eq!(again, expected);
    // Another reason is another pause; it fails since the first all the same.
    let since = |standing: &Standing| standing.paused.as_ref().map(|pause| pause.since);
    let refusing = standing::refusing(&again, "no", later);
    assert_eq!((reason(&refusing), since(&refusing)), (Some(PauseReason::Refused), Some(later)));
    assert_eq!((refusing.failures, refusing.failing_since), (3, Some(NOW)));
    assert_eq!(refusing.retry_at, Some(later.plus(Duration::from_mins(1))));
    assert_eq!(refusing.last_error.as_deref(), Some("no"));
    // Silence counts alike.
    let silent = standing::silent(&refusing, "no results", later, 0);
    assert_eq!((silent.failures, silent.failing_since), (4, Some(NOW)));
    assert_eq!(silent.last_error.as_deref(), Some("no results"));
}

#[test]
fn a_trouble_that_is_no_pause_ends_none() {
    let unknown = RatePolicy::Unknown;
    for kind in [
        TroubleKind::Overloaded,
        TroubleKind::Locked,
        TroubleKind::RateLimited { policy: unknown },
        TroubleKind::Transport { ambiguous: true },
    ] {
        for waits_for in PauseReason::ALL {
            let before = paused(waits_for);
            let after = standing::troubled(&before, &trouble(kind, Some(503)), NOW, 0);
            assert_eq!(after.paused, before.paused, "{kind:?} while {waits_for:?}");
        }
        let well = Standing::default();
        let after = standing::troubled(&well, &trouble(kind, Some(503)), NOW, 0);
        assert_eq!(after.paused, None, "{kind:?}");
    }
}

#[test]
fn whose_account_it_is_is_remembered_once_hubspot_tells() {
    let ours = identity(1, None);
    let found_out = Standing { stranger: Some(identity(2, None)), ..Standing::default() };
    for before in [Standing::default(), found_out] {
        let after = standing::at_home(&before, Some(ours.clone()));
        assert_eq!(after, Standing { identity: Some(ours.clone()), ..Standing::default() });
    }
}

#[test]
fn another_account_is_so_since_it_was_first_seen() {
    let later = NOW.plus(Duration::from_secs(90));
    let (ours, theirs) = (identity(1, None), identity(2, None));
    let elsewhere =
        |before: &Standing, now| standing::elsewhere(before, &ours, theirs.clone(), now);
    let first = elsewhere(&paused(PauseReason::Forbidden), NOW);
    assert_eq!(first.stranger, Some(theirs.clone()));
    assert_eq!(first.last_error, first.paused.as_ref().map(|pause| pause.detail.clone()));
    assert_eq!(elsewhere(&first, later), first);
    let since = |standing: Standing| standing.paused.map(|pause| pause.since);
    assert_eq!(since(elsewhere(&paused(PauseReason::Forbidden), later)), Some(later));
    // An operator's pause from before goes on, as it was.
    let held = Standing::default().held(NOW);
    assert_eq!(elsewhere(&held, later).paused, held.paused);
    assert_eq!(held.held(later), held, "held twice it is held since the first time");
    let back = standing::at_home(&elsewhere(&held, later), None);
    assert_eq!((back.paused, back.stranger, back.last_error), (held.paused, None, None));
}

//! Properties of the assessment, and of a batch that is driven by it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::event::{
    AccountName, EventKey, ExternalAccountId, ExternalEventId, Identity, Millis, Pause,
    PauseReason, RetryWait,
};
use crate::hubspot::{AccountErrorKind, CallTiming, Unconfirmed};
use crate::ledger::InputHash;
use bisect::{Bisection, Way};

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
        is_witness: false,
    }
}

pub(super) fn refusal(message: &str) -> HubspotRefusal {
    HubspotRefusal {
        status: 400,
        category: "VALIDATION_ERROR".into(),
        message: message.into(),
        correlation_id: None,
    }
}

fn evidence() -> Evidence {
    Evidence::new(100, 16)
}

fn answer(outcome: Verdict) -> ApiReport<Verdict> {
    let now = Instant::now();
    let timing = CallTiming { began: now, ended: now, elapsed: Duration::from_millis(300) };
    ApiReport { outcome, daily_remaining: Some(7), timing: Some(timing) }
}

pub(in crate::deliver) fn error(kind: AccountErrorKind, status: Option<u16>) -> AccountError {
    AccountError {
        kind,
        status,
        retry_after: None,
        detail: "HubSpot detail".into(),
        correlation_id: None,
    }
}

pub(in crate::deliver) fn identity(portal_id: u64, client_id: Option<&str>) -> Identity {
    Identity { portal_id, client_id: client_id.map(str::to_owned) }
}

fn part(ids: impl IntoIterator<Item = i64>) -> BatchPart {
    BatchPart::new(ids.into_iter().map(claimed).collect())
}

fn unconfirmed(kind: Unconfirmed) -> ItemVerdict {
    ItemVerdict::Unconfirmed { reason: kind, detail: "0 results".into() }
}

fn in_progress() -> ItemVerdict {
    ItemVerdict::InProgress { detail: "PENDING".into() }
}

fn confirmed() -> ItemVerdict {
    ItemVerdict::Confirmed { object_id: None }
}

/// Assesses the items of a part without earlier evidence.
fn assess_fresh(items: Vec<ItemVerdict>, part: BatchPart) -> Assessment {
    let answer = answer(Verdict::Items(items));
    assess(&mut evidence(), answer, part, &AccountStatus::default(), 0)
}

fn settled(assessment: &Assessment) -> Vec<(i64, &DeliveryOutcome)> {
    assessment.outcomes.iter().map(|settled| (settled.event.id, &settled.outcome)).collect()
}

fn stops(assessment: &Assessment) -> bool {
    matches!(assessment.next, NextPart::Stop { .. })
}

/// An answer of any kind to a part of so many events.
fn any_verdict(events: usize) -> impl Strategy<Value = Verdict> {
    let item = prop_oneof![
        Just(confirmed()),
        Just(ItemVerdict::Refused(refusal("no"))),
        Just(unconfirmed(Unconfirmed::NoResult)),
        Just(unconfirmed(Unconfirmed::Conflict)),
        Just(unconfirmed(Unconfirmed::Unfinished)),
        Just(in_progress()),
    ];
    let error = prop_oneof![
        Just(error(AccountErrorKind::Unauthorized, Some(401))),
        Just(error(AccountErrorKind::Overloaded, Some(503))),
        Just(error(AccountErrorKind::Overloaded, Some(500))),
        Just(error(AccountErrorKind::Transport { ambiguous: true }, None)),
        Just(error(AccountErrorKind::Transport { ambiguous: false }, None)),
    ];
    let alike = item.clone().prop_map(move |item| vec![item; events]);
    prop_oneof![
        3 => prop::collection::vec(item, events).prop_map(Verdict::Items),
        2 => alike.prop_map(Verdict::Items),
        2 => any::<bool>().prop_map(|bad| {
            Verdict::Split(if bad { SplitReason::BadEvent } else { SplitReason::WholeBatch })
        }),
        1 => error.prop_map(Verdict::Account),
    ]
}

fn any_part_and_verdict() -> impl Strategy<Value = (BatchPartFlags, Verdict)> {
    (1..=100_i64, any::<bool>(), any::<bool>()).prop_flat_map(|(events, unknown, confirmed)| {
        let flags = BatchPartFlags { events, unknown, confirmed };
        any_verdict(usize::try_from(events).expect("a few")).prop_map(move |v| (flags, v))
    })
}

#[derive(Debug, Clone, Copy)]
struct BatchPartFlags {
    events: i64,
    unknown: bool,
    confirmed: bool,
}

impl BatchPartFlags {
    fn part(self) -> BatchPart {
        let mut part = part(0..self.events);
        part.outcome_unknown = self.unknown;
        part.batch_confirmed = self.confirmed;
        part
    }
}

/// Evidence after some answers, and a status that may refuse everything.
fn any_history() -> impl Strategy<Value = (Evidence, AccountStatus)> {
    let answers = prop::collection::vec((0..40_i64, any_verdict(1)), 0..40);
    (answers, any::<bool>()).prop_map(|(answers, refuses)| {
        let mut evidence = evidence();
        let mut status = AccountStatus::default();
        for (id, verdict) in answers {
            drop(assess(&mut evidence, answer(verdict), part([id]), &status, 0));
        }
        let pause = Pause { reason: PauseReason::Refused, since: NOW, detail: "no".into() };
        status.paused = refuses.then_some(pause);
        (evidence, status)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_event_is_settled_halved_or_released_exactly_once(
        (flags, verdict) in any_part_and_verdict(), (mut evidence, status) in any_history(),
    ) {
        let assessment = assess(&mut evidence, answer(verdict), flags.part(), &status, 0);
        let mut ids: Vec<i64> = assessment.outcomes.iter().map(|settled| settled.event.id).collect();
        match &assessment.next {
            NextPart::Rest | NextPart::Stop { released: None } => {}
            NextPart::Halves(part)
            | NextPart::Again(part)
            | NextPart::Singly(part)
            | NextPart::Stop { released: Some(part) } => ids.extend(part.ids()),
        }
        ids.sort_unstable();
        prop_assert_eq!(ids, (0..flags.events).collect::<Vec<_>>());
    }

    #[test]
    fn same_evidence_gives_the_same_assessment(
        (flags, verdict) in any_part_and_verdict(), (evidence, status) in any_history(), random: u32,
    ) {
        let (mut one, mut other) = (evidence.clone(), evidence);
        let answer = answer(verdict);
        let first = assess(&mut one, answer.clone(), flags.part(), &status, random);
        let second = assess(&mut other, answer, flags.part(), &status, random);
        prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
        prop_assert_eq!(one, other);
    }

    /// Whatever HubSpot answers, a batch ends. An event is sent once, once for each halving, once more in a batch, and
    /// alone.
    #[test]
    fn event_is_sent_at_most_three_times_more_than_its_batch_can_be_halved(
        count in 1..=100_i64,
        verdicts in prop::collection::vec(any_verdict(100), 400),
    ) {
        let mut evidence = evidence();
        let mut parts = Bisection::new((0..count).map(claimed).collect());
        let mut sent: BTreeMap<i64, u32> = BTreeMap::new();
        let mut ended: Vec<i64> = Vec::new();
        for mut verdict in verdicts {
            if parts.next_part().is_none() {
                break;
            }
            let part = parts.take_part();
            part.ids().into_iter().for_each(|id| *sent.entry(id).or_default() += 1);
            match &mut verdict {
                Verdict::Items(items) => items.truncate(part.events.len()),
                // HubSpot's verdict splits no single event.
                Verdict::Split(_) if part.events.len() == 1 => {
                    verdict = Verdict::Items(vec![confirmed()]);
                }
                Verdict::Split(_) | Verdict::Account(_) => {}
            }
            let status = AccountStatus::default();
            let assessment = assess(&mut evidence, answer(verdict), part, &status, 0);
            ended.extend(assessment.outcomes.iter().map(|settled| settled.event.id));
            if parts.advance(assessment.confirmed, assessment.next).is_break() {
                break;
            }
        }
        ended.extend(release(parts.take_rest()).iter().map(|settled| settled.event.id));
        ended.sort_unstable();
        prop_assert_eq!(ended, (0..count).collect::<Vec<_>>());
        let most = sent.values().max().copied().unwrap_or(0);
        prop_assert!(most <= 3 + halvings(count), "{most} times");
    }

    #[test]
    fn every_bad_event_is_found_and_no_other(
        count in 1..=100_i64,
        bad in prop::collection::btree_set(0..100_i64, 0..12),
        whole: bool,
    ) {
        let bad: BTreeSet<i64> = bad.into_iter().filter(|id| *id < count).collect();
        let reason = if whole { SplitReason::WholeBatch } else { SplitReason::BadEvent };
        let (calls, accepted, refused) = search(count, &bad, reason);
        prop_assert_eq!(&refused, &bad);
        prop_assert_eq!(accepted.len() + bad.len(), usize::try_from(count).unwrap());
        prop_assert!(calls <= 1 + 14 * bad.len());
    }
}

/// How often a batch of so many is halved until one is left.
fn halvings(count: i64) -> u32 {
    count.ilog2() + u32::from(count.count_ones() > 1)
}

/// Delivers a batch of so many to a HubSpot that refuses every call with one of these. Returns the number of calls, the
/// accepted events and the refused ones.
fn search(
    count: i64,
    bad: &BTreeSet<i64>,
    reason: SplitReason,
) -> (usize, BTreeSet<i64>, BTreeSet<i64>) {
    let mut evidence = evidence();
    let mut parts = Bisection::new((0..count).map(claimed).collect());
    let (mut calls, mut accepted, mut refused) = (0, BTreeSet::new(), BTreeSet::new());
    while parts.next_part().is_some() {
        calls += 1;
        let part = parts.take_part();
        let ids = part.ids();
        let verdict = if !ids.iter().any(|id| bad.contains(id)) {
            Verdict::Items(vec![confirmed(); ids.len()])
        } else if ids.len() == 1 {
            Verdict::Items(vec![ItemVerdict::Refused(refusal("bad"))])
        } else {
            Verdict::Split(reason)
        };
        let status = AccountStatus::default();
        let assessment = assess(&mut evidence, answer(verdict), part, &status, 0);
        for EventOutcome { event, outcome } in assessment.outcomes {
            let is_refused = matches!(outcome, DeliveryOutcome::Refused(_));
            assert!(is_refused || outcome == DeliveryOutcome::Confirmed { object_id: None });
            assert!(if is_refused { &mut refused } else { &mut accepted }.insert(event.id));
        }
        assert!(parts.advance(assessment.confirmed, assessment.next).is_continue());
    }
    (calls, accepted, refused)
}

#[test]
fn one_bad_event_costs_at_most_two_calls_for_each_halving() {
    for count in [1_i64, 2, 3, 7, 64, 100] {
        // 2 x log2(100) is 13.3, and a hundred are halved seven times.
        let halvings = usize::try_from(halvings(count)).unwrap();
        for bad in 0..count {
            let (calls, accepted, refused) = search(count, &[bad].into(), SplitReason::BadEvent);
            assert_eq!(
                (accepted.len(), refused),
                (usize::try_from(count - 1).unwrap(), [bad].into())
            );
            assert!(calls <= 1 + 2 * halvings, "{calls} calls for {bad} of {count}");
        }
        // Where the first half is confirmed, the second is not sent whole.
        let (calls, ..) = search(count, &[count - 1].into(), SplitReason::BadEvent);
        assert!(calls <= 2 + halvings, "{calls} calls for the last of {count}");
    }
}

#[test]
fn unknown_outcome_stays_unknown_in_every_part() {
    let mut parts = Bisection::new((0..4).map(claimed).collect());
    let whole = parts.take_part();
    assert!(!whole.outcome_unknown);
    let open = vec![unconfirmed(Unconfirmed::Unfinished); 4];
    let assessment = assess_fresh(open, whole);
    assert!(parts.advance(assessment.confirmed, assessment.next).is_continue());
    let half = parts.take_part();
    assert!(half.outcome_unknown);
    let split = answer(Verdict::Split(SplitReason::BadEvent));
    let assessment = assess(&mut evidence(), split, half, &AccountStatus::default(), 0);
    assert!(parts.advance(assessment.confirmed, assessment.next).is_continue());
    let rest = parts.take_rest();
    assert_eq!(rest.len(), 3);
    assert!(rest.iter().all(|part| part.outcome_unknown));
    assert!(parts.next_part().is_none(), "nothing is left twice");
    let outcomes = release(rest);
    assert_eq!(outcomes.len(), 4);
    let is_uncounted = |outcome: &DeliveryOutcome| matches!(outcome, DeliveryOutcome::RetryUncounted { wait, .. } if wait.is_zero());
    assert!(outcomes.iter().all(|settled| is_uncounted(&settled.outcome)));
}

#[test]
fn rest_that_was_not_sent_is_released_as_not_applied() {
    let outcomes = release(vec![part(0..3)]);
    assert_eq!(outcomes.len(), 3);
    let is_not_applied = |settled: &EventOutcome| settled.outcome == DeliveryOutcome::NotApplied;
    assert!(outcomes.iter().all(is_not_applied));
}

#[test]
fn confirmed_part_recovers_the_account() {
    let assessment = assess_fresh(vec![confirmed(); 2], part(0..2));
    let recovered = StatusChange::Recovered { accepted: true, daily_remaining: Some(7) };
    assert_eq!(assessment.status, Some(recovered));
    assert_eq!((assessment.confirmed, stops(&assessment)), (Confirmed::All, false));
    assert_eq!(assessment.outcomes.len(), 2);
}

#[test]
fn unfinished_events_of_a_part_are_halved_and_leave_the_account_alone() {
    let items = vec![unconfirmed(Unconfirmed::Unfinished); 3];
    let assessment = assess_fresh(items, part(0..3));
    assert_eq!((assessment.status.is_none(), assessment.confirmed), (true, Confirmed::None));
    assert!(matches!(&assessment.next, NextPart::Halves(part) if part.outcome_unknown));
    let items = vec![confirmed(), unconfirmed(Unconfirmed::Unfinished), confirmed()];
    let assessment = assess_fresh(items, part(0..3));
    assert_eq!((assessment.status.is_some(), assessment.confirmed), (true, Confirmed::Some));
    assert!(matches!(&assessment.next, NextPart::Halves(part) if part.ids() == [1]));
}

/// A21: the same part once more, then its events one by one; a single silent answer changes nothing else.
#[test]
fn part_without_results_is_sent_once_more_and_then_event_by_event() {
    for reason in [Unconfirmed::NoResult, Unconfirmed::Conflict] {
        let mut evidence = evidence();
        let status = AccountStatus::default();
        let silent = || answer(Verdict::Items(vec![unconfirmed(reason); 3]));
        let first = assess(&mut evidence, silent(), part(0..3), &status, 0);
        assert_eq!((first.status, first.ignores_batches), (None, None));
        let NextPart::Again(again) = first.next else { panic!("{:?}", first.next) };
        assert!(again.outcome_unknown && again.ids() == [0, 1, 2]);
        let second = assess(&mut evidence, silent(), again.by(Way::Again), &status, 0);
        assert_eq!((second.status, second.ignores_batches), (None, None));
        let NextPart::Singly(singles) = second.next else { panic!("{:?}", second.next) };
        assert!(singles.outcome_unknown && singles.ids() == [0, 1, 2]);
        // An event that arrives alone proves something only of an account that did nothing.
        let arrives = answer(Verdict::Items(vec![confirmed()]));
        let mut single = part([0]).by(Way::Single);
        single.was_silent = singles.was_silent;
        let third = assess(&mut evidence, arrives, single, &status, 0);
        let is_silent = reason == Unconfirmed::NoResult;
        assert_eq!(third.ignores_batches, is_silent.then_some(true), "{reason:?}");
    }
}

#[test]
fn missing_result_beside_others_says_nothing_of_the_account() {
    let mut evidence = evidence();
    let status = AccountStatus::default();
    for confirmed_before in [false, true] {
        let items = vec![confirmed(), unconfirmed(Unconfirmed::NoResult)];
        let mut sent = part(0..2);
        sent.batch_confirmed = confirmed_before;
        let answer = answer(Verdict::Items(items));
        let assessment = assess(&mut evidence, answer, sent, &status, 0);
        let NextPart::Again(rest) = assessment.next else { panic!("{:?}", assessment.next) };
        assert!(rest.ids() == [1] && !rest.was_silent);
    }
    let mut rest = part([1]).by(Way::Again);
    rest.batch_confirmed = true;
    let silent = answer(Verdict::Items(vec![unconfirmed(Unconfirmed::NoResult)]));
    let assessment = assess(&mut evidence, silent, rest, &status, 0);
    assert!(matches!(&assessment.next, NextPart::Singly(part) if !part.was_silent));
    assert!(!evidence.silent_batches.is_suspicious());
}

#[test]
fn account_known_to_ignore_batches_is_not_asked_again_and_recovers_with_the_first_result() {
    let status = AccountStatus::default().apply(&StatusChange::BatchesIgnored, NOW);
    let tried =
        |items| assess(&mut evidence(), answer(Verdict::Items(items)), part(0..2), &status, 0);
    let silent = tried(vec![unconfirmed(Unconfirmed::NoResult); 2]);
    assert!(matches!(silent.next, NextPart::Singly(_)), "{:?}", silent.next);
    assert_eq!(silent.ignores_batches, None);
    let works = tried(vec![confirmed(), unconfirmed(Unconfirmed::NoResult)]);
    assert_eq!(works.ignores_batches, Some(false));
    assert_eq!(status.apply(&StatusChange::BatchesWork, NOW), AccountStatus::default());
}

#[test]
fn batch_in_progress_is_not_halved_and_ends_unless_others_were_confirmed() {
    let assessment = assess_fresh(vec![in_progress(); 3], part(0..3));
    let Some(StatusChange::Failed { failure, daily_remaining: None }) = &assessment.status else {
        panic!("{:?}", assessment.status)
    };
    assert_eq!(
        (failure.error.as_str(), failure.wait),
        ("PENDING", RetryWait::Backoff { random: 0 })
    );
    assert!(stops(&assessment));
    assert_eq!(assessment.suspects, [0, 1, 2]);
    assert_eq!(assessment.outcomes.len(), 3);
    let mut after_others = part(0..3);
    after_others.batch_confirmed = true;
    let assessment = assess_fresh(vec![in_progress(); 3], after_others);
    assert!(!stops(&assessment) && assessment.suspects.is_empty());
    assert_eq!((assessment.status, assessment.outcomes.len()), (None, 3));
}

#[test]
fn single_event_without_result_is_the_accounts_unless_others_are_confirmed() {
    let single = vec![unconfirmed(Unconfirmed::NoResult)];
    let assessment = assess_fresh(single, part([1]).by(Way::Single));
    assert!(stops(&assessment) && assessment.suspects.is_empty());
    assert!(matches!(assessment.status, Some(StatusChange::Failed { .. })));
    let outcome = settled(&assessment)[0].1;
    assert!(matches!(outcome, DeliveryOutcome::RetryUncounted { .. }), "{outcome:?}");
    // Others of the batch were confirmed: it is counted, and in the end it is refused.
    for (attempts, kind, expected) in [
        (0, Unconfirmed::NoResult, "RetryCounted"),
        (3, Unconfirmed::NoResult, "RetryCounted"),
        (4, Unconfirmed::NoResult, "Refused"),
        (9, Unconfirmed::Unfinished, "RetryUncounted"),
    ] {
        let mut part = part([1]).by(Way::Single);
        part.batch_confirmed = true;
        part.events[0].attempts = attempts;
        let assessment = assess_fresh(vec![unconfirmed(kind)], part);
        assert!(!stops(&assessment) && assessment.status.is_none());
        let outcome = format!("{:?}", settled(&assessment)[0].1);
        assert!(outcome.starts_with(expected), "{attempts}: {outcome}");
    }
}

#[test]
fn failed_call_settles_only_what_may_have_been_applied() {
    let assess_error = |kind, status| {
        let answer = answer(Verdict::Account(error(kind, status)));
        assess(&mut evidence(), answer, part(0..3), &AccountStatus::default(), 0)
    };
    let after = assess_error(AccountErrorKind::Overloaded, Some(500));
    assert!(matches!(after.next, NextPart::Stop { released: None }));
    assert!(settled(&after).iter().all(|(_, o)| matches!(o, DeliveryOutcome::Ambiguous)));
    assert_eq!((after.outcomes.len(), after.suspects.len()), (3, 3));
    let after = assess_error(AccountErrorKind::Unauthorized, Some(401));
    assert!(
        matches!(&after.next, NextPart::Stop { released: Some(part) } if part.ids().len() == 3)
    );
    assert!(after.outcomes.is_empty() && after.suspects.is_empty());
    assert!(matches!(after.status, Some(StatusChange::Failed { daily_remaining: Some(7), .. })));
}

#[test]
fn twentieth_equal_refusal_in_a_row_is_the_accounts_and_revokes_the_others() {
    let mut evidence = evidence();
    let mut refuse = |id| {
        let answer = answer(Verdict::Items(vec![ItemVerdict::Refused(refusal("no"))]));
        assert!(answer.outcome.is_single_refusal());
        assess(&mut evidence, answer, part([id]), &AccountStatus::default(), 0)
    };
    for id in 0..19 {
        let assessment = refuse(id);
        assert!(assessment.revoked.is_empty() && !stops(&assessment));
        assert!(matches!(settled(&assessment)[..], [(_, DeliveryOutcome::Refused(_))]));
    }
    let last = refuse(19);
    assert_eq!(last.revoked, (0..19).map(|id| claimed(id).event_version()).collect::<Vec<_>>());
    assert!(stops(&last));
    assert!(matches!(settled(&last)[..], [(19, DeliveryOutcome::RetryUncounted { .. })]));
    let Some(StatusChange::Failed { failure, .. }) = last.status else { panic!("it is paused") };
    assert_eq!(failure.pause, Some((PauseReason::Refused, "no".into())));
}

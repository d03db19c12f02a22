//! Bounds of the state, and its origins. `merge_laws` tests the laws of merging.

use super::*;
use crate::event::{ChangeKind, EndTime, OccurrenceChange, WebinarFields, WebinarId};

fn provenance(number: u16, at: i64) -> Provenance {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    Provenance {
        receipt: ReceiptId::from_bytes(id),
        order: ReceiptOrder { seq: number.into(), at: Millis::new(1_000_000) },
        place: 0,
        origin: Origin {
            source: SourceName::parse("zoom").expect("valid"),
            provider: ProviderId::new("zoom"),
            event_type: "test".into(),
            reported_at: Some(Millis::new(at)),
            received_at: Millis::new(1_000_000),
        },
    }
}

/// M7: a clock that was ahead dated what arrived, and what has no time of its own since then is ordered after that.
#[test]
fn whole_webinar_is_described_when_its_body_arrived() {
    let mut webinar = Webinar::default();
    let whole = Change { full_picture: true, ..change() };
    let mut arrives = |number: u16, received: i64, reported: Option<i64>| {
        let order = webinar.next_order(number.into(), Millis::new(received));
        let mut provenance = Provenance { order, ..provenance(number, 0) };
        provenance.origin.received_at = Millis::new(received);
        provenance.origin.reported_at = reported.map(Millis::new);
        webinar.merge(&whole, &provenance).expect("merged");
        webinar.described_at
    };
    assert_eq!(arrives(1, 900, None), Some(Millis::new(900)));
    assert_eq!(arrives(2, 500, None), Some(Millis::new(500)), "the clock was ahead");
    assert_eq!(arrives(3, 600, Some(400)), Some(Millis::new(400)), "it is repeated");
    assert_eq!(arrives(4, 300, Some(350)), Some(Millis::new(350)), "by the platform's clock");
}

fn change() -> Change {
    Change::new(WebinarId::parse("1").expect("valid"), ChangeKind::Updated)
}

fn occurrence(number: usize) -> OccurrenceChange {
    let id = OccurrenceId::parse(number.to_string()).expect("valid");
    let fields = WebinarFields { name: Some("Name".into()), ..WebinarFields::default() };
    OccurrenceChange { id, fields }
}

fn listing(numbers: std::ops::Range<usize>) -> Change {
    Change { occurrences: numbers.map(occurrence).collect(), ..change() }
}

#[test]
fn merge_with_too_many_occurrences_is_refused_whole() {
    let mut webinar = Webinar::default();
    let beyond = webinar.merge(&listing(0..OCCURRENCES_MAX + 1), &provenance(1, 1));
    assert_eq!(beyond, Err(MergeError::TooManyOccurrences));
    assert_eq!(webinar, Webinar::default(), "a refused change leaves nothing");

    webinar.merge(&listing(0..OCCURRENCES_MAX - 1), &provenance(2, 2)).expect("few enough");
    webinar.merge(&listing(1..OCCURRENCES_MAX), &provenance(3, 3)).expect("all but one are known");
    assert_eq!(webinar.occurrences.len(), OCCURRENCES_MAX);
    let full = webinar.clone();
    let one_more = listing(OCCURRENCES_MAX..OCCURRENCES_MAX + 1);
    assert_eq!(webinar.merge(&one_more, &provenance(4, 4)), Err(MergeError::TooManyOccurrences));
    assert_eq!(webinar, full);
}

#[test]
fn merge_from_another_platform_is_refused_and_changes_nothing() {
    let mut webinar = Webinar::default();
    webinar.merge(&listing(0..1), &provenance(1, 1)).expect("the first");
    let before = webinar.clone();
    let mut other = provenance(2, 2);
    other.origin.provider = ProviderId::new("goto");
    let refused = webinar.merge(&listing(1..2), &other);
    assert_eq!(refused, Err(MergeError::OtherProvider(ProviderId::new("zoom"))));
    assert_eq!(webinar, before);
}

#[test]
fn runs_beyond_the_bound_drop_the_oldest() {
    let run = |at: i64| RunChange {
        phase: RunPhase::Ended,
        started_at: Some(Millis::new(at)),
        ended_at: None,
    };
    let mut webinar = Webinar::default();
    let most = u16::try_from(RUNS_MAX).expect("a small number");
    for number in 0..most {
        let at = i64::from(number) + 10;
        let change = Change { session: Some(run(at)), ..change() };
        webinar.merge(&change, &provenance(number, at)).expect("one provider");
    }
    assert_eq!(webinar.sessions.len(), RUNS_MAX);
    for (number, at) in [(most, 1), (most + 1, 9_999)] {
        let change = Change { session: Some(run(at)), ..change() };
        webinar.merge(&change, &provenance(number, at)).expect("one provider");
        assert_eq!(webinar.sessions.len(), RUNS_MAX);
    }
    let first = webinar.sessions.first().map(|run| run.stamp.at);
    let last = webinar.sessions.last().map(|run| run.stamp.at);
    // The oldest by the platform's clock are dropped, in any order of arrival: the run at 1, then the run at 10.
    assert_eq!((first, last), (Some(Millis::new(11)), Some(Millis::new(9_999))));
}

#[test]
fn write_that_arrives_twice_names_the_first_receipt() {
    let run = RunChange { phase: RunPhase::Ended, started_at: None, ended_at: None };
    let mut update = change();
    update.session = Some(run);
    update.whole.name = Some("Name".into());
    update.shape = Some(Shape::Single);
    let (first, mut second) = (provenance(1, 5), provenance(2, 5));
    second.order = first.order;
    for order in [[&first, &second], [&second, &first]] {
        let mut webinar = Webinar::default();
        for provenance in order {
            webinar.merge(&update, provenance).expect("one provider");
        }
        let run = webinar.sessions.first().expect("the run is stored").receipt;
        let name = webinar.whole.name.as_ref().expect("the name is known").receipt;
        assert_eq!((run, name, webinar.sessions.len()), (first.receipt, first.receipt, 1));
        assert_eq!(webinar.origins.keys().collect::<Vec<_>>(), [&first.receipt]);
        assert!(webinar.earlier_shapes.is_empty(), "the same write is not an earlier one");
    }
}

#[test]
fn occurrence_named_twice_in_one_body_keeps_the_first_values() {
    let mut update = listing(0..1);
    update.occurrences[0].fields.cancelled = Some(true);
    let mut again = occurrence(0);
    again.fields.name = Some("Other".into());
    again.fields.cancelled = Some(false);
    update.occurrences.push(again);
    let mut webinar = Webinar::default();
    webinar.merge(&update, &provenance(1, 1)).expect("one provider");
    let own = webinar.occurrences.values().next().expect("one occurrence");
    assert_eq!(own.name.as_ref().map(|name| name.value.as_str()), Some("Name"));
    assert_eq!(own.cancelled.as_ref().map(|cancelled| cancelled.value), Some(true));
    assert!(own.earlier_cancelled.is_empty());
}

/// A change for each field of all registers, and for each fact beside them.
fn every_change() -> Vec<Change> {
    let text = || Some("text".to_owned());
    let time = || Some(Millis::new(5));
    let custom = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let fields = [
        WebinarFields { name: text(), ..WebinarFields::default() },
        WebinarFields { organizer: text(), ..WebinarFields::default() },
        WebinarFields { description: text(), ..WebinarFields::default() },
        WebinarFields { event_type: text(), ..WebinarFields::default() },
        WebinarFields { registration_url: text(), ..WebinarFields::default() },
        WebinarFields { join_url: text(), ..WebinarFields::default() },
        WebinarFields { start: time(), ..WebinarFields::default() },
        WebinarFields { end: EndTime::after_minutes(1), ..WebinarFields::default() },
        WebinarFields { actual_end: time(), ..WebinarFields::default() },
        WebinarFields { cancelled: Some(true), ..WebinarFields::default() },
        WebinarFields { completed: Some(true), ..WebinarFields::default() },
        WebinarFields { absent: Some(true), ..WebinarFields::default() },
        WebinarFields { custom, ..WebinarFields::default() },
    ];
    let mut changes: Vec<Change> =
        fields.iter().map(|fields| Change { whole: fields.clone(), ..change() }).collect();
    changes.push(listing(0..1));
    changes.push(Change { shape: Some(Shape::Series), ..change() });
    changes.push(Change { listing: OccurrenceListing::Full, ..change() });
    changes.push(Change { listing: OccurrenceListing::Observed, ..change() });
    changes.push(Change { listing: OccurrenceListing::Unknown, ..change() });
    let run = RunChange { phase: RunPhase::Started, started_at: None, ended_at: None };
    changes.push(Change { session: Some(run), ..change() });
    changes
}

#[test]
fn origins_are_exactly_those_of_present_values() {
    let mut webinar = Webinar::default();
    let changes = every_change();
    for (number, change) in (1..).zip(&changes) {
        webinar.merge(change, &provenance(number, i64::from(number))).expect("one provider");
        assert_eq!(webinar.origins.len(), usize::from(number), "{change:?}");
    }
    let name = WebinarFields { name: Some("new".into()), ..WebinarFields::default() };
    let newer = Change { whole: name, ..change() };
    webinar.merge(&newer, &provenance(99, 99)).expect("one provider");
    assert_eq!(
        webinar.origins.len(),
        changes.len(),
        "one origin is new, and the replaced one is gone"
    );
    assert!(!webinar.origins.contains_key(&provenance(1, 1).receipt));
}

/// M19: a platform's clock that is ahead does not date a creation after a restoration of the store.
#[test]
fn creation_is_no_later_than_its_receipt() {
    let received_at = Millis::new(60_000);
    for (reported, created) in [(7_200_000, 60_000), (50_000, 50_000)] {
        let mut provenance = provenance(1, reported);
        provenance.origin.received_at = received_at;
        let creation = Change { is_creation: true, ..change() };
        let mut webinar = Webinar::default();
        webinar.merge(&creation, &provenance).expect("one provider");
        assert_eq!(webinar.created_at, Some(Millis::new(created)));
    }
}

#[test]
fn was_whole_stays_once_set() {
    let shaped = |shape| Change { shape: Some(shape), ..change() };
    let mut webinar = Webinar::default();
    webinar.merge(&shaped(Shape::Series), &provenance(1, 1)).expect("one provider");
    assert!(!webinar.was_whole);
    webinar.merge(&shaped(Shape::Single), &provenance(2, 2)).expect("one provider");
    assert!(webinar.was_whole);
    webinar.merge(&shaped(Shape::Series), &provenance(3, 3)).expect("one provider");
    assert!(webinar.was_whole);
}

#[test]
fn rebuild_removes_the_writes_of_its_receipts_and_no_others() {
    let mut other = listing(5..6);
    let named = OccurrenceChange { fields: WebinarFields::default(), ..occurrence(7) };
    other.occurrences.push(named);
    other.whole.custom = BTreeMap::from([("other".to_owned(), "b".to_owned())]);
    other.session = Some(RunChange { phase: RunPhase::Ended, started_at: None, ended_at: None });
    let mut alone = Webinar::default();
    alone.merge(&other, &provenance(1, 1)).expect("the first");
    for change in every_change() {
        let mut both = alone.clone();
        both.merge(&change, &provenance(2, 2)).expect("one provider");
        assert_ne!(both, alone, "{change:?}");
        let second = BTreeSet::from([provenance(2, 2).receipt]);
        assert_eq!(both.begin_rebuild(&second, true).finish(), alone, "{change:?}");
        let mut rebuild = both.begin_rebuild(&second, true);
        rebuild.merge(&change, &provenance(2, 2)).expect("one provider");
        assert_eq!(rebuild.finish(), both, "{change:?}");
    }
}

#[test]
fn rebuild_bounds_unused_origins_for_any_number_of_changes() {
    let mut rebuild = Webinar::default().begin_rebuild(&BTreeSet::new(), false);
    let mut most = 0;
    for number in 1..3 * 1_024 {
        // Each change is newer than all before it, so the webinar uses its origin alone.
        let change = Change { whole: occurrence(0).fields, ..change() };
        rebuild.merge(&change, &provenance(number, number.into())).expect("one provider");
        most = most.max(rebuild.webinar.origins.len());
    }
    assert_eq!(most, 1 + UNUSED_ORIGINS_MAX, "the used one, and unused ones");
    assert_eq!(rebuild.finish().origins.len(), 1);
}

/// M9: a series of 50 that is asked about every day for a year, and answers the same, keeps a state that does not grow.
#[test]
fn state_of_a_series_that_is_asked_about_daily_stays_small() {
    const DAY: i64 = 24 * 3_600_000;
    let answer = || {
        let occurrence = |number: usize| {
            let own = occurrence(number);
            let day = i64::try_from(number).expect("small");
            let fields = WebinarFields {
                start: Some(Millis::new((400 + day) * DAY)),
                end: Some(EndTime::After(1_800_000)),
                cancelled: Some(false),
                ..WebinarFields::default()
            };
            OccurrenceChange { fields, ..own }
        };
        let whole = WebinarFields { name: Some("Name".into()), ..WebinarFields::default() };
        Change {
            shape: Some(Shape::Series),
            listing: OccurrenceListing::Observed,
            is_answer: true,
            occurrences: (0..50).map(occurrence).collect(),
            whole,
            ..change()
        }
    };
    let mut webinar = Webinar::default();
    let mut sizes = Vec::new();
    for day in 0..365_u16 {
        let at = i64::from(day) * DAY;
        let mut provenance = provenance(day, at);
        provenance.order.seq = day.into();
        provenance.origin.received_at = Millis::new(at + 60_000);
        webinar.merge(&answer(), &provenance).expect("one provider");
        sizes.push(serde_json::to_vec(&webinar).expect("it is written").len());
    }
    let year = sizes.last().copied().unwrap_or(0);
    assert!(year < 150_000, "{year} bytes after a year, {} after 30 days", sizes[30]);
    let own = webinar.occurrences.values().next().expect("one of 50");
    let first = own.earlier_cancelled.iter().next().map(|first| first.stamp.at);
    assert_eq!(first, Some(Millis::new(0)), "the first stays");
    assert_eq!(own.cancelled.as_ref().map(|last| last.stamp.at), Some(Millis::new(364 * DAY)));
}

/// M8, M9: bodies with times of long ago that come within a week end alike in any order.
#[test]
fn old_times_that_come_within_a_week_are_kept_apart() {
    const DAY: i64 = 24 * 3_600_000;
    let report = |number: u16, day: i64, cancelled| {
        let whole = WebinarFields { cancelled: Some(cancelled), ..WebinarFields::default() };
        let mut provenance = provenance(number, day * DAY);
        provenance.origin.received_at = Millis::new(100 * DAY + i64::from(number));
        (Change { whole, ..change() }, provenance)
    };
    let all = [report(1, 10, true), report(2, 20, true), report(3, 30, true), report(4, 15, false)];
    let merged = |order: [usize; 4]| {
        let mut webinar = Webinar::default();
        for at in order {
            let (change, provenance) = &all[at];
            webinar.merge(change, provenance).expect("one provider");
        }
        let whole = &webinar.whole;
        let writes = whole.earlier_cancelled.iter().chain(&whole.cancelled);
        writes.map(|write| write.stamp.at).collect::<Vec<_>>()
    };
    assert_eq!(merged([0, 1, 2, 3]), merged([3, 2, 1, 0]));
    assert_eq!(merged([0, 1, 2, 3]).len(), 4);
}

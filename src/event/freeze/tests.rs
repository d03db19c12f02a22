use super::*;
use crate::event::webinar::{MergeError, Provenance, ReceiptOrder};
use crate::event::{
    ChangeKind, OccurrenceChange, Origin, ProviderId, ReceiptId, SourceName, WebinarId,
};

const DAY: i64 = 24 * 3_600_000;

fn id(number: usize) -> OccurrenceId {
    OccurrenceId::parse(number.to_string()).expect("valid")
}

/// A change that names these occurrences; each starts on the day of its number.
fn naming(numbers: impl IntoIterator<Item = usize>, listing: OccurrenceListing) -> Change {
    let start = |n: usize| Millis::new(i64::try_from(n).expect("small") * DAY);
    let occurrence = |n| {
        let fields = WebinarFields { start: Some(start(n)), ..WebinarFields::default() };
        OccurrenceChange { id: id(n), fields }
    };
    Change {
        occurrences: numbers.into_iter().map(occurrence).collect(),
        listing,
        ..Change::new(WebinarId::parse("1").expect("valid"), ChangeKind::Updated)
    }
}

/// Freezes and merges, as a ledger does, at that time.
fn take(webinar: &mut Webinar, change: &Change, at: i64) -> Result<Vec<OccurrenceId>, MergeError> {
    let at = Millis::new(at);
    let frozen =
        webinar.freeze_for(change, (at, false), RecurringMode::Occurrence, &BTreeSet::new());
    let provenance = Provenance {
        receipt: ReceiptId::generate(),
        order: ReceiptOrder { seq: u64::try_from(at.get()).expect("not negative"), at },
        place: 0,
        origin: Origin {
            source: SourceName::parse("zoom").expect("valid"),
            provider: ProviderId::new("zoom"),
            event_type: "test".into(),
            reported_at: Some(at),
            received_at: at,
        },
    };
    webinar.merge(change, &provenance).map(|()| frozen)
}

/// M26, A6: fifty new ids with each edit.
#[test]
fn occurrences_cancelled_longest_ago_make_room() {
    let mut webinar = Webinar::default();
    let mut frozen = Vec::new();
    for edit in 0..15 {
        let list = naming((edit * 50..edit * 50 + 50).map(|n| n + 1_000), OccurrenceListing::Full);
        let at = i64::try_from(edit).expect("small");
        frozen.extend(take(&mut webinar, &list, at).expect("there is room"));
    }
    assert_eq!(webinar.occurrences.len(), OCCURRENCES_MAX);
    assert_eq!(frozen.len(), 5 * 50);
    assert!(frozen.iter().all(|id| id.as_str() < "1250"), "the oldest went: {frozen:?}");
    assert!(webinar.has_frozen);
}

/// M26: a daily series for years.
#[test]
fn occurrences_that_ended_a_month_ago_leave_the_state() {
    let mut webinar = Webinar::default();
    let list = naming(0..100, OccurrenceListing::Full);
    assert_eq!(take(&mut webinar, &list, 0), Ok(Vec::new()));
    let other = naming([99], OccurrenceListing::Partial);
    assert_eq!(
        webinar.clone().freeze_for(
            &other,
            (Millis::new(60 * DAY), false),
            RecurringMode::Series,
            &BTreeSet::new()
        ),
        []
    );
    // The last frozen one began on day 28, its length is unknown, and 30 days are over.
    let frozen = take(&mut webinar, &other, 60 * DAY).expect("there is room");
    assert_eq!((frozen.len(), webinar.occurrences.len()), (29, 71));
    assert!(
        !webinar.occurrences.contains_key(&id(28)) && webinar.occurrences.contains_key(&id(29))
    );
}

/// M10, M26: our clock is years ahead, the platform's is right.
#[test]
fn clock_ahead_freezes_nothing_that_the_platform_says_is_to_come() {
    let mut webinar = Webinar::default();
    take(&mut webinar, &naming(0..3, OccurrenceListing::Full), 0).expect("there is room");
    let change =
        Change { occurred_at: Some(Millis::new(1)), ..naming([2], OccurrenceListing::Partial) };
    let mode = RecurringMode::Occurrence;
    let ahead = Millis::new(900 * DAY);
    assert_eq!(webinar.freeze_for(&change, (ahead, false), mode, &BTreeSet::new()), []);
    let undated = Change { occurred_at: None, ..change };
    assert_eq!(
        webinar.freeze_for(&undated, (ahead, true), mode, &BTreeSet::new()),
        [],
        "our clock is doubted"
    );
}

/// M25: what is said of the whole is not refused for the number of its parts.
#[test]
fn cancellation_of_the_whole_needs_no_room_for_its_parts() {
    let mut webinar = Webinar::default();
    take(&mut webinar, &naming(0..500, OccurrenceListing::Full), 0).expect("there is room");
    let mut cancelled = naming(450..600, OccurrenceListing::Partial);
    assert_eq!(take(&mut webinar, &cancelled, 1), Err(MergeError::TooManyOccurrences));
    cancelled.whole.cancelled = Some(true);
    assert_eq!(take(&mut webinar, &cancelled, 2), Ok(Vec::new()));
    assert_eq!(webinar.occurrences.len(), OCCURRENCES_MAX);
    assert_eq!(webinar.whole.cancelled.map(|off| off.value), Some(true));
}

#[test]
fn lists_pass_frozen_occurrences_by_and_changes_of_their_own_do_not() {
    let frozen = BTreeSet::from([id(1)]);
    let names = |change: &Change| pass_by_frozen(change, &frozen).occurrences.len();
    for listing in [OccurrenceListing::Full, OccurrenceListing::Observed] {
        assert_eq!(names(&naming(0..3, listing)), 2);
    }
    let own = naming(0..3, OccurrenceListing::Partial);
    assert_eq!(names(&own), 3);
    let whole = WebinarFields { cancelled: Some(true), ..WebinarFields::default() };
    assert_eq!(names(&Change { whole, ..own }), 2);
}

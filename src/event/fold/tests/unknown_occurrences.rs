//! M27: a webinar that became a series of which no occurrence is known.

use super::*;
use crate::event::{BasePosition, BaseState, HeldEvent};

/// A webinar that became a series four days before its start.
fn became_series(is_held: bool) -> TestWebinar {
    let mut webinar = TestWebinar::single();
    if is_held {
        let held = HeldEvent { is_confirmed: true, ..HeldEvent::default() };
        webinar.held.insert(ExternalEventId::from_stored("7".into()), held);
    }
    webinar.report(-4 * DAY, |change| change.shape = Some(Shape::Series));
    webinar
}

fn whole(webinar: &TestWebinar) -> FoldedEvent {
    webinar.fold_with(&policy(), 0).remove("7").expect("it is known")
}

#[test]
fn event_that_hubspot_holds_stays_and_follows_the_webinar() {
    let mut webinar = became_series(true);
    assert_eq!(whole(&webinar).warnings, [Gap::Occurrences]);
    assert!(!webinar.input().event_cancelled);
    webinar.report(-3 * DAY, |change| change.whole.name = Some("New".into()));
    assert_eq!(webinar.input().event_name, "New");
    webinar.cancel(-2 * DAY, None, true);
    assert_eq!(webinar.cancelled(), ["7"]);
    webinar.cancel(-DAY, None, false);
    assert_eq!(webinar.cancelled(), [""; 0]);
    webinar.run(HOUR, RunPhase::Ended, 0, None);
    assert_eq!(webinar.completed(), ["7"], "as the single webinar that it was");
}

#[test]
fn event_that_was_never_sent_waits() {
    let webinar = became_series(false);
    assert_eq!(whole(&webinar).content, Err(vec![Gap::Occurrences]));
    let one = Policy { recurring: RecurringMode::Series, ..policy() };
    let event = webinar.fold_with(&one, 0).remove("7").expect("it is known");
    assert_eq!(event.content, Err(vec![Gap::Occurrences]));
}

#[test]
fn occurrence_takes_the_place_of_the_event_also_if_it_is_called_off_later() {
    let mut webinar = became_series(true);
    webinar.report(-3 * DAY, |change| change.occurrences = vec![occurrence("a", at(DAY))]);
    for _ in 0..2 {
        assert!(webinar.input().event_cancelled);
        assert_eq!(whole(&webinar).warnings, []);
        webinar.cancel(-2 * DAY, Some("a"), true);
    }
}

/// M25: a list cancels the whole; a report of one occurrence cancels that one only.
#[test]
fn occurrence_that_is_called_off_as_soon_as_it_is_named_takes_no_place_without_a_list() {
    for listing in [OccurrenceListing::Partial, OccurrenceListing::Full] {
        let mut webinar = became_series(true);
        webinar.report(-3 * DAY, |change| {
            change.listing = listing;
            change.occurrences = vec![occurrence("a", at(DAY))];
            change.occurrences[0].fields.cancelled = Some(true);
        });
        let is_full = listing == OccurrenceListing::Full;
        assert_eq!(webinar.input().event_cancelled, is_full, "{listing:?}");
    }
}

/// An occurrence of which the id alone is known cannot be sent, so that it takes nothing's place.
#[test]
fn occurrence_of_which_only_the_id_is_known_takes_no_place() {
    let mut webinar = became_series(true);
    webinar.report(-3 * DAY, |change| {
        let fields = WebinarFields::default();
        change.occurrences = vec![OccurrenceChange { id: parse_id("a"), fields }];
    });
    assert!(!webinar.input().event_cancelled);
    assert_eq!(whole(&webinar).warnings, [Gap::Occurrences]);
}

#[test]
fn event_without_times_stays_without_times() {
    let mut webinar = TestWebinar::single();
    webinar.report(-5 * DAY, |change| change.shape = Some(Shape::Timeless));
    webinar.held.clone_from(&became_series(true).held);
    webinar.report(-4 * DAY, |change| change.shape = Some(Shape::Series));
    assert_eq!(webinar.input().start_date_time, None);
}

#[test]
fn only_the_platform_knows_the_occurrences() {
    assert!(is_uncertain(&became_series(true).state));
    assert!(!is_uncertain(&TestWebinar::series().state));
}

/// M23, M25: a copy that was put back may lack occurrences of a series that is deleted without a list.
#[test]
fn series_that_is_deleted_after_a_restoration_may_have_more_occurrences() {
    let gaps = |webinar: &TestWebinar, last: u64| {
        let known = BTreeMap::from([("7-a".to_owned(), BaseState::NotNeeded)]);
        let of_new_event = BaseState::unread(BasePosition::AboveReceipt(last));
        let bases = EventBases { of_new_event, known, ..EventBases::default() };
        let account = ExternalAccountId::parse("acct").expect("valid");
        let id = WebinarId::parse("7").expect("valid");
        let events = fold_with_bases(&webinar.state, &bases, &account, &id, &policy(), NO_TIMERS);
        events.into_iter().find(|event| event.id.as_str() == "7-a").expect("it is known").warnings
    };
    let mut webinar = TestWebinar::series();
    let last = webinar.count.into();
    assert_eq!(gaps(&webinar, last), []);
    webinar.cancel(-2 * DAY, None, true);
    assert_eq!(gaps(&webinar, last), [Gap::Occurrences]);
    assert_eq!(gaps(&webinar, last + 1), [], "it was deleted before");
    let mut listed = webinar.clone();
    listed.report(-DAY, |change| {
        change.listing = OccurrenceListing::Full;
        change.occurrences = vec![occurrence("a", at(0))];
    });
    assert_eq!(gaps(&listed, last), [], "a list came since");
    let mut named = TestWebinar::series();
    named.report(-DAY, |change| {
        change.whole.cancelled = Some(true);
        change.occurrences = vec![occurrence("a", at(0))];
    });
    assert_eq!(gaps(&named, last), [], "the deletion names them");
}

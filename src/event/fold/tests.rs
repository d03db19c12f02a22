//! The rules of folding, one by one. `merge_laws` tests with random changes that their order has no influence.

mod computed;
mod edges;
mod over_time;
mod unknown_occurrences;

use std::time::Duration;

use super::*;
use crate::event::webinar::Provenance;
use crate::event::{
    AccountName, Change, ChangeKind, EventInput, EventOwnership, Gap, OccurrenceChange,
    OccurrenceListing, Origin, ProviderId, ReceiptId, RunChange, RunPhase, SourceName,
    WebinarFields,
};

/// Monday 2026-03-02, 10:00 UTC.
const START: i64 = 1_772_445_600_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn at(offset: i64) -> Millis {
    Millis::new(START + offset)
}

fn policy() -> Policy {
    Policy {
        hubspot: AccountName::parse("main").expect("valid"),
        provider: ProviderId::new("zoom"),
        organizer: Some("Acme".into()),
        event_type: None,
        external_account_id: None,
        recurring: RecurringMode::Occurrence,
        complete_after_end: None,
        only: Vec::new(),
        ownership: EventOwnership::Platform,
        custom_properties: BTreeMap::new(),
    }
}

/// A webinar that receives changes, each some hours before or after its start.
#[derive(Clone)]
struct TestWebinar {
    state: Webinar,
    count: u16,
    /// When changes arrive.
    received: i64,
    held: HeldEvents,
}

impl TestWebinar {
    fn single() -> Self {
        let mut webinar = Self {
            state: Webinar::default(),
            count: 0,
            received: 100 * DAY,
            held: HeldEvents::new(),
        };
        webinar.report(-10 * DAY, |change| {
            change.kind = ChangeKind::Created;
            change.full_picture = true;
            change.shape = Some(Shape::Single);
            change.whole = WebinarFields {
                name: Some("Name".into()),
                start: Some(at(0)),
                end: EndTime::after_minutes(60),
                cancelled: Some(false),
                ..WebinarFields::default()
            };
        });
        webinar
    }

    /// A series with the occurrences `a`, `b` and `c` on three days.
    fn series() -> Self {
        let mut webinar = Self::single();
        webinar.report(-10 * DAY, |change| {
            change.shape = Some(Shape::Series);
            change.listing = OccurrenceListing::Full;
            change.occurrences = vec![
                occurrence("a", at(0)),
                occurrence("b", at(DAY)),
                occurrence("c", at(2 * DAY)),
            ];
        });
        webinar.state.was_whole = false;
        webinar
    }

    /// Becomes a series with the occurrence `a`.
    fn become_series(&mut self, when: i64) {
        self.report(when, |change| {
            change.shape = Some(Shape::Series);
            change.occurrences = vec![occurrence("a", at(0))];
        });
    }

    fn report(&mut self, when: i64, edit: impl FnOnce(&mut Change)) {
        self.merge(Some(when), edit);
    }

    /// Reports a change without a time of its own.
    fn report_untimed(&mut self, edit: impl FnOnce(&mut Change)) {
        self.merge(None, edit);
    }

    fn merge(&mut self, when: Option<i64>, edit: impl FnOnce(&mut Change)) {
        let mut change = Change::new(WebinarId::parse("7").expect("valid"), ChangeKind::Updated);
        edit(&mut change);
        self.count += 1;
        let mut id = [0; 16];
        id[..2].copy_from_slice(&self.count.to_be_bytes());
        let provenance = Provenance {
            receipt: ReceiptId::from_bytes(id),
            order: self.state.next_order(self.count.into(), at(self.received)),
            place: 0,
            origin: Origin {
                source: SourceName::parse("zoom").expect("valid"),
                provider: ProviderId::new("zoom"),
                event_type: "test".into(),
                reported_at: when.map(at),
                received_at: at(self.received),
            },
        };
        self.state.merge(&change, &provenance).expect("one provider");
    }

    fn cancel(&mut self, when: i64, occurrence_id: Option<&str>, cancelled: bool) {
        self.report(when, |change| {
            change.kind = if cancelled { ChangeKind::Cancelled } else { ChangeKind::Recovered };
            let fields = WebinarFields { cancelled: Some(cancelled), ..WebinarFields::default() };
            match occurrence_id {
                Some(id) => {
                    change.occurrences = vec![OccurrenceChange { id: parse_id(id), fields }];
                }
                None => change.whole = fields,
            }
        });
    }

    fn run(&mut self, when: i64, phase: RunPhase, started: i64, ended: Option<i64>) {
        self.report(when, |change| {
            change.kind =
                if phase == RunPhase::Ended { ChangeKind::Completed } else { ChangeKind::Started };
            change.session =
                Some(RunChange { phase, started_at: Some(at(started)), ended_at: ended.map(at) });
        });
    }

    fn fold_with(&self, policy: &Policy, now: i64) -> BTreeMap<String, FoldedEvent> {
        let account = ExternalAccountId::parse("acct").expect("valid");
        let id = WebinarId::parse("7").expect("valid");
        fold(&self.state, &account, &id, policy, &self.held, at(now))
            .into_iter()
            .map(|event| (event.id.as_str().to_owned(), event))
            .collect()
    }

    fn inputs(&self) -> BTreeMap<String, EventInput> {
        let folded = self.fold_with(&policy(), 0);
        folded.into_iter().filter_map(|(id, event)| Some((id, event.content.ok()?))).collect()
    }

    fn input(&self) -> EventInput {
        self.inputs().remove("7").expect("the webinar is one event")
    }

    fn cancelled(&self) -> Vec<String> {
        let cancelled = self.inputs().into_iter().filter(|(_, input)| input.event_cancelled);
        cancelled.map(|(id, _)| id).collect()
    }

    fn completed(&self) -> Vec<String> {
        let completed = self.inputs().into_iter().filter(|(_, input)| input.event_completed);
        completed.map(|(id, _)| id).collect()
    }
}

fn parse_id(text: &str) -> OccurrenceId {
    OccurrenceId::parse(text).expect("valid")
}

fn occurrence(id: &str, start: Millis) -> OccurrenceChange {
    let fields = WebinarFields { start: Some(start), ..WebinarFields::default() };
    OccurrenceChange { id: parse_id(id), fields }
}

#[test]
fn relative_end_follows_a_moved_start() {
    let mut webinar = TestWebinar::single();
    webinar.report(-DAY, |change| change.whole.start = Some(at(DAY)));
    assert_eq!(webinar.input().end_date_time, Some(at(DAY + HOUR)));
}

#[test]
fn fixed_end_before_a_moved_start_is_left_out() {
    let mut webinar = TestWebinar::single();
    webinar.report(-2 * DAY, |change| change.whole.end = Some(EndTime::At(at(2 * HOUR))));
    assert_eq!(webinar.input().end_date_time, Some(at(2 * HOUR)));
    webinar.report(-DAY, |change| change.whole.start = Some(at(DAY)));
    assert_eq!(webinar.input().end_date_time, None);
    assert_eq!(webinar.input().start_date_time, Some(at(DAY)));
}

#[test]
fn actual_end_overrides_the_planned_end_until_the_webinar_is_moved() {
    let mut webinar = TestWebinar::single();
    webinar.run(HOUR, RunPhase::Ended, 0, Some(HOUR / 2));
    assert_eq!(webinar.input().end_date_time, Some(at(HOUR / 2)));
    webinar.report(2 * HOUR, |change| change.whole.start = Some(at(7 * DAY)));
    assert_eq!(
        webinar.input().end_date_time,
        Some(at(7 * DAY + HOUR)),
        "the length is still known"
    );
}

/// An API shows the plan of a webinar that is over, too.
#[test]
fn planned_end_that_is_told_again_after_a_run_does_not_hide_the_actual_end() {
    let mut webinar = TestWebinar::single();
    webinar.run(HOUR, RunPhase::Ended, 0, Some(HOUR / 2));
    webinar.report(2 * HOUR, |change| change.whole.end = EndTime::after_minutes(60));
    assert_eq!(webinar.input().end_date_time, Some(at(HOUR / 2)));
    webinar.report(3 * HOUR, |change| change.whole.actual_end = Some(at(HOUR / 3)));
    webinar.report(4 * HOUR, |change| change.whole.end = EndTime::after_minutes(60));
    assert_eq!(webinar.input().end_date_time, Some(at(HOUR / 3)));
}

#[test]
fn run_that_begins_again_is_not_completed() {
    let mut webinar = TestWebinar::single();
    webinar.run(HOUR, RunPhase::Ended, 0, Some(HOUR));
    webinar.run(2 * HOUR, RunPhase::Started, 2 * HOUR, None);
    assert_eq!((webinar.completed(), webinar.input().end_date_time), (vec![], Some(at(HOUR))));
    webinar.run(3 * HOUR, RunPhase::Ended, 2 * HOUR, Some(3 * HOUR));
    assert_eq!(webinar.completed(), ["7"]);
    assert_eq!(webinar.input().end_date_time, Some(at(3 * HOUR)));
}

#[test]
fn practice_run_and_its_start_are_ignored() {
    let mut webinar = TestWebinar::single();
    webinar.run(-HOUR, RunPhase::Started, -HOUR, None);
    webinar.run(-HOUR / 2, RunPhase::Practised, -HOUR, Some(-HOUR / 2));
    assert_eq!((webinar.completed(), webinar.input().end_date_time), (vec![], Some(at(HOUR))));
    webinar.run(0, RunPhase::Started, 0, None);
    webinar.run(HOUR, RunPhase::Ended, 0, Some(HOUR));
    // Practice for the next webinar, in the same room.
    webinar.run(2 * HOUR, RunPhase::Started, 2 * HOUR, None);
    webinar.run(3 * HOUR, RunPhase::Practised, 2 * HOUR, Some(3 * HOUR));
    assert_eq!(
        (webinar.completed(), webinar.input().end_date_time),
        (vec!["7".to_owned()], Some(at(HOUR)))
    );
}

#[test]
fn run_long_before_the_start_does_not_complete_the_webinar() {
    let mut webinar = TestWebinar::single();
    webinar.run(-2 * DAY, RunPhase::Ended, -2 * DAY - HOUR, Some(-2 * DAY));
    assert_eq!(webinar.completed(), Vec::<String>::new(), "a rehearsal");
    webinar.cancel(-DAY, None, true);
    assert_eq!(webinar.cancelled(), ["7"], "the webinar was still to come");

    let mut webinar = TestWebinar::single();
    webinar.run(HOUR, RunPhase::Ended, 0, Some(HOUR));
    assert_eq!(webinar.completed(), ["7"]);
    webinar.report(2 * HOUR, |change| change.whole.start = Some(at(7 * DAY)));
    assert_eq!(webinar.completed(), Vec::<String>::new(), "it will be held once more");
    webinar.run(9 * DAY, RunPhase::Ended, 8 * DAY, Some(9 * DAY));
    assert_eq!(webinar.completed(), ["7"], "a day late");
}

#[test]
fn cancellation_after_the_end_or_completion_is_ignored() {
    let mut webinar = TestWebinar::single();
    webinar.cancel(2 * HOUR, None, true);
    assert_eq!(webinar.cancelled(), Vec::<String>::new(), "after its end");
    let mut webinar = TestWebinar::single();
    webinar.run(HOUR / 2, RunPhase::Ended, 0, None);
    webinar.cancel(HOUR / 2 + 1, None, true);
    assert_eq!(webinar.cancelled(), Vec::<String>::new(), "after completion");
    let mut webinar = TestWebinar::single();
    webinar.cancel(HOUR / 2, None, true);
    assert_eq!(webinar.cancelled(), ["7"], "during the run");
}

#[test]
fn cancellation_is_reversed_only_by_a_newer_change() {
    let mut webinar = TestWebinar::single();
    webinar.cancel(-2 * DAY, None, true);
    webinar.cancel(-3 * DAY, None, false);
    webinar.report(-DAY, |change| change.whole.name = Some("New".into()));
    assert_eq!(webinar.cancelled(), ["7"]);
    webinar.cancel(-DAY, None, false);
    assert_eq!(webinar.cancelled(), Vec::<String>::new());
}

#[test]
fn cancellation_in_time_stays_when_it_is_repeated_after_the_end() {
    let mut webinar = TestWebinar::single();
    webinar.cancel(-DAY, None, true);
    // Deleted from the trash after thirty days.
    webinar.cancel(29 * DAY, None, true);
    assert_eq!(webinar.cancelled(), ["7"]);

    // Recovered in between: the second cancellation counts.
    webinar.cancel(-DAY + 1, None, false);
    assert_eq!(webinar.cancelled(), Vec::<String>::new());

    let mut webinar = TestWebinar::series();
    webinar.cancel(-DAY, Some("a"), true);
    webinar.cancel(29 * DAY, None, true);
    assert_eq!(webinar.cancelled(), ["7-a"], "the others had ended and were only deleted");

    let list = |id: &str| {
        let occurrences = vec![occurrence(id, at(40 * DAY))];
        |change: &mut Change| {
            (change.listing, change.occurrences) = (OccurrenceListing::Full, occurrences);
        }
    };
    let mut webinar = TestWebinar::series();
    webinar.report(-DAY, list("d"));
    webinar.report(29 * DAY, list("e"));
    assert_eq!(
        webinar.cancelled(),
        ["7-a", "7-b", "7-c", "7-d"],
        "by both lists, or by the second"
    );

    let mut webinar = TestWebinar::single();
    webinar.become_series(-DAY);
    webinar.report(29 * DAY, |change| change.shape = Some(Shape::Series));
    assert_eq!(webinar.cancelled(), ["7"], "it became a series in time");
}

#[test]
fn cancellation_of_one_occurrence_leaves_the_others() {
    let mut webinar = TestWebinar::series();
    webinar.cancel(-DAY, Some("b"), true);
    assert_eq!(webinar.cancelled(), ["7-b"]);
    // The series is cancelled and recovered: the occurrence that was cancelled on its own stays cancelled.
    webinar.cancel(-DAY + 1, None, true);
    assert_eq!(webinar.cancelled(), ["7-a", "7-b", "7-c"]);
    webinar.cancel(-DAY + 2, None, false);
    assert_eq!(webinar.cancelled(), ["7-b"]);
    webinar.cancel(-DAY + 3, Some("b"), false);
    assert_eq!(webinar.cancelled(), Vec::<String>::new());
}

#[test]
fn full_list_cancels_absent_occurrences_and_partial_list_none() {
    let mut webinar = TestWebinar::series();
    webinar.report(-2 * DAY, |change| change.occurrences = vec![occurrence("a", at(HOUR))]);
    assert_eq!(webinar.cancelled(), Vec::<String>::new());
    webinar.report(-DAY, |change| {
        change.listing = OccurrenceListing::Full;
        change.occurrences = vec![occurrence("a", at(HOUR)), occurrence("d", at(3 * DAY))];
    });
    assert_eq!(webinar.cancelled(), ["7-b", "7-c"]);
    assert_eq!(
        webinar.inputs()["7-d"].event_name,
        "Name",
        "series fields apply to new occurrences"
    );
}

#[test]
fn series_field_applies_unless_the_occurrence_has_a_later_one() {
    let mut webinar = TestWebinar::series();
    webinar.report(-3 * DAY, |change| change.whole.name = Some("All".into()));
    webinar.report(-2 * DAY, |change| {
        let fields = WebinarFields { name: Some("One".into()), ..WebinarFields::default() };
        change.occurrences = vec![OccurrenceChange { id: parse_id("b"), fields }];
    });
    let names = |webinar: &TestWebinar| -> Vec<String> {
        webinar.inputs().into_values().map(|input| input.event_name).collect()
    };
    assert_eq!(names(&webinar), ["All", "One", "All"]);
    webinar.report(-DAY, |change| change.whole.name = Some("New".into()));
    assert_eq!(names(&webinar), ["New", "New", "New"]);
}

#[test]
fn series_start_moves_no_occurrence() {
    let mut webinar = TestWebinar::series();
    webinar.report(-DAY, |change| change.whole.start = Some(at(9 * DAY)));
    assert_eq!(webinar.inputs()["7-b"].start_date_time, Some(at(DAY)));
}

#[test]
fn run_belongs_to_the_nearest_occurrence_within_half_a_day() {
    let mut webinar = TestWebinar::series();
    webinar.run(DAY + 2 * HOUR, RunPhase::Ended, DAY + HOUR, Some(DAY + 2 * HOUR));
    assert_eq!(webinar.completed(), ["7-b"]);
    assert_eq!(webinar.inputs()["7-b"].end_date_time, Some(at(DAY + 2 * HOUR)));
    webinar.run(20 * DAY, RunPhase::Ended, 20 * DAY, None);
    assert_eq!(webinar.completed(), ["7-b"], "too far from any");
    // Runs are matched when folding, so they match occurrences that are reported later, too.
    webinar.report(-DAY, |change| change.occurrences = vec![occurrence("z", at(20 * DAY - HOUR))]);
    assert_eq!(webinar.completed(), ["7-b", "7-z"]);
}

#[test]
fn run_does_not_belong_to_an_occurrence_cancelled_before_it() {
    let mut webinar = TestWebinar::series();
    webinar.report(-2 * DAY, |change| change.occurrences = vec![occurrence("e", at(2 * HOUR))]);
    webinar.cancel(-DAY, Some("a"), true);
    webinar.run(3 * HOUR, RunPhase::Ended, 0, None);
    assert_eq!(webinar.completed(), ["7-e"]);
}

#[test]
fn recurrence_without_a_list_makes_times_unknown_until_reported() {
    let mut webinar = TestWebinar::series();
    webinar.report(-2 * DAY, |change| change.listing = OccurrenceListing::Unknown);
    assert_eq!(webinar.inputs().len(), 0);
    let gaps = webinar.fold_with(&policy(), 0).remove("7-a").expect("known").content;
    assert_eq!(gaps, Err(vec![Gap::Times]));
    webinar.report(-DAY, |change| change.occurrences = vec![occurrence("b", at(DAY + HOUR))]);
    assert_eq!(webinar.inputs().into_keys().collect::<Vec<_>>(), ["7-b"]);
}

#[test]
fn change_of_shape_cancels_the_events_of_the_old_shape() {
    let mut webinar = TestWebinar::series();
    webinar.report(-2 * DAY, |change| change.shape = Some(Shape::Single));
    assert_eq!(webinar.cancelled(), ["7-a", "7-b", "7-c"]);
    assert!(!webinar.input().event_cancelled);
    webinar.report(-DAY, |change| {
        change.shape = Some(Shape::Series);
        change.listing = OccurrenceListing::Full;
        change.occurrences = vec![occurrence("a", at(0))];
    });
    assert_eq!(webinar.cancelled(), ["7", "7-b", "7-c"]);
}

#[test]
fn series_as_one_event_spans_its_occurrences_and_ends_with_the_last() {
    let one = Policy { recurring: RecurringMode::Series, ..policy() };
    let mut webinar = TestWebinar::series();
    let input = |webinar: &TestWebinar| -> EventInput {
        let mut folded = webinar.fold_with(&one, 50 * DAY);
        assert_eq!(folded.len(), 1);
        folded.remove("7").expect("one event").content.expect("complete")
    };
    let span = |input: EventInput| (input.start_date_time, input.end_date_time);
    assert_eq!(span(input(&webinar)), (Some(at(0)), Some(at(2 * DAY + HOUR))));
    webinar.run(HOUR, RunPhase::Ended, 0, None);
    assert!(!input(&webinar).event_completed);
    webinar.cancel(DAY, Some("c"), true);
    assert_eq!(span(input(&webinar)), (Some(at(0)), Some(at(DAY + HOUR))));
    webinar.run(DAY + HOUR, RunPhase::Ended, DAY, None);
    assert!(input(&webinar).event_completed);
    let mut webinar = TestWebinar::series();
    webinar.cancel(-DAY, None, true);
    assert!(input(&webinar).event_cancelled);
}

#[test]
fn timeless_webinar_has_no_times_and_is_completed_by_no_run() {
    let mut webinar = TestWebinar::single();
    webinar.report(-DAY, |change| change.shape = Some(Shape::Timeless));
    webinar.run(HOUR, RunPhase::Ended, 0, Some(HOUR));
    let input = webinar.input();
    assert_eq!((input.start_date_time, input.end_date_time), (None, None));
    assert!(!input.event_completed);
}

#[test]
fn program_is_completed_with_its_last_session() {
    let mut webinar = TestWebinar::single();
    webinar.report(-5 * DAY, |change| {
        change.shape = Some(Shape::Program { one_session: false });
        change.whole.end = Some(EndTime::At(at(2 * DAY)));
    });
    let session = |id: &str, end: i64, completed: Option<bool>| OccurrenceChange {
        id: parse_id(id),
        fields: WebinarFields {
            end: Some(EndTime::At(at(end))),
            completed,
            ..WebinarFields::default()
        },
    };
    webinar.report(-4 * DAY, |change| change.occurrences = vec![session("a", HOUR, None)]);
    webinar.report(HOUR, |change| change.occurrences = vec![session("a", HOUR, Some(true))]);
    assert_eq!(webinar.completed(), Vec::<String>::new(), "a later day's session may not be known");
    webinar.report(-4 * DAY, |change| change.occurrences = vec![session("b", 2 * DAY, None)]);
    assert_eq!(webinar.completed(), Vec::<String>::new());
    webinar.report(2 * DAY, |change| change.occurrences = vec![session("b", 2 * DAY, Some(true))]);
    assert_eq!(webinar.completed(), ["7"]);
    assert_eq!(webinar.inputs().len(), 1, "sessions are not events");
}

#[test]
fn timer_completes_an_open_event_but_not_a_cancelled_one() {
    let timed = Policy { complete_after_end: Some(std::time::Duration::from_mins(30)), ..policy() };
    let mut webinar = TestWebinar::single();
    let event =
        |webinar: &TestWebinar, now: i64| webinar.fold_with(&timed, now).remove("7").expect("one");
    let early = event(&webinar, HOUR);
    assert_eq!(early.due_at, Some(at(HOUR + HOUR / 2)));
    assert!(!early.content.expect("complete").event_completed);
    let due = event(&webinar, HOUR + HOUR / 2);
    assert_eq!(due.due_at, None);
    assert!(due.content.expect("complete").event_completed);
    webinar.cancel(0, None, true);
    let cancelled = event(&webinar, 9 * DAY);
    assert_eq!(cancelled.due_at, None);
    assert!(!cancelled.content.expect("complete").event_completed);
}

#[test]
fn change_from_a_clock_ahead_is_stamped_with_its_receipt_time() {
    let mut webinar = TestWebinar::single();
    webinar.report(1_000 * DAY, |change| change.whole.name = Some("From the future".into()));
    webinar.report(99 * DAY, |change| change.whole.name = Some("Older".into()));
    assert_eq!(webinar.input().event_name, "From the future", "it came at its receipt's time");
    assert_eq!(webinar.state.whole.name.as_ref().expect("a name").stamp.at, at(100 * DAY));
}

fn number(receipt: ReceiptId) -> u16 {
    let [high, low, ..] = *receipt.as_bytes();
    u16::from_be_bytes([high, low])
}

/// The origin of each field: the number of the change, and whether the write was for the occurrence.
fn origins_of(
    webinar: &TestWebinar,
    event: &str,
    policy: &Policy,
    now: i64,
) -> BTreeMap<String, (u16, bool)> {
    let id = WebinarId::parse("7").expect("valid");
    field_origins(&webinar.state, &id, &ExternalEventId::from_stored(event.into()), policy, at(now))
        .into_iter()
        .map(|origin| (origin.field, (number(origin.receipt), origin.of_occurrence)))
        .collect()
}

#[test]
fn origin_of_a_field_is_the_winning_write() {
    let mut webinar = TestWebinar::single();
    webinar.report(-DAY, |change| change.whole.name = Some("Second".into()));
    webinar.report(-2 * DAY, |change| change.whole.name = Some("Older".into()));
    let origins = origins_of(&webinar, "7", &policy(), 0);
    assert_eq!(origins["name"], (2, false));
    assert_eq!(origins["end"], (1, false), "the write of the duration");
    assert_eq!(origins.get("organizer"), None, "it comes from the configuration");
    webinar.run(2 * HOUR, RunPhase::Ended, 0, Some(HOUR / 2));
    let origins = origins_of(&webinar, "7", &policy(), 0);
    assert_eq!((origins["end"], origins["completed"]), ((4, false), (4, false)));
    assert_eq!(origins_of(&webinar, "other", &policy(), 0), BTreeMap::new());
}

#[test]
fn origin_shows_whether_the_write_was_for_the_occurrence() {
    let mut webinar = TestWebinar::series();
    webinar.report(-DAY, |change| {
        let fields = WebinarFields { name: Some("Own".into()), ..WebinarFields::default() };
        change.occurrences = vec![OccurrenceChange { id: parse_id("b"), fields }];
    });
    webinar.cancel(-HOUR, None, true);
    let (first, second) =
        (origins_of(&webinar, "7-a", &policy(), 0), origins_of(&webinar, "7-b", &policy(), 0));
    assert_eq!((first["name"], second["name"]), ((1, false), (3, true)));
    assert_eq!((first["start"], first["end"]), ((2, true), (1, false)));
    assert_eq!((first["cancelled"], second["cancelled"]), ((4, false), (4, false)));
    let all = Policy { recurring: RecurringMode::Series, ..policy() };
    let origins = origins_of(&webinar, "7", &all, 0);
    assert_eq!((origins["start"], origins["cancelled"]), ((2, true), (4, false)));
}

#[test]
fn origin_of_a_completion_by_timer_is_the_end() {
    let mut webinar = TestWebinar::single();
    webinar.report(-DAY, |change| change.whole.end = EndTime::after_minutes(30));
    let timed = Policy { complete_after_end: Some(Duration::from_mins(30)), ..policy() };
    assert_eq!(origins_of(&webinar, "7", &timed, HOUR - 1).get("completed"), None);
    assert_eq!(origins_of(&webinar, "7", &timed, HOUR)["completed"], (2, false));
}

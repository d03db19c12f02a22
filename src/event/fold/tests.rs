//! The rules of resolving, one by one. That order does not matter is proved elsewhere, over random changes.

mod computed;
mod edges;

use std::time::Duration;

use super::*;
use crate::event::webinar::Provenance;
use crate::event::{
    AccountName, BodyHash, Change, ChangeKind, EventInput, Gap, OccurrenceChange,
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
        only: None,
        custom_properties: BTreeMap::new(),
    }
}

/// A webinar to which things are said, each some hours before or after its start.
struct Told {
    webinar: Webinar,
    count: u8,
}

impl Told {
    fn single() -> Self {
        let mut told = Self { webinar: Webinar::default(), count: 0 };
        told.say(-10 * DAY, |change| {
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
        told
    }

    /// Occurrences `a`, `b`, `c` on three days.
    fn series() -> Self {
        let mut told = Self::single();
        told.say(-10 * DAY, |change| {
            change.shape = Some(Shape::Series);
            change.listing = OccurrenceListing::Full;
            change.occurrences = vec![
                occurrence("a", at(0)),
                occurrence("b", at(DAY)),
                occurrence("c", at(2 * DAY)),
            ];
        });
        told.webinar.was_whole = false;
        told
    }

    fn say(&mut self, when: i64, what: impl FnOnce(&mut Change)) {
        let mut change = Change::new(WebinarId::parse("7").expect("valid"), ChangeKind::Updated);
        what(&mut change);
        self.count += 1;
        let said = Provenance {
            receipt: ReceiptId::from_bytes([self.count; 16]),
            hash: BodyHash::from_digest(&[self.count; 32]),
            origin: Origin {
                source: SourceName::parse("zoom").expect("valid"),
                provider: ProviderId::new("zoom"),
                event_type: "test".into(),
                reported_at: Some(at(when)),
                received_at: at(100 * DAY),
            },
        };
        self.webinar.merge(&change, &said).expect("one provider");
    }

    fn cancel(&mut self, when: i64, occurrence_id: Option<&str>, cancelled: bool) {
        self.say(when, |change| {
            change.kind = if cancelled { ChangeKind::Cancelled } else { ChangeKind::Recovered };
            let fields = WebinarFields { cancelled: Some(cancelled), ..WebinarFields::default() };
            match occurrence_id {
                Some(id) => change.occurrences = vec![OccurrenceChange { id: id_of(id), fields }],
                None => change.whole = fields,
            }
        });
    }

    fn run(&mut self, when: i64, phase: RunPhase, started: i64, ended: Option<i64>) {
        self.say(when, |change| {
            change.kind =
                if phase == RunPhase::Ended { ChangeKind::Completed } else { ChangeKind::Started };
            change.session =
                Some(RunChange { phase, started_at: Some(at(started)), ended_at: ended.map(at) });
        });
    }

    fn fold_with(&self, policy: &Policy, now: i64) -> BTreeMap<String, FoldedEvent> {
        let account = ExternalAccountId::parse("acct").expect("valid");
        let id = WebinarId::parse("7").expect("valid");
        fold(&self.webinar, &account, &id, policy, at(now))
            .into_iter()
            .map(|event| (event.id.as_str().to_owned(), event))
            .collect()
    }

    fn inputs(&self) -> BTreeMap<String, EventInput> {
        let folded = self.fold_with(&policy(), 50 * DAY);
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

fn id_of(text: &str) -> OccurrenceId {
    OccurrenceId::parse(text).expect("valid")
}

fn occurrence(id: &str, start: Millis) -> OccurrenceChange {
    let fields = WebinarFields { start: Some(start), ..WebinarFields::default() };
    OccurrenceChange { id: id_of(id), fields }
}

#[test]
fn the_end_follows_a_moved_start() {
    let mut told = Told::single();
    told.say(-DAY, |change| change.whole.start = Some(at(DAY)));
    assert_eq!(told.input().end_date_time, Some(at(DAY + HOUR)));
}

#[test]
fn a_fixed_end_that_the_start_has_passed_is_left_out() {
    let mut told = Told::single();
    told.say(-2 * DAY, |change| change.whole.end = Some(EndTime::At(at(2 * HOUR))));
    assert_eq!(told.input().end_date_time, Some(at(2 * HOUR)));
    told.say(-DAY, |change| change.whole.start = Some(at(DAY)));
    assert_eq!(told.input().end_date_time, None);
    assert_eq!(told.input().start_date_time, Some(at(DAY)));
}

#[test]
fn the_actual_end_goes_before_the_planned_one_until_the_webinar_is_moved() {
    let mut told = Told::single();
    told.run(HOUR, RunPhase::Ended, 0, Some(HOUR / 2));
    assert_eq!(told.input().end_date_time, Some(at(HOUR / 2)));
    told.say(2 * HOUR, |change| change.whole.start = Some(at(7 * DAY)));
    assert_eq!(told.input().end_date_time, Some(at(7 * DAY + HOUR)), "the length is still known");
}

#[test]
fn a_run_that_begins_again_is_not_over() {
    let mut told = Told::single();
    told.run(HOUR, RunPhase::Ended, 0, Some(HOUR));
    told.run(2 * HOUR, RunPhase::Started, 2 * HOUR, None);
    assert_eq!((told.completed(), told.input().end_date_time), (vec![], Some(at(HOUR))));
    told.run(3 * HOUR, RunPhase::Ended, 2 * HOUR, Some(3 * HOUR));
    assert_eq!(told.completed(), ["7"]);
    assert_eq!(told.input().end_date_time, Some(at(3 * HOUR)));
}

#[test]
fn practice_is_no_run_and_nor_is_its_start() {
    let mut told = Told::single();
    told.run(-HOUR, RunPhase::Started, -HOUR, None);
    told.run(-HOUR / 2, RunPhase::Practised, -HOUR, Some(-HOUR / 2));
    assert_eq!((told.completed(), told.input().end_date_time), (vec![], Some(at(HOUR))));
    told.run(0, RunPhase::Started, 0, None);
    told.run(HOUR, RunPhase::Ended, 0, Some(HOUR));
    // Practising for the next one, in the same room.
    told.run(2 * HOUR, RunPhase::Started, 2 * HOUR, None);
    told.run(3 * HOUR, RunPhase::Practised, 2 * HOUR, Some(3 * HOUR));
    assert_eq!(
        (told.completed(), told.input().end_date_time),
        (vec!["7".to_owned()], Some(at(HOUR)))
    );
}

#[test]
fn a_run_long_before_its_date_is_not_the_webinar() {
    let mut told = Told::single();
    told.run(-2 * DAY, RunPhase::Ended, -2 * DAY - HOUR, Some(-2 * DAY));
    assert_eq!(told.completed(), Vec::<String>::new(), "a test run");
    told.cancel(-DAY, None, true);
    assert_eq!(told.cancelled(), ["7"], "it was still to come");

    let mut told = Told::single();
    told.run(HOUR, RunPhase::Ended, 0, Some(HOUR));
    assert_eq!(told.completed(), ["7"]);
    told.say(2 * HOUR, |change| change.whole.start = Some(at(7 * DAY)));
    assert_eq!(told.completed(), Vec::<String>::new(), "to be held once more");
    told.run(9 * DAY, RunPhase::Ended, 8 * DAY, Some(9 * DAY));
    assert_eq!(told.completed(), ["7"], "a day late");
}

#[test]
fn tidying_up_is_no_calling_off() {
    let mut told = Told::single();
    told.cancel(2 * HOUR, None, true);
    assert_eq!(told.cancelled(), Vec::<String>::new(), "after its end");
    let mut told = Told::single();
    told.run(HOUR / 2, RunPhase::Ended, 0, None);
    told.cancel(HOUR / 2 + 1, None, true);
    assert_eq!(told.cancelled(), Vec::<String>::new(), "after it was over");
    let mut told = Told::single();
    told.cancel(HOUR / 2, None, true);
    assert_eq!(told.cancelled(), ["7"], "in the midst of it");
}

#[test]
fn a_calling_off_is_taken_back_only_by_what_is_newer() {
    let mut told = Told::single();
    told.cancel(-2 * DAY, None, true);
    told.cancel(-3 * DAY, None, false);
    told.say(-DAY, |change| change.whole.name = Some("New".into()));
    assert_eq!(told.cancelled(), ["7"]);
    told.cancel(-DAY, None, false);
    assert_eq!(told.cancelled(), Vec::<String>::new());
}

#[test]
fn what_was_called_off_in_time_stays_so_however_late_it_is_said_again() {
    let mut told = Told::single();
    told.cancel(-DAY, None, true);
    // Out of the trash after thirty days.
    told.cancel(29 * DAY, None, true);
    assert_eq!(told.cancelled(), ["7"]);

    // Recovered between, it is the second time that counts.
    told.cancel(-DAY + 1, None, false);
    assert_eq!(told.cancelled(), Vec::<String>::new());

    let mut told = Told::series();
    told.cancel(-DAY, Some("a"), true);
    told.cancel(29 * DAY, None, true);
    assert_eq!(told.cancelled(), ["7-a"], "the others were over, and only tidied up");

    let list = |id: &str| {
        let said = vec![occurrence(id, at(40 * DAY))];
        |change: &mut Change| (change.listing, change.occurrences) = (OccurrenceListing::Full, said)
    };
    let mut told = Told::series();
    told.say(-DAY, list("d"));
    told.say(29 * DAY, list("e"));
    assert_eq!(told.cancelled(), ["7-a", "7-b", "7-c", "7-d"], "by both lists, or by the second");

    let mut told = Told::single();
    told.say(-DAY, |change| change.shape = Some(Shape::Series));
    told.say(29 * DAY, |change| change.shape = Some(Shape::Series));
    assert_eq!(told.cancelled(), ["7"], "it became a series in time");
}

#[test]
fn one_occurrence_is_called_off_and_no_other() {
    let mut told = Told::series();
    told.cancel(-DAY, Some("b"), true);
    assert_eq!(told.cancelled(), ["7-b"]);
    // All are called off, and that is taken back: what was called off by itself stays so.
    told.cancel(-DAY + 1, None, true);
    assert_eq!(told.cancelled(), ["7-a", "7-b", "7-c"]);
    told.cancel(-DAY + 2, None, false);
    assert_eq!(told.cancelled(), ["7-b"]);
    told.cancel(-DAY + 3, Some("b"), false);
    assert_eq!(told.cancelled(), Vec::<String>::new());
}

#[test]
fn a_full_list_calls_off_those_it_does_not_name_and_a_partial_one_nothing() {
    let mut told = Told::series();
    told.say(-2 * DAY, |change| change.occurrences = vec![occurrence("a", at(HOUR))]);
    assert_eq!(told.cancelled(), Vec::<String>::new());
    told.say(-DAY, |change| {
        change.listing = OccurrenceListing::Full;
        change.occurrences = vec![occurrence("a", at(HOUR)), occurrence("d", at(3 * DAY))];
    });
    assert_eq!(told.cancelled(), ["7-b", "7-c"]);
    assert_eq!(told.inputs()["7-d"].event_name, "Name", "what was said of all holds for new ones");
}

#[test]
fn what_is_said_of_all_holds_unless_one_was_told_later() {
    let mut told = Told::series();
    told.say(-3 * DAY, |change| change.whole.name = Some("All".into()));
    told.say(-2 * DAY, |change| {
        let fields = WebinarFields { name: Some("One".into()), ..WebinarFields::default() };
        change.occurrences = vec![OccurrenceChange { id: id_of("b"), fields }];
    });
    let names = |told: &Told| -> Vec<String> {
        told.inputs().into_values().map(|input| input.event_name).collect()
    };
    assert_eq!(names(&told), ["All", "One", "All"]);
    told.say(-DAY, |change| change.whole.name = Some("New".into()));
    assert_eq!(names(&told), ["New", "New", "New"]);
}

#[test]
fn the_start_of_a_series_moves_no_occurrence() {
    let mut told = Told::series();
    told.say(-DAY, |change| change.whole.start = Some(at(9 * DAY)));
    assert_eq!(told.inputs()["7-b"].start_date_time, Some(at(DAY)));
}

#[test]
fn a_run_belongs_to_the_nearest_occurrence_within_half_a_day() {
    let mut told = Told::series();
    told.run(DAY + 2 * HOUR, RunPhase::Ended, DAY + HOUR, Some(DAY + 2 * HOUR));
    assert_eq!(told.completed(), ["7-b"]);
    assert_eq!(told.inputs()["7-b"].end_date_time, Some(at(DAY + 2 * HOUR)));
    told.run(20 * DAY, RunPhase::Ended, 20 * DAY, None);
    assert_eq!(told.completed(), ["7-b"], "too far from any");
    // Found at folding, so an occurrence that is told of later is found too.
    told.say(-DAY, |change| change.occurrences = vec![occurrence("z", at(20 * DAY + HOUR))]);
    assert_eq!(told.completed(), ["7-b", "7-z"]);
}

#[test]
fn a_run_does_not_belong_to_what_was_called_off_before_it() {
    let mut told = Told::series();
    told.say(-2 * DAY, |change| change.occurrences = vec![occurrence("e", at(2 * HOUR))]);
    told.cancel(-DAY, Some("a"), true);
    told.run(HOUR, RunPhase::Ended, 0, None);
    assert_eq!(told.completed(), ["7-e"]);
}

#[test]
fn a_new_recurrence_without_a_list_makes_times_unknown_until_they_are_told() {
    let mut told = Told::series();
    told.say(-2 * DAY, |change| change.listing = OccurrenceListing::Unknown);
    assert_eq!(told.inputs().len(), 0);
    let gaps = told.fold_with(&policy(), 0).remove("7-a").expect("known").content;
    assert_eq!(gaps, Err(vec![Gap::Times]));
    told.say(-DAY, |change| change.occurrences = vec![occurrence("b", at(DAY + HOUR))]);
    assert_eq!(told.inputs().into_keys().collect::<Vec<_>>(), ["7-b"]);
}

#[test]
fn becoming_single_calls_off_the_occurrences_and_becoming_a_series_the_single() {
    let mut told = Told::series();
    told.say(-2 * DAY, |change| change.shape = Some(Shape::Single));
    assert_eq!(told.cancelled(), ["7-a", "7-b", "7-c"]);
    assert!(!told.input().event_cancelled);
    told.say(-DAY, |change| {
        change.shape = Some(Shape::Series);
        change.listing = OccurrenceListing::Full;
        change.occurrences = vec![occurrence("a", at(0))];
    });
    assert_eq!(told.cancelled(), ["7", "7-b", "7-c"]);
}

#[test]
fn a_series_as_one_event_spans_its_occurrences_and_ends_with_the_last() {
    let one = Policy { recurring: RecurringMode::Series, ..policy() };
    let mut told = Told::series();
    let input = |told: &Told| -> EventInput {
        let mut folded = told.fold_with(&one, 50 * DAY);
        assert_eq!(folded.len(), 1);
        folded.remove("7").expect("one event").content.expect("complete")
    };
    let span = |input: EventInput| (input.start_date_time, input.end_date_time);
    assert_eq!(span(input(&told)), (Some(at(0)), Some(at(2 * DAY + HOUR))));
    told.run(HOUR, RunPhase::Ended, 0, None);
    assert!(!input(&told).event_completed);
    told.cancel(DAY, Some("c"), true);
    assert_eq!(span(input(&told)), (Some(at(0)), Some(at(DAY + HOUR))));
    told.run(DAY + HOUR, RunPhase::Ended, DAY, None);
    assert!(input(&told).event_completed);
    let mut told = Told::series();
    told.cancel(-DAY, None, true);
    assert!(input(&told).event_cancelled);
}

#[test]
fn what_has_no_fixed_time_has_no_times_and_no_run_ends_it() {
    let mut told = Told::single();
    told.say(-DAY, |change| change.shape = Some(Shape::Timeless));
    told.run(HOUR, RunPhase::Ended, 0, Some(HOUR));
    let input = told.input();
    assert_eq!((input.start_date_time, input.end_date_time), (None, None));
    assert!(!input.event_completed);
}

#[test]
fn a_program_is_over_with_its_last_session() {
    let mut told = Told::single();
    told.say(-5 * DAY, |change| {
        change.shape = Some(Shape::Program { one_session: false });
        change.whole.end = Some(EndTime::At(at(2 * DAY)));
    });
    let session = |id: &str, end: i64, completed: Option<bool>| OccurrenceChange {
        id: id_of(id),
        fields: WebinarFields {
            end: Some(EndTime::At(at(end))),
            completed,
            ..WebinarFields::default()
        },
    };
    told.say(-4 * DAY, |change| change.occurrences = vec![session("a", HOUR, None)]);
    told.say(HOUR, |change| change.occurrences = vec![session("a", HOUR, Some(true))]);
    assert_eq!(told.completed(), Vec::<String>::new(), "a later day's session may not be known");
    told.say(-4 * DAY, |change| change.occurrences = vec![session("b", 2 * DAY, None)]);
    assert_eq!(told.completed(), Vec::<String>::new());
    told.say(2 * DAY, |change| change.occurrences = vec![session("b", 2 * DAY, Some(true))]);
    assert_eq!(told.completed(), ["7"]);
    assert_eq!(told.inputs().len(), 1, "sessions are not events");
}

#[test]
fn a_timer_completes_what_nobody_ends_but_not_what_was_called_off() {
    let timed = Policy { complete_after_end: Some(std::time::Duration::from_mins(30)), ..policy() };
    let mut told = Told::single();
    let event = |told: &Told, now: i64| told.fold_with(&timed, now).remove("7").expect("one");
    let early = event(&told, HOUR);
    assert_eq!(early.due_at, Some(at(HOUR + HOUR / 2)));
    assert!(!early.content.expect("complete").event_completed);
    let due = event(&told, HOUR + HOUR / 2);
    assert_eq!(due.due_at, None);
    assert!(due.content.expect("complete").event_completed);
    told.cancel(0, None, true);
    let cancelled = event(&told, 9 * DAY);
    assert_eq!(cancelled.due_at, None);
    assert!(!cancelled.content.expect("complete").event_completed);
}

#[test]
fn a_clock_ahead_owns_a_field_no_longer_than_until_the_next_webhook() {
    let mut told = Told::single();
    told.say(1_000 * DAY, |change| change.whole.name = Some("From the future".into()));
    told.say(99 * DAY, |change| change.whole.name = Some("Older".into()));
    assert_eq!(told.input().event_name, "From the future", "it came at its receipt's time");
    assert_eq!(told.webinar.whole.name.as_ref().expect("a name").stamp.at, at(100 * DAY));
}

/// What a field rests on: the number of the saying, and whether it was of the occurrence.
fn rests(told: &Told, event: &str, policy: &Policy, now: i64) -> BTreeMap<String, (u8, bool)> {
    let id = WebinarId::parse("7").expect("valid");
    value_origins(&told.webinar, &id, &ExternalEventId::from_stored(event.into()), policy, at(now))
        .into_iter()
        .map(|basis| (basis.field, (basis.receipt.as_bytes()[0], basis.from_occurrence)))
        .collect()
}

#[test]
fn a_field_rests_on_the_saying_that_won() {
    let mut told = Told::single();
    told.say(-DAY, |change| change.whole.name = Some("Second".into()));
    told.say(-2 * DAY, |change| change.whole.name = Some("Older".into()));
    let rest = rests(&told, "7", &policy(), 0);
    assert_eq!(rest["name"], (2, false));
    assert_eq!(rest["end"], (1, false), "start and duration: what told the duration");
    assert_eq!(rest.get("organizer"), None, "a default of the configuration");
    told.run(2 * HOUR, RunPhase::Ended, 0, Some(HOUR / 2));
    let rest = rests(&told, "7", &policy(), 0);
    assert_eq!((rest["end"], rest["completed"]), ((4, false), (4, false)));
    assert_eq!(rests(&told, "other", &policy(), 0), BTreeMap::new());
}

#[test]
fn what_was_said_of_one_occurrence_is_told_from_what_was_said_of_all() {
    let mut told = Told::series();
    told.say(-DAY, |change| {
        let fields = WebinarFields { name: Some("Own".into()), ..WebinarFields::default() };
        change.occurrences = vec![OccurrenceChange { id: id_of("b"), fields }];
    });
    told.cancel(-HOUR, None, true);
    let (first, second) = (rests(&told, "7-a", &policy(), 0), rests(&told, "7-b", &policy(), 0));
    assert_eq!((first["name"], second["name"]), ((1, false), (3, true)));
    assert_eq!((first["start"], first["end"]), ((2, true), (1, false)));
    assert_eq!((first["cancelled"], second["cancelled"]), ((4, false), (4, false)));
    let all = Policy { recurring: RecurringMode::Series, ..policy() };
    let rest = rests(&told, "7", &all, 0);
    assert_eq!((rest["start"], rest["cancelled"]), ((2, true), (4, false)));
}

#[test]
fn what_time_completed_rests_on_the_end() {
    let mut told = Told::single();
    told.say(-DAY, |change| change.whole.end = EndTime::after_minutes(30));
    let timed = Policy { complete_after_end: Some(Duration::from_mins(30)), ..policy() };
    assert_eq!(rests(&told, "7", &timed, HOUR - 1).get("completed"), None);
    assert_eq!(rests(&told, "7", &timed, HOUR)["completed"], (2, false));
}

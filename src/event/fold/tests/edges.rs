//! Where a rule begins and ends: each of these was a change of the code that no other test noticed.

use super::*;

/// The gaps of the event of that id.
fn gaps(told: &Told, id: &str) -> Vec<Gap> {
    let event = told.fold_with(&policy(), 0).remove(id).expect("it is known");
    event.content.expect_err("it is incomplete")
}

#[test]
fn a_series_of_which_no_occurrence_is_known_lacks_its_times() {
    let mut told = Told { webinar: Webinar::default(), count: 0 };
    told.say(-DAY, |change| {
        change.full_picture = true;
        change.shape = Some(Shape::Series);
        change.whole.name = Some("Name".into());
        change.whole.start = Some(at(0));
    });
    assert_eq!(gaps(&told, "7"), [Gap::Times]);
}

#[test]
fn an_occurrence_without_a_start_lacks_its_times() {
    let mut told = Told::series();
    told.say(-DAY, |change| {
        let fields = WebinarFields { name: Some("One".into()), ..WebinarFields::default() };
        change.occurrences = vec![OccurrenceChange { id: id_of("d"), fields }];
    });
    told.cancel(-DAY, Some("d"), false);
    assert_eq!(gaps(&told, "7-d"), [Gap::Times]);
    assert_eq!(told.inputs().len(), 3);
}

#[test]
fn what_one_body_says_of_an_occurrence_goes_before_what_it_says_of_all() {
    let mut told = Told::series();
    told.say(-DAY, |change| {
        change.whole.name = Some("All".into());
        change.occurrences = vec![occurrence("b", at(DAY))];
        change.occurrences[0].fields.name = Some("One".into());
    });
    assert_eq!(told.inputs()["7-b"].event_name, "One");
}

#[test]
fn called_off_at_the_very_end_is_called_off() {
    let mut told = Told::single();
    told.cancel(HOUR, None, true);
    assert_eq!(told.cancelled(), ["7"]);
    let mut told = Told::single();
    told.cancel(HOUR + 1, None, true);
    assert_eq!(told.cancelled(), Vec::<String>::new());
    // Said at the moment at which it is said to be over.
    let mut told = Told::single();
    told.run(HOUR / 2, RunPhase::Ended, 0, None);
    told.cancel(HOUR / 2, None, true);
    assert_eq!(told.cancelled(), ["7"]);
}

#[test]
fn half_a_day_before_its_date_a_run_is_the_webinar_and_earlier_it_is_not() {
    for (began, is) in [(-12 * HOUR, true), (-12 * HOUR - 1, false)] {
        let mut told = Told::single();
        told.run(began + HOUR, RunPhase::Ended, began, None);
        assert_eq!(told.completed().len(), usize::from(is), "{began}");
    }
    for (began, is) in [(2 * DAY + 12 * HOUR, true), (2 * DAY + 12 * HOUR + 1, false)] {
        let mut told = Told::series();
        told.run(began, RunPhase::Ended, began, None);
        assert_eq!(told.completed().len(), usize::from(is), "{began}");
    }
}

#[test]
fn a_fixed_end_counts_until_the_start_has_reached_it() {
    // Told before the start was moved, and after the start still.
    let mut told = Told::single();
    told.say(-2 * DAY, |change| change.whole.end = Some(EndTime::At(at(2 * HOUR))));
    told.say(-DAY, |change| change.whole.start = Some(at(HOUR)));
    assert_eq!(told.input().end_date_time, Some(at(2 * HOUR)));
    // The start has reached it: it ended another date.
    told.say(-HOUR, |change| change.whole.start = Some(at(2 * HOUR)));
    assert_eq!(told.input().end_date_time, None);
    // Told with the start, or after it, it is meant so.
    told.say(-HOUR / 2, |change| change.whole.end = Some(EndTime::At(at(2 * HOUR))));
    assert_eq!(told.input().end_date_time, Some(at(2 * HOUR)));
    told.say(-HOUR / 4, |change| {
        change.whole.start = Some(at(3 * HOUR));
        change.whole.end = Some(EndTime::At(at(3 * HOUR)));
    });
    assert_eq!(told.input().end_date_time, Some(at(3 * HOUR)));
    told.say(-HOUR / 8, |change| change.whole.end = Some(EndTime::At(at(HOUR))));
    assert_eq!(told.input().end_date_time, None, "before the start it is none");
}

#[test]
fn what_is_over_awaits_no_timer() {
    let timed = Policy { complete_after_end: Some(std::time::Duration::from_mins(30)), ..policy() };
    let mut told = Told::single();
    told.run(HOUR / 2, RunPhase::Ended, 0, Some(HOUR / 2));
    let event = told.fold_with(&timed, HOUR / 2).remove("7").expect("one");
    assert_eq!(event.due_at, None);
    assert!(event.content.expect("complete").event_completed);
}

#[test]
fn a_series_as_one_event_is_called_off_with_its_last_occurrence() {
    let one = Policy { recurring: RecurringMode::Series, ..policy() };
    let mut told = Told::series();
    for (id, left) in [("a", 2), ("b", 1), ("c", 0)] {
        told.cancel(-DAY, Some(id), true);
        let event = told.fold_with(&one, 0).remove("7").expect("one event");
        let input = event.content.expect("complete");
        assert_eq!(input.event_cancelled, left == 0, "{left} left");
        assert_eq!(input.end_date_time, Some(at(2 * DAY + HOUR)), "{left} left");
    }
}

#[test]
fn a_series_as_one_event_lacks_its_times_if_an_occurrence_does() {
    let one = Policy { recurring: RecurringMode::Series, ..policy() };
    let gaps = |told: &Told| told.fold_with(&one, 0).remove("7").expect("one event").content.err();
    let mut told = Told::series();
    assert_eq!(gaps(&told), None);
    told.say(-2 * DAY, |change| change.listing = OccurrenceListing::Unknown);
    assert_eq!(gaps(&told), Some(vec![Gap::Times]));
    for id in ["a", "b"] {
        told.say(-DAY, |change| change.occurrences = vec![occurrence(id, at(0))]);
        assert_eq!(gaps(&told), Some(vec![Gap::Times]), "the times of c are still unknown");
    }
    told.cancel(-DAY, Some("c"), true);
    assert_eq!(gaps(&told), None, "what is called off needs none");
    told.webinar.occurrences.clear();
    assert_eq!(gaps(&told), Some(vec![Gap::Times]), "none is known");
}

#[test]
fn a_program_of_days_is_over_half_a_day_before_its_end_at_the_earliest() {
    for (session_end, over) in [(12 * HOUR, true), (12 * HOUR - 1, false)] {
        let mut told = Told::single();
        told.say(-5 * DAY, |change| {
            change.shape = Some(Shape::Program { one_session: false });
            change.whole.end = Some(EndTime::At(at(DAY)));
        });
        told.say(DAY, |change| {
            let end = Some(EndTime::At(at(session_end)));
            let fields = WebinarFields { end, completed: Some(true), ..WebinarFields::default() };
            change.occurrences = vec![OccurrenceChange { id: id_of("a"), fields }];
        });
        assert_eq!(told.completed().len(), usize::from(over), "{session_end}");
    }
}

#[test]
fn called_off_and_held_all_the_same_it_is_both() {
    let mut told = Told::single();
    told.cancel(HOUR / 4, None, true);
    told.run(HOUR / 2, RunPhase::Ended, 0, None);
    assert_eq!((told.cancelled(), told.completed()), (vec!["7".into()], vec!["7".to_owned()]));
    // It had begun and was not over.
    let mut told = Told::single();
    told.run(0, RunPhase::Started, 0, None);
    told.cancel(HOUR / 2, None, true);
    assert_eq!(told.cancelled(), ["7"]);
}

#[test]
fn of_what_is_said_on_being_over_and_the_runs_the_later_counts() {
    let over = |when: i64, run: RunPhase, at_run: i64| {
        let mut told = Told::single();
        told.say(when, |change| change.whole.completed = Some(run == RunPhase::Started));
        told.run(at_run, run, 0, None);
        told.completed().len() == 1
    };
    assert!(!over(1, RunPhase::Started, 2) && over(2, RunPhase::Started, 1));
    assert!(over(1, RunPhase::Ended, 2) && !over(2, RunPhase::Ended, 1));
    // Of one body, what it says in so many words.
    let mut told = Told::single();
    told.say(1, |change| {
        change.whole.completed = Some(false);
        let (started_at, ended_at) = (Some(at(0)), None);
        change.session = Some(RunChange { phase: RunPhase::Ended, started_at, ended_at });
    });
    assert_eq!(told.completed(), Vec::<String>::new());
}

#[test]
fn an_actual_end_that_is_told_without_a_run_goes_before_the_planned_one() {
    let mut told = Told::single();
    told.say(2 * HOUR, |change| change.whole.actual_end = Some(at(HOUR / 2)));
    assert_eq!(told.input().end_date_time, Some(at(HOUR / 2)));
    let mut told = Told::series();
    told.say(2 * HOUR, |change| {
        let fields = WebinarFields { actual_end: Some(at(HOUR / 2)), ..WebinarFields::default() };
        change.occurrences = vec![OccurrenceChange { id: id_of("a"), fields }];
    });
    assert_eq!(told.inputs()["7-a"].end_date_time, Some(at(HOUR / 2)));
}

#[test]
fn an_occurrence_that_its_own_run_calls_off_was_not_called_off_before() {
    let mut told = Told::series();
    told.say(DAY, |change| {
        let fields = WebinarFields { cancelled: Some(true), ..WebinarFields::default() };
        change.occurrences = vec![OccurrenceChange { id: id_of("b"), fields }];
        let (started_at, ended_at) = (Some(at(DAY)), None);
        change.session = Some(RunChange { phase: RunPhase::Ended, started_at, ended_at });
    });
    assert_eq!(told.completed(), ["7-b"]);
}

#[test]
fn times_that_come_with_the_word_that_they_are_unknown_are_unknown() {
    let mut told = Told::series();
    told.say(-DAY, |change| {
        change.listing = OccurrenceListing::Unknown;
        change.occurrences = vec![occurrence("b", at(DAY))];
    });
    assert_eq!(gaps(&told, "7-b"), [Gap::Times]);
}

#[test]
fn the_link_is_where_people_register_else_where_they_join() {
    let mut told = Told::single();
    assert_eq!(told.inputs()["7"].event_url, None);
    told.say(-DAY, |change| change.whole.join_url = Some("https://e.test/j".into()));
    assert_eq!(told.inputs()["7"].event_url.as_deref(), Some("https://e.test/j"));
    told.say(-DAY, |change| change.whole.registration_url = Some("https://e.test/r".into()));
    assert_eq!(told.inputs()["7"].event_url.as_deref(), Some("https://e.test/r"));
    told.say(-HOUR, |change| change.whole.registration_url = Some(String::new()));
    assert_eq!(told.inputs()["7"].event_url.as_deref(), Some("https://e.test/j"));
}

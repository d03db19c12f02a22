//! Right over time: repetitions, rehearsals, moved dates, and what was told too late.

use super::*;

fn completed_flag(webinar: &mut TestWebinar, when: i64) {
    webinar.report(when, |change| {
        change.kind = ChangeKind::Completed;
        change.whole.completed = Some(true);
    });
}

fn moved(webinar: &mut TestWebinar, when: i64, start: i64) {
    webinar.report(when, |change| change.whole.start = Some(at(start)));
}

/// M9, A1: called off two days before, repeated every day and long after.
#[test]
fn cancellation_repeated_for_years_stays() {
    let mut webinar = TestWebinar::single();
    for day in -2..900 {
        webinar.cancel(day * DAY, None, true);
    }
    assert!(webinar.input().event_cancelled && !webinar.input().event_completed);
}

/// M9, M24, A1: an occurrence that a list dropped, then 40 more edits of the series with lists.
#[test]
fn occurrence_dropped_from_a_list_stays_cancelled_under_later_lists() {
    let mut webinar = TestWebinar::series();
    for edit in 0..40 {
        webinar.report(-5 * DAY + edit * 6 * HOUR, |change| {
            change.listing = OccurrenceListing::Full;
            change.occurrences = vec![occurrence("b", at(DAY)), occurrence("c", at(2 * DAY))];
        });
    }
    assert_eq!(webinar.cancelled(), ["7-a"]);
}

/// M15, A3b: ten minutes five hours before the start, then called off four hours before it.
#[test]
fn rehearsal_completes_nothing_and_hides_no_cancellation() {
    let mut webinar = TestWebinar::single();
    let began = -5 * HOUR;
    webinar.run(began, RunPhase::Started, began, None);
    webinar.run(began + HOUR / 6, RunPhase::Ended, began, Some(began + HOUR / 6));
    assert!(!webinar.input().event_completed);
    assert_eq!(webinar.input().end_date_time, Some(at(HOUR)), "the planned end");
    let later = webinar.fold_with(&policy(), 3 * DAY).remove("7").expect("one");
    assert!(!later.flags.completed, "M18: nothing but the rehearsal began");
    webinar.cancel(-4 * HOUR, None, true);
    assert!(webinar.input().event_cancelled && !webinar.input().event_completed);
}

/// M15, A3b: an event of sessions. A session that was opened and ended five hours before its start was a rehearsal.
#[test]
fn rehearsed_session_completes_no_program() {
    let session = |webinar: &mut TestWebinar, when: i64, start: Option<i64>, over: Option<bool>| {
        let fields =
            WebinarFields { start: start.map(at), completed: over, ..WebinarFields::default() };
        webinar.report(when, |change| {
            change.occurrences =
                vec![OccurrenceChange { id: parse_id("a"), fields: fields.clone() }];
        });
    };
    for (one_session, start) in [(true, Some(0)), (false, Some(0)), (true, None), (false, None)] {
        let mut webinar = TestWebinar::single();
        webinar.report(-5 * DAY, |change| change.shape = Some(Shape::Program { one_session }));
        session(&mut webinar, -4 * DAY, start, None);
        session(&mut webinar, -5 * HOUR, None, Some(true));
        assert_eq!(webinar.completed(), [""; 0], "{one_session}, {start:?}");
        // A cancellation after the rehearsal counts.
        let mut called_off = webinar.clone();
        called_off.cancel(-4 * HOUR, None, true);
        assert_eq!((called_off.cancelled().len(), called_off.completed().len()), (1, 0));
        session(&mut webinar, HOUR, None, Some(true));
        assert_eq!(webinar.completed(), ["7"], "{one_session}, {start:?}");
        // It was held, and is planned again.
        session(&mut webinar, DAY, Some(30 * DAY), None);
        assert_eq!(webinar.completed(), [""; 0], "{one_session}, {start:?}");
    }
}

/// M15, A3: held, planned anew for next month, called off before that.
#[test]
fn webinar_planned_anew_is_open_and_can_be_called_off() {
    for told_by_run in [true, false] {
        let mut webinar = TestWebinar::single();
        if told_by_run {
            webinar.run(HOUR, RunPhase::Ended, 0, Some(HOUR));
        } else {
            completed_flag(&mut webinar, HOUR);
        }
        assert!(webinar.input().event_completed);
        moved(&mut webinar, 2 * DAY, 30 * DAY);
        assert!(!webinar.input().event_completed, "by a run: {told_by_run}");
        webinar.cancel(3 * DAY, None, true);
        assert!(webinar.input().event_cancelled, "by a run: {told_by_run}");
        // The start is told again and again: it is as old as its first report.
        moved(&mut webinar, 4 * DAY, 30 * DAY);
        assert!(webinar.input().event_cancelled);
    }
}

/// M15: the planned start lies after the completion, but it was known before: the webinar was held early.
#[test]
fn completion_before_a_start_that_was_known_counts() {
    let mut webinar = TestWebinar::single();
    completed_flag(&mut webinar, -HOUR);
    moved(&mut webinar, HOUR, 0);
    assert!(webinar.input().event_completed);
}

/// M15: held again on the new date, by a platform that repeats that it was completed.
#[test]
fn completion_repeated_after_the_new_date_counts() {
    let mut webinar = TestWebinar::single();
    completed_flag(&mut webinar, HOUR);
    moved(&mut webinar, DAY, 5 * DAY);
    completed_flag(&mut webinar, 5 * DAY + HOUR);
    assert!(webinar.input().event_completed);
    webinar.cancel(6 * DAY, None, true);
    assert!(!webinar.input().event_cancelled, "too late");
}

/// M15: a test a day after the webinar.
#[test]
fn run_long_after_one_that_counted_changes_nothing() {
    let mut webinar = TestWebinar::single();
    webinar.run(HOUR, RunPhase::Ended, 0, Some(HOUR));
    for (began, is_completed) in [(13 * HOUR + 1, true), (13 * HOUR, false)] {
        webinar.run(began, RunPhase::Started, began, None);
        assert_eq!(webinar.input().event_completed, is_completed, "{began}");
    }
}

/// M16, M17, A17: no end is known; the start is long past.
#[test]
fn webinar_without_an_end_is_over_a_day_after_its_start() {
    for (when, is_cancelled) in [(DAY, true), (DAY + 1, false), (30 * DAY, false)] {
        let mut webinar = TestWebinar::single();
        webinar.state.whole.end = None;
        webinar.cancel(when, None, true);
        assert_eq!(webinar.input().event_cancelled, is_cancelled, "{when}");
    }
}

/// M16: whichever is earlier, the planned end or the word that it is completed.
#[test]
fn earlier_of_planned_end_and_completion_counts() {
    let mut webinar = TestWebinar::single();
    completed_flag(&mut webinar, HOUR / 2);
    webinar.cancel(HOUR * 3 / 4, None, true);
    assert!(!webinar.input().event_cancelled);
    let mut webinar = TestWebinar::single();
    webinar.cancel(HOUR * 3 / 4, None, true);
    completed_flag(&mut webinar, 2 * HOUR);
    assert!(webinar.input().event_cancelled);
}

/// M5, A22: the platform stamps an early rename before the creation.
#[test]
fn nothing_comes_before_the_creation() {
    for created_first in [true, false] {
        let mut webinar = TestWebinar::single();
        let create = |webinar: &mut TestWebinar| {
            webinar.report(-3 * DAY, |change| {
                change.is_creation = true;
                change.whole.name = Some("First".into());
            });
        };
        if created_first {
            create(&mut webinar);
        }
        webinar.report(-4 * DAY, |change| change.whole.name = Some("Renamed".into()));
        if !created_first {
            create(&mut webinar);
        }
        assert_eq!(webinar.input().event_name, "Renamed");
        assert_eq!(webinar.state.created_at, Some(at(-3 * DAY)));
    }
}

/// M4: equal times are ordered by arrival, whatever the change is about.
#[test]
fn later_arrival_wins_between_equal_times() {
    let mut webinar = TestWebinar::single();
    for (name, cancelled) in [("One", true), ("Two", false)] {
        webinar.report(-DAY, |change| {
            change.whole.name = Some(name.into());
            change.whole.cancelled = Some(cancelled);
        });
    }
    let input = webinar.input();
    assert_eq!((input.event_name.as_str(), input.event_cancelled), ("Two", false));
}

/// M13: what the platform's API does not have is cancelled, until it has it again; what was cancelled stays.
#[test]
fn absence_cancels_and_presence_takes_back_just_that() {
    let observe = |webinar: &mut TestWebinar, when, absent| {
        webinar.report(when, |change| change.whole.absent = Some(absent));
    };
    let mut webinar = TestWebinar::single();
    observe(&mut webinar, -3 * DAY, true);
    assert!(webinar.input().event_cancelled);
    observe(&mut webinar, -2 * DAY, false);
    assert!(!webinar.input().event_cancelled);
    webinar.cancel(-4 * DAY, None, true);
    assert!(webinar.input().event_cancelled, "presence reverses no cancellation");
    // First seen as absent after the end: it was tidied up.
    let mut webinar = TestWebinar::single();
    observe(&mut webinar, 2 * DAY, true);
    assert!(!webinar.input().event_cancelled);
    // First seen before the end, and every day since.
    let mut webinar = TestWebinar::single();
    for day in -1..60 {
        observe(&mut webinar, day * DAY, true);
    }
    assert!(webinar.input().event_cancelled);
}

/// M13, A2: an answer's list shows who is absent, and reverses no cancellation.
#[test]
fn observed_list_says_who_is_absent() {
    let observe = |webinar: &mut TestWebinar, when, ids: &[&str]| {
        let occurrences = ids
            .iter()
            .map(|id| OccurrenceChange { id: parse_id(id), fields: WebinarFields::default() });
        let occurrences = occurrences.collect();
        webinar.report(when, |change| {
            change.listing = OccurrenceListing::Observed;
            change.occurrences = occurrences;
        });
    };
    let mut webinar = TestWebinar::series();
    webinar.cancel(-4 * DAY, Some("b"), true);
    observe(&mut webinar, -3 * DAY, &["a", "b"]);
    assert_eq!(webinar.cancelled(), ["7-b", "7-c"]);
    observe(&mut webinar, -2 * DAY, &["b", "c"]);
    assert_eq!(webinar.cancelled(), ["7-a", "7-b"]);
    // An occurrence that becomes known later by an older webhook is as absent as the list says; a newer one is not.
    webinar.report(-5 * DAY, |change| change.occurrences = vec![occurrence("d", at(3 * DAY))]);
    webinar.report(-DAY, |change| change.occurrences = vec![occurrence("e", at(4 * DAY))]);
    assert_eq!(webinar.cancelled(), ["7-a", "7-b", "7-d"]);
}

/// M13: the creation, which names the occurrence, comes after a list without it and after a word of it alone.
#[test]
fn observed_list_counts_for_an_occurrence_that_is_reported_earlier_later_on() {
    let mut webinar = TestWebinar::series();
    webinar.report(-3 * DAY, |change| change.occurrences = vec![occurrence("d", at(3 * DAY))]);
    webinar.report(-4 * DAY, |change| {
        change.listing = OccurrenceListing::Observed;
        change.occurrences = ["a", "b", "c"].map(|id| occurrence(id, at(DAY))).into();
    });
    assert_eq!(webinar.cancelled(), Vec::<String>::new(), "it is newer than the list");
    webinar.report(-5 * DAY, |change| change.occurrences = vec![occurrence("d", at(3 * DAY))]);
    assert_eq!(webinar.cancelled(), ["7-d"]);
}

/// M8: an occurrence is absent since the first of the lists without it, also if it becomes known after all of them. The
/// first was in time, before the completion.
#[test]
fn every_observed_list_counts_for_an_occurrence_that_becomes_known_last() {
    let list = |change: &mut Change| {
        change.listing = OccurrenceListing::Observed;
        change.occurrences = ["a", "b", "c"].map(|id| occurrence(id, at(DAY))).into();
    };
    let known = |change: &mut Change| change.occurrences = vec![occurrence("d", at(3 * DAY))];
    let over = |change: &mut Change| change.whole.completed = Some(true);
    for is_known_last in [false, true] {
        let mut webinar = TestWebinar::series();
        if !is_known_last {
            webinar.report(-5 * DAY, known);
        }
        webinar.report(-2 * DAY, list);
        webinar.report(-3 * DAY, over);
        webinar.report(-4 * DAY, list);
        if is_known_last {
            webinar.report(-5 * DAY, known);
        }
        assert_eq!(webinar.cancelled(), ["7-d"], "known last: {is_known_last}");
    }
}

/// M12: any list that was asked for later makes times known again.
#[test]
fn answered_list_makes_unknown_times_known() {
    let mut webinar = TestWebinar::series();
    webinar.report(-2 * DAY, |change| change.listing = OccurrenceListing::Unknown);
    assert_eq!(webinar.inputs().len(), 0);
    webinar.received += 1;
    webinar.report(-3 * DAY, |change| {
        change.listing = OccurrenceListing::Observed;
        change.occurrences = vec![occurrence("a", at(0)), occurrence("b", at(DAY))];
    });
    assert_eq!(webinar.inputs().len(), 3);
    assert_eq!(webinar.cancelled(), ["7-c"]);
    // The list that was asked for last counts, although its own time is older than another's.
    let mut webinar = TestWebinar::series();
    let list = |change: &mut Change| {
        change.listing = OccurrenceListing::Observed;
        change.occurrences = ["a", "b", "c"].map(|id| occurrence(id, at(DAY))).into();
    };
    webinar.report(-3 * DAY, list);
    webinar.received += 1;
    webinar.report(-2 * DAY, |change| change.listing = OccurrenceListing::Unknown);
    assert_eq!(webinar.inputs().len(), 0);
    webinar.received += 1;
    webinar.report(-4 * DAY, list);
    assert_eq!(webinar.inputs().len(), 3);
}

/// M6: a time that is a little ahead orders; one that is a day ahead is cut.
#[test]
fn time_far_ahead_of_the_receipt_is_cut_to_it() {
    for (ahead, name) in [(DAY, "Ahead"), (DAY + 1, "Later")] {
        let mut webinar = TestWebinar::single();
        webinar.report(100 * DAY + ahead, |change| change.whole.name = Some("Ahead".into()));
        webinar.report(100 * DAY + 1, |change| change.whole.name = Some("Later".into()));
        assert_eq!(webinar.input().event_name, name);
    }
}

/// M7, A9c: what has no time of its own is ordered as it was stored, whatever our clock said.
#[test]
fn untimed_changes_are_ordered_by_arrival_although_the_clock_steps_back() {
    let mut webinar = TestWebinar::single();
    for (received, name) in [(HOUR, "One"), (0, "Two"), (1, "Three")] {
        webinar.received = received;
        webinar.report_untimed(|change| change.whole.name = Some(name.into()));
        assert_eq!(webinar.input().event_name, name);
    }
    // But a date is compared with the time at which it really arrived.
    webinar.received = HOUR;
    webinar.report_untimed(|change| change.whole.cancelled = Some(true));
    assert!(webinar.input().event_cancelled);
}

/// A5: the recurrence changes without a list, and then the series is deleted. What HubSpot holds needs no times for that.
#[test]
fn delivered_occurrences_are_cancelled_and_completed_although_their_times_are_unknown() {
    let mut webinar = TestWebinar::series();
    for id in ["a", "b", "c"] {
        let id = ExternalEventId::from_stored(format!("7-{id}"));
        webinar.held.insert(id, HeldEvent { is_confirmed: true, ..HeldEvent::default() });
    }
    webinar.report(-3 * DAY, |change| change.listing = OccurrenceListing::Unknown);
    webinar.report(-3 * DAY, |change| {
        let fields = WebinarFields { name: Some("New".into()), ..WebinarFields::default() };
        change.occurrences = vec![OccurrenceChange { id: parse_id("d"), fields }];
    });
    let inputs = webinar.inputs();
    assert_eq!(inputs.keys().collect::<Vec<_>>(), ["7-a", "7-b", "7-c"], "the new one is held");
    assert_eq!(inputs["7-b"].start_date_time, Some(at(DAY)), "delivered times stay");
    webinar.cancel(-2 * DAY, None, true);
    assert_eq!(webinar.cancelled(), ["7-a", "7-b", "7-c"]);
}

/// M16: while times are unknown, no planned end makes a cancellation late.
#[test]
fn unknown_end_makes_no_cancellation_late() {
    let mut webinar = TestWebinar::series();
    let id = ExternalEventId::from_stored("7-a".into());
    webinar.held.insert(id, HeldEvent { is_confirmed: true, ..HeldEvent::default() });
    webinar.report(-3 * DAY, |change| change.listing = OccurrenceListing::Unknown);
    webinar.cancel(20 * DAY, Some("a"), true);
    assert_eq!(webinar.cancelled(), ["7-a"]);
}

/// M2, A18: an end at a fixed time, told with the start, which then moves ten days earlier.
#[test]
fn end_told_with_a_start_follows_it() {
    let mut webinar = TestWebinar::single();
    webinar.report(-3 * DAY, |change| {
        change.whole.start = Some(at(0));
        change.whole.end = Some(EndTime::At(at(2 * HOUR)));
    });
    moved(&mut webinar, -2 * DAY, -10 * DAY);
    assert_eq!(webinar.input().end_date_time, Some(at(-10 * DAY + 2 * HOUR)));
}

/// M15: a late word of a rehearsal takes nothing back.
#[test]
fn rehearsal_does_not_take_back_a_completion() {
    let mut webinar = TestWebinar::single();
    completed_flag(&mut webinar, HOUR);
    webinar.run(2 * HOUR, RunPhase::Ended, -5 * HOUR, Some(-4 * HOUR));
    assert!(webinar.input().event_completed);
}

/// M15: the newest word counts, not the first of its row.
#[test]
fn completion_after_a_run_that_began_again_counts() {
    let mut webinar = TestWebinar::single();
    completed_flag(&mut webinar, HOUR);
    webinar.run(2 * HOUR, RunPhase::Started, 2 * HOUR, None);
    assert!(!webinar.input().event_completed);
    completed_flag(&mut webinar, 3 * HOUR);
    assert!(webinar.input().event_completed);
}

/// M27: the recovery of a webinar that became a series does not bring back the event of the single webinar.
#[test]
fn event_of_the_other_shape_stays_cancelled_whatever_is_said_of_the_webinar() {
    let mut webinar = TestWebinar::single();
    webinar.become_series(-3 * DAY);
    webinar.cancel(-2 * DAY, None, false);
    assert_eq!(webinar.cancelled(), ["7"]);
}

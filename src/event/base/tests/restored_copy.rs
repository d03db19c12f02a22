//! What HubSpot held of the events of a restored copy (M23).

use super::*;

/// HubSpot holds an event so, above the receipts up to that number.
fn above(last: u64, event: &str, fields: BaseFields) -> EventBases {
    let base = Base { position: BasePosition::AboveReceipt(last), fields };
    let known = BTreeMap::from([(event.to_owned(), BaseState::Read(Box::new(base)))]);
    EventBases { known, ..EventBases::default() }
}

#[test]
fn base_of_a_restored_copy_wins_over_every_report_of_the_copy_and_no_later_one() {
    let changes = [
        change(ChangeKind::Updated, 5, named("Old")),
        change(
            ChangeKind::Updated,
            4,
            WebinarFields { description: Some("Later".into()), ..WebinarFields::default() },
        ),
    ];
    let input = input(&changes, &above(1, "7", held()));
    assert_eq!(input.event_name, "Held", "M23");
    assert_eq!(input.event_description.as_deref(), Some("Later"));
}

/// M23: also over organizer, type, link and properties, in which a base otherwise only fills gaps.
#[test]
fn base_of_a_restored_copy_wins_in_every_field() {
    let fields = WebinarFields {
        organizer: Some("Copy".into()),
        event_type: Some("MEETING".into()),
        description: Some("Copy".into()),
        join_url: Some("https://example.com/copy".into()),
        custom: BTreeMap::from([("seats".to_owned(), "3".to_owned())]),
        start: Some(Millis::new(1_000)),
        end: EndTime::after_minutes(5),
        ..named("Copy")
    };
    let changes = [change(ChangeKind::Updated, 5, fields)];
    assert_eq!(BaseFields::from_input(&input(&changes, &above(1, "7", held()))), held());
    let later = input(&changes, &above(0, "7", held()));
    assert_eq!((later.event_name.as_str(), later.event_organizer.as_str()), ("Copy", "Copy"));
    assert_eq!(later.event_url.as_deref(), Some("https://example.com/copy"));
    assert_eq!(later.custom_properties["seats"], "3");
}

/// M23: a run that the copy knows as going on does not open what HubSpot holds as completed.
#[test]
fn base_of_a_restored_copy_wins_over_a_run_of_the_copy() {
    let start = WebinarFields { start: Some(START), ..named("Old") };
    let session = RunChange { phase: RunPhase::Started, started_at: Some(START), ended_at: None };
    let at = START.get() + 60_000;
    let run = change(ChangeKind::Started, at, WebinarFields::default());
    let run = Change { session: Some(session), ..run };
    let changes = [change(ChangeKind::Updated, 5, start), run];
    let fields = BaseFields { completed: true, ..held() };
    assert!(input(&changes, &above(9, "7", fields)).event_completed);
}

/// M23: nor does its end hide the one that HubSpot holds.
#[test]
fn end_of_a_restored_copys_run_does_not_hide_what_hubspot_holds() {
    let start = WebinarFields { start: Some(START), ..named("Old") };
    let at = |hours: i64| Millis::new(START.get() + hours * 3_600_000);
    let run =
        RunChange { phase: RunPhase::Ended, started_at: Some(at(13)), ended_at: Some(at(14)) };
    let kind = ChangeKind::Completed;
    let run = Change { session: Some(run), ..change(kind, at(14).get(), WebinarFields::default()) };
    let changes = [change(ChangeKind::Updated, 5, start), run];
    for completed in [false, true] {
        let input = input(&changes, &above(9, "7", BaseFields { completed, ..held() }));
        assert_eq!(input.end_date_time, Some(END), "completed: {completed}");
    }
}

/// M20: HubSpot holds it as cancelled, so it was cancelled in time, whatever else is held of it.
#[test]
fn cancelled_and_completed_hold_together() {
    let start = WebinarFields { start: Some(START), ..named("Old") };
    let on = WebinarFields { cancelled: Some(false), ..WebinarFields::default() };
    let after = END.get() + 3_600_000;
    let changes = [change(ChangeKind::Updated, 5, start), change(ChangeKind::Recovered, after, on)];
    let fields = BaseFields { cancelled: true, completed: true, ..held() };
    let input = input(&changes, &above(9, "7", fields));
    assert!(input.event_cancelled && input.event_completed);
}

/// M9, M23: repeated after its end, a cancellation is as old as the one that HubSpot holds.
#[test]
fn cancelled_holds_although_it_is_reported_again_after_the_end() {
    let start = WebinarFields { start: Some(START), ..named("Old") };
    let off = WebinarFields { cancelled: Some(true), ..WebinarFields::default() };
    let after = END.get() + 3_600_000;
    let changes =
        [change(ChangeKind::Updated, 5, start), change(ChangeKind::Cancelled, after, off)];
    let fields = BaseFields { cancelled: true, ..held() };
    assert!(input(&changes, &above(1, "7", fields)).event_cancelled);
}

/// A list of the occurrence `o1`.
fn listed() -> Change {
    let occurrence = OccurrenceChange {
        id: OccurrenceId::parse("o1").expect("valid"),
        fields: WebinarFields { start: Some(START), ..WebinarFields::default() },
    };
    Change {
        shape: Some(Shape::Series),
        full_picture: true,
        occurrences: vec![occurrence],
        listing: OccurrenceListing::Full,
        ..change(ChangeKind::Updated, 5, named("New"))
    }
}

/// M23: the copy's list of those that take place is older than what HubSpot holds.
#[test]
fn cancelled_occurrence_is_not_taken_back_by_a_list_of_the_restored_copy() {
    let fields = BaseFields { cancelled: true, ..held() };
    for (last, cancelled) in [(9, true), (0, false)] {
        let input = input(&[listed()], &above(last, "7-o1", fields.clone()));
        assert_eq!(input.event_cancelled, cancelled, "received after the copy: {}", last == 0);
    }
}

/// M23: nor is the one event of a series.
#[test]
fn cancelled_series_is_not_taken_back_by_a_list_of_the_restored_copy() {
    let policy = Policy { organizer: None, recurring: RecurringMode::Series, ..policy() };
    let bases = above(9, "7", BaseFields { cancelled: true, ..held() });
    assert!(folded(&[listed()], &bases, &policy).content.expect("complete").event_cancelled);
}

/// M23: what the copy holds of the whole series is older, too.
#[test]
fn completed_occurrence_is_not_opened_by_what_the_restored_copy_holds_of_the_series() {
    let open = WebinarFields { completed: Some(false), ..WebinarFields::default() };
    let changes = [listed(), change(ChangeKind::Updated, 6, open)];
    let fields = BaseFields { completed: true, ..held() };
    for (last, completed) in [(9, true), (1, false)] {
        let input = input(&changes, &above(last, "7-o1", fields.clone()));
        assert_eq!(input.event_completed, completed, "received after the copy: {}", last == 1);
    }
}

/// M23: HubSpot holds times, so the event had some after all that the copy holds.
#[test]
fn times_hold_over_a_restored_copy_that_knows_none() {
    let fields = WebinarFields { start: Some(START), ..named("Copy") };
    let report = change(ChangeKind::Updated, 5, fields);
    let timeless = Change { shape: Some(Shape::Timeless), full_picture: true, ..report };
    for (last, start) in [(9, Some(START)), (0, None)] {
        let input = input(std::slice::from_ref(&timeless), &above(last, "7", held()));
        assert_eq!(input.start_date_time, start, "received after the copy: {}", last == 0);
    }
}

/// M23, M27: the event whose place occurrences took stays as HubSpot holds it: they took it in time.
#[test]
fn event_that_occurrences_replaced_stays_as_it_is_over_a_restored_copy() {
    let start = WebinarFields { start: Some(Millis::new(1_000)), ..named("Old") };
    let over = WebinarFields { completed: Some(true), ..WebinarFields::default() };
    let shaped = |shape, change| Change { shape: Some(shape), full_picture: true, ..change };
    let changes = [
        shaped(Shape::Single, change(ChangeKind::Updated, 5, start)),
        change(ChangeKind::Updated, 6, over),
        shaped(Shape::Series, change(ChangeKind::Updated, 7, WebinarFields::default())),
    ];
    let fields = BaseFields { cancelled: true, completed: true, ..held() };
    let input = input(&changes, &above(9, "7", fields.clone()));
    assert_eq!(BaseFields::from_input(&input), fields);
}

/// M23: HubSpot is newer also where it holds that something is not so, or nothing.
#[test]
fn not_cancelled_not_completed_and_empty_hold_over_a_restored_copy() {
    let fields = WebinarFields {
        cancelled: Some(true),
        completed: Some(true),
        description: Some("Copy".into()),
        registration_url: Some("https://example.com/register".into()),
        join_url: Some("https://example.com/join".into()),
        custom: BTreeMap::from([("seats".to_owned(), "3".to_owned())]),
        start: Some(START),
        end: EndTime::after_minutes(60),
        ..named("Held")
    };
    let session =
        RunChange { phase: RunPhase::Ended, started_at: Some(START), ended_at: Some(END) };
    let run = Change {
        session: Some(session),
        ..change(ChangeKind::Completed, END.get(), WebinarFields::default())
    };
    let gone = WebinarFields { absent: Some(true), ..WebinarFields::default() };
    let changes = [
        change(ChangeKind::Updated, 5, fields),
        run,
        change(ChangeKind::Updated, END.get() + 1, gone),
    ];
    let empty = BaseFields { description: None, url: None, custom: BTreeMap::new(), ..held() };
    let input = input(&changes, &above(9, "7", empty.clone()));
    assert_eq!(BaseFields::from_input(&input), empty);
}

/// M23, M27: what takes place at HubSpot shows what shape the webinar has had since.
#[test]
fn event_that_takes_place_shows_the_shape_over_a_restored_copy() {
    let shaped = |shape, at| Change {
        shape: Some(shape),
        ..change(ChangeKind::Updated, at, WebinarFields::default())
    };
    let start = WebinarFields { start: Some(START), ..named("Copy") };
    let single = change(ChangeKind::Updated, 5, start);
    let became_series = [shaped(Shape::Single, 4), single, shaped(Shape::Series, 6)];
    assert!(!input(&became_series, &above(9, "7", held())).event_cancelled);
    let became_single = [listed(), shaped(Shape::Single, 6)];
    let account = ExternalAccountId::parse("acct").expect("valid");
    let bases = above(9, "7-o1", held());
    let events = fold_with_bases(&merged(&became_single), &bases, &account, &id(), &policy(), NOW);
    let cancelled: Vec<(&str, bool)> =
        events.iter().map(|event| (event.id.as_str(), event.flags.cancelled)).collect();
    assert!(cancelled.contains(&("7-o1", false)), "{cancelled:?}");
}

/// M23: also of an occurrence, which lists, the series and the platform's answers concern.
#[test]
fn occurrence_takes_place_as_hubspot_holds_it_over_a_restored_copy() {
    let occurrence =
        |fields| OccurrenceChange { id: OccurrenceId::parse("o1").expect("valid"), fields };
    let none = || Change { occurrences: Vec::new(), ..listed() };
    let off = WebinarFields { cancelled: Some(true), ..WebinarFields::default() };
    let over = WebinarFields { completed: Some(true), ..WebinarFields::default() };
    let gone = WebinarFields { absent: Some(true), ..WebinarFields::default() };
    for report in [
        Change { occurred_at: Some(Millis::new(6)), ..none() },
        change(ChangeKind::Cancelled, 6, off.clone()),
        change(ChangeKind::Completed, 6, over),
        change(ChangeKind::Updated, 6, gone.clone()),
        Change {
            occurrences: vec![occurrence(off)],
            ..change(ChangeKind::Cancelled, 6, WebinarFields::default())
        },
        Change {
            occurrences: vec![occurrence(gone)],
            ..change(ChangeKind::Updated, 6, WebinarFields::default())
        },
    ] {
        let input = input(&[listed(), report.clone()], &above(9, "7-o1", held()));
        assert!(!input.event_cancelled && !input.event_completed, "{report:?}");
    }
}

/// M23, M26: a later report of the occurrence wins over earlier ones of the series, whatever their times.
#[test]
fn late_report_of_an_occurrence_wins_over_what_the_base_lies_above() {
    let own = WebinarFields { name: Some("Own".into()), ..WebinarFields::default() };
    let own = OccurrenceChange { id: OccurrenceId::parse("o1").expect("valid"), fields: own };
    let own = Change {
        occurrences: vec![own],
        ..change(ChangeKind::Updated, 6, WebinarFields::default())
    };
    let changes = [listed(), change(ChangeKind::Updated, 9, named("Whole")), own];
    for (last, name) in [(2, "Own"), (9, "Held"), (0, "Whole")] {
        assert_eq!(input(&changes, &above(last, "7-o1", held())).event_name, name, "{last}");
    }
}

/// M17, M23: it was over when occurrences took its place, and HubSpot does not hold it as cancelled.
#[test]
fn event_that_was_over_stays_as_it_is_beside_its_occurrences_over_a_restored_copy() {
    let start = WebinarFields { start: Some(Millis::new(1_000)), ..named("Copy") };
    let single = Change {
        shape: Some(Shape::Single),
        full_picture: true,
        ..change(ChangeKind::Updated, 5, WebinarFields { end: EndTime::after_minutes(1), ..start })
    };
    let series = Change { occurred_at: Some(Millis::new(NOW.get() - 1)), ..listed() };
    let held =
        BaseFields { start: Some(Millis::new(1_000)), end: Some(Millis::new(61_000)), ..held() };
    let occurrence = Base { position: BasePosition::AboveReceipt(9), fields: super::held() };
    let mut bases = above(9, "7", held);
    bases.known.insert("7-o1".to_owned(), BaseState::Read(Box::new(occurrence)));
    let account = ExternalAccountId::parse("acct").expect("valid");
    let merged = merged(&[single, series]);
    let events = fold_with_bases(&merged, &bases, &account, &id(), &policy(), NOW);
    let cancelled: BTreeMap<&str, bool> =
        events.iter().map(|event| (event.id.as_str(), event.flags.cancelled)).collect();
    assert_eq!(cancelled, BTreeMap::from([("7", false), ("7-o1", false)]));
}

/// M23: moved after that, it has its planned length again, not that of the run that HubSpot holds.
#[test]
fn moved_webinar_has_its_planned_length_over_a_restored_copy() {
    let start = WebinarFields { start: Some(START), ..named("Copy") };
    let fields = WebinarFields { end: EndTime::after_minutes(90), ..start };
    let created = Change {
        shape: Some(Shape::Single),
        full_picture: true,
        ..change(ChangeKind::Updated, 5, fields)
    };
    let bases = above(1, "7", BaseFields { completed: true, ..held() });
    let over = input(std::slice::from_ref(&created), &bases);
    assert_eq!((over.end_date_time, over.event_completed), (Some(END), true));
    let later = END.plus(std::time::Duration::from_hours(24));
    let fields = WebinarFields { start: Some(later), ..WebinarFields::default() };
    let moved = change(ChangeKind::Updated, END.get() + 60_000, fields);
    let moved = input(&[created, moved], &bases);
    let end = later.plus(std::time::Duration::from_mins(90));
    assert_eq!((moved.end_date_time, moved.event_completed), (Some(end), false));
}

/// The flags of the series' events over what HubSpot held of the occurrences `o1` and `o2`.
fn cancelled_of_series(changes: &[Change], held_as_cancelled: [bool; 2]) -> [bool; 2] {
    let position = BasePosition::AboveReceipt(1);
    let bases = ["7-o1", "7-o2"].into_iter().zip(held_as_cancelled).map(|(id, cancelled)| {
        let fields = BaseFields { cancelled, ..held() };
        (id.to_owned(), BaseState::Read(Box::new(Base { position, fields })))
    });
    let bases = EventBases { known: bases.collect(), ..EventBases::default() };
    let account = ExternalAccountId::parse("acct").expect("valid");
    let events = fold_with_bases(&merged(changes), &bases, &account, &id(), &policy(), NOW);
    [0, 1].map(|n| events[n].flags.cancelled)
}

/// M23: a series that is recovered takes back its own cancellation, not that of a single occurrence.
#[test]
fn recovered_series_recovers_no_occurrence_that_hubspot_holds_as_cancelled_alone() {
    let both = dates(OccurrenceListing::Full, 5, vec![date("o1", 0), date("o2", 1)]);
    let on = WebinarFields { cancelled: Some(false), ..WebinarFields::default() };
    let changes = [both, change(ChangeKind::Recovered, 6, on)];
    assert_eq!(cancelled_of_series(&changes, [false, true]), [false, true]);
    assert_eq!(cancelled_of_series(&changes, [true, true]), [false, false]);
    assert_eq!(cancelled_of_series(&changes[..1], [true, true]), [true, true]);
}

/// M23: HubSpot holds no times any more, until a start is reported.
#[test]
fn webinar_without_times_stays_so_over_a_restored_copy() {
    let fields = WebinarFields { start: Some(START), ..named("Copy") };
    let created = Change {
        shape: Some(Shape::Single),
        full_picture: true,
        ..change(ChangeKind::Updated, 5, fields)
    };
    let bases = above(1, "7", BaseFields { start: None, end: None, ..held() });
    let renamed = change(ChangeKind::Updated, 6, named("Later"));
    let input_of = |changes: &[Change]| input(changes, &bases);
    let later = input_of(&[created.clone(), renamed.clone()]);
    assert_eq!((later.event_name.as_str(), later.start_date_time), ("Later", None));
    let fields = WebinarFields { start: Some(END), ..WebinarFields::default() };
    let moved = input_of(&[created, renamed, change(ChangeKind::Updated, 7, fields)]);
    assert_eq!(moved.start_date_time, Some(END));
}

/// M23, M27: the one event that HubSpot holds instead of the copy's series has no times if HubSpot holds none.
#[test]
fn event_without_times_takes_the_place_of_a_restored_copys_series() {
    let mut fields = BaseFields { start: None, end: None, ..held() };
    let series = dates(OccurrenceListing::Full, 5, vec![date("o1", 0)]);
    let times = |fields: &BaseFields| {
        let mut bases = above(1, "7", fields.clone());
        let position = BasePosition::AboveReceipt(1);
        let off = BaseFields { cancelled: true, ..super::held() };
        let off = BaseState::Read(Box::new(Base { position, fields: off }));
        bases.known.insert("7-o1".to_owned(), off);
        let account = ExternalAccountId::parse("acct").expect("valid");
        let merged = merged(std::slice::from_ref(&series));
        let events = fold_with_bases(&merged, &bases, &account, &id(), &policy(), NOW);
        let whole = events.iter().find(|event| event.id.as_str() == "7").expect("it is there");
        assert!(!whole.flags.cancelled);
        (whole.start, whole.end)
    };
    assert_eq!(times(&fields), (None, None));
    fields.start = Some(START);
    assert_eq!(times(&fields).0, Some(START));
}

/// A date of the series, `from` days after the start, of an hour.
fn date(id: &str, from: i64) -> OccurrenceChange {
    let start = Millis::new(START.get() + from * 86_400_000);
    let fields = WebinarFields { start: Some(start), ..WebinarFields::default() };
    OccurrenceChange { id: OccurrenceId::parse(id).expect("valid"), fields }
}

fn dates(listing: OccurrenceListing, at: i64, occurrences: Vec<OccurrenceChange>) -> Change {
    let whole = WebinarFields { end: EndTime::after_minutes(60), ..named("New") };
    let shape = Some(Shape::Series);
    let kind = ChangeKind::Updated;
    Change { shape, full_picture: true, occurrences, listing, ..change(kind, at, whole) }
}

/// The days from the start to the first date, and to the last one that ends the event.
fn days(changes: &[Change], position: BasePosition, fields: &BaseFields) -> (i64, i64, bool) {
    let base = Base { position, fields: fields.clone() };
    let known = BTreeMap::from([("7".to_owned(), BaseState::Read(Box::new(base)))]);
    let bases = EventBases { known, ..EventBases::default() };
    let policy = Policy { organizer: None, recurring: RecurringMode::Series, ..policy() };
    let input = folded(changes, &bases, &policy).content.expect("complete");
    let day = |at: Millis, from: Millis| (at.get() - from.get()) / 86_400_000;
    let (start, end) =
        (input.start_date_time.expect("a start"), input.end_date_time.expect("an end"));
    (day(start, START), day(end, END), input.event_completed)
}

/// What HubSpot held of a series of ten days that is one event.
fn held_series() -> BaseFields {
    BaseFields { end: Some(Millis::new(END.get() + 10 * 86_400_000)), ..held() }
}

/// M23, M27: the dates of the one event of a series are newer in HubSpot than in the copy, until they are heard of.
#[test]
fn dates_of_a_series_that_is_one_event_hold_over_a_restored_copy() {
    let partial = OccurrenceListing::Partial;
    let copy =
        dates(OccurrenceListing::Full, 5, vec![date("o1", -1), date("o2", 2), date("o3", 20)]);
    let fields = held_series();
    let position = BasePosition::AboveReceipt(1);
    let fold = |later: &[Change]| {
        let changes: Vec<Change> = [&copy].into_iter().chain(later).cloned().collect();
        days(&changes, position, &fields)
    };
    assert_eq!(fold(&[]), (0, 10, false), "nothing is heard of");
    let text = change(ChangeKind::Updated, 6, named("Newer"));
    assert_eq!(fold(&[text]), (0, 10, false), "a text moves no date");
    assert_eq!(fold(&[dates(partial, 6, vec![date("o2", 3)])]), (0, 10, false), "one within");
    assert_eq!(fold(&[dates(partial, 6, vec![date("o4", 12)])]), (0, 12, false), "one after");
    assert_eq!(fold(&[dates(partial, 6, vec![date("o0", -3)])]), (-3, 10, false), "one before");
    let list = dates(OccurrenceListing::Full, 6, vec![date("o2", 2), date("o3", 4)]);
    assert_eq!(fold(&[list]), (2, 4, false), "all of them");
    // The date that HubSpot shows as the last one is heard of, and moved.
    let moved = [dates(partial, 6, vec![date("o4", 10)]), dates(partial, 7, vec![date("o4", 9)])];
    assert_eq!(fold(&moved), (0, 9, false));
    let copy_of_base = dates(OccurrenceListing::Full, 5, vec![date("o1", 0), date("o2", 10)]);
    let moved = dates(partial, 6, vec![date("o1", 1)]);
    assert_eq!(days(&[copy_of_base.clone(), moved], position, &fields), (1, 10, false));
    let moved = dates(partial, 6, vec![date("o2", 9)]);
    assert_eq!(days(&[copy_of_base, moved], position, &fields), (0, 9, false));
}

/// M23, M27: so is whether it is completed, until a later date is heard of.
#[test]
fn completed_series_that_is_one_event_holds_over_a_restored_copy() {
    let copy = dates(OccurrenceListing::Full, 5, vec![date("o1", 0), date("o2", 20)]);
    let fields = BaseFields { completed: true, ..held_series() };
    let position = BasePosition::AboveReceipt(1);
    assert_eq!(days(std::slice::from_ref(&copy), position, &fields), (0, 10, true));
    let later = dates(OccurrenceListing::Partial, 6, vec![date("o3", 12)]);
    assert_eq!(days(&[copy, later], position, &fields), (0, 12, false));
    let at = |days: i64| Millis::new(START.get() + days * 86_400_000 + 3_600_000);
    let run = RunChange { phase: RunPhase::Ended, started_at: Some(START), ended_at: Some(at(20)) };
    let run =
        RunChange { started_at: Some(at(20).minus(std::time::Duration::from_hours(1))), ..run };
    let run = Change {
        session: Some(run),
        ..change(ChangeKind::Completed, at(20).get(), WebinarFields::default())
    };
    let copy = dates(OccurrenceListing::Full, 5, vec![date("o1", 0), date("o2", 20)]);
    let open = held_series();
    assert!(!days(&[copy.clone(), run.clone()], BasePosition::AboveReceipt(2), &open).2);
    // The last date ends.
    let ended_at = Some(at(10));
    let started_at = ended_at.map(|at| at.minus(std::time::Duration::from_hours(1)));
    let run = RunChange { phase: RunPhase::Ended, started_at, ended_at };
    let run = Change {
        session: Some(run),
        ..change(ChangeKind::Completed, at(10).get(), WebinarFields::default())
    };
    assert!(days(&[copy, run], position, &open).2);
}

/// M20, M27: a date that is heard of does not take the place of all that HubSpot holds of the others.
#[test]
fn dates_of_a_series_that_is_one_event_hold_beside_one_that_is_heard_of() {
    let partial = OccurrenceListing::Partial;
    let fields = held_series();
    let position = BasePosition::AboveCreation;
    let known = |from| dates(partial, 6, vec![date("o2", from)]);
    assert_eq!(days(&[known(3)], position, &fields), (0, 10, false));
    assert_eq!(days(&[known(12)], position, &fields), (0, 12, false));
    let full = dates(OccurrenceListing::Full, 7, vec![date("o2", 3)]);
    assert_eq!(days(&[known(3), full], position, &fields), (3, 3, false));
}

/// M23, M27: what is received since counts: the length of the dates, a recovery, and which date is the last.
#[test]
fn later_reports_change_the_one_event_of_a_series_over_a_restored_copy() {
    let copy = dates(OccurrenceListing::Full, 5, vec![date("o1", 0), date("o2", 10)]);
    let position = BasePosition::AboveReceipt(1);
    let policy = Policy { organizer: None, recurring: RecurringMode::Series, ..policy() };
    let fold = |later: Change, fields: &BaseFields| {
        let known = BaseState::Read(Box::new(Base { position, fields: fields.clone() }));
        let known = BTreeMap::from([("7".to_owned(), known)]);
        let bases = EventBases { known, ..EventBases::default() };
        folded(&[copy.clone(), later], &bases, &policy).content.expect("complete")
    };
    let held = BaseFields { name: Some("Newer".into()), ..held_series() };
    let longer = WebinarFields { end: EndTime::after_minutes(90), ..WebinarFields::default() };
    let longer = fold(change(ChangeKind::Updated, 6, longer), &held);
    let end = held.end.map(|end| end.plus(std::time::Duration::from_mins(30)));
    assert_eq!((longer.start_date_time, longer.end_date_time), (held.start, end));
    let on = WebinarFields { cancelled: Some(false), ..WebinarFields::default() };
    let off = BaseFields { cancelled: true, ..held.clone() };
    let recovered = fold(change(ChangeKind::Recovered, 6, on), &off);
    let times = (recovered.start_date_time, recovered.end_date_time);
    assert_eq!((recovered.event_cancelled, times), (false, (held.start, held.end)));
    // The first date was held, and the last one is deleted.
    let at = |minutes: i64| Some(Millis::new(START.get() + minutes * 60_000));
    let run = RunChange { phase: RunPhase::Ended, started_at: at(0), ended_at: at(50) };
    let run = Change {
        session: Some(run),
        ..change(ChangeKind::Completed, START.get() + 50 * 60_000, WebinarFields::default())
    };
    let fields = WebinarFields { cancelled: Some(true), ..WebinarFields::default() };
    let id = OccurrenceId::parse("o2").expect("valid");
    let deleted = Change {
        occurrences: vec![OccurrenceChange { id, fields }],
        ..change(ChangeKind::Cancelled, START.get() + 60 * 60_000, WebinarFields::default())
    };
    let known =
        BaseState::Read(Box::new(Base { position: BasePosition::AboveReceipt(2), fields: held }));
    let bases =
        EventBases { known: BTreeMap::from([("7".to_owned(), known)]), ..EventBases::default() };
    let over = folded(&[copy.clone(), run, deleted], &bases, &policy).content.expect("complete");
    assert_eq!((over.event_completed, over.end_date_time), (true, at(50)));
}

/// M23: also where HubSpot holds the others as the copy had them confirmed.
#[test]
fn recovered_series_recovers_no_occurrence_cancelled_alone_beside_confirmed_ones() {
    let both = dates(OccurrenceListing::Full, 5, vec![date("o1", 0), date("o2", 1)]);
    let on = WebinarFields { cancelled: Some(false), ..WebinarFields::default() };
    let changes = [both, change(ChangeKind::Recovered, 6, on)];
    let fields = BaseFields { cancelled: true, ..held() };
    let mut bases = above(1, "7-o2", fields);
    bases.known.insert("7-o1".to_owned(), BaseState::NotNeeded);
    let account = ExternalAccountId::parse("acct").expect("valid");
    let events = fold_with_bases(&merged(&changes), &bases, &account, &id(), &policy(), NOW);
    assert_eq!([0, 1].map(|n| events[n].flags.cancelled), [false, true]);
}

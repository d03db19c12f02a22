//! Filters, and properties that are computed.

use super::*;
use crate::event::{CustomProperty, EventExpressionError, compile_event_expression};

fn only(text: &str) -> Policy {
    Policy { only: Some(compile_event_expression(text).expect(text)), ..policy() }
}

fn computed(text: &str) -> Policy {
    let property = CustomProperty::Computed(compile_event_expression(text).expect(text));
    Policy { custom_properties: BTreeMap::from([("computed".to_owned(), property)]), ..policy() }
}

fn folded(told: &Told, policy: &Policy) -> FoldedEvent {
    told.fold_with(policy, 0).remove("7").expect("there is one event")
}

fn gaps(told: &Told, policy: &Policy) -> Vec<Gap> {
    folded(told, policy).content.err().unwrap_or_default()
}

/// The property `computed`, and the remarks.
fn property(told: &Told, policy: &Policy) -> (Option<String>, Vec<Gap>) {
    let mut event = folded(told, policy);
    let input = event.content.as_mut().expect("it is sent");
    (input.custom_properties.remove("computed"), event.warnings)
}

fn described() -> Told {
    let mut told = Told::single();
    told.say(-DAY, |change| {
        change.whole = WebinarFields {
            description: Some("About roots\nand branches".into()),
            registration_url: Some("https://x.example/r".into()),
            custom: BTreeMap::from([
                ("level".to_owned(), "3".to_owned()),
                ("computed".to_owned(), "said".to_owned()),
                ("gone".to_owned(), String::new()),
            ]),
            ..WebinarFields::default()
        };
    });
    told
}

#[test]
fn what_the_filter_refuses_is_held_and_shown() {
    let mut told = Told::single();
    let policy = only("!event.name.startsWith('Internal')");
    assert_eq!(gaps(&told, &policy), []);
    told.say(-DAY, |change| change.whole.name = Some("Internal: dry run".into()));
    let event = folded(&told, &policy);
    assert_eq!(event.content, Err(vec![Gap::Filtered]));
    assert_eq!((event.name.as_deref(), event.start), (Some("Internal: dry run"), Some(at(0))));
    told.say(-HOUR, |change| change.whole.name = Some("Roots".into()));
    assert_eq!(gaps(&told, &policy), []);
}

#[test]
fn a_filter_that_does_not_answer_holds_too() {
    let told = described();
    for unanswered in [
        "event.custom.language == 'de'",
        "event.name + 1 == 'a'",
        "event.custom.level > 2",
        "event.name",
        "null",
        "1 / 0 == 1",
    ] {
        assert_eq!(gaps(&told, &only(unanswered)), [Gap::FilterFailed], "{unanswered}");
    }
    assert_eq!(
        gaps(&told, &only("has(event.custom.language) && event.custom.language == 'de'")),
        [Gap::Filtered]
    );
    assert_eq!(gaps(&told, &only("int(event.custom.level) > 2")), []);
}

#[test]
fn the_filter_is_asked_of_what_is_complete() {
    let told = Told::single();
    let nobody = Policy { organizer: None, ..only("1 / 0 == 1") };
    assert_eq!(gaps(&told, &nobody), [Gap::Organizer]);
}

#[test]
fn expressions_see_the_event_as_hubspot_would_get_it() {
    let told = described();
    for (asked, answer) in [
        ("event.name", "Name"),
        ("event.organizer", "Acme"),
        ("event.description", "About roots\nand branches"),
        ("event.type", "WEBINAR"),
        ("event.url", "https://x.example/r"),
        ("event.start", "2026-03-02T10:00:00Z"),
        ("event.end - event.start == duration('1h')", "true"),
        ("event.cancelled || event.completed", "false"),
        ("event.external_event_id + '@' + event.external_account_id", "7@acct"),
        ("event.custom.level", "3"),
        ("event['custom']['level']", "3"),
        ("event.custom.map(name, name).join(' ')", "computed level"),
        ("size(event.name)", "4"),
        ("1.0 / 4.0", "0.25"),
        ("string(event.start.getFullYear())", "2026"),
        ("' a\u{0}b '", "ab"),
    ] {
        assert_eq!(property(&told, &computed(asked)), (Some(answer.into()), vec![]), "{asked}");
    }
    let bare = Told::single();
    for (asked, answer) in [
        ("event.description == '' && event.url == '' && size(event.custom) == 0", "true"),
        ("has(event.custom.level)", "false"),
    ] {
        assert_eq!(property(&bare, &computed(asked)).0.as_deref(), Some(answer), "{asked}");
    }
    let mut timeless = Told::single();
    timeless.say(-HOUR, |change| change.shape = Some(Shape::Timeless));
    let asked = computed("has(event.start) || has(event.end)");
    assert_eq!(property(&timeless, &asked).0.as_deref(), Some("false"));
    let timed = Policy {
        complete_after_end: Some(Duration::ZERO),
        organizer: Some("Beta".into()),
        ..computed("event.organizer + ' ' + string(event.completed)")
    };
    let over = bare.fold_with(&timed, HOUR).remove("7").expect("one").content.expect("it is sent");
    assert_eq!(over.custom_properties["computed"], "Beta true", "as time completes it");
}

#[test]
fn a_property_that_says_nothing_is_left_out_and_one_that_fails_is_remarked_on() {
    let told = Told::single();
    for nothing in ["event.custom.level", "''", "' '", "null", "event.description"] {
        assert_eq!(property(&told, &computed(nothing)), (None, vec![]), "{nothing}");
    }
    for failing in
        ["event.name + 1", "int(event.name)", "[1]", "event.custom", "1.0 / 0.0", "1 / 0"]
    {
        let remarks = vec![Gap::PropertyFailed];
        assert_eq!(property(&told, &computed(failing)), (None, remarks), "{failing}");
    }
}

#[test]
fn a_computed_property_goes_before_what_it_sees_and_a_text_after() {
    let told = described();
    let said = |policy: &Policy| property(&told, policy).0;
    assert_eq!(said(&policy()).as_deref(), Some("said"));
    assert_eq!(said(&computed("event.custom.computed + '!'")).as_deref(), Some("said!"));
    assert_eq!(said(&computed("event.custom.other")).as_deref(), Some("said"), "it says nothing");
    let text = BTreeMap::from([("computed".to_owned(), CustomProperty::Text("fixed".into()))]);
    let text = Policy { custom_properties: text, ..policy() };
    assert_eq!(said(&text).as_deref(), Some("said"));
    assert_eq!(property(&Told::single(), &text).0.as_deref(), Some("fixed"));
}

#[test]
fn each_event_of_a_series_is_asked_for_itself() {
    let told = Told::series();
    let events = told.fold_with(&only("event.start.getDate() != 3"), 0);
    let sent = events.values().map(|event| event.content.is_ok());
    assert_eq!(sent.collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn what_no_event_has_is_refused_at_the_start() {
    for (text, field) in [
        ("event.nmae == ''", "nmae"),
        ("'topic' in event", "topic"),
        ("event['custom_']", "custom_"),
    ] {
        let refused = EventExpressionError::Field(field.into());
        assert_eq!(compile_event_expression(text), Err(refused), "{text}");
    }
    for text in ["name", "event.name.upper()", "event.name ="] {
        let refused = compile_event_expression(text);
        assert!(matches!(refused, Err(EventExpressionError::Expression(_))), "{text}");
    }
}

/// Of the steps of an evaluation, hundreds would stop all receipts for minutes.
#[test]
fn the_events_of_a_webinar_share_their_steps() {
    let mut told = Told::series();
    told.say(-DAY, |change| {
        change.whole.description = Some("a".repeat(60_000));
        change.occurrences =
            (0..80).map(|day| occurrence(&format!("n{day:02}"), at(day * DAY))).collect();
    });
    // 960,000 steps, which take no time.
    let policy = only(r"!event.description.matches('^x\\w+@\\w+')");
    let events = told.fold_with(&policy, 0);
    let sent = events.values().take_while(|event| event.content.is_ok()).count();
    assert!((20..30).contains(&sent), "{sent}");
    for event in events.values().skip(sent) {
        assert_eq!(event.content, Err(vec![Gap::FilterFailed]));
    }
    assert_eq!(told.fold_with(&policy, 0), events);
    let usual = told.fold_with(&only("!event.name.matches('(?i)internal')"), 0);
    assert!(usual.len() > 80 && usual.values().all(|event| event.content.is_ok()));
}

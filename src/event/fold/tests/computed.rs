//! Filters and computed properties.

use super::*;
use crate::event::{CustomProperty, EventExpressionError, compile_event_expression};

fn only(text: &str) -> Policy {
    Policy { only: vec![compile_event_expression(text).expect(text)], ..policy() }
}

fn computed(text: &str) -> Policy {
    let property = CustomProperty::Computed(compile_event_expression(text).expect(text));
    Policy { custom_properties: BTreeMap::from([("computed".to_owned(), property)]), ..policy() }
}

fn folded(webinar: &TestWebinar, policy: &Policy) -> FoldedEvent {
    webinar.fold_with(policy, 0).remove("7").expect("there is one event")
}

fn gaps(webinar: &TestWebinar, policy: &Policy) -> Vec<Gap> {
    folded(webinar, policy).content.err().unwrap_or_default()
}

/// The property `computed`, and the warnings.
fn property(webinar: &TestWebinar, policy: &Policy) -> (Option<String>, Vec<Gap>) {
    let mut event = folded(webinar, policy);
    let input = event.content.as_mut().expect("it is sent");
    (input.custom_properties.remove("computed"), event.warnings)
}

fn described() -> TestWebinar {
    let mut webinar = TestWebinar::single();
    webinar.report(-DAY, |change| {
        change.whole = WebinarFields {
            description: Some("About roots\nand branches".into()),
            registration_url: Some("https://x.example/r".into()),
            custom: BTreeMap::from([
                ("level".to_owned(), "3".to_owned()),
                ("computed".to_owned(), "reported".to_owned()),
                ("gone".to_owned(), String::new()),
            ]),
            ..WebinarFields::default()
        };
    });
    webinar
}

#[test]
fn event_refused_by_the_filter_is_held_and_shown() {
    let mut webinar = TestWebinar::single();
    let policy = only("!event.name.startsWith('Internal')");
    assert_eq!(gaps(&webinar, &policy), []);
    webinar.report(-DAY, |change| change.whole.name = Some("Internal: dry run".into()));
    let event = folded(&webinar, &policy);
    assert_eq!(event.content, Err(vec![Gap::Filtered]));
    assert_eq!((event.name.as_deref(), event.start), (Some("Internal: dry run"), Some(at(0))));
    webinar.report(-HOUR, |change| change.whole.name = Some("Roots".into()));
    assert_eq!(gaps(&webinar, &policy), []);
}

#[test]
fn filter_that_fails_holds_the_event() {
    let webinar = described();
    for failing in [
        "event.custom.language == 'de'",
        "event.name + 1 == 'a'",
        "event.custom.level > 2",
        "event.name",
        "null",
        "1 / 0 == 1",
    ] {
        assert_eq!(gaps(&webinar, &only(failing)), [Gap::FilterFailed], "{failing}");
    }
    assert_eq!(
        gaps(&webinar, &only("has(event.custom.language) && event.custom.language == 'de'")),
        [Gap::Filtered]
    );
    assert_eq!(gaps(&webinar, &only("int(event.custom.level) > 2")), []);
}

#[test]
fn filter_is_not_evaluated_for_an_incomplete_event() {
    let webinar = TestWebinar::single();
    let nobody = Policy { organizer: None, ..only("1 / 0 == 1") };
    assert_eq!(gaps(&webinar, &nobody), [Gap::Organizer]);
}

#[test]
fn expressions_read_the_event_as_hubspot_gets_it() {
    let webinar = described();
    for (expression, expected) in [
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
        assert_eq!(
            property(&webinar, &computed(expression)),
            (Some(expected.into()), vec![]),
            "{expression}"
        );
    }
    let bare = TestWebinar::single();
    for (expression, expected) in [
        ("event.description == '' && event.url == '' && size(event.custom) == 0", "true"),
        ("has(event.custom.level)", "false"),
    ] {
        assert_eq!(
            property(&bare, &computed(expression)).0.as_deref(),
            Some(expected),
            "{expression}"
        );
    }
    let mut timeless = TestWebinar::single();
    timeless.report(-HOUR, |change| change.shape = Some(Shape::Timeless));
    let expression = computed("has(event.start) || has(event.end)");
    assert_eq!(property(&timeless, &expression).0.as_deref(), Some("false"));
    let timed = Policy {
        complete_after_end: Some(Duration::ZERO),
        organizer: Some("Beta".into()),
        ..computed("event.organizer + ' ' + string(event.completed)")
    };
    let over = bare.fold_with(&timed, HOUR).remove("7").expect("one").content.expect("it is sent");
    assert_eq!(over.custom_properties["computed"], "Beta true", "the timer completes it");
}

#[test]
fn computed_property_without_a_value_is_left_out_and_a_failing_one_warns() {
    let webinar = TestWebinar::single();
    for nothing in ["event.custom.level", "''", "' '", "null", "event.description"] {
        assert_eq!(property(&webinar, &computed(nothing)), (None, vec![]), "{nothing}");
    }
    for failing in
        ["event.name + 1", "int(event.name)", "[1]", "event.custom", "1.0 / 0.0", "1 / 0"]
    {
        let warnings = vec![Gap::PropertyFailed];
        assert_eq!(property(&webinar, &computed(failing)), (None, warnings), "{failing}");
    }
}

#[test]
fn computed_property_overrides_the_platform_and_a_fixed_text_does_not() {
    let webinar = described();
    let value = |policy: &Policy| property(&webinar, policy).0;
    assert_eq!(value(&policy()).as_deref(), Some("reported"));
    assert_eq!(value(&computed("event.custom.computed + '!'")).as_deref(), Some("reported!"));
    assert_eq!(
        value(&computed("event.custom.other")).as_deref(),
        Some("reported"),
        "it has no value"
    );
    let text = BTreeMap::from([("computed".to_owned(), CustomProperty::Text("fixed".into()))]);
    let text = Policy { custom_properties: text, ..policy() };
    assert_eq!(value(&text).as_deref(), Some("reported"));
    assert_eq!(property(&TestWebinar::single(), &text).0.as_deref(), Some("fixed"));
}

#[test]
fn filter_applies_to_each_event_of_a_series() {
    let webinar = TestWebinar::series();
    let events = webinar.fold_with(&only("event.start.getDate() != 3"), 0);
    let sent = events.values().map(|event| event.content.is_ok());
    assert_eq!(sent.collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn expression_over_an_unknown_field_is_refused() {
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

/// With a budget of its own, each of hundreds of events could delay all receipts, together by minutes.
#[test]
fn events_of_one_webinar_share_the_step_budget() {
    let mut webinar = TestWebinar::series();
    webinar.report(-DAY, |change| {
        change.whole.description = Some("a".repeat(60_000));
        change.occurrences =
            (0..80).map(|day| occurrence(&format!("n{day:02}"), at(day * DAY))).collect();
    });
    // 960,000 steps, which take little time.
    let policy = only(r"!event.description.matches('^x\\w+@\\w+')");
    let events = webinar.fold_with(&policy, 0);
    let sent = events.values().take_while(|event| event.content.is_ok()).count();
    assert!((20..30).contains(&sent), "{sent}");
    for event in events.values().skip(sent) {
        assert_eq!(event.content, Err(vec![Gap::FilterFailed]));
    }
    assert_eq!(webinar.fold_with(&policy, 0), events);
    let usual = webinar.fold_with(&only("!event.name.matches('(?i)internal')"), 0);
    assert!(usual.len() > 80 && usual.values().all(|event| event.content.is_ok()));
}

use std::collections::BTreeMap;

use super::*;
use crate::event::policy::tests::policy;
use crate::event::webinar::Provenance;
use crate::event::{
    Change, ChangeKind, CustomProperty, EndTime, ExternalAccountId, FoldedEvent, Gap,
    OccurrenceChange, OccurrenceId, OccurrenceListing, Origin, Policy, ProviderId, ReceiptId,
    RecurringMode, RunChange, RunPhase, Shape, SourceName, Webinar, WebinarFields, WebinarId,
    compile_event_expression, fold_with_bases,
};

mod restored_copy;

const START: Millis = Millis::new(1_800_000_000_000);
const END: Millis = Millis::new(1_800_003_600_000);
const NOW: Millis = Millis::new(9_000_000_000);

fn id() -> WebinarId {
    WebinarId::parse("7").expect("valid")
}

/// What HubSpot held: every field.
fn held() -> BaseFields {
    BaseFields {
        name: Some("Held".into()),
        organizer: Some("Held organizer".into()),
        event_type: Some("CONFERENCE".into()),
        description: Some("Held description".into()),
        url: Some("https://example.com/held".into()),
        start: Some(START),
        end: Some(END),
        cancelled: false,
        completed: false,
        custom: BTreeMap::from([("seats".to_owned(), "7".to_owned())]),
    }
}

fn read(fields: BaseFields) -> EventBases {
    let base = Base { position: BasePosition::AboveCreation, fields };
    let known = BTreeMap::from([("7".to_owned(), BaseState::Read(Box::new(base)))]);
    EventBases { known, ..EventBases::default() }
}

fn change(kind: ChangeKind, at: i64, whole: WebinarFields) -> Change {
    let is_creation = kind == ChangeKind::Created;
    Change { is_creation, occurred_at: Some(Millis::new(at)), whole, ..Change::new(id(), kind) }
}

fn named(name: &str) -> WebinarFields {
    WebinarFields { name: Some(name.into()), ..WebinarFields::default() }
}

fn merged(changes: &[Change]) -> Webinar {
    let mut webinar = Webinar::default();
    for (n, change) in (1_u8..).zip(changes) {
        let origin = Origin {
            source: SourceName::parse("zoom").expect("valid"),
            provider: ProviderId::new("zoom"),
            event_type: "test".into(),
            reported_at: change.occurred_at,
            received_at: Millis::new(8_000_000_000),
        };
        let order = webinar.next_order(n.into(), Millis::new(8_000_000_000));
        let receipt = ReceiptId::from_bytes([n; 16]);
        let provenance = Provenance { receipt, order, place: 0, origin };
        webinar.merge(change, &provenance).expect("it joins");
    }
    webinar
}

fn folded(changes: &[Change], bases: &EventBases, policy: &Policy) -> FoldedEvent {
    let account = ExternalAccountId::parse("acct").expect("valid");
    let events = fold_with_bases(&merged(changes), bases, &account, &id(), policy, NOW);
    let [event]: [FoldedEvent; 1] = events.try_into().expect("one event");
    event
}

fn input(changes: &[Change], bases: &EventBases) -> EventInput {
    let policy = Policy { organizer: None, ..policy() };
    folded(changes, bases, &policy).content.expect("nothing is missing")
}

/// M20: a later report keeps all that HubSpot held beside it.
#[test]
fn single_report_over_a_base_keeps_the_other_fields() {
    let input = input(&[change(ChangeKind::Updated, 5, named("New"))], &read(held()));
    let expected = BaseFields { name: Some("New".into()), ..held() };
    assert_eq!(BaseFields::from_input(&input), expected);
    assert_eq!(BaseFields::from_stored_input(&input.to_json()), Some(expected));
    assert_eq!(input.external_event_id, "7");
}

/// M20: above the creation, below everything else.
#[test]
fn base_wins_over_the_creation_and_over_no_report() {
    let created = Change {
        shape: Some(Shape::Single),
        full_picture: true,
        ..change(
            ChangeKind::Created,
            1,
            WebinarFields {
                organizer: Some("Platform".into()),
                description: Some("Platform description".into()),
                start: Some(Millis::new(1_000)),
                end: EndTime::after_minutes(5),
                ..named("Created")
            },
        )
    };
    let over_creation = input(std::slice::from_ref(&created), &read(held()));
    // Organizer, type and properties fill in only what neither platform nor source sets.
    let expected = BaseFields { organizer: Some("Platform".into()), ..held() };
    assert_eq!(BaseFields::from_input(&over_creation), expected);
    let moved = WebinarFields { start: Some(Millis::new(20_000)), ..named("Later") };
    let updated = change(ChangeKind::Updated, 5, moved);
    let after = input(&[created, updated], &read(held()));
    assert_eq!(
        (after.event_name.as_str(), after.start_date_time),
        ("Later", Some(Millis::new(20_000)))
    );
    assert_eq!(after.end_date_time, Some(Millis::new(3_620_000)), "the end is a distance");
    assert_eq!(after.event_description.as_deref(), Some("Held description"));
}

#[test]
fn absent_fields_and_false_flags_of_a_base_say_nothing() {
    let created = Change {
        shape: Some(Shape::Single),
        full_picture: true,
        ..change(
            ChangeKind::Created,
            1,
            WebinarFields {
                start: Some(START),
                end: EndTime::after_minutes(60),
                ..named("Created")
            },
        )
    };
    let off = WebinarFields { cancelled: Some(true), ..WebinarFields::default() };
    let cancelled = change(ChangeKind::Cancelled, 5, off);
    let nothing = read(BaseFields { organizer: Some("Held".into()), ..BaseFields::default() });
    let input = input(&[created, cancelled], &nothing);
    assert!(input.event_cancelled);
    assert_eq!((input.event_name.as_str(), input.start_date_time), ("Created", Some(START)));
}

#[test]
fn cancelled_holds_until_a_report_takes_it_back() {
    let bases = read(BaseFields { cancelled: true, ..held() });
    let renamed = change(ChangeKind::Updated, 5, named("New"));
    assert!(input(std::slice::from_ref(&renamed), &bases).event_cancelled, "A19");
    let on = WebinarFields { cancelled: Some(false), ..WebinarFields::default() };
    let recovered = change(ChangeKind::Recovered, 6, on);
    assert!(!input(&[renamed, recovered], &bases).event_cancelled);
}

#[test]
fn completed_holds_only_for_the_start_beside_it() {
    let bases = read(BaseFields { completed: true, ..held() });
    let renamed = change(ChangeKind::Updated, 5, named("New"));
    assert!(input(std::slice::from_ref(&renamed), &bases).event_completed, "A4b");
    let start = Some(Millis::new(START.get() + 1));
    let moved = change(ChangeKind::Updated, 6, WebinarFields { start, ..WebinarFields::default() });
    assert!(!input(&[renamed, moved], &bases).event_completed);
}

#[test]
fn link_of_a_base_fills_in_only_where_none_is_known() {
    let link = |fields| input(&[change(ChangeKind::Updated, 5, fields)], &read(held())).event_url;
    assert_eq!(link(named("New")).as_deref(), Some("https://example.com/held"));
    let joined = WebinarFields { join_url: Some("https://example.com/j".into()), ..named("New") };
    assert_eq!(link(joined).as_deref(), Some("https://example.com/j"));
}

#[test]
fn link_that_a_report_removed_stays_removed() {
    let removed =
        WebinarFields { registration_url: Some(String::new()), ..WebinarFields::default() };
    let updated = change(ChangeKind::Updated, 5, WebinarFields { ..removed.clone() });
    assert_eq!(
        input(&[change(ChangeKind::Updated, 4, named("New")), updated], &read(held())).event_url,
        None
    );
    let created = change(ChangeKind::Created, 5, WebinarFields { ..removed });
    let url = input(&[created], &read(held())).event_url;
    assert_eq!(
        url.as_deref(),
        Some("https://example.com/held"),
        "a creation comes before the base"
    );
}

/// M20 with `recurring = "series"`: the one event's texts and calling off are kept, and its times, which those of one
/// occurrence within them do not change.
#[test]
fn base_of_a_series_that_is_one_event_is_kept() {
    let start = Some(Millis::new(START.get() + 5));
    let occurrence = OccurrenceChange {
        id: OccurrenceId::parse("o1").expect("valid"),
        fields: WebinarFields { start, ..WebinarFields::default() },
    };
    let listed = Change {
        shape: Some(Shape::Series),
        occurrences: vec![occurrence],
        listing: OccurrenceListing::Partial,
        ..change(ChangeKind::Updated, 5, named("New"))
    };
    let bases = read(BaseFields { cancelled: true, ..held() });
    let policy = Policy { organizer: None, recurring: RecurringMode::Series, ..policy() };
    let input = folded(&[listed], &bases, &policy).content.expect("nothing is missing");
    let expected = BaseFields { name: Some("New".into()), cancelled: true, ..held() };
    assert_eq!(BaseFields::from_input(&input), expected);
}

/// M20: what a source computes is computed again.
#[test]
fn computed_property_of_a_base_is_dropped() {
    let mut policy = Policy { organizer: None, ..policy() };
    let expression = compile_event_expression("event.name == 'Never' ? 'x' : ''").expect("valid");
    let computed = CustomProperty::Computed(expression);
    policy.custom_properties.insert("seats".to_owned(), computed);
    let event = folded(&[change(ChangeKind::Updated, 5, named("New"))], &read(held()), &policy);
    let custom = event.content.expect("nothing is missing").custom_properties;
    assert_ne!(custom.get("seats").map(String::as_str), Some("7"));
}

#[test]
fn property_of_a_base_fills_in_only_what_nobody_says() {
    let removed = BTreeMap::from([("seats".to_owned(), String::new())]);
    let removed = WebinarFields { custom: removed, ..named("New") };
    let input = input(&[change(ChangeKind::Updated, 5, removed)], &read(held()));
    assert_eq!(input.custom_properties, BTreeMap::new(), "the platform removed it");
    let own = BTreeMap::from([("hs_event_status".to_owned(), "PAST".to_owned())]);
    let cleaned = BaseFields { custom: own, ..held() }.cleaned();
    assert_eq!(cleaned.custom, BTreeMap::new());
}

#[test]
fn source_default_wins_over_the_base() {
    let changes = [change(ChangeKind::Updated, 5, named("New"))];
    let event = folded(&changes, &read(held()), &policy());
    assert_eq!(event.content.expect("complete").event_organizer, "Acme");
}

/// M19, M21: an event waits for its base, and is not made of less than a full picture where there is none.
#[test]
fn unread_base_holds_the_event_and_an_absent_one_keeps_nothing() {
    let created = Change {
        shape: Some(Shape::Single),
        full_picture: true,
        ..change(ChangeKind::Created, 1, WebinarFields { start: Some(START), ..named("Created") })
    };
    let bases = |of_new_event| EventBases { of_new_event, ..EventBases::default() };
    let unread = bases(BaseState::unread(BasePosition::AboveCreation));
    let event = folded(std::slice::from_ref(&created), &unread, &policy());
    assert_eq!(event.content, Err(vec![Gap::BaseUnread]));
    let absent = bases(BaseState::Absent);
    let event = folded(std::slice::from_ref(&created), &absent, &policy());
    assert!(event.content.is_ok());
    let renamed = change(ChangeKind::Updated, 5, named("New"));
    let gaps = folded(&[renamed], &absent, &policy()).content.expect_err("nothing is made of it");
    assert!(gaps.contains(&Gap::FullPicture) && gaps.contains(&Gap::Shape), "{gaps:?}");
}

/// HubSpot holds no times of an event without times, whatever start was reported of it.
#[test]
fn completed_holds_for_an_event_without_times() {
    let fields = WebinarFields { start: Some(START), ..named("New") };
    let report = change(ChangeKind::Updated, 5, fields);
    let timeless = Change { shape: Some(Shape::Timeless), full_picture: true, ..report };
    let fields = BaseFields { start: None, end: None, completed: true, ..held() };
    assert!(input(&[timeless], &read(fields)).event_completed);
}

#[test]
fn input_is_shown_by_a_base_with_its_values_and_more() {
    let input = input(&[change(ChangeKind::Updated, 5, named("Held"))], &read(held()));
    let mut more = held();
    more.custom.insert("other".into(), "x".into());
    assert!(held().shows(&input) && more.shows(&input));
    for other in [
        BaseFields { name: Some("Other".into()), ..held() },
        BaseFields { description: None, ..held() },
        BaseFields { end: None, ..held() },
        BaseFields { cancelled: true, ..held() },
        BaseFields { custom: BTreeMap::new(), ..held() },
    ] {
        assert!(!other.shows(&input), "{other:?}");
    }
}

/// M20: the end of what is over is the actual one. An API shows the plan of it, too.
#[test]
fn plan_that_is_told_again_does_not_hide_the_end_of_what_hubspot_held_as_completed() {
    let plan = WebinarFields {
        start: Some(START),
        end: EndTime::after_minutes(90),
        ..WebinarFields::default()
    };
    let reports = [change(ChangeKind::Updated, 5, plan)];
    let completed = BaseFields { completed: true, ..held() };
    assert_eq!(input(&reports, &read(completed)).end_date_time, Some(END));
    let planned = START.plus(std::time::Duration::from_mins(90));
    assert_eq!(input(&reports, &read(held())).end_date_time, Some(planned));
}

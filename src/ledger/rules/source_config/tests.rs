use super::*;
use crate::event::policy::tests::policy;
use crate::event::webinar::{Provenance, ReceiptOrder};
use crate::event::{
    Change, ChangeKind, OccurrenceChange, OccurrenceId, OccurrenceListing, Origin, ReceiptId,
    Shape, WebinarFields, WebinarId,
};

const NOW: Millis = Millis::new(1_000_000);

fn external(name: &str) -> ExternalAccountId {
    ExternalAccountId::parse(name).expect("valid")
}

fn hubspot(name: &str) -> AccountName {
    AccountName::parse(name).expect("valid")
}

fn source(name: &str) -> SourceName {
    SourceName::parse(name).expect("valid")
}

/// A webinar with these events, which end then.
fn held(shape: Shape, events: &[(&str, Option<i64>)]) -> HeldWebinar {
    let id = WebinarId::parse("7").expect("valid");
    let mut change = Change::new(id.clone(), ChangeKind::Created);
    change.shape = Some(shape);
    if shape == Shape::Series {
        change.listing = OccurrenceListing::Full;
        let id = OccurrenceId::parse("o1").expect("valid");
        change.occurrences = vec![OccurrenceChange { id, fields: WebinarFields::default() }];
    }
    let receipt = ReceiptId::from_bytes([1; 16]);
    let origin = Origin {
        source: source("zoom"),
        provider: policy().provider,
        event_type: "created".into(),
        reported_at: None,
        received_at: NOW,
    };
    let order = ReceiptOrder { seq: 1, at: NOW };
    let mut webinar = Webinar::default();
    let provenance = Provenance { receipt, place: 0, order, origin };
    webinar.merge(&change, &provenance).expect("it merges");
    let events = events
        .iter()
        .map(|(id, end)| (ExternalEventId::from_stored((*id).to_owned()), end.map(Millis::new)));
    let key = WebinarKey { hubspot: hubspot("main"), account: external("acct"), webinar: id };
    HeldWebinar { key, webinar, events: events.collect() }
}

/// Whether a change from one policy to another is refused.
fn refuses(was: &Policy, is: &Policy, heirs: &Heirs, held: HeldWebinar) -> bool {
    let stored = StoredSource::from_policy(was);
    check_rekey((&source("zoom"), stored), is, heirs, NOW, |visit| visit(held))
        .is_err_and(|refused: ConfigRefused| matches!(refused, ConfigRefused::Rekey { .. }))
}

#[test]
fn change_is_refused_only_if_an_event_that_is_not_over_gets_another_id() {
    let single = || held(Shape::Single, &[("7", None)]);
    let series = || held(Shape::Series, &[("7-o1", None)]);
    let own = |account| Policy { external_account_id: Some(external(account)), ..policy() };
    let to_series = Policy { recurring: RecurringMode::Series, ..policy() };
    let elsewhere = Policy { hubspot: hubspot("second"), ..policy() };
    let none = Heirs::default();
    for (was, is, held, expected) in vec![
        (policy(), policy(), single(), false),
        (policy(), to_series.clone(), single(), false),
        (policy(), to_series.clone(), series(), true),
        (to_series.clone(), policy(), held(Shape::Series, &[("7", None)]), true),
        (policy(), to_series, held(Shape::Series, &[("7-o1", Some(1))]), false),
        (policy(), own("acct"), single(), false),
        (policy(), own("other"), single(), true),
        (own("acct"), policy(), single(), true),
        (own("another"), own("other"), single(), false),
        (policy(), elsewhere.clone(), single(), true),
        (policy(), elsewhere.clone(), held(Shape::Single, &[]), false),
        (elsewhere.clone(), policy(), single(), false),
    ] {
        let what = format!("{was:?} {is:?} {held:?}");
        assert_eq!(refuses(&was, &is, &none, held), expected, "{what}");
    }
    let accounts = [(hubspot("main"), hubspot("second"))].into();
    let heirs = Heirs { accounts, ..Heirs::default() };
    assert!(!refuses(&policy(), &elsewhere, &heirs, single()), "the account was renamed");
    assert!(refuses(&policy(), &policy(), &heirs, single()), "it went back to the former one");
}

#[test]
fn webinars_are_read_only_if_the_identity_changed() {
    let stored = StoredSource::from_policy(&policy());
    let heirs = Heirs::default();
    let reshaped = Policy { organizer: None, ..policy() };
    let checked = check_rekey((&source("zoom"), stored), &reshaped, &heirs, NOW, |_| {
        panic!("it is not needed")
    });
    assert_eq!(checked, Ok::<(), ConfigRefused>(()));
}

#[test]
fn source_is_reshaped_by_any_other_setting_of_its_events() {
    let stored = StoredSource::from_policy(&policy());
    let reshaped = StoredSource::from_policy(&Policy { organizer: None, ..policy() });
    assert!(is_reshaped(Some(&stored), &reshaped));
    assert!(!is_reshaped(Some(&stored), &stored));
    assert!(!is_reshaped(None, &reshaped), "the source is new");
}

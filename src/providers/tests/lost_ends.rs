//! What a platform reports as begun, and never as ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{PLATFORMS, conformance};
use crate::event::{
    AccountName, EventOwnership, ExternalAccountId, FoldedEvent, HeldEvents, Millis, Policy,
    ProviderId, RecurringMode, fold,
};

/// The one event of these fixtures' webinar, as it is at that time.
fn event(provider: &str, fixtures: &[&str], now: Millis) -> FoldedEvent {
    let platform = PLATFORMS.iter().find(|platform| platform.id.as_str() == provider);
    let platform = platform.expect("a platform");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(provider);
    let read = |name: &&str| std::fs::read(folder.join(name)).expect("a fixture");
    let bodies: Vec<Vec<u8>> = fixtures.iter().map(read).collect();
    let unconfigured = (platform.unconfigured)().expect("it needs no configuration");
    let received = Millis::new(1_800_000_000_000);
    let mut webinars = conformance::merge_bodies(unconfigured.as_ref(), &bodies, received);
    let (id, webinar) = webinars.pop_first().expect("a webinar");
    assert!(webinars.is_empty(), "{provider}");
    let policy = Policy {
        hubspot: AccountName::parse("main").expect("valid"),
        provider: ProviderId::new("any"),
        organizer: Some("Acme".to_owned()),
        event_type: None,
        external_account_id: None,
        recurring: RecurringMode::Occurrence,
        complete_after_end: None,
        only: Vec::new(),
        ownership: EventOwnership::Platform,
        custom_properties: BTreeMap::new(),
    };
    let account = ExternalAccountId::parse("a").expect("valid");
    fold(&webinar, &account, &id, &policy, &HeldEvents::new(), now).remove(0)
}

/// M18.
#[test]
fn what_began_is_completed_a_day_after_its_planned_end() {
    for (provider, begun, ended) in [
        ("livestorm", &["fetched.session_live.json"][..], None),
        ("bigbluebutton", &["meeting_created_with_a_limit.form"], None),
        ("wix", &["created.json", "started.json"], Some("ended.json")),
        ("riverside", &["created.json", "started.json"], Some("ended.json")),
    ] {
        let early = event(provider, begun, Millis::new(0));
        let end = early.end.expect("an end");
        let due = end.plus(Duration::from_hours(24));
        assert_eq!((early.due_at, early.flags.completed), (Some(due), false), "{provider}");
        assert!(event(provider, begun, due).flags.completed, "{provider}");
        if let Some(ended) = ended {
            let all = [begun, &[ended]].concat();
            let over = event(provider, &all, Millis::new(0));
            assert_eq!((over.due_at, over.flags.completed), (None, true), "{provider}");
        }
    }
}

/// M18: nobody knows whether what was only planned took place.
#[test]
fn what_never_began_is_not_completed() {
    for (provider, planned) in [
        ("livestorm", "fetched.session_upcoming.json"),
        ("wix", "created.json"),
        ("riverside", "created.json"),
    ] {
        assert_eq!(event(provider, &[planned], Millis::new(0)).due_at, None, "{provider}");
    }
}

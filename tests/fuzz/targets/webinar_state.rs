//! A webinar's state as the store returns it. A failing disk or an older version may have changed it.

use std::collections::BTreeMap;

use webinar_bridge::event::webinar::{Provenance, ReceiptOrder};
use webinar_bridge::event::{
    AccountName, Change, ChangeKind, EventOwnership, ExternalAccountId, HeldEvents, Millis,
    OccurrenceListing, Origin, Policy, ProviderId, ReceiptId, RecurringMode, RunChange, RunPhase,
    Shape, SourceName, Webinar, WebinarId, fold,
};
use webinar_bridge::providers::{Inbound, PLATFORMS, PayloadContent};

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut webinars: BTreeMap<WebinarId, Webinar> = BTreeMap::new();
    let mut seeds = Vec::new();
    for platform in PLATFORMS {
        let Some(provider) = (platform.unconfigured)() else { continue };
        let demos = (platform.demos)();
        let samples = demos.iter().flat_map(|demo| demo.samples(Millis::new(1_800_000_000_000)));
        for (number, sample) in (0..).zip(samples) {
            let reading = provider
                .read(&Inbound::from_body(&sample.body).scrub(provider.as_ref()), &[b"a secret"]);
            let PayloadContent::Changes { changes, .. } = reading.content else { continue };
            for change in changes {
                let webinar = webinars.entry(change.webinar.clone()).or_default();
                webinar.merge(&change, &provenance(number)).expect("one provider, few occurrences");
                seeds.push(serde_json::to_vec(webinar).expect("a state can be written"));
            }
        }
    }
    seeds
}

pub(super) fn check(data: &[u8]) {
    let Ok(mut webinar) = serde_json::from_slice::<Webinar>(data) else { return };
    let stored = serde_json::to_vec(&webinar).expect("a state can be written");
    let back: Webinar = serde_json::from_slice(&stored).expect("a written state can be read");
    assert_eq!(back, webinar);
    check_events(&webinar);
    let mut change = Change::new(WebinarId::parse("1").expect("an id"), ChangeKind::Updated);
    change.occurred_at = Some(Millis::new(1_800_000_000_000));
    change.shape = Some(Shape::Series);
    change.listing = OccurrenceListing::Full;
    change.whole.cancelled = Some(true);
    change.session =
        Some(RunChange { phase: RunPhase::Ended, started_at: change.occurred_at, ended_at: None });
    if webinar.merge(&change, &provenance(250)).is_ok() {
        check_events(&webinar);
    }
}

fn check_events(webinar: &Webinar) {
    let account = ExternalAccountId::parse("account").expect("an id");
    let id = WebinarId::parse("1").expect("an id");
    for recurring in [RecurringMode::Occurrence, RecurringMode::Series] {
        let policy = Policy {
            hubspot: AccountName::parse("main").expect("a name"),
            provider: ProviderId::new("zoom"),
            organizer: Some("Acme".into()),
            event_type: None,
            external_account_id: None,
            recurring,
            complete_after_end: Some(std::time::Duration::MAX),
            only: Vec::new(),
            ownership: EventOwnership::Platform,
            custom_properties: BTreeMap::new(),
        };
        for event in
            fold(webinar, &account, &id, &policy, &HeldEvents::new(), Millis::new(i64::MAX))
        {
            if let Ok(input) = event.content {
                assert!(!input.to_json().is_empty());
            }
        }
    }
}

fn provenance(number: u8) -> Provenance {
    let received_at = Millis::new(1_800_000_000_000 + i64::from(number));
    Provenance {
        receipt: ReceiptId::from_bytes([number; 16]),
        order: ReceiptOrder { seq: number.into(), at: received_at },
        place: 0,
        origin: Origin {
            source: SourceName::parse("source").expect("a name"),
            provider: ProviderId::new("zoom"),
            event_type: "an.event".into(),
            reported_at: None,
            received_at,
        },
    }
}

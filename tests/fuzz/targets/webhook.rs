//! The bodies of platforms' webhooks: their scrubbed form, their payload, and the resulting events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use webinar_bridge::event::text::{self, TEXT_MAX};
use webinar_bridge::event::webinar::{OCCURRENCES_MAX, Provenance, ReceiptOrder};
use webinar_bridge::event::{
    AccountName, Change, CustomProperty, EndTime, EventOwnership, ExternalAccountId, HeldEvents,
    Millis, OccurrenceId, Origin, Policy, ReceiptId, RecurringMode, SourceName, Webinar,
    WebinarFields, WebinarId, compile_event_expression, fold,
};
use webinar_bridge::providers::{Inbound, PLATFORMS, ParsedPayload, PayloadContent, Provider};

use super::fixtures;

/// Keys whose values no platform's stored body may hold.
const PERSONAL: [&str; 5] = ["password", "registrant", "participant", "operator", "email"];
/// Bound of a state: bytes for each byte of the body, since fields of the whole are repeated for each listed occurrence,
/// and further bytes, since texts are repeated for some.
const GROWTH: usize = 64;
const FIXED: usize = 2 * 1024 * 1024;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = fixtures("zoom").into_iter().map(|(_, body)| body).collect();
    for platform in PLATFORMS.iter().filter(|platform| (platform.unconfigured)().is_some()) {
        for demo in (platform.demos)() {
            let samples = demo.samples(Millis::new(1_800_000_000_000));
            seeds.extend(samples.into_iter().map(|sample| sample.body));
        }
    }
    // This body once gave a state of thirty megabytes. It is too long for a fixture.
    let listed: Vec<Value> = (0..500).map(|n| json!({ "occurrence_id": n })).collect();
    let object = json!({ "id": 1, "agenda": "a".repeat(60_000), "occurrences": listed });
    let payload = json!({ "scope": "single", "object": object });
    let repeated = json!({ "event": "webinar.updated", "payload": payload });
    seeds.push(repeated.to_string().into_bytes());
    seeds
}

pub(super) fn check(data: &[u8]) {
    for provider in PLATFORMS.iter().filter_map(|platform| (platform.unconfigured)()) {
        check_payload(provider.as_ref(), data);
    }
}

/// Checks a provider's reading of any body.
pub(super) fn check_payload(provider: &dyn Provider, data: &[u8]) {
    check_scrubbed(provider, data);
    let reading = read(provider, data);
    assert_eq!(
        read(provider, &provider.scrub(data)),
        reading,
        "the scrubbed body has another payload"
    );
    let name = &reading.event_type;
    assert!(
        (1..=100).contains(&name.chars().count()) && text::clean_text(name) == *name,
        "{name:?}"
    );
    match &reading.content {
        PayloadContent::Changes { changes, bad_fields } => {
            assert!(bad_fields.len() <= data.len());
            let webinars: BTreeSet<_> = changes.iter().map(|change| &change.webinar).collect();
            assert_eq!(webinars.len(), changes.len(), "two changes of one webinar");
            for change in changes {
                check_change(change);
                check_events(change, provider, data.len());
            }
        }
        PayloadContent::Ignored | PayloadContent::Excluded => {}
        PayloadContent::Unmappable(why) => assert!(!why.is_empty() && why.len() <= 300, "{why}"),
        PayloadContent::Handshake(reply) => {
            assert_eq!(reply.status, 200);
            let answer: Value = serde_json::from_slice(&reply.body).expect("a JSON answer");
            // The response contains a MAC of the token, so the token must not be the text of a signature.
            let token = answer["plainToken"].as_str().expect("the response repeats the token");
            assert!(!token.is_empty() && token.len() <= 64 && !token.contains(':'), "{token}");
        }
    }
}

fn read(provider: &dyn Provider, body: &[u8]) -> ParsedPayload {
    provider.read(&Inbound::from_body(body).scrub(provider), &[b"a secret"])
}

fn check_scrubbed(provider: &dyn Provider, body: &[u8]) {
    let scrubbed = provider.scrub(body);
    assert_eq!(provider.scrub(&scrubbed), scrubbed, "scrubbing twice changes the body");
    // A control character of a form is six of JSON.
    assert!(scrubbed.len() <= 6 * body.len() + 16, "{} bytes of {}", scrubbed.len(), body.len());
    if serde_json::from_slice::<&RawValue>(body).is_ok() {
        let still = serde_json::from_slice::<&RawValue>(&scrubbed);
        assert!(still.is_ok(), "JSON became no JSON: {}", String::from_utf8_lossy(&scrubbed));
        if let Ok(value) = serde_json::from_slice(&scrubbed) {
            check_nothing_personal(&value);
        }
    }
}

fn check_nothing_personal(value: &Value) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let plain = value.is_null() || value.is_boolean() || *value == "***";
                assert!(plain || !PERSONAL.contains(&key.as_str()), "{key}: {value}");
                check_nothing_personal(value);
            }
        }
        Value::Array(values) => values.iter().for_each(check_nothing_personal),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Checks that ids, times and texts of a change are valid and bounded.
fn check_change(change: &Change) {
    assert_eq!(WebinarId::parse(change.webinar.as_str()).as_ref(), Ok(&change.webinar));
    if let Some(account) = &change.account {
        assert_eq!(ExternalAccountId::parse(account.as_str()).as_ref(), Ok(account));
    }
    assert!(change.occurrences.len() <= OCCURRENCES_MAX);
    check_plausible(change.occurred_at);
    let session = change.session.iter().flat_map(|run| [run.started_at, run.ended_at]);
    session.for_each(check_plausible);
    check_fields(&change.whole);
    for occurrence in &change.occurrences {
        assert_eq!(OccurrenceId::parse(occurrence.id.as_str()).as_ref(), Ok(&occurrence.id));
        check_fields(&occurrence.fields);
    }
}

fn check_fields(fields: &WebinarFields) {
    for prose in [&fields.name, &fields.organizer, &fields.description, &fields.event_type] {
        let Some(prose) = prose else { continue };
        assert_eq!(text::clean_text(prose), *prose);
        assert!(prose.chars().count() <= TEXT_MAX);
    }
    assert!(fields.name.as_ref().is_none_or(|name| !name.is_empty()), "an empty title");
    for link in [&fields.registration_url, &fields.join_url] {
        let Some(link) = link.as_ref().filter(|link| !link.is_empty()) else { continue };
        assert_eq!(text::clean_link(link).as_ref(), Some(link), "a cleaned link is no link");
    }
    check_plausible(fields.start);
    check_plausible(fields.actual_end);
    match fields.end {
        Some(EndTime::At(at)) => check_plausible(Some(at)),
        Some(EndTime::After(ms)) => assert!(ms > 0 && ms <= 366 * 86_400_000, "{ms} ms"),
        None => {}
    }
}

fn check_plausible(time: Option<Millis>) {
    assert!(
        time.is_none_or(|time| Millis::from_plausible_ms(time.get()) == Some(time)),
        "{time:?}"
    );
}

/// Checks that the change merges, that repeating it changes nothing, and that the state can be stored and gives events.
fn check_events(change: &Change, provider: &dyn Provider, size: usize) {
    let provenance = Provenance {
        receipt: ReceiptId::from_bytes([7; 16]),
        order: ReceiptOrder { seq: 7, at: Millis::new(1_900_000_000_000) },
        place: 0,
        origin: Origin {
            source: SourceName::parse("source").expect("a name"),
            provider: provider.id(),
            event_type: "an.event".into(),
            reported_at: change.occurred_at,
            received_at: Millis::new(1_900_000_000_000),
        },
    };
    let mut webinar = Webinar::default();
    webinar.merge(change, &provenance).expect("a first change of one provider");
    let once = webinar.clone();
    webinar.merge(change, &provenance).expect("a repeated change merges");
    assert_eq!(webinar, once, "a repetition changed the state");

    let stored = serde_json::to_vec(&webinar).expect("a state can be written");
    let growth = GROWTH * size + FIXED;
    assert!(stored.len() <= growth, "{} bytes of state from a body of {size}", stored.len());
    let back: Webinar = serde_json::from_slice(&stored).expect("a state can be read");
    assert_eq!(back, webinar);

    let account = change.account.clone();
    let account = account.unwrap_or_else(|| ExternalAccountId::parse("account").expect("an id"));
    for recurring in [RecurringMode::Occurrence, RecurringMode::Series] {
        let policy = policy(provider, recurring);
        let events = fold(
            &webinar,
            &account,
            &change.webinar,
            &policy,
            &HeldEvents::new(),
            provenance.origin.received_at,
        );
        let ids: BTreeSet<_> = events.iter().map(|event| &event.id).collect();
        assert_eq!(ids.len(), events.len(), "two events of one id");
        for event in &events {
            assert!(event.warnings.is_empty(), "a computed property failed");
            let Ok(input) = &event.content else { continue };
            assert!(!input.event_name.is_empty());
            if let (Some(start), Some(end)) = (input.start_date_time, input.end_date_time) {
                assert!(start <= end, "{start} to {end}");
            }
            let sent: Value = serde_json::from_slice(&input.to_json()).expect("an input is JSON");
            assert_eq!(sent["externalEventId"], event.id.as_str());
            assert_eq!(sent["externalAccountId"], account.as_str());
        }
    }
}

fn policy(provider: &dyn Provider, recurring: RecurringMode) -> Policy {
    static COMPUTED: LazyLock<CustomProperty> = LazyLock::new(|| {
        let text = "event.name + ' ' + string(event.start) + event.description.substring(0, 9)";
        CustomProperty::Computed(compile_event_expression(text).expect("an expression"))
    });
    Policy {
        hubspot: AccountName::parse("main").expect("a name"),
        provider: provider.id(),
        organizer: Some("Acme".into()),
        event_type: None,
        external_account_id: None,
        recurring,
        complete_after_end: Some(std::time::Duration::from_mins(30)),
        only: Vec::new(),
        ownership: EventOwnership::Platform,
        custom_properties: BTreeMap::from([("computed".to_owned(), COMPUTED.clone())]),
    }
}

//! Checks of the bridge at rest.

use std::collections::BTreeMap;

use webinar_bridge::event::{
    AccountName, EventInput, EventKey, ExternalAccountId, ExternalEventId, Gap,
};
use webinar_bridge::ledger::{EventState, EventSummary, Ledger};
use webinar_bridge::sandbox::emulator::StoredEvent;

use super::fault_injector::FaultInjector;
use super::oracle::Name;
use super::webhooks::{LONGEST_BODY, POISON_IDENTIFIED, POISON_UNIDENTIFIED, accounts};
use super::world::World;
use crate::harness::events::AllEvents as _;

/// An account that always fails does not delay the other.
pub(super) async fn isolation(ledger: &dyn Ledger, injector: &FaultInjector) {
    let now = injector.now();
    let counts = ledger.event_counts().await.expect("it is read");
    let mut world = injector.world();
    let since_last = now.since(world.webhooks.iter().map(|w| w.due).max().unwrap_or(now));
    if !world.profile.lopsided || since_last.as_secs() < 60 || world.profile.daily.is_some() {
        return;
    }
    let main = counts.iter().find(|(account, _)| account.as_str() == "main").map(|(_, c)| *c);
    if main.is_some_and(|counts| counts.pending + counts.in_flight > 0) {
        world.wrong(now, format!("the account that works has {main:?} while the other fails"));
    }
}

/// HubSpot and the ledger hold exactly the expected events.
pub(super) async fn verify(ledger: &dyn Ledger, injector: &FaultInjector) {
    let now = injector.now();
    let records = match ledger.all_events().await {
        Ok(records) => records,
        Err(error) => {
            injector.world().wrong(now, format!("the ledger cannot be read: {error}"));
            return;
        }
    };
    let mut world = injector.world();
    world.oracle.pass(now);
    let mut violations_found = Vec::new();
    for webhook in &world.webhooks {
        let times = world.oracle.accepted.get(&webhook.digest).copied().unwrap_or(0);
        let is_lost = world.oracle.is_lost(&webhook.digest);
        if times == 0 && !is_lost || times > 1 && !world.oracle.was_pruned(&webhook.digest) {
            violations_found.push(format!("a webhook was accepted {times} times"));
        }
    }
    for account in accounts() {
        let records = records.iter().filter(|record| record.key.hubspot == account);
        let records: BTreeMap<_, _> = records.map(|record| (&record.key, record)).collect();
        compare(&world, &account, &records, &mut violations_found);
    }
    violations_found.extend(owed(&world, &records));
    violations_found.extend(kept(&world, &records));
    for portal in world.portals.values() {
        violations_found.extend(portal.emulator.violations().iter().cloned());
    }
    if world.calls > world.allowed && world.oracle.kept.is_empty() {
        violations_found.push(format!("{} calls, where {} would do", world.calls, world.allowed));
    }
    for what in violations_found {
        world.wrong(now, what);
    }
}

/// What became of the events of which the bridge lost what it knew.
fn kept(world: &World, records: &[EventSummary]) -> Vec<String> {
    let is_sent = |key: &EventKey| {
        let record = records.iter().find(|record| record.key == *key);
        record.is_some_and(|record| record.state != EventState::Dead)
    };
    let reports = |key: &EventKey, webinar: &Name| {
        let events = world.oracle.events(&key.hubspot);
        // Of a series whose occurrences are not known nothing is sent.
        let is_known = events.get(key).is_some_and(|event| match &event.content {
            Ok(_) => true,
            Err(gaps) => !gaps.contains(&Gap::Occurrences),
        });
        (is_known && is_sent(key)).then(|| world.oracle.last_reports(webinar))
    };
    world.oracle.kept.violations(|key| world.held(key), reports)
}

/// Requested redrives that were not carried out: neither by a later send, nor by a confirmed call in flight at the
/// time.
fn owed(world: &World, records: &[EventSummary]) -> Vec<String> {
    let owed = world.operator.owed.iter().filter(|(key, flying)| {
        // Of a restored event HubSpot is asked first: nothing is sent if it holds it as it is.
        if world.oracle.kept.is_restored() || world.oracle.kept.concern_event(key) {
            return false;
        }
        let record = records.iter().find(|record| record.key == **key);
        record.is_some_and(|record| match record.state {
            EventState::Delivered => !**flying,
            EventState::Pending | EventState::Dead => true,
            EventState::Incomplete | EventState::Filtered => false,
        })
    });
    owed.map(|(key, _)| format!("{} was not sent again", key.external_event_id)).collect()
}

fn compare(
    world: &World,
    account: &AccountName,
    records: &BTreeMap<&EventKey, &EventSummary>,
    violations_found: &mut Vec<String>,
) {
    let portal = world.portals.values().find(|portal| portal.name == *account);
    let held = portal.expect("every account has one").emulator.events();
    let expected = world.oracle.events(account);
    for (key, event) in expected.iter().filter(|(key, _)| !world.oracle.kept.concern_event(key)) {
        let name = (key.external_account_id.as_str(), key.external_event_id.as_str());
        let stored = held.get(&(name.0.to_owned(), name.1.to_owned()));
        let Some(record) = records.get(key) else {
            violations_found.push(format!("the ledger lacks {name:?}"));
            continue;
        };
        let state = match &event.content {
            Err(_) => EventState::Incomplete,
            Ok(input) if is_poison(input) => EventState::Dead,
            Ok(_) => EventState::Delivered,
        };
        if record.state != state {
            violations_found.push(format!("{name:?} is {:?}, not {state:?}", record.state));
        }
        let Ok(input) = &event.content else { continue };
        if record.input.as_deref() != Some(&input.to_json()) {
            violations_found.push(format!("the ledger has another state of {name:?}"));
        }
        if state == EventState::Delivered && !stored.is_some_and(|stored| is_as(stored, input)) {
            violations_found.push(format!("HubSpot holds {stored:?} of {name:?}, not {input:?}"));
        }
    }
    if records.len() != expected.len() && world.oracle.kept.is_empty() {
        violations_found.push(format!("{} events, not {}", records.len(), expected.len()));
    }
    for (external, event) in held.keys() {
        let known = expected.keys().find(|key| {
            key.external_account_id.as_str() == external && key.external_event_id.as_str() == event
        });
        let is_lost = expected_key(account, external, event)
            .is_some_and(|key| world.oracle.kept.concern_event(&key));
        if !is_lost && !known.is_some_and(|key| world.oracle.ever_complete(key)) {
            violations_found.push(format!("HubSpot holds {event}, of which nobody said enough"));
        }
    }
}

fn expected_key(account: &AccountName, external: &str, event: &str) -> Option<EventKey> {
    Some(EventKey {
        hubspot: account.clone(),
        external_account_id: ExternalAccountId::parse(external).ok()?,
        external_event_id: ExternalEventId::from_stored(event.to_owned()),
    })
}

/// Whether HubSpot refuses this state for good.
fn is_poison(input: &EventInput) -> bool {
    let names = [POISON_IDENTIFIED, POISON_UNIDENTIFIED];
    let body = input.to_json().len() + br#"{"inputs":[]}"#.len();
    names.iter().any(|name| input.event_name.contains(name)) || body > LONGEST_BODY
}

fn is_as(stored: &StoredEvent, input: &EventInput) -> bool {
    let properties = stored.input.custom_properties.iter();
    let custom_properties: BTreeMap<String, String> =
        properties.map(|property| (property.name.clone(), property.value.clone())).collect();
    stored.input.event_name == input.event_name
        && stored.input.event_organizer == input.event_organizer
        && stored.input.event_type.as_ref() == Some(&input.event_type)
        && stored.input.event_description == input.event_description
        && stored.input.event_url == input.event_url
        && stored.input.start_date_time == input.start_date_time
        && stored.input.end_date_time == input.end_date_time
        && stored.input.event_cancelled == input.event_cancelled
        && stored.input.event_completed == input.event_completed
        && custom_properties == input.custom_properties
}

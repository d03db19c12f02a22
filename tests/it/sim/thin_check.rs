//! What a person expects of webinars with thin webhooks: HubSpot shows the truth. It shares nothing with the bridge, nor
//! with the model of merging.

use std::collections::BTreeMap;

use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::emulator::StoredEvent;

use super::platform_api::{PLATFORM_ACCOUNT, TrueStanding, TrueState, TrueWebinar};
use super::world::World;
use crate::harness::build::NOON;

/// Webinars that may count as gone though they exist, until the platform is asked again (M14).
const LIES_BELIEVED: usize = 3;

/// What HubSpot must show of an event.
struct Shown<'a> {
    id: String,
    state: &'a TrueState,
    start: Millis,
    is_cancelled: bool,
}

/// How HubSpot differs from the truth.
pub(super) fn violations(world: &World, now: Millis) -> Vec<String> {
    let Some(thin) = &world.thin else { return Vec::new() };
    let portal = world.portals.values().find(|portal| portal.name.as_str() == "main");
    let held = portal.expect("it is an account").emulator.events();
    let held = |id: &str| held.get(&(PLATFORM_ACCOUNT.to_owned(), id.to_owned()));
    let (mut found, mut believed) = (Vec::new(), 0);
    for (id, webinar) in &thin.api.webinars {
        if !thin.is_backfilled && thin.unreported.contains(id) {
            continue;
        }
        let differences = match webinar.last() {
            Some(state) => different(id, webinar, state, &held),
            None => not_gone(id, webinar, &held),
        };
        let is_believed_gone = webinar.last().is_some() && thin.api.is_credible_lie(id);
        if is_believed_gone && !thin.is_backfilled {
            // One that was never found before is given up, and makes no event.
            believed += usize::from(is_held(id, webinar, &held) && !differences.is_empty());
        } else {
            found.extend(differences);
        }
    }
    if believed > LIES_BELIEVED {
        found.push(format!("{believed} webinars count as gone at once"));
    }
    let at = now.since(NOON);
    found.iter().map(|what| format!("{what} (after {at:?})")).collect()
}

/// How HubSpot differs from a webinar that exists.
fn different<'a>(
    id: &str,
    webinar: &TrueWebinar,
    state: &TrueState,
    held: &impl Fn(&str) -> Option<&'a StoredEvent>,
) -> Vec<String> {
    let is_off = state.standing == TrueStanding::Cancelled;
    let mut expected = Vec::new();
    if webinar.is_series {
        for (occurrence, start) in &state.occurrences {
            let id = format!("{id}-{occurrence}");
            expected.push(Shown { id, state, start: *start, is_cancelled: is_off });
        }
    } else {
        let id = id.to_owned();
        expected.push(Shown { id, state, start: state.start, is_cancelled: is_off });
    }
    let mut found: Vec<String> =
        expected.iter().filter_map(|shown| shown.difference(held(&shown.id))).collect();
    // Occurrences that the series has no more.
    let gone = webinar.occurrences().into_iter().filter(|it| !state.occurrences.contains_key(*it));
    for occurrence in gone {
        let id = format!("{id}-{occurrence}");
        if held(&id).is_some_and(|event| !event.input.event_cancelled) {
            found.push(format!("{id} is not in its series any more, and not cancelled"));
        }
    }
    found
}

/// Whether HubSpot holds an event of the webinar.
fn is_held<'a>(
    id: &str,
    webinar: &TrueWebinar,
    held: &impl Fn(&str) -> Option<&'a StoredEvent>,
) -> bool {
    !events(id, webinar, held).is_empty()
}

/// All events of the webinar that HubSpot holds, by their ids.
fn events<'a>(
    id: &str,
    webinar: &TrueWebinar,
    held: &impl Fn(&str) -> Option<&'a StoredEvent>,
) -> BTreeMap<String, &'a StoredEvent> {
    let parts = webinar.occurrences().into_iter().map(|part| format!("{id}-{part}"));
    let ids = parts.chain([id.to_owned()]);
    ids.filter_map(|id| Some((id.clone(), held(&id)?))).collect()
}

/// How HubSpot differs from a webinar that was deleted. One that was never shown, or is over, says nothing.
fn not_gone<'a>(
    id: &str,
    webinar: &TrueWebinar,
    held: &impl Fn(&str) -> Option<&'a StoredEvent>,
) -> Vec<String> {
    let was_over = webinar.last_seen().is_some_and(|state| state.standing == TrueStanding::Ended);
    let events = events(id, webinar, held);
    let wrong = events.iter().filter(|(_, event)| event.input.event_cancelled == was_over);
    wrong
        .map(|(id, _)| {
            if was_over {
                format!("{id} was tidied up after its end, and is cancelled")
            } else {
                format!("{id} was deleted, and is not cancelled")
            }
        })
        .collect()
}

impl Shown<'_> {
    fn difference(&self, held: Option<&StoredEvent>) -> Option<String> {
        let Self { id, state, start, is_cancelled } = self;
        let Some(StoredEvent { input, .. }) = held else {
            return Some(format!("HubSpot has no {id}"));
        };
        let is_over = state.standing == TrueStanding::Ended;
        let is_right = input.event_name == state.name
            && input.start_date_time == Some(*start)
            && input.end_date_time == Some(state.end_of(*start))
            && input.event_cancelled == *is_cancelled
            && input.event_completed == is_over;
        (!is_right).then(|| {
            format!(
                "HubSpot shows {id} as {:?} at {:?} to {:?}, cancelled: {}, completed: {}; the truth is {state:?}",
                input.event_name,
                input.start_date_time,
                input.end_date_time,
                input.event_cancelled,
                input.event_completed,
            )
        })
    }
}

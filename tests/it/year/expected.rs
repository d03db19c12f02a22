//! What HubSpot should hold in the evening: what a person expects who knows the platforms and the configuration, and
//! nothing of how the bridge merges.
//!
//! What may differ, and why:
//! * what only a lost or late webhook tells ([`Aspect`](super::platforms::Aspect)): it cannot be known;
//! * what happened after the last backfill began, if its webhook did not come;
//! * a date that was called off, or over, before the bridge knew of it: HubSpot need not have it;
//! * what the configuration says of a date that is over: it is that of its end, or newer;
//! * after a restore: a property that was taken out of the configuration before the event was read at HubSpot, since
//!   nobody knows whose it is;
//! * the link of a webinar of which a restored store knows nothing but its deletion: that which the deletion shows;
//! * the texts of a date of a series that has been over for a month, and of an event that `only` refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::emulator::UpsertInput;

use super::script::DAY;
use super::settings::YearSettings;
use super::truth::{Heard, HeldDate, Tracked, Truth};
use super::world::World;

/// How late the bridge may be with what only time makes due.
const LATE: Duration = Duration::from_mins(10);

/// What was seen of an event on earlier evenings.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// End of the completed event.
    pub(super) completed: Option<Millis>,
}

/// One event on one evening.
pub(super) struct Evening<'a> {
    pub(super) world: &'a World,
    pub(super) tracked: &'a Tracked,
    pub(super) date: usize,
    pub(super) now: Millis,
    pub(super) held: Option<&'a UpsertInput>,
    pub(super) seen: Seen,
}

impl Evening<'_> {
    fn truth(&self) -> &Truth {
        self.tracked.truth()
    }

    fn date(&self) -> &HeldDate {
        &self.truth().dates[self.date]
    }

    fn heard(&self) -> Heard {
        self.tracked.heard.get(&self.date().id).copied().unwrap_or_default()
    }

    /// Whether the last backfill showed everything until then.
    fn is_filled_since(&self, then: Millis) -> bool {
        let filled = self.world.filled_at.get(&self.tracked.platform);
        filled.is_some_and(|filled| *filled > then.plus(Duration::from_mins(2)))
    }

    /// Whether the bridge can know the run's end, and whether it must.
    fn knows_end(&self) -> (bool, bool) {
        let ended = self.date().run.and_then(|run| run.ended_at);
        let Some(ended) = ended else { return (false, false) };
        let is_shown = self.tracked.platform.simulated().shows_runs();
        let must = self.heard().ended || (is_shown && self.is_filled_since(ended));
        (must || is_shown, must)
    }

    /// The settings that may shape the event: the present ones; for what is over all since its end.
    fn settings(&self) -> Vec<&YearSettings> {
        let end = self.date().end();
        let all = &self.world.settings;
        let since = if self.now > end { end.minus(DAY) } else { self.now };
        let first = all.iter().rposition(|(at, _)| *at <= since).unwrap_or(0);
        all[first..].iter().map(|(_, settings)| settings).collect()
    }

    /// Checks the event; the error says what is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        let settings = self.settings();
        let names: Vec<&str> = self.texts().map(|truth| truth.name.as_str()).collect();
        let passes: Vec<bool> =
            settings.iter().map(|settings| settings.passes(&self.truth().name)).collect();
        let Some(held) = self.held else {
            let may_be_missing = self.may_be_missing() || passes.contains(&false);
            return may_be_missing.then_some(()).ok_or_else(|| "it is missing".to_owned());
        };
        self.check_flags(held)?;
        if passes.contains(&false) {
            return Ok(());
        }
        is_one_of("name", &held.event_name.as_str(), &names)?;
        let descriptions: Vec<_> =
            self.texts().map(|truth| Some(truth.description.as_str())).collect();
        is_one_of("description", &held.event_description.as_deref(), &descriptions)?;
        let platform = self.tracked.platform.simulated();
        let mut links = vec![Some(platform.link(self.truth()))];
        // Made and lost between the copy and its return, it is known by its deletion alone.
        if self.world.restored_at.is_some_and(|restored| self.truth().deleted_at > Some(restored)) {
            links.push(platform.link_of_deletion(self.truth()));
        }
        is_one_of("link", &held.event_url, &links)?;
        let organizers: Vec<&str> = match self.truth().host.as_str() {
            "" => settings.iter().map(|settings| settings.organizer.as_str()).collect(),
            host => vec![host],
        };
        is_one_of("organizer", &held.event_organizer.as_str(), &organizers)?;
        is_one_of("type", &held.event_type.as_deref(), &[Some("WEBINAR")])?;
        is_one_of("start", &time(held.start_date_time), &[time(Some(self.date().start))])?;
        self.check_end(held)?;
        let expected: Vec<_> = settings
            .iter()
            .flat_map(|settings| names.iter().map(|name| settings.properties(name)))
            .collect();
        let is_known = |name: &String| expected.iter().any(|known| known.contains_key(name));
        let is_restored = self.world.restored_at.is_some();
        let properties = held.custom_properties.iter().filter(|own| !own.value.is_empty());
        let properties: BTreeMap<String, String> = properties
            .filter(|own| !is_restored || is_known(&own.name))
            .map(|own| (own.name.clone(), own.value.clone()))
            .collect();
        is_one_of("properties", &properties, &expected)
    }

    /// The truths whose texts the event may have.
    fn texts(&self) -> impl Iterator<Item = &Truth> {
        let over_since = self.date().end().plus(25 * DAY);
        let is_frozen = self.truth().is_series && self.now > over_since;
        let states = &self.tracked.states;
        let first = if is_frozen { 0 } else { states.len() - 1 };
        states[first..].iter().map(|(_, truth)| truth)
    }

    fn may_be_missing(&self) -> bool {
        let truth = self.truth();
        let is_off = truth.deleted_at.is_some() || self.date().cancelled_at.is_some();
        let is_new = !self.is_filled_since(truth.created_at.max(self.date().changed_at));
        let began = self.world.settings[0].0;
        let was_over = self.date().end() < began.plus(DAY);
        is_off || is_new || was_over
    }

    fn check_end(&self, held: &UpsertInput) -> Result<(), String> {
        let planned = Some(self.date().end());
        let actual = self.date().run.and_then(|run| run.ended_at);
        let ends: Vec<Option<Millis>> = match self.knows_end() {
            (false, _) => vec![planned],
            (true, true) => vec![actual],
            (true, false) => vec![planned, actual],
        };
        let ends: Vec<String> = ends.into_iter().map(time).collect();
        is_one_of("end", &time(held.end_date_time), &ends)
    }

    fn check_flags(&self, held: &UpsertInput) -> Result<(), String> {
        is_one_of("cancelled", &held.event_cancelled, &self.cancelled())?;
        is_one_of("completed", &held.event_completed, &self.completed(held.event_cancelled))
    }

    fn cancelled(&self) -> Vec<bool> {
        let date = self.date();
        let (_, must) = self.knows_end();
        let over_at =
            date.run.and_then(|run| run.ended_at).filter(|_| must).unwrap_or_else(|| date.end());
        let deleted = self.truth().deleted_at.filter(|at| *at <= over_at);
        let alone = date.cancelled_at.filter(|at| *at <= over_at);
        match (deleted, alone) {
            (None, None) if self.tracked.is_deletion_told => vec![false],
            (_, Some(_)) => vec![true],
            (Some(_), None) if self.tracked.is_deletion_told => vec![true],
            (_, None) => vec![true, false],
        }
    }

    fn completed(&self, is_cancelled: bool) -> Vec<bool> {
        let (date, platform) = (self.date(), self.tracked.platform.simulated());
        if is_cancelled {
            return vec![false];
        }
        let (may_know, must_know) = self.knows_end();
        if must_know {
            return vec![true];
        }
        if platform.shows_status() && self.now >= date.end() && self.is_filled_since(date.end()) {
            return vec![true];
        }
        let (least, most) = if platform.reports_end() {
            if may_know {
                return vec![true, false];
            }
            if !self.heard().started {
                // Nobody said so, unless it was known before the store was lost.
                return vec![self.seen.completed == Some(date.end())];
            }
            (DAY, DAY)
        } else {
            let graces = || self.settings().into_iter().map(|settings| settings.grace);
            (graces().min().expect("there is one"), graces().max().expect("there is one"))
        };
        let end = date.end();
        if self.now >= end.plus(most).plus(LATE) || self.seen.completed == Some(end) {
            vec![true]
        } else if self.now < end.plus(if platform.shows_status() { Duration::ZERO } else { least })
        {
            vec![false]
        } else {
            vec![true, false]
        }
    }
}

fn time(at: Option<Millis>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

fn is_one_of<T: PartialEq + std::fmt::Debug>(
    what: &str,
    held: &T,
    expected: &[T],
) -> Result<(), String> {
    if expected.contains(held) {
        return Ok(());
    }
    Err(format!("{what}: HubSpot holds {held:?}, expected {expected:?}"))
}

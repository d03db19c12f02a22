//! What HubSpot should hold in the evening: what a person expects who knows the platforms and the configuration, and
//! nothing of how the bridge merges.
//!
//! What may differ, and why:
//! * what only a lost or late webhook tells ([`Aspect`](super::platforms::Aspect)): it cannot be known. A deletion shows
//!   as a 404, a recovery does not show: that a webinar exists does not take back what a webhook cancelled;
//! * what happened after the last backfill began, if its webhook did not come;
//! * a date that was called off, or over, before the bridge knew of it: HubSpot need not have it;
//! * what was deleted without a webhook while nothing else was to come at the platform: alone a 404 does not count;
//! * what the configuration says of a date that is over: it is that of its end, or newer;
//! * after a restore: a property, with the copy's or a later value, that was taken out of the configuration before the
//!   event was read at HubSpot, since nobody knows whose it is;
//! * the texts of a date of a series that has been over for a month;
//! * everything but the flags, the link and the type of an event that `only` refuses: what was sent last.

use std::time::Duration;

use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::emulator::{InputProperty, UpsertInput};

use super::script::DAY;
use super::settings::YearSettings;
use super::truth::{Heard, HeldDate, Tracked, Truth};
use super::world::World;

/// How late the bridge may be with what only time makes due.
const LATE: Duration = Duration::from_mins(10);

/// What is over for that long is not changed any more.
const FROZEN_AFTER: Duration = Duration::from_hours(30 * 24);

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
    pub(super) now: Millis,
    pub(super) held: Option<&'a UpsertInput>,
    pub(super) seen: Seen,
}

/// What an event shows, as far as it follows from its dates.
struct Expected<'a> {
    /// The dates that it spans: of a series in one event those that take place; all if none does.
    spanned: Vec<&'a HeldDate>,
    is_cancelled: bool,
}

impl<'a> Expected<'a> {
    /// The date that begins last; the event is completed with it.
    fn last(&self) -> &'a HeldDate {
        self.spanned.iter().max_by_key(|date| date.start).expect("it spans a date")
    }

    fn start(&self) -> Millis {
        self.spanned.iter().map(|date| date.start).min().expect("it spans a date")
    }
}

impl<'a> Evening<'a> {
    fn truth(&self) -> &'a Truth {
        self.tracked.truth()
    }

    fn heard(&self, date: &HeldDate) -> Heard {
        self.tracked.heard.get(&date.id).copied().unwrap_or_default()
    }

    /// Whether the last backfill showed everything until then.
    fn is_filled_since(&self, then: Millis) -> bool {
        let filled = self.world.filled_at.get(&self.tracked.platform);
        filled.is_some_and(|filled| *filled > then.plus(Duration::from_mins(2)))
    }

    /// Whether the bridge can know the end of the date's run, and whether it must.
    fn knows_end(&self, date: &HeldDate) -> (bool, bool) {
        let ended = date.run.and_then(|run| run.ended_at);
        let Some(ended) = ended else { return (false, false) };
        let is_shown = self.tracked.platform.simulated().shows_runs();
        let must = self.heard(date).ended || (is_shown && self.is_filled_since(ended));
        (must || is_shown, must)
    }

    /// The settings that may shape the event: the present ones; for what is over all since its end.
    fn settings(&self, end: Millis) -> Vec<&'a YearSettings> {
        let all = &self.world.settings;
        let since = if self.now > end { end.minus(DAY) } else { self.now };
        let first = all.iter().rposition(|(at, _)| *at <= since).unwrap_or(0);
        all[first..].iter().map(|(_, settings)| settings).collect()
    }

    /// The settings of the restored copy, and all later ones.
    fn settings_of_restored(&self) -> &'a [(Millis, YearSettings)] {
        let Some(restored_at) = self.world.restored_at else { return &[] };
        let copied_at = restored_at.minus(4 * DAY);
        let all = &self.world.settings;
        &all[all.iter().rposition(|(at, _)| *at <= copied_at).unwrap_or(0)..]
    }

    /// Checks the event of one date, and returns its planned end; the error says what is wrong.
    pub(super) fn check_date(&self, date: usize) -> Result<Millis, String> {
        let date = &self.truth().dates[date];
        let cases = self.cancelled(date).into_iter();
        self.check_any(cases.map(|is_cancelled| Expected { spanned: vec![date], is_cancelled }))
    }

    /// Checks the one event of a series, and returns its planned end; the error says what is wrong.
    pub(super) fn check_series(&self) -> Result<Millis, String> {
        let all = || self.truth().dates.iter();
        let case = |is_off: fn(&[bool]) -> bool| {
            let spanned: Vec<_> = all().filter(|date| !is_off(&self.cancelled(date))).collect();
            let is_cancelled = spanned.is_empty();
            Expected { spanned: if is_cancelled { all().collect() } else { spanned }, is_cancelled }
        };
        // What is not known is whether the whole is cancelled, so it is all or none of these dates.
        let most = case(|cancelled| cancelled.contains(&true));
        let least = case(|cancelled| !cancelled.contains(&false));
        self.check_any([most, least])
    }

    /// Checks that one of the cases holds; the error is the first case's.
    fn check_any<'d>(
        &self,
        cases: impl IntoIterator<Item = Expected<'d>>,
    ) -> Result<Millis, String> {
        let mut wrong = None;
        for case in cases {
            match self.check(&case) {
                Ok(()) => return Ok(case.last().end()),
                Err(what) => _ = wrong.get_or_insert(what),
            }
        }
        Err(wrong.expect("there is a case"))
    }

    fn check(&self, expected: &Expected<'_>) -> Result<(), String> {
        let end = expected.last().end();
        let settings = self.settings(end);
        let is_refused = settings.iter().any(|settings| !settings.passes(&self.truth().name));
        let Some(held) = self.held else {
            let may_be_missing = is_refused || self.may_be_missing(expected);
            return may_be_missing.then_some(()).ok_or_else(|| "it is missing".to_owned());
        };
        if self.truth().published_at.is_none() {
            return Err("HubSpot holds a draft".to_owned());
        }
        is_one_of("cancelled", &held.event_cancelled, &[expected.is_cancelled])?;
        let completed = self.completed(expected, &settings);
        is_one_of("completed", &held.event_completed, &completed)?;
        let texts = self.texts(end, is_refused);
        let names: Vec<&str> = texts.iter().map(|truth| truth.name.as_str()).collect();
        is_one_of("name", &held.event_name.as_str(), &names)?;
        let descriptions: Vec<_> =
            texts.iter().map(|truth| Some(truth.description.as_str())).collect();
        is_one_of("description", &held.event_description.as_deref(), &descriptions)?;
        let link = self.tracked.platform.simulated().link(self.truth());
        is_one_of("link", &held.event_url, &[Some(link)])?;
        is_one_of("type", &held.event_type.as_deref(), &[Some("WEBINAR")])?;
        if is_refused {
            return Ok(());
        }
        let organizers: Vec<&str> = match self.truth().host.as_str() {
            "" => settings.iter().map(|settings| settings.organizer.as_str()).collect(),
            host => vec![host],
        };
        is_one_of("organizer", &held.event_organizer.as_str(), &organizers)?;
        is_one_of("start", &time(held.start_date_time), &[time(Some(expected.start()))])?;
        is_one_of("end", &time(held.end_date_time), &self.ends(expected))?;
        let properties: Vec<_> = settings
            .iter()
            .flat_map(|settings| names.iter().map(|name| settings.properties(name)))
            .collect();
        let own = held.custom_properties.iter().filter(|own| !own.value.is_empty());
        let is_left = |own: &&InputProperty| {
            let is_known = properties.iter().any(|known| known.contains_key(&own.name));
            let mut before = self
                .settings_of_restored()
                .iter()
                .flat_map(|(_, settings)| names.iter().map(|name| settings.properties(name)));
            !is_known && before.any(|before| before.get(&own.name) == Some(&own.value))
        };
        let own = own.filter(|own| !is_left(own));
        let own = own.map(|own| (own.name.clone(), own.value.clone())).collect();
        is_one_of("properties", &own, &properties)
    }

    /// The truths whose texts an event with that end may have.
    fn texts(&self, end: Millis, is_refused: bool) -> Vec<&'a Truth> {
        let is_frozen = self.truth().is_series && self.now > end.plus(FROZEN_AFTER);
        let states = &self.tracked.states;
        let first = if is_frozen || is_refused { 0 } else { states.len() - 1 };
        states[first..].iter().map(|(_, truth)| truth).collect()
    }

    fn may_be_missing(&self, expected: &Expected<'_>) -> bool {
        let truth = self.truth();
        let date = expected.last();
        let Some(published_at) = truth.published_at else { return true };
        let is_new = !self.is_filled_since(published_at.max(date.changed_at));
        let began = self.world.settings[0].0;
        let was_over = date.end() < began.plus(DAY);
        expected.is_cancelled || is_new || was_over
    }

    /// The planned end, and the actual one as far as the bridge knows it: the last of all dates.
    fn ends(&self, expected: &Expected<'_>) -> Vec<String> {
        let ends_of = |date: &HeldDate| {
            let planned = date.end();
            let actual = date.run.and_then(|run| run.ended_at).unwrap_or(planned);
            match self.knows_end(date) {
                (false, _) => vec![planned],
                (true, true) => vec![actual],
                (true, false) => vec![planned, actual],
            }
        };
        let all: Vec<Vec<Millis>> = expected.spanned.iter().map(|date| ends_of(date)).collect();
        let earliest = all.iter().filter_map(|ends| ends.iter().min()).max();
        let possible = all.iter().flatten().filter(|end| Some(*end) >= earliest);
        possible.map(|end| time(Some(*end))).collect()
    }

    /// Whether the date may be cancelled at HubSpot.
    fn cancelled(&self, date: &HeldDate) -> Vec<bool> {
        let (_, must) = self.knows_end(date);
        let over_at =
            date.run.and_then(|run| run.ended_at).filter(|_| must).unwrap_or_else(|| date.end());
        if date.cancelled_at.is_some_and(|at| at <= over_at) {
            return vec![true];
        }
        let told_since = self.tracked.told_deleted_since();
        let is_filled = self.is_filled_since(self.truth().changed_at);
        if self.truth().deleted_at.is_some_and(|at| at <= over_at) {
            let is_known = told_since.is_some() || (is_filled && self.has_others_to_come());
            return if is_known { vec![true] } else { vec![true, false] };
        }
        let was_deleted = self.tracked.states.iter().any(|(_, truth)| truth.deleted_at.is_some());
        // The API does not show that it was recovered.
        let may_be_cancelled = told_since.is_some_and(|since| since <= over_at);
        if may_be_cancelled || (was_deleted && !is_filled) {
            vec![true, false]
        } else {
            vec![false]
        }
    }

    /// Whether something else is to come at the platform: only beside it a 404 counts.
    fn has_others_to_come(&self) -> bool {
        let mut others = self.world.webinars.iter().filter(|other| {
            other.platform == self.tracked.platform && !std::ptr::eq(*other, self.tracked)
        });
        others.any(|other| {
            let truth = other.truth();
            let is_shown = truth.published_at.is_some() && truth.deleted_at.is_none();
            let mut to_come = truth.dates.iter().filter(|date| date.cancelled_at.is_none());
            is_shown && truth.created_at < self.now && to_come.any(|date| date.start > self.now)
        })
    }

    fn completed(&self, expected: &Expected<'_>, settings: &[&YearSettings]) -> Vec<bool> {
        let (date, platform) = (expected.last(), self.tracked.platform.simulated());
        let (may_know, must_know) = self.knows_end(date);
        if expected.is_cancelled {
            // It may be held, cancelled for want of its recovery.
            return if may_know { vec![false, true] } else { vec![false] };
        }
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
            if !self.heard(date).started {
                // Nobody said so, unless it was known before the store was lost.
                return vec![self.seen.completed == Some(date.end())];
            }
            (DAY, DAY)
        } else {
            let graces = || settings.iter().map(|settings| settings.grace);
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

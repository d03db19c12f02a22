//! What happens in the simulated time, drawn from a seed: the lives of the webinars, and what the operator does.

use std::time::Duration;

use webinar_bridge::event::Millis;

use super::platforms::PlatformName;
use super::settings::INTERNAL;
use super::truth::{Action, HeldDate, Truth, date_id};
use crate::harness::rng::SeededRng;

const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);
const HOSTS: [&str; 5] = ["Lena Brandt", "Olga Beispiel", "Tamsin Okoro", "Jan de Vries", ""];
const SUBJECTS: [&str; 6] =
    ["Compost", "Calm releases", "Compilers", "Open day", "Year in review", "Tea"];

/// The size of a simulation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) days: u64,
    pub(super) webinars: usize,
    /// How many of them are series.
    pub(super) series: usize,
}

/// What happens at a moment.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// At the platform of a webinar.
    Act(usize, Action),
    /// The bridge is down for that long.
    Restart(Duration),
    Reconfigure,
    Rename(PlatformName),
    RenameAccount,
    /// The machine's clock is this far ahead, in milliseconds.
    SetClock(i64),
    /// Calls begin, or cease, to fail at times.
    SetRough(bool),
    Copy,
    Restore,
    Backfill,
    Evening,
}

/// Everything that happens.
pub(super) struct Script {
    pub(super) webinars: Vec<(PlatformName, Truth)>,
    /// In the order of time.
    pub(super) steps: Vec<(Millis, Step)>,
}

impl Script {
    pub(super) fn draw(rng: &mut SeededRng, start: Millis, extent: Extent) -> Self {
        let mut script = Self { webinars: Vec::new(), steps: Vec::new() };
        for number in 0..extent.webinars {
            script.draw_webinar(rng, start, extent, number);
        }
        script.draw_operation(rng, start, extent);
        script.steps.sort_by_key(|(at, _)| *at);
        script
    }

    fn draw_webinar(&mut self, rng: &mut SeededRng, start: Millis, extent: Extent, number: usize) {
        let is_series = number < extent.series;
        let platform =
            *rng.pick(if is_series { &PlatformName::WITH_SERIES } else { &PlatformName::ALL });
        let id = platform.simulated().new_id(u64::try_from(number).expect("few"));
        // Some are older than the bridge.
        let created_at = start.minus(20 * DAY).plus(moment(rng, extent.days + 15, 6, 16));
        let mut day = created_at.plus(u32::try_from(rng.between(3, 40)).expect("few") * DAY);
        let count = if is_series { rng.between(3, 12) } else { 1 };
        let apart = *rng.pick(&[DAY, 2 * DAY, 7 * DAY]);
        let (hour, minutes) =
            (rng.between(8, 18), u32::try_from(rng.between(6, 18)).expect("few") * 5);
        let mut dates = Vec::new();
        for index in 0..usize::try_from(count).expect("few") {
            let midnight = Millis::new(day.get() / 86_400_000 * 86_400_000);
            let id = if is_series { date_id(&id, index) } else { id.clone() };
            dates.push(HeldDate {
                id,
                start: midnight.plus(u32::try_from(hour).expect("few") * HOUR),
                minutes,
                cancelled_at: None,
                is_replaced: false,
                changed_at: created_at,
                edited_at: created_at,
                run: None,
            });
            day = day.plus(apart);
        }
        let is_draft = platform.simulated().has_drafts() && rng.percent(30);
        let truth = Truth {
            id,
            name: name(rng, number),
            description: format!("All about it, {number}."),
            host: (*rng.pick(&HOSTS)).to_owned(),
            is_series,
            dates,
            created_at,
            published_at: (!is_draft).then_some(created_at),
            changed_at: created_at,
            deleted_at: None,
        };
        let life =
            Life { rng, platform, truth: truth.clone(), now: created_at, actions: Vec::new() };
        let actions = life.draw();
        self.webinars.push((platform, truth));
        let webinar = self.webinars.len() - 1;
        self.steps.push((created_at, Step::Act(webinar, Action::Create)));
        self.steps.extend(actions.into_iter().map(|(at, action)| (at, Step::Act(webinar, action))));
    }

    /// What the operator and the machine do.
    fn draw_operation(&mut self, rng: &mut SeededRng, start: Millis, extent: Extent) {
        for day in 0..extent.days {
            let midnight = start.plus(u32::try_from(day).expect("few") * DAY);
            let mut at =
                |after: Duration, step: Step| self.steps.push((midnight.plus(after), step));
            if day % 7 == 6 {
                at(4 * HOUR, Step::Reconfigure);
            }
            if rng.percent(25) {
                let down = Duration::from_secs(rng.between(1, 1_800));
                at(Duration::from_secs(rng.between(5, 16) * 3_600 + 17), Step::Restart(down));
            }
            if rng.percent(60) {
                at(5 * HOUR, Step::SetRough(true));
            }
            if rng.percent(10) {
                let began = Duration::from_secs(rng.between(6, 13) * 3_600 + 43);
                let hours = *rng.pick(&[240.0, 48.0, 3.0, 0.33, -0.66, -3.0, -48.0]);
                #[allow(clippy::cast_possible_truncation, reason = "a few days")]
                at(began, Step::SetClock((hours * 3_600_000.0) as i64));
                at(began + Duration::from_secs(rng.between(60, 4 * 3_600)), Step::SetClock(0));
            }
            at(17 * HOUR + HOUR / 2, Step::SetRough(false));
            at(18 * HOUR, Step::Backfill);
            at(21 * HOUR, Step::Evening);
        }
        let mut once = |share: u64, more: u32, step: Step| {
            let day = u32::try_from(extent.days * share / 100).expect("few") + more;
            self.steps.push((start.plus(day * DAY).plus(3 * HOUR), step));
        };
        once(25, 0, Step::Rename(PlatformName::ALL[0]));
        once(50, 0, Step::Rename(PlatformName::ALL[PlatformName::ALL.len() - 1]));
        once(60, 0, Step::Copy);
        // The copy knows the account by its former name.
        once(60, 1, Step::RenameAccount);
        once(60, 3, Step::Restore);
    }
}

/// A moment within so many days, in whole seconds, between two hours of its day.
fn moment(rng: &mut SeededRng, days: u64, from: u64, to: u64) -> Duration {
    let day = rng.between(0, days.saturating_sub(1));
    Duration::from_secs(day * 86_400 + rng.between(from * 3_600, to * 3_600))
}

fn name(rng: &mut SeededRng, number: usize) -> String {
    let subject = rng.pick(&SUBJECTS);
    let internal = if rng.percent(12) { format!("{INTERNAL} ") } else { String::new() };
    format!("{internal}{subject} {number}")
}

/// The life of one webinar while it is drawn.
struct Life<'a> {
    rng: &'a mut SeededRng,
    platform: PlatformName,
    truth: Truth,
    now: Millis,
    actions: Vec<(Millis, Action)>,
}

impl Life<'_> {
    fn draw(mut self) -> Vec<(Millis, Action)> {
        self.before_it_begins();
        let runs = self.runs();
        for (at, action) in runs {
            self.push(at, action);
        }
        self.afterwards();
        self.actions
    }

    fn push(&mut self, at: Millis, action: Action) {
        if !self.platform.allows(&self.truth, &action) {
            return;
        }
        self.truth = self.truth.after(&action, at);
        self.now = self.now.max(at);
        self.actions.push((at, action));
    }

    fn first_start(&self) -> Millis {
        let to_come = self.truth.dates.iter().filter(|date| date.cancelled_at.is_none());
        to_come.map(|date| date.start).min().unwrap_or(self.now)
    }

    /// A later moment by day, well before the webinar begins; none if there is no such.
    fn later(&mut self) -> Option<Millis> {
        let last = self.first_start().minus(30 * HOUR);
        let day = Millis::new(self.now.get() / 86_400_000 * 86_400_000);
        let later = day.plus(moment(self.rng, 5, 6, 17)).plus(DAY);
        (later < last).then_some(later)
    }

    fn before_it_begins(&mut self) {
        for turn in 0..self.rng.between(0, 6) {
            let Some(at) = self.later() else { return };
            let date = self.rng.below(self.truth.dates.len());
            let is_off = self.truth.dates[date].cancelled_at.is_some();
            // Some drafts stay drafts.
            if self.truth.published_at.is_none() && self.rng.percent(35) {
                self.push(at, Action::Publish);
                continue;
            }
            let action = match self.rng.below(12) {
                0..=2 => Action::Rename(format!("{} ({turn})", self.truth.name)),
                3..=4 => Action::Describe(format!("{} Again, {turn}.", self.truth.description)),
                5..=6 if !is_off => {
                    let (from, days) = (self.truth.dates[date].start, self.rng.between(0, 5));
                    let later = Duration::from_secs(days * 86_400 + self.rng.between(1, 6) * 900);
                    let earlier = from.minus(later / 4);
                    let start = if earlier > at.plus(40 * HOUR) && self.rng.percent(30) {
                        earlier
                    } else {
                        from.plus(later)
                    };
                    let start = Millis::new(start.get() / 60_000 * 60_000);
                    // A run names no date, and belongs to the nearest one.
                    let others =
                        self.truth.dates.iter().enumerate().filter(|(own, _)| *own != date);
                    if others.into_iter().any(|(_, other)| other.start.distance(start) < 4 * HOUR) {
                        continue;
                    }
                    Action::Move { date, start }
                }
                7 if !is_off => {
                    let minutes = u32::try_from(self.rng.between(4, 24)).expect("few") * 5;
                    Action::Resize { date, minutes }
                }
                8 if self.truth.is_series => {
                    Action::Replan(Duration::from_secs(self.rng.between(1, 8) * 3_600 * 6))
                }
                9 if self.truth.is_series && !is_off => Action::CancelDate(date),
                10 if self.rng.percent(60) => Action::Delete,
                11 => Action::Rehearse,
                _ => continue,
            };
            let is_deletion = matches!(action, Action::Delete);
            self.push(at, action);
            if is_deletion {
                if self.rng.percent(40)
                    && let Some(at) = self.later()
                {
                    self.push(at, Action::Recover);
                }
                return;
            }
        }
    }

    /// The runs of all dates that take place, in the order of time.
    fn runs(&mut self) -> Vec<(Millis, Action)> {
        let mut runs = Vec::new();
        for (number, date) in self.truth.dates.iter().enumerate() {
            // Some are forgotten.
            if date.cancelled_at.is_some() || self.rng.percent(6) {
                continue;
            }
            let shift = |rng: &mut SeededRng, at: Millis, minutes: i64| {
                let late = i64::try_from(rng.between(0, 2_400)).expect("few") - minutes * 60;
                Millis::new(at.get() + late * 1_000)
            };
            let began = shift(self.rng, date.start, 12);
            // A late beginning may be later than the end of a short date.
            let ended = shift(self.rng, date.end(), 10).max(began.plus(Duration::from_mins(5)));
            runs.push((began, Action::Start(number)));
            runs.push((ended, Action::End(number)));
        }
        runs.sort_by_key(|(at, _)| *at);
        runs
    }

    /// People change names and tidy up when all is over.
    fn afterwards(&mut self) {
        let ends = self.truth.dates.iter().map(HeldDate::real_end);
        let last = ends.max().expect("there is a date");
        let day = Millis::new(last.get() / 86_400_000 * 86_400_000).plus(DAY);
        if self.rng.percent(15) {
            let at = day.plus(moment(self.rng, 4, 6, 17));
            self.push(at, Action::Rename(format!("{} - recording", self.truth.name)));
        }
        if self.rng.percent(15) {
            let at = day.plus(5 * DAY).plus(moment(self.rng, 12, 6, 17));
            self.push(at, Action::Delete);
        }
    }
}

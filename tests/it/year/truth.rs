//! What a platform knows of its webinars: the one truth that its webhooks, its API and the expected events come from.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use webinar_bridge::event::Millis;

use super::platforms::PlatformName;

/// One webinar as its platform knows it, at one moment.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    /// The platform's id of the webinar, or of the series.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    /// Name of the person who holds it.
    pub(super) host: String,
    pub(super) is_series: bool,
    /// The dates on which it is held: one, unless it is a series.
    pub(super) dates: Vec<HeldDate>,
    pub(super) created_at: Millis,
    /// Since when it is public; none while it is a draft.
    pub(super) published_at: Option<Millis>,
    /// Time of the last change of texts.
    pub(super) changed_at: Millis,
    /// Since when it is deleted.
    pub(super) deleted_at: Option<Millis>,
}

/// One date of a webinar.
#[derive(Debug, Clone)]
pub(super) struct HeldDate {
    /// Id of the date; that of the webinar unless it is a series.
    pub(super) id: String,
    pub(super) start: Millis,
    pub(super) minutes: u32,
    /// Since when it is called off, alone.
    pub(super) cancelled_at: Option<Millis>,
    /// Whether a later date took its place.
    pub(super) is_replaced: bool,
    /// Time of the last change of this date.
    pub(super) changed_at: Millis,
    /// The same without its runs: what a person changed.
    pub(super) edited_at: Millis,
    pub(super) run: Option<Run>,
}

/// The public run of a date.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) started_at: Millis,
    pub(super) ended_at: Option<Millis>,
}

/// A change that a person makes at the platform, or what happens to a webinar there.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Create,
    /// Makes a draft public.
    Publish,
    Rename(String),
    Describe(String),
    /// Moves one date.
    Move {
        date: usize,
        start: Millis,
    },
    /// Gives one date another length.
    Resize {
        date: usize,
        minutes: u32,
    },
    /// Moves all dates to come of a series; they are new dates for the platform.
    Replan(Duration),
    CancelDate(usize),
    Delete,
    Recover,
    /// A practice session, from beginning to end.
    Rehearse,
    Start(usize),
    End(usize),
}

/// Id of a date of a series.
pub(super) fn date_id(series: &str, number: usize) -> String {
    format!("{series}{number:03}")
}

impl HeldDate {
    /// The planned end.
    pub(super) fn end(&self) -> Millis {
        self.start.plus(Duration::from_secs(u64::from(self.minutes) * 60))
    }

    fn edit(&mut self, now: Millis) {
        (self.changed_at, self.edited_at) = (now, now);
    }

    /// The end that counts: that of the run, else the planned one.
    pub(super) fn real_end(&self) -> Millis {
        self.run.and_then(|run| run.ended_at).unwrap_or_else(|| self.end())
    }
}

impl Truth {
    /// Its dates, each with the whole.
    pub(super) fn all_dates(&self) -> impl Iterator<Item = (&Self, &HeldDate)> {
        self.dates.iter().map(move |date| (self, date))
    }

    /// The truth after an action.
    pub(super) fn after(&self, action: &Action, now: Millis) -> Self {
        let mut truth = self.clone();
        match action {
            Action::Create | Action::Rehearse => {}
            Action::Publish => (truth.published_at, truth.changed_at) = (Some(now), now),
            Action::Rename(name) => (truth.name, truth.changed_at) = (name.clone(), now),
            Action::Describe(text) => (truth.description, truth.changed_at) = (text.clone(), now),
            Action::Move { date, start } => {
                truth.dates[*date].start = *start;
                truth.dates[*date].edit(now);
            }
            Action::Resize { date, minutes } => {
                truth.dates[*date].minutes = *minutes;
                truth.dates[*date].edit(now);
            }
            Action::Replan(later) => {
                let (known, mut planned) = (truth.dates.len(), Vec::new());
                for date in &mut truth.dates {
                    if date.start <= now || date.cancelled_at.is_some() {
                        continue;
                    }
                    let start = date.start.plus(*later);
                    let id = date_id(&truth.id, known + planned.len());
                    planned.push(HeldDate {
                        id,
                        start,
                        changed_at: now,
                        edited_at: now,
                        ..date.clone()
                    });
                    (date.cancelled_at, date.is_replaced) = (Some(now), true);
                }
                truth.dates.extend(planned);
            }
            Action::CancelDate(date) => {
                truth.dates[*date].cancelled_at = Some(now);
                truth.dates[*date].edit(now);
            }
            Action::Delete => (truth.deleted_at, truth.changed_at) = (Some(now), now),
            Action::Recover => (truth.deleted_at, truth.changed_at) = (None, now),
            Action::Start(date) => {
                let run = Run { started_at: now, ended_at: None };
                (truth.dates[*date].run, truth.dates[*date].changed_at) = (Some(run), now);
            }
            Action::End(date) => {
                let started_at = truth.dates[*date].run.map_or(now, |run| run.started_at);
                let run = Run { started_at, ended_at: Some(now) };
                (truth.dates[*date].run, truth.dates[*date].changed_at) = (Some(run), now);
            }
        }
        truth
    }
}

/// A webinar with its past.
pub(super) struct Tracked {
    pub(super) platform: PlatformName,
    /// Every state with its time, the oldest first.
    pub(super) states: Vec<(Millis, Truth)>,
    /// What happened, in words.
    pub(super) history: Vec<String>,
    /// What the bridge was told, by date.
    pub(super) heard: BTreeMap<String, Heard>,
    /// The deletions (true) and recoveries that the bridge was told of, by their times.
    pub(super) told_deletions: BTreeMap<Millis, bool>,
}

/// What the bridge was told of a date's run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heard {
    pub(super) started: bool,
    pub(super) ended: bool,
}

impl Tracked {
    pub(super) fn new(platform: PlatformName, truth: Truth) -> Self {
        Self {
            platform,
            states: vec![(truth.created_at, truth)],
            history: Vec::new(),
            heard: BTreeMap::new(),
            told_deletions: BTreeMap::new(),
        }
    }

    /// The truth now.
    pub(super) fn truth(&self) -> &Truth {
        &self.states.last().expect("there is one").1
    }

    /// The truth then; none before it was made.
    pub(super) fn truth_at(&self, then: Millis) -> Option<&Truth> {
        self.states.iter().rev().find(|(at, _)| *at <= then).map(|(_, truth)| truth)
    }

    /// Since when the bridge has been told that it is deleted, without a recovery.
    pub(super) fn told_deleted_since(&self) -> Option<Millis> {
        let told = self.told_deletions.iter().rev();
        told.take_while(|(_, is_deleted)| **is_deleted).last().map(|(at, _)| *at)
    }

    pub(super) fn note(&mut self, now: Millis, what: impl AsRef<str>) {
        self.history.push(format!("{now} {}", what.as_ref()));
    }
}

impl fmt::Display for HeldDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.start, self.end())?;
        if let Some(off) = self.cancelled_at {
            write!(f, ", off since {off}")?;
        }
        let Some(Run { started_at, ended_at }) = self.run else { return Ok(()) };
        write!(f, ", ran from {started_at}")?;
        if let Some(ended) = ended_at { write!(f, " to {ended}") } else { Ok(()) }
    }
}

//! The events that follow from a webinar: what needs other state to be understood is resolved here, afresh each time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::change::{End, Phase, Shape};
use super::id::{ExternalAccountId, ExternalEventId, OccurrenceId, WebinarId};
use super::input::EventInput;
use super::policy::{Policy, Recurring};
use super::register::{Register, Stamp, latest};
use super::time::Millis;
use super::webinar::{Registers, Run, Webinar};

/// A run that names no occurrence belongs to the one whose start is nearest, within this span (design: "Series").
const NEAREST: Duration = Duration::from_hours(12);

/// One event as it follows from the webinar now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// Its id in HubSpot.
    pub id: ExternalEventId,
    /// What HubSpot is to get, or what is missing for that.
    pub content: Result<EventInput, Vec<Gap>>,
    /// The title, if known; for showing what is incomplete.
    pub name: Option<String>,
    /// Its start, if known.
    pub start: Option<Millis>,
    /// Its end, if known.
    pub end: Option<Millis>,
    /// When the passing of time alone will complete it.
    pub due_at: Option<Millis>,
}

/// Why an event cannot be sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// No body that shows the whole webinar was ever seen: a first upsert would clear what HubSpot may already hold.
    FullPicture,
    /// Not known whether the id is one webinar or a series.
    Shape,
    /// No title.
    Name,
    /// No host's name, and the source has no `organizer`.
    Organizer,
    /// The occurrences, or their times, are not known.
    Times,
}

/// The values of one event, each with the register it came from.
struct View<'a> {
    id: ExternalEventId,
    name: Option<&'a Register<String>>,
    organizer: Option<&'a Register<String>>,
    description: Option<&'a Register<String>>,
    event_type: Option<&'a Register<String>>,
    registration_url: Option<&'a Register<String>>,
    join_url: Option<&'a Register<String>>,
    custom: BTreeMap<&'a str, &'a Register<String>>,
    start: Option<Millis>,
    end: Option<Millis>,
    cancelled: bool,
    completed: bool,
    times_known: bool,
}

/// Resolves a webinar into its events, sorted by id.
///
/// `now` decides only whether a completion timer has run out.
#[must_use]
pub fn fold(
    webinar: &Webinar,
    account: &ExternalAccountId,
    id: &WebinarId,
    policy: &Policy,
    now: Millis,
) -> Vec<Folded> {
    let shape = webinar.shape.as_ref().map(|shape| shape.value);
    let mut views = Vec::new();
    match (shape, policy.recurring) {
        (Some(Shape::Series), Recurring::Series) => views.push(series_view(webinar, id)),
        (Some(Shape::Series), Recurring::Occurrence) => {
            views.extend(
                webinar.occurrences.iter().map(|(o, said)| occurrence_view(webinar, id, o, said)),
            );
            if webinar.was_whole {
                views.push(whole_view(
                    webinar,
                    id,
                    webinar.shape.as_ref().map(|shape| shape.stamp),
                ));
            } else if views.is_empty() {
                views.push(View { times_known: false, ..whole_view(webinar, id, None) });
            }
        }
        (Some(Shape::Program { .. }), _)
        | (Some(Shape::Single | Shape::Timeless), Recurring::Series)
        | (None, _) => {
            views.push(whole_view(webinar, id, None));
        }
        (Some(Shape::Single | Shape::Timeless), Recurring::Occurrence) => {
            views.push(whole_view(webinar, id, None));
            views.extend(
                webinar.occurrences.iter().map(|(o, said)| occurrence_view(webinar, id, o, said)),
            );
        }
    }
    let mut events: Vec<Folded> =
        views.into_iter().map(|view| view.finish(webinar, account, policy, now)).collect();
    events.sort_by(|a, b| a.id.cmp(&b.id));
    events
}

/// The event of the whole webinar. `superseded` is when it became a series, which calls this event off.
fn whole_view<'a>(webinar: &'a Webinar, id: &WebinarId, superseded: Option<Stamp>) -> View<'a> {
    let whole = &webinar.whole;
    let shape = webinar.shape.as_ref().map(|shape| shape.value);
    let mut cancelled = whole.cancelled.as_ref().map(|r| (r.stamp, r.value));
    raise(&mut cancelled, superseded.map(|stamp| (stamp, true)));
    let runs: Vec<&Run> = match shape {
        Some(Shape::Single) | None => webinar.sessions.iter().collect(),
        // A run of what is held again and again, or of one session of many, ends only itself.
        Some(Shape::Timeless | Shape::Series | Shape::Program { .. }) => Vec::new(),
    };
    let mut completed = whole.completed.as_ref().map(|r| (r.stamp, r.value));
    raise(&mut completed, runs.last().map(|run| (run.stamp, run.phase == Phase::Ended)));
    if let Some(Shape::Program { one_session }) = shape {
        raise(&mut completed, program_completed(webinar, one_session).map(|stamp| (stamp, true)));
    }
    let (start, end) = if shape == Some(Shape::Timeless) {
        (None, None)
    } else {
        let start = whole.start.as_ref();
        let ends = [
            end_of(whole.end.as_ref()),
            end_of_actual(whole.actual_end.as_ref()),
            end_of_runs(&runs),
        ];
        (start.map(|r| r.value), resolve_end(start, ends))
    };
    View {
        cancelled: sent_cancelled(cancelled, completed, end),
        completed: completed.is_some_and(|(_, value)| value),
        start,
        end,
        times_known: true,
        ..View::texts(ExternalEventId::of_webinar(id), &NOTHING, whole)
    }
}

/// The event of one occurrence: its own registers, and under them what was said of all.
fn occurrence_view<'a>(
    webinar: &'a Webinar,
    series: &WebinarId,
    id: &OccurrenceId,
    own: &'a Registers,
) -> View<'a> {
    let whole = &webinar.whole;
    let cancelled = occurrence_cancelled(webinar, id, own);
    let runs: Vec<&Run> =
        webinar.sessions.iter().filter(|run| nearest(webinar, run) == Some(id)).collect();
    let mut completed =
        latest(own.completed.as_ref(), whole.completed.as_ref()).map(|r| (r.stamp, r.value));
    raise(&mut completed, runs.last().map(|run| (run.stamp, run.phase == Phase::Ended)));
    // The series' own start is its first occurrence's; an end at a fixed time is not every occurrence's.
    let start = own.start.as_ref();
    let length = whole.end.as_ref().filter(|r| matches!(r.value, End::After(_)));
    let planned = latest(own.end.as_ref(), length);
    let end = resolve_end(
        start,
        [end_of(planned), end_of_actual(own.actual_end.as_ref()), end_of_runs(&runs)],
    );
    View {
        cancelled: sent_cancelled(cancelled, completed, end),
        completed: completed.is_some_and(|(_, value)| value),
        start: start.map(|r| r.value),
        end,
        times_known: start.is_some() && times_known(webinar, own),
        ..View::texts(ExternalEventId::of_occurrence(series, id), own, whole)
    }
}

/// One event for a whole series: from its first occurrence to its last, over when the last is.
fn series_view<'a>(webinar: &'a Webinar, id: &WebinarId) -> View<'a> {
    let all: Vec<View<'_>> =
        webinar.occurrences.iter().map(|(o, own)| occurrence_view(webinar, id, o, own)).collect();
    let mut live: Vec<&View<'_>> = all.iter().filter(|view| !view.cancelled).collect();
    let none_left = live.is_empty();
    if none_left {
        live = all.iter().collect();
    }
    let last = live.iter().max_by(|a, b| (a.start, &a.id).cmp(&(b.start, &b.id)));
    let whole_cancelled = webinar.whole.cancelled.as_ref().is_some_and(|r| r.value);
    View {
        cancelled: none_left && (!all.is_empty() || whole_cancelled),
        completed: last.is_some_and(|view| view.completed),
        start: live.iter().filter_map(|view| view.start).min(),
        end: live.iter().filter_map(|view| view.end).max(),
        times_known: !all.is_empty() && live.iter().all(|view| view.times_known),
        ..View::texts(ExternalEventId::of_webinar(id), &NOTHING, &webinar.whole)
    }
}

/// What the last of all sayings on this occurrence's taking place was.
fn occurrence_cancelled(
    webinar: &Webinar,
    id: &OccurrenceId,
    own: &Registers,
) -> Option<(Stamp, bool)> {
    let mut said = own.cancelled.as_ref().map(|r| (r.stamp, r.value));
    raise(&mut said, webinar.full_list.as_ref().map(|list| (list.stamp, !list.value.contains(id))));
    raise(&mut said, webinar.whole.cancelled.as_ref().map(|r| (r.stamp, r.value)));
    let converted = webinar.shape.as_ref().filter(|shape| shape.value != Shape::Series);
    raise(&mut said, converted.map(|shape| (shape.stamp, true)));
    said
}

/// The occurrence that a run belongs to: the nearest in time of those that were to take place.
fn nearest<'a>(webinar: &'a Webinar, run: &Run) -> Option<&'a OccurrenceId> {
    let began = run.started_at.unwrap_or(run.stamp.at);
    webinar
        .occurrences
        .iter()
        .filter_map(|(id, own)| {
            own.start.as_ref().map(|start| (start.value.distance(began), id, own))
        })
        .filter(|(distance, _, _)| *distance <= NEAREST)
        .filter(|(_, id, own)| {
            let cancelled = occurrence_cancelled(webinar, id, own);
            !cancelled.is_some_and(|(stamp, cancelled)| cancelled && stamp < run.stamp)
        })
        .min_by_key(|(distance, id, _)| (*distance, *id))
        .map(|(_, id, _)| id)
}

/// When the last session of a program ended, if it did.
///
/// All known sessions that were not called off have ended, and the last of them reaches the event's last half day:
/// a session of a later day may not be known.
fn program_completed(webinar: &Webinar, one_session: bool) -> Option<Stamp> {
    let ended = |own: &Registers| own.completed.as_ref().filter(|r| r.value).map(|r| r.stamp);
    let live = || {
        webinar.occurrences.values().filter(|own| !own.cancelled.as_ref().is_some_and(|r| r.value))
    };
    if one_session {
        return live().filter_map(ended).max();
    }
    let stamps: Option<Vec<Stamp>> = live().map(ended).collect();
    let last = stamps?.into_iter().max()?;
    let planned_end = webinar.whole.end.as_ref().and_then(|r| r.value.for_start(None));
    let last_end =
        live().filter_map(|own| own.end.as_ref().and_then(|r| r.value.for_start(None))).max();
    match (planned_end, last_end) {
        (Some(planned), Some(reached)) if reached.plus(NEAREST) < planned => None,
        _ => Some(last),
    }
}

/// An occurrence's times are known unless the recurrence changed, without a list, after they were told.
fn times_known(webinar: &Webinar, own: &Registers) -> bool {
    let Some(unknown) = &webinar.times_unknown else { return true };
    let told = own.start.as_ref().map(|start| start.stamp);
    let listed = webinar.full_list.as_ref().map(|list| list.stamp);
    told.max(listed).is_some_and(|told| told > unknown.stamp)
}

/// A platform is tidied up after the fact: a calling off after the end, or after completion, is not one.
fn sent_cancelled(
    cancelled: Option<(Stamp, bool)>,
    completed: Option<(Stamp, bool)>,
    end: Option<Millis>,
) -> bool {
    let Some((stamp, true)) = cancelled else { return false };
    let after_completion = completed.is_some_and(|(over, value)| value && stamp.at > over.at);
    let after_end = end.is_some_and(|end| stamp.at > end);
    !after_completion && !after_end
}

/// Takes the later saying; of equal stamps the one that is there, which is the more specific.
fn raise(said: &mut Option<(Stamp, bool)>, other: Option<(Stamp, bool)>) {
    if let Some(other) = other
        && said.is_none_or(|said| other.0 > said.0)
    {
        *said = Some(other);
    }
}

fn end_of(register: Option<&Register<End>>) -> Option<(Stamp, End)> {
    register.map(|r| (r.stamp, r.value))
}

fn end_of_actual(register: Option<&Register<Millis>>) -> Option<(Stamp, End)> {
    register.map(|r| (r.stamp, End::At(r.value)))
}

/// The actual end of the last run, unless another began since.
fn end_of_runs(runs: &[&Run]) -> Option<(Stamp, End)> {
    let last = runs.last().filter(|run| run.phase == Phase::Ended)?;
    last.ended_at.map(|end| (last.stamp, End::At(end)))
}

/// The newest end that fits the start: a fixed end told before the present start, and not after it, ended another date.
fn resolve_end(
    start: Option<&Register<Millis>>,
    mut ends: [Option<(Stamp, End)>; 3],
) -> Option<Millis> {
    ends.sort_by_key(|end| std::cmp::Reverse(end.map(|(stamp, _)| stamp)));
    ends.into_iter().flatten().find_map(|(stamp, end)| {
        let at = end.for_start(start.map(|r| r.value))?;
        let outdated = start.is_some_and(|start| match end {
            End::At(_) => at < start.value || (stamp < start.stamp && at == start.value),
            End::After(_) => false,
        });
        (!outdated).then_some(at)
    })
}

/// Nothing said.
static NOTHING: Registers = Registers {
    name: None,
    organizer: None,
    description: None,
    event_type: None,
    registration_url: None,
    join_url: None,
    start: None,
    end: None,
    actual_end: None,
    cancelled: None,
    completed: None,
    custom: BTreeMap::new(),
};

impl<'a> View<'a> {
    fn texts(id: ExternalEventId, own: &'a Registers, whole: &'a Registers) -> Self {
        let mut custom: BTreeMap<&str, &Register<String>> = BTreeMap::new();
        for name in whole.custom.keys().chain(own.custom.keys()) {
            custom.extend(
                latest(own.custom.get(name), whole.custom.get(name)).map(|r| (name.as_str(), r)),
            );
        }
        Self {
            id,
            name: latest(own.name.as_ref(), whole.name.as_ref()),
            organizer: latest(own.organizer.as_ref(), whole.organizer.as_ref()),
            description: latest(own.description.as_ref(), whole.description.as_ref()),
            event_type: latest(own.event_type.as_ref(), whole.event_type.as_ref()),
            registration_url: latest(
                own.registration_url.as_ref(),
                whole.registration_url.as_ref(),
            ),
            join_url: latest(own.join_url.as_ref(), whole.join_url.as_ref()),
            custom,
            start: None,
            end: None,
            cancelled: false,
            completed: false,
            times_known: true,
        }
    }

    fn finish(
        self,
        webinar: &Webinar,
        account: &ExternalAccountId,
        policy: &Policy,
        now: Millis,
    ) -> Folded {
        let text = |r: Option<&Register<String>>| {
            r.map(|r| r.value.clone()).filter(|text| !text.is_empty())
        };
        let timer = policy
            .complete_after_end
            .and_then(|grace| self.end.map(|end| end.plus(grace)))
            .filter(|_| !self.cancelled && !self.completed);
        let timed_out = timer.is_some_and(|due| due <= now);
        let name = text(self.name);
        let organizer = text(self.organizer).or_else(|| policy.organizer.clone());
        let event_type = policy.event_type.clone().or_else(|| text(self.event_type));
        let mut custom = policy.custom_properties.clone();
        for (key, register) in &self.custom {
            if register.value.is_empty() {
                custom.remove(*key);
            } else {
                custom.insert((*key).to_owned(), register.value.clone());
            }
        }
        let gaps: Vec<Gap> = [
            (!webinar.full_picture).then_some(Gap::FullPicture),
            webinar.shape.is_none().then_some(Gap::Shape),
            name.is_none().then_some(Gap::Name),
            organizer.is_none().then_some(Gap::Organizer),
            (!self.times_known).then_some(Gap::Times),
        ]
        .into_iter()
        .flatten()
        .collect();
        let content = match (gaps.is_empty(), name.clone(), organizer) {
            (true, Some(event_name), Some(event_organizer)) => Ok(EventInput {
                external_account_id: account.as_str().to_owned(),
                external_event_id: self.id.as_str().to_owned(),
                event_name,
                event_organizer,
                event_type: event_type.unwrap_or_else(|| "WEBINAR".to_owned()),
                event_description: text(self.description),
                event_url: text(self.registration_url).or_else(|| text(self.join_url)),
                start_date_time: self.start,
                end_date_time: self.end,
                event_cancelled: self.cancelled,
                event_completed: self.completed || timed_out,
                custom_properties: custom,
            }),
            _ => Err(gaps),
        };
        Folded {
            id: self.id,
            content,
            name,
            start: self.start,
            end: self.end,
            due_at: timer.filter(|due| *due > now),
        }
    }
}

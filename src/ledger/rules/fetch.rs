//! The queue of fetches: what a request, a claim and an outcome make of a row.

use std::time::Duration;

use crate::event::webinar::Registers;
use crate::event::{FetchCondition, Gap, Millis, Register, SourceName, Webinar};
use crate::ledger::{
    EventState, FetchBlame, FetchOutcome, FetchState, FetchTask, LONGEST_WAIT, ReceiptKind,
};

/// How long a webinar fails, while others are answered, before its fetch is dead: long enough for an operator's holiday
/// weekend, and for whatever a platform mends by itself.
pub const FETCH_PATIENCE: Duration = Duration::from_hours(7 * 24);
/// The longest wait of a failed fetch after a webhook has requested it again.
const WEBHOOK_WAIT: Duration = Duration::from_mins(5);
/// The time in which few webinars may turn absent.
pub const ABSENCE_SPAN: Duration = Duration::from_hours(24);
/// Webinars of a source that may turn absent within [`ABSENCE_SPAN`], however few are to come.
const ABSENCES_ALLOWED: u64 = 3;
/// One of so many coming webinars may turn absent within [`ABSENCE_SPAN`].
const ABSENCES_SHARE: u64 = 10;

/// A webinar in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRow {
    /// Whether it is to be fetched.
    pub state: FetchState,
    /// Rises each time that the webinar is requested.
    pub version: i64,
    /// Since when it has been requested.
    pub requested_at: Millis,
    /// The earliest next attempt, while it waits for one.
    pub not_before: Option<Millis>,
    /// Failures of the webinar's own, in a row.
    pub attempts: u32,
    /// How many of them found no such webinar.
    pub not_found: u32,
    /// When the first of them was.
    pub failing_since: Option<Millis>,
    /// Whether it is believed if the platform has no such webinar.
    pub absence: AbsenceTrust,
    /// When the webinar turned absent, and was not found since.
    pub absent_at: Option<Millis>,
    /// The last webhook that requested it.
    pub reported_at: Option<Millis>,
    /// The last webhook because of which it is asked about once more.
    pub repeated_for: Option<Millis>,
    /// When an attempt failed last, and why.
    pub failure: Option<FetchFailure>,
}

/// Whether it is believed that the platform has no such webinar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbsenceTrust {
    /// As long as few turn absent.
    Limited,
    /// No: it turned absent together with too many others, and a person must confirm it.
    Held,
    /// Yes: a person had it asked again.
    Confirmed,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchFailure {
    /// When.
    pub at: Millis,
    /// Why, for showing.
    pub reason: String,
}

impl FetchRow {
    /// A row that was requested at that time and not attempted since.
    fn requested(version: i64, at: Millis) -> Self {
        Self {
            state: FetchState::Pending,
            version,
            requested_at: at,
            not_before: None,
            attempts: 0,
            not_found: 0,
            failing_since: None,
            absence: AbsenceTrust::Limited,
            absent_at: None,
            reported_at: None,
            repeated_for: None,
            failure: None,
        }
    }
}

/// The state of an event for the question whether its webinar is to be fetched: the platform does not know what HubSpot
/// holds.
#[must_use]
pub fn state_for_fetch(state: EventState, gaps: &[Gap]) -> EventState {
    if gaps == [Gap::BaseUnread] { EventState::Pending } else { state }
}

/// Whether a request of that condition is to be fulfilled, for a webinar with events in these states that
/// [is uncertain](crate::event::is_uncertain) or not.
#[must_use]
pub fn is_fetch_needed(
    condition: FetchCondition,
    events: &[EventState],
    is_uncertain: bool,
) -> bool {
    match condition {
        FetchCondition::Always => true,
        FetchCondition::IfUncertain => {
            is_uncertain || events.is_empty() || events.contains(&EventState::Incomplete)
        }
    }
}

/// Who requests a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchRequester {
    /// A webhook: the platform has just changed something.
    Webhook,
    /// A person, or something that looks for what is missing.
    Other,
}

impl From<ReceiptKind> for FetchRequester {
    fn from(kind: ReceiptKind) -> Self {
        match kind {
            ReceiptKind::Webhook => Self::Webhook,
            ReceiptKind::Fetched => Self::Other,
        }
    }
}

/// The row once the webinar is requested at that time. A wait that the platform asked for goes on. A dead fetch is tried
/// once more: if it fails again, it is dead again.
#[must_use]
pub fn request_fetch(row: Option<FetchRow>, by: FetchRequester, at: Millis) -> FetchRow {
    let reported_at = match by {
        FetchRequester::Webhook => Some(at),
        FetchRequester::Other => None,
    };
    let Some(row) = row else {
        return FetchRow { reported_at, ..FetchRow::requested(1, at) };
    };
    let reported_at = reported_at.max(row.reported_at).max(row.repeated_for);
    let row = match row.state {
        FetchState::Pending => {
            // A webhook shows that something changed: what failed for hours is asked about soon.
            let is_hastened = matches!(by, FetchRequester::Webhook) && row.attempts > 0;
            let soon = is_hastened.then(|| at.plus(WEBHOOK_WAIT));
            let not_before = row.not_before.map(|wait| soon.map_or(wait, |soon| wait.min(soon)));
            FetchRow { version: row.version + 1, not_before, ..row }
        }
        // It takes the place of the question that was still to come: its answer may be too early as well.
        FetchState::Answered => FetchRow::requested(row.version + 1, at),
        FetchState::GivenUp => FetchRow {
            absent_at: row.absent_at,
            failure: row.failure,
            ..FetchRow::requested(row.version + 1, at)
        },
        FetchState::Dead => try_once_more(row),
    };
    FetchRow { reported_at, ..row }
}

/// A dead fetch that is tried once more. It keeps since when it has failed.
#[must_use]
pub fn try_once_more(row: FetchRow) -> FetchRow {
    FetchRow { state: FetchState::Pending, version: row.version + 1, not_before: None, ..row }
}

/// A dead fetch once a person redrives it: it has another [`FETCH_PATIENCE`].
#[must_use]
pub fn redrive_fetch(row: FetchRow, now: Millis) -> FetchRow {
    FetchRow {
        absence: AbsenceTrust::Confirmed,
        absent_at: row.absent_at,
        failure: row.failure,
        ..FetchRow::requested(row.version + 1, now)
    }
}

/// Since when the row has been due; none if it is not due now.
///
/// A time that is further ahead than [`LONGEST_WAIT`] was written by a clock that was ahead.
#[must_use]
pub fn due_since(row: &FetchRow, now: Millis) -> Option<Millis> {
    match (row.state, row.not_before) {
        (FetchState::GivenUp | FetchState::Dead, _) => None,
        (FetchState::Pending | FetchState::Answered, Some(at)) if at <= now => Some(at),
        (FetchState::Pending | FetchState::Answered, Some(at)) if at <= now.plus(LONGEST_WAIT) => {
            None
        }
        (FetchState::Pending | FetchState::Answered, Some(_) | None) => Some(row.requested_at),
    }
}

/// When the row becomes due, if it waits for that.
#[must_use]
pub fn due_later(row: &FetchRow, now: Millis) -> Option<Millis> {
    let waits = |at: &Millis| *at > now && *at <= now.plus(LONGEST_WAIT);
    let is_open = matches!(row.state, FetchState::Pending | FetchState::Answered);
    row.not_before.filter(|_| is_open).filter(waits)
}

/// What a back end knows of the row's source when an outcome is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceFacts {
    /// When a webinar of the source was last answered.
    pub answered_at: Option<Millis>,
    /// Webinars of the source that turned absent within [`ABSENCE_SPAN`], without the row's.
    pub turned_absent: u64,
    /// Webinars of the platform's account that are to come.
    pub coming: u64,
    /// When a webhook last changed a webinar that the outcome speaks of.
    pub webhook_at: Option<Millis>,
}

/// Whether a webinar that the source reported is to come: it ends, or starts, after now, and neither is it cancelled nor
/// does the platform lack it.
#[must_use]
pub fn is_coming(webinar: &Webinar, source: &SourceName, now: Millis) -> bool {
    let is_later = |registers: &Registers| {
        let start = registers.start.as_ref().map(|start| start.value);
        let end = registers.end.as_ref().and_then(|end| end.value.for_start(start));
        start.max(end).is_some_and(|at| at > now)
    };
    let is_set = |flag: &Option<Register<bool>>| flag.as_ref().is_some_and(|flag| flag.value);
    let whole = &webinar.whole;
    webinar.sources.contains(source)
        && !is_set(&whole.cancelled)
        && !is_set(&whole.absent)
        && (is_later(whole) || webinar.occurrences.values().any(is_later))
}

/// Whether a webinar may count as absent, after so many others turned absent within [`ABSENCE_SPAN`]. A platform that has
/// lost many at once has rather lost our access to them.
#[must_use]
pub fn is_absence_believed(row: &FetchRow, facts: &SourceFacts) -> bool {
    let allowed = ABSENCES_ALLOWED.max(facts.coming / ABSENCES_SHARE);
    match row.absence {
        AbsenceTrust::Limited => facts.turned_absent < allowed,
        AbsenceTrust::Held => false,
        AbsenceTrust::Confirmed => true,
    }
}

/// Prepares a task's outcome for being recorded.
///
/// A request for the task's own webinar is taken out of the receipt that it brings: this is its answer. An absence that is not believed brings no receipt, and waits for a person.
pub fn review_outcome(
    task: &FetchTask,
    row: Option<&FetchRow>,
    facts: &SourceFacts,
    outcome: &mut FetchOutcome,
) {
    if let (FetchOutcome::GivenUp { reason, receipt: Some(_) }, Some(row)) = (&*outcome, row)
        && !is_absence_believed(row, facts)
    {
        let SourceFacts { turned_absent, coming, .. } = facts;
        let reason = format!(
            "{reason}, as {turned_absent} others within a day (of {coming} to come): a person must confirm it"
        );
        *outcome = FetchOutcome::Held { reason };
    }
    let own = (&task.account, &task.webinar);
    if let Some(receipt) = outcome.receipt_mut() {
        receipt.fetch_requests.retain(|request| (&request.account, &request.webinar) != own);
    }
}

/// The row once a task that `claimed` it had this outcome; none if it is deleted.
///
/// An outcome whose recording was not confirmed is recorded again: that changes nothing, since every other change of a row
/// raises its version.
#[must_use]
pub fn settle_fetch(
    row: &FetchRow,
    claimed: &FetchRow,
    outcome: &FetchOutcome,
    facts: &SourceFacts,
    now: Millis,
) -> Option<FetchRow> {
    let requested_again = row.version != claimed.version;
    if !requested_again && row != claimed {
        return Some(row.clone());
    }
    let failure = |reason: &str| Some(FetchFailure { at: now, reason: reason.to_owned() });
    // What was requested meanwhile is tried once more, also if the task that began before made it dead.
    let unless_requested = |row: FetchRow| {
        if requested_again && row.state == FetchState::Dead { try_once_more(row) } else { row }
    };
    match outcome {
        FetchOutcome::Answered { receipt: _, asked_at, lag } => {
            let fresh = FetchRow::requested(row.version, now);
            match repeat_for(row, *asked_at, *lag, facts) {
                Some(webhook_at) => Some(FetchRow {
                    state: FetchState::Answered,
                    // A time to come was written by a clock that was ahead.
                    not_before: Some(webhook_at.min(now).plus(*lag).max(now)),
                    repeated_for: Some(webhook_at),
                    ..fresh
                }),
                None => requested_again.then_some(fresh),
            }
        }
        FetchOutcome::Retry { not_before, reason, blame } => {
            let row = FetchRow {
                not_before: Some((*not_before).min(now.plus(LONGEST_WAIT))),
                failure: failure(reason),
                ..row.clone()
            };
            Some(unless_requested(count_failure(row, *blame, facts, now)))
        }
        FetchOutcome::Held { reason } => {
            let absence = AbsenceTrust::Held;
            let failure = failure(reason);
            let held = FetchRow { state: FetchState::Dead, absence, failure, ..row.clone() };
            Some(unless_requested(held))
        }
        FetchOutcome::GivenUp { reason, receipt } => {
            // A webinar that is absent already is not newly so.
            let absent_at = row.absent_at.or(receipt.is_some().then_some(now));
            let ended = FetchRow { failure: failure(reason), absent_at, ..row.clone() };
            Some(if requested_again {
                let FetchRow { failure, absent_at, .. } = ended;
                FetchRow { absent_at, failure, ..FetchRow::requested(row.version, now) }
            } else {
                FetchRow { state: FetchState::GivenUp, ..ended }
            })
        }
    }
}

/// The webhook because of which an answered webinar is asked about once more: it arrived so late before the question, or
/// after it, that the answer may not show its change. Once for each webhook is enough.
fn repeat_for(
    row: &FetchRow,
    asked_at: Millis,
    lag: Duration,
    facts: &SourceFacts,
) -> Option<Millis> {
    let webhook_at = facts.webhook_at.max(row.reported_at)?;
    let is_near = webhook_at.plus(lag) > asked_at && Some(webhook_at) > row.repeated_for;
    is_near.then_some(webhook_at)
}

/// Counts a failure that is the webinar's own. After [`FETCH_PATIENCE`] in which others were answered, the fetch is dead.
fn count_failure(row: FetchRow, blame: FetchBlame, facts: &SourceFacts, now: Millis) -> FetchRow {
    let is_not_found = match blame {
        FetchBlame::Source => return row,
        FetchBlame::Webinar => false,
        FetchBlame::NotFound => true,
    };
    // A time to come was written by a clock that was ahead.
    let since = row.failing_since.filter(|since| *since <= now).unwrap_or(now);
    let is_dead =
        now.since(since) >= FETCH_PATIENCE && facts.answered_at.is_some_and(|at| at > since);
    FetchRow {
        state: if is_dead { FetchState::Dead } else { FetchState::Pending },
        attempts: row.attempts.saturating_add(1),
        not_found: row.not_found.saturating_add(u32::from(is_not_found)),
        failing_since: Some(since),
        ..row
    }
}

/// Whether a claim that ends then still holds. One that ends twice as late as a claim of now would was made by a clock
/// that was far ahead; a clock that was set back by less ends no claim.
#[must_use]
pub fn is_claim_valid(ends_at: Millis, now: Millis) -> bool {
    ends_at > now && ends_at <= now.plus(2 * crate::ledger::FETCH_CLAIM)
}

#[cfg(test)]
mod tests;

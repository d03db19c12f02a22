//! A simulated platform with thin webhooks: the truth about its webinars over time, and an API that shows it.
//!
//! The API lags, fails and lies within its contract. Each answer shows the state of some moment within the lag. Troubles
//! last for a while: a webinar that exists is not found, or none is; the list leaves some out; calls are refused. Other
//! calls fail one by one. It knows nothing of the bridge, and its numbers are its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};
use webinar_bridge::event::Millis;

use crate::harness::rng::SeededRng;

/// The platform's account.
pub(crate) const PLATFORM_ACCOUNT: &str = "acct-t";
/// A webinar that is found within that time shows that the credentials find what there is (M14).
const FOUND_WITHIN: Duration = Duration::from_hours(1);

/// A platform's webinar over time.
#[derive(Debug, Clone)]
pub(crate) struct TrueWebinar {
    pub(crate) is_series: bool,
    pub(crate) created_at: Millis,
    /// Each state with its first moment, oldest first; none while the webinar does not exist.
    states: Vec<(Millis, Option<TrueState>)>,
}

/// What is true of a webinar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrueState {
    pub(crate) name: String,
    /// The start of a single webinar.
    pub(crate) start: Millis,
    pub(crate) minutes: i64,
    pub(crate) standing: TrueStanding,
    /// The occurrences of a series, with their starts.
    pub(crate) occurrences: BTreeMap<String, Millis>,
}

/// Whether a webinar takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrueStanding {
    Planned,
    Cancelled,
    Ended,
}

impl TrueState {
    /// The planned end.
    pub(crate) fn end_of(&self, start: Millis) -> Millis {
        Millis::new(start.get() + self.minutes * 60_000)
    }
}

impl TrueWebinar {
    /// A webinar that is created then.
    pub(crate) fn new(created_at: Millis, is_series: bool, state: TrueState) -> Self {
        Self { is_series, created_at, states: vec![(created_at, Some(state))] }
    }

    /// Changes the webinar at a time that is not before its last change; none deletes it.
    pub(crate) fn change(&mut self, at: Millis, state: Option<TrueState>) {
        self.states.push((at, state));
    }

    /// The state at that time, and when it began.
    pub(crate) fn at(&self, at: Millis) -> Option<(Millis, &TrueState)> {
        let (since, state) = self.states.iter().rev().find(|(since, _)| *since <= at)?;
        Some((*since, state.as_ref()?))
    }

    /// The last state; none if the webinar does not exist any more.
    pub(crate) fn last(&self) -> Option<&TrueState> {
        self.states.last()?.1.as_ref()
    }

    /// The last state in which the webinar existed.
    pub(crate) fn last_seen(&self) -> Option<&TrueState> {
        self.states.iter().rev().find_map(|(_, state)| state.as_ref())
    }

    /// When it changed last.
    pub(crate) fn changed_at(&self) -> Millis {
        self.states.last().map_or(self.created_at, |(at, _)| *at)
    }

    /// All occurrences that it ever had.
    pub(crate) fn occurrences(&self) -> BTreeSet<&String> {
        let states = self.states.iter().filter_map(|(_, state)| state.as_ref());
        states.flat_map(|state| state.occurrences.keys()).collect()
    }
}

/// A trouble with the API that lasts for a while.
#[derive(Debug, Clone)]
pub(crate) struct ApiTrouble {
    pub(crate) from: Millis,
    pub(crate) to: Millis,
    pub(crate) kind: TroubleKind,
}

/// Kind of a trouble.
#[derive(Debug, Clone)]
pub(crate) enum TroubleKind {
    /// This webinar is not found, though it exists.
    NotFound(String),
    /// No webinar is found, and the list is empty, as for the credentials of another account.
    NoneFound,
    /// The list leaves out webinars that exist.
    ShortList,
    /// Calls about this webinar, or all calls, are refused.
    Refused(Option<String>, u16),
}

/// How often answers tell when the webinar was changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnTimes {
    Always,
    Sometimes,
    Never,
}

/// Properties of a simulated API.
#[derive(Debug, Clone)]
pub(crate) struct ApiSettings {
    /// Longest time by which an answer is late.
    pub(crate) lag: Duration,
    pub(crate) own_times: OwnTimes,
    /// How far the platform's clock is ahead, in milliseconds.
    pub(crate) skew: i64,
    /// Whether answers have a `Date`.
    pub(crate) tells_date: bool,
    /// Percentage of calls that fail until `faults_end_at`.
    pub(crate) fault_percent: u64,
    pub(crate) faults_end_at: Millis,
}

/// The API of a simulated platform.
pub(crate) struct SimulatedPlatformApi {
    pub(crate) settings: ApiSettings,
    pub(crate) webinars: BTreeMap<String, TrueWebinar>,
    pub(crate) troubles: Vec<ApiTrouble>,
    rng: SeededRng,
    /// When it showed a webinar last.
    found_at: Option<Millis>,
    /// Webinars that it did not show within the hour after others were found, though they exist: the rules allow the
    /// bridge to believe that of a few.
    credible_lies: BTreeSet<String>,
}

/// An answer, or its loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiReply {
    Answer { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    Hang,
    Reset,
}

impl SimulatedPlatformApi {
    pub(crate) fn new(settings: ApiSettings, rng: SeededRng) -> Self {
        let (webinars, troubles, credible_lies) = Default::default();
        Self { settings, webinars, troubles, rng, found_at: None, credible_lies }
    }

    /// The time by the platform's clock.
    pub(crate) fn clock(&self, at: Millis) -> Millis {
        Millis::new(at.get() + self.settings.skew)
    }

    /// When the last trouble is over and the last change of a webinar is made.
    pub(crate) fn quiet_at(&self) -> Millis {
        let troubles = self.troubles.iter().map(|trouble| trouble.to);
        let changes = self.webinars.values().map(TrueWebinar::changed_at);
        troubles.chain(changes).max().unwrap_or(self.settings.faults_end_at)
    }

    /// Whether the bridge may believe that the webinar, which exists, is gone.
    pub(crate) fn is_credible_lie(&self, id: &str) -> bool {
        self.credible_lies.contains(id)
    }

    /// Answers a request: `/webinars`, or `/webinars/{id}`.
    pub(crate) fn handle(&mut self, now: Millis, path: &str) -> ApiReply {
        let id = path.strip_prefix("/webinars/");
        if now < self.settings.faults_end_at && self.rng.percent(self.settings.fault_percent) {
            return self.fault(now);
        }
        if let Some(status) = self.refusal(now, id) {
            return self.answer(now, status, &json!({ "message": "no" }));
        }
        let shown_at = now.minus(self.delay());
        match id {
            None => self.list(now, shown_at),
            Some(id) => self.webinar(now, shown_at, id),
        }
    }

    fn delay(&mut self) -> Duration {
        let lag = u64::try_from(self.settings.lag.as_millis()).expect("short");
        // Most answers are hardly late, or as late as they may be.
        let late = match self.rng.below(4) {
            0 => lag,
            1 => self.rng.between(0, lag),
            _ => self.rng.between(0, lag / 20),
        };
        Duration::from_millis(late)
    }

    fn present(&self, now: Millis) -> impl Iterator<Item = &TroubleKind> {
        let present = self.troubles.iter().filter(move |it| it.from <= now && now < it.to);
        present.map(|trouble| &trouble.kind)
    }

    fn refusal(&self, now: Millis, id: Option<&str>) -> Option<u16> {
        self.present(now).find_map(|kind| match kind {
            TroubleKind::Refused(None, status) => Some(*status),
            TroubleKind::Refused(Some(refused), status) if Some(refused.as_str()) == id => {
                Some(*status)
            }
            TroubleKind::Refused(..)
            | TroubleKind::NotFound(_)
            | TroubleKind::NoneFound
            | TroubleKind::ShortList => None,
        })
    }

    fn webinar(&mut self, now: Millis, shown_at: Millis, id: &str) -> ApiReply {
        let not_found = |kind: &TroubleKind| match kind {
            TroubleKind::NotFound(lost) => lost == id,
            TroubleKind::NoneFound => true,
            TroubleKind::Refused(..) | TroubleKind::ShortList => false,
        };
        let is_lie = self.present(now).any(not_found);
        let shown = self.webinars.get(id).and_then(|webinar| {
            let (since, state) = webinar.at(shown_at)?;
            Some((webinar.clone(), since, state.clone()))
        });
        let Some((webinar, since, state)) = shown.filter(|_| !is_lie) else {
            let is_none_found =
                self.present(now).any(|kind| matches!(kind, TroubleKind::NoneFound));
            let is_near = self.found_at.is_some_and(|at| now.since(at) <= FOUND_WITHIN);
            if is_none_found && is_near {
                self.credible_lies.insert(id.to_owned());
            }
            let status = *self.rng.pick(&[404, 404, 410]);
            return self.answer(now, status, &json!({ "message": "there is none" }));
        };
        self.found_at = Some(now);
        self.credible_lies.remove(id);
        let tells_time = match self.settings.own_times {
            OwnTimes::Always => true,
            OwnTimes::Sometimes => self.rng.percent(50),
            OwnTimes::Never => false,
        };
        let changed_at = tells_time.then_some(since);
        let body = self.show(id, &webinar, &state, changed_at);
        self.answer(now, 200, &body)
    }

    fn show(
        &self,
        id: &str,
        webinar: &TrueWebinar,
        state: &TrueState,
        changed_at: Option<Millis>,
    ) -> Value {
        let standing = match state.standing {
            TrueStanding::Planned => "planned",
            TrueStanding::Cancelled => "cancelled",
            TrueStanding::Ended => "ended",
        };
        let mut shown = Map::from_iter([
            ("id".to_owned(), json!(id)),
            ("account".to_owned(), json!(PLATFORM_ACCOUNT)),
            ("name".to_owned(), json!(state.name)),
            ("minutes".to_owned(), json!(state.minutes)),
            ("status".to_owned(), json!(standing)),
            ("created".to_owned(), json!(self.clock(webinar.created_at).get())),
        ]);
        if let Some(at) = changed_at {
            shown.insert("updated".to_owned(), json!(self.clock(at).get()));
        }
        if webinar.is_series {
            let occurrences = state.occurrences.iter();
            let occurrences: Vec<Value> =
                occurrences.map(|(id, start)| json!({ "id": id, "start": start.get() })).collect();
            shown.insert("occurrences".to_owned(), occurrences.into());
        } else {
            shown.insert("start".to_owned(), json!(state.start.get()));
        }
        shown.into()
    }

    fn list(&mut self, now: Millis, shown_at: Millis) -> ApiReply {
        let is_empty = self.present(now).any(|kind| matches!(kind, TroubleKind::NoneFound));
        let is_short = self.present(now).any(|kind| matches!(kind, TroubleKind::ShortList));
        let exists = self.webinars.iter().filter(|(_, it)| it.at(shown_at).is_some());
        let mut ids: Vec<String> = exists.map(|(id, _)| id.clone()).collect();
        if is_empty {
            ids.clear();
        }
        ids.retain(|_| !is_short || self.rng.percent(30));
        self.answer(now, 200, &json!({ "webinars": ids }))
    }

    fn fault(&mut self, now: Millis) -> ApiReply {
        match self.rng.below(10) {
            0 => ApiReply::Hang,
            1 => ApiReply::Reset,
            2 => {
                let retry_after = self.rng.between(0, 90);
                self.answer_with(now, 429, Some(retry_after), b"{}".to_vec())
            }
            3 => self.answer_with(now, 429, None, Vec::new()),
            4 => self.answer_with(now, 200, None, b"<html>Please wait</html>".to_vec()),
            5 => {
                let status = *self.rng.pick(&[400, 402, 403, 422]);
                self.answer_with(now, status, None, b"{}".to_vec())
            }
            _ => {
                let status = *self.rng.pick(&[500, 502, 503, 503, 504, 408]);
                let retry_after = self.rng.percent(30).then(|| self.rng.between(1, 60));
                self.answer_with(now, status, retry_after, Vec::new())
            }
        }
    }

    fn answer(&self, now: Millis, status: u16, body: &Value) -> ApiReply {
        self.answer_with(now, status, None, body.to_string().into_bytes())
    }

    fn answer_with(
        &self,
        now: Millis,
        status: u16,
        retry_after: Option<u64>,
        body: Vec<u8>,
    ) -> ApiReply {
        let date =
            self.settings.tells_date.then(|| ("date".to_owned(), http_date(self.clock(now))));
        let wait = retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string()));
        ApiReply::Answer { status, headers: date.into_iter().chain(wait).collect(), body }
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7): the second that has begun.
fn http_date(at: Millis) -> String {
    let time = jiff::Timestamp::from_millisecond(at.get()).expect("a time of our age");
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

//! Draws the webinars of a platform with thin webhooks: what becomes of them, what the platform reports of that, and the
//! troubles with its API.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use webinar_bridge::event::{Change, ChangeKind, ExternalAccountId, Millis, WebinarId};

use super::platform_api::{
    ApiSettings, ApiTrouble, OwnTimes, PLATFORM_ACCOUNT, SimulatedPlatformApi, TroubleKind,
    TrueStanding, TrueState, TrueWebinar,
};
use super::thin::{MINUTE, SECOND, THIN_SOURCE, ThinWebinars, fetch_request, ms};
use super::webhooks::{MappedAs, Webhook};
use crate::harness::build::{NOON, source};
use crate::harness::rng::SeededRng;

/// A webinar that is never deleted. Its id is the last, so that it is not the first to be asked about.
const ANCHOR: &str = "9999";
const DAY: u64 = 24 * 60 * MINUTE;
/// The API's documented lag.
const LAG: Duration = Duration::from_mins(1);

/// What is the matter with the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matter {
    /// Single failures and lies.
    Little,
    /// Credentials of another account, for a while.
    WrongAccount,
    /// Many webinars are deleted.
    Purge,
    /// Credentials are refused for a while.
    Refused,
    /// Some webinars are refused for a week.
    WeekOfRefusals,
}

/// Webinars that are being drawn.
pub(super) struct ThinDraft {
    matter: Matter,
    /// Time in which webinars change, in milliseconds.
    span: u64,
    /// Whether some webinars take place meanwhile.
    has_dates: bool,
    api: SimulatedPlatformApi,
    webhooks: Vec<Webhook>,
    rng: SeededRng,
}

impl ThinDraft {
    /// Draws webinars, webhooks and troubles.
    pub(super) fn draw(mut rng: SeededRng) -> Self {
        let matters = [
            Matter::Little,
            Matter::Little,
            Matter::Little,
            Matter::WrongAccount,
            Matter::Purge,
            Matter::Refused,
            Matter::WeekOfRefusals,
        ];
        let matter = *rng.pick(&matters);
        let span = *rng.pick(&[MINUTE, 4 * MINUTE, 20 * MINUTE]);
        // A clock that is hours wrong agrees with no date.
        let skew = *rng.pick(&[0, 0, 0, 700, -3_000, 300_000, 7_200_000, -7_200_000]);
        let settings = ApiSettings {
            lag: *rng.pick(&[Duration::ZERO, Duration::from_secs(10), Duration::from_secs(59)]),
            own_times: *rng.pick(&[OwnTimes::Always, OwnTimes::Sometimes, OwnTimes::Never]),
            skew,
            tells_date: skew != 0 || rng.percent(70),
            fault_percent: *rng.pick(&[0, 10, 40]),
            faults_end_at: NOON.plus(ms(span + rng.between(0, 5 * MINUTE))),
        };
        let has_dates = skew.abs() < 10_000 && matter == Matter::Little;
        let api = SimulatedPlatformApi::new(settings, rng.fork());
        let mut draft = Self { matter, span, has_dates, api, webhooks: Vec::new(), rng };
        draft.webinars();
        draft.troubles();
        draft
    }

    fn webinars(&mut self) {
        let many = match self.matter {
            Matter::WrongAccount | Matter::Purge => self.rng.between(5, 9),
            Matter::Little | Matter::Refused | Matter::WeekOfRefusals => self.rng.between(1, 6),
        };
        for number in 0..many {
            let id = format!("{}", 100 + number);
            match self.rng.below(10) {
                0..=2 if self.has_dates => self.soon(&id),
                3..=4 if self.matter == Matter::Little => self.returning(&id),
                _ => self.later(&id),
            }
        }
        let mut anchor = TrueWebinar::new(NOON, false, self.planned());
        if self.rng.percent(50) {
            let at = NOON.plus(ms(self.rng.between(0, self.span)));
            let state = self.planned();
            anchor.change(at, Some(state));
            self.report(ANCHOR, at, None);
        }
        self.report(ANCHOR, NOON, None);
        self.api.webinars.insert(ANCHOR.to_owned(), anchor);
    }

    fn name(&mut self) -> String {
        (*self.rng.pick(&["Ash", "Birch", "Cedar", "Elm"])).to_owned()
    }

    /// A start in a month.
    fn far(&mut self) -> Millis {
        let start = NOON.plus(ms(30 * DAY));
        start.plus(ms(self.rng.between(0, 5) * 60 * MINUTE))
    }

    fn planned(&mut self) -> TrueState {
        TrueState {
            name: self.name(),
            start: self.far(),
            minutes: *self.rng.pick(&[30, 60, 90]),
            standing: TrueStanding::Planned,
            occurrences: BTreeMap::new(),
        }
    }

    /// A webinar that takes place, and is over; then perhaps tidied up or planned anew.
    fn soon(&mut self, id: &str) {
        let created_at = NOON.plus(ms(self.rng.between(0, MINUTE)));
        let start = NOON.plus(ms(self.rng.between(3, 20) * MINUTE));
        let minutes = *self.rng.pick(&[5, 20]);
        let mut state = TrueState { start, minutes, ..self.planned() };
        let mut webinar = TrueWebinar::new(created_at, false, state.clone());
        self.report(id, created_at, None);
        state.standing = TrueStanding::Ended;
        let ended_at = state.end_of(start).plus(ms(self.rng.between(0, MINUTE)));
        webinar.change(ended_at, Some(state.clone()));
        self.report(id, ended_at, None);
        let later = ended_at.plus(ms(self.rng.between(MINUTE, 20 * MINUTE)));
        match self.rng.below(3) {
            0 => {
                webinar.change(later, None);
                self.report(id, later, None);
            }
            1 => {
                let state = self.planned();
                webinar.change(later, Some(state));
                self.report(id, later, None);
            }
            _ => {}
        }
        self.api.webinars.insert(id.to_owned(), webinar);
    }

    /// A webinar in a month that is deleted, and comes back about when that is believed.
    fn returning(&mut self, id: &str) {
        let state = self.planned();
        let mut webinar = TrueWebinar::new(NOON, false, state.clone());
        self.report(id, NOON, None);
        let deleted_at = NOON.plus(ms(self.rng.between(SECOND, self.span)));
        webinar.change(deleted_at, None);
        self.webhook(id, deleted_at, None);
        for _ in 0..self.rng.between(0, 2) {
            let back_at = webinar.changed_at().plus(ms(self.rng.between(12, 26) * MINUTE));
            webinar.change(back_at, Some(state.clone()));
            self.webhook(id, back_at, None);
            let deleted_at = back_at.plus(ms(self.rng.between(2, 20) * MINUTE));
            if self.rng.percent(30) {
                webinar.change(deleted_at, None);
                self.webhook(id, deleted_at, None);
            } else {
                break;
            }
        }
        self.api.webinars.insert(id.to_owned(), webinar);
    }

    /// A webinar in a month that changes again and again.
    fn later(&mut self, id: &str) {
        let is_series = self.rng.percent(30);
        let is_old = self.rng.percent(20);
        let first = if is_old { NOON.minus(ms(DAY)) } else { NOON };
        let created_at = first.plus(ms(self.rng.between(0, self.span / 2)));
        let mut state = self.planned();
        if is_series {
            for number in 0..self.rng.between(1, 4) {
                let start = self.far();
                state.occurrences.insert(format!("o{number}"), start);
            }
        }
        let mut webinar = TrueWebinar::new(created_at, is_series, state.clone());
        if !is_old {
            self.report(id, created_at, None);
        }
        let mut times: Vec<u64> =
            (0..self.rng.between(0, 5)).map(|_| self.rng.between(0, self.span)).collect();
        times.sort_unstable();
        let mut exists = true;
        for at in times.into_iter().map(|at| NOON.plus(ms(at))).filter(|at| *at > created_at) {
            let said = if exists && self.rng.percent(15) {
                exists = false;
                None
            } else {
                let said = if exists { self.alter(id, &mut state, is_series, at) } else { None };
                exists = true;
                said
            };
            webinar.change(at, exists.then(|| state.clone()));
            self.report(id, at, said);
        }
        if self.matter == Matter::Purge && exists && self.rng.percent(80) {
            let at = NOON.plus(ms(self.span + self.rng.between(2, 5) * MINUTE));
            webinar.change(at, None);
            self.webhook(id, at, None);
        }
        self.api.webinars.insert(id.to_owned(), webinar);
    }

    /// Changes something. Answers what its webhook says of that by itself, if anything.
    fn alter(
        &mut self,
        id: &str,
        state: &mut TrueState,
        is_series: bool,
        at: Millis,
    ) -> Option<Change> {
        let mut change = Change::new(webinar_id(id), ChangeKind::Updated);
        change.account = ExternalAccountId::parse(PLATFORM_ACCOUNT).ok();
        change.occurred_at = Some(self.api.clock(at));
        let mut says = self.rng.percent(30);
        match self.rng.below(6) {
            0 | 1 => {
                state.name = self.name();
                change.whole.name = Some(state.name.clone());
            }
            2 => {
                state.minutes = *self.rng.pick(&[30, 60, 90]);
                says = false;
            }
            3 if is_series => {
                let number = self.rng.between(0, 5);
                let start = self.far();
                state.occurrences.insert(format!("o{number}"), start);
                says = false;
            }
            4 if is_series => {
                // A series without occurrences is none.
                if state.occurrences.len() > 1 {
                    state.occurrences.pop_first();
                }
                says = false;
            }
            3 => {
                state.start = self.far();
                change.whole.start = Some(state.start);
            }
            _ => {
                let is_off = state.standing != TrueStanding::Cancelled;
                state.standing =
                    if is_off { TrueStanding::Cancelled } else { TrueStanding::Planned };
                change.kind = if is_off { ChangeKind::Cancelled } else { ChangeKind::Recovered };
                change.whole.cancelled = Some(is_off);
                // An answer without a time of its own takes no cancellation back (M13).
                says |= !is_off && self.api.settings.own_times != OwnTimes::Always;
            }
        }
        says.then_some(change)
    }

    /// Sends a webhook about a change at that time, which names the id, and perhaps says a part of it.
    fn report(&mut self, id: &str, at: Millis, said: Option<Change>) {
        let is_lost = said.is_none() && id != ANCHOR && self.rng.percent(5);
        if is_lost {
            return;
        }
        let late = match self.rng.below(4) {
            0 => self.rng.between(0, 90 * SECOND),
            _ => self.rng.between(0, 2 * SECOND),
        };
        self.webhook(id, at.plus(ms(late)), said);
    }

    fn webhook(&mut self, id: &str, due: Millis, said: Option<Change>) {
        let number = self.webhooks.len();
        let again = if self.rng.percent(15) { self.rng.between(1, 3) } else { 0 };
        self.webhooks.push(Webhook {
            source: source(THIN_SOURCE),
            due,
            again,
            changes: said.into_iter().collect(),
            fetch_requests: vec![fetch_request(webinar_id(id))],
            mapped_as: MappedAs::Right,
            digest: Sha256::digest(format!("thin {id} {number} {}", due.get())).into(),
            answered: false,
        });
    }

    fn troubles(&mut self) {
        let ids: Vec<String> = self.api.webinars.keys().cloned().collect();
        for id in ids.iter().filter(|id| *id != ANCHOR) {
            if self.rng.percent(30) {
                // Shorter than a webinar is looked for before it counts as gone.
                self.trouble(12 * MINUTE, TroubleKind::NotFound(id.clone()));
            }
        }
        if self.rng.percent(30) {
            self.trouble(20 * MINUTE, TroubleKind::ShortList);
        }
        match self.matter {
            Matter::Little | Matter::Purge => {}
            Matter::WrongAccount => self.wrong_account(&ids),
            Matter::Refused => {
                let status = *self.rng.pick(&[401, 401, 403]);
                self.trouble(90 * MINUTE, TroubleKind::Refused(None, status));
            }
            Matter::WeekOfRefusals => {
                for id in ids.iter().filter(|id| *id != ANCHOR) {
                    if self.rng.percent(60) {
                        let status = *self.rng.pick(&[401, 403, 402, 500]);
                        let kind = TroubleKind::Refused(Some(id.clone()), status);
                        let to = NOON.plus(ms(7 * DAY + 3 * 60 * MINUTE));
                        self.api.troubles.push(ApiTrouble { from: NOON, to, kind });
                    }
                }
                // Others are answered meanwhile.
                for at in [2 * MINUTE, 3 * MINUTE, 7 * DAY + 60 * MINUTE] {
                    self.webhook(ANCHOR, NOON.plus(ms(at)), None);
                }
            }
        }
    }

    /// A trouble within the time of the changes, of up to that length.
    fn trouble(&mut self, longest: u64, kind: TroubleKind) {
        let from = NOON.plus(ms(self.rng.between(0, self.span)));
        let to = from.plus(ms(self.rng.between(MINUTE, longest)));
        self.api.troubles.push(ApiTrouble { from, to, kind });
    }

    /// No webinar is found for a while, in which many are asked about.
    fn wrong_account(&mut self, ids: &[String]) {
        let from = NOON.plus(ms(self.span + self.rng.between(0, 5 * MINUTE)));
        let length = *self.rng.pick(&[20 * MINUTE, 45 * MINUTE, 120 * MINUTE]);
        let to = from.plus(ms(length));
        self.api.troubles.push(ApiTrouble { from, to, kind: TroubleKind::NoneFound });
        // Soon, or when nothing has been found for an hour.
        let after = if length > 100 * MINUTE { 65 * MINUTE } else { 0 };
        for id in ids {
            if self.rng.percent(80) {
                let at = after + self.rng.between(0, 5 * MINUTE);
                self.webhook(id, from.plus(ms(at)), None);
            }
        }
    }

    pub(super) fn finish(self) -> ThinWebinars {
        let Self { matter, span, api, webhooks, mut rng, .. } = self;
        let is_alone = matter == Matter::WeekOfRefusals;
        let last_due = webhooks.iter().map(|webhook| webhook.due).max().unwrap_or(NOON);
        let quiet_at = api.quiet_at().max(last_due).max(api.settings.faults_end_at).plus(LAG);
        let is_reported = |id: &str, webinar: &TrueWebinar| {
            let of = |webhook: &&Webhook| webhook.fetch_requests[0].webinar.as_str() == id;
            let last = webhooks.iter().filter(of).map(|webhook| webhook.due).max();
            last >= Some(webinar.changed_at())
        };
        let unreported = api.webinars.iter().filter(|(id, it)| !is_reported(id, it));
        let unreported = unreported.map(|(id, _)| id.clone()).collect();
        let backfills = (0..u64::from(rng.percent(30)))
            .map(|_| NOON.plus(ms(rng.between(0, span + 10 * MINUTE))))
            .collect();
        let week = is_alone.then(|| ms(7 * DAY + rng.between(0, 60) * MINUTE));
        ThinWebinars {
            api,
            rng,
            is_alone,
            quiet_at,
            unreported,
            backfills,
            is_backfilled: false,
            week,
            webhooks,
        }
    }
}

fn webinar_id(id: &str) -> WebinarId {
    WebinarId::parse(id).expect("valid")
}

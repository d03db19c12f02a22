//! The simulated platforms: each sends webhooks and answers its API as that platform does, from one truth.

mod eventbrite;
mod livestorm;
mod luma;
mod zoom;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use url::Url;
use webinar_bridge::event::Millis;

use super::truth::{Action, Tracked, Truth};

/// A platform with an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PlatformName {
    /// With an event for each date of a series.
    Zoom,
    /// With one event for a series.
    ZoomSeries,
    Livestorm,
    Luma,
    Eventbrite,
}

/// What a webhook tells that the platform's API never shows. If it is lost, the bridge cannot know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aspect {
    /// The API shows it too.
    Shown,
    /// That the webinar is deleted. The API shows it too, by a 404.
    Deleted,
    /// That the webinar is recovered.
    Recovered,
    /// That a date began.
    Started(usize),
    /// That a date ended.
    Ended(usize),
}

/// The body of a webhook.
pub(super) struct Webhook {
    pub(super) body: Value,
    pub(super) aspect: Aspect,
}

/// What the platform's API is asked.
pub(super) struct ApiCall<'a> {
    pub(super) path: Vec<&'a str>,
    pub(super) query: BTreeMap<String, String>,
    /// The moment that the answer shows.
    pub(super) shows: Millis,
    /// The platform's webinars.
    pub(super) webinars: Vec<&'a Tracked>,
}

/// One platform.
pub(super) trait SimulatedPlatform: Sync {
    /// Host of its API.
    fn host(&self) -> &'static str;

    /// Its id in the configuration.
    fn id(&self) -> &'static str;

    /// The first name of its source.
    fn source(&self) -> &'static str {
        self.id()
    }

    /// The account under which its events are in HubSpot.
    fn account(&self) -> &'static str;

    /// Secret of its webhooks, or the token in their path.
    fn secret(&self) -> &'static str;

    /// Lines of its source's table: credentials and accounts.
    fn settings(&self) -> &'static str;

    /// Whether it says when a webinar ended.
    fn reports_end(&self) -> bool;

    /// Whether its API shows when a webinar ended.
    fn shows_runs(&self) -> bool;

    /// Whether its API shows by a status that a date is over, held or not.
    fn shows_status(&self) -> bool {
        false
    }

    /// Whether webinars are made as drafts there, which are not shown to anybody.
    fn has_drafts(&self) -> bool {
        false
    }

    /// Id of a new webinar.
    fn new_id(&self, number: u64) -> String;

    /// Whether HubSpot has one event of the whole webinar, and not one of each date.
    fn is_one_event(&self, truth: &Truth) -> bool {
        !truth.is_series
    }

    /// Id of a date's event in HubSpot.
    fn event_id(&self, truth: &Truth, date: usize) -> String;

    /// The link that HubSpot shows.
    fn link(&self, truth: &Truth) -> String;

    /// Whether people can do this there, drafts and their publication apart.
    fn allows(&self, truth: &Truth, action: &Action) -> bool;

    /// The webhooks of an action.
    fn webhooks(&self, before: &Truth, truth: &Truth, action: &Action, now: Millis)
    -> Vec<Webhook>;

    /// The answer of its API; none is a 404.
    fn answer(&self, call: &ApiCall<'_>) -> Option<Value>;
}

impl PlatformName {
    pub(super) const ALL: [Self; 5] =
        [Self::Zoom, Self::ZoomSeries, Self::Livestorm, Self::Luma, Self::Eventbrite];
    pub(super) const WITH_SERIES: [Self; 4] =
        [Self::Zoom, Self::ZoomSeries, Self::Livestorm, Self::Eventbrite];

    pub(super) fn simulated(self) -> &'static dyn SimulatedPlatform {
        match self {
            Self::Zoom => &zoom::BY_DATE,
            Self::ZoomSeries => &zoom::IN_ONE,
            Self::Livestorm => &livestorm::SimulatedLivestorm,
            Self::Luma => &luma::SimulatedLuma,
            Self::Eventbrite => &eventbrite::SimulatedEventbrite,
        }
    }

    /// Whether people can do this there then.
    pub(super) fn allows(self, truth: &Truth, action: &Action) -> bool {
        let platform = self.simulated();
        let is_draft = truth.published_at.is_none();
        if matches!(action, Action::Publish) {
            return is_draft && truth.deleted_at.is_none();
        }
        let needs_audience = matches!(action, Action::Start(_) | Action::End(_));
        !(is_draft && needs_audience) && platform.allows(truth, action)
    }

    /// The platform whose API has this host.
    pub(super) fn of_host(host: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.simulated().host() == host)
    }
}

impl<'a> ApiCall<'a> {
    pub(super) fn new(url: &'a Url, shows: Millis, webinars: Vec<&'a Tracked>) -> Self {
        let path = url.path_segments().into_iter().flatten().filter(|part| !part.is_empty());
        let query = url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned()));
        Self { path: path.collect(), query: query.collect(), shows, webinars }
    }

    /// The webinars that there were at that moment and that are not deleted.
    fn present(&self) -> impl Iterator<Item = &'a Truth> {
        let states = self.webinars.iter().filter_map(|tracked| tracked.truth_at(self.shows));
        states.filter(|truth| truth.deleted_at.is_none())
    }

    /// One webinar, unless it is deleted.
    fn find(&self, id: &str) -> Option<&'a Truth> {
        self.present().find(|truth| truth.id == id)
    }
}

/// A page of a list, and the token of the next one.
fn page<T>(all: Vec<T>, token: Option<&str>, size: usize) -> (Vec<T>, Option<String>) {
    let from: usize = token.and_then(|token| token.parse().ok()).unwrap_or(0);
    let next = (from + size < all.len()).then(|| (from + size).to_string());
    (all.into_iter().skip(from).take(size).collect(), next)
}

/// The answer of a token endpoint.
pub(super) fn token() -> Value {
    json!({ "access_token": "token-of-the-year", "token_type": "bearer", "expires_in": 3_600 })
}

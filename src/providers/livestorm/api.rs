//! What is asked of Livestorm's API (<https://developers.livestorm.co/reference>): of a session that and its event, of an
//! event that and all its sessions.

use std::time::Duration;

use url::Url;

use super::map::{EVENT, PAGES, SESSION, event_of, listed};
use super::payload::{self, Subject};
use crate::event::{Millis, WebinarId};
use crate::providers::api::address;
use crate::providers::lenient;
use crate::providers::{
    Access, Answers, Ask, Credentials, Listed, Options, Pace, PlatformApi, Span, required,
};
use crate::secret::Secret;

const BASE: &str = "https://api.livestorm.co";
/// The most that a page may hold (<https://developers.livestorm.co/docs/pagination>).
const PAGE_SIZE: &str = "50";

/// Livestorm's API, for one workspace.
pub(super) struct Api {
    access: Access,
    base: Url,
    gone_is_cancelled: bool,
}

impl Api {
    /// Reads `[source.NAME.api]`.
    pub(super) fn configured(options: &mut dyn Options) -> Option<Self> {
        let remedy = "Set { env = \"NAME\" }, a token with the scope to read events";
        let token = required(options, "token", |options, key| options.secret(key), remedy);
        let base = options.url("base_url").unwrap_or_else(|| BASE.parse().expect("it is a URL"));
        let gone_is_cancelled = options.flag("gone_is_cancelled").unwrap_or(true);
        Some(Self { gone_is_cancelled, ..Self::new(base, token?) })
    }

    pub(super) fn new(base: Url, token: Secret) -> Self {
        let access = Access {
            // The bare token: <https://developers.livestorm.co/docs/api-token-authentication>.
            credentials: Credentials::Token { header: "authorization", prefix: "", token },
            headers: vec![("accept", "application/vnd.api+json".to_owned())],
            // And 10,000 in thirty days: <https://developers.livestorm.co/docs/rate-limits-and-quotas>.
            pace: Pace { requests: 5, window: Duration::from_secs(1) },
        };
        Self { access, base, gone_is_cancelled: true }
    }

    fn event(&self, id: &str) -> Ask {
        Ask::needed(EVENT, address(&self.base, &["v1", "events", id]))
    }

    /// The next of an event's pages of sessions that is not there yet. Sessions beyond the last that is asked for are
    /// left to `backfill`.
    fn sessions(&self, event: &str, answers: &Answers<'_>) -> Result<Option<Ask>, String> {
        let mut next = Some(0);
        for name in PAGES {
            let Some(number) = next else { break };
            let Some(answer) = answers.get(name) else {
                let url = address(&self.base, &["v1", "events", event, "sessions"]);
                return Ok(Some(Ask::needed(name, paged(url, &number.to_string()))));
            };
            next = payload::page(answer.get())?.1;
        }
        Ok(None)
    }
}

impl PlatformApi for Api {
    fn access(&self) -> &Access {
        &self.access
    }

    fn ask(&self, webinar: &WebinarId, answers: &Answers<'_>) -> Result<Option<Ask>, String> {
        let subject = Subject::of(webinar);
        let (Subject::Event(id) | Subject::Session(id)) = subject;
        if !payload::is_id(id) {
            return Err("that is no id of Livestorm's".to_owned());
        }
        match subject {
            Subject::Event(id) if !answers.contains_key(EVENT) => Ok(Some(self.event(id))),
            Subject::Event(id) => self.sessions(id, answers),
            Subject::Session(id) => match answers.get(SESSION) {
                None => {
                    let url = address(&self.base, &["v1", "sessions", id]);
                    Ok(Some(Ask::needed(SESSION, url)))
                }
                Some(_) if answers.contains_key(EVENT) => Ok(None),
                Some(session) => Ok(Some(self.event(event_of(session)?.as_str()))),
            },
        }
    }

    fn believes_gone(&self) -> bool {
        self.gone_is_cancelled
    }

    fn list(&self, span: Span, cursor: Option<&str>) -> Option<Url> {
        let mut url = paged(address(&self.base, &["v1", "sessions"]), cursor.unwrap_or("0"));
        let seconds = |at: Millis| at.get().div_euclid(1_000).to_string();
        url.query_pairs_mut()
            .append_pair("filter[date_from]", &seconds(span.from))
            .append_pair("filter[date_to]", &seconds(span.to));
        Some(url)
    }

    fn listed(&self, page: &[u8], _span: Span, _cursor: Option<&str>) -> Result<Listed, String> {
        let (sessions, next) = payload::page(lenient::document(page)?)?;
        let webinars = sessions.iter().filter_map(|session| listed(session).transpose());
        Ok(Listed {
            webinars: webinars.collect::<Result<_, _>>()?,
            next: next.map(|next| next.to_string()),
        })
    }
}

/// Page numbers begin at 0.
fn paged(mut url: Url, number: &str) -> Url {
    url.query_pairs_mut().append_pair("page[number]", number).append_pair("page[size]", PAGE_SIZE);
    url
}

//! Requests to Livestorm's API (<https://developers.livestorm.co/reference>): for a session, the session and its event;
//! for an event, the event and all its sessions.

use std::time::Duration;

use url::Url;

use super::map::{
    EVENT_REQUEST, SESSION_PAGE_REQUESTS, SESSION_REQUEST, listed_session_id, parse_event_id,
};
use super::payload::{self, FetchSubject};
use crate::event::{Millis, WebinarId};
use crate::providers::api::api_url;
use crate::providers::lenient;
use crate::providers::options::url_or;
use crate::providers::{
    ApiAnswers, ApiRateLimit, ListQuery, Options, PlatformAccess, PlatformApi, PlatformCredentials,
    PlatformRequest, WebinarPage, require,
};

const DEFAULT_BASE_URL: &str = "https://api.livestorm.co";
/// Largest page size (<https://developers.livestorm.co/docs/pagination>).
const PAGE_SIZE: &str = "50";

/// Livestorm also limits calls to 10,000 in thirty days:
/// <https://developers.livestorm.co/docs/rate-limits-and-quotas>.
const RATE_LIMIT: ApiRateLimit = ApiRateLimit { requests: 5, window: Duration::from_secs(1) };

/// Livestorm's API for one workspace.
pub(super) struct LivestormApi {
    access: PlatformAccess,
    base: Url,
    gone_means_cancelled: bool,
}

impl LivestormApi {
    /// Reads `[source.NAME.api]`.
    pub(super) fn from_options(options: &mut dyn Options) -> Option<Self> {
        let remedy = "Set { env = \"NAME\" }, a token with the scope to read events";
        let token = require(options, "token", |options, key| options.secret(key), remedy);
        let base = url_or(options, "base_url", DEFAULT_BASE_URL);
        let gone_means_cancelled = options.flag("gone_is_cancelled").unwrap_or(true);
        // The token without a prefix: <https://developers.livestorm.co/docs/api-token-authentication>.
        let credentials =
            PlatformCredentials::Token { header: "authorization", prefix: "", token: token? };
        let headers = vec![("accept", "application/vnd.api+json".to_owned())];
        let access = PlatformAccess { credentials, headers, rate_limit: RATE_LIMIT };
        Some(Self { access, base, gone_means_cancelled })
    }

    fn event_request(&self, id: &str) -> PlatformRequest {
        PlatformRequest::required(EVENT_REQUEST, api_url(&self.base, &["v1", "events", id]))
    }

    /// The request for the next page of an event's sessions that has no answer yet. `backfill` brings the sessions
    /// beyond the last page requested here.
    fn next_sessions_request(
        &self,
        event: &str,
        answers: &ApiAnswers<'_>,
    ) -> Result<Option<PlatformRequest>, String> {
        let mut next = Some(0);
        for name in SESSION_PAGE_REQUESTS {
            let Some(number) = next else { break };
            let Some(answer) = answers.get(name) else {
                let url = api_url(&self.base, &["v1", "events", event, "sessions"]);
                return Ok(Some(PlatformRequest::required(
                    name,
                    with_page(url, &number.to_string()),
                )));
            };
            next = payload::parse_page(answer.get())?.1;
        }
        Ok(None)
    }
}

impl PlatformApi for LivestormApi {
    fn access(&self) -> &PlatformAccess {
        &self.access
    }

    fn next_request(
        &self,
        webinar: &WebinarId,
        answers: &ApiAnswers<'_>,
    ) -> Result<Option<PlatformRequest>, String> {
        let subject = FetchSubject::from_id(webinar);
        let (FetchSubject::Event(id) | FetchSubject::Session(id)) = subject;
        if !payload::is_id(id) {
            return Err("the id is not one of Livestorm's".to_owned());
        }
        match subject {
            FetchSubject::Event(id) if !answers.contains_key(EVENT_REQUEST) => {
                Ok(Some(self.event_request(id)))
            }
            FetchSubject::Event(id) => self.next_sessions_request(id, answers),
            FetchSubject::Session(id) => match answers.get(SESSION_REQUEST) {
                None => {
                    let url = api_url(&self.base, &["v1", "sessions", id]);
                    Ok(Some(PlatformRequest::required(SESSION_REQUEST, url)))
                }
                Some(_) if answers.contains_key(EVENT_REQUEST) => Ok(None),
                Some(session) => Ok(Some(self.event_request(parse_event_id(session)?.as_str()))),
            },
        }
    }

    fn gone_means_cancelled(&self) -> bool {
        self.gone_means_cancelled
    }

    fn list_url(&self, query: ListQuery<'_>) -> Option<Url> {
        let mut url =
            with_page(api_url(&self.base, &["v1", "sessions"]), query.cursor.unwrap_or("0"));
        let seconds = |at: Millis| at.get().div_euclid(1_000).to_string();
        url.query_pairs_mut()
            .append_pair("filter[date_from]", &seconds(query.span.from))
            .append_pair("filter[date_to]", &seconds(query.span.to));
        Some(url)
    }

    fn parse_list(&self, page: &[u8], _query: ListQuery<'_>) -> Result<WebinarPage, String> {
        let (sessions, next) = payload::parse_page(lenient::body_text(page)?)?;
        let webinars = sessions.iter().filter_map(|session| listed_session_id(session).transpose());
        Ok(WebinarPage {
            webinars: webinars.collect::<Result<_, _>>()?,
            next: next.map(|next| next.to_string()),
        })
    }
}

/// Adds page number and size. Page numbers begin at 0.
fn with_page(mut url: Url, number: &str) -> Url {
    url.query_pairs_mut().append_pair("page[number]", number).append_pair("page[size]", PAGE_SIZE);
    url
}

//! Requests to Luma's API (<https://docs.luma.com/reference/getting-started-with-your-api>): an event, for its hosts,
//! and the list of a calendar's events.

use std::time::Duration;

use serde_json::value::RawValue;
use url::Url;

use super::map::{event_id, is_external};
use super::payload::Page;
use crate::event::WebinarId;
use crate::providers::api::api_url;
use crate::providers::lenient;
use crate::providers::options::url_or;
use crate::providers::{
    ApiAnswers, ApiRateLimit, ListQuery, Options, PlatformAccess, PlatformApi, PlatformCredentials,
    PlatformRequest, WebinarPage, require,
};

/// Name of the request for an event.
pub(super) const EVENT_REQUEST: &str = "event";
const DEFAULT_BASE_URL: &str = "https://public-api.luma.com";
/// Rate limit of a calendar's key. Exceeding it blocks the key for a minute
/// (<https://docs.luma.com/reference/rate-limits>).
const RATE_LIMIT: ApiRateLimit = ApiRateLimit { requests: 200, window: Duration::from_mins(1) };

/// Luma's API for one calendar.
#[derive(Debug, Clone)]
pub(super) struct LumaApi {
    access: PlatformAccess,
    base: Url,
    gone_means_cancelled: bool,
}

impl LumaApi {
    /// Reads the table `api`. Returns `None` after reporting what is wrong with it. The API has only events of the key's
    /// calendar, so whether a missing one was cancelled is unclear where others are accepted (`has_foreign_events`).
    pub(super) fn from_options(
        options: &mut dyn Options,
        has_foreign_events: bool,
    ) -> Option<Self> {
        let remedy = "Set { env = \"NAME\" }, the calendar's API key";
        let key = require(options, "key", |options, key| options.secret(key), remedy);
        let base = url_or(options, "base_url", DEFAULT_BASE_URL);
        let gone_means_cancelled = options.flag("gone_is_cancelled").unwrap_or(!has_foreign_events);
        let credentials =
            PlatformCredentials::Token { header: "x-luma-api-key", prefix: "", token: key? };
        let headers = vec![("accept", "application/json".to_owned())];
        let access = PlatformAccess { credentials, headers, rate_limit: RATE_LIMIT };
        Some(Self { access, base, gone_means_cancelled })
    }

    fn url_of(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = api_url(&self.base, path);
        url.query_pairs_mut().extend_pairs(query);
        url
    }
}

impl PlatformApi for LumaApi {
    fn access(&self) -> &PlatformAccess {
        &self.access
    }

    fn next_request(
        &self,
        webinar: &WebinarId,
        answers: &ApiAnswers<'_>,
    ) -> Result<Option<PlatformRequest>, String> {
        if answers.contains_key(EVENT_REQUEST) {
            return Ok(None);
        }
        let url = self.url_of(&["v1", "events", "get"], &[("event_id", webinar.as_str())]);
        Ok(Some(PlatformRequest::required(EVENT_REQUEST, url)))
    }

    fn list_url(&self, query: ListQuery<'_>) -> Option<Url> {
        // The documentation does not say whether `after` is inclusive.
        let after = query.span.from.minus(Duration::from_millis(1)).to_string();
        let before = query.span.to.to_string();
        let mut parameters = vec![("after", after.as_str()), ("before", &before)];
        parameters.extend(query.cursor.map(|cursor| ("pagination_cursor", cursor)));
        Some(self.url_of(&["v1", "calendars", "events", "list"], &parameters))
    }

    fn gone_means_cancelled(&self) -> bool {
        self.gone_means_cancelled
    }

    fn parse_list(&self, page: &[u8], _query: ListQuery<'_>) -> Result<WebinarPage, String> {
        let page: &RawValue = serde_json::from_slice(page).map_err(|_| "the answer is not JSON")?;
        let Page { entries, has_more, next_cursor } =
            lenient::parse_object(page.get(), "the answer is not a list of events")?;
        let own = entries.iter().filter(|entry| !is_external(&entry.0));
        Ok(WebinarPage {
            webinars: own.map(|entry| event_id(&entry.0)).collect::<Result<_, _>>()?,
            next: next_cursor.filter(|next| has_more != Some(false) && !next.is_empty()),
        })
    }
}

//! Requests to Eventbrite's API (<https://www.eventbrite.com/platform/api>): an event with its organizer.

use std::time::Duration;

use url::Url;

use super::map::{EVENT_REQUEST, EventbriteStatus, read_utc};
use super::payload::{Event, Page, is_id};
use crate::event::{ExternalAccountId, WebinarId};
use crate::providers::api::api_url;
use crate::providers::lenient::{self, Object};
use crate::providers::options::{rate_limit_or, url_or};
use crate::providers::{
    ApiAnswers, ApiRateLimit, ListQuery, Options, PlatformAccess, PlatformApi, PlatformCredentials,
    PlatformRequest, WebinarPage, require,
};

const DEFAULT_BASE_URL: &str = "https://www.eventbriteapi.com";
/// Rate limit as third parties report it, along with 48,000 calls a day. Eventbrite documents none that was found.
const DEFAULT_RATE_LIMIT: ApiRateLimit =
    ApiRateLimit { requests: 1_000, window: Duration::from_hours(1) };

/// Eventbrite's API for one organization.
pub(super) struct EventbriteApi {
    access: PlatformAccess,
    base: Url,
    gone_means_cancelled: bool,
    organization: ExternalAccountId,
}

impl EventbriteApi {
    /// Reads `[source.NAME.api]`.
    pub(super) fn from_options(options: &mut dyn Options) -> Option<Self> {
        let remedy = "Set { env = \"NAME\" }, the private token of the API key";
        let token = require(options, "token", |options, key| options.secret(key), remedy);
        let remedy = "Set the id of the organization that the events belong to";
        let organization_id =
            require(options, "organization", |options, key| options.text(key), remedy);
        let organization = organization_id.and_then(|id| {
            if !is_id(&id) {
                options.report("organization", "must be an id of digits only");
            }
            ExternalAccountId::parse(id).ok()
        });
        let base = url_or(options, "base_url", DEFAULT_BASE_URL);
        let gone_means_cancelled = options.flag("gone_is_cancelled").unwrap_or(true);
        let rate_limit = rate_limit_or(options, DEFAULT_RATE_LIMIT);
        let credentials = PlatformCredentials::Token {
            header: "authorization",
            prefix: "Bearer ",
            token: token?,
        };
        let headers = vec![("accept", "application/json".to_owned())];
        let access = PlatformAccess { credentials, headers, rate_limit };
        Some(Self { access, base, gone_means_cancelled, organization: organization? })
    }
}

impl PlatformApi for EventbriteApi {
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
        if !is_id(webinar.as_str()) {
            return Err("the id is not one of an Eventbrite event".to_owned());
        }
        // The trailing slash that all of Eventbrite's paths have.
        let mut url = api_url(&self.base, &["v3", "events", webinar.as_str(), ""]);
        url.set_query(Some("expand=organizer"));
        Ok(Some(PlatformRequest::required(EVENT_REQUEST, url)))
    }

    fn list_url(&self, query: ListQuery<'_>) -> Option<Url> {
        let organization = self.organization.as_str();
        let mut url = api_url(&self.base, &["v3", "organizations", organization, "events", ""]);
        url.query_pairs_mut()
            .append_pair("order_by", "start_asc")
            .append_pair("status", "live,started,ended,canceled");
        if let Some(continuation) = query.cursor {
            url.query_pairs_mut().append_pair("continuation", continuation);
        }
        Some(url)
    }

    fn gone_means_cancelled(&self) -> bool {
        self.gone_means_cancelled
    }

    /// Filters by time here: the list of an organization cannot be restricted to a time range.
    fn parse_list(&self, page: &[u8], query: ListQuery<'_>) -> Result<WebinarPage, String> {
        let otherwise = "the answer is not a page with `events` and `pagination`";
        let Page { events, pagination } =
            lenient::parse_object(lenient::body_text(page)?, otherwise)?;
        let mut webinars = Vec::new();
        for Object(event) in events {
            if should_list(&event)
                && event.start.and_then(read_utc).is_some_and(|at| query.span.contains(at))
            {
                webinars.push(lenient::identifier("id", event.id, WebinarId::parse)?);
            }
        }
        let pagination = pagination.0;
        let more = pagination.continuation.filter(|_| pagination.has_more_items != Some(false));
        let next = more.and_then(lenient::string).map(std::borrow::Cow::into_owned);
        Ok(WebinarPage { webinars, next: next.filter(|next| !next.is_empty()) })
    }

    fn account(&self) -> Option<&ExternalAccountId> {
        Some(&self.organization)
    }
}

/// Whether `backfill` lists the event: not a draft, and not a series, since its dates are listed themselves.
fn should_list(event: &Event<'_>) -> bool {
    !event.is_series_parent()
        && event.status.and_then(lenient::word) != Some(EventbriteStatus::Draft)
}

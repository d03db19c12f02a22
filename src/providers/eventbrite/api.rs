//! What is asked of Eventbrite's API (<https://www.eventbrite.com/platform/api>): an event with its organizer.

use std::time::Duration;

use url::Url;

use super::map::{EVENT, Standing, utc};
use super::payload::{Event, Page, is_id};
use crate::event::{ExternalAccountId, WebinarId};
use crate::providers::api::address;
use crate::providers::lenient::{self, Object};
use crate::providers::{
    Access, Answers, Ask, Credentials, Listed, Options, Pace, PlatformApi, Span, required,
};
use crate::secret::Secret;

const BASE: &str = "https://www.eventbriteapi.com";
/// What third parties write of its limit (which also ends at 48,000 a day); Eventbrite's own word was not found.
const PACE: Pace = Pace { requests: 1_000, window: Duration::from_hours(1) };

/// Eventbrite's API, for one organization.
pub(super) struct Api {
    access: Access,
    base: Url,
    gone_is_cancelled: bool,
    organization: ExternalAccountId,
}

impl Api {
    /// Reads `[source.NAME.api]`.
    pub(super) fn configured(options: &mut dyn Options) -> Option<Self> {
        let remedy = "Set { env = \"NAME\" }, the private token of the API key";
        let token = required(options, "token", |options, key| options.secret(key), remedy);
        let remedy = "Set the id of the organization whose events these are";
        let given = required(options, "organization", |options, key| options.text(key), remedy);
        let organization = given.and_then(|id| {
            if !is_id(&id) {
                options.problem("organization", "must be an id: digits and nothing else");
            }
            ExternalAccountId::parse(id).ok()
        });
        let base = options.url("base_url").unwrap_or_else(|| BASE.parse().expect("it is a URL"));
        let gone_is_cancelled = options.flag("gone_is_cancelled").unwrap_or(true);
        let mut pace = PACE;
        options.table("rate_limit", &mut |limit| {
            pace.requests = limit.count("requests").unwrap_or(PACE.requests);
            pace.window = limit.duration("window").unwrap_or(PACE.window);
        });
        let mut api = Self::new(base, token?, organization?);
        api.access.pace = pace;
        api.gone_is_cancelled = gone_is_cancelled;
        Some(api)
    }

    pub(super) fn new(base: Url, token: Secret, organization: ExternalAccountId) -> Self {
        let access = Access {
            credentials: Credentials::Token { header: "authorization", prefix: "Bearer ", token },
            headers: vec![("accept", "application/json".to_owned())],
            pace: PACE,
        };
        Self { access, base, organization, gone_is_cancelled: true }
    }
}

impl PlatformApi for Api {
    fn access(&self) -> &Access {
        &self.access
    }

    fn ask(&self, webinar: &WebinarId, answers: &Answers<'_>) -> Result<Option<Ask>, String> {
        if answers.contains_key(EVENT) {
            return Ok(None);
        }
        if !is_id(webinar.as_str()) {
            return Err("that is no id of an event of Eventbrite's".to_owned());
        }
        // With a slash at the end, as all of its paths have.
        let mut url = address(&self.base, &["v3", "events", webinar.as_str(), ""]);
        url.set_query(Some("expand=organizer"));
        Ok(Some(Ask::needed(EVENT, url)))
    }

    fn list(&self, _span: Span, cursor: Option<&str>) -> Option<Url> {
        let organization = self.organization.as_str();
        let mut url = address(&self.base, &["v3", "organizations", organization, "events", ""]);
        url.query_pairs_mut()
            .append_pair("order_by", "start_asc")
            .append_pair("status", "live,started,ended,canceled");
        if let Some(continuation) = cursor {
            url.query_pairs_mut().append_pair("continuation", continuation);
        }
        Some(url)
    }

    fn believes_gone(&self) -> bool {
        self.gone_is_cancelled
    }

    /// The list of an organization cannot be asked for a time, so all of it is gone through.
    fn listed(&self, page: &[u8], span: Span, _cursor: Option<&str>) -> Result<Listed, String> {
        let otherwise = "it is not a page with `events` and `pagination`";
        let page: Object<Page<'_>> = lenient::parse(lenient::document(page)?, otherwise)?;
        let Page { events, pagination } = page.0;
        let mut webinars = Vec::new();
        for Object(event) in events {
            if is_shown(&event)
                && event.start.and_then(utc).is_some_and(|at| span.from <= at && at < span.to)
            {
                webinars.push(lenient::identifier("id", event.id, WebinarId::parse)?);
            }
        }
        let pagination = pagination.0;
        let more = pagination.continuation.filter(|_| pagination.has_more_items != Some(false));
        let next = more.and_then(lenient::string).map(std::borrow::Cow::into_owned);
        Ok(Listed { webinars, next: next.filter(|next| !next.is_empty()) })
    }

    fn account(&self) -> Option<&ExternalAccountId> {
        Some(&self.organization)
    }
}

/// A series is shown by its dates, a draft not at all.
fn is_shown(event: &Event<'_>) -> bool {
    !event.is_series_parent() && event.status.and_then(Standing::of) != Some(Standing::Draft)
}

//! Requests to Zoom's API for what its webhooks leave out: the agenda, the registration link, the host's name, and
//! webinars created before the bridge was installed.
//!
//! Sources: Zoom's reference (<https://developers.zoom.us/docs/api/meetings/>, "Get a webinar", "List webinars"; "Get a
//! user" in <https://developers.zoom.us/docs/api/users/>) and its guide to Server-to-Server `OAuth`
//! (<https://developers.zoom.us/docs/internal-apps/s2s-oauth/>).

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::map::ZoomWebinarAction;
use crate::event::{
    Change, ExternalAccountId, FetchCondition, FetchRequest, OccurrenceListing, WebinarId,
};
use crate::providers::api::api_url;
use crate::providers::lenient::{self, Object};
use crate::providers::options::{rate_limit_or, url_or};
use crate::providers::{
    ApiAnswers, ApiRateLimit, ListQuery, OnMissing, Options, PlatformAccess, PlatformApi,
    PlatformCredentials, PlatformRequest, TimeRange, WebinarPage, require,
};

/// Name of the request for the webinar.
pub(super) const WEBINAR_REQUEST: &str = "webinar";
/// Name of the request for the webinar's host.
pub(super) const HOST_REQUEST: &str = "host";
/// Makes the answer list past occurrences too, so that an occurrence is not missing because it is over.
const ALL_OCCURRENCES: &str = "show_previous_occurrences=true";
/// Largest page size that Zoom allows.
const PAGE_SIZE: &str = "300";
/// Default rate limit: a third of what the smallest plan with webinars allows for the calls made here, since all apps
/// of an account share the limit (<https://developers.zoom.us/docs/api/rate-limits/>).
const DEFAULT_RATE_LIMIT: ApiRateLimit =
    ApiRateLimit { requests: 10, window: Duration::from_secs(1) };

/// Zoom's API with the credentials of a Server-to-Server app.
#[derive(Debug, Clone)]
pub(super) struct ZoomApi {
    base_url: Url,
    account: ExternalAccountId,
    /// Users, by id or e-mail address, for `backfill` to list the webinars of.
    users: Vec<String>,
    gone_means_cancelled: bool,
    access: PlatformAccess,
}

impl ZoomApi {
    /// Reads the table `api`. Returns `None` after reporting what is wrong with it.
    pub(super) fn from_options(options: &mut dyn Options) -> Option<Self> {
        const CREDENTIALS: &str = "Set it as the Server-to-Server OAuth app shows it";
        let account = require(options, "account_id", |o, key| o.text(key), CREDENTIALS);
        let client_id = require(options, "client_id", |o, key| o.text(key), CREDENTIALS);
        let client_secret = require(options, "client_secret", |o, key| o.secret(key), CREDENTIALS);
        let base_url = url_or(options, "base_url", "https://api.zoom.us");
        let token_url = url_or(options, "token_url", "https://zoom.us/oauth/token");
        let users = options.texts("users").unwrap_or_default();
        let gone_means_cancelled = options.flag("gone_is_cancelled").unwrap_or(true);
        let rate_limit = rate_limit_or(options, DEFAULT_RATE_LIMIT);
        let account = match ExternalAccountId::parse(account?) {
            Ok(account) => account,
            Err(error) => {
                options.report("account_id", &error.to_string());
                return None;
            }
        };
        let form = vec![
            ("grant_type", "account_credentials".to_owned()),
            ("account_id", account.as_str().to_owned()),
        ];
        let credentials = PlatformCredentials::ClientCredentials {
            token_url,
            client_id: client_id?,
            client_secret: client_secret?,
            form,
        };
        let headers = vec![("accept", "application/json".to_owned())];
        let access = PlatformAccess { credentials, headers, rate_limit };
        Some(Self { base_url, account, users, gone_means_cancelled, access })
    }

    /// The fetch that completes this change, if it needs one.
    pub(super) fn fetch_request_for(
        &self,
        action: ZoomWebinarAction,
        change: &Change,
    ) -> Option<FetchRequest> {
        // The credentials are for one account, but the secret token signs for every account that installed the app.
        if change.account.as_ref().is_some_and(|account| *account != self.account) {
            return None;
        }
        let condition = match action {
            // Neither the host's name nor the agenda is in the webhook.
            ZoomWebinarAction::Created | ZoomWebinarAction::ConvertedToWebinar => {
                FetchCondition::Always
            }
            ZoomWebinarAction::Updated if change.listing == OccurrenceListing::Unknown => {
                FetchCondition::Always
            }
            ZoomWebinarAction::Updated
            | ZoomWebinarAction::Recovered
            | ZoomWebinarAction::Started
            | ZoomWebinarAction::Ended => FetchCondition::IfUncertain,
            // The API answers 404 for a webinar in the trash. After a single occurrence was deleted, the rest may be
            // unknown.
            ZoomWebinarAction::Deleted if change.whole.cancelled.is_none() => {
                FetchCondition::IfUncertain
            }
            ZoomWebinarAction::Deleted | ZoomWebinarAction::ConvertedToMeeting => return None,
        };
        let webinar = change.webinar.clone();
        is_webinar_id(&webinar).then(|| FetchRequest {
            account: change.account.clone(),
            webinar,
            condition,
        })
    }

    /// Builds the URL of a path. Returns `None` if a segment is empty or consists of dots.
    fn url_of(&self, path: &[&str]) -> Option<Url> {
        // A segment of dots would change the path.
        let is_segment = |part: &&str| !matches!(*part, "" | "." | "..");
        path.iter().all(is_segment).then(|| api_url(&self.base_url, path))
    }
}

/// Whether the id is a webinar id: Zoom's are numbers.
fn is_webinar_id(webinar: &WebinarId) -> bool {
    webinar.as_str().bytes().all(|byte| byte.is_ascii_digit())
}

impl PlatformApi for ZoomApi {
    fn access(&self) -> &PlatformAccess {
        &self.access
    }

    fn next_request(
        &self,
        webinar: &WebinarId,
        answers: &ApiAnswers<'_>,
    ) -> Result<Option<PlatformRequest>, String> {
        let Some(answer) = answers.get(WEBINAR_REQUEST) else {
            let url = self.url_of(&["v2", "webinars", webinar.as_str()]);
            let url =
                url.filter(|_| is_webinar_id(webinar)).ok_or("the id is not a Zoom webinar id")?;
            let url = with_query(url, ALL_OCCURRENCES);
            return Ok(Some(PlatformRequest::required(WEBINAR_REQUEST, url)));
        };
        if answers.contains_key(HOST_REQUEST) {
            return Ok(None);
        }
        let answer: WebinarHost<'_> =
            lenient::parse_object(answer.get(), "the answer is not a webinar")?;
        let host = answer.host_id.and_then(lenient::string);
        let url = host.and_then(|host| self.url_of(&["v2", "users", &host]));
        Ok(url.map(|url| PlatformRequest { name: HOST_REQUEST, url, on_missing: OnMissing::Skip }))
    }

    fn gone_means_cancelled(&self) -> bool {
        self.gone_means_cancelled
    }

    /// One secret token serves every account that installed the app.
    fn shares_secret(&self) -> bool {
        true
    }

    fn list_url(&self, query: ListQuery<'_>) -> Option<Url> {
        let position = ListPosition::parse(query.cursor)?;
        let user = self.users.get(position.user)?;
        let url = self.url_of(&["v2", "users", user, "webinars"])?;
        // Sessions of Zoom Events are webinars too, but other webhooks report them.
        let mut url = with_query(url, "include_events_webinar=false");
        url.query_pairs_mut().append_pair("page_size", PAGE_SIZE);
        if !position.page.is_empty() {
            url.query_pairs_mut().append_pair("next_page_token", position.page);
        }
        Some(url)
    }

    fn parse_list(&self, page: &[u8], query: ListQuery<'_>) -> Result<WebinarPage, String> {
        let position = ListPosition::parse(query.cursor).ok_or("the cursor is invalid")?;
        let text = std::str::from_utf8(page).map_err(|_| "the answer is not UTF-8")?;
        let Page { webinars, next_page_token } =
            lenient::parse_object(text, "the answer is not a list of webinars")?;
        let webinars: Result<BTreeSet<WebinarId>, String> = webinars
            .iter()
            .filter(|entry| entry.0.may_be_within(query.span))
            .map(|entry| lenient::identifier("id", entry.0.id, WebinarId::parse))
            .collect();
        let next = next_page_token.and_then(lenient::string).filter(|token| !token.is_empty());
        let next = match &next {
            Some(token) => ListPosition { user: position.user, page: token },
            None => ListPosition { user: position.user + 1, page: "" },
        };
        let next = (next.user < self.users.len()).then(|| next.to_cursor());
        Ok(WebinarPage { webinars: webinars?.into_iter().collect(), next })
    }

    fn account(&self) -> Option<&ExternalAccountId> {
        Some(&self.account)
    }
}

/// The field of a webinar that identifies its host.
#[derive(Deserialize)]
struct WebinarHost<'a> {
    #[serde(borrow)]
    host_id: Option<&'a RawValue>,
}

fn with_query(mut url: Url, query: &str) -> Url {
    url.set_query(Some(query));
    url
}

/// A position in the lists of all users' webinars. As a cursor: `{user}:{page}`.
struct ListPosition<'a> {
    /// Index of the user.
    user: usize,
    /// Zoom's page token; empty for the first page.
    page: &'a str,
}

impl<'a> ListPosition<'a> {
    fn parse(cursor: Option<&'a str>) -> Option<Self> {
        let (user, page) = cursor.unwrap_or("0:").split_once(':')?;
        Some(Self { user: user.parse().ok()?, page })
    }

    fn to_cursor(&self) -> String {
        format!("{}:{}", self.user, self.page)
    }
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Page<'a> {
    webinars: Vec<Object<Entry<'a>>>,
    next_page_token: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Entry<'a> {
    id: Option<&'a RawValue>,
    #[serde(rename = "type")]
    kind: Option<&'a RawValue>,
    start_time: Option<&'a RawValue>,
}

impl Entry<'_> {
    /// Whether the webinar may be held within the range. Only for single webinars does the list report when.
    fn may_be_within(&self, range: TimeRange) -> bool {
        let single = self.kind.and_then(lenient::integer) == Some(5);
        let start = self.start_time.and_then(|start| lenient::date_time(start, None));
        !single || start.is_none_or(|start| range.contains(start))
    }
}

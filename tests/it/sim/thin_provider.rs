//! The simulated platform's code in the bridge: the requests to its API, and what its answers mean. It reads them as the
//! code for Eventbrite does, and series as that for Zoom.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;
use webinar_bridge::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, Millis, OccurrenceChange, OccurrenceId,
    OccurrenceListing, Shape, WebinarFields, WebinarId,
};
use webinar_bridge::providers::{
    ApiAnswers, ApiRateLimit, FetchedAnswers, ListQuery, OnMissing, ParsedPayload, PayloadContent,
    PlatformAccess, PlatformApi, PlatformCredentials, PlatformRequest, WebinarPage,
};
use webinar_bridge::secret::Secret;

use super::platform_api::PLATFORM_ACCOUNT;
use crate::harness::stub_platform::StubBehavior;

/// Host of the platform's API.
pub(super) const API_HOST: &str = "platform.example";

/// The code of the platform with thin webhooks.
pub(super) struct ThinPlatform {
    access: PlatformAccess,
    account: ExternalAccountId,
}

impl ThinPlatform {
    pub(super) fn new() -> Self {
        let token = Secret::Text(SecretString::from("token-of-the-platform".to_owned()));
        let credentials =
            PlatformCredentials::Token { header: "authorization", prefix: "Bearer ", token };
        let rate_limit = ApiRateLimit { requests: 20, window: Duration::from_secs(1) };
        let access = PlatformAccess { credentials, headers: Vec::new(), rate_limit };
        let account = ExternalAccountId::parse(PLATFORM_ACCOUNT).expect("valid");
        Self { access, account }
    }
}

/// An answer about a webinar.
#[derive(Deserialize)]
struct Shown {
    account: String,
    name: String,
    start: Option<i64>,
    minutes: i64,
    status: String,
    created: i64,
    updated: Option<i64>,
    occurrences: Option<Vec<ShownOccurrence>>,
}

#[derive(Deserialize)]
struct ShownOccurrence {
    id: String,
    start: i64,
}

#[derive(Deserialize)]
struct ShownList {
    webinars: Vec<String>,
}

impl StubBehavior for ThinPlatform {
    const ID: &'static str = "zoom";

    fn api(&self) -> Option<&dyn PlatformApi> {
        Some(self)
    }

    fn read_fetched(&self, fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        read_fetched(fetched)
    }
}

impl PlatformApi for ThinPlatform {
    fn access(&self) -> &PlatformAccess {
        &self.access
    }

    fn next_request(
        &self,
        webinar: &WebinarId,
        answers: &ApiAnswers<'_>,
    ) -> Result<Option<PlatformRequest>, String> {
        let url = url(&format!("/webinars/{webinar}"))?;
        let request = PlatformRequest { name: "webinar", url, on_missing: OnMissing::Fail };
        Ok((!answers.contains_key("webinar")).then_some(request))
    }

    fn list_url(&self, _query: ListQuery<'_>) -> Option<Url> {
        url("/webinars").ok()
    }

    fn parse_list(&self, page: &[u8], _query: ListQuery<'_>) -> Result<WebinarPage, String> {
        let page: ShownList = serde_json::from_slice(page).map_err(|error| error.to_string())?;
        let ids = page.webinars.into_iter().map(|id| WebinarId::parse(id).expect("valid"));
        Ok(WebinarPage { webinars: ids.collect(), next: None })
    }

    fn account(&self) -> Option<&ExternalAccountId> {
        Some(&self.account)
    }
}

fn url(path: &str) -> Result<Url, String> {
    Url::parse(&format!("https://{API_HOST}{path}")).map_err(|error| error.to_string())
}

/// Reads an answer of the platform.
pub(super) fn read_fetched(fetched: &FetchedAnswers<'_>) -> ParsedPayload {
    let content = if fetched.gone {
        let changes = vec![fetched.existence_change(&fetched.webinar, true)];
        PayloadContent::Changes { changes, bad_fields: Vec::new() }
    } else {
        let shown = fetched.answer("webinar").map(|answer| serde_json::from_str(answer.get()));
        match shown {
            Some(Ok(shown)) => {
                let changes =
                    vec![map(&shown, fetched), fetched.existence_change(&fetched.webinar, false)];
                PayloadContent::Changes { changes, bad_fields: Vec::new() }
            }
            Some(Err(_)) | None => PayloadContent::Unmappable("it is no webinar".into()),
        }
    };
    ParsedPayload::new("fetched", content)
}

fn map(shown: &Shown, fetched: &FetchedAnswers<'_>) -> Change {
    let mut change = Change::new(fetched.webinar.clone(), ChangeKind::Updated);
    let (is_cancelled, is_ended) = (shown.status == "cancelled", shown.status == "ended");
    change.account = ExternalAccountId::parse(shown.account.clone()).ok();
    change.occurred_at = Some(shown.updated.map_or(fetched.at, Millis::new));
    change.created_at = Some(Millis::new(shown.created));
    change.full_picture = true;
    change.whole = WebinarFields {
        name: Some(shown.name.clone()),
        start: shown.start.map(Millis::new),
        end: EndTime::after_minutes(shown.minutes),
        // Without a time of its own, a status takes back no cancellation (M13).
        cancelled: Some(is_cancelled).filter(|is| *is || shown.updated.is_some()),
        completed: (!is_cancelled).then_some(is_ended),
        ..WebinarFields::default()
    };
    change.shape = Some(Shape::Single);
    if let Some(occurrences) = &shown.occurrences {
        change.shape = Some(Shape::Series);
        change.listing = OccurrenceListing::Observed;
        change.occurrences = occurrences
            .iter()
            .map(|shown| OccurrenceChange {
                id: OccurrenceId::parse(shown.id.clone()).expect("valid"),
                fields: WebinarFields {
                    start: Some(Millis::new(shown.start)),
                    ..WebinarFields::default()
                },
            })
            .collect();
    }
    change
}

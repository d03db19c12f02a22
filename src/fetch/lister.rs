//! Lists a platform's webinars, for the backfill of earlier ones.

use std::sync::Arc;
use std::time::Duration;

use super::config_digest::config_digest;
use super::platform_client::PlatformClient;
use super::verdict::{self, FailureKind, PlatformError, SourceFailure};
use crate::clock::Clock;
use crate::event::SourceName;
use crate::net::Http;
use crate::providers::{ListQuery, Provider, WebinarPage};
use crate::telemetry::Metrics;

/// Longest wait before a page is requested again: an operator waits for it.
const MAX_PAGE_WAIT: Duration = Duration::from_mins(1);
/// Requests for one page before the listing fails.
const MAX_TRIES: u32 = 5;

/// Why a list is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The platform's API has no known list.
    #[error(
        "its platform's API lists no webinars, or the source's api does not say whose to list (Zoom: users)"
    )]
    NoList,
    /// The platform gave no answer to several requests.
    #[error("the platform did not answer: {0}")]
    Unanswered(String),
    /// The platform refuses the list.
    #[error("the platform refuses to list webinars: {0}")]
    Refused(String),
    /// A page is not as documented.
    #[error("the platform's list cannot be read: {0}")]
    Unreadable(String),
    /// The list has no end: a page leads back to an earlier one, or there are too many pages.
    #[error("the platform's list has no end")]
    Endless,
}

/// Lists the webinars of a source's platform. Clones share the rate limit.
#[derive(Clone)]
pub struct WebinarLister {
    provider: Arc<dyn Provider>,
    pub(super) client: Arc<PlatformClient>,
    random: fn() -> u32,
}

impl WebinarLister {
    /// Creates a lister; none if the source's platform has no API or no credentials for it.
    #[must_use]
    pub fn new(
        source: SourceName,
        provider: Arc<dyn Provider>,
        http: Arc<dyn Http>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        random: fn() -> u32,
    ) -> Option<Self> {
        let access = provider.api()?.access().clone();
        let client = PlatformClient::new(source, access, http, clock, metrics, random);
        Some(Self { provider, client: Arc::new(client), random })
    }

    /// A digest of how the platform is asked; none if it has no API.
    pub(super) fn config_digest(&self) -> Option<[u8; 32]> {
        self.provider.api().map(config_digest)
    }

    /// One page of the list of webinars, with the cursor of the next.
    ///
    /// # Errors
    /// [`ListError`] when the platform does not return the page.
    pub async fn page(&self, query: ListQuery<'_>) -> Result<WebinarPage, ListError> {
        let api = self.provider.api().ok_or(ListError::NoList)?;
        let url = api.list_url(query).ok_or(ListError::NoList)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let SourceFailure { reason, wait } = match self.client.get(url.clone()).await {
                Ok(answer) => {
                    let nothing = || ListError::Refused("there is nothing there".into());
                    let body = answer.body.ok_or_else(nothing)?;
                    let page = api.parse_list(body.get().as_bytes(), query);
                    return page.map_err(ListError::Unreadable);
                }
                Err(PlatformError::Forbidden) => {
                    return Err(ListError::Refused("we may not see it".into()));
                }
                Err(PlatformError::Held(failure)) => failure,
                Err(PlatformError::Failed(failure)) => match failure.kind {
                    FailureKind::Lasting => return Err(ListError::Refused(failure.reason)),
                    FailureKind::Passing | FailureKind::Credentials | FailureKind::RateLimit => {
                        SourceFailure { reason: failure.reason, wait: failure.wait }
                    }
                },
            };
            if tries >= MAX_TRIES {
                return Err(ListError::Unanswered(reason));
            }
            let wait = wait.unwrap_or_else(|| verdict::short_backoff(tries + 1, (self.random)()));
            tokio::time::sleep(wait.min(MAX_PAGE_WAIT)).await;
        }
    }
}

//! Which webinars a platform has, for bringing in those from before.

use std::sync::Arc;
use std::time::Duration;

use super::platform_client::{PlatformClient, PlatformReply};
use super::verdict::{self, TemporaryFailure};
use crate::event::SourceName;
use crate::net::Http;
use crate::providers::{Provider, TimeRange, WebinarPage};
use crate::telemetry::Metrics;

/// The longest that somebody who waits for a list is kept waiting for its next page.
const MAX_PAGE_WAIT: Duration = Duration::from_mins(1);
/// How often a page is asked for.
const MAX_TRIES: u32 = 5;

/// Why a list is not whole.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The platform's API has no list, or none that is known.
    #[error(
        "its platform's API lists no webinars, or the source's api does not say whose to list (Zoom: users)"
    )]
    NoList,
    /// The platform did not answer, again and again.
    #[error("the platform did not answer: {0}")]
    Unanswered(String),
    /// The platform refuses it.
    #[error("the platform refuses to list webinars: {0}")]
    Refused(String),
    /// The page is not what it should be.
    #[error("the platform's list cannot be read: {0}")]
    Unreadable(String),
    /// There is no end of it: a page leads back to one before, or there are too many.
    #[error("the platform's list has no end")]
    Endless,
}

/// Lists what a source's platform has.
pub struct WebinarLister {
    provider: Arc<dyn Provider>,
    client: Arc<PlatformClient>,
    random: fn() -> u32,
}

impl WebinarLister {
    /// A lister; none if the source's platform cannot be asked.
    #[must_use]
    pub fn new(
        source: SourceName,
        provider: Arc<dyn Provider>,
        http: Arc<dyn Http>,
        metrics: Metrics,
        random: fn() -> u32,
    ) -> Option<Self> {
        let access = provider.api()?.access().clone();
        let client = PlatformClient::new(source, access, http, metrics, random);
        Some(Self::with_client(provider, Arc::new(client), random))
    }

    pub(super) fn with_client(
        provider: Arc<dyn Provider>,
        client: Arc<PlatformClient>,
        random: fn() -> u32,
    ) -> Self {
        Self { provider, client, random }
    }

    /// A page of the webinars of a time, and where the next begins.
    ///
    /// # Errors
    /// [`ListError`] says why there is none.
    pub async fn page(
        &self,
        span: TimeRange,
        cursor: Option<&str>,
    ) -> Result<WebinarPage, ListError> {
        let api = self.provider.api().ok_or(ListError::NoList)?;
        let url = api.list_url(span, cursor).ok_or(ListError::NoList)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let TemporaryFailure { reason: why, wait, .. } =
                match self.client.get(url.clone()).await {
                    PlatformReply::Answered { body, .. } => {
                        let listed = api.parse_list(body.get().as_bytes(), span, cursor);
                        return listed.map_err(ListError::Unreadable);
                    }
                    PlatformReply::NotFound => {
                        return Err(ListError::Refused("there is nothing there".into()));
                    }
                    PlatformReply::Forbidden => {
                        return Err(ListError::Refused("we may not see it".into()));
                    }
                    PlatformReply::Rejected(why) => return Err(ListError::Refused(why)),
                    PlatformReply::RetryLater(trouble) => trouble,
                };
            if tries >= MAX_TRIES {
                return Err(ListError::Unanswered(why));
            }
            let wait = wait.unwrap_or_else(|| verdict::short_backoff(tries + 1, (self.random)()));
            tokio::time::sleep(wait.min(MAX_PAGE_WAIT)).await;
        }
    }
}

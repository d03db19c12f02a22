//! Reading events from HubSpot at an account's pace, patiently within bounds.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::clock::SystemClock;
use crate::config::AccountSettings as Settings;
use crate::event::account_status::backoff;
use crate::event::{AccountName, EventKey};
use crate::hubspot::{
    AccountClient, AccountError, AccountErrorKind, RateLimit, RateLimitPolicy, RateLimiter,
    RemoteEvent, WaitingRateLimiter,
};
use crate::net::Http;
use crate::telemetry::Metrics;

/// Most requests for one event.
const MAX_TRIES: u32 = 6;
/// Longest wait between two tries. Reading fails if HubSpot asks for a longer one.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// Reads events of one account.
pub(super) struct EventReader {
    hubspot: AccountClient,
    rate_limiter: WaitingRateLimiter,
}

impl EventReader {
    pub(super) fn new(name: &AccountName, account: &Settings, http: Arc<dyn Http>) -> Self {
        let RateLimit { requests, window } = account.delivery.rate_limit;
        // The service may deliver meanwhile on the same limit: half of it is left to the service.
        let half = RateLimit { requests: (requests / 2).max(1), window };
        Self {
            hubspot: AccountClient::new(
                name.clone(),
                account.api.clone(),
                http,
                Arc::new(SystemClock),
                Metrics::new(&[], &[]),
            ),
            rate_limiter: WaitingRateLimiter::new(RateLimiter::for_shared_limit(half)),
        }
    }

    /// Reads the event from HubSpot; none if HubSpot does not have it.
    ///
    /// # Errors
    /// An [`AccountError`] that needs a human, or that lasts through all tries.
    pub(super) async fn read(&self, key: &EventKey) -> Result<Option<RemoteEvent>, AccountError> {
        let mut tries = 1;
        loop {
            let permit = self.rate_limiter.acquire().await;
            let trouble = match self.hubspot.read_event(permit, key).await.outcome {
                Ok(shown) => return Ok(shown),
                Err(trouble) => trouble,
            };
            let Some(wait) = retry_delay(&trouble, tries).filter(|_| tries < MAX_TRIES) else {
                return Err(trouble);
            };
            sleep(wait).await;
            tries += 1;
        }
    }
}

/// The wait after that many tries; none if waiting is useless or too long.
fn retry_delay(trouble: &AccountError, tries: u32) -> Option<Duration> {
    let wait = match trouble.kind {
        AccountErrorKind::RateLimited { policy: RateLimitPolicy::Daily }
        | AccountErrorKind::Unauthorized
        | AccountErrorKind::Forbidden
        | AccountErrorKind::NotFound
        | AccountErrorKind::Migrating
        | AccountErrorKind::Redirected => return None,
        AccountErrorKind::RateLimited { .. }
        | AccountErrorKind::Locked
        | AccountErrorKind::Overloaded
        | AccountErrorKind::Transport { .. } => trouble
            .retry_after
            .unwrap_or_else(|| backoff::delay(tries, Duration::ZERO, rand::random())),
    };
    (wait <= MAX_WAIT).then_some(wait)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tokio::time::Instant;
    use url::Url;

    use super::*;
    use crate::deliver::DeliverySettings;
    use crate::event::{ExternalAccountId, ExternalEventId};
    use crate::hubspot::{AccountApiSettings, AccountCredentials};
    use crate::net::{HttpRequest, HttpResponse, TransportError};
    use crate::secret::Secret;

    /// Answers with these statuses, repeats the last one, and records the requests.
    struct Script {
        statuses: Mutex<VecDeque<u16>>,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Http for Script {
        async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
            self.asked.lock().expect("whole").push(request.url.to_string());
            let mut statuses = self.statuses.lock().expect("whole");
            let status =
                if statuses.len() > 1 { statuses.pop_front() } else { statuses.front().copied() };
            let status = status.expect("a status");
            if status == 0 {
                return Err(TransportError::Timeout);
            }
            let body: &[u8] =
                if status == 404 { br#"{"category":"OBJECT_NOT_FOUND"}"# } else { b"{}" };
            Ok(HttpResponse { status, headers: Vec::new(), body: body.to_vec() })
        }
    }

    /// The result of reading an event, and the number of requests.
    async fn read(statuses: &[u16]) -> (Result<bool, AccountErrorKind>, Vec<String>) {
        let script = Arc::new(Script {
            statuses: Mutex::new(statuses.iter().copied().collect()),
            asked: Mutex::default(),
        });
        let settings = Settings {
            api: AccountApiSettings {
                base_url: Url::parse("http://127.0.0.1:1").expect("a URL"),
                path_prefix: "/marketing/v3/marketing-events".to_owned(),
                request_timeout: Duration::from_secs(30),
                credentials: AccountCredentials::Token(Secret::Text("pat".to_owned().into())),
            },
            delivery: DeliverySettings {
                sends: true,
                rate_limit: RateLimit { requests: 2, window: Duration::from_secs(10) },
                max_batch: 100,
                max_linger: Duration::ZERO,
                max_in_flight: 1,
                random: rand::random,
            },
            deliver: true,
            formerly: BTreeSet::new(),
        };
        let key = EventKey {
            hubspot: AccountName::parse("main").expect("a name"),
            external_account_id: ExternalAccountId::parse("a&b=c").expect("an id"),
            external_event_id: ExternalEventId::from_stored("1/2 é".to_owned()),
        };
        let reader =
            EventReader::new(&key.hubspot, &settings, Arc::clone(&script) as Arc<dyn Http>);
        let read = reader.read(&key).await;
        let asked = script.asked.lock().expect("whole").clone();
        (read.map(|shown| shown.is_some()).map_err(|trouble| trouble.kind), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn failure_that_passes_is_waited_for_and_ids_are_encoded() {
        let (read, asked) = read(&[503, 429, 0, 423, 200]).await;
        assert_eq!((read, asked.len()), (Ok(true), 5));
        let expected = "http://127.0.0.1:1/marketing/v3/marketing-events/events/1%2F2%20%C3%A9?externalAccountId=a%26b%3Dc";
        assert!(asked.iter().all(|url| url == expected), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn failure_that_lasts_is_given_up() {
        let (outcome, asked) = read(&[500]).await;
        assert_eq!((outcome, asked.len()), (Err(AccountErrorKind::Overloaded), 6));
        for (status, kind) in [
            (401, AccountErrorKind::Unauthorized),
            (403, AccountErrorKind::Forbidden),
            (302, AccountErrorKind::Redirected),
            (477, AccountErrorKind::Migrating),
        ] {
            let (outcome, asked) = read(&[status]).await;
            assert_eq!((outcome, asked.len()), (Err(kind), 1), "{status}");
        }
        assert_eq!(read(&[404]).await.0, Ok(false));
    }

    #[tokio::test(start_paused = true)]
    async fn reader_leaves_half_of_the_limit_to_the_service() {
        let began = Instant::now();
        read(&[503, 503, 200]).await.0.expect("read in the end");
        // One of two calls in ten seconds: the third leaves in the third window.
        assert!(began.elapsed() >= Duration::from_secs(20), "{:?}", began.elapsed());
    }
}

//! Reading events from HubSpot at an account's pace, patiently within bounds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::SystemClock;
use crate::config::Account as Settings;
use crate::event::EventKey;
use crate::hubspot::{
    Account, AccountTrouble, Operation, Pace, RateLimit, RatePolicy, Report, Shown, Slot,
    TroubleKind, Wait, backoff,
};
use crate::net::Http;

/// How often one event is asked for.
const TRIES: u32 = 6;
/// Longest wait between two tries; who is told to wait longer may come again later.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// HubSpot's rolling window, when it does not say when to come back (usage guidelines).
const WINDOW: Duration = Duration::from_secs(10);
/// A slot that waits for an answer is asked for again so often.
const SLOT_AGAIN: Duration = Duration::from_millis(20);

/// Reads events of one account.
pub(super) struct Reader {
    hubspot: Account,
    pace: Mutex<Pace>,
}

impl Reader {
    pub(super) fn new(account: &Settings, http: Arc<dyn Http>) -> Self {
        let RateLimit { requests, window } = account.lane.rate_limit;
        // The service may be delivering meanwhile, out of the same budget: half of it is left to it.
        let half = RateLimit { requests: (requests / 2).max(1), window };
        Self {
            hubspot: Account::new(account.api.clone(), http, Arc::new(SystemClock)),
            pace: Mutex::new(Pace::new(half)),
        }
    }

    /// The event as HubSpot shows it, if it is there.
    ///
    /// # Errors
    /// [`AccountTrouble`] that needs a human, or lasts.
    pub(super) async fn read(&self, key: &EventKey) -> Result<Option<Shown>, AccountTrouble> {
        let mut tries = 1;
        loop {
            let trouble = match self.ask(key).await {
                Ok(shown) => return Ok(shown),
                Err(trouble) => trouble,
            };
            let Some(wait) = wait(&trouble, tries).filter(|_| tries < TRIES) else {
                return Err(trouble);
            };
            sleep(wait).await;
            tries += 1;
        }
    }

    async fn ask(&self, key: &EventKey) -> Result<Option<Shown>, AccountTrouble> {
        let slot = self.slot().await;
        let Report { outcome, rates, calls } = self.hubspot.read_event(key).await;
        let reads = calls.iter().filter(|call| call.operation == Operation::Read).count();
        let now = Instant::now();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if reads == 0 {
            pace.cancel(slot);
        } else {
            (1..reads).for_each(|_| pace.count(now));
            pace.observe(&slot, &rates, now);
            pace.finish(slot, now);
        }
        outcome
    }

    async fn slot(&self) -> Slot {
        loop {
            let reserved = {
                let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
                pace.reserve(Instant::now())
            };
            match reserved {
                Ok(slot) => return slot,
                Err(Wait::Until(at)) => sleep_until(at).await,
                Err(Wait::ForAnAnswer) => sleep(SLOT_AGAIN).await,
            }
        }
    }
}

/// How long to wait after that many tries; none if waiting is of no use, or too long.
fn wait(trouble: &AccountTrouble, tries: u32) -> Option<Duration> {
    let wait = match trouble.kind {
        TroubleKind::RateLimited { policy: RatePolicy::Daily }
        | TroubleKind::Unauthorized
        | TroubleKind::Forbidden
        | TroubleKind::NotFound
        | TroubleKind::Migrating
        | TroubleKind::Redirected => return None,
        TroubleKind::RateLimited { .. } => trouble.retry_after.unwrap_or(WINDOW),
        TroubleKind::Locked | TroubleKind::Overloaded | TroubleKind::Transport { .. } => trouble
            .retry_after
            .unwrap_or_else(|| backoff::delay(tries, Duration::ZERO, rand::random())),
    };
    (wait <= LONGEST_WAIT).then_some(wait)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use async_trait::async_trait;
    use url::Url;

    use super::*;
    use crate::deliver::LaneSettings;
    use crate::event::{AccountName, ExternalAccountId, ExternalEventId};
    use crate::hubspot::{Api, Credentials};
    use crate::net::{Request, Response, TransportError};
    use crate::secret::Secret;

    /// Answers with these statuses, the last one again and again, and remembers what it was asked.
    struct Script {
        statuses: Mutex<VecDeque<u16>>,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Http for Script {
        async fn send(&self, request: Request) -> Result<Response, TransportError> {
            self.asked.lock().expect("whole").push(request.url.to_string());
            let mut statuses = self.statuses.lock().expect("whole");
            let status =
                if statuses.len() > 1 { statuses.pop_front() } else { statuses.front().copied() };
            let status = status.expect("a status");
            if status == 0 {
                return Err(TransportError::Timeout);
            }
            Ok(Response { status, headers: Vec::new(), body: b"{}".to_vec() })
        }
    }

    /// What reading an event comes to, and how often it was asked for.
    async fn read(statuses: &[u16]) -> (Result<bool, TroubleKind>, Vec<String>) {
        let script = Arc::new(Script {
            statuses: Mutex::new(statuses.iter().copied().collect()),
            asked: Mutex::default(),
        });
        let settings = Settings {
            api: Api {
                base_url: Url::parse("http://127.0.0.1:1").expect("a URL"),
                path_prefix: "/marketing/v3/marketing-events".to_owned(),
                request_timeout: Duration::from_secs(30),
                credentials: Credentials::Token(Secret::Text("pat".to_owned().into())),
            },
            lane: LaneSettings {
                rate_limit: RateLimit { requests: 2, window: Duration::from_secs(10) },
                max_batch: 100,
                max_linger: Duration::ZERO,
                max_in_flight: 1,
                random: rand::random,
            },
            deliver: true,
        };
        let reader = Reader::new(&settings, Arc::clone(&script) as Arc<dyn Http>);
        let key = EventKey {
            hubspot: AccountName::parse("main").expect("a name"),
            external_account_id: ExternalAccountId::parse("a&b=c").expect("an id"),
            external_event_id: ExternalEventId::stored("1/2 é".to_owned()),
        };
        let read = reader.read(&key).await;
        let asked = script.asked.lock().expect("whole").clone();
        (read.map(|shown| shown.is_some()).map_err(|trouble| trouble.kind), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for_and_ids_are_encoded() {
        let (read, asked) = read(&[503, 429, 0, 423, 200]).await;
        assert_eq!((read, asked.len()), (Ok(true), 5));
        let expected = "http://127.0.0.1:1/marketing/v3/marketing-events/events/1%2F2%20%C3%A9?externalAccountId=a%26b%3Dc";
        assert!(asked.iter().all(|url| url == expected), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_given_up() {
        let (outcome, asked) = read(&[500]).await;
        assert_eq!((outcome, asked.len()), (Err(TroubleKind::Overloaded), 6));
        for (status, kind) in [
            (401, TroubleKind::Unauthorized),
            (403, TroubleKind::Forbidden),
            (302, TroubleKind::Redirected),
            (477, TroubleKind::Migrating),
        ] {
            let (outcome, asked) = read(&[status]).await;
            assert_eq!((outcome, asked.len()), (Err(kind), 1), "{status}");
        }
        assert_eq!(read(&[404]).await.0, Ok(false));
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_limit_is_left_to_the_service() {
        let began = Instant::now();
        read(&[503, 503, 200]).await.0.expect("read in the end");
        // One of two calls in ten seconds: the third leaves in the third window.
        assert!(began.elapsed() >= Duration::from_secs(20), "{:?}", began.elapsed());
    }
}

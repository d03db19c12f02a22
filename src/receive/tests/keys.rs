//! Published keys: while they are missing, senders are asked to try again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use url::Url;

use super::harness::{FakePlatform, RunningListener, endpoint, start_listener};
use crate::http::tests::client::request;
use crate::providers::{Header, Inbound, Keys, ParsedPayload, Scrubbed, Unverified, VerifyError};
use crate::receive::PublishedKeys;
use crate::stub_platform::{StubBehavior, StubProvider};

/// Accepts requests with a key that is published.
struct Publishing(Url);

impl StubBehavior for Publishing {
    const ID: &'static str = FakePlatform::ID;

    fn scrub(body: &[u8]) -> Vec<u8> {
        FakePlatform::scrub(body)
    }

    fn verify(
        &self,
        request: &Inbound<'_, Unverified>,
        keys: Keys<'_>,
    ) -> Result<usize, VerifyError> {
        match request.headers.lookup("x-key") {
            Header::One(b"another") => Err(VerifyError::UnknownKey),
            Header::One(_) | Header::Missing | Header::Repeated => {
                FakePlatform.verify(request, keys)
            }
        }
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>) -> ParsedPayload {
        FakePlatform.read(request)
    }

    fn published_keys(&self) -> Option<&Url> {
        Some(&self.0)
    }
}

#[derive(Default)]
struct Publisher {
    published: AtomicBool,
    may_be_soon: AtomicBool,
    missed: AtomicUsize,
}

impl PublishedKeys for Publisher {
    fn current(&self) -> Option<Arc<[u8]>> {
        self.published.load(Ordering::SeqCst).then(|| Arc::from(&b"published"[..]))
    }

    fn request_refresh(&self) -> bool {
        self.missed.fetch_add(1, Ordering::SeqCst);
        self.may_be_soon.load(Ordering::SeqCst)
    }
}

/// A source `published` beside the others.
fn opened(publisher: &Arc<Publisher>) -> RunningListener {
    let url: Url = "https://id.example/keys".parse().expect("a URL");
    start_listener(|webhooks| {
        let mut source = endpoint("open");
        source.provider = Arc::new(StubProvider(Publishing(url.clone())));
        source.secrets = Vec::new();
        webhooks.sources = vec![Arc::new(source)];
        webhooks.keys.insert(url, Arc::<Publisher>::clone(publisher));
    })
}

async fn post(listener: &RunningListener, key: &str) -> (u16, String) {
    let bytes = request("POST", "/webhooks/open", &[("x-key", key)], b"changes a");
    let answer = listener.send(&bytes).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn request_with_a_published_key_is_accepted() {
    let publisher = Arc::new(Publisher::default());
    publisher.published.store(true, Ordering::SeqCst);
    let listener = opened(&publisher);
    assert_eq!(post(&listener, "published").await.1, r#"{"status":"accepted"}"#);
    assert_eq!(post(&listener, "never").await, (401, r#"{"error":"unauthorized"}"#.to_owned()));
    assert_eq!(publisher.missed.load(Ordering::SeqCst), 0, "a wrong signature is no unknown key");
}

#[tokio::test]
async fn request_before_any_key_is_published_is_answered_503() {
    let publisher = Arc::new(Publisher::default());
    let listener = opened(&publisher);
    let unavailable = (503, r#"{"error":"unavailable"}"#.to_owned());
    assert_eq!(post(&listener, "published").await, unavailable);
    assert_eq!(listener.outcomes("open", "unavailable").as_deref(), Some("1"));
    publisher.published.store(true, Ordering::SeqCst);
    assert_eq!(post(&listener, "published").await.0, 200);
}

#[tokio::test]
async fn request_with_an_unknown_key_is_answered_503_while_a_refresh_may_bring_it() {
    let publisher = Arc::new(Publisher::default());
    publisher.published.store(true, Ordering::SeqCst);
    publisher.may_be_soon.store(true, Ordering::SeqCst);
    let listener = opened(&publisher);
    assert_eq!(post(&listener, "another").await.0, 503);
    let refused = "bridge_webhooks_rejected_total{reason=\"mismatch\",source=\"open\"}";
    assert_eq!(listener.metric(refused).as_deref(), Some("0"));
    publisher.may_be_soon.store(false, Ordering::SeqCst);
    assert_eq!(post(&listener, "another").await.0, 401);
    assert_eq!(publisher.missed.load(Ordering::SeqCst), 2);
    assert_eq!(listener.metric(refused).as_deref(), Some("1"));
}

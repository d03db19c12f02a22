//! A fake platform, and a running public listener before a [`FakeIntake`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fake_intake::{FakeIntake, account, source};
use crate::clock::{Clock, SystemClock};
use crate::event::{
    Change, ChangeKind, EventOwnership, ExternalAccountId, Policy, ProviderId, RecurringMode,
    WebinarId,
};
use crate::http::tests::client::{TIMEOUT, TestResponse, bind, request, send};
use crate::intake::Source;
use crate::providers::{
    HandshakeReply, Header, Inbound, Keys, ParsedPayload, PayloadContent, Provider, Scrubbed,
    Unverified, VerifyError,
};
use crate::receive::{WebhookLimits, WebhookSettings, run_webhooks};
use crate::secret::Secret;
use crate::stub_platform::{StubBehavior, StubProvider};
use crate::telemetry::Metrics;

pub(super) const SECRET: &str = "a secret of the platform";
pub(super) const TOKEN: &str = "token-of-the-path=";

/// A platform whose "signature" is the secret itself. The first word of a body selects its content.
pub(super) struct FakePlatform;

impl StubBehavior for FakePlatform {
    const ID: &'static str = "fake";

    fn unconfigured() -> Option<Arc<dyn Provider>> {
        Some(Arc::new(StubProvider(Self)))
    }

    fn scrub(body: &[u8]) -> Vec<u8> {
        [b"scrubbed ", body].concat()
    }

    fn verify(
        &self,
        request: &Inbound<'_, Unverified>,
        keys: Keys<'_>,
    ) -> Result<usize, VerifyError> {
        match request.headers.lookup("x-key") {
            Header::Missing => Err(VerifyError::Missing),
            Header::Repeated => Err(VerifyError::Malformed),
            Header::One(b"stale") => Err(VerifyError::Stale),
            Header::One(b"future") => Err(VerifyError::Future),
            Header::One(key) if keys.secrets.contains(&key) => Ok(0),
            Header::One(_) => Err(VerifyError::Mismatch),
        }
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>) -> ParsedPayload {
        let text = std::str::from_utf8(&request.body).unwrap_or_default();
        let mut words = text.trim_start_matches("scrubbed ").split_whitespace();
        let meaning = match words.next() {
            Some("changes") => PayloadContent::Changes {
                changes: words.take_while(|word| *word != "|").map(change).collect(),
                bad_fields: vec!["duration"],
            },
            Some("ignored") => PayloadContent::Ignored,
            Some("handshake") => PayloadContent::Handshake(HandshakeReply {
                status: 200,
                content_type: "text/plain",
                body: b"the answer".to_vec(),
            }),
            Some("panic") => panic!("on purpose"),
            Some(_) | None => PayloadContent::Unmappable("no id".to_owned()),
        };
        ParsedPayload::new("fake.event", meaning)
    }
}

/// A change of a webinar with that platform account; `?` is none.
fn change(account: &str) -> Change {
    let webinar = WebinarId::parse("w1").expect("an id");
    let mut change = Change::new(webinar, ChangeKind::Updated);
    change.account = (account != "?").then(|| ExternalAccountId::parse(account).expect("an id"));
    change
}

/// A running public listener.
pub(super) struct RunningListener {
    pub(super) address: SocketAddr,
    pub(super) ledger: Arc<FakeIntake>,
    pub(super) metrics: Metrics,
    pub(super) stop: CancellationToken,
    pub(super) running: JoinHandle<std::io::Result<()>>,
}

pub(crate) fn endpoint(name: &str) -> Source {
    let policy = Policy {
        hubspot: account(),
        provider: ProviderId::new(FakePlatform::ID),
        organizer: None,
        event_type: None,
        external_account_id: None,
        recurring: RecurringMode::default(),
        complete_after_end: None,
        only: Vec::new(),
        ownership: EventOwnership::Platform,
        custom_properties: BTreeMap::new(),
    };
    Source {
        secrets: vec![Secret::Text(SECRET.to_owned().into())],
        tolerance: Duration::from_mins(5),
        ..Source::new(source(name), Arc::new(StubProvider(FakePlatform)), policy)
    }
}

/// Sources: `open`; `closed`, with a path token; `picky`, for the platform accounts `a` and `b`; `keyless`, with an
/// unreadable secret.
pub(super) fn start_listener(adjust: impl FnOnce(&mut WebhookSettings)) -> RunningListener {
    let mut closed = endpoint("closed");
    closed.path_token = Some(Secret::Text(TOKEN.to_owned().into()));
    let mut picky = endpoint("picky");
    picky.platform_accounts = Some(BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    let mut keyless = endpoint("keyless");
    keyless.secrets = vec![Secret::file("/nowhere/at/all")];
    let sources = [endpoint("open"), closed, picky, keyless].map(Arc::new).to_vec();
    let names: Vec<_> =
        sources.iter().map(|each| (each.name.clone(), each.provider.id())).collect();

    let ledger = Arc::new(FakeIntake::default());
    let metrics = Metrics::new(&[account()], &names);
    let mut webhooks = WebhookSettings {
        sources,
        keys: BTreeMap::new(),
        ledger: Arc::<FakeIntake>::clone(&ledger),
        clock: Arc::new(SystemClock) as Arc<dyn Clock>,
        metrics: metrics.clone(),
        limits: WebhookLimits::new(1024 * 1024),
    };
    adjust(&mut webhooks);
    let (listener, address) = bind();
    let stop = CancellationToken::new();
    let running = tokio::spawn(run_webhooks(listener, webhooks, stop.clone(), TIMEOUT));
    RunningListener { address, ledger, metrics, stop, running }
}

impl RunningListener {
    /// Sends an authentic webhook on a connection of its own.
    pub(super) async fn post(&self, source: &str, body: &[u8]) -> TestResponse {
        self.send(&request("POST", &format!("/webhooks/{source}"), &[("x-key", SECRET)], body))
            .await
    }

    /// Sends these bytes on a connection of their own, and reads one answer.
    pub(super) async fn send(&self, bytes: &[u8]) -> TestResponse {
        send(self.address, bytes).await
    }

    /// The value of a line of the metrics.
    pub(super) fn metric(&self, line: &str) -> Option<String> {
        metric(&self.metrics.render(), line)
    }

    /// The number of webhooks of a source with that outcome.
    pub(super) fn outcomes(&self, source: &str, outcome: &str) -> Option<String> {
        self.metric(&format!(
            "bridge_webhooks_total{{outcome=\"{outcome}\",provider=\"fake\",source=\"{source}\"}}"
        ))
    }
}

pub(crate) fn metric(text: &str, line: &str) -> Option<String> {
    let value = text.lines().find_map(|each| each.strip_prefix(line)?.strip_prefix(' '));
    value.map(ToOwned::to_owned)
}

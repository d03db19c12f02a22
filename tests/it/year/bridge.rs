//! The bridge in one process, wired as `serve` does: only the sockets are missing.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use webinar_bridge::clock::{Clock, ClockWitness, WitnessedClock};
use webinar_bridge::config::{self, Config};
use webinar_bridge::deliver::{AccountWorker, DeliveryAccount, DeliverySettings, schedule};
use webinar_bridge::event::{
    FetchCondition, FetchRequest, Millis, ReceiptId, SourceName, WebinarId,
};
use webinar_bridge::fetch::{self, FetchWorker, WebinarLister};
use webinar_bridge::hubspot::AccountClient;
use webinar_bridge::intake::{IntakeResult, Source, VerificationKeys};
use webinar_bridge::ledger::sqlite::{Rekey, Settings, SqliteLedger, Threading};
use webinar_bridge::ledger::{FetchRedrive, Ledger};
use webinar_bridge::net::{Http, WitnessedHttp};
use webinar_bridge::providers::{Inbound, ListQuery, TimeRange, UnsignedRequest, VerifyError};
use webinar_bridge::telemetry::Metrics;

use super::world::MachineClock;
use crate::harness::store::{NoObserver, open_when_free};

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200.
    Stored,
    /// 503: the platform sends it again.
    TryAgain,
    /// 401: the platform gives up.
    Refused,
}

/// The running bridge.
pub(super) struct RunningBridge {
    pub(super) ledger: Arc<dyn Ledger>,
    config: Config,
    clock: Arc<dyn Clock>,
    listers: BTreeMap<SourceName, WebinarLister>,
    work: JoinSet<()>,
    stop: CancellationToken,
}

thread_local! {
    /// A simulation runs on one thread.
    static JITTER: Cell<u32> = const { Cell::new(1) };
}

/// A linear congruential generator (Numerical Recipes): any distribution will do.
fn jitter() -> u32 {
    JITTER.with(|last| {
        last.set(last.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        last.get()
    })
}

/// Begins the jitter of a simulation anew.
pub(super) fn reset_jitter() {
    JITTER.with(|last| last.set(1));
}

impl RunningBridge {
    pub(super) fn start(toml: &str, machine: &Arc<MachineClock>, http: &Arc<dyn Http>) -> Self {
        let config = config::validate("bridge.toml", toml, &BTreeMap::new())
            .unwrap_or_else(|problems| panic!("{problems}\n{toml}"));
        let clock: Arc<dyn Clock> = Arc::<MachineClock>::clone(machine);
        let clock: Arc<dyn Clock> = Arc::new(WitnessedClock::new(clock));
        let accounts: Vec<_> = config.accounts.keys().cloned().collect();
        let sources = config.sources.values();
        let sources: Vec<_> =
            sources.map(|source| (source.name.clone(), source.provider.id())).collect();
        let metrics = Metrics::new(&accounts, &sources);
        let ledger: Arc<dyn Ledger> = Arc::new(open(&config, &clock));
        let (mut work, stop) = (JoinSet::new(), CancellationToken::new());
        let witnessed = |witness| -> Arc<dyn Http> {
            Arc::new(WitnessedHttp::new(Arc::clone(http), Arc::clone(&clock), witness))
        };
        for (name, account) in &config.accounts {
            let api = account.api.clone();
            let hubspot = AccountClient::new(
                name.clone(),
                api,
                witnessed(ClockWitness::Hubspot),
                Arc::clone(&clock),
                metrics.clone(),
            );
            let settings = DeliverySettings { random: jitter, ..account.delivery };
            let delivery = Arc::<dyn Ledger>::clone(&ledger);
            let (clock, metrics) = (Arc::clone(&clock), metrics.clone());
            let account =
                DeliveryAccount::new(name.clone(), hubspot, settings, delivery, clock, metrics);
            work.spawn(AccountWorker::new(account).run(stop.clone()));
        }
        let mut listers = BTreeMap::new();
        for source in config.sources.values() {
            let settings = fetch::Settings {
                source: Arc::clone(source),
                ledger: Arc::<dyn Ledger>::clone(&ledger),
                http: witnessed(ClockWitness::Platform),
                clock: Arc::clone(&clock),
                metrics: metrics.clone(),
                random: jitter,
            };
            let Some(worker) = FetchWorker::new(settings) else { continue };
            listers.insert(source.name.clone(), worker.lister());
            work.spawn(worker.run(stop.clone()));
        }
        let timers = Arc::<dyn Ledger>::clone(&ledger);
        work.spawn(schedule::run_timers(timers, Arc::clone(&clock), stop.clone()));
        let old = Arc::<dyn Ledger>::clone(&ledger);
        work.spawn(schedule::run_housekeeping(old, config.store.retention, stop.clone()));
        Self { ledger, config, clock, listers, work, stop }
    }

    /// A graceful stop.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        let limit = self.config.listen.shutdown_timeout;
        let ended = async { while self.work.join_next().await.is_some() {} };
        let _in_time = tokio::time::timeout(limit, ended).await;
        self.work.shutdown().await;
        self.ledger.close().await;
    }

    fn source(&self, name: &str) -> &Arc<Source> {
        let named = self.config.sources.values();
        let mut named = named.filter(|source| {
            source.name.as_str() == name
                || source.formerly.iter().any(|former| former.as_str() == name)
        });
        named.next().expect("it is configured")
    }

    /// A webhook that the platform signed then, from the first byte to its commit.
    pub(super) async fn receive(
        &self,
        source: &str,
        secret: &str,
        body: &[u8],
        signed_at: Millis,
        id: [u8; 16],
    ) -> Answer {
        let source = self.source(source);
        let url =
            format!("https://bridge.example/webhooks/{}", source.name).parse().expect("a URL");
        let request =
            UnsignedRequest { url: &url, body, secret: secret.as_bytes(), now: signed_at };
        let signed = source.provider.scheme().sign(request).expect("it can be signed");
        let headers: Vec<(String, String)> = signed.headers;
        let secrets = source.secrets.iter().map(|secret| secret.read().expect("it is text"));
        let secrets: Vec<_> = secrets.collect();
        assert!(secrets.iter().all(|known| known.expose_secret() == secret));
        let keys = VerificationKeys { secrets, published: None };
        let now = self.clock.now();
        let inbound =
            Inbound::new(&headers, signed.url.query().unwrap_or_default(), &signed.body, now);
        match source.receive_webhook(&keys, inbound, ReceiptId::from_bytes(id)) {
            IntakeResult::Receipt { receipt: accepted, .. } => {
                let stored = self.ledger.accept(accepted.receipt).await;
                if stored.is_ok() { Answer::Stored } else { Answer::TryAgain }
            }
            IntakeResult::OutOfTime { .. } => {
                let is_proven = self.clock.trust().is_some_and(|trust| trust.is_proven(now));
                if is_proven { Answer::Refused } else { Answer::TryAgain }
            }
            IntakeResult::Refused(VerifyError::Stale | VerifyError::Future) => Answer::Refused,
            IntakeResult::Refused(why) => panic!("a right webhook is refused: {why:?}"),
            IntakeResult::Handshake(_) => panic!("it is no handshake"),
        }
    }

    /// Does what `backfill` does; false if the list did not come.
    pub(super) async fn backfill(&self, source: &str, span: TimeRange) -> bool {
        let name = self.source(source).name.clone();
        let lister = &self.listers[&name];
        let (mut found, mut cursor): (BTreeSet<WebinarId>, Option<String>) =
            (BTreeSet::new(), None);
        loop {
            let query = ListQuery { span, cursor: cursor.as_deref() };
            let Ok(page) = lister.page(query).await else { return false };
            for webinar in page.webinars {
                self.ask(&name, webinar.clone()).await;
                found.insert(webinar);
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut after = None;
        loop {
            let coming =
                self.ledger.coming_webinars(&name, after).await.expect("the store is read");
            for webinar in coming.items.into_iter().filter(|webinar| !found.contains(webinar)) {
                self.ask(&name, webinar).await;
            }
            after = coming.next;
            if after.is_none() {
                return true;
            }
        }
    }

    async fn ask(&self, source: &SourceName, webinar: WebinarId) {
        let request = FetchRequest { account: None, webinar, condition: FetchCondition::Always };
        self.ledger.request_fetches(source, vec![request]).await.expect("the store is written");
    }

    /// What an operator does who is alerted to dead fetches: he has them asked again, and believes the answer. Returns
    /// their number.
    pub(super) async fn redrive_fetches(&self) -> u64 {
        let (mut redriven, mut after) = (0, None);
        loop {
            let piece = FetchRedrive { source: None, after };
            let progress = self.ledger.redrive_fetches(piece).await.expect("the store is written");
            redriven += progress.redriven;
            after = progress.next;
            if after.is_none() {
                return redriven;
            }
        }
    }

    /// Whether something is left to do that needs no more than calls.
    pub(super) async fn is_busy(&self) -> bool {
        let counts = self.ledger.event_counts().await.expect("the store is read");
        if counts.values().any(|counts| counts.pending + counts.in_flight > 0) {
            return true;
        }
        for account in self.config.accounts.keys() {
            if self.ledger.has_base_reads(account).await.expect("the store is read") {
                return true;
            }
        }
        let fetches = self.ledger.fetch_statuses().await.expect("the store is read");
        fetches.values().any(|status| status.pending > 0)
    }
}

/// Opens the store on the caller's thread.
fn open(config: &Config, clock: &Arc<dyn Clock>) -> SqliteLedger {
    let settings = || Settings {
        path: config.store.path.clone(),
        accounts: config.accounts.keys().cloned().collect(),
        policies: config.policies(),
        heirs: config.heirs(),
        migrate: config.store.migrate,
        rekey: Rekey::Refuse,
        clock: Arc::clone(clock),
        observer: Arc::new(NoObserver),
        threading: Threading::Inline,
    };
    open_when_free(settings)
}

/// Bytes of the largest webinar's state in a closed store.
pub(super) fn largest_state(store: &Path) -> u64 {
    let store = rusqlite::Connection::open(store).expect("it opens");
    let sql = "SELECT coalesce(max(length(state)), 0) FROM webinars";
    let bytes: i64 = store.query_row(sql, (), |row| row.get(0)).expect("it is read");
    u64::try_from(bytes).expect("a length")
}

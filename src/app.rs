//! The composition root: the only place that builds and connects the parts of the service.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::clock::{Clock, ClockWitness, WitnessedClock};
use crate::config::{AccountSettings, Config};
use crate::deliver::{AccountWorker, DeliveryAccount, schedule};
use crate::event::{AccountName, ProviderId, SourceName};
use crate::fetch::{self, FetchWorker};
use crate::hubspot::AccountClient;
use crate::intake::Source;
use crate::ledger::sqlite::{OpenError, Rekey, Settings, SqliteLedger, Threading};
use crate::ledger::{CommitObserver, Ledger};
use crate::net::{Http, JwksCache, WitnessedHttp};
use crate::ops::{ApiAccess, OpsState, Readiness, run_ops};
use crate::receive::{PublishedKeys, WebhookLimits, WebhookSettings, run_webhooks};
use crate::replay::Replayer;
use crate::telemetry::Metrics;

/// Time for the store to close: it copies a log of at most some hundred megabytes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The service, built and connected but not yet running. Its listeners are bound: no connection is refused.
pub struct App {
    /// Address of the webhook listener.
    pub webhooks_address: SocketAddr,
    /// Address of the listener for probes, metrics and the API.
    pub ops_address: SocketAddr,
    /// The ledger, for observers such as tests.
    pub ledger: Arc<dyn Ledger>,
    config: Config,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    http: Arc<dyn Http>,
    webhooks: TcpListener,
    ops: TcpListener,
}

impl App {
    /// Opens the store, binds the listeners, and connects everything.
    ///
    /// # Errors
    /// The first obstacle, in words for the operator.
    pub fn build(
        config: Config,
        http: &Arc<dyn Http>,
        clock: Arc<dyn Clock>,
        rekey: Rekey,
    ) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(WitnessedClock::new(clock));
        let accounts: Vec<AccountName> = config.accounts.keys().cloned().collect();
        let metrics = Metrics::new(&accounts, &source_providers(&config));
        let opened = open_ledger(&config, &clock, &metrics, rekey);
        let ledger: Arc<dyn Ledger> = Arc::new(opened.context("the store cannot be opened")?);
        let bind = |address: SocketAddr, what: &str| {
            TcpListener::bind(address)
                .with_context(|| format!("cannot listen on {address} ({what})"))
        };
        let webhooks = bind(config.listen.webhooks, "listen.webhooks")?;
        let ops = bind(config.listen.ops, "listen.ops")?;
        Ok(Self {
            webhooks_address: webhooks.local_addr()?,
            ops_address: ops.local_addr()?,
            ledger,
            config,
            clock,
            metrics,
            http: Arc::clone(http),
            webhooks,
            ops,
        })
    }

    /// Runs until `stop`, then ends gracefully: answers the webhooks that have begun, and sends pending events in the
    /// time allowed.
    ///
    /// # Errors
    /// A listener that failed, in words for the operator.
    pub async fn run_until(self, stop: CancellationToken) -> anyhow::Result<()> {
        let listen = &self.config.listen;
        let readiness = Readiness::default();
        let (stop_webhooks, stop_work, stop_ops) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let keys = published_keys(&self.config, &self.http);
        let (account_workers, fetch_workers) = (self.account_workers(), self.fetch_workers());
        let mut webhooks = tokio::spawn(run_webhooks(
            self.webhooks,
            WebhookSettings {
                sources: self.config.sources.values().cloned().collect(),
                keys: keys.iter().map(|(url, set)| (url.clone(), Arc::clone(set) as _)).collect(),
                ledger: Arc::<dyn Ledger>::clone(&self.ledger),
                clock: Arc::clone(&self.clock),
                metrics: self.metrics.clone(),
                limits: WebhookLimits::new(listen.max_body),
            },
            stop_webhooks.clone(),
            listen.shutdown_timeout,
        ));
        let sources = self.config.sources.values();
        let sources =
            sources.map(|source| (source.name.clone(), Arc::clone(&source.provider))).collect();
        let mut ops = tokio::spawn(run_ops(
            self.ops,
            OpsState {
                ledger: Arc::<dyn Ledger>::clone(&self.ledger),
                replayer: Replayer::new(
                    Arc::<dyn Ledger>::clone(&self.ledger),
                    self.config.sources.clone(),
                ),
                clock: Arc::clone(&self.clock),
                metrics: self.metrics.clone(),
                accounts: self.config.accounts.keys().cloned().collect(),
                sources,
                readiness: readiness.clone(),
                started_at: Instant::now(),
                access: api_access(&self.config),
            },
            stop_ops.clone(),
            listen.shutdown_timeout,
        ));
        let mut work = JoinSet::new();
        for worker in account_workers {
            work.spawn(worker.run(stop_work.clone()));
        }
        for set in keys.into_values() {
            work.spawn(set.run(stop_work.clone()));
        }
        for worker in fetch_workers {
            work.spawn(worker.run(stop_work.clone()));
        }
        let (ledger, clock) = (Arc::<dyn Ledger>::clone(&self.ledger), Arc::clone(&self.clock));
        work.spawn(schedule::run_timers(ledger, clock, stop_work.clone()));
        let keep = self.config.store.retention;
        work.spawn(schedule::run_housekeeping(
            Arc::<dyn Ledger>::clone(&self.ledger),
            keep,
            stop_work.clone(),
        ));
        readiness.set_started();

        // A listener ends by itself only if it fails.
        let failed = tokio::select! {
            () = stop.cancelled() => None,
            ended = &mut webhooks => Some(join_result(ended).context("the webhook listener failed")),
            ended = &mut ops => Some(join_result(ended).context("the ops listener failed")),
        };
        tracing::info!("stopping: webhooks begun are answered, what can be sent is sent");
        readiness.set_draining();
        if failed.is_none() {
            // `/readyz` fails first; webhooks keep coming until load balancers have noticed.
            tokio::time::sleep(listen.shutdown_delay).await;
            stop_webhooks.cancel();
        }
        let drain = async {
            if failed.is_none() {
                join_result(webhooks.await).context("the webhook listener failed")?;
            }
            stop_work.cancel();
            while work.join_next().await.is_some() {}
            anyhow::Ok(())
        };
        let drained = timeout(listen.shutdown_timeout, drain).await;
        let counts = self.ledger.event_counts().await.unwrap_or_default();
        let left: u64 = counts.values().map(|c| c.pending + c.in_flight).sum();
        tracing::info!(
            in_time = drained.is_ok(),
            events.pending = left,
            "stopped; what is pending is in the store"
        );
        stop_ops.cancel();
        if timeout(CLOSE_TIMEOUT, self.ledger.close()).await.is_err() {
            tracing::warn!("the store takes long to close; the next start reads its log");
        }
        failed.unwrap_or(Ok(()))?;
        drained.unwrap_or(Ok(()))
    }

    fn account_workers(&self) -> Vec<AccountWorker> {
        let http = witnessed(&self.http, &self.clock, ClockWitness::Hubspot);
        let worker = |(name, account): (&AccountName, &AccountSettings)| {
            let hubspot = AccountClient::new(
                name.clone(),
                account.api.clone(),
                Arc::clone(&http),
                Arc::clone(&self.clock),
                self.metrics.clone(),
            );
            AccountWorker::new(DeliveryAccount::new(
                name.clone(),
                hubspot,
                account.delivery,
                Arc::<dyn Ledger>::clone(&self.ledger),
                Arc::clone(&self.clock),
                self.metrics.clone(),
            ))
        };
        self.config.accounts.iter().map(worker).collect()
    }

    fn fetch_workers(&self) -> Vec<Arc<FetchWorker>> {
        let http = witnessed(&self.http, &self.clock, ClockWitness::Platform);
        let worker = |source: &Arc<Source>| {
            fetch_worker(source, &self.ledger, &http, &self.clock, &self.metrics)
        };
        self.config.sources.values().filter_map(worker).collect()
    }
}

/// Calls whose answers tell the clock the time.
fn witnessed(http: &Arc<dyn Http>, clock: &Arc<dyn Clock>, witness: ClockWitness) -> Arc<dyn Http> {
    Arc::new(WitnessedHttp::new(Arc::clone(http), Arc::clone(clock), witness))
}

fn join_result(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> anyhow::Result<()> {
    Ok(ended??)
}

/// The published key sets of the sources, one for each URL.
fn published_keys(config: &Config, http: &Arc<dyn Http>) -> BTreeMap<Url, Arc<JwksCache>> {
    let urls =
        config.sources.values().filter_map(|source| source.provider.scheme().published_keys());
    urls.map(|url| (url.clone(), JwksCache::new(url.clone(), Arc::clone(http)))).collect()
}

impl PublishedKeys for JwksCache {
    fn current(&self) -> Option<Arc<[u8]>> {
        Self::current(self)
    }

    fn request_refresh(&self) -> bool {
        Self::request_refresh(self)
    }
}

fn source_providers(config: &Config) -> Vec<(SourceName, ProviderId)> {
    let sources = config.sources.values();
    sources.map(|source| (source.name.clone(), source.provider.id())).collect()
}

/// Tokens cannot be checked yet: if they are configured, the API is closed.
fn api_access(config: &Config) -> ApiAccess {
    if config.ops.has_auth { ApiAccess::Closed } else { ApiAccess::Loopback }
}

/// The worker that fetches from the source's platform, if that has an API.
pub(crate) fn fetch_worker(
    source: &Arc<Source>,
    ledger: &Arc<dyn Ledger>,
    http: &Arc<dyn Http>,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
) -> Option<Arc<FetchWorker>> {
    FetchWorker::new(fetch::Settings {
        source: Arc::clone(source),
        ledger: Arc::<dyn Ledger>::clone(ledger),
        http: Arc::clone(http),
        clock: Arc::clone(clock),
        metrics: metrics.clone(),
        random: rand::random,
    })
}

/// Opens the configured store.
pub(crate) fn open_ledger(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
    rekey: Rekey,
) -> Result<SqliteLedger, OpenError> {
    SqliteLedger::open(store_settings(config, clock, metrics, rekey))
}

/// The settings with which the configured store is opened.
pub(crate) fn store_settings(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
    rekey: Rekey,
) -> Settings {
    Settings {
        path: config.store.path.clone(),
        accounts: config.accounts.keys().cloned().collect(),
        policies: config.policies(),
        heirs: config.heirs(),
        migrate: config.store.migrate,
        rekey,
        clock: Arc::clone(clock),
        observer: Arc::new(metrics.clone()),
        threading: Threading::Dedicated,
    }
}

impl CommitObserver for Metrics {
    fn committed(&self, jobs: usize, took: Duration) {
        Self::committed(self, jobs, took);
    }

    fn passed_by(&self, webinars: usize) {
        Self::webinars_passed_by(self, webinars);
    }
}

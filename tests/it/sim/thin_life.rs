//! The life of webinars with thin webhooks in a process run: the real fetch worker, its connection to the platform, and
//! the operator's backfills and redrives.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use webinar_bridge::clock::Clock;
use webinar_bridge::event::{Millis, WebinarId};
use webinar_bridge::fetch::{FetchWorker, Settings, WebinarLister};
use webinar_bridge::intake::Source;
use webinar_bridge::ledger::{
    FetchQuery, FetchQueue as _, FetchRedrive, FetchState, FetchSummary, Ledger, PAGE_MAX,
};
use webinar_bridge::net::{Http, HttpRequest, HttpResponse, TransportError};
use webinar_bridge::providers::{ListQuery, TimeRange};
use webinar_bridge::telemetry::Metrics;

use super::fault_injector::FaultInjector;
use super::ledger::FaultyLedger;
use super::platform_api::ApiReply;
use super::thin::{THIN_SOURCE, fetch_request};
use super::thin_check;
use super::thin_provider::ThinPlatform;
use super::webhooks::policies;
use crate::harness::build::source;
use crate::harness::stub_platform::StubProvider;

/// Time between two looks at the queue.
const LOOK: Duration = Duration::from_secs(20);
/// The longest time until all fetches are made: one that has failed for a week is repeated every six hours.
const MADE_WITHIN: Duration = Duration::from_hours(14);
/// Redrives of dead fetches until all are made.
const MAX_REDRIVES: u32 = 3;
/// What is shown of a webinar that is not found, while no other is.
const NO_WITNESS: &str = "no other is found with these credentials";
/// Time before an operator tries again.
const AGAIN: Duration = Duration::from_secs(30);

/// The fetch worker; none in a simulation without webinars to fetch.
pub(super) fn worker(
    injector: &Arc<FaultInjector>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    random: fn() -> u32,
) -> Option<Arc<FetchWorker>> {
    injector.world().thin.as_ref()?;
    let name = source(THIN_SOURCE);
    let policy = policies()[&name].clone();
    let provider = Arc::new(StubProvider(ThinPlatform::new()));
    FetchWorker::new(Settings {
        source: Arc::new(Source::new(name, provider, policy)),
        ledger,
        http: Arc::new(PlatformWire { injector: Arc::clone(injector) }),
        clock,
        metrics,
        random,
    })
}

/// The connection to the platform.
struct PlatformWire {
    injector: Arc<FaultInjector>,
}

#[async_trait]
impl Http for PlatformWire {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        self.injector.point("a question").await;
        let deadline = Instant::now() + request.timeout;
        let delays = |slow| {
            let mut world = self.injector.world();
            let thin = world.thin.as_mut().expect("the worker asks for its webinars");
            let slow = if thin.rng.percent(5) { slow } else { 300 };
            Duration::from_millis(thin.rng.between(1, slow))
        };
        tokio::time::sleep(delays(5_000)).await;
        let reply = {
            let now = self.injector.now();
            let mut world = self.injector.world();
            let thin = world.thin.as_mut().expect("the worker asks for its webinars");
            let reply = thin.api.handle(now, request.url.path());
            world.note(now, format!("the platform: {}: {}", request.url.path(), shown(&reply)));
            reply
        };
        let back = Instant::now() + delays(12_000);
        let answer = match reply {
            ApiReply::Answer { status, headers, body } if back <= deadline => {
                tokio::time::sleep_until(back).await;
                Ok(HttpResponse { status, headers, body })
            }
            ApiReply::Answer { .. } | ApiReply::Hang => {
                tokio::time::sleep_until(deadline).await;
                Err(TransportError::Timeout)
            }
            ApiReply::Reset => Err(TransportError::Reset("reset".into())),
        };
        self.injector.point("an answer of the platform").await;
        answer
    }
}

fn shown(reply: &ApiReply) -> String {
    match reply {
        ApiReply::Answer { status, body, .. } => {
            format!("{status} {}", String::from_utf8_lossy(body))
        }
        ApiReply::Hang | ApiReply::Reset => format!("{reply:?}"),
    }
}

/// Requests the operator's backfills meanwhile, each until it succeeds.
pub(super) async fn backfill_meanwhile<L: Ledger>(
    ledger: Arc<FaultyLedger<L>>,
    injector: Arc<FaultInjector>,
    lister: WebinarLister,
) {
    let next = || injector.world().thin.as_ref()?.backfills.front().copied();
    while let Some(due) = next() {
        tokio::time::sleep(due.since(injector.now())).await;
        backfill(&ledger, &injector, &lister).await;
        injector.world().thin.as_mut().expect("it was there").backfills.pop_front();
    }
}

/// Requests all webinars that the platform lists, and all to come that it does not, as `backfill` does.
async fn backfill<L: Ledger>(
    ledger: &FaultyLedger<L>,
    injector: &FaultInjector,
    lister: &WebinarLister,
) {
    loop {
        let done = try_backfill(ledger, injector.now(), lister).await;
        injector.world().note(injector.now(), format!("an operator backfills: {done:?}"));
        if done.is_ok() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn try_backfill<L: Ledger>(
    ledger: &FaultyLedger<L>,
    now: Millis,
    lister: &WebinarLister,
) -> Result<usize, String> {
    let name = source(THIN_SOURCE);
    let days = |count: u64| Duration::from_hours(24 * count);
    let span = TimeRange { from: now.minus(days(30)), to: now.plus(days(366)) };
    let page = lister.page(ListQuery { span, cursor: None }).await;
    let mut webinars: BTreeSet<WebinarId> =
        page.map_err(|error| error.to_string())?.webinars.into_iter().collect();
    let coming = ledger.coming_webinars(&name, None).await.map_err(|error| error.to_string())?;
    webinars.extend(coming.items);
    let requests = webinars.into_iter().map(fetch_request).collect();
    ledger.request_fetches(&name, requests).await.map_err(|error| error.to_string())
}

/// Waits until all is quiet at the platform.
pub(super) async fn quiet(injector: &FaultInjector) {
    let thin = |injector: &FaultInjector| injector.world().thin.as_ref().map(|thin| thin.quiet_at);
    if let Some(quiet_at) = thin(injector) {
        tokio::time::sleep(quiet_at.since(injector.now())).await;
    }
}

/// Waits until all fetches are made; an operator redrives those that are dead, and backfills once if the rest waits for
/// that. False if they are not made in time.
pub(super) async fn made<L: Ledger>(
    ledger: &FaultyLedger<L>,
    injector: &FaultInjector,
    lister: Option<&WebinarLister>,
) -> bool {
    let Some(lister) = lister else { return true };
    let mut began = injector.now();
    let (mut redrives, mut is_backfilled) = (0, false);
    loop {
        let now = injector.now();
        let query = FetchQuery { limit: PAGE_MAX, ..FetchQuery::default() };
        let rows = ledger.inner.list_fetches(query).await.expect("it is read").items;
        let is = |state| rows.iter().any(|row| row.state == state);
        let is_quiet = {
            let world = injector.world();
            let is_heard = world.webhooks.iter().all(|webhook| webhook.answered);
            is_heard && world.thin.as_ref().is_some_and(|thin| thin.is_quiet(now))
        };
        if !is_quiet || is(FetchState::Pending) || is(FetchState::Answered) {
            if is_quiet && !is_backfilled && lack_witness(ledger, injector, &rows).await {
                backfill(ledger, injector, lister).await;
                (began, is_backfilled) = (injector.now(), true);
            } else if now.since(began) > MADE_WITHIN {
                injector.world().wrong(now, format!("some fetches are not made: {rows:?}"));
                return false;
            }
        } else if !is(FetchState::Dead) {
            return true;
        } else if redrives < MAX_REDRIVES {
            let done = ledger.redrive_fetches(FetchRedrive::default()).await;
            injector.world().note(now, format!("an operator redrives fetches: {done:?}"));
            redrives += u32::from(done.is_ok());
        } else {
            injector.world().wrong(now, format!("some fetches stay dead: {rows:?}"));
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether all that is left waits for a person, and shows why (M14): the platform has none of these webinars, and the
/// bridge knows no coming one that it has, so that it cannot tell whether it would be shown any.
async fn lack_witness<L: Ledger>(
    ledger: &FaultyLedger<L>,
    injector: &FaultInjector,
    rows: &[FetchSummary],
) -> bool {
    let coming = ledger.inner.coming_webinars(&source(THIN_SOURCE), None).await;
    let coming = coming.expect("it is read").items;
    let world = injector.world();
    let thin = world.thin.as_ref().expect("it has a worker");
    let exists = |id: &WebinarId| {
        thin.api.webinars.get(id.as_str()).is_some_and(|webinar| webinar.last().is_some())
    };
    let is_open =
        |row: &&FetchSummary| matches!(row.state, FetchState::Pending | FetchState::Answered);
    let waits = |row: &FetchSummary| {
        let shown = row.last_error.as_ref().is_some_and(|why| why.ends_with(NO_WITNESS));
        shown && !exists(&row.webinar)
    };
    rows.iter().filter(is_open).all(waits) && !coming.iter().any(exists)
}

/// Compares HubSpot with the truth. Before the last backfill, which is requested then, it may lack what no webhook
/// reported. Answers whether that backfill was done.
pub(super) async fn verify<L: Ledger>(
    ledger: &FaultyLedger<L>,
    injector: &FaultInjector,
    lister: Option<&WebinarLister>,
) -> bool {
    let Some(lister) = lister else { return true };
    let now = injector.now();
    let is_backfilled = {
        let mut world = injector.world();
        for what in thin_check::violations(&world, now) {
            world.wrong(now, what);
        }
        let thin = world.thin.as_mut().expect("it has a worker");
        std::mem::replace(&mut thin.is_backfilled, true)
    };
    if !is_backfilled {
        backfill(ledger, injector, lister).await;
    }
    is_backfilled
}

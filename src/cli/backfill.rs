//! `backfill`: webinars from before the bridge was connected, from the platform's list of them.
//!
//! What is found is asked about like what a webhook tells of, through the same queue: by the service if it runs, else here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;
use tokio::time::Instant;

use super::health::connect_address;
use super::ops_client::OpsClient;
use super::{CommandError, ConfigArg, Io, store};
use crate::app;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, load_and_check};
use crate::event::{FetchCondition, FetchRequest, Millis, SourceName, WebinarId};
use crate::fetch::{FetchWorker, ListError, WebinarLister};
use crate::ledger::{FetchStatus, Ledger};
use crate::net::{Http, HttpClient, HttpMethod};
use crate::providers::{TimeRange, WebinarPage};
use crate::telemetry::Metrics;

/// How far back it looks, if nothing is said: what is over for longer is of little use in HubSpot.
const DEFAULT_BACK: Duration = Duration::from_hours(24 * 30);
/// How far ahead.
const DEFAULT_AHEAD: Duration = Duration::from_hours(24 * 366);
/// Most pages of a list: as many as a hundred thousand webinars, of the platforms that show the fewest at once.
const MAX_PAGES: usize = 2_000;
/// Nothing was asked about for so long: it fails as it did before.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// Between two looks at how far the service has got.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Backfill {
    #[command(flatten)]
    file: ConfigArg,
    /// The configured source whose platform is asked
    #[arg(long)]
    source: String,
    /// From the beginning of this day, UTC, or this RFC 3339 time [default: 30 days ago]
    #[arg(long, value_name = "DAY", value_parser = parse_time)]
    from: Option<Millis>,
    /// To the beginning of this day, UTC, or this RFC 3339 time [default: in a year]
    #[arg(long, value_name = "DAY", value_parser = parse_time)]
    to: Option<Millis>,
}

impl Backfill {
    pub(super) fn run(self, world: &mut Io<'_>) -> Result<(), CommandError> {
        let config = load_and_check(self.file.config.as_deref(), world.variables)?;
        let span = self.span(SystemClock.now())?;
        let Some((name, source)) = config.sources.get_key_value(self.source.as_str()) else {
            let message = format!("--source {:?} is not in {}", self.source, config.file);
            return Err(CommandError::Usage(message));
        };
        if source.provider.api().is_none() {
            let message = format!("source.{name}.api is missing, or its platform has none");
            return Err(CommandError::Usage(message));
        }
        super::runtime()?.block_on(async {
            let http: Arc<dyn Http> =
                Arc::new(HttpClient::new().context("cannot make an HTTP client")?);
            let metrics = Metrics::new(&[], &[(name.clone(), source.policy.provider.clone())]);
            let queue = BackfillQueue::open(&config, name, &http, &metrics)?;
            let lister = match &queue {
                BackfillQueue::Local(_, asker) => Some(asker.lister()),
                BackfillQueue::Remote(_) => {
                    let provider = Arc::clone(&source.provider);
                    WebinarLister::new(name.clone(), provider, http, metrics, rand::random)
                }
            };
            let lister = lister.context("its platform has no API")?;
            let mut before = queue.standing(name).await?;
            let filled = match list_webinars(&lister, span, &queue, name).await {
                Ok(found) => {
                    // What was given up and is found is asked about again.
                    let now = queue.standing(name).await?;
                    before.given_up = before.given_up.min(now.given_up);
                    queue.wait_until_fetched(world, name, found, &before).await
                }
                // What was found until then waits in the queue.
                Err(error) => Err(error.into()),
            };
            queue.close().await;
            filled
        })
    }

    fn span(&self, now: Millis) -> Result<TimeRange, CommandError> {
        let from = self.from.unwrap_or(now.minus(DEFAULT_BACK));
        let to = self.to.unwrap_or(now.plus(DEFAULT_AHEAD));
        if from >= to {
            return Err(CommandError::Usage("--from is not before --to".into()));
        }
        Ok(TimeRange { from, to })
    }
}

/// `2026-11-28`, or `2026-11-28T09:00:00Z`.
fn parse_time(text: &str) -> Result<Millis, String> {
    let midnight = || {
        let date: Date = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
    };
    let time = text.parse().ok().or_else(midnight);
    let time = time.map(|time: jiff::Timestamp| Millis::new(time.as_millisecond()));
    time.ok_or_else(|| "give a day as YYYY-MM-DD, or an RFC 3339 time".to_owned())
}

/// Lists page by page and puts what is found into the queue; says how many there were.
async fn list_webinars(
    lister: &WebinarLister,
    span: TimeRange,
    queue: &BackfillQueue,
    source: &SourceName,
) -> anyhow::Result<u64> {
    let bar =
        ProgressBar::new_spinner().with_style(progress_style("{spinner} {pos} webinars found")?);
    let (mut found, mut cursor, mut pages) = (0, None, BTreeSet::new());
    loop {
        let WebinarPage { webinars, next } = lister.page(span, cursor.as_deref()).await?;
        for webinar in webinars {
            queue.request_fetch(source, webinar).await?;
            found += 1;
            bar.set_position(found);
        }
        let Some(next) = next else {
            bar.finish_and_clear();
            return Ok(found);
        };
        if !pages.insert(next.clone()) || pages.len() > MAX_PAGES {
            return Err(ListError::Endless.into());
        }
        cursor = Some(next);
    }
}

/// Where what is to be asked about waits.
enum BackfillQueue {
    /// In the store, which this process has.
    Local(Arc<dyn Ledger>, Arc<FetchWorker>),
    /// In the running service.
    Remote(OpsClient),
}

impl BackfillQueue {
    fn open(
        config: &Config,
        source: &SourceName,
        http: &Arc<dyn Http>,
        metrics: &Metrics,
    ) -> Result<Self, CommandError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let Some(ledger) = store::open_unless_in_use(config)? else {
            let service = OpsClient::new(connect_address(config.listen.ops), Arc::clone(http))?;
            return Ok(Self::Remote(service));
        };
        let ledger: Arc<dyn Ledger> = Arc::new(ledger);
        let askers = app::fetch_workers(config, &ledger, http, &clock, metrics);
        let asker = askers.into_iter().find(|asker| asker.source() == source);
        Ok(Self::Local(ledger, asker.context("its platform has no API")?))
    }

    async fn request_fetch(&self, source: &SourceName, webinar: WebinarId) -> anyhow::Result<()> {
        match self {
            Self::Local(ledger, _) => {
                let wanted =
                    FetchRequest { account: None, webinar, condition: FetchCondition::Always };
                ledger.request_fetches(source, vec![wanted]).await?;
            }
            Self::Remote(service) => {
                let parts = ["sources", source.as_str(), "webinars", webinar.as_str(), "fetch"];
                service.send(HttpMethod::Post, service.url(&parts)?).await?;
            }
        }
        Ok(())
    }

    /// How asking stands.
    async fn standing(&self, source: &SourceName) -> anyhow::Result<FetchStatus> {
        match self {
            Self::Local(ledger, _) => {
                Ok(ledger.fetch_statuses().await?.remove(source).unwrap_or_default())
            }
            Self::Remote(service) => standing(service, source).await,
        }
    }

    /// Waits until all are asked about, or what is left can only be asked about later. What was given up before is told of
    /// in the service's status, and is no failure of this.
    async fn wait_until_fetched(
        &self,
        world: &mut Io<'_>,
        source: &SourceName,
        found: u64,
        before: &FetchStatus,
    ) -> Result<(), CommandError> {
        let bar = ProgressBar::new(found)
            .with_style(progress_style("{bar:40} {pos} of {len} asked about")?);
        let left = match self {
            Self::Local(ledger, asker) => {
                let drained = Arc::clone(asker).drain(|| bar.inc(1)).await;
                drained.context("not all were asked about")?;
                ledger
                    .fetch_statuses()
                    .await
                    .map_err(anyhow::Error::from)?
                    .remove(source)
                    .unwrap_or_default()
            }
            Self::Remote(service) => {
                let (mut least, mut since) = (u64::MAX, Instant::now());
                loop {
                    let left = standing(service, source).await?;
                    bar.set_position(found.saturating_sub(left.pending));
                    if left.pending < least {
                        (least, since) = (left.pending, Instant::now());
                    }
                    // What failed is tried again later, and need not be waited for.
                    let failed = left.last_error.is_some()
                        && (left.last_error != before.last_error
                            || since.elapsed() > STALLED_AFTER);
                    if left.pending == 0 || failed {
                        break left;
                    }
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
            }
        };
        bar.finish_and_clear();
        let FetchStatus { pending, given_up, last_error } = left;
        let given_up = given_up.saturating_sub(before.given_up);
        let asked = found.saturating_sub(pending);
        world.print(&format!("source.{source}: {found} webinars found, {asked} asked about"))?;
        if pending == 0 && given_up == 0 {
            return Ok(());
        }
        let why = last_error.map(|why| format!(" (last: {why})")).unwrap_or_default();
        let later =
            format!("{pending} are asked about again by the service, {given_up} are given up{why}");
        Err(anyhow!(later).into())
    }

    async fn close(&self) {
        match self {
            Self::Local(ledger, _) => ledger.close().await,
            Self::Remote(_) => {}
        }
    }
}

/// How asking stands in the running service.
async fn standing(service: &OpsClient, source: &SourceName) -> anyhow::Result<FetchStatus> {
    let body = service.send(HttpMethod::Get, service.url(&["status"])?).await?;
    let status: Value = serde_json::from_slice(&body.context("the service has no status")?)?;
    let sources = status["sources"].as_array().into_iter().flatten();
    let fetch = sources
        .filter(|shown| shown["source"].as_str() == Some(source.as_str()))
        .map(|shown| &shown["fetch"])
        .next()
        .context("the running service does not know the source: restart it")?;
    let number = |name: &str| fetch[name].as_u64().context("the service's status is another");
    Ok(FetchStatus {
        pending: number("pending")?,
        given_up: number("given_up")?,
        last_error: fetch["last_error"].as_str().map(str::to_owned),
    })
}

fn progress_style(template: &str) -> anyhow::Result<ProgressStyle> {
    ProgressStyle::with_template(template).context("a progress bar of our own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_and_a_time_is_itself() {
        let day = parse_time("2027-01-15").expect("a day");
        assert_eq!(day.to_string(), "2027-01-15T00:00:00Z");
        assert_eq!(parse_time("2027-01-15T00:00:00Z"), Ok(day));
        assert_eq!(parse_time("2027-01-15T02:00:00+02:00"), Ok(day));
        for text in ["", "15.1.2027", "2027-13-01", "yesterday"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}

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

use super::health::reachable;
use super::service::Service;
use super::{ConfigFile, Failure, World, store};
use crate::app;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, load_to_serve};
use crate::event::{Millis, SourceName, Wanted, WantedWhen, WebinarId};
use crate::fetch::{Asker, ListError, Lister};
use crate::ledger::{FetchStatus, Ledger};
use crate::net::{Client, Http, Method};
use crate::providers::{Listed, Span};
use crate::telemetry::Metrics;

/// How far back it looks, if nothing is said: what is over for longer is of little use in HubSpot.
const BACK: Duration = Duration::from_hours(24 * 30);
/// How far ahead.
const AHEAD: Duration = Duration::from_hours(24 * 366);
/// Most pages of a list: as many as a hundred thousand webinars, of the platforms that show the fewest at once.
const PAGES_MAX: usize = 2_000;
/// Nothing was asked about for so long: it fails as it did before.
const STILL: Duration = Duration::from_secs(30);
/// Between two looks at how far the service has got.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Backfill {
    #[command(flatten)]
    file: ConfigFile,
    /// The configured source whose platform is asked
    #[arg(long)]
    source: String,
    /// From the beginning of this day, UTC, or this RFC 3339 time [default: 30 days ago]
    #[arg(long, value_name = "DAY", value_parser = moment)]
    from: Option<Millis>,
    /// To the beginning of this day, UTC, or this RFC 3339 time [default: in a year]
    #[arg(long, value_name = "DAY", value_parser = moment)]
    to: Option<Millis>,
}

impl Backfill {
    pub(super) fn run(self, world: &mut World<'_>) -> Result<(), Failure> {
        let config = load_to_serve(self.file.config.as_deref(), world.variables)?;
        let span = self.span(SystemClock.now())?;
        let Some((name, source)) = config.sources.get_key_value(self.source.as_str()) else {
            let message = format!("--source {:?} is not in {}", self.source, config.file);
            return Err(Failure::Usage(message));
        };
        if source.endpoint.provider.api().is_none() {
            let message = format!("source.{name}.api is missing, or its platform has none");
            return Err(Failure::Usage(message));
        }
        super::runtime()?.block_on(async {
            let http: Arc<dyn Http> =
                Arc::new(Client::new().context("cannot make an HTTP client")?);
            let metrics = Metrics::new(&[], &[(name.clone(), source.policy.provider.clone())]);
            let queue = Queue::open(&config, name, &http, &metrics)?;
            let lister = match &queue {
                Queue::Own(_, asker) => Some(asker.lister()),
                Queue::Service(_) => {
                    let provider = Arc::clone(&source.endpoint.provider);
                    Lister::new(name.clone(), provider, http, metrics, rand::random)
                }
            };
            let lister = lister.context("its platform has no API")?;
            let mut before = queue.standing(name).await?;
            let filled = match fill(&lister, span, &queue, name).await {
                Ok(found) => {
                    // What was given up and is found is asked about again.
                    let now = queue.standing(name).await?;
                    before.given_up = before.given_up.min(now.given_up);
                    queue.work_off(world, name, found, &before).await
                }
                // What was found until then waits in the queue.
                Err(error) => Err(error.into()),
            };
            queue.close().await;
            filled
        })
    }

    fn span(&self, now: Millis) -> Result<Span, Failure> {
        let from = self.from.unwrap_or(now.minus(BACK));
        let to = self.to.unwrap_or(now.plus(AHEAD));
        if from >= to {
            return Err(Failure::Usage("--from is not before --to".into()));
        }
        Ok(Span { from, to })
    }
}

/// `2026-11-28`, or `2026-11-28T09:00:00Z`.
fn moment(text: &str) -> Result<Millis, String> {
    let midnight = || {
        let date: Date = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
    };
    let time = text.parse().ok().or_else(midnight);
    let time = time.map(|time: jiff::Timestamp| Millis::new(time.as_millisecond()));
    time.ok_or_else(|| "give a day as YYYY-MM-DD, or an RFC 3339 time".to_owned())
}

/// Lists page by page and puts what is found into the queue; says how many there were.
async fn fill(
    lister: &Lister,
    span: Span,
    queue: &Queue,
    source: &SourceName,
) -> anyhow::Result<u64> {
    let bar = ProgressBar::new_spinner().with_style(style("{spinner} {pos} webinars found")?);
    let (mut found, mut cursor, mut pages) = (0, None, BTreeSet::new());
    loop {
        let Listed { webinars, next } = lister.page(span, cursor.as_deref()).await?;
        for webinar in webinars {
            queue.want(source, webinar).await?;
            found += 1;
            bar.set_position(found);
        }
        let Some(next) = next else {
            bar.finish_and_clear();
            return Ok(found);
        };
        if !pages.insert(next.clone()) || pages.len() > PAGES_MAX {
            return Err(ListError::Endless.into());
        }
        cursor = Some(next);
    }
}

/// Where what is to be asked about waits.
enum Queue {
    /// In the store, which this process has.
    Own(Arc<dyn Ledger>, Arc<Asker>),
    /// In the running service.
    Service(Service),
}

impl Queue {
    fn open(
        config: &Config,
        source: &SourceName,
        http: &Arc<dyn Http>,
        metrics: &Metrics,
    ) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let Some(ledger) = store::open_unless_in_use(config)? else {
            let service = Service::at(reachable(config.listen.ops), Arc::clone(http))?;
            return Ok(Self::Service(service));
        };
        let ledger: Arc<dyn Ledger> = Arc::new(ledger);
        let askers = app::askers(config, &ledger, http, &clock, metrics);
        let asker = askers.into_iter().find(|asker| asker.source() == source);
        Ok(Self::Own(ledger, asker.context("its platform has no API")?))
    }

    async fn want(&self, source: &SourceName, webinar: WebinarId) -> anyhow::Result<()> {
        match self {
            Self::Own(ledger, _) => {
                let wanted = Wanted { account: None, webinar, when: WantedWhen::Always };
                ledger.want(source, vec![wanted]).await?;
            }
            Self::Service(service) => {
                let parts = ["sources", source.as_str(), "webinars", webinar.as_str(), "fetch"];
                service.ask(Method::Post, service.url(&parts)?).await?;
            }
        }
        Ok(())
    }

    /// How asking stands.
    async fn standing(&self, source: &SourceName) -> anyhow::Result<FetchStatus> {
        match self {
            Self::Own(ledger, _) => Ok(ledger.fetches().remove(source).unwrap_or_default()),
            Self::Service(service) => standing(service, source).await,
        }
    }

    /// Waits until all are asked about, or what is left can only be asked about later. What was given up before is told of
    /// in the service's status, and is no failure of this.
    async fn work_off(
        &self,
        world: &mut World<'_>,
        source: &SourceName,
        found: u64,
        before: &FetchStatus,
    ) -> Result<(), Failure> {
        let bar = ProgressBar::new(found).with_style(style("{bar:40} {pos} of {len} asked about")?);
        let left = match self {
            Self::Own(ledger, asker) => {
                let drained = Arc::clone(asker).drain(|| bar.inc(1)).await;
                drained.context("not all were asked about")?;
                ledger.fetches().remove(source).unwrap_or_default()
            }
            Self::Service(service) => {
                let (mut least, mut since) = (u64::MAX, Instant::now());
                loop {
                    let left = standing(service, source).await?;
                    bar.set_position(found.saturating_sub(left.pending));
                    if left.pending < least {
                        (least, since) = (left.pending, Instant::now());
                    }
                    // What failed is tried again later, and need not be waited for.
                    let failed = left.last_error.is_some()
                        && (left.last_error != before.last_error || since.elapsed() > STILL);
                    if left.pending == 0 || failed {
                        break left;
                    }
                    tokio::time::sleep(LOOK).await;
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
            Self::Own(ledger, _) => ledger.close().await,
            Self::Service(_) => {}
        }
    }
}

/// How asking stands in the running service.
async fn standing(service: &Service, source: &SourceName) -> anyhow::Result<FetchStatus> {
    let body = service.ask(Method::Get, service.url(&["status"])?).await?;
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

fn style(template: &str) -> anyhow::Result<ProgressStyle> {
    ProgressStyle::with_template(template).context("a progress bar of our own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_and_a_time_is_itself() {
        let day = moment("2027-01-15").expect("a day");
        assert_eq!(day.to_string(), "2027-01-15T00:00:00Z");
        assert_eq!(moment("2027-01-15T00:00:00Z"), Ok(day));
        assert_eq!(moment("2027-01-15T02:00:00+02:00"), Ok(day));
        for text in ["", "15.1.2027", "2027-13-01", "yesterday"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}

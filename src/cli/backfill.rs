//! `backfill`: brings in webinars that are older than the bridge, from the platform's list of them.
//!
//! Each webinar found is fetched through the queue of fetches: by the service if it runs, else by this process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::ledger_access::LedgerAccess;
use super::{CommandError, ConfigArg, Io};
use crate::app;
use crate::clock::{Clock, SystemClock};
use crate::config::load_and_check;
use crate::event::{Millis, SourceName, WebinarId};
use crate::fetch::{FetchWorker, ListError, WebinarLister};
use crate::ledger::FetchStatus;
use crate::providers::{ListQuery, TimeRange, WebinarPage};
use crate::telemetry::Metrics;

/// Default of `--from`, before now: events that ended earlier are of little use in HubSpot.
const DEFAULT_BACK: Duration = Duration::from_hours(24 * 30);
/// Default of `--to`, after now.
const DEFAULT_AHEAD: Duration = Duration::from_hours(24 * 366);
/// Most pages of a list: enough for a hundred thousand webinars on the platform with the smallest pages.
const MAX_PAGES: usize = 2_000;
/// A fetch that still fails with the error from before the command counts as failed after this time without progress.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// Time between two requests for the progress of the service.
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
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        let config = load_and_check(self.file.config.as_deref(), io.variables)?;
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
            let http = super::http_client()?;
            let metrics = Metrics::new(&[], &[(name.clone(), source.policy.provider.clone())]);
            let ledger = LedgerAccess::open(&config, &http)?;
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            // If this process has the ledger, it fetches; otherwise the service does.
            let worker = match &ledger {
                LedgerAccess::Local(ledger) => {
                    app::fetch_worker(source, ledger, &http, &clock, &metrics)
                }
                LedgerAccess::Service(_) => None,
            };
            let lister = if let Some(worker) = &worker {
                Some(worker.lister())
            } else {
                let provider = Arc::clone(&source.provider);
                WebinarLister::new(name.clone(), provider, http, clock, metrics, rand::random)
            };
            let lister = lister.context("its platform has no API")?;
            let mut before = ledger.fetch_status(name).await?;
            let filled = async {
                // After a failure the webinars found so far wait in the queue.
                let in_list = list_webinars(&lister, span, &ledger, name).await?;
                // A webinar to come that the list does not name may be deleted.
                let known = ledger.coming_webinars(name).await?;
                let unlisted: Vec<WebinarId> = known.difference(&in_list).cloned().collect();
                for webinar in &unlisted {
                    ledger.request_fetch(name, webinar.clone()).await?;
                }
                let (found, unlisted) = (in_list.len() as u64, unlisted.len() as u64);
                // A fetch that was given up before is tried again, since the platform lists the webinar.
                let now = ledger.fetch_status(name).await?;
                before.given_up = before.given_up.min(now.given_up);
                before.dead = before.dead.min(now.dead);
                let asked = found + unlisted;
                let left = wait_until_fetched(&ledger, worker, name, asked, &before).await?;
                report(io, name, (found, unlisted), &before, left)
            }
            .await;
            ledger.close().await;
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

/// Parses `2026-11-28` or `2026-11-28T09:00:00Z`.
fn parse_time(text: &str) -> Result<Millis, String> {
    let midnight = || {
        let date: Date = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
    };
    let time = text.parse().ok().or_else(midnight);
    let time = time.map(|time: jiff::Timestamp| Millis::new(time.as_millisecond()));
    time.ok_or_else(|| "give a day as YYYY-MM-DD, or an RFC 3339 time".to_owned())
}

/// Lists page by page and requests a fetch of each webinar; returns their ids.
async fn list_webinars(
    lister: &WebinarLister,
    span: TimeRange,
    ledger: &LedgerAccess,
    source: &SourceName,
) -> anyhow::Result<BTreeSet<WebinarId>> {
    let bar =
        ProgressBar::new_spinner().with_style(progress_style("{spinner} {pos} webinars found")?);
    let (mut found, mut cursor, mut pages) = (BTreeSet::new(), None, BTreeSet::new());
    loop {
        let WebinarPage { webinars, next } =
            lister.page(ListQuery { span, cursor: cursor.as_deref() }).await?;
        for webinar in webinars {
            ledger.request_fetch(source, webinar.clone()).await?;
            found.insert(webinar);
            bar.set_position(found.len() as u64);
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

/// Waits until every webinar is fetched, or until the rest can only be fetched later. Fetches that were given up before
/// this command show in the service's status and do not make it fail.
async fn wait_until_fetched(
    ledger: &LedgerAccess,
    worker: Option<Arc<FetchWorker>>,
    source: &SourceName,
    found: u64,
    before: &FetchStatus,
) -> anyhow::Result<FetchStatus> {
    let bar =
        ProgressBar::new(found).with_style(progress_style("{bar:40} {pos} of {len} asked about")?);
    let left = if let Some(worker) = worker {
        worker.drain(|| bar.inc(1)).await.context("not all were asked about")?;
        ledger.fetch_status(source).await?
    } else {
        let (mut least, mut since) = (u64::MAX, Instant::now());
        loop {
            let left = ledger.fetch_status(source).await?;
            bar.set_position(found.saturating_sub(left.pending));
            if left.pending < least {
                (least, since) = (left.pending, Instant::now());
            }
            // The service tries a failed fetch again later: this command does not wait for it.
            let failed = left.last_error.is_some()
                && (left.last_error != before.last_error || since.elapsed() > STALLED_AFTER);
            if left.pending == 0 || failed {
                break left;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    bar.finish_and_clear();
    Ok(left)
}

/// Prints the result. Fails if some webinars are not fetched.
fn report(
    io: &mut Io<'_>,
    source: &SourceName,
    (found, unlisted): (u64, u64),
    before: &FetchStatus,
    left: FetchStatus,
) -> Result<(), CommandError> {
    let FetchStatus { pending, given_up, dead, last_error } = left;
    let given_up = given_up.saturating_sub(before.given_up);
    let dead = dead.saturating_sub(before.dead);
    let fetched = (found + unlisted).saturating_sub(pending);
    let more = match unlisted {
        0 => String::new(),
        _ => format!(", {unlisted} known ones to come not among them"),
    };
    io.print(&format!("source.{source}: {found} webinars found{more}, {fetched} asked about"))?;
    if pending == 0 && given_up == 0 && dead == 0 {
        return Ok(());
    }
    let why = last_error.map(|why| format!(" (last: {why})")).unwrap_or_default();
    let later = format!(
        "{pending} are asked about again by the service, {given_up} are given up, {dead} are dead{why}"
    );
    Err(anyhow!(later).into())
}

fn progress_style(template: &str) -> anyhow::Result<ProgressStyle> {
    ProgressStyle::with_template(template).context("a progress bar of our own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_given_as_a_day_is_its_midnight_and_as_rfc_3339_is_itself() {
        let day = parse_time("2027-01-15").expect("a day");
        assert_eq!(day.to_string(), "2027-01-15T00:00:00Z");
        assert_eq!(parse_time("2027-01-15T00:00:00Z"), Ok(day));
        assert_eq!(parse_time("2027-01-15T02:00:00+02:00"), Ok(day));
        for text in ["", "15.1.2027", "2027-13-01", "yesterday"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}

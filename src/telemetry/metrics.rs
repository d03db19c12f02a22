//! The metrics: one method per fact.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Registry, TextEncoder};
use strum::{AsRefStr, VariantArray};

use super::families::Families;
use crate::event::{AccountName, EventStateCounts, Millis, PauseReason, ProviderId, SourceName};

/// The media type of [`Metrics::render`]: Prometheus' text format.
pub const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Reasons of `bridge_webhooks_rejected_total`.
const REJECTIONS: [&str; 5] = ["missing", "malformed", "mismatch", "stale", "future"];
/// Categories of `bridge_events_dead_total` that exist from the start; HubSpot may send others.
const CATEGORIES: [&str; 3] = ["VALIDATION_ERROR", "UNKNOWN", OTHER];
/// Label value for anything that cannot be a category.
const OTHER: &str = "OTHER";
/// Label value for anything that is neither a status nor a transport failure.
const OTHER_STATUS: &str = "other";

/// Outcome of a webhook, and label value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, AsRefStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum WebhookOutcome {
    /// The webhook was accepted and merged.
    Accepted,
    /// The webhook was received before.
    Duplicate,
    /// The webhook is authentic and of no interest.
    Ignored,
    /// The webhook is authentic and cannot be mapped.
    Quarantined,
    /// The platform's handshake was answered.
    Handshake,
    /// The webhook's signature was refused.
    Unauthenticated,
    /// The body is too large.
    Oversized,
    /// The body did not arrive whole, or not in time.
    Incomplete,
    /// The bridge could not store the webhook; the sender should retry.
    Unavailable,
}

/// All metrics of one running bridge. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
}

impl Metrics {
    /// Metrics with every label set of these accounts and sources.
    #[must_use]
    pub fn new(accounts: &[AccountName], sources: &[(SourceName, ProviderId)]) -> Self {
        let registry = Registry::new();
        let families = Families::register(&registry);
        let metrics = Self { registry, families: Arc::new(families) };
        for account in accounts {
            metrics.prepare_account(account);
        }
        for (source, provider) in sources {
            metrics.prepare_source(source, provider);
        }
        metrics
    }

    fn prepare_account(&self, account: &AccountName) {
        let f = &self.families;
        let name = account.as_str();
        f.delivery_latency.with_label_values(&[name]);
        f.batch_size.with_label_values(&[name]);
        f.events_delivered.with_label_values(&[name]);
        for category in CATEGORIES {
            f.events_dead.with_label_values(&[name, category]);
        }
        f.rate_limit_wait.with_label_values(&[name]);
        self.set_events(account, EventStateCounts::default());
        self.set_oldest_pending(account, None);
        self.set_paused(account, None);
        self.set_lease_held(account, false);
        self.set_batches_ignored(account, false);
    }

    fn prepare_source(&self, source: &SourceName, provider: &ProviderId) {
        let f = &self.families;
        for outcome in WebhookOutcome::VARIANTS {
            f.webhooks.with_label_values(&[source.as_str(), provider.as_str(), outcome.as_ref()]);
        }
        f.webhook_duration.with_label_values(&[provider.as_str()]);
        for reason in REJECTIONS {
            f.webhooks_rejected.with_label_values(&[source.as_str(), reason]);
        }
        f.webhooks_foreign_account.with_label_values(&[source.as_str()]);
        f.last_webhook.with_label_values(&[source.as_str()]);
        self.set_fetches(source, 0, 0);
    }

    /// Counts an answered webhook.
    pub fn webhook_answered(
        &self,
        source: &SourceName,
        provider: &ProviderId,
        outcome: WebhookOutcome,
        took: Duration,
    ) {
        let labels = [source.as_str(), provider.as_str(), outcome.as_ref()];
        self.families.webhooks.with_label_values(&labels).inc();
        let duration = self.families.webhook_duration.with_label_values(&[provider.as_str()]);
        duration.observe(took.as_secs_f64());
    }

    /// Records the arrival of an authentic webhook.
    pub fn authentic_webhook_received(&self, source: &SourceName, at: Millis) {
        self.families.last_webhook.with_label_values(&[source.as_str()]).set(to_unix_seconds(at));
    }

    /// Number of the source's webhooks since the start, by outcome.
    #[must_use]
    pub fn webhook_counts(
        &self,
        source: &SourceName,
        provider: &ProviderId,
    ) -> Vec<(WebhookOutcome, u64)> {
        let count = |outcome: WebhookOutcome| {
            let labels = [source.as_str(), provider.as_str(), outcome.as_ref()];
            (outcome, self.families.webhooks.with_label_values(&labels).get())
        };
        WebhookOutcome::VARIANTS.iter().copied().map(count).collect()
    }

    /// Time of the source's last authentic webhook since the start.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "it was made of milliseconds")]
    pub fn last_webhook_at(&self, source: &SourceName) -> Option<Millis> {
        let seconds = self.families.last_webhook.with_label_values(&[source.as_str()]).get();
        (seconds > 0.0).then(|| Millis::new((seconds * 1_000.0).round() as i64))
    }

    /// Counts a webhook whose signature was refused.
    pub fn webhook_rejected(&self, source: &SourceName, reason: &'static str) {
        self.families.webhooks_rejected.with_label_values(&[source.as_str(), reason]).inc();
    }

    /// Counts an unreadable optional field of a webhook.
    pub fn webhook_bad_field(&self, provider: &ProviderId, field: &'static str) {
        self.families.webhook_bad_fields.with_label_values(&[provider.as_str(), field]).inc();
    }

    /// Counts an authentic webhook of a platform account that the source does not accept.
    pub fn webhook_foreign_account(&self, source: &SourceName) {
        self.families.webhooks_foreign_account.with_label_values(&[source.as_str()]).inc();
    }

    /// Records the size of a batch sent to HubSpot.
    pub fn batch_sent(&self, account: &AccountName, size: usize) {
        let batch = self.families.batch_size.with_label_values(&[account.as_str()]);
        batch.observe(to_f64(size));
    }

    /// Counts an event that HubSpot confirmed, with the time since it became pending.
    pub fn event_delivered(&self, account: &AccountName, latency: Duration) {
        self.families.events_delivered.with_label_values(&[account.as_str()]).inc();
        let latencies = self.families.delivery_latency.with_label_values(&[account.as_str()]);
        latencies.observe(latency.as_secs_f64());
    }

    /// Counts an event that HubSpot refused for good.
    pub fn event_dead(&self, account: &AccountName, category: &str) {
        let labels = [account.as_str(), category_label(category)];
        self.families.events_dead.with_label_values(&labels).inc();
    }

    /// Counts a call to HubSpot by its HTTP status, or `timeout`, `connect`, `reset`.
    pub fn hubspot_request(
        &self,
        account: &AccountName,
        operation: &'static str,
        status: &str,
        took: Duration,
    ) {
        let name = account.as_str();
        let labels = [name, operation, status_label(status)];
        self.families.requests.with_label_values(&labels).inc();
        let duration = self.families.request_duration.with_label_values(&[name, operation]);
        duration.observe(took.as_secs_f64());
    }

    /// Counts a call to a platform's API by its HTTP status, or `timeout`, `connect`, `reset`.
    pub fn platform_request(&self, source: &SourceName, status: &str) {
        let labels = [source.as_str(), status_label(status)];
        self.families.platform_requests.with_label_values(&labels).inc();
    }

    /// Adds the time for which a call waited for the account's rate limit.
    pub fn rate_limit_waited(&self, account: &AccountName, waited: Duration) {
        let wait = self.families.rate_limit_wait.with_label_values(&[account.as_str()]);
        wait.inc_by(waited.as_secs_f64());
    }

    /// Records the number of jobs in a commit and its duration.
    pub fn committed(&self, jobs: usize, took: Duration) {
        self.families.commit_size.observe(to_f64(jobs));
        self.families.commit_duration.observe(took.as_secs_f64());
    }

    /// Counts webinars that could not be folded and were passed by.
    pub fn webinars_passed_by(&self, webinars: usize) {
        self.families.webinars_passed_by.inc_by(u64::try_from(webinars).unwrap_or(u64::MAX));
    }

    /// Sets the account's number of events by state.
    pub fn set_events(&self, account: &AccountName, counts: EventStateCounts) {
        let EventStateCounts { pending, in_flight, delivered, incomplete, filtered, dead } = counts;
        let states = [
            ("pending", pending),
            ("in_flight", in_flight),
            ("delivered", delivered),
            ("incomplete", incomplete),
            ("filtered", filtered),
            ("dead", dead),
        ];
        for (state, count) in states {
            let gauge = self.families.events.with_label_values(&[account.as_str(), state]);
            gauge.set(to_i64(count));
        }
    }

    /// Sets the age of the account's oldest pending event.
    pub fn set_oldest_pending(&self, account: &AccountName, age: Option<Duration>) {
        let gauge = self.families.oldest_pending_age.with_label_values(&[account.as_str()]);
        gauge.set(age.unwrap_or_default().as_secs_f64());
    }

    /// Sets the reason for which nothing is sent to the account, if any.
    pub fn set_paused(&self, account: &AccountName, reason: Option<PauseReason>) {
        for each in PauseReason::VARIANTS {
            let labels = [account.as_str(), each.as_ref()];
            let gauge = self.families.account_paused.with_label_values(&labels);
            gauge.set(i64::from(reason == Some(*each)));
        }
    }

    /// Sets whether the account answers batches and does nothing with them.
    pub fn set_batches_ignored(&self, account: &AccountName, ignored: bool) {
        let gauge = self.families.batches_ignored.with_label_values(&[account.as_str()]);
        gauge.set(i64::from(ignored));
    }

    /// Sets the calls left of the day, if HubSpot reports them.
    pub fn set_daily_remaining(&self, account: &AccountName, remaining: Option<u64>) {
        let family = &self.families.daily_remaining;
        match remaining {
            Some(remaining) => family.with_label_values(&[account.as_str()]).set(to_i64(remaining)),
            // Zero would mean that the budget is used up. Removal fails only if the gauge does not exist.
            None => drop(family.remove_label_values(&[account.as_str()])),
        }
    }

    /// Sets how far this machine's clock is ahead of HubSpot's, in seconds; none as long as that is unknown.
    pub fn set_clock_skew(&self, seconds: Option<f64>) {
        if let Some(seconds) = seconds {
            self.families.clock_skew.with_label_values::<&str>(&[]).set(seconds);
        }
    }

    /// Sets the time at which the account's access token expires.
    pub fn set_token_expires(&self, account: &AccountName, at: Millis) {
        let gauge = self.families.token_expires.with_label_values(&[account.as_str()]);
        gauge.set(to_unix_seconds(at));
    }

    /// Sets whether this process delivers to the account.
    pub fn set_lease_held(&self, account: &AccountName, held: bool) {
        let gauge = self.families.lease_held.with_label_values(&[account.as_str()]);
        gauge.set(i64::from(held));
    }

    /// Sets the numbers of the source's webinars to fetch, and of its dead fetches.
    pub fn set_fetches(&self, source: &SourceName, pending: u64, dead: u64) {
        self.families.fetch_pending.with_label_values(&[source.as_str()]).set(to_i64(pending));
        self.families.fetch_dead.with_label_values(&[source.as_str()]).set(to_i64(dead));
    }

    /// Sets the sizes of the store, its free space and its write-ahead log, in bytes.
    pub fn set_store_sizes(&self, store: u64, free: u64, wal: u64) {
        self.families.store.set(to_i64(store));
        self.families.store_free.set(to_i64(free));
        self.families.wal.set(to_i64(wal));
    }

    /// Renders all metrics as [`TEXT_FORMAT`].
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("a registry gathers only families that have a name and samples")
    }
}

fn to_i64(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Exact below 2^53, which no batch or commit comes near.
#[allow(clippy::cast_precision_loss, reason = "sizes of batches and commits are small")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

/// Milliseconds are exact in an `f64` for another 285,000 years.
#[allow(clippy::cast_precision_loss, reason = "see above")]
fn to_unix_seconds(at: Millis) -> f64 {
    at.get() as f64 / 1_000.0
}

/// HubSpot's category as a label, if it has the form of all categories.
fn category_label(category: &str) -> &str {
    let plausible = (1..=40).contains(&category.len())
        && category.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    if plausible { category } else { OTHER }
}

fn status_label(status: &str) -> &str {
    let http = status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit());
    let known = http || ["timeout", "connect", "reset"].contains(&status);
    if known { status } else { OTHER_STATUS }
}

#[cfg(test)]
mod tests;

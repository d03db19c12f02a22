//! The metrics' families: names and types here; help, labels and buckets in `families.toml`.

use std::collections::BTreeMap;

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry,
};
use serde::Deserialize;

use super::{REVISION, VERSION};

/// Why a constructor below cannot fail.
const VALID_FAMILY: &str = "the families of the program are valid, each name once";

/// All metric families; a field's name is the family's without `bridge_` and unit.
pub(super) struct Families {
    pub(super) webhooks: IntCounterVec,
    pub(super) webhook_duration: HistogramVec,
    pub(super) webhooks_rejected: IntCounterVec,
    pub(super) webhook_bad_fields: IntCounterVec,
    pub(super) webhooks_foreign_account: IntCounterVec,
    pub(super) last_webhook: GaugeVec,
    pub(super) events: IntGaugeVec,
    pub(super) oldest_pending_age: GaugeVec,
    pub(super) delivery_latency: HistogramVec,
    pub(super) batch_size: HistogramVec,
    pub(super) events_delivered: IntCounterVec,
    pub(super) events_dead: IntCounterVec,
    pub(super) requests: IntCounterVec,
    pub(super) request_duration: HistogramVec,
    pub(super) rate_limit_wait: CounterVec,
    pub(super) account_paused: IntGaugeVec,
    pub(super) batches_ignored: IntGaugeVec,
    pub(super) daily_remaining: IntGaugeVec,
    pub(super) token_expires: GaugeVec,
    pub(super) lease_held: IntGaugeVec,
    pub(super) fetch_pending: IntGaugeVec,
    pub(super) fetch_dead: IntGaugeVec,
    pub(super) platform_requests: IntCounterVec,
    pub(super) clock_skew: GaugeVec,
    pub(super) store: IntGauge,
    pub(super) store_free: IntGauge,
    pub(super) wal: IntGauge,
    pub(super) commit_duration: Histogram,
    pub(super) commit_size: Histogram,
    pub(super) webinars_passed_by: IntCounter,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    help: String,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    buckets: Vec<f64>,
}

impl Families {
    /// Creates all families in the registry.
    pub(super) fn register(registry: &Registry) -> Self {
        let definitions: BTreeMap<String, Definition> =
            toml::from_str(include_str!("families.toml")).expect(VALID_FAMILY);
        let find = |name: &str| {
            let Definition { help, labels, buckets } = definitions.get(name).expect(VALID_FAMILY);
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            (Opts::new(name, help), labels, buckets.clone())
        };
        let counters = |name| {
            let (opts, labels, _) = find(name);
            register_family(registry, IntCounterVec::new(opts, &labels))
        };
        let float_counters = |name| {
            let (opts, labels, _) = find(name);
            register_family(registry, CounterVec::new(opts, &labels))
        };
        let int_gauges = |name| {
            let (opts, labels, _) = find(name);
            register_family(registry, IntGaugeVec::new(opts, &labels))
        };
        let gauges = |name| {
            let (opts, labels, _) = find(name);
            register_family(registry, GaugeVec::new(opts, &labels))
        };
        let int_counter = |name| register_family(registry, IntCounter::with_opts(find(name).0));
        let int_gauge = |name| register_family(registry, IntGauge::with_opts(find(name).0));
        let histograms = |name| {
            let (opts, labels, buckets) = find(name);
            let opts = HistogramOpts::from(opts).buckets(buckets);
            register_family(registry, HistogramVec::new(opts, &labels))
        };
        let histogram = |name| {
            let (opts, _, buckets) = find(name);
            let opts = HistogramOpts::from(opts).buckets(buckets);
            register_family(registry, Histogram::with_opts(opts))
        };
        build_info(registry);
        Self {
            webhooks: counters("bridge_webhooks_total"),
            webhook_duration: histograms("bridge_webhook_duration_seconds"),
            webhooks_rejected: counters("bridge_webhooks_rejected_total"),
            webhook_bad_fields: counters("bridge_webhook_bad_fields_total"),
            webhooks_foreign_account: counters("bridge_webhooks_foreign_account_total"),
            last_webhook: gauges("bridge_last_webhook_timestamp_seconds"),
            events: int_gauges("bridge_events"),
            oldest_pending_age: gauges("bridge_oldest_pending_age_seconds"),
            delivery_latency: histograms("bridge_delivery_latency_seconds"),
            batch_size: histograms("bridge_batch_size"),
            events_delivered: counters("bridge_events_delivered_total"),
            events_dead: counters("bridge_events_dead_total"),
            requests: counters("bridge_hubspot_requests_total"),
            request_duration: histograms("bridge_hubspot_request_duration_seconds"),
            rate_limit_wait: float_counters("bridge_rate_limit_wait_seconds_total"),
            account_paused: int_gauges("bridge_account_paused"),
            batches_ignored: int_gauges("bridge_account_batches_ignored"),
            daily_remaining: int_gauges("bridge_daily_remaining"),
            token_expires: gauges("bridge_token_expires_timestamp_seconds"),
            lease_held: int_gauges("bridge_lease_held"),
            fetch_pending: int_gauges("bridge_fetch_pending"),
            fetch_dead: int_gauges("bridge_fetch_dead"),
            platform_requests: counters("bridge_platform_requests_total"),
            clock_skew: gauges("bridge_clock_skew_seconds"),
            store: int_gauge("bridge_store_bytes"),
            store_free: int_gauge("bridge_store_free_bytes"),
            wal: int_gauge("bridge_wal_bytes"),
            commit_duration: histogram("bridge_store_commit_duration_seconds"),
            commit_size: histogram("bridge_store_commit_size"),
            webinars_passed_by: int_counter("bridge_webinars_passed_by_total"),
        }
    }
}

fn build_info(registry: &Registry) {
    let opts = Opts::new("bridge_build_info", "Version and revision of the program; always 1.")
        .const_label("version", VERSION)
        .const_label("revision", REVISION);
    register_family(registry, Gauge::with_opts(opts)).set(1.0);
    #[cfg(target_os = "linux")]
    registry
        .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
        .expect(VALID_FAMILY);
}

fn register_family<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<C>,
) -> C {
    let family = family.expect(VALID_FAMILY);
    registry.register(Box::new(family.clone())).expect(VALID_FAMILY);
    family
}

//! The metrics' names, types, labels and buckets.

use super::{REVISION, VERSION};
use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// Why a constructor below cannot fail.
const VALID_FAMILY: &str = "names, labels and buckets are constants, each name once";

/// From half a millisecond to where a platform would have given up (Zoom: 3 s).
const WEBHOOK_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// From at once to a long weekend of HubSpot being down.
const LATENCY_SECONDS: &[f64] = &[
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 3_600.0, 21_600.0, 86_400.0,
    259_200.0,
];
/// A batch holds at most 100 events.
const BATCH_EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 75.0, 99.0, 100.0];
/// Up to `request_timeout`, 30 s unless configured.
const REQUEST_SECONDS: &[f64] = &[0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// From a disk with a battery to a disk in trouble.
const COMMIT_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Jobs that share one commit.
const COMMIT_JOBS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0];

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
    pub(super) daily_remaining: IntGaugeVec,
    pub(super) token_expires: GaugeVec,
    pub(super) lease_held: IntGaugeVec,
    pub(super) fetch_pending: IntGaugeVec,
    pub(super) platform_requests: IntCounterVec,
    pub(super) store: IntGauge,
    pub(super) store_free: IntGauge,
    pub(super) wal: IntGauge,
    pub(super) commit_duration: Histogram,
    pub(super) commit_size: Histogram,
}

impl Families {
    /// Creates all families in the registry.
    #[allow(clippy::too_many_lines, reason = "a flat list, one entry per family")]
    pub(super) fn register(registry: &Registry) -> Self {
        let r = registry;
        build_info(r);
        Self {
            webhooks: counters(
                r,
                "bridge_webhooks_total",
                "Webhooks answered.",
                &["source", "provider", "outcome"],
            ),
            webhook_duration: histograms(
                r,
                "bridge_webhook_duration_seconds",
                "Time from a webhook's last header to its answer.",
                &["provider"],
                WEBHOOK_SECONDS,
            ),
            webhooks_rejected: counters(
                r,
                "bridge_webhooks_rejected_total",
                "Webhooks whose signature was refused, by reason.",
                &["source", "reason"],
            ),
            webhook_bad_fields: counters(
                r,
                "bridge_webhook_bad_fields_total",
                "Optional fields of webhooks that could not be read and were ignored.",
                &["provider", "field"],
            ),
            webhooks_foreign_account: counters(
                r,
                "bridge_webhooks_foreign_account_total",
                "Authentic webhooks of a platform account that the source does not accept.",
                &["source"],
            ),
            last_webhook: gauges(
                r,
                "bridge_last_webhook_timestamp_seconds",
                "Time of the last authentic webhook; 0 if there was none since the start.",
                &["source"],
            ),
            events: int_gauges(r, "bridge_events", "Events by state.", &["hubspot", "state"]),
            oldest_pending_age: gauges(
                r,
                "bridge_oldest_pending_age_seconds",
                "Age of the oldest pending event; 0 if none is pending.",
                &["hubspot"],
            ),
            delivery_latency: histograms(
                r,
                "bridge_delivery_latency_seconds",
                "Time from a webhook's acceptance to HubSpot's confirmation.",
                &["hubspot"],
                LATENCY_SECONDS,
            ),
            batch_size: histograms(
                r,
                "bridge_batch_size",
                "Events per call.",
                &["hubspot"],
                BATCH_EVENTS,
            ),
            events_delivered: counters(
                r,
                "bridge_events_delivered_total",
                "Events confirmed by HubSpot.",
                &["hubspot"],
            ),
            events_dead: counters(
                r,
                "bridge_events_dead_total",
                "Events that HubSpot refused for good, by HubSpot's category.",
                &["hubspot", "category"],
            ),
            requests: counters(
                r,
                "bridge_hubspot_requests_total",
                "Calls to HubSpot by HTTP status, or timeout, connect, reset.",
                &["hubspot", "operation", "status"],
            ),
            request_duration: histograms(
                r,
                "bridge_hubspot_request_duration_seconds",
                "Duration of calls to HubSpot.",
                &["hubspot", "operation"],
                REQUEST_SECONDS,
            ),
            rate_limit_wait: register_family(
                r,
                CounterVec::new(
                    Opts::new(
                        "bridge_rate_limit_wait_seconds_total",
                        "Time that calls waited for HubSpot's rate limit.",
                    ),
                    &["hubspot"],
                ),
            ),
            account_paused: int_gauges(
                r,
                "bridge_account_paused",
                "1 if deliveries to the account are paused for this reason.",
                &["hubspot", "reason"],
            ),
            daily_remaining: int_gauges(
                r,
                "bridge_daily_remaining",
                "Calls left of the day, as HubSpot last reported; absent until it has.",
                &["hubspot"],
            ),
            token_expires: gauges(
                r,
                "bridge_token_expires_timestamp_seconds",
                "Expiry of the access token; absent if it does not expire.",
                &["hubspot"],
            ),
            lease_held: int_gauges(
                r,
                "bridge_lease_held",
                "1 if this process delivers to the account.",
                &["hubspot"],
            ),
            fetch_pending: int_gauges(
                r,
                "bridge_fetch_pending",
                "Webinars waiting to be fetched from the platform.",
                &["source"],
            ),
            platform_requests: counters(
                r,
                "bridge_platform_requests_total",
                "Calls to a platform's API by HTTP status, or timeout, connect, reset.",
                &["source", "status"],
            ),
            store: int_gauge(r, "bridge_store_bytes", "Size of the store."),
            store_free: int_gauge(
                r,
                "bridge_store_free_bytes",
                "Free space on the store's file system.",
            ),
            wal: int_gauge(r, "bridge_wal_bytes", "Size of the write-ahead log."),
            commit_duration: histogram(
                r,
                "bridge_store_commit_duration_seconds",
                "Duration of commits.",
                COMMIT_SECONDS,
            ),
            commit_size: histogram(r, "bridge_store_commit_size", "Jobs per commit.", COMMIT_JOBS),
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

fn counters(r: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register_family(r, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register_family(r, GaugeVec::new(Opts::new(name, help), labels))
}

fn int_gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register_family(r, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn int_gauge(r: &Registry, name: &str, help: &str) -> IntGauge {
    register_family(r, IntGauge::with_opts(Opts::new(name, help)))
}

fn histograms(
    r: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> HistogramVec {
    let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    register_family(r, HistogramVec::new(opts, labels))
}

fn histogram(r: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    register_family(
        r,
        Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())),
    )
}

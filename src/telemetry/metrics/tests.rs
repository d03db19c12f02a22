use strum::VariantArray as _;

use super::*;
use crate::event::PauseReason;

fn account() -> AccountName {
    AccountName::parse("main").expect("a name")
}

fn source() -> SourceName {
    SourceName::parse("acme").expect("a name")
}

const ZOOM: ProviderId = ProviderId::new("zoom");

fn metrics() -> Metrics {
    Metrics::new(&[account()], &[(source(), ZOOM)])
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|present| present == line)
}

/// Every family by name and type. A missing name breaks dashboards.
const GOLDEN: &str = "\
bridge_account_batches_ignored gauge
bridge_account_paused gauge
bridge_batch_size histogram
bridge_build_info gauge
bridge_clock_skew_seconds gauge
bridge_daily_remaining gauge
bridge_delivery_latency_seconds histogram
bridge_events gauge
bridge_events_dead_total counter
bridge_events_delivered_total counter
bridge_fetch_dead gauge
bridge_fetch_pending gauge
bridge_hubspot_request_duration_seconds histogram
bridge_hubspot_requests_total counter
bridge_last_webhook_timestamp_seconds gauge
bridge_lease_held gauge
bridge_oldest_pending_age_seconds gauge
bridge_rate_limit_wait_seconds_total counter
bridge_store_bytes gauge
bridge_store_commit_duration_seconds histogram
bridge_store_commit_size histogram
bridge_store_free_bytes gauge
bridge_token_expires_timestamp_seconds gauge
bridge_wal_bytes gauge
bridge_webhook_bad_fields_total counter
bridge_webhook_duration_seconds histogram
bridge_webhooks_foreign_account_total counter
bridge_webhooks_rejected_total counter
bridge_webhooks_total counter
bridge_webinars_passed_by_total counter";

#[test]
fn families_have_their_names_and_types() {
    let metrics = metrics();
    // These families have no label set until their first fact.
    metrics.webhook_bad_field(&ZOOM, "duration");
    metrics.hubspot_request(&account(), "upsert", "200", Duration::from_millis(80));
    metrics.set_clock_skew(Some(0.5));
    metrics.set_daily_remaining(&account(), Some(1));
    metrics.set_token_expires(&account(), Millis::new(1));

    let text = metrics.render();
    let families: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter(|family| family.starts_with("bridge_"))
        .collect();
    assert_eq!(families.join("\n"), GOLDEN);
    #[cfg(target_os = "linux")]
    assert!(text.contains("# TYPE process_resident_memory_bytes gauge"));
}

#[test]
fn label_sets_exist_from_the_start() {
    let text = metrics().render();
    for outcome in WebhookOutcome::VARIANTS {
        let outcome = outcome.as_ref();
        let line = format!(
            "bridge_webhooks_total{{outcome=\"{outcome}\",provider=\"zoom\",source=\"acme\"}} 0"
        );
        assert!(has(&text, &line), "{line}");
    }
    for state in ["pending", "in_flight", "delivered", "incomplete", "dead"] {
        let line = format!("bridge_events{{hubspot=\"main\",state=\"{state}\"}} 0");
        assert!(has(&text, &line), "{line}");
    }
    for reason in PauseReason::VARIANTS.iter().map(AsRef::<str>::as_ref) {
        let line = format!("bridge_account_paused{{hubspot=\"main\",reason=\"{reason}\"}} 0");
        assert!(has(&text, &line), "{line}");
    }
    for reason in REJECTIONS {
        let line =
            format!("bridge_webhooks_rejected_total{{reason=\"{reason}\",source=\"acme\"}} 0");
        assert!(has(&text, &line), "{line}");
    }
    assert!(has(&text, "bridge_delivery_latency_seconds_count{hubspot=\"main\"} 0"));
    assert!(has(&text, "bridge_oldest_pending_age_seconds{hubspot=\"main\"} 0"));
    assert!(!text.contains("bridge_daily_remaining"), "unknown is not zero");
}

#[test]
fn facts_appear_in_their_families() {
    let metrics = metrics();
    let clone = metrics.clone();
    clone.webhook_answered(&source(), &ZOOM, WebhookOutcome::Accepted, Duration::from_millis(2));
    clone.webhook_rejected(&source(), "stale");
    clone.webhook_foreign_account(&source());
    clone.authentic_webhook_received(&source(), Millis::new(1_700_000_000_500));
    clone.batch_sent(&account(), 100);
    clone.event_delivered(&account(), Duration::from_secs(4));
    clone.rate_limit_waited(&account(), Duration::from_millis(1_500));
    clone.committed(7, Duration::from_millis(3));
    clone.set_events(
        &account(),
        EventStateCounts { pending: 3, dead: 1, ..EventStateCounts::default() },
    );
    clone.set_oldest_pending(&account(), Some(Duration::from_secs(9)));
    clone.set_paused(&account(), Some(PauseReason::Forbidden));
    clone.set_lease_held(&account(), true);
    clone.set_fetches(&source(), 2, 1);
    clone.set_store_sizes(10, 20, 30);

    let text = metrics.render();
    for line in [
        "bridge_webhooks_total{outcome=\"accepted\",provider=\"zoom\",source=\"acme\"} 1",
        "bridge_webhook_duration_seconds_bucket{provider=\"zoom\",le=\"0.001\"} 0",
        "bridge_webhook_duration_seconds_bucket{provider=\"zoom\",le=\"0.0025\"} 1",
        "bridge_webhooks_rejected_total{reason=\"stale\",source=\"acme\"} 1",
        "bridge_webhooks_foreign_account_total{source=\"acme\"} 1",
        "bridge_last_webhook_timestamp_seconds{source=\"acme\"} 1700000000.5",
        "bridge_batch_size_sum{hubspot=\"main\"} 100",
        "bridge_events_delivered_total{hubspot=\"main\"} 1",
        "bridge_delivery_latency_seconds_sum{hubspot=\"main\"} 4",
        "bridge_rate_limit_wait_seconds_total{hubspot=\"main\"} 1.5",
        "bridge_store_commit_size_sum 7",
        "bridge_events{hubspot=\"main\",state=\"pending\"} 3",
        "bridge_events{hubspot=\"main\",state=\"dead\"} 1",
        "bridge_oldest_pending_age_seconds{hubspot=\"main\"} 9",
        "bridge_account_paused{hubspot=\"main\",reason=\"forbidden\"} 1",
        "bridge_account_paused{hubspot=\"main\",reason=\"operator\"} 0",
        "bridge_lease_held{hubspot=\"main\"} 1",
        "bridge_fetch_pending{source=\"acme\"} 2",
        "bridge_fetch_dead{source=\"acme\"} 1",
        "bridge_store_bytes 10",
        "bridge_store_free_bytes 20",
        "bridge_wal_bytes 30",
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
    metrics.set_paused(&account(), None);
    let text = metrics.render();
    assert!(has(&text, "bridge_account_paused{hubspot=\"main\",reason=\"forbidden\"} 0"));
}

#[test]
fn labels_from_hubspot_are_bounded() {
    let metrics = metrics();
    metrics.event_dead(&account(), "VALIDATION_ERROR");
    metrics.event_dead(&account(), "name of a person");
    metrics.event_dead(&account(), &"A".repeat(41));
    metrics.hubspot_request(&account(), "upsert", "429", Duration::ZERO);
    metrics.hubspot_request(&account(), "upsert", "whatever", Duration::ZERO);
    let text = metrics.render();
    for line in [
        "bridge_events_dead_total{category=\"VALIDATION_ERROR\",hubspot=\"main\"} 1",
        "bridge_events_dead_total{category=\"OTHER\",hubspot=\"main\"} 2",
        "bridge_hubspot_requests_total{hubspot=\"main\",operation=\"upsert\",status=\"429\"} 1",
        "bridge_hubspot_requests_total{hubspot=\"main\",operation=\"upsert\",status=\"other\"} 1",
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
}

#[test]
fn unknown_gauges_are_absent() {
    let metrics = metrics();
    assert!(!metrics.render().contains("bridge_token_expires_timestamp_seconds{"));
    metrics.set_clock_skew(None);
    assert!(!metrics.render().contains("\nbridge_clock_skew_seconds"));
    metrics.set_clock_skew(Some(-0.5));
    assert!(has(&metrics.render(), "bridge_clock_skew_seconds -0.5"));
    metrics.set_daily_remaining(&account(), Some(41));
    metrics.set_token_expires(&account(), Millis::new(1_800_000_000_000));
    let text = metrics.render();
    assert!(has(&text, "bridge_daily_remaining{hubspot=\"main\"} 41"));
    assert!(has(&text, "bridge_token_expires_timestamp_seconds{hubspot=\"main\"} 1800000000"));
    metrics.set_daily_remaining(&account(), None);
    metrics.set_daily_remaining(&account(), None);
    assert!(!metrics.render().contains("bridge_daily_remaining{"));
}

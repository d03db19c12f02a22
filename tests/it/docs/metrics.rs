//! The table of metrics is what `/metrics` shows, and no page names a metric that does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strum::VariantArray as _;
use webinar_bridge::event::{AccountName, Millis, ProviderId, SourceName};
use webinar_bridge::telemetry::{Metrics, WebhookOutcome};

use super::Page;

const PAGE: &str = "docs/metrics.md";

#[test]
fn metrics_labels_and_their_values_are_those_of_the_program() {
    let page = Page::read(PAGE);
    let rows = metric_rows(&page.text);
    let rendered = rendered();
    let documented: BTreeSet<&str> = rows.keys().map(String::as_str).collect();
    let exist: BTreeSet<&str> = rendered.keys().map(String::as_str).collect();
    assert_eq!(documented, exist);
    for (name, row) in &rows {
        let family = &rendered[name];
        assert_eq!(row.kind, family.kind, "{name}");
        let labels: BTreeSet<String> = family.values.keys().cloned().collect();
        assert_eq!(row.labels, labels, "{name}");
        for label in ["outcome", "reason", "state"] {
            for value in family.values.get(label).into_iter().flatten() {
                assert!(row.text.contains(&format!("`{value}`")), "{name}: {label} {value}");
            }
        }
    }
    let outcomes = &rendered["bridge_webhooks_total"].values["outcome"];
    assert_eq!(outcomes.len(), WebhookOutcome::VARIANTS.len());
}

/// Alerts and prose name no metric that does not exist.
#[test]
fn no_page_names_an_unknown_metric() {
    let exist = rendered();
    let mut found = BTreeMap::new();
    for page in Page::all() {
        for (at, _) in page.text.match_indices("bridge_") {
            let rest = page.text.get(at..).unwrap_or_default();
            let end =
                rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
            let name = rest.get(..end).unwrap_or_default();
            assert!(exist.contains_key(name), "{}: {name}", page.path);
            *found.entry(page.path.clone()).or_insert(0) += 1;
        }
    }
    assert!(found[PAGE] > exist.len(), "alerts name metrics too: {found:?}");
}

/// A metric family as `/metrics` shows it.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    values: BTreeMap<String, BTreeSet<String>>,
}

/// A row of the table of metrics.
struct Row {
    kind: String,
    labels: BTreeSet<String>,
    text: String,
}

fn metric_rows(page: &str) -> BTreeMap<String, Row> {
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `bridge_")?.split('|').map(str::trim).collect();
        let [name, kind, labels, text, ..] = cells.as_slice() else { return None };
        let name = format!("bridge_{}", name.trim_end_matches('`'));
        let labels = labels.split(", ").filter(|label| !label.is_empty()).map(str::to_owned);
        let row = Row { kind: (*kind).into(), labels: labels.collect(), text: (*text).into() };
        Some((name, row))
    });
    rows.collect()
}

/// All families with the values of their labels, after each fact that makes one appear.
fn rendered() -> BTreeMap<String, Family> {
    let account = AccountName::parse("main").expect("a name");
    let source = SourceName::parse("zoom").expect("a name");
    let zoom = ProviderId::new("zoom");
    let metrics = Metrics::new(std::slice::from_ref(&account), &[(source.clone(), zoom.clone())]);
    metrics.webhook_bad_field(&zoom, "duration");
    metrics.hubspot_request(&account, "upsert", "200", Duration::ZERO);
    metrics.platform_request(&source, "200");
    metrics.set_clock_skew(Some(0.5));
    metrics.set_daily_remaining(&account, Some(1));
    metrics.set_token_expires(&account, Millis::new(1));
    let text = metrics.render();
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            if name.starts_with("bridge_") {
                families.insert(name.into(), Family { kind: kind.into(), ..Family::default() });
            }
        } else if let Some((name, rest)) = line.split_once('{')
            && let Some(family) = families.get_mut(family_name(name))
        {
            for label in rest.split('}').next().unwrap_or_default().split(',') {
                let Some((label, value)) = label.split_once('=') else { continue };
                if label != "le" {
                    let values = family.values.entry(label.to_owned()).or_default();
                    values.insert(value.trim_matches('"').to_owned());
                }
            }
        }
    }
    families
}

/// A family's name without the ending of a histogram's lines.
fn family_name(name: &str) -> &str {
    let endings = ["_bucket", "_sum", "_count"];
    endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

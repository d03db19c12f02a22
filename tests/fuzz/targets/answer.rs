//! HubSpot's answer to a batch: what is made of its status, its headers and its body.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use webinar_bridge::hubspot::{
    AccountError, BatchItem, ItemVerdict, RateLimit, RateLimitHeaders, RateLimiter, Verdict, judge,
};
use webinar_bridge::net::HttpResponse;

use super::{Message, fixtures, is_fit_for_logs};

/// The ids in the fixtures; a batch holds these first.
const IDS: [&str; 3] = ["83107745521-1801647000000", "83107745521", "wbn-7041"];
const LIMIT: RateLimit = RateLimit { requests: 100, window: Duration::from_secs(10) };

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (name, body) in fixtures("hubspot") {
        let stem = name.split('.').next().unwrap_or_default();
        let status = stem.rsplit('_').next().and_then(|end| end.parse::<u16>().ok());
        let status = status.unwrap_or(if name.contains("partial") { 207 } else { 200 });
        for batch in [1, 3] {
            let head = format!(
                "status: {status}\nbatch: {batch}\nretry-after: 7\n\
                 content-type: application/json\nx-hubspot-ratelimit-max: 190\n\
                 x-hubspot-ratelimit-remaining: 189\n\
                 x-hubspot-ratelimit-interval-milliseconds: 10000\n\
                 x-hubspot-ratelimit-daily-remaining: 5\n\n"
            );
            seeds.push([head.as_bytes(), &body].concat());
        }
    }
    seeds
}

pub(super) fn check(data: &[u8]) {
    let message = Message::of(data);
    let answer = message.answer();
    let size = usize::from(message.number("batch").unwrap_or(3)) % 101;
    let more = (IDS.len()..size).map(|number| format!("{}-{number}", IDS[1]));
    let ids: Vec<String> = IDS.iter().map(ToString::to_string).chain(more).take(size).collect();
    let sent: Vec<BatchItem<'_>> =
        ids.iter().map(|id| BatchItem { external_event_id: id, input: b"{}" }).collect();

    let verdict = judge(&sent, Ok(&answer));
    assert_eq!(judge(&sent, Ok(&answer)), verdict, "the same answer means the same");
    match &verdict {
        Verdict::Items(items) => judged_one_by_one(&sent, &answer, items),
        Verdict::Split(_) => {
            assert!(sent.len() > 1, "a single event cannot be halved");
            assert!(matches!(answer.status, 400 | 409 | 413 | 422), "{}", answer.status);
        }
        Verdict::Account(trouble) => troubled(trouble, &answer),
    }
    the_pace_holds(&RateLimitHeaders::from_response(&answer));
}

fn judged_one_by_one(sent: &[BatchItem<'_>], answer: &HttpResponse, items: &[ItemVerdict]) {
    assert_eq!(items.len(), sent.len(), "a verdict for each event");
    let success = matches!(answer.status, 200..=299);
    assert!(success || sent.len() <= 1, "no answer but a 2xx speaks of several events");
    for (event, item) in sent.iter().zip(items) {
        match item {
            ItemVerdict::Confirmed { object_id } => {
                assert!(success, "confirmed by a {}", answer.status);
                assert!(object_id.as_deref().is_none_or(is_fit_for_logs));
            }
            ItemVerdict::Refused(refusal) => {
                assert_eq!(refusal.status, answer.status);
                assert!(is_fit_for_logs(&refusal.message), "{}", refusal.message);
                assert!(refusal.correlation_id.as_deref().is_none_or(is_fit_for_logs));
                let category = refusal.category.as_bytes();
                let allowed = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
                assert!((1..=64).contains(&category.len()) && category.iter().all(allowed));
            }
            ItemVerdict::Unconfirmed { detail, .. } | ItemVerdict::InProgress { detail } => {
                assert!(is_fit_for_logs(detail), "{detail}");
            }
        }
        if success {
            agrees_with_the_body(sent, event.external_event_id, &answer.body, item);
        }
    }
}

/// What an answer of success says of an event, read once more and by another reader.
fn agrees_with_the_body(sent: &[BatchItem<'_>], id: &str, body: &[u8], item: &ItemVerdict) {
    // What only this reader refuses, for its depth, is not looked at.
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
    let list = |key: &str| body[key].as_array().map_or(&[][..], Vec::as_slice);
    let done = body["status"].is_null() || body["status"] == "COMPLETE";
    let errors = list("errors").len();
    let faultless = errors == 0 && (body["numErrors"].is_null() || body["numErrors"] == 0);
    let id_of = |result: &Value| match &result["id"] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let told = |result: &Value| id_of(result).as_deref() == Some(id);
    let results: Vec<&Value> = list("results").iter().filter(|one| one.is_object()).collect();
    let ids: Vec<String> = results.iter().filter_map(|one| id_of(one)).collect();
    let unlike: BTreeSet<&String> = ids.iter().collect();
    let ours = sent.iter().filter(|event| ids.iter().any(|id| id == event.external_event_id));
    let (ours, batch) = (ours.count(), sent.len());
    let one_for_each = results.len() == batch && unlike.len() == ids.len();
    let whole = faultless && one_for_each && (ours == 0 || ours == batch);
    match item {
        ItemVerdict::Confirmed { .. } => {
            assert!(body.is_object(), "{body} confirms nothing");
            assert!(done, "confirmed, and HubSpot says {}", body["status"]);
            assert!(
                whole || results.iter().any(|one| told(one)),
                "{id} is confirmed, and not by {body}"
            );
        }
        ItemVerdict::Refused(_) => assert!(errors > 0, "{id} is refused, and not by {body}"),
        ItemVerdict::Unconfirmed { .. } => assert!(!(done && whole), "{id} is confirmed by {body}"),
        ItemVerdict::InProgress { .. } => assert!(!done, "{id} is done, says {body}"),
    }
}

fn troubled(trouble: &AccountError, answer: &HttpResponse) {
    assert_eq!(trouble.status, Some(answer.status));
    assert!(!trouble.detail.is_empty() && is_fit_for_logs(&trouble.detail), "{trouble:?}");
    assert!(trouble.correlation_id.as_deref().is_none_or(is_fit_for_logs));
    assert!(trouble.retry_after.is_none_or(|wait| wait <= Duration::from_hours(24)), "{trouble:?}");
}

/// Whatever HubSpot tells of its limits, ours holds, and a wait ends.
fn the_pace_holds(rates: &RateLimitHeaders) {
    let start = Instant::now();
    let mut pace = RateLimiter::for_shared_limit(LIMIT);
    let first = pace.try_acquire(start).expect("the first call goes at once");
    rates.report_to(&mut pace, &first, start);
    pace.complete(first, start);
    let mut calls = 1;
    while let Ok(slot) = pace.try_acquire(start) {
        pace.complete(slot, start);
        calls += 1;
        assert!(calls <= LIMIT.requests, "more calls than are configured");
    }
    let later = start + Duration::from_hours(48);
    let slot = pace.try_acquire(later);
    assert!(slot.is_ok(), "stopped for ever by {rates:?}: {slot:?}");
}

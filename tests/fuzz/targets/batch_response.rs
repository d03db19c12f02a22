//! HubSpot's response to a batch: status, headers and body.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use webinar_bridge::hubspot::{
    AccountError, BatchItem, ItemVerdict, RateLimit, RateLimitHeaders, RateLimiter, Verdict, judge,
};
use webinar_bridge::net::HttpResponse;

use super::{Message, fixtures, is_fit_for_logs};

/// The ids in the fixtures, with which each batch begins.
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
    let message = Message::from_bytes(data);
    let response = message.response();
    let size = usize::from(message.number("batch").unwrap_or(3)) % 101;
    let more = (IDS.len()..size).map(|number| format!("{}-{number}", IDS[1]));
    let ids: Vec<String> = IDS.iter().map(ToString::to_string).chain(more).take(size).collect();
    let sent: Vec<BatchItem<'_>> =
        ids.iter().map(|id| BatchItem { external_event_id: id, input: b"{}" }).collect();

    let verdict = judge(&sent, Ok(&response));
    assert_eq!(judge(&sent, Ok(&response)), verdict, "the same response has the same verdict");
    match &verdict {
        Verdict::Items(items) => check_items(&sent, &response, items),
        Verdict::Split(_) => {
            assert!(sent.len() > 1, "a single event cannot be halved");
            assert!(matches!(response.status, 400 | 409 | 413 | 422), "{}", response.status);
        }
        Verdict::Account(error) => check_error(error, &response),
    }
    check_rate_limiter(&RateLimitHeaders::from_response(&response));
}

fn check_items(sent: &[BatchItem<'_>], response: &HttpResponse, items: &[ItemVerdict]) {
    assert_eq!(items.len(), sent.len(), "a verdict for each event");
    let success = matches!(response.status, 200..=299);
    assert!(success || sent.len() <= 1, "only a 2xx is about several events");
    for (event, item) in sent.iter().zip(items) {
        match item {
            ItemVerdict::Confirmed { object_id } => {
                assert!(success, "confirmed by a {}", response.status);
                assert!(object_id.as_deref().is_none_or(is_fit_for_logs));
            }
            ItemVerdict::Refused(refusal) => {
                assert_eq!(refusal.status, response.status);
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
            check_item_against_body(sent, event.external_event_id, &response.body, item);
        }
    }
}

/// Compares the verdict with the body of a success, read by another parser.
fn check_item_against_body(sent: &[BatchItem<'_>], id: &str, body: &[u8], item: &ItemVerdict) {
    // Bodies that only this parser refuses, for their depth, are skipped.
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
    let is_about = |result: &Value| id_of(result).as_deref() == Some(id);
    let results: Vec<&Value> = list("results").iter().filter(|one| one.is_object()).collect();
    let ids: Vec<String> = results.iter().filter_map(|one| id_of(one)).collect();
    let distinct: BTreeSet<&String> = ids.iter().collect();
    let ours = sent.iter().filter(|event| ids.iter().any(|id| id == event.external_event_id));
    let (ours, batch) = (ours.count(), sent.len());
    let one_for_each = results.len() == batch && distinct.len() == ids.len();
    let whole = faultless && one_for_each && (ours == 0 || ours == batch);
    match item {
        ItemVerdict::Confirmed { .. } => {
            assert!(body.is_object(), "{body} confirms no event");
            assert!(done, "confirmed in a batch that is {}", body["status"]);
            assert!(
                whole || results.iter().any(|one| is_about(one)),
                "{id} is confirmed without a result in {body}"
            );
        }
        ItemVerdict::Refused(_) => {
            assert!(errors > 0, "{id} is refused without an error in {body}");
        }
        ItemVerdict::Unconfirmed { .. } => {
            assert!(!(done && whole), "{id} is unconfirmed despite {body}");
        }
        ItemVerdict::InProgress { .. } => assert!(!done, "{id} is in progress despite {body}"),
    }
}

fn check_error(error: &AccountError, response: &HttpResponse) {
    assert_eq!(error.status, Some(response.status));
    assert!(!error.detail.is_empty() && is_fit_for_logs(&error.detail), "{error:?}");
    assert!(error.correlation_id.as_deref().is_none_or(is_fit_for_logs));
    assert!(error.retry_after.is_none_or(|wait| wait <= Duration::from_hours(24)), "{error:?}");
}

/// Whatever limits HubSpot reports, the configured one holds, and a wait ends.
fn check_rate_limiter(headers: &RateLimitHeaders) {
    let start = Instant::now();
    let mut limiter = RateLimiter::for_shared_limit(LIMIT);
    let first = limiter.try_acquire(start).expect("the first call goes at once");
    limiter.observe(&first, headers.limit, headers.remaining, start);
    limiter.complete(first, start);
    let mut calls = 1;
    while let Ok(permit) = limiter.try_acquire(start) {
        limiter.complete(permit, start);
        calls += 1;
        assert!(calls <= LIMIT.requests, "more calls than the configured limit");
    }
    let later = start + Duration::from_hours(48);
    let permit = limiter.try_acquire(later);
    assert!(permit.is_ok(), "stopped for ever by {headers:?}: {permit:?}");
}

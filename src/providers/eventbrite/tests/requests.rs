use serde_json::value::RawValue;

use super::*;
use crate::event::ExternalAccountId;
use crate::providers::PlatformCredentials;

fn provider() -> Arc<dyn Provider> {
    let keys = "provider = 'eventbrite'\npath_token = 'long-enough-token'\n\
                api = { token = 'token', organization = '171', base_url = 'https://eventbrite.example' }";
    conformance::provider_from_config(keys).expect("valid")
}

fn next_request(
    webinar: &str,
    answers: &ApiAnswers<'_>,
) -> Result<Option<PlatformRequest>, String> {
    let provider = provider();
    let api = provider.api().expect("it has an API");
    api.next_request(&WebinarId::parse(webinar).expect("an id"), answers)
}

#[test]
fn event_fetch_makes_one_request_to_the_configured_server() {
    let request =
        next_request("42", &ApiAnswers::new()).expect("the id is valid").expect("a request");
    let url = "https://eventbrite.example/v3/events/42/?expand=organizer";
    assert_eq!((request.name, request.url.as_str()), ("event", url));
    let answer = RawValue::from_string("{}".to_owned()).expect("JSON");
    let answers = ApiAnswers::from([("event".to_owned(), &*answer)]);
    assert_eq!(next_request("42", &answers), Ok(None));
    for other in ["..", "42/orders", "42?", "me", "-42"] {
        next_request(other, &ApiAnswers::new()).expect_err("the id is invalid");
    }
}

#[test]
fn api_uses_documented_header_and_rate_limit() {
    let provider = provider();
    let api = provider.api().expect("it has an API");
    let PlatformCredentials::Token { header, prefix, .. } = &api.access().credentials else {
        panic!("the credentials are a token");
    };
    assert_eq!((*header, *prefix), ("authorization", "Bearer "));
    let pace = api.access().rate_limit;
    assert_eq!((pace.requests, pace.window.as_secs()), (1_000, 3_600));
    assert_eq!(api.account().map(ExternalAccountId::as_str), Some("171"));
}

#[test]
fn backfill_picks_events_in_range_from_all_pages() {
    let provider = provider();
    let api = provider.api().expect("it has an API");
    let at = |text: &str| Millis::parse(text, None).expect("a time");
    let span = TimeRange { from: at("2026-10-01T00:00:00Z"), to: at("2026-11-01T00:00:00Z") };
    let url = |cursor| {
        String::from(api.list_url(ListQuery { span, cursor }).expect("the API lists events"))
    };
    let first = "https://eventbrite.example/v3/organizations/171/events/\
                 ?order_by=start_asc&status=live%2Cstarted%2Cended%2Ccanceled";
    assert_eq!(url(None), first);
    assert_eq!(url(Some("a&b=")), format!("{first}&continuation=a%26b%3D"));

    let event = |id: &str, start: &str, more: Value| {
        let mut event = json!({ "id": id, "status": "live", "start": { "utc": start } });
        for (name, value) in more.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        event
    };
    let none = json!({});
    let events = json!([
        event("1", "2026-09-30T23:59:59Z", none.clone()),
        event("2", "2026-10-01T00:00:00Z", none.clone()),
        event("3", "2026-10-10T00:00:00Z", json!({ "status": "canceled" })),
        event("4", "2026-10-10T00:00:00Z", json!({ "status": "draft" })),
        event("5", "2026-10-10T00:00:00Z", json!({ "is_series": true, "is_series_parent": true })),
        event("6", "2026-10-10T00:00:00Z", json!({ "is_series": true, "is_series_parent": false })),
        event("7", "2026-10-31T23:59:59Z", none.clone()),
        event("8", "2026-11-01T00:00:00Z", none),
    ]);
    let read = |pagination: Value| {
        let page = json!({ "events": events, "pagination": pagination }).to_string();
        api.parse_list(page.as_bytes(), ListQuery { span, cursor: None }).expect("a page")
    };
    let page = read(json!({ "page_size": 50, "has_more_items": true, "continuation": "next" }));
    let ids: Vec<&str> = page.webinars.iter().map(WebinarId::as_str).collect();
    assert_eq!((ids, page.next.as_deref()), (vec!["2", "3", "6", "7"], Some("next")));
    for last in [
        json!({ "has_more_items": false, "continuation": "next" }),
        json!({ "has_more_items": true }),
        json!({ "has_more_items": true, "continuation": "" }),
        json!({ "continuation": null }),
    ] {
        assert_eq!(read(last).next, None);
    }
    for wrong in [r#"{"error":"NOT_FOUND"}"#, "[]", "{", r#"{"events":[],"pagination":[]}"#] {
        api.parse_list(wrong.as_bytes(), ListQuery { span, cursor: None }).expect_err("no page");
    }
}

#[test]
fn gone_event_means_cancelled_unless_configured_otherwise() {
    for (more, expected) in [("", true), (", gone_is_cancelled = false", false)] {
        let keys = format!(
            "provider = 'eventbrite'\npath_token = 'long-enough-token'\napi = {{ token = 'x', organization = '7'{more} }}"
        );
        let provider = conformance::provider_from_config(&keys).expect("valid");
        assert_eq!(provider.api().map(PlatformApi::gone_means_cancelled), Some(expected), "{more}");
    }
}

use serde_json::Value;
use serde_json::value::RawValue;

use super::*;

fn provider() -> Arc<dyn Provider> {
    let keys = "provider = 'livestorm'\nsecret = 'y'\nexternal_account_id = 'a'\n\
                api = { token = 'token', base_url = 'https://livestorm.example' }";
    conformance::provider_from_config(keys).expect("valid")
}

fn next_request(
    webinar: &str,
    answers: &[(&str, Value)],
) -> Result<Option<PlatformRequest>, String> {
    let text = |answer: &Value| RawValue::from_string(answer.to_string()).expect("JSON");
    let texts: Vec<_> = answers.iter().map(|(name, answer)| (*name, text(answer))).collect();
    let answers: ApiAnswers<'_> =
        texts.iter().map(|(name, answer)| ((*name).to_owned(), &**answer)).collect();
    let provider = provider();
    let api = provider.api().expect("it has an API");
    api.next_request(&WebinarId::parse(webinar).expect("an id"), &answers)
}

fn url(request: Result<Option<PlatformRequest>, String>) -> (&'static str, String) {
    let request = request.expect("the answers are valid").expect("there is a next request");
    (request.name, request.url.into())
}

fn one(id: &str, attributes: &Value) -> Value {
    json!({ "data": { "id": id, "type": "sessions", "attributes": attributes } })
}

fn page(next: &Value) -> Value {
    json!({ "data": [], "meta": { "next_page": next } })
}

#[test]
fn session_fetch_requests_session_then_event() {
    let session = ("session", one("s-1", &json!({ "event_id": "e-1" })));
    let event = ("event", one("e-1", &json!({})));
    let first = ("session", "https://livestorm.example/v1/sessions/s-1".to_owned());
    assert_eq!(url(next_request("s-1", &[])), first);
    let second = ("event", "https://livestorm.example/v1/events/e-1".to_owned());
    assert_eq!(url(next_request("s-1", std::slice::from_ref(&session))), second);
    assert_eq!(next_request("s-1", &[session, event]), Ok(None));
}

#[test]
fn event_fetch_requests_event_then_pages_of_sessions() {
    let mut answers = vec![];
    let event = ("event", "https://livestorm.example/v1/events/e-1".to_owned());
    assert_eq!(url(next_request("event:e-1", &answers)), event);
    answers.push(("event", one("e-1", &json!({}))));
    for (number, name) in (0..).zip(map::SESSION_PAGE_REQUESTS) {
        let request = url(next_request("event:e-1", &answers));
        let path = "https://livestorm.example/v1/events/e-1/sessions";
        let query = format!("page%5Bnumber%5D={number}&page%5Bsize%5D=50");
        assert_eq!(request, (name, format!("{path}?{query}")));
        answers.push((name, page(&json!(number + 1))));
    }
    assert_eq!(next_request("event:e-1", &answers), Ok(None), "the number of pages is limited");
    for last in [json!(null), json!(true), json!(-1), json!("two")] {
        let answers = [answers[0].clone(), ("sessions", page(&last))];
        assert_eq!(next_request("event:e-1", &answers), Ok(None));
    }
}

/// URLs are built only from validated ids, regardless of their origin.
#[test]
fn ids_outside_the_api_path_are_never_requested() {
    for event in [json!("../organization"), json!("a/b"), json!("a?b"), json!(".."), json!(null)] {
        let session = ("session", one("s-1", &json!({ "event_id": event })));
        next_request("s-1", &[session]).expect_err("the event id is invalid");
    }
    // An operator may request any text as a webinar id.
    for webinar in ["..", ".", "event:..", "event:", "a/b", "event:a/b"] {
        next_request(webinar, &[]).expect_err("the id is invalid");
    }
    for sessions in [json!([]), json!({ "data": {} }), json!({ "data": [1] })] {
        next_request("event:e-1", &[("event", json!({})), ("sessions", sessions)])
            .expect_err("no page");
    }
}

#[test]
fn api_uses_documented_headers_and_rate_limit() {
    let provider = provider();
    let api = provider.api().expect("it has an API");
    let access = api.access();
    let crate::providers::PlatformCredentials::Token { header, prefix, .. } = &access.credentials
    else {
        panic!("the credentials are a token");
    };
    assert_eq!((*header, *prefix), ("authorization", ""));
    assert_eq!(access.headers, [("accept", "application/vnd.api+json".to_owned())]);
    assert_eq!((access.rate_limit.requests, access.rate_limit.window.as_secs()), (5, 1));
}

#[test]
fn backfill_lists_sessions_page_by_page() {
    let provider = provider();
    let api = provider.api().expect("it has an API");
    let span =
        TimeRange { from: Millis::new(1_790_000_000_000), to: Millis::new(1_800_000_000_999) };
    let listed = |cursor| api.list_url(ListQuery { span, cursor }).map(String::from);
    let url = |number: u8| {
        format!(
            "https://livestorm.example/v1/sessions?page%5Bnumber%5D={number}&page%5Bsize%5D=50\
             &filter%5Bdate_from%5D=1790000000&filter%5Bdate_to%5D=1800000000"
        )
    };
    assert_eq!(listed(None), Some(url(0)));
    assert_eq!(listed(Some("1")), Some(url(1)));

    let page = json!({
        "data": [
            { "id": "s-1", "type": "sessions", "attributes": { "event_id": "e-1" } },
            { "id": "room", "type": "sessions", "attributes": { "breakout_room_parent_session_id": "s-1" } },
            { "id": "s-2", "type": "sessions", "attributes": { "breakout_room_parent_session_id": null } },
        ],
        "meta": { "current_page": 0, "next_page": 1, "page_count": 2 },
    });
    let read = |page: &Value| {
        api.parse_list(page.to_string().as_bytes(), ListQuery { span, cursor: None })
    };
    let found = read(&page).expect("a page");
    let ids: Vec<&str> = found.webinars.iter().map(WebinarId::as_str).collect();
    assert_eq!((ids, found.next.as_deref()), (vec!["s-1", "s-2"], Some("1")));
    let last = read(&json!({ "data": [] })).expect("a page");
    assert_eq!((last.webinars.len(), last.next), (0, None));
    for wrong in [json!({ "errors": [] }), json!({ "data": [{ "id": "a/b" }] }), json!([])] {
        read(&wrong).expect_err("no page");
    }
    api.parse_list(b"\xff", ListQuery { span, cursor: None }).expect_err("not UTF-8");
}

#[test]
fn gone_session_means_cancelled_unless_configured_otherwise() {
    for (more, expected) in [("", true), (", gone_is_cancelled = false", false)] {
        let keys = format!(
            "provider = 'livestorm'\nsecret = 'y'\nexternal_account_id = 'a'\napi = {{ token = 'x'{more} }}"
        );
        let provider = conformance::provider_from_config(&keys).expect("valid");
        assert_eq!(provider.api().map(PlatformApi::gone_means_cancelled), Some(expected), "{more}");
    }
}

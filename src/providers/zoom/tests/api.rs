//! Requests to Zoom's API and the webhooks that cause them.

use std::time::Duration;

use serde_json::value::RawValue;

use super::*;
use crate::event::{FetchCondition, FetchRequest, WebinarId};
use crate::providers::{
    ApiAnswers, ApiRateLimit, ListQuery, OnMissing, PlatformApi, PlatformCredentials,
    PlatformRequest, Provider, TimeRange, WebinarPage, conformance,
};

const LEAST: &str = "account_id = 'acc-1', client_id = 'cid', client_secret = 'hush'";

/// The source `zoom` with this table `api`, or its configuration errors.
fn configured(api: &str) -> Result<Arc<dyn Provider>, String> {
    conformance::provider_from_config(&format!(
        "provider = 'zoom'\nsecret = 'y'\napi = {{ {api} }}"
    ))
}

fn provider(more: &str) -> Arc<dyn Provider> {
    configured(&format!("{LEAST}{more}")).expect("a valid configuration")
}

fn api_of(provider: &dyn Provider) -> &dyn PlatformApi {
    provider.api().expect("credentials are configured")
}

fn id(text: &str) -> WebinarId {
    WebinarId::parse(text).expect("an id")
}

/// The next request after these answers.
fn next_request(
    provider: &dyn Provider,
    webinar: &str,
    answers: &[(&str, &str)],
) -> Result<Option<PlatformRequest>, String> {
    let raw = |json| serde_json::from_str::<&RawValue>(json).expect("JSON");
    let answers: ApiAnswers<'_> =
        answers.iter().map(|(name, json)| ((*name).to_owned(), raw(json))).collect();
    api_of(provider).next_request(&id(webinar), &answers)
}

fn url(ask: Result<Option<PlatformRequest>, String>) -> String {
    ask.expect("the answers are valid").expect("there is a next request").url.to_string()
}

#[test]
fn webhook_without_api_credentials_requests_no_fetch() {
    assert!(ZOOM.api().is_none());
    let parsed = webhook("webinar.created", json!({ "object": { "id": 1, "topic": "x" } }));
    assert_eq!(parsed.fetch_requests, []);
}

#[test]
fn default_api_table_uses_account_credentials_grant() {
    let provider = provider("");
    let access = api_of(provider.as_ref()).access();
    let PlatformCredentials::ClientCredentials { token_url, client_id, form, .. } =
        &access.credentials
    else {
        panic!("these are no client credentials");
    };
    assert_eq!(token_url.as_str(), "https://zoom.us/oauth/token");
    assert_eq!(client_id, "cid");
    let form: Vec<(&str, &str)> =
        form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(form, [("grant_type", "account_credentials"), ("account_id", "acc-1")]);
    assert_eq!(access.rate_limit, ApiRateLimit { requests: 10, window: Duration::from_secs(1) });
    assert_eq!(api_of(provider.as_ref()).account().expect("configured").as_str(), "acc-1");
    assert!(!format!("{access:?}").contains("hush"));
}

#[test]
fn api_table_overrides_urls_users_and_rate_limit() {
    let provider = provider(
        ", base_url = 'http://127.0.0.1:9/below/', token_url = 'http://127.0.0.1:9/t', \
         users = ['me'], rate_limit = { requests = 3, window = '2s' }",
    );
    let access = api_of(provider.as_ref()).access();
    assert_eq!(access.rate_limit, ApiRateLimit { requests: 3, window: Duration::from_secs(2) });
    let PlatformCredentials::ClientCredentials { token_url, .. } = &access.credentials else {
        panic!("no client")
    };
    assert_eq!(token_url.as_str(), "http://127.0.0.1:9/t");
    assert_eq!(
        url(next_request(provider.as_ref(), "7", &[])),
        "http://127.0.0.1:9/below/v2/webinars/7?show_previous_occurrences=true"
    );
}

#[test]
fn invalid_api_table_reports_each_key() {
    let wrong = |api: &str| configured(api).expect_err("the configuration is invalid");
    let errors = wrong("");
    for key in ["account_id", "client_id", "client_secret"] {
        assert!(errors.contains(&format!("source.it.api.{key}: is missing")), "{errors}");
    }
    let errors = wrong(&format!("{LEAST}, base_url = 'http://zoom.example', user = ['me']"));
    assert!(errors.contains("source.it.api.base_url"), "{errors}");
    assert!(errors.contains("source.it.api.user: is not a key"), "{errors}");
    let errors = wrong(&LEAST.replace("acc-1", "acc 1"));
    assert!(errors.contains("source.it.api.account_id: has a character"), "{errors}");
    assert!(!errors.contains("hush"), "{errors}");
}

#[test]
fn webinar_fetch_requests_webinar_then_host() {
    let provider = provider("");
    let provider = provider.as_ref();
    let first = next_request(provider, "86420024680", &[]).expect("valid").expect("a request");
    assert_eq!((first.name, first.on_missing), ("webinar", OnMissing::Fail));
    assert_eq!(
        first.url.as_str(),
        "https://api.zoom.us/v2/webinars/86420024680?show_previous_occurrences=true"
    );
    let webinar = ("webinar", r#"{"id":86420024680,"host_id":"a/b c+="}"#);
    let second =
        next_request(provider, "86420024680", &[webinar]).expect("valid").expect("a request");
    assert_eq!((second.name, second.on_missing), ("host", OnMissing::Skip));
    assert_eq!(second.url.as_str(), "https://api.zoom.us/v2/users/a%2Fb%20c+=");
    for host in ["{}", "null"] {
        assert_eq!(next_request(provider, "86420024680", &[webinar, ("host", host)]), Ok(None));
    }
}

#[test]
fn ids_outside_the_api_path_are_never_requested() {
    let provider = provider("");
    let provider = provider.as_ref();
    for webinar in ["..", ".", "1/../users", "q7Wc2nRtS9y", "1?x=1", "%2e%2e", "1#"] {
        assert!(next_request(provider, webinar, &[]).is_err(), "{webinar}");
    }
    for host in ["\"\"", "\"..\"", "\".\"", "5", "null"] {
        let webinar = format!(r#"{{"id":1,"host_id":{host}}}"#);
        assert_eq!(next_request(provider, "1", &[("webinar", &webinar)]), Ok(None), "{host}");
    }
    assert_eq!(next_request(provider, "1", &[("webinar", r#"{"id":1}"#)]), Ok(None));
    assert!(next_request(provider, "1", &[("webinar", "[]")]).is_err());
}

#[test]
fn webhooks_request_fetches_by_what_they_leave_out() {
    let provider = provider("");
    let wanted = |event: &str, payload: Value| {
        let mut body =
            json!({ "event": event, "event_ts": 1_789_207_200_000_i64, "payload": payload });
        if body["payload"].get("account_id").is_none() {
            body["payload"]["account_id"] = ACCOUNT.into();
        }
        let parsed = provider
            .read(&Inbound::from_body(body.to_string().as_bytes()).scrub(provider.as_ref()), &[]);
        parsed
            .fetch_requests
            .iter()
            .map(|FetchRequest { condition: when, .. }| *when)
            .collect::<Vec<_>>()
    };
    let (always, if_uncertain) = (vec![FetchCondition::Always], vec![FetchCondition::IfUncertain]);
    let object = json!({ "object": { "id": 1, "topic": "x", "type": 9 } });
    for event in ["webinar.created", "meeting.converted_to_webinar"] {
        assert_eq!(wanted(event, object.clone()), always, "{event}");
    }
    for event in ["webinar.updated", "webinar.recovered", "webinar.started", "webinar.ended"] {
        assert_eq!(wanted(event, object.clone()), if_uncertain, "{event}");
    }
    let recurrence = json!({ "scope": "all", "object": { "id": 1, "recurrence": { "type": 1 } } });
    assert_eq!(wanted("webinar.updated", recurrence), always);
    for event in ["webinar.deleted", "webinar.permanently_deleted", "webinar.converted_to_meeting"]
    {
        assert_eq!(wanted(event, object.clone()), [], "{event}");
    }
    let one = json!({ "operation": "single", "object": {
        "id": 1, "type": 9, "occurrences": [{ "occurrence_id": "7" }] } });
    assert_eq!(wanted("webinar.deleted", one), if_uncertain);

    let of_zoom_events = json!({ "object": { "event_id": "7", "session_id": "8", "name": "x" } });
    for event in ["zoom_events.event_updated", "zoom_events.session_created"] {
        assert_eq!(wanted(event, of_zoom_events.clone()), [], "{event}");
    }
    let foreign = json!({ "account_id": "acc-2", "object": { "id": 1, "topic": "x" } });
    assert_eq!(wanted("webinar.created", foreign), []);
    let no_number = json!({ "object": { "id": "../users", "topic": "x" } });
    assert_eq!(wanted("webinar.created", no_number), []);
    let no_account = json!({ "account_id": null, "object": { "id": 1, "topic": "x" } });
    assert_eq!(wanted("webinar.created", no_account), always);
}

const SPAN: TimeRange =
    TimeRange { from: Millis::new(1_789_000_000_000), to: Millis::new(1_790_000_000_000) };

fn listed(provider: &dyn Provider, cursor: Option<&str>, page: &Value) -> WebinarPage {
    let page = page.to_string().into_bytes();
    api_of(provider).parse_list(&page, ListQuery { span: SPAN, cursor }).expect("a page")
}

#[test]
fn backfill_lists_each_user_page_by_page() {
    let provider = provider(", users = ['me', 'host+1@example.org']");
    let provider = provider.as_ref();
    let page = |ids: &[u64], next: &str| {
        let webinars: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        json!({ "page_size": 300, "next_page_token": next, "webinars": webinars })
    };
    let pages = [page(&[3, 1, 1], "a:b&c"), page(&[2], ""), page(&[], ""), page(&[9], "")];
    let (mut cursor, mut urls, mut ids) = (None::<String>, Vec::new(), Vec::new());
    for page in pages {
        let url = api_of(provider)
            .list_url(ListQuery { span: SPAN, cursor: cursor.as_deref() })
            .expect("the API lists webinars");
        urls.push(url.to_string());
        let WebinarPage { webinars, next } = listed(provider, cursor.as_deref(), &page);
        ids.extend(webinars.into_iter().map(String::from));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    let query = "include_events_webinar=false&page_size=300";
    assert_eq!(
        urls,
        [
            format!("https://api.zoom.us/v2/users/me/webinars?{query}"),
            format!("https://api.zoom.us/v2/users/me/webinars?{query}&next_page_token=a%3Ab%26c"),
            format!("https://api.zoom.us/v2/users/host+1@example.org/webinars?{query}"),
        ]
    );
    assert_eq!(ids, ["1", "3", "2"]);
}

#[test]
fn backfill_keeps_webinars_that_may_be_in_range() {
    let provider = provider(", users = ['me']");
    let at = |ms: i64| Millis::new(ms).to_string();
    let webinars = json!([
        { "id": 1, "type": 5, "start_time": at(1_788_999_999_000) },
        { "id": 2, "type": 5, "start_time": at(1_789_000_000_000) },
        { "id": 3, "type": 5, "start_time": at(1_789_999_999_000) },
        { "id": 4, "type": 5, "start_time": at(1_790_000_000_000) },
        { "id": 5, "type": 9, "start_time": at(1_700_000_000_000) },
        { "id": 6, "type": 6 },
        { "id": 7, "type": 5 },
    ]);
    let WebinarPage { webinars, next } =
        listed(provider.as_ref(), None, &json!({ "webinars": webinars }));
    let ids: Vec<&str> = webinars.iter().map(WebinarId::as_str).collect();
    assert_eq!(ids, ["2", "3", "5", "6", "7"]);
    assert_eq!(next, None);
}

#[test]
fn unreadable_list_or_cursor_is_an_error() {
    let with_users = provider(", users = ['me']");
    let api = api_of(with_users.as_ref());
    for page in
        ["", "[]", "{}", r#"{"webinars":{}}"#, r#"{"webinars":[{"id":""}]}"#, "{\"webinars\":[{}]}"]
    {
        assert!(
            api.parse_list(page.as_bytes(), ListQuery { span: SPAN, cursor: None }).is_err(),
            "{page}"
        );
    }
    for cursor in ["", "me", "-1:", "x:y"] {
        assert_eq!(api.list_url(ListQuery { span: SPAN, cursor: Some(cursor) }), None, "{cursor}");
        assert!(
            api.parse_list(br#"{"webinars":[]}"#, ListQuery { span: SPAN, cursor: Some(cursor) })
                .is_err(),
            "{cursor}"
        );
    }
    assert_eq!(
        api.list_url(ListQuery { span: SPAN, cursor: Some("1:") }),
        None,
        "no second user is configured"
    );
    let without = provider("");
    assert_eq!(
        api_of(without.as_ref()).list_url(ListQuery { span: SPAN, cursor: None }),
        None,
        "no user is configured"
    );
}

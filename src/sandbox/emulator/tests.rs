use super::*;
use crate::http::simple_server::ResponseFault;

const START: Millis = Millis::new(1_790_000_000_000);
const UPSERT: &str = "/marketing/v3/marketing-events/events/upsert";

fn emulator() -> HubspotEmulator {
    let mut settings = EmulatorSettings::new("pat-made-up");
    settings.rate = (3, Duration::from_secs(10));
    HubspotEmulator::new(settings)
}

fn request(method: &str, path: &str, body: &str) -> SimpleRequest {
    SimpleRequest {
        method: method.into(),
        path: path.into(),
        query: String::new(),
        headers: vec![
            ("authorization".into(), "Bearer pat-made-up".into()),
            ("content-type".into(), "application/json".into()),
        ],
        body: body.into(),
    }
}

fn upsert(inputs: &[Value]) -> SimpleRequest {
    request("POST", UPSERT, &json!({ "inputs": inputs }).to_string())
}

fn event(id: &str, name: &str) -> Value {
    json!({
        "externalAccountId": "acct-7",
        "externalEventId": id,
        "eventName": name,
        "eventOrganizer": "Northwind Talks",
    })
}

fn body(reply: &SimpleResponse) -> Value {
    serde_json::from_slice(&reply.body).expect("JSON")
}

fn header<'a>(reply: &'a SimpleResponse, name: &str) -> Option<&'a str> {
    let found = reply.headers.iter().find(|(present, _)| present.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

fn stored<'a>(emulator: &'a HubspotEmulator, id: &str) -> Option<&'a StoredEvent> {
    emulator.events().get(&("acct-7".to_owned(), id.to_owned()))
}

#[test]
fn upsert_replaces_the_whole_event() {
    let mut emulator = emulator();
    let mut full = event("w-1", "Roots");
    full["eventType"] = json!("WEBINAR");
    full["eventDescription"] = json!("About roots");
    full["eventUrl"] = json!("https://example.org/roots");
    full["startDateTime"] = json!("2026-11-30T13:00:00.5-05:00");
    full["endDateTime"] = json!("2026-11-30T19:00:00Z");
    full["eventCancelled"] = json!(true);
    full["eventCompleted"] = json!(true);
    full["customProperties"] = json!([{ "name": "platform", "value": "none" }]);
    assert_eq!(emulator.handle(START, &upsert(&[full])).status, 200);

    let first = stored(&emulator, "w-1").expect("stored").clone();
    assert_eq!(first.input.start_date_time, Millis::parse("2026-11-30T18:00:00.5Z", None));
    let platform = InputProperty { name: "platform".into(), value: "none".into() };
    assert_eq!(first.input.custom_properties, [platform]);
    assert!(first.input.event_cancelled && first.input.event_completed);

    let later = START.plus(Duration::from_secs(1));
    let reply = emulator.handle(later, &upsert(&[event("w-1", "Branches")]));
    let second = stored(&emulator, "w-1").expect("stored").clone();
    let cleared = StoredEvent {
        object_id: first.object_id.clone(),
        input: serde_json::from_value(event("w-1", "Branches")).expect("valid"),
        created_at: START,
        updated_at: later,
        writes: 2,
    };
    assert_eq!(second.input.start_date_time, None);
    assert!(!second.input.event_cancelled);
    assert_eq!(second, cleared);
    let shown = body(&reply);
    assert_eq!(shown["results"][0]["startDateTime"], Value::Null);
    assert_eq!(shown["results"][0]["eventCancelled"], json!(false));
    assert!(emulator.violations().is_empty());
}

#[test]
fn results_hold_the_event_id_in_another_order() {
    let mut emulator = emulator();
    let reply = emulator.handle(START, &upsert(&[event("a", "A"), event("b", "B")]));
    let answer = body(&reply);
    assert_eq!(answer["status"], "COMPLETE");
    assert_eq!(answer["results"][0]["id"], "b");
    assert_eq!(answer["results"][1]["id"], "a");
    let ids: Vec<_> =
        answer["results"].as_array().expect("list").iter().map(|r| &r["objectId"]).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(answer.get("errors"), None);
    assert_eq!(
        emulator.calls(),
        [EmulatorCall {
            at: START,
            operation: Some(EmulatorOperation::Upsert),
            status: 200,
            inputs: 2
        }]
    );
}

#[test]
fn dated_path_reaches_the_same_events() {
    let mut emulator = emulator();
    let mut dated = upsert(&[event("w-1", "Roots")]);
    dated.path = "/marketing/marketing-events/2026-03/events/upsert".into();
    assert_eq!(emulator.handle(START, &dated).status, 200);
    let mut read = request("GET", "/marketing/v3/marketing-events/events/w%2D1", "");
    read.query = "externalAccountId=acct%2D7".into();
    let reply = emulator.handle(START, &read);
    assert_eq!((reply.status, &body(&reply)["eventName"]), (200, &json!("Roots")));
    assert_eq!(body(&reply)["registrants"], json!(0));
}

#[test]
fn read_needs_both_ids() {
    let mut emulator = emulator();
    emulator.handle(START, &upsert(&[event("w-1", "Roots")]));
    let mut read = request("GET", "/marketing/v3/marketing-events/events/w-1", "");
    assert_eq!(emulator.handle(START, &read).status, 400);
    assert_eq!(emulator.violations().len(), 1);
    read.query = "externalAccountId=other".into();
    let reply = emulator.handle(START, &read);
    assert_eq!((reply.status, &body(&reply)["category"]), (404, &json!("OBJECT_NOT_FOUND")));
}

#[test]
fn single_write_replaces_the_event_and_shows_it() {
    let mut emulator = emulator();
    let put = |path: &str, input: &Value| {
        request("PUT", &format!("/marketing/v3/marketing-events/events/{path}"), &input.to_string())
    };
    let reply = emulator.handle(START, &put("a%2Fb", &event("a/b", "Roots")));
    assert_eq!((reply.status, &body(&reply)["id"]), (200, &json!("a/b")));
    assert_eq!(body(&reply)["eventName"], "Roots");
    let reply = emulator.handle(START, &put("a%2Fb", &event("a/b", "Branches")));
    assert_eq!(body(&reply)["objectId"], stored(&emulator, "a/b").expect("stored").object_id);
    assert_eq!(stored(&emulator, "a/b").expect("stored").writes, 2);
    assert!(emulator.violations().is_empty());
    assert_eq!(emulator.handle(START, &put("other", &event("a/b", "Roots"))).status, 200);
    assert_eq!(emulator.violations().len(), 1, "the path names another event");
    let later = START.plus(Duration::from_hours(1));
    assert_eq!(emulator.handle(later, &put("a", &json!({ "inputs": [] }))).status, 400);
}

#[test]
fn batches_that_do_nothing_leave_single_writes_alone() {
    let mut emulator = emulator();
    emulator.inject_standing(EmulatorFault::NoResults("COMPLETE"));
    let reply = emulator.handle(START, &upsert(&[event("w-1", "Roots")]));
    assert_eq!((reply.status, &body(&reply)["results"]), (200, &json!([])));
    assert_eq!(body(&reply)["status"], "COMPLETE");
    assert!(emulator.events().is_empty());
    let input = event("w-1", "Roots").to_string();
    let put = request("PUT", "/marketing/v3/marketing-events/events/w-1", &input);
    assert_eq!(emulator.handle(START, &put).status, 200);
    assert!(stored(&emulator, "w-1").is_some());
    emulator.inject_standing(EmulatorFault::RejectNames("Roots".into()));
    assert_eq!(emulator.handle(START, &put).status, 400, "other faults concern it too");
}

#[test]
fn every_answer_has_a_date_and_reads_can_be_refused() {
    let mut emulator = emulator();
    emulator.set_read_status(Some(403));
    let mut read = request("GET", "/marketing/v3/marketing-events/events/w-1", "");
    read.query = "externalAccountId=acct-7".into();
    let at = Millis::parse("2026-11-30T09:08:07.9Z", None).expect("a time");
    let refused = emulator.handle(at, &read);
    assert_eq!((refused.status, &body(&refused)["category"]), (403, &json!("MISSING_SCOPES")));
    assert!(body(&refused).to_string().contains("crm.objects.marketing_events.read"));
    let unknown = emulator.handle(at, &request("GET", "/nothing", ""));
    for reply in [&refused, &unknown] {
        let dates = reply.headers.iter().filter(|(name, _)| name == "date");
        let dates: Vec<_> = dates.map(|(_, value)| value.as_str()).collect();
        assert_eq!(dates, ["Mon, 30 Nov 2026 09:08:07 GMT"]);
    }
}

#[test]
fn percent_encoded_id_is_read_back_exactly() {
    let mut emulator = emulator();
    emulator.handle(START, &upsert(&[event("a+b&c=d/e", "Odd")]));
    let mut read = request("GET", "/marketing/v3/marketing-events/events/a+b&c%3Dd%2Fe", "");
    read.query = "externalAccountId=acct-7".into();
    assert_eq!(body(&emulator.handle(START, &read))["externalEventId"], "a+b&c=d/e");
}

#[test]
fn input_against_the_schema_is_refused_and_recorded() {
    let broken = |field: &str, value: Value| {
        let mut input = event("w-1", "Roots");
        input[field] = value;
        json!({ "inputs": [input] }).to_string()
    };
    let without = |field: &str| {
        let mut input = event("w-1", "Roots");
        input.as_object_mut().expect("object").remove(field);
        json!({ "inputs": [input] }).to_string()
    };
    let many: Vec<_> = (0..101).map(|n| event(&format!("w-{n}"), "Roots")).collect();
    let cases = [
        String::new(),
        "[]".into(),
        "{}".into(),
        json!({ "inputs": [] }).to_string(),
        json!({ "inputs": [event("a", "A")], "more": 1 }).to_string(),
        format!("{} x", json!({ "inputs": [event("a", "A")] })),
        json!({ "inputs": many }).to_string(),
        json!({ "inputs": [event("a", "A"), event("a", "B")] }).to_string(),
        without("externalAccountId"),
        without("externalEventId"),
        without("eventName"),
        without("eventOrganizer"),
        broken("eventName", json!(7)),
        broken("eventType", Value::Null),
        broken("eventCancelled", json!("true")),
        broken("startDateTime", json!(1_790_000_000_000_i64)),
        broken("startDateTime", json!("2026-11-30")),
        broken("startDateTime", json!("2026-11-30T13:00:00")),
        broken("startDateTime", json!("2026-11-30 13:00:00Z")),
        broken("startDateTime", json!("2026-11-31T13:00:00Z")),
        broken("endDateTime", json!("2026-11-30T13:00:00.Z")),
        broken("endDateTime", json!("2026-11-30T13:00:00+01")),
        broken("eventStartTime", json!("2026-11-30T13:00:00Z")),
        broken("customProperties", json!({ "platform": "none" })),
        broken("customProperties", json!([{ "name": "platform" }])),
        broken("customProperties", json!([{ "name": "platform", "value": 3 }])),
        broken("customProperties", json!([{ "name": "a", "value": "b", "sourceVid": [] }])),
    ];
    for case in cases {
        let mut emulator = emulator();
        let reply = emulator.handle(START, &request("POST", UPSERT, &case));
        assert_eq!(
            (reply.status, &body(&reply)["category"]),
            (400, &json!("VALIDATION_ERROR")),
            "{case}"
        );
        assert_eq!(emulator.violations().len(), 1, "{case}: {:?}", emulator.violations());
        assert!(emulator.events().is_empty(), "{case}");
    }
}

#[test]
fn schema_violation_names_its_place() {
    let mut emulator = emulator();
    let mut input = event("b", "B");
    input["eventUrl"] = json!(5);
    emulator.handle(START, &upsert(&[event("a", "A"), input]));
    let violation = emulator.violations().first().expect("one");
    assert!(violation.contains("inputs[1].eventUrl"), "{violation}");
}

#[test]
fn shared_event_id_of_two_accounts_is_stored_and_recorded() {
    let mut emulator = emulator();
    let mut other = event("w-1", "Roots");
    other["externalAccountId"] = json!("acct-8");
    assert_eq!(emulator.handle(START, &upsert(&[event("w-1", "Roots"), other])).status, 200);
    assert_eq!(emulator.violations().len(), 1);
    assert_eq!(emulator.events().len(), 2);
}

#[test]
fn rate_limit_window_rolls() {
    let mut emulator = emulator();
    let at = |ms: u64| START.plus(Duration::from_millis(ms));
    let mut call = |ms: u64| {
        let reply = emulator.handle(at(ms), &upsert(&[event("w-1", "Roots")]));
        (reply.status, header(&reply, "X-HubSpot-RateLimit-Remaining").map(str::to_owned), reply)
    };
    for (ms, left) in [(0, "2"), (4_000, "1"), (8_000, "0")] {
        let (status, remaining, reply) = call(ms);
        assert_eq!((status, remaining.as_deref()), (200, Some(left)));
        assert_eq!(header(&reply, "X-HubSpot-RateLimit-Max"), Some("3"));
        assert_eq!(header(&reply, "X-HubSpot-RateLimit-Interval-Milliseconds"), Some("10000"));
    }
    let (status, _, reply) = call(9_999);
    assert_eq!((status, &body(&reply)["policyName"]), (429, &json!("TEN_SECONDLY_ROLLING")));
    assert_eq!(body(&reply)["errorType"], "RATE_LIMIT");
    assert_eq!(header(&reply, "X-HubSpot-RateLimit-Remaining"), Some("0"));
    assert_eq!(
        call(10_000).0,
        200,
        "the first call left the window; the refused one never entered it"
    );
    assert_eq!(call(13_999).0, 429);
    assert_eq!(call(14_000).0, 200);
}

#[test]
fn daily_limit_is_enforced_apart_from_the_window() {
    let mut emulator = emulator();
    emulator.set_daily_limit(Some(1));
    let reply = emulator.handle(START, &upsert(&[event("w-1", "Roots")]));
    assert_eq!(header(&reply, "X-HubSpot-RateLimit-Daily-Remaining"), Some("0"));
    let reply = emulator.handle(START, &upsert(&[event("w-1", "Roots")]));
    assert_eq!((reply.status, &body(&reply)["policyName"]), (429, &json!("DAILY")));
    emulator.set_daily_limit(None);
    assert_eq!(emulator.handle(START, &upsert(&[event("w-1", "Roots")])).status, 200);
}

#[test]
fn unknown_token_is_refused() {
    let mut emulator = emulator();
    for value in [None, Some("Basic pat-made-up"), Some("Bearer pat-other"), Some("pat-made-up")] {
        let mut unknown = upsert(&[event("w-1", "Roots")]);
        unknown.headers.remove(0);
        unknown.headers.extend(value.map(|value| ("Authorization".to_owned(), value.to_owned())));
        let reply = emulator.handle(START, &unknown);
        assert_eq!(
            (reply.status, &body(&reply)["category"]),
            (401, &json!("INVALID_AUTHENTICATION"))
        );
    }
    assert!(emulator.events().is_empty());
    assert_eq!(emulator.handle(START, &request("GET", "/account-info/v3/details", "")).status, 200);
}

fn with_oauth(rotate: bool) -> HubspotEmulator {
    let mut settings = EmulatorSettings::new("pat-made-up");
    settings.oauth = Some(OAuthApp {
        client_id: "app-1".into(),
        client_secret: "hush".into(),
        refresh_token: "first".into(),
        token_lifetime: Duration::from_mins(30),
        rotate,
    });
    HubspotEmulator::new(settings)
}

fn refresh(emulator: &mut HubspotEmulator, now: Millis, token: &str) -> SimpleResponse {
    let form = format!(
        "grant_type=refresh_token&refresh_token={token}&client_id=app-1&client_secret=hush"
    );
    let mut request = request("POST", "/oauth/2026-03/token", &form);
    request.headers =
        vec![("Content-Type".into(), "application/x-www-form-urlencoded; charset=utf-8".into())];
    emulator.handle(now, &request)
}

#[test]
fn access_token_expires_after_its_lifetime() {
    let mut emulator = with_oauth(false);
    let granted = body(&refresh(&mut emulator, START, "first"));
    assert_eq!(granted["expires_in"], json!(1_800));
    let token = granted["access_token"].as_str().expect("text");
    let mut call = upsert(&[event("w-1", "Roots")]);
    call.headers[0].1 = format!("Bearer {token}");
    assert_eq!(emulator.handle(START.plus(Duration::from_secs(1_799)), &call).status, 200);
    let reply = emulator.handle(START.plus(Duration::from_secs(1_875)), &call);
    assert_eq!((reply.status, &body(&reply)["category"]), (401, &json!("EXPIRED_AUTHENTICATION")));
    let message = body(&reply)["message"].to_string();
    assert!(message.contains("expired 75 second(s) ago"), "{message}");
    assert!(emulator.violations().is_empty(), "{:?}", emulator.violations());
}

#[test]
fn rotated_refresh_token_replaces_the_old_one() {
    let mut emulator = with_oauth(true);
    let granted = body(&refresh(&mut emulator, START, "first"));
    let next = granted["refresh_token"].as_str().expect("text").to_owned();
    let reply = refresh(&mut emulator, START, "first");
    assert_eq!((reply.status, &body(&reply)["status"]), (400, &json!("BAD_REFRESH_TOKEN")));
    assert_eq!(body(&reply)["error"], "invalid_grant");
    assert_eq!(refresh(&mut emulator, START, &next).status, 200);

    let mut kept = with_oauth(false);
    assert_eq!(body(&refresh(&mut kept, START, "first"))["refresh_token"], "first");
    assert_eq!(refresh(&mut kept, START, "first").status, 200);
}

#[test]
fn unknown_path_or_method_is_refused_and_recorded() {
    for (method, path, status) in [
        ("GET", UPSERT, 405),
        ("PATCH", "/marketing/v3/marketing-events/events/w-1", 405),
        ("GET", "/marketing/v3/marketing-events/w-1", 404),
        ("GET", "/marketing/v3/marketing-events/events/", 404),
        ("GET", "/marketing/v4/marketing-events/events/w-1", 404),
    ] {
        let mut emulator = emulator();
        let reply = emulator.handle(START, &request(method, path, ""));
        assert_eq!((reply.status, &body(&reply)["status"]), (status, &json!("error")), "{path}");
        assert_eq!(emulator.violations().len(), 1, "{path}");
    }
}

#[test]
fn injected_fault_affects_one_call() {
    let mut emulator = emulator();
    emulator.inject(EmulatorFault::Status { status: 502, retry_after: None });
    emulator.inject(EmulatorFault::Status { status: 477, retry_after: Some(3_600) });
    let batch = upsert(&[event("w-1", "Roots")]);
    let page = emulator.handle(START, &batch);
    assert_eq!((page.status, header(&page, "Content-Type")), (502, Some("text/html")));
    let moved = emulator.handle(START, &batch);
    assert_eq!((moved.status, header(&moved, "Retry-After")), (477, Some("3600")));
    assert!(emulator.events().is_empty());
    assert_eq!(emulator.handle(START, &batch).status, 200);
}

#[test]
fn standing_fault_affects_matching_calls_until_cleared() {
    let mut settings = EmulatorSettings::new("pat-made-up");
    settings.rate.0 = 1_000;
    let mut emulator = HubspotEmulator::new(settings);
    emulator.inject_standing(EmulatorFault::RejectNames("thorn".into()));
    let mixed = upsert(&[event("a", "rose"), event("b", "a thorn")]);
    for _ in 0..2 {
        let reply = emulator.handle(START, &mixed);
        assert_eq!(reply.status, 400);
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(!text.contains("thorn") && !text.contains("\"b\""), "{text}");
        assert!(emulator.events().is_empty());
    }
    assert_eq!(emulator.handle(START, &upsert(&[event("a", "rose")])).status, 200);
    emulator.clear_faults();
    assert_eq!(emulator.handle(START, &mixed).status, 200);
    assert!(emulator.violations().is_empty());
}

#[test]
fn partial_errors_store_the_rest() {
    for identified in [true, false] {
        let mut emulator = emulator();
        emulator.inject(EmulatorFault::PartialErrors { name: "thorn".into(), identified });
        let reply = emulator.handle(START, &upsert(&[event("a", "rose"), event("b", "thorn")]));
        let answer = body(&reply);
        assert_eq!((reply.status, &answer["status"]), (207, &json!("COMPLETE")));
        assert_eq!(answer["numErrors"], json!(1));
        assert_eq!(answer["results"].as_array().map(Vec::len), Some(1));
        let named = answer["errors"].to_string().contains("\"b\"");
        assert_eq!(named, identified);
        assert!(stored(&emulator, "a").is_some() && stored(&emulator, "b").is_none());
    }
}

#[test]
fn empty_results_store_nothing() {
    let mut emulator = emulator();
    emulator.inject(EmulatorFault::NoResults("COMPLETE"));
    let reply = emulator.handle(START, &upsert(&[event("a", "rose")]));
    assert_eq!((reply.status, &body(&reply)["results"]), (200, &json!([])));
    assert!(emulator.events().is_empty());
}

#[test]
fn missing_scopes_are_named() {
    let mut emulator = emulator();
    emulator.inject(EmulatorFault::Status { status: 403, retry_after: None });
    let reply = emulator.handle(START, &upsert(&[event("a", "rose")]));
    assert_eq!((reply.status, &body(&reply)["category"]), (403, &json!("MISSING_SCOPES")));
}

#[test]
fn lost_reply_may_have_been_stored() {
    for stored in [true, false] {
        let mut emulator = emulator();
        emulator.inject(EmulatorFault::Transport { fault: ResponseFault::Reset, stored });
        let reply = emulator.handle(START, &upsert(&[event("a", "rose")]));
        assert_eq!(reply.fault, Some(ResponseFault::Reset));
        assert_eq!(emulator.events().len(), usize::from(stored));
        assert_eq!(emulator.handle(START, &upsert(&[event("a", "rose")])).fault, None);
    }
}

#[test]
fn failed_upsert_may_be_stored_later() {
    let mut emulator = emulator();
    let reply = Box::new(EmulatorFault::Status { status: 504, retry_after: None });
    emulator.inject(EmulatorFault::StoredLater { after: Duration::from_mins(1), reply });
    assert_eq!(emulator.handle(START, &upsert(&[event("a", "rose")])).status, 504);
    let (later, landed) = (START.plus(Duration::from_secs(59)), START.plus(Duration::from_mins(1)));
    assert_eq!(emulator.handle(later, &upsert(&[event("a", "thorn")])).status, 200);
    assert_eq!(emulator.store_landed(later), Some(landed));
    assert_eq!(stored(&emulator, "a").map(|event| event.input.event_name.as_str()), Some("thorn"));
    assert_eq!(emulator.store_landed(landed), None);
    let held = stored(&emulator, "a").expect("stored");
    assert_eq!((held.input.event_name.as_str(), held.updated_at), ("rose", landed));
}

#[test]
fn fewer_results_store_fewer_events() {
    let mut emulator = emulator();
    emulator.inject(EmulatorFault::FewerResults);
    let reply = emulator.handle(START, &upsert(&[event("a", "rose"), event("b", "thorn")]));
    assert_eq!(body(&reply)["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(body(&reply)["status"], json!("COMPLETE"));
    assert!(stored(&emulator, "a").is_some() && stored(&emulator, "b").is_none());
}

#[test]
fn injected_batch_status_web_page_and_limit_are_returned() {
    let mut emulator = emulator();
    emulator.inject(EmulatorFault::NoResults("PROCESSING"));
    emulator.inject(EmulatorFault::HtmlPage(400));
    emulator.inject(EmulatorFault::Limited { policy: Some("SECONDLY"), retry_after: Some(7) });
    let one = upsert(&[event("a", "rose")]);
    assert_eq!(body(&emulator.handle(START, &one))["status"], json!("PROCESSING"));
    let page = emulator.handle(START, &one);
    assert_eq!((page.status, header(&page, "Content-Type")), (400, Some("text/html")));
    let limited = emulator.handle(START, &one);
    assert_eq!((limited.status, header(&limited, "Retry-After")), (429, Some("7")));
    assert_eq!(body(&limited)["policyName"], json!("SECONDLY"));
    assert!(emulator.events().is_empty());
}

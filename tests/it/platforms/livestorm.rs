//! Livestorm: webhooks with few fields, each of which causes a fetch from the API.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::platform_server::PlatformServer;

use super::{check_errors, fetched_and_settled, open_api, send, status_of};
use crate::harness::http::{request, scrape};
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{seconds, with};

const SECRET: &str = "livestorm-secret-of-the-tests";
const TOKEN: &str = "livestorm-token-of-the-tests";
const ACCOUNT: &str = "acme-on-livestorm";
const HOUR: i64 = 3_600;

/// A Livestorm source that fetches from this API.
fn setting(api: &PlatformServer) -> Setting {
    api.limit(5, std::time::Duration::from_secs(1));
    Setting::new(&format!(
        "[source.livestorm]\nprovider = \"livestorm\"\nsecret = \"{SECRET}\"\n\
         external_account_id = \"{ACCOUNT}\"\n\
         api = {{ token = \"{TOKEN}\", base_url = \"{}\" }}\n",
        api.base_url()
    ))
}

/// The documented header: the seconds and the hexadecimal SHA-256 of seconds, secret and body.
fn signed(body: &[u8], secret: &str, at: i64) -> Vec<(String, String)> {
    let hash = Sha256::digest([at.to_string().as_bytes(), secret.as_bytes(), body].concat());
    vec![("X-Livestorm-Signature".to_owned(), format!("{at},{}", hex::encode(hash)))]
}

async fn send_signed(bridge: &Bridge, resource: Value) -> String {
    let body = json!({ "data": resource }).to_string().into_bytes();
    send(bridge, "livestorm", &signed(&body, SECRET, seconds()), &body).await
}

fn event(title: &str, updated_at: i64) -> Value {
    json!({ "id": "e-1", "type": "events", "attributes": {
        "title": title, "description": "All about it.", "estimated_duration": 45,
        "registration_link": "https://livestorm.example/p/e-1", "updated_at": updated_at,
        "owner": { "id": "u-1", "type": "people", "attributes": {
            "first_name": "Olga", "last_name": "Beispiel", "email": "olga@mail.example",
        } },
    } })
}

fn session(id: &str, status: &str, start: i64, updated_at: i64, more: Value) -> Value {
    let attributes = json!({
        "event_id": "e-1", "status": status, "estimated_started_at": start, "started_at": 0, "ended_at": 0,
        "canceled_at": 0, "updated_at": updated_at, "created_at": seconds() - 600,
        "breakout_room_parent_session_id": null,
    });
    json!({ "id": id, "type": "sessions", "attributes": with(attributes, more) })
}

fn answer_event(api: &PlatformServer, event: &Value) {
    api.answer("/v1/events/e-1", json!({ "data": event }));
}

fn answer_session(api: &PlatformServer, session: &Value) {
    let id = session["id"].as_str().expect("an id");
    api.answer(&format!("/v1/sessions/{id}"), json!({ "data": session }));
}

fn answer_session_pages(api: &PlatformServer, pages: &[&[&Value]]) {
    for (number, sessions) in pages.iter().enumerate() {
        let next = if number + 1 < pages.len() { json!(number + 1) } else { json!(null) };
        api.answer(
            &format!("/v1/events/e-1/sessions?page%5Bnumber%5D={number}&page%5Bsize%5D=50"),
            json!({ "data": sessions, "meta": { "current_page": number, "next_page": next } }),
        );
    }
}

fn at(seconds: i64) -> Millis {
    Millis::new(seconds * 1_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_lifecycle_is_fetched_and_delivered() {
    let api = open_api("authorization", TOKEN);
    let setting = setting(&api);
    let bridge = setting.start();
    let (now, none) = (seconds(), json!({}));
    let (start, later) = (now + HOUR, now + 48 * HOUR);

    // A draft is stored and not delivered.
    let draft = session("s-1", "draft", start, now - 500, none.clone());
    answer_event(&api, &event("Working title", now - 500));
    answer_session(&api, &draft);
    assert_eq!(send_signed(&bridge, draft).await, "accepted");
    fetched_and_settled(&bridge, "livestorm").await;
    assert_eq!(scrape(&bridge.ops).await.events("main", "incomplete"), 1);
    assert!(setting.held_of(ACCOUNT).is_empty());

    // After publication, both sessions are delivered as the API shows them, each on a page of the list.
    let published = event("Compost for all", now - 400);
    let first = session("s-1", "upcoming", start, now - 400, none.clone());
    let second = session("s-2", "upcoming", later, now - 400, none.clone());
    answer_event(&api, &published);
    answer_session_pages(&api, &[&[&first], &[&second]]);
    assert_eq!(send_signed(&bridge, published).await, "accepted");
    fetched_and_settled(&bridge, "livestorm").await;
    let held = setting.held_of(ACCOUNT);
    assert_eq!(held.keys().collect::<Vec<_>>(), ["s-1", "s-2"]);
    let first = &held["s-1"];
    assert_eq!(
        (first.input.event_name.as_str(), first.input.event_organizer.as_str()),
        ("Compost for all", "Olga Beispiel")
    );
    assert_eq!(first.input.event_description.as_deref(), Some("All about it."));
    assert_eq!(first.input.event_url.as_deref(), Some("https://livestorm.example/p/e-1"));
    assert_eq!(first.input.event_type.as_deref(), Some("WEBINAR"));
    assert_eq!(
        (first.input.start_date_time, first.input.end_date_time),
        (Some(at(start)), Some(at(start + 45 * 60)))
    );
    assert_eq!((first.input.event_cancelled, first.input.event_completed), (false, false));
    assert_eq!(held["s-2"].input.start_date_time, Some(at(later)));

    // No webhook reports an edit. The next webhook brings it.
    let started = session("s-1", "live", now - 20, now - 10, json!({ "started_at": now - 10 }));
    answer_event(&api, &event("Compost for everyone", now - 300));
    answer_session(&api, &started);
    send_signed(&bridge, started).await;
    fetched_and_settled(&bridge, "livestorm").await;
    let first = &setting.held_of(ACCOUNT)["s-1"];
    assert_eq!(
        (first.input.event_name.as_str(), first.input.start_date_time),
        ("Compost for everyone", Some(at(now - 20)))
    );
    assert!(!first.input.event_completed);

    // No webhook reports a cancellation either.
    let cancelled = session("s-2", "canceled", later, now - 5, json!({ "canceled_at": now - 5 }));
    let published = event("Compost for everyone", now - 4);
    let live = session("s-1", "live", now - 20, now - 10, json!({ "started_at": now - 10 }));
    answer_event(&api, &published);
    answer_session_pages(&api, &[&[&live, &cancelled]]);
    send_signed(&bridge, published).await;
    fetched_and_settled(&bridge, "livestorm").await;
    let held = setting.held_of(ACCOUNT);
    assert_eq!(
        (held["s-1"].input.event_cancelled, held["s-2"].input.event_cancelled),
        (false, true)
    );

    let ended = session(
        "s-1",
        "past",
        now - 20,
        now - 1,
        json!({ "started_at": now - 10, "ended_at": now - 1 }),
    );
    answer_session(&api, &ended);
    assert_eq!(send_signed(&bridge, ended.clone()).await, "accepted");
    assert_eq!(send_signed(&bridge, ended.clone()).await, "duplicate");
    fetched_and_settled(&bridge, "livestorm").await;
    let held = setting.held_of(ACCOUNT);
    assert_eq!(
        (held["s-1"].input.event_completed, held["s-1"].input.end_date_time),
        (true, Some(at(now - 1)))
    );
    assert_eq!(
        (held["s-1"].input.event_cancelled, held["s-2"].input.event_completed),
        (false, false)
    );

    // An operator requests a fetch of the event with all its sessions.
    answer_event(&api, &event("Compost, a look back", now));
    answer_session_pages(&api, &[&[&ended, &cancelled]]);
    let fetch = "POST /api/v1/sources/livestorm/webinars/event:e-1/fetch";
    let answer = request(&bridge.ops, fetch, &[], &[]).await.expect("the request is answered");
    assert_eq!(answer.status, 200);
    fetched_and_settled(&bridge, "livestorm").await;
    assert_eq!(setting.held_of(ACCOUNT)["s-1"].input.event_name, "Compost, a look back");

    // The API accepted every call: credentials and rate were right.
    let calls = api.calls();
    assert!(calls.iter().all(|call| call.status == 200), "{calls:?}");
    assert_eq!(calls.len(), 2 + 3 + 2 + 2 + 2 + 2, "{calls:?}");
    api.close();
    assert_eq!(setting.reads(), 0, "M19: it was created under the bridge's eyes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsigned_webhook_is_refused_and_causes_no_fetch() {
    let api = open_api("authorization", TOKEN);
    let setting = setting(&api);
    let bridge = setting.start();
    let body =
        json!({ "data": session("s-9", "upcoming", seconds() + HOUR, seconds(), json!({})) });
    let text = body.to_string().into_bytes();
    let now = seconds();
    let mut twice = signed(&text, SECRET, now);
    twice.extend(signed(&text, SECRET, now));
    for headers in [
        vec![],
        twice,
        signed(&text, "another secret", now),
        signed(b"another body", SECRET, now),
        signed(&text, SECRET, now - 30 * HOUR),
        signed(&text, SECRET, now + 30 * HOUR),
    ] {
        assert_eq!(status_of(&bridge, "livestorm", &headers, &text).await, 401, "{headers:?}");
    }
    let people =
        json!({ "id": "p-1", "type": "people", "attributes": { "email": "guest@mail.example" } });
    assert_eq!(send_signed(&bridge, people).await, "ignored");
    let old_format = json!({ "event_name": "webinar.started", "webinar": { "identify": "w-1" } });
    let text = old_format.to_string().into_bytes();
    let outcome = send(&bridge, "livestorm", &signed(&text, SECRET, now), &text).await;
    assert_eq!(outcome, "quarantined");
    fetched_and_settled(&bridge, "livestorm").await;
    assert_eq!(api.calls(), []);
    assert!(setting.held_of(ACCOUNT).is_empty());
    api.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfill_delivers_sessions_in_range() {
    let api = open_api("authorization", TOKEN);
    let setting = setting(&api);
    let day = |text: &str| Millis::parse(text, None).expect("a time").get() / 1_000;
    let (from, to) = (day("2026-04-01T00:00:00Z"), day("2026-05-01T00:00:00Z"));
    let ended = json!({ "ended_at": from + 2 * HOUR });
    let past = session("s-5", "past", from + HOUR, from + 2 * HOUR, ended);
    let room = session(
        "s-6",
        "past",
        from + HOUR,
        from,
        json!({ "breakout_room_parent_session_id": "s-5" }),
    );
    let never = session("s-7", "past_not_started", from + 30 * HOUR, from, json!({}));
    answer_event(&api, &event("Spring cleaning", from - HOUR));
    answer_session(&api, &past);
    answer_session(&api, &never);
    let list = |number: u8| {
        format!(
            "/v1/sessions?page%5Bnumber%5D={number}&page%5Bsize%5D=50\
             &filter%5Bdate_from%5D={from}&filter%5Bdate_to%5D={to}"
        )
    };
    api.answer(&list(0), json!({ "data": [past, room], "meta": { "next_page": 1 } }));
    api.answer(&list(1), json!({ "data": [never], "meta": { "next_page": null } }));

    let span = ["--from", "2026-04-01", "--to", "2026-05-01"];
    let (code, output) =
        setting.run(&[&["backfill", "--source", "livestorm"][..], &span].concat()).await;
    assert_eq!(code, Some(0), "{output}");
    let bridge = setting.start();
    fetched_and_settled(&bridge, "livestorm").await;
    let held = setting.held_of(ACCOUNT);
    assert_eq!(held.keys().collect::<Vec<_>>(), ["s-5", "s-7"]);
    assert_eq!(
        (held["s-5"].input.event_completed, held["s-7"].input.event_completed),
        (true, false)
    );
    assert_eq!(held["s-5"].input.end_date_time, Some(at(from + 2 * HOUR)));
    let calls = api.calls();
    assert!(calls.iter().all(|call| call.status == 200), "{calls:?}");
    api.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfill_with_looping_pages_fails() {
    let api = open_api("authorization", TOKEN);
    let setting = setting(&api);
    let (from, to) = (1_775_001_600, 1_777_593_600);
    for (number, next) in [(0, 1), (1, 2), (2, 1)] {
        let list = format!(
            "/v1/sessions?page%5Bnumber%5D={number}&page%5Bsize%5D=50\
             &filter%5Bdate_from%5D={from}&filter%5Bdate_to%5D={to}"
        );
        api.answer(&list, json!({ "data": [], "meta": { "next_page": next } }));
    }
    let span = ["--from", "2026-04-01", "--to", "2026-05-01"];
    let args = [&["backfill", "--source", "livestorm"][..], &span].concat();
    let limit = std::time::Duration::from_secs(30);
    let ended = tokio::time::timeout(limit, setting.run(&args)).await;
    let (code, output) = ended.expect("the backfill ends");
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("the platform's list has no end"), "{output}");
    assert_eq!(api.calls().len(), 3, "{:?}", api.calls());
    api.close();
}

#[tokio::test]
async fn source_without_api_fails_check() {
    let errors_of = async |lines: &str| {
        let source =
            format!("[source.livestorm]\nprovider = \"livestorm\"\nsecret = \"x\"\n{lines}\n");
        check_errors(&source).await
    };
    let errors = errors_of("").await;
    assert!(errors.contains("source.livestorm.external_account_id: is missing"), "{errors}");
    assert!(errors.contains("source.livestorm.api: is missing"), "{errors}");
    let errors = errors_of("external_account_id = \"a\"\napi = { tokn = \"x\" }").await;
    assert!(errors.contains("source.livestorm.api.token: is missing"), "{errors}");
    assert!(errors.contains("source.livestorm.api.tokn: "), "{errors}");
    let plain_http =
        "external_account_id = \"a\"\napi = { token = \"x\", base_url = \"http://api.example\" }";
    let errors = errors_of(plain_http).await;
    assert!(errors.contains("source.livestorm.api.base_url: "), "{errors}");
}

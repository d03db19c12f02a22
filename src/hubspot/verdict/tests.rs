mod edges;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::hubspot::{AccountErrorKind, RateLimitPolicy};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/hubspot/", $name))
    };
}

const IDS: [&str; 3] = ["83107745521-1801647000000", "83107745521", "wbn-7041"];

fn sent(ids: &[&'static str]) -> Vec<BatchItem<'static>> {
    ids.iter().map(|id| BatchItem { external_event_id: id, input: b"{}" }).collect()
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> HttpResponse {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    HttpResponse { status, headers, body: body.as_bytes().to_vec() }
}

fn judged(ids: &[&'static str], status: u16, body: &str) -> Verdict {
    judge(&sent(ids), Ok(&answer(status, &[], body)))
}

fn confirmed(object_id: Option<&str>) -> ItemVerdict {
    ItemVerdict::Confirmed { object_id: object_id.map(str::to_owned) }
}

/// Each item's verdict in one letter: confirmed, refused, silent, open (`?`), under way (`~`).
fn letters(verdict: &Verdict) -> String {
    let Verdict::Items(items) = verdict else { panic!("{verdict:?}") };
    items
        .iter()
        .map(|item| match item {
            ItemVerdict::Confirmed { .. } => 'c',
            ItemVerdict::Refused(_) => 'r',
            ItemVerdict::Unconfirmed { reason: Unconfirmed::NoResult, .. } => 's',
            ItemVerdict::Unconfirmed { reason: Unconfirmed::Unfinished, .. } => '?',
            ItemVerdict::InProgress { .. } => '~',
        })
        .collect()
}

fn trouble(verdict: Verdict) -> AccountError {
    match verdict {
        Verdict::Account(trouble) => trouble,
        Verdict::Items(_) | Verdict::Split(_) => panic!("{verdict:?}"),
    }
}

#[test]
fn all_results_and_no_errors_confirm_all_and_ids_are_never_matched_by_order() {
    for status in [200, 201, 207] {
        let verdict = judged(&IDS, status, fixture!("upsert_complete.json"));
        let ids = ["700310020001", "700310020002", "700310020003"];
        assert_eq!(verdict, Verdict::Items(ids.map(|id| confirmed(Some(id))).into()));
    }
    let verdict = judged(&IDS, 200, fixture!("upsert_complete_crm_ids.json"));
    assert_eq!(verdict, Verdict::Items(vec![confirmed(None); 3]));
}

#[test]
fn a_2xx_is_read_item_by_item() {
    const TWICE: &str =
        r#"{"results":[{"id":"wbn-7041"},{"id":"83107745521"},{"id":"83107745521"}]}"#;
    const STRANGER: &str =
        r#"{"results":[{"id":"wbn-7041"},{"id":"83107745521"},{"id":"strange"}]}"#;
    let two = r#"{"results":[{"id":"wbn-7041"},{"id":"83107745521"}]}"#;
    let strange = r#"{"results":[{"id":"a"},{"id":"b"},{"id":"wbn-7041"},{"id":"d"}]}"#;
    let table = [
        ("a context names it", fixture!("upsert_partial_context.json"), "ccr"),
        ("a message names it", fixture!("upsert_partial_message.json"), "c?r"),
        ("nobody is named", fixture!("upsert_partial_nameless.json"), "???"),
        ("not of the validating kind", fixture!("upsert_partial_internal.json"), "cc?"),
        ("not done", fixture!("upsert_pending.json"), "~~~"),
        ("fewer results", two, "scc"),
        ("more results", strange, "ssc"),
        ("nothing", "{}", "sss"),
        ("an unknown status", r#"{"status":"HALF","results":[{},{},{}]}"#, "~~~"),
        ("given up", r#"{"status":"CANCELED","results":[{},{},{}]}"#, "???"),
        ("errors by number only", r#"{"numErrors":1,"results":[{},{},{}]}"#, "???"),
        ("an odd error", r#"{"errors":[1],"results":[{},{},{}]}"#, "???"),
        ("results of null", r#"{"results":null}"#, "sss"),
        ("an odd result is none", r#"{"results":[1,"x",null]}"#, "sss"),
        ("results that tell nothing count", r#"{"results":[{},{},{}]}"#, "ccc"),
        ("a null is no result", r#"{"results":[{"id":"wbn-7041"},null,null]}"#, "ssc"),
        ("one twice", TWICE, "scc"),
        ("one of nobody's twice", r#"{"results":[{"id":"7"},{"id":"7"},{"id":"8"}]}"#, "sss"),
        ("two, and one of nobody's", STRANGER, "scc"),
    ];
    for (name, body, expected) in table {
        for status in [200, 207] {
            assert_eq!(letters(&judged(&IDS, status, body)), expected, "{name}");
        }
    }
}

#[test]
fn an_items_refusal_holds_hubspots_words() {
    let Verdict::Items(items) = judged(&IDS, 207, fixture!("upsert_partial_context.json")) else {
        panic!("items")
    };
    let refusal = EventRefusal {
        status: 207,
        category: "VALIDATION_ERROR".to_owned(),
        message: "Property values were not valid".to_owned(),
        correlation_id: None,
    };
    assert_eq!(items[2], ItemVerdict::Refused(refusal));
}

#[test]
fn an_id_is_named_whole_or_not_at_all() {
    let judged = |message: &str| {
        let body = serde_json::json!({
            "numErrors": 1,
            "errors": [{"category": "VALIDATION_ERROR", "message": message}],
        });
        letters(&judge(&sent(&IDS), Ok(&answer(200, &[], &body.to_string()))))
    };
    let table = [
        ("event 83107745521: no name", "?r?"),
        ("event 83107745521-1801647000000.", "r??"),
        ("[83107745521]", "?r?"),
        ("event 8310774552", "???"),
        ("event 831077455210", "???"),
        ("83107745521 clashes with wbn-7041", "???"),
        ("", "???"),
    ];
    for (message, expected) in table {
        assert_eq!(judged(message), expected, "{message}");
    }
}

#[test]
fn ids_like_words_or_small_numbers_are_not_looked_for() {
    let body = r#"{"errors":[{"category":"VALIDATION_ERROR",
        "message":"eventName: at most 250 characters","context":{"limit":["250"]}}]}"#;
    assert_eq!(letters(&judged(&["250", "eventName"], 200, body)), "??");
}

#[test]
fn an_event_both_confirmed_and_refused_is_unclear() {
    let body = r#"{"results":[{"id":"wbn-7041"}],
        "errors":[{"category":"VALIDATION_ERROR","message":"wbn-7041"}]}"#;
    assert_eq!(letters(&judged(&IDS, 200, body)), "???");
}

#[test]
fn two_events_of_one_id_are_not_confirmed_by_it() {
    let body = r#"{"results":[{"id":"wbn-7041"}]}"#;
    assert_eq!(letters(&judged(&["wbn-7041", "wbn-7041"], 200, body)), "ss");
}

#[test]
fn errors_about_a_single_event_are_its_own() {
    let body = fixture!("upsert_partial_nameless.json");
    let alone = body.replace("700310020001", "x1");
    assert_eq!(letters(&judged(&["wbn-7041"], 200, &alone)), "r");
}

#[test]
fn what_a_batch_is_refused_for_is_split_and_a_single_is_refused() {
    let invalid = fixture!("invalid_400.json");
    for status in [400, 413, 422] {
        let cause = if status == 413 { SplitReason::WholeBatch } else { SplitReason::BadEvent };
        assert_eq!(judged(&IDS, status, invalid), Verdict::Split(cause));
        assert_eq!(judged(&IDS, status, ""), Verdict::Split(cause));
        let refusal = EventRefusal {
            status,
            category: "VALIDATION_ERROR".to_owned(),
            message: "Invalid input JSON on line 1, column 88: \
                      Cannot deserialize value of type `java.time.OffsetDateTime`"
                .to_owned(),
            correlation_id: Some("3c1f0a52-6a7e-4c0b-8d53-0f6b1a6c9e21".to_owned()),
        };
        let single = Verdict::Items(vec![ItemVerdict::Refused(refusal)]);
        assert_eq!(judged(&IDS[..1], status, invalid), single);
    }
    assert_eq!(letters(&judged(&IDS[..1], 413, "<html>too large</html>")), "r");
    assert_eq!(judged(&IDS, 409, "{}"), Verdict::Split(SplitReason::WholeBatch));
    assert_eq!(letters(&judged(&IDS[..1], 409, "{}")), "?");
}

#[test]
fn a_refusal_without_words_says_so() {
    let Verdict::Items(items) = judged(&IDS[..1], 400, r#"{"category":"no constant"}"#) else {
        panic!("items")
    };
    let refusal = EventRefusal {
        status: 400,
        category: "UNKNOWN".to_owned(),
        message: "HTTP 400: no message".to_owned(),
        correlation_id: None,
    };
    assert_eq!(items, [ItemVerdict::Refused(refusal)]);
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn the_accounts_troubles() {
    use AccountErrorKind::*;
    use RateLimitPolicy::{Daily, Secondly, TenSecondly, Unknown};
    let ms = |count| Some(Duration::from_millis(count));
    let html = fixture!("bad_gateway_502.html");
    let day = 24 * 3_600_000;
    // status, Retry-After, body, kind, wait
    let table: &[(u16, &str, &str, AccountErrorKind, Option<Duration>)] = &[
        (200, "", html, Overloaded, None),
        (200, "", r#"{"status":"COMPLETE","results":[{"id":"#, Overloaded, None),
        (200, "", r#"{"numErrors":"one"}"#, Overloaded, None),
        (204, "", "", Overloaded, None),
        (206, "", "", Overloaded, None),
        (207, "", html, Overloaded, None),
        (301, "", "", Redirected, None),
        (307, "", "", Redirected, None),
        (400, "", html, Overloaded, None),
        (401, "", fixture!("expired_401.json"), Unauthorized, None),
        (402, "", "{}", Overloaded, None),
        (403, "", fixture!("missing_scopes_403.json"), Forbidden, None),
        (403, "", html, Forbidden, None),
        (404, "", fixture!("not_found_404.json"), NotFound, None),
        (404, "", html, NotFound, None),
        (405, "", "", NotFound, None),
        (408, "", "", Overloaded, None),
        (423, "", fixture!("locked_423.json"), Locked, ms(2_000)),
        (423, "1", "", Locked, ms(2_000)),
        (423, "5", "", Locked, ms(5_000)),
        (
            429,
            "",
            fixture!("limit_ten_secondly_429.json"),
            RateLimited { policy: TenSecondly },
            ms(10_000),
        ),
        (
            429,
            "7",
            fixture!("limit_ten_secondly_429.json"),
            RateLimited { policy: TenSecondly },
            ms(7_000),
        ),
        (
            429,
            "10000",
            fixture!("limit_ten_secondly_429.json"),
            RateLimited { policy: TenSecondly },
            ms(10_000),
        ),
        (429, "", fixture!("limit_daily_429.json"), RateLimited { policy: Daily }, None),
        (
            429,
            "3600",
            fixture!("limit_daily_429.json"),
            RateLimited { policy: Daily },
            ms(3_600_000),
        ),
        (429, "", fixture!("limit_secondly_429.json"), RateLimited { policy: Secondly }, ms(1_000)),
        (429, "", html, RateLimited { policy: Unknown }, ms(10_000)),
        (429, "soon", "", RateLimited { policy: Unknown }, ms(10_000)),
        (429, "-5", "", RateLimited { policy: Unknown }, ms(10_000)),
        (429, "1.5", "", RateLimited { policy: Unknown }, ms(10_000)),
        (429, "18446744073709551616", "", RateLimited { policy: Unknown }, ms(10_000)),
        (429, "Tue, 24 Nov 2026 00:00:00 GMT", "", RateLimited { policy: Unknown }, ms(10_000)),
        (429, "0", "", RateLimited { policy: Unknown }, ms(10_000)),
        (477, "", fixture!("migrating_477.json"), Migrating, None),
        (477, "-1", "", Migrating, None),
        (477, "Tue, 24 Nov 2026 00:00:00 GMT", "", Migrating, None),
        (477, "86400", "", Migrating, ms(day)),
        (477, "86401", "", Migrating, ms(86_401)),
        (477, "99999999999", "", Migrating, ms(day)),
        (500, "", "{}", Overloaded, None),
        (502, "", html, Overloaded, None),
        (503, "30", "", Overloaded, ms(30_000)),
        (503, "86400", "", Overloaded, ms(600_000)),
        (503, "-30", "", Overloaded, None),
        (503, "0", "", Overloaded, None),
        (429, "7200", "", RateLimited { policy: Unknown }, ms(600_000)),
        (504, "", "", Overloaded, None),
        (520, "", html, Overloaded, None),
        (521, "", html, Overloaded, None),
        (522, "", html, Overloaded, None),
        (523, "", html, Overloaded, None),
        (524, "", html, Overloaded, None),
        (525, "", html, Overloaded, None),
        (526, "", html, Overloaded, None),
        (600, "", "", Overloaded, None),
    ];
    for (status, after, body, kind, wait) in table {
        let headers: &[_] = if after.is_empty() { &[] } else { &[("retry-after", *after)] };
        for ids in [&IDS[..], &IDS[..1]] {
            let trouble = trouble(judge(&sent(ids), Ok(&answer(*status, headers, body))));
            let seen = (trouble.kind, trouble.retry_after, trouble.status);
            assert_eq!(seen, (*kind, *wait, Some(*status)), "{status} {after} {body}");
        }
    }
}

#[test]
fn a_trouble_tells_operators_what_to_do() {
    let detail = |status, body| trouble(judged(&IDS, status, body)).detail;
    assert_eq!(
        detail(403, fixture!("missing_scopes_403.json")),
        "HTTP 403: missing scopes: crm.objects.marketing_events.write, marketing.events.example"
    );
    assert!(detail(403, fixture!("no_permission_403.json")).contains("[example-scope]"));
    assert_eq!(detail(502, fixture!("bad_gateway_502.html")), "HTTP 502: a web page");
    assert_eq!(detail(503, ""), "HTTP 503: no message");

    let expired = trouble(judged(&IDS, 401, fixture!("expired_401.json")));
    assert_eq!(expired.correlation_id.as_deref(), Some("a8e2d7c4-14b9-4f3e-9c65-2b0e7d1f8a33"));
    let moved = answer(302, &[("location", "https://elsewhere.example/login?next=x")], "");
    let moved = trouble(judge(&sent(&IDS), Ok(&moved)));
    assert_eq!(moved.detail, "HTTP 302: points to https://elsewhere.example/login");
}

#[test]
fn only_what_may_still_land_is_ambiguous() {
    let of = |error: &TransportError| trouble(judge(&sent(&IDS), Err(error)));
    let broken = || Box::new(std::io::Error::other("broken"));
    let connect = of(&TransportError::Connect(broken()));
    assert_eq!(connect.kind, AccountErrorKind::Transport { ambiguous: false });
    assert_eq!(connect.detail, "no connection: broken");
    assert!(!connect.is_ambiguous());
    for error in [TransportError::Timeout, TransportError::Reset(broken())] {
        let trouble = of(&error);
        assert_eq!(trouble.kind, AccountErrorKind::Transport { ambiguous: true });
        assert!(trouble.is_ambiguous());
    }
    let refused = [301, 401, 402, 403, 404, 408, 423, 429, 477, 503, 521, 523, 525, 526];
    let unknown = [200, 207, 500, 502, 504, 520, 522, 524, 599];
    let table = refused.map(|status| (status, false)).into_iter();
    for (status, ambiguous) in table.chain(unknown.map(|status| (status, true))) {
        assert_eq!(trouble(judged(&IDS, status, "")).is_ambiguous(), ambiguous, "{status}");
    }
}

#[test]
fn an_answer_too_long_to_read_halves_the_batch() {
    let error = TransportError::TooLarge(9);
    assert_eq!(judge(&sent(&IDS), Err(&error)), Verdict::Split(SplitReason::WholeBatch));
    let alone = trouble(judge(&sent(&IDS[..1]), Err(&error)));
    assert_eq!(alone.kind, AccountErrorKind::Transport { ambiguous: true });
}

/// JSON of the shapes that answers have, with anything in any place.
fn anything() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        prop::sample::select(vec!["COMPLETE", "VALIDATION_ERROR", "wbn-7041", "83107745521"])
            .prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    let name = prop::sample::select(vec![
        "status",
        "results",
        "numErrors",
        "errors",
        "id",
        "objectId",
        "category",
        "message",
        "context",
        "correlationId",
        "policyName",
        "requiredGranularScopes",
    ]);
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// What holds of every verdict.
fn check(count: usize, status: u16, verdict: &Verdict) -> Result<(), TestCaseError> {
    match verdict {
        Verdict::Items(items) => {
            prop_assert_eq!(items.len(), count);
            for item in items {
                match item {
                    ItemVerdict::Confirmed { .. } => prop_assert!((200..300).contains(&status)),
                    ItemVerdict::Refused(refusal) => {
                        prop_assert!(refusal.message.chars().count() <= 500);
                        prop_assert!(!refusal.message.chars().any(char::is_control));
                    }
                    ItemVerdict::Unconfirmed { detail, .. }
                    | ItemVerdict::InProgress { detail } => {
                        prop_assert!(detail.chars().count() <= 500);
                    }
                }
            }
        }
        Verdict::Split(_) => prop_assert!(count > 1),
        Verdict::Account(trouble) => {
            prop_assert!(trouble.detail.chars().count() <= 500);
            let day = Duration::from_hours(24);
            prop_assert!(trouble.retry_after.is_none_or(|wait| wait <= day));
        }
    }
    Ok(())
}

fn statuses() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200), Just(207), Just(400), Just(429), any::<u16>()]
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(
        status in statuses(),
        body in prop::collection::vec(any::<u8>(), 0..300),
        after in ".{0,30}",
        count in 0..=3_usize,
    ) {
        let answer = HttpResponse {
            status, headers: vec![("retry-after".to_owned(), after)], body,
        };
        check(count, status, &judge(&sent(&IDS[..count]), Ok(&answer)))?;
    }

    #[test]
    fn no_json_is_too_odd(status in statuses(), body in anything(), count in 0..=3_usize) {
        let answer = answer(status, &[], &body.to_string());
        check(count, status, &judge(&sent(&IDS[..count]), Ok(&answer)))?;
    }
}

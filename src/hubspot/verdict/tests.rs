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

fn batch(ids: &[&'static str]) -> Vec<BatchItem<'static>> {
    ids.iter().map(|id| BatchItem { external_event_id: id, input: b"{}" }).collect()
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> HttpResponse {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    HttpResponse { status, headers, body: body.as_bytes().to_vec() }
}

fn judge_body(ids: &[&'static str], status: u16, body: &str) -> Verdict {
    judge(&batch(ids), Ok(&response(status, &[], body)))
}

fn confirmed(object_id: Option<&str>) -> ItemVerdict {
    ItemVerdict::Confirmed { object_id: object_id.map(str::to_owned) }
}

/// Each item's verdict in one letter: confirmed, refused, `s` (no result), `!` (conflict), `?` (unfinished), `~` (in progress).
fn letters(verdict: &Verdict) -> String {
    let Verdict::Items(items) = verdict else { panic!("{verdict:?}") };
    items
        .iter()
        .map(|item| match item {
            ItemVerdict::Confirmed { .. } => 'c',
            ItemVerdict::Refused(_) => 'r',
            ItemVerdict::Unconfirmed { reason: Unconfirmed::NoResult, .. } => 's',
            ItemVerdict::Unconfirmed { reason: Unconfirmed::Conflict, .. } => '!',
            ItemVerdict::Unconfirmed { reason: Unconfirmed::Unfinished, .. } => '?',
            ItemVerdict::InProgress { .. } => '~',
        })
        .collect()
}

fn account_error(verdict: Verdict) -> AccountError {
    match verdict {
        Verdict::Account(error) => error,
        Verdict::Items(_) | Verdict::Split(_) => panic!("{verdict:?}"),
    }
}

/// Seen live for the second creation of a key; the error has `errorType` and no category.
#[test]
fn judge_conflict_confirms_and_refuses_nothing() {
    let body = r#"{"status":"error","message":"taken","errorType":"UNIQUE_VALUE_CONFLICT",
                   "errorTokens":{"existingObjectId":["864"]},"correlationId":"c"}"#;
    assert_eq!(letters(&judge_body(&IDS, 400, body)), "!".repeat(IDS.len()));
    assert_eq!(letters(&judge_body(&["wbn-7041"], 400, body)), "!");
}

#[test]
fn judge_results_without_errors_confirms_all_and_never_by_order() {
    for status in [200, 201, 207] {
        let verdict = judge_body(&IDS, status, fixture!("upsert_complete.json"));
        let ids = ["700310020001", "700310020002", "700310020003"];
        assert_eq!(verdict, Verdict::Items(ids.map(|id| confirmed(Some(id))).into()));
    }
    let verdict = judge_body(&IDS, 200, fixture!("upsert_complete_crm_ids.json"));
    assert_eq!(verdict, Verdict::Items(vec![confirmed(None); 3]));
}

#[test]
fn judge_2xx_judges_each_event() {
    const TWICE: &str =
        r#"{"results":[{"id":"wbn-7041"},{"id":"83107745521"},{"id":"83107745521"}]}"#;
    const UNKNOWN: &str =
        r#"{"results":[{"id":"wbn-7041"},{"id":"83107745521"},{"id":"strange"}]}"#;
    let two = r#"{"results":[{"id":"wbn-7041"},{"id":"83107745521"}]}"#;
    let strange = r#"{"results":[{"id":"a"},{"id":"b"},{"id":"wbn-7041"},{"id":"d"}]}"#;
    let table = [
        ("a context names it", fixture!("upsert_partial_context.json"), "ccr"),
        ("a message names it", fixture!("upsert_partial_message.json"), "c?r"),
        ("no event is named", fixture!("upsert_partial_nameless.json"), "???"),
        ("no validation error", fixture!("upsert_partial_internal.json"), "cc?"),
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
        ("an unknown one twice", r#"{"results":[{"id":"7"},{"id":"7"},{"id":"8"}]}"#, "sss"),
        ("two, and an unknown one", UNKNOWN, "scc"),
    ];
    for (name, body, expected) in table {
        for status in [200, 207] {
            assert_eq!(letters(&judge_body(&IDS, status, body)), expected, "{name}");
        }
    }
}

#[test]
fn judge_refused_event_keeps_hubspots_message() {
    let Verdict::Items(items) = judge_body(&IDS, 207, fixture!("upsert_partial_context.json"))
    else {
        panic!("items")
    };
    let refusal = HubspotRefusal {
        status: 207,
        category: "VALIDATION_ERROR".to_owned(),
        message: "Property values were not valid".to_owned(),
        correlation_id: None,
    };
    assert_eq!(items[2], ItemVerdict::Refused(refusal));
}

#[test]
fn judge_error_naming_part_of_an_id_names_no_event() {
    let letters_for = |message: &str| {
        let body = serde_json::json!({
            "numErrors": 1,
            "errors": [{"category": "VALIDATION_ERROR", "message": message}],
        });
        letters(&judge(&batch(&IDS), Ok(&response(200, &[], &body.to_string()))))
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
        assert_eq!(letters_for(message), expected, "{message}");
    }
}

#[test]
fn judge_error_naming_a_word_like_id_names_no_event() {
    let body = r#"{"errors":[{"category":"VALIDATION_ERROR",
        "message":"eventName: at most 250 characters","context":{"limit":["250"]}}]}"#;
    assert_eq!(letters(&judge_body(&["250", "eventName"], 200, body)), "??");
}

#[test]
fn judge_event_with_result_and_error_is_unconfirmed() {
    let body = r#"{"results":[{"id":"wbn-7041"}],
        "errors":[{"category":"VALIDATION_ERROR","message":"wbn-7041"}]}"#;
    assert_eq!(letters(&judge_body(&IDS, 200, body)), "???");
}

#[test]
fn judge_two_events_of_one_id_are_unconfirmed() {
    let body = r#"{"results":[{"id":"wbn-7041"}]}"#;
    assert_eq!(letters(&judge_body(&["wbn-7041", "wbn-7041"], 200, body)), "ss");
}

#[test]
fn judge_validation_error_without_name_refuses_a_single_event() {
    let body = fixture!("upsert_partial_nameless.json");
    let alone = body.replace("700310020001", "x1");
    assert_eq!(letters(&judge_body(&["wbn-7041"], 200, &alone)), "r");
}

#[test]
fn judge_refused_batch_is_split_and_a_single_event_refused() {
    let invalid = fixture!("invalid_400.json");
    for status in [400, 413, 422] {
        let cause = if status == 413 { SplitReason::WholeBatch } else { SplitReason::BadEvent };
        assert_eq!(judge_body(&IDS, status, invalid), Verdict::Split(cause));
        assert_eq!(judge_body(&IDS, status, ""), Verdict::Split(cause));
        let refusal = HubspotRefusal {
            status,
            category: "VALIDATION_ERROR".to_owned(),
            message: "Invalid input JSON on line 1, column 88: \
                      Cannot deserialize value of type `java.time.OffsetDateTime`"
                .to_owned(),
            correlation_id: Some("3c1f0a52-6a7e-4c0b-8d53-0f6b1a6c9e21".to_owned()),
        };
        let single = Verdict::Items(vec![ItemVerdict::Refused(refusal)]);
        assert_eq!(judge_body(&IDS[..1], status, invalid), single);
    }
    assert_eq!(letters(&judge_body(&IDS[..1], 413, "<html>too large</html>")), "r");
    assert_eq!(judge_body(&IDS, 409, "{}"), Verdict::Split(SplitReason::WholeBatch));
    assert_eq!(letters(&judge_body(&IDS[..1], 409, "{}")), "?");
}

#[test]
fn judge_refusal_without_message_describes_the_response() {
    let Verdict::Items(items) = judge_body(&IDS[..1], 400, r#"{"category":"no constant"}"#) else {
        panic!("items")
    };
    let refusal = HubspotRefusal {
        status: 400,
        category: "UNKNOWN".to_owned(),
        message: "HTTP 400: no message".to_owned(),
        correlation_id: None,
    };
    assert_eq!(items, [ItemVerdict::Refused(refusal)]);
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn judge_any_account_failure_has_its_kind_and_wait() {
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
            let error = account_error(judge(&batch(ids), Ok(&response(*status, headers, body))));
            let seen = (error.kind, error.retry_after, error.status);
            assert_eq!(seen, (*kind, *wait, Some(*status)), "{status} {after} {body}");
        }
    }
}

#[test]
fn judge_account_failure_describes_it_for_operators() {
    let detail = |status, body| account_error(judge_body(&IDS, status, body)).detail;
    assert_eq!(
        detail(403, fixture!("missing_scopes_403.json")),
        "HTTP 403: missing scopes: crm.objects.marketing_events.write, marketing.events.example"
    );
    assert!(detail(403, fixture!("no_permission_403.json")).contains("[example-scope]"));
    assert_eq!(detail(502, fixture!("bad_gateway_502.html")), "HTTP 502: a web page");
    assert_eq!(detail(503, ""), "HTTP 503: no message");

    let expired = account_error(judge_body(&IDS, 401, fixture!("expired_401.json")));
    assert_eq!(expired.correlation_id.as_deref(), Some("a8e2d7c4-14b9-4f3e-9c65-2b0e7d1f8a33"));
    let moved = response(302, &[("location", "https://elsewhere.example/login?next=x")], "");
    let moved = account_error(judge(&batch(&IDS), Ok(&moved)));
    assert_eq!(moved.detail, "HTTP 302: points to https://elsewhere.example/login");
}

#[test]
fn is_ambiguous_only_calls_that_may_have_been_carried_out() {
    let of = |error: &TransportError| account_error(judge(&batch(&IDS), Err(error)));
    let broken = || Box::new(std::io::Error::other("broken"));
    let connect = of(&TransportError::Connect(broken()));
    assert_eq!(connect.kind, AccountErrorKind::Transport { ambiguous: false });
    assert_eq!(connect.detail, "no connection: broken");
    assert!(!connect.is_ambiguous());
    for error in [TransportError::Timeout, TransportError::Reset(broken())] {
        let error = of(&error);
        assert_eq!(error.kind, AccountErrorKind::Transport { ambiguous: true });
        assert!(error.is_ambiguous());
    }
    let refused = [301, 401, 402, 403, 404, 408, 423, 429, 477, 503, 521, 523, 525, 526];
    let unknown = [200, 207, 500, 502, 504, 520, 522, 524, 599];
    let table = refused.map(|status| (status, false)).into_iter();
    for (status, ambiguous) in table.chain(unknown.map(|status| (status, true))) {
        assert_eq!(
            account_error(judge_body(&IDS, status, "")).is_ambiguous(),
            ambiguous,
            "{status}"
        );
    }
}

#[test]
fn judge_response_too_long_splits_the_batch() {
    let error = TransportError::TooLarge(9);
    assert_eq!(judge(&batch(&IDS), Err(&error)), Verdict::Split(SplitReason::WholeBatch));
    let alone = account_error(judge(&batch(&IDS[..1]), Err(&error)));
    assert_eq!(alone.kind, AccountErrorKind::Transport { ambiguous: true });
}

/// JSON of the shapes that answers have, with anything in any place.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
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
fn check_verdict(count: usize, status: u16, verdict: &Verdict) -> Result<(), TestCaseError> {
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
        Verdict::Account(error) => {
            prop_assert!(error.detail.chars().count() <= 500);
            let day = Duration::from_hours(24);
            prop_assert!(error.retry_after.is_none_or(|wait| wait <= day));
        }
    }
    Ok(())
}

fn any_status() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200), Just(207), Just(400), Just(429), any::<u16>()]
}

proptest! {
    #[test]
    fn judge_any_bytes_gives_a_sound_verdict(
        status in any_status(),
        body in prop::collection::vec(any::<u8>(), 0..300),
        after in ".{0,30}",
        count in 0..=3_usize,
    ) {
        let answer = HttpResponse {
            status, headers: vec![("retry-after".to_owned(), after)], body,
        };
        check_verdict(count, status, &judge(&batch(&IDS[..count]), Ok(&answer)))?;
    }

    #[test]
    fn judge_any_json_gives_a_sound_verdict(status in any_status(), body in any_json(), count in 0..=3_usize) {
        let answer = response(status, &[], &body.to_string());
        check_verdict(count, status, &judge(&batch(&IDS[..count]), Ok(&answer)))?;
    }
}

//! Where a rule begins and ends: each of these was a change of the code that no other test noticed, or an answer that the
//! fuzz targets found.

use super::*;

#[test]
fn a_category_is_a_constants_name_of_up_to_64_characters() {
    let refused = |category: &str| {
        let body = serde_json::json!({ "category": category, "message": "no" }).to_string();
        let Verdict::Items(items) = judged(&IDS[..1], 400, &body) else { panic!("items") };
        match items.as_slice() {
            [ItemVerdict::Refused(refusal)] => refusal.category.clone(),
            other => panic!("{other:?}"),
        }
    };
    let longest = "A".repeat(64);
    for good in ["X", "VALIDATION_ERROR", "ERROR_2", &longest] {
        assert_eq!(refused(good), good);
    }
    let longer = "A".repeat(65);
    for bad in ["", "validation", "VALIDATION ERROR", "A-B", "É", &longer] {
        assert_eq!(refused(bad), "UNKNOWN", "{bad}");
    }
}

#[test]
fn an_id_of_six_characters_with_a_digit_is_looked_for() {
    let letter = |id: &'static str| {
        let body = serde_json::json!({
            "errors": [{ "category": "VALIDATION_ERROR", "message": format!("bad: {id}") }],
        });
        letters(&judged(&["another-1", id], 200, &body.to_string())).pop()
    };
    assert_eq!(letter("12345a"), Some('r'));
    assert_eq!(letter("1234a"), Some('?'));
    assert_eq!(letter("abcdef"), Some('?'));
}

#[test]
fn a_list_is_no_answer_no_result_and_no_status() {
    let list = r#"["COMPLETE",[{"id":"wbn-7041"}],0,[]]"#;
    assert_eq!(trouble(judged(&["wbn-7041"], 200, list)).kind, AccountErrorKind::Overloaded);
    let result = r#"{"results":[["83107745521"]]}"#;
    assert_eq!(letters(&judged(&["83107745521", "wbn-7041"], 200, result)), "ss");
    for status in [r#"["PENDING"]"#, r#"{"is":"PENDING"}"#, "true", "0"] {
        let body = format!(r#"{{"status":{status},"results":[{{"id":"wbn-7041"}}]}}"#);
        assert_eq!(letters(&judged(&["wbn-7041"], 200, &body)), "~", "{status}");
    }
}

/// What JSON leaves open (RFC 8259, section 4); most readers take the last.
#[test]
fn a_result_with_a_name_twice_is_one_and_the_last_of_them_counts() {
    let twice = r#"{"id":"another-1","id":"wbn-7041","objectId":"1","objectId":"2"}"#;
    let judge = |ids: &[&'static str], results: &str| {
        judged(ids, 200, &format!(r#"{{"results":[{results}]}}"#))
    };
    // Two results are not one for each.
    assert_eq!(letters(&judge(&["83107745521"], &format!(r#"{twice},{{"id":"8"}}"#))), "s");
    assert_eq!(judge(&["wbn-7041"], twice), Verdict::Items(vec![confirmed(Some("2"))]));
}

#[test]
fn an_event_may_be_what_an_unexplained_failure_is_about() {
    let of = |error: &TransportError| trouble(judge(&sent(&IDS), Err(error)));
    assert!(of(&TransportError::Timeout).may_be_caused_by_event());
    let connect = TransportError::Connect(Box::new(std::io::Error::other("broken")));
    assert!(!of(&connect).may_be_caused_by_event());
    let accounts = [301, 401, 403, 404, 423, 429, 477].map(|status| (status, false));
    let unexplained = [200, 408, 500, 502, 503, 599].map(|status| (status, true));
    for (status, expected) in accounts.into_iter().chain(unexplained) {
        assert_eq!(
            trouble(judged(&IDS, status, "")).may_be_caused_by_event(),
            expected,
            "{status}"
        );
    }
    let tokens = AccountError { status: None, ..trouble(judged(&IDS, 503, "")) };
    assert!(!tokens.may_be_caused_by_event());
}

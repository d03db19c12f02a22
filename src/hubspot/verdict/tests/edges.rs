//! Where a rule begins and ends: each of these was a change of the code that no other test noticed, or an answer that
//! the fuzz targets found.

use super::*;

#[test]
fn valid_category_is_a_constants_name_of_up_to_64_characters() {
    let refused = |category: &str| {
        let body = serde_json::json!({ "category": category, "message": "no" }).to_string();
        let Verdict::Items(items) = judge_body(&IDS[..1], 400, &body) else { panic!("items") };
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
fn judge_error_naming_an_id_of_six_characters_with_a_digit_names_its_event() {
    let letter = |id: &'static str| {
        let body = serde_json::json!({
            "errors": [{ "category": "VALIDATION_ERROR", "message": format!("bad: {id}") }],
        });
        letters(&judge_body(&["another-1", id], 200, &body.to_string())).pop()
    };
    assert_eq!(letter("12345a"), Some('r'));
    assert_eq!(letter("1234a"), Some('?'));
    assert_eq!(letter("abcdef"), Some('?'));
}

#[test]
fn judge_list_in_place_of_an_object_confirms_nothing() {
    let list = r#"["COMPLETE",[{"id":"wbn-7041"}],0,[]]"#;
    assert_eq!(
        account_error(judge_body(&["wbn-7041"], 200, list)).kind,
        AccountErrorKind::Overloaded
    );
    let result = r#"{"results":[["83107745521"]]}"#;
    assert_eq!(letters(&judge_body(&["83107745521", "wbn-7041"], 200, result)), "ss");
    for status in [r#"["PENDING"]"#, r#"{"is":"PENDING"}"#, "true", "0"] {
        let body = format!(r#"{{"status":{status},"results":[{{"id":"wbn-7041"}}]}}"#);
        assert_eq!(letters(&judge_body(&["wbn-7041"], 200, &body)), "~", "{status}");
    }
}

/// What JSON leaves open (RFC 8259, section 4); most readers take the last.
#[test]
fn judge_result_with_repeated_key_is_one_and_its_last_value_counts() {
    let twice = r#"{"id":"another-1","id":"wbn-7041","objectId":"1","objectId":"2"}"#;
    let judge = |ids: &[&'static str], results: &str| {
        judge_body(ids, 200, &format!(r#"{{"results":[{results}]}}"#))
    };
    // Two results are not one for each.
    assert_eq!(letters(&judge(&["83107745521"], &format!(r#"{twice},{{"id":"8"}}"#))), "s");
    assert_eq!(judge(&["wbn-7041"], twice), Verdict::Items(vec![confirmed(Some("2"))]));
}

#[test]
fn may_be_caused_by_event_unexplained_failures_only() {
    let read = |error: &TransportError| account_error(judge(&batch(&IDS), Err(error)));
    assert!(read(&TransportError::Timeout).may_be_caused_by_event());
    let connect = TransportError::Connect(Box::new(std::io::Error::other("broken")));
    assert!(!read(&connect).may_be_caused_by_event());
    let accounts = [301, 401, 403, 404, 423, 429, 477].map(|status| (status, false));
    let unexplained = [200, 408, 500, 502, 503, 599].map(|status| (status, true));
    for (status, expected) in accounts.into_iter().chain(unexplained) {
        assert_eq!(
            account_error(judge_body(&IDS, status, "")).may_be_caused_by_event(),
            expected,
            "{status}"
        );
    }
    let tokens = AccountError { status: None, ..account_error(judge_body(&IDS, 503, "")) };
    assert!(!tokens.may_be_caused_by_event());
}

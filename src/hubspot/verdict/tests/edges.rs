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
    assert_eq!(trouble(judged(&["wbn-7041"], 200, list)).kind, TroubleKind::Overloaded);
    let result = r#"{"results":[["83107745521"]]}"#;
    assert_eq!(letters(&judged(&["83107745521", "wbn-7041"], 200, result)), "ss");
    for status in [r#"["PENDING"]"#, r#"{"is":"PENDING"}"#, "true", "0"] {
        let body = format!(r#"{{"status":{status},"results":[{{"id":"wbn-7041"}}]}}"#);
        assert_eq!(letters(&judged(&["wbn-7041"], 200, &body)), "~", "{status}");
    }
}

use proptest::prelude::*;

use super::*;

const KEYS: [&str; 3] = ["password", "registrant", "email"];

fn masked(body: &str) -> String {
    String::from_utf8(mask(body.as_bytes(), KEYS)).expect("text stays text")
}

#[test]
fn mask_replaces_values_of_any_kind_and_nothing_else() {
    for (body, expected) in [
        (r#"{ "a":1 , "password" :	"x\"y" ,"b":2}"#, r#"{ "a":1 , "password" :	"***" ,"b":2}"#),
        (r#"{"password":12.5e3,"b":[]}"#, r#"{"password":"***","b":[]}"#),
        (r#"{"password": 7 }"#, r#"{"password": "***" }"#),
        (r#"{"registrant":{"a":[{"b":"}"}],"c":"]"},"z":1}"#, r#"{"registrant":"***","z":1}"#),
        (r#"[{"email":["a","b"]},{"email":""}]"#, r#"[{"email":"***"},{"email":"***"}]"#),
    ] {
        assert_eq!(masked(body), expected);
    }
}

#[test]
fn body_without_secrets_is_unchanged() {
    for body in [
        r#"{"password":null,"email":true}"#,
        r#"{"my_password":"x","passwords":"y"}"#,
        r#"{"kind":"password","list":["email","registrant"]}"#,
        r#"{"url":"https://e.test/j?a=1&pwdx=2&networktk=3&pwd=","text":"pwd=5, say tk=1"}"#,
    ] {
        assert_eq!(masked(body), body);
    }
}

/// M3: a sender cut a text within a character, or put a mark before the body.
#[test]
fn byte_order_mark_and_half_surrogates_are_mended() {
    for (body, expected) in [
        (r#"{"a":"b \ud83d"}"#, r#"{"a":"b \ufffd"}"#),
        (
            r#"{"a":"\uDE80\ud83d\ude80\ud83d\ud83d\ude80"}"#,
            r#"{"a":"\ufffd\ud83d\ude80\ufffd\ud83d\ude80"}"#,
        ),
        (r#"{"a":"\\ud83d \\\ud83d"}"#, r#"{"a":"\\ud83d \\\ufffd"}"#),
        (r#"{"a":"\u00e9\n\ud8"}"#, r#"{"a":"\u00e9\n\ud8"}"#),
        ("\u{feff}{\"a\":1}", r#"{"a":1}"#),
        (r"\", r"\"),
    ] {
        assert_eq!(masked(body), expected);
        assert_eq!(masked(expected), expected);
    }
}

#[test]
fn keys_are_compared_decoded() {
    assert_eq!(masked(r#"{"pass\u0077ord":"x"}"#), r#"{"pass\u0077ord":"***"}"#);
}

#[test]
fn parameters_are_masked_in_every_spelling_of_a_link() {
    for (text, expected) in [
        ("https://e.test/j/1?pwd=a.1&x=2", "https://e.test/j/1?pwd=***&x=2"),
        ("https://e.test/j/1?x=2&tk=abc", "https://e.test/j/1?x=2&tk=***"),
        (
            r"https:\/\/e.test\/j?x=2\u0026zak=a\/b\u0026y=3",
            r"https:\/\/e.test\/j?x=2\u0026zak=***\u0026y=3",
        ),
        (r"e.test?PWD\u003dabc\u0026y=3", r"e.test?PWD\u003d***\u0026y=3"),
        (
            "<a href=\\\"e.test?x=1&amp;pwd=abc&amp;y=3\\\">",
            "<a href=\\\"e.test?x=1&amp;pwd=***&amp;y=3\\\">",
        ),
        (
            "e.test?to=https%3A%2F%2Fz%3Fpwd%3Dabc%26y%3D3&q=1",
            "e.test?to=https%3A%2F%2Fz%3Fpwd%3D***%26y%3D3&q=1",
        ),
        ("e.test?x=1%26tk=abc", "e.test?x=1%26tk=***"),
        ("e.test?pwd=a%26b", "e.test?pwd=***"),
        (
            r"first e.test?pwd=abc\nsecond e.test?tk=def end",
            r"first e.test?pwd=***\nsecond e.test?tk=*** end",
        ),
    ] {
        let (body, expected) = (format!(r#"["{text}"]"#), format!(r#"["{expected}"]"#));
        assert_eq!(masked(&body), expected);
    }
}

#[test]
fn invalid_json_is_masked_where_it_resembles_json() {
    for (body, expected) in [
        (r#"{"password":"abc"#, r#"{"password":"***""#),
        (r#"{"registrant":{"a":"b"#, r#"{"registrant":"***""#),
        (r#"{"password":abc def"#, r#"{"password":"***""#),
        (r#"{"password":"#, r#"{"password":"#),
        ("link e.test?pwd=abc", "link e.test?pwd=***"),
    ] {
        assert_eq!(masked(body), expected);
    }
}

#[test]
fn deep_and_long_bodies_are_masked_quickly() {
    let deep = format!(r#"{{"registrant":{}"#, "[".repeat(200_000));
    assert_eq!(masked(&deep), r#"{"registrant":"***""#);
    let quotes = "\"".repeat(200_001);
    assert_eq!(masked(&quotes), quotes);
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        " ",
        "\\",
        "\\u",
        "null",
        "1",
        "password",
        "\"email\":",
        "\"registrant\":{",
        "?",
        "&",
        "pwd=",
        "tk%3D",
        "%26",
        "\\u0026",
        "\\u003d",
        "zak",
        "é",
        "*",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let text =
        prop::sample::select(vec!["", "a", "\\\"", "https://e.test?pwd=x&y=\u{1}", "&tk=\""]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i32>().prop_map(Into::into),
        text.prop_map(Into::into),
    ];
    let key = prop::sample::select(vec!["password", "email", "a", "b?zak=1\"", "c"]);
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The expected result of masking keys, computed on the parsed tree.
fn without(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Array(list) => list.iter().map(without).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| match value {
                value if !KEYS.contains(&key.as_str()) => (key.clone(), without(value)),
                Value::Null | Value::Bool(_) => (key.clone(), value.clone()),
                Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                    (key.clone(), "***".into())
                }
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_masking_twice_is_masking_once(body in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        pieces(),
    ]) {
        let once = mask(&body, KEYS);
        prop_assert_eq!(mask(&once, KEYS), once);
    }

    #[test]
    fn json_stays_valid_without_values_of_masked_keys(value in json()) {
        let body = serde_json::to_vec_pretty(&value).expect("a value can be written");
        let masked: serde_json::Value =
            serde_json::from_slice(&mask(&body, KEYS)).expect("valid JSON stays valid");
        // Parameters are compared by masking them on the tree's own text.
        let expected = serde_json::to_vec(&without(&value)).expect("a value can be written");
        let expected: serde_json::Value =
            serde_json::from_slice(&mask(&expected, [])).expect("valid JSON stays valid");
        prop_assert_eq!(masked, expected);
    }
}

//! Expressions and values chosen as an attack.

use proptest::prelude::*;

use super::*;

/// Size of the largest payload.
const LARGE: usize = 256 * 1024;

#[test]
fn expression_too_long_or_too_deep_is_refused() {
    let brackets =
        |open: &str, close: &str, times| format!("{}1{}", open.repeat(times), close.repeat(times));
    for (open, close) in [("(", ")"), ("[", "]"), ("{1:", "}"), ("size(", ")"), ("p[", "]")] {
        compile(&brackets(open, close, 30));
        assert_eq!(
            compile_error(&brackets(open, close, 40)),
            ExpressionFlaw::TooDeep.to_string(),
            "{open}"
        );
        assert_eq!(
            compile_error(&brackets(open, close, 400)),
            ExpressionFlaw::TooDeep.to_string(),
            "{open}"
        );
        assert!(!compile_error(&open.repeat(400)).is_empty());
    }
    for chain in ["p +", "p.a ==", "true ? p :", "p -", "p *"] {
        compile(&format!("{} p", chain.repeat(30)));
        assert!(
            compile_error(&format!("{} p", chain.repeat(300)))
                .ends_with(&ExpressionFlaw::TooDeep.to_string())
        );
    }
    for chain in [".a", "[0]", ".size()"] {
        compile(&format!("p{}", chain.repeat(60)));
        assert!(
            compile_error(&format!("p{}", chain.repeat(300)))
                .ends_with(&ExpressionFlaw::TooDeep.to_string())
        );
    }
    // The parser balances the first kind and removes pairs of the second.
    compile(&format!("{} true", "p.a == 'abc' || ".repeat(200)));
    compile(&format!("{}true", "!".repeat(4_000)));
    assert_eq!(compile_error(&"p".repeat(LENGTH_MAX + 1)), ExpressionFlaw::TooLong.to_string());
    // Characters, not bytes.
    compile(&format!("'{}'", "é".repeat(LENGTH_MAX - 2)));
}

#[test]
fn deepest_expression_evaluates_on_a_small_stack() {
    let deepest = format!("{}p{}", "[".repeat(30), "]".repeat(30));
    let deepest = format!("{deepest}{} == p", "[0]".repeat(30));
    let json = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let small = std::thread::Builder::new().stack_size(512 * 1024);
    let result = small.spawn(move || value(&deepest, &json)).expect("a thread").join();
    assert_eq!(result.expect("no panic"), Evaluated::Flag(true));
}

#[test]
fn json_too_deep_is_refused() {
    let nested = |times| format!("{}1{}", "[".repeat(times), "]".repeat(times));
    assert!(Value::read_json(&nested(JSON_DEPTH_MAX)).is_ok());
    for times in [JSON_DEPTH_MAX + 1, 1_000, LARGE / 2] {
        let read = Value::read_json(&nested(times)).map(|_| ());
        assert!(matches!(read, Err(JsonError::TooDeep)), "{times}");
    }
    for json in ["", "{", "[1,]", "nul", "{\"a\":1}x", "\u{feff}1", "'a'", "01"] {
        let read = Value::read_json(json).map(|_| ());
        assert!(matches!(read, Err(JsonError::Syntax(_))), "{json}");
    }
}

#[test]
fn nested_iteration_over_long_lists_exceeds_the_steps() {
    let many = format!("[{}0]", "0,".repeat(60_000));
    assert_eq!(value("p.exists(x, x == 1)", &many), Evaluated::Flag(false));
    assert_eq!(value("size(p.map(x, x + 1))", &many), Evaluated::Integer(60_001));
    for squared in [
        "p.all(x, p.all(y, x == y))",
        "p.filter(x, 7 in p)",
        "p.filter(x, p == p)",
        "p.map(x, p + p)",
        "p.exists_one(x, size(p + p) < 0)",
        "p.all(x, p.exists(y, 1 / y > 0))",
    ] {
        assert_eq!(evaluate(squared, &many), Err(EvaluationError::TooMuch), "{squared}");
    }
    let some = format!("[{}0]", "0,".repeat(250));
    assert_eq!(value("p.all(x, p.all(y, x == y))", &some), Evaluated::Flag(true));
}

#[test]
fn multiplied_long_texts_exceed_the_steps() {
    let text = "a".repeat(LARGE / 2);
    let json = format!(r#"{{ "t": "{text}", "l": [{}0] }}"#, "0,".repeat(60_000));
    assert_eq!(value("size(p.t + p.t)", &json), Evaluated::Integer(262_144));
    assert_eq!(value("p.t == p.t && p.t < p.t + 'b'", &json), Evaluated::Flag(true));
    for multiplied in [
        "p.l.map(x, p.t + 'b')",
        "p.l.map(x, p.t).join()",
        "p.l.filter(x, p.t.contains('b'))",
        "p.l.filter(x, p.t == p.t)",
        "p.l.filter(x, p.t <= p.t)",
        "p.l.map(x, size(p.t))",
        "p.l.map(x, p.t.upperAscii())",
        "p.l.map(x, p.t.substring(1))",
        "p.t.replace('a', p.t)",
        "p.t.replace('', p.t)",
        "p.t.split('').map(x, p.t.split('a'))",
        "p.l.map(x, p.t.matches('b'))",
    ] {
        assert_eq!(evaluate(multiplied, &json), Err(EvaluationError::TooMuch), "{multiplied}");
    }
}

/// Reading a text takes steps, too: as a key, a number, a time, a zone or a search term.
#[test]
fn repeated_reads_of_long_texts_exceed_the_steps() {
    let (keys, digits) = ("k".repeat(LARGE / 8), "0".repeat(LARGE / 4));
    let list = format!("[{}0]", "0,".repeat(60_000));
    let json =
        format!(r#"{{ "k": "{keys}", "m": {{ "{keys}": 1 }}, "n": "{digits}", "l": {list} }}"#);
    for looked_at in [
        "p.l.map(x, p.m[p.k])",
        "p.l.filter(x, p.k in p.m)",
        "p.l.map(x, {p.k: 1})",
        "p.l.map(x, int(p.n))",
        "p.l.map(x, double(p.n))",
        "p.l.exists(x, timestamp(p.n) == at)",
        "p.l.exists(x, duration(p.n) == p)",
        "p.l.exists(x, at.getHours(p.n) == 7)",
        "p.l.map(x, ''.replace(p.k, ''))",
        "p.l.map(x, ''.split(p.k))",
        "p.l.exists(x, p.l.join() == '')",
    ] {
        assert_eq!(evaluate(looked_at, &json), Err(EvaluationError::TooMuch), "{looked_at}");
    }
    let json = format!(r#"{{ "d": [1e308, -5e-324], "l": {list} }}"#);
    for written in ["p.l.map(x, string(p.d[0]))", "p.l.map(x, string(p.d[1]))"] {
        assert_eq!(evaluate(written, &json), Err(EvaluationError::TooMuch), "{written}");
    }
}

#[test]
fn patterns_are_bounded_in_size_and_time() {
    for small in [r"\w+@\w+", "(?i)^(internal|test)\\b", r"^\d{1,18}$", "[[:^ascii:]]"] {
        compile(&format!("p.matches(r'{small}')"));
    }
    let long = "a".repeat(PATTERN_MAX + 1);
    for bad in ["(", "*", r"\w{500}", "((a{50}){50}){50}", r"(?i:\pL{100}){20}", r"\1", &long] {
        let error = Expression::compile(&format!("p.matches(r'{bad}')"), &["p"]).map(|_| ());
        assert_eq!(error.expect_err(bad).flaw, ExpressionFlaw::Pattern, "{bad}");
    }
    let text = format!("\"{}\"", "a".repeat(LARGE - 2));
    assert_eq!(value("p.matches('(a*)*b')", &text), Evaluated::Flag(false));
    assert_eq!(value("p.matches('(a|aa|aaa)*c$')", &text), Evaluated::Flag(false));
    for slow in ["[1, 2, 3].exists(x, p.matches('b'))", r"p.matches('\\w{3}')"] {
        assert_eq!(evaluate(slow, &text), Err(EvaluationError::TooMuch), "{slow}");
    }
}

#[test]
fn evaluation_errors_repeat_no_value() {
    let json = r#"{ "t": "a secret", "n": 4711 }"#;
    for text in [
        "p.t + p.n",
        "p.t - p.t",
        "int(p.t)",
        "timestamp(p.t)",
        "p.t.field",
        "p.n[p.t]",
        "p.n / 0",
        "p.t ? 1 : 2",
        "{p.t: 1, p.t: 2}",
        "{p: 1}",
        "p.n * 9223372036854775807",
        "p.t.getHours(p.t)",
    ] {
        let error = evaluate(text, json).expect_err(text);
        let message = format!("{error} {error:?}");
        assert!(!message.contains("secret") && !message.contains("4711"), "{text}: {message}");
    }
}

#[test]
fn maps_iterate_in_key_order() {
    let members: Vec<String> = (0..50).rev().map(|n| format!("\"k{n:02}\": 0")).collect();
    let json = format!("{{ {} }}", members.join(", "));
    let first = value("p.map(k, k).join()", &json);
    let sorted: Vec<String> = (0..50).map(|n| format!("k{n:02}")).collect();
    assert_eq!(first, text(&sorted.concat()));
}

/// Pieces that form CEL now and then.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "p",
        "at",
        ".",
        "a",
        "b",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        " in ",
        "true",
        "null",
        "1",
        "0",
        "1.5",
        "1u",
        "'a'",
        "\"é\"",
        "r'\\d'",
        "b'x'",
        "9223372036854775807",
        ".map(x, ",
        ".all(x, ",
        ".filter(p, ",
        "has(",
        "size(",
        ".size()",
        "timestamp(",
        "duration(",
        "'1h'",
        ".split(",
        ".join(",
        ".matches('a')",
        ".getHours()",
        "\n",
        "//",
        "'",
        "\\",
        "\u{0}",
        "😀",
        "x",
        " ",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        (any::<i32>(), -400_i32..400).prop_map(|(number, exponent)| format!("{number}e{exponent}")),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec((prop::sample::select(vec!["a", "b", "x"]), inner), 0..4)
                .prop_map(|all| {
                    let all = all.into_iter().map(|(key, value)| format!("\"{key}\":{value}"));
                    format!("{{{}}}", all.collect::<Vec<_>>().join(","))
                }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(debug_assertions) { 300 } else { 3_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// No text makes it panic, and the result is the same each time.
    #[test]
    fn arbitrary_text_and_values_never_panic(text in prop_oneof![any::<String>(), pieces()], json in json()) {
        let Ok(expression) = Expression::compile(&text, &["p", "at"]) else { return Ok(()) };
        let payload = Value::read_json(&json).expect("JSON");
        let scope = Scope::default().with("p", payload).with("at", Value::time(0));
        let (first, second) = (expression.evaluate(&scope), expression.evaluate(&scope));
        prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
        prop_assert!(expression.literal_keys("p").iter().all(|key| key.len() < text.len()));
    }

    /// Any text is parsed as JSON or refused.
    #[test]
    fn arbitrary_json_text_never_panics(text in any::<String>()) {
        let valid = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(Value::read_json(&text).is_ok(), valid);
    }
}

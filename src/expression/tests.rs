use super::*;

mod compared;
mod hostile;

fn compile(text: &str) -> Expression {
    Expression::compile(text, &["p", "at"]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn compile_error(text: &str) -> String {
    let error = Expression::compile(text, &["p", "at"]).map(|_| ()).expect_err(text);
    error.to_string()
}

/// `p` is this JSON, `at` is 2026-03-05T18:30:15.250Z.
fn evaluate(text: &str, json: &str) -> Result<Evaluated, EvaluationError> {
    let payload = Value::read_json(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    let scope = Scope::default().with("p", payload).with("at", Value::time(1_772_735_415_250));
    compile(text).evaluate(&scope)
}

fn value(text: &str, json: &str) -> Evaluated {
    evaluate(text, json).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn holds(text: &str) {
    assert_eq!(evaluate(text, "{}"), Ok(Evaluated::Flag(true)), "{text}");
}

fn text(text: &str) -> Evaluated {
    Evaluated::Text(text.to_owned())
}

#[test]
fn json_values_evaluate_to_themselves() {
    let json =
        r#"{ "name": "Caf\u00e9", "n": 3, "half": 0.5, "on": true, "list": [1, [2]], "map": {} }"#;
    assert_eq!(value("p.name", json), text("Café"));
    assert_eq!(value("p['name']", json), text("Café"));
    assert_eq!(value("p.n", json), Evaluated::Integer(3));
    assert_eq!(value("p.half", json), Evaluated::Float(0.5));
    assert_eq!(value("p.on", json), Evaluated::Flag(true));
    assert_eq!(value("p.list[1][0]", json), Evaluated::Integer(2));
    assert_eq!(value("p.list", json), Evaluated::Other("list"));
    assert_eq!(value("p.map", json), Evaluated::Other("map"));
    assert_eq!(value("duration('1h')", json), Evaluated::Other("duration"));
    assert_eq!(value("at", json), Evaluated::Time(1_772_735_415_250));
}

#[test]
fn missing_values_evaluate_to_nothing() {
    let json = r#"{ "none": null, "list": [1], "map": { "a": null } }"#;
    for nothing in [
        "null",
        "p.none",
        "p.other",
        "p.other.deeper[0].still",
        "p.none.field",
        "p.map.a.b",
        "p.list[1]",
        "p.list[-1]",
        "string(p.other)",
        "timestamp(p.none)",
        "p.none + 'a'",
        "p.none.contains('a')",
        "p.none ? 'a' : 'b'",
        "p.none > 1",
        "-p.none",
        "p.none.exists(x, x)",
        "'abc'.substring(4)",
        "[1, 'abc'.substring(4)]",
        "'abc'.substring(2, 1)",
        "p.list[0] == 1 ? p.other : 2",
    ] {
        assert_eq!(evaluate(nothing, json), Ok(Evaluated::Nothing), "{nothing}");
    }
    for (text, expected) in [
        ("has(p.list)", true),
        ("has(p.none)", true),
        ("has(p.other)", false),
        ("has(p.other.deeper)", false),
        ("has(p.none.field)", false),
        ("p.none == null", true),
        ("p.list != null", true),
        ("'none' in p && !('other' in p)", true),
        ("p.other == 1 || true", true),
        ("true || p.other == 1", true),
        ("p.other == 1 && false", false),
    ] {
        assert_eq!(evaluate(text, json), Ok(Evaluated::Flag(expected)), "{text}");
    }
    let empty = compile("p.name").evaluate(&Scope::default());
    assert_eq!(empty, Ok(Evaluated::Nothing), "a variable that is not given");
}

#[test]
fn json_numbers_keep_their_digits() {
    for (number, expected) in [
        ("930110024817", Evaluated::Integer(930_110_024_817)),
        ("9223372036854775807", Evaluated::Integer(i64::MAX)),
        ("-9223372036854775808", Evaluated::Integer(i64::MIN)),
        ("9223372036854775808", text("9223372036854775808")),
        ("18446744073709551615", text("18446744073709551615")),
        ("123456789012345678901234567890", text("123456789012345678901234567890")),
        ("1e3", Evaluated::Float(1000.0)),
        ("1e999", text("1e999")),
        ("-0", Evaluated::Integer(0)),
    ] {
        assert_eq!(value("p", number), expected, "{number}");
        assert_eq!(value("p.id", &format!(r#"{{ "id": {number} }}"#)), expected, "{number}");
    }
    assert_eq!(value("string(p)", "1234567890123456789"), text("1234567890123456789"));
}

#[test]
fn operators_follow_the_cel_specification() {
    for true_text in [
        "1 + 2 * 3 == 7 && 7 / 2 == 3 && 7 % 4 == 3 && -7 / 2 == -3 && 2 - 3 == -1",
        "1.5 * 2.0 == 3.0 && 1.0 / 4.0 == 0.25 && -(1.5) == -1.5 && 1.5 - 1.0 == 0.5",
        "1 == 1.0 && 1.0 == 1 && 1 < 1.5 && 2.5 > 2 && [1, 2] == [1.0, 2]",
        "9007199254740993 > 9007199254740992.0 && 9007199254740993 != 9007199254740992.0",
        "9223372036854775807 < 9223372036854775808.0 && -1 > -1.5 && 0 == -0.0",
        "'a' + 'b' == 'ab' && 'a' < 'b' && 'B' < 'a' && !('a' == 'A') && 'a' != 1",
        "[1] + ['a'] == [1, 'a'] && [] != [1] && 2 in [1, 2] && !('2' in [1, 2])",
        "{'a': 1, 2: true}['a'] == 1 && {2: true}[2] && {true: 'x'}[true] == 'x'",
        "{'a': [1]} == {'a': [1.0]} && {'a': 1} != {'b': 1} && size({'a': 1}) == 1",
        "false < true && (1 < 2 ? 'yes' : 'no') == 'yes' && !false",
        "0.0 / 0.0 != 0.0 / 0.0 && [1, 2][1.0] == 2 && {1: 2}[1.0] == 2 && 1.0 in {1: 2}",
        "true || 1 / 0 == 1",
        "1 / 0 == 1 || true",
        "!(false && 1 / 0 == 1) && !(1 / 0 == 1 && false)",
        "r'\\d' == '\\\\d' && \"\\u00e9\" == 'é' && '''a'b''' == \"a'b\"",
    ] {
        holds(true_text);
    }
    for (mistake, error) in [
        ("1 + 1.0", "+ does not take int and double"),
        ("1 + 'a'", "+ does not take int and string"),
        ("'a' - 'b'", "- does not take string and string"),
        ("'a' < 1", "< does not take string and int"),
        ("[1] < [2]", "< does not take list and list"),
        ("0.0 / 0.0 < 1.0", "< does not take double and double"),
        ("[1] in {'a': 1}", "in does not take list and map"),
        ("1 in 'a'", "in does not take int and string"),
        ("!1", "! does not take int"),
        ("-'a'", "- does not take string"),
        ("1 ? 2 : 3", "?: does not take int"),
        ("1 && true", "&& does not take int"),
        ("false || 'a'", "|| does not take string"),
        ("'a'.b", ". does not take string and string"),
        ("'a'[0]", "[] does not take string and int"),
        ("[1]['a']", "[] does not take list and string"),
        ("[1][0.5]", "[] does not take list and double"),
        ("{1.5: 1}", "{} does not take double"),
        ("size(1)", "size does not take int"),
        ("'a'.contains(1)", "contains does not take string and int"),
        ("[1].join()", "join does not take list"),
        ("1.matches('a')", "matches does not take int"),
        ("'a'.map(x, x)", "map does not take string"),
        ("[1].filter(x, x)", "filter does not take int"),
        ("[1].all(x, x)", "all does not take int"),
        ("9223372036854775807 + 1", "+ overflows"),
        ("-9223372036854775807 - 2", "- overflows"),
        ("9223372036854775807 * 2", "* overflows"),
        ("(-9223372036854775807 - 1) / -1", "/ overflows"),
        ("(-9223372036854775807 - 1) % -1", "% overflows"),
        ("-(-9223372036854775807 - 1)", "- overflows"),
        ("1 / 0", "divides by zero"),
        ("1 % 0", "divides by zero"),
        ("{'a': 1, 'a': 2}", "makes a map with the same key twice"),
    ] {
        let result = evaluate(mistake, "{}").map_err(|error| error.to_string());
        assert_eq!(result, Err(error.to_owned()), "{mistake}");
    }
    assert_eq!(value("1.0 / 0.0", "0"), Evaluated::Float(f64::INFINITY));
}

#[test]
fn macros_follow_the_cel_specification() {
    for true_text in [
        "[1, 2].all(x, x > 0) && ![1, 2].all(x, x > 1) && [].all(x, false)",
        "[1, 2].exists(x, x == 2) && ![].exists(x, true)",
        "[1, 2].exists_one(x, x > 1) && ![1, 2].exists_one(x, x > 0) && [1].existsOne(x, true)",
        "[1, 2].map(x, x * 2) == [2, 4] && [1, 2].map(x, x > 1, x * 2) == [4]",
        "[1, 2, 3].filter(x, x % 2 == 1) == [1, 3]",
        "{'b': 1, 'a': 2}.map(k, k) == ['a', 'b'] && {'a': 1}.all(k, k == 'a')",
        "[1, 2].map(x, [10, 20].map(y, x + y)) == [[11, 21], [12, 22]]",
        "[[1], [2, 3]].map(x, x.map(x, x + 1)) == [[2], [3, 4]]",
        "[1].map(p, p + 1) == [2] && [1, 2].map(x, x).map(y, y).map(z, z) == [1, 2]",
        // An element that decides overrides errors of other elements, in any order.
        "[0, 1].exists(x, 1 / x == 1) && ![0, 2].all(x, 1 / x == 1)",
    ] {
        holds(true_text);
    }
    let failed = |text| evaluate(text, "{}").expect_err(text);
    assert_eq!(failed("[0, 2].exists(x, 1 / x == 1)"), EvaluationError::DivisionByZero);
    assert_eq!(failed("[0, 1].all(x, 1 / x == 1)"), EvaluationError::DivisionByZero);
    assert_eq!(failed("[0, 1].exists_one(x, 1 / x == 1)"), EvaluationError::DivisionByZero);
    assert_eq!(failed("[0, 1].map(x, 1 / x)"), EvaluationError::DivisionByZero);
    let json = r#"{ "people": [{ "role": "guest" }, { "role": "host", "name": "Ada" }] }"#;
    assert_eq!(value("p.people.filter(x, x.role == 'host')[0].name", json), text("Ada"));
    assert_eq!(value("p.people.filter(x, x.role == 'owner')[0].name", json), Evaluated::Nothing);
}

#[test]
fn functions_follow_the_cel_specification() {
    for true_text in [
        "size('äö') == 2 && 'äö'.size() == 2 && size([1]) == 1 && [1].size() == 1",
        "int('12') == 12 && int(2.9) == 2 && int(-2.9) == -2 && int(7) == 7",
        "double('1.5') == 1.5 && double(2) == 2.0 && bool('true') && !bool('false') && bool(true)",
        "string(1) == '1' && string(1.5) == '1.5' && string(2.0) == '2' && string(true) == 'true'",
        "'Internal: x'.startsWith('Internal') && 'abc'.endsWith('bc') && 'abc'.contains('b')",
        "'Abc'.lowerAscii() == 'abc' && 'aÄ'.upperAscii() == 'AÄ' && ' a '.trim() == 'a'",
        "'a-b-c'.replace('-', '+') == 'a+b+c' && 'ab'.replace('', '.') == '.a.b.'",
        "'a,b,'.split(',') == ['a', 'b', ''] && 'äb'.split('') == ['ä', 'b'] && ''.split('') == []",
        "'äbc'.substring(1) == 'bc' && 'äbc'.substring(0, 1) == 'ä' && 'a'.substring(1) == ''",
        "['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab' && [].join() == ''",
        "'Room 12'.matches('[0-9]+') && !'Room'.matches('^[0-9]+$') && matches('ÄB', '(?i)äb')",
        "'x'.matches(r'\\w')",
    ] {
        holds(true_text);
    }
    for (mistake, error) in [
        ("int('twelve')", "int cannot parse its text"),
        ("int(1e30)", "int overflows"),
        ("int(0.0 / 0.0)", "int overflows"),
        ("double('x')", "double cannot parse its text"),
        ("bool('yes')", "bool cannot parse its text"),
        ("timestamp('soon')", "timestamp cannot parse its text"),
        ("timestamp('2026-03-05T18:00:00')", "timestamp cannot parse its text"),
        ("duration('long')", "duration cannot parse its text"),
        ("at.getHours('Nowhere/Land')", "time zone cannot parse its text"),
        ("timestamp(9223372036854775807)", "timestamp overflows"),
        ("at + duration('999999999999s')", "+ overflows"),
        ("at - duration('999999999999s')", "- overflows"),
        ("duration('9223372036854775807s') + duration('1s')", "+ overflows"),
        ("string([1])", "string does not take list"),
    ] {
        let result = evaluate(mistake, "{}").map_err(|error| error.to_string());
        assert_eq!(result, Err(error.to_owned()), "{mistake}");
    }
}

#[test]
fn times_follow_the_cel_specification() {
    for true_text in [
        "at == timestamp('2026-03-05T18:30:15.250Z') && at == timestamp('2026-03-05T19:30:15.250+01:00')",
        "at > timestamp('2026-03-05T18:30:15Z') && timestamp(at) == at && at != 1",
        "string(at) == '2026-03-05T18:30:15.25Z' && string(timestamp(0)) == '1970-01-01T00:00:00Z'",
        "int(at) == 1772735415 && timestamp(int(at)) < at",
        "at + duration('90m') == timestamp('2026-03-05T20:00:15.250Z') && duration('1s') + at > at",
        "at - duration('30s') < at && at - timestamp('2026-03-05T18:30:15Z') == duration('250ms')",
        "duration('1h30m') == duration('5400s') && duration('2h') - duration('1h') == duration('1h')",
        "-duration('1s') < duration('0s') && duration(duration('1s')) == duration('1s')",
        "string(duration('1h30m')) == '5400s' && string(duration('-250ms')) == '-0.25s'",
        "duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90",
        "duration('1m').getSeconds() == 60",
        "at.getFullYear() == 2026 && at.getMonth() == 2 && at.getDate() == 5",
        "at.getDayOfMonth() == 4 && at.getDayOfWeek() == 4 && at.getDayOfYear() == 63",
        "at.getHours() == 18 && at.getMinutes() == 30 && at.getSeconds() == 15",
        "at.getMilliseconds() == 250 && at.getHours('+05:30') == 0 && at.getDate('+05:30') == 6",
        "at.getHours('Europe/Berlin') == 19 && at.getHours('UTC') == 18",
    ] {
        holds(true_text);
    }
}

#[test]
fn compile_errors_name_their_place() {
    for (text, expected) in [
        ("evnt.name == 'x'", "line 1, column 1: unknown variable evnt. Known variables: p, at"),
        ("p.name ==\n  nam", "line 2, column 3: unknown variable nam. Known variables: p, at"),
        ("[1].map(x, y)", "line 1, column 12: unknown variable y. Known variables: p, at"),
        ("[1].map(x, x) == x", "line 1, column 18: unknown variable x. Known variables: p, at"),
        ("p.name.upper()", "line 1, column 13: unknown function upper()"),
        ("length(p.name)", "line 1, column 7: unknown function length()"),
        ("contains('a', 'b')", "line 1, column 9: unknown function contains()"),
        ("size()", "line 1, column 5: size() does not take these arguments"),
        ("'a'.contains()", "line 1, column 13: contains() does not take these arguments"),
        ("has(p)", "line 1, column 4: has() does not take these arguments"),
        ("[1].map(x)", "line 1, column 8: map() does not take these arguments"),
        ("[1].all(1, true)", "line 1, column 9: all() does not take these arguments"),
        ("p.name == 1u", "line 1, column 11: unsigned numbers are not supported"),
        ("b'a'", "line 1, column 1: bytes are not supported"),
        ("a.b{c: 1}", "line 1, column 4: messages are not supported"),
        ("p.?name", "line 1, column 2: unsupported syntax '.?'"),
        ("p.name = 'x'", "line 1, column 8: token recognition error at: '= '"),
        ("p.name ==", "line 1, column 10: mismatched input '<EOF>'"),
        ("p.name 'x'", "line 1, column 8: extraneous input ''x''"),
        ("", "line 1, column 1: mismatched input '<EOF>'"),
        ("9223372036854775808", "line 1, column 1: invalid int literal"),
    ] {
        assert_eq!(compile_error(text), expected, "{text}");
    }
    let nested = "p.a.map(x, p.b.map(y, p.c.map(z, z)))";
    let expected = "nests macros more than 2 levels deep";
    assert_eq!(compile_error(nested), format!("line 1, column 30: {expected}"));
    let pattern = "the pattern of matches() must be a literal";
    for text in ["p.matches(p)", "p.matches('(')", "p.matches('a' + 'b')"] {
        assert!(compile_error(text).contains(pattern), "{text}");
    }
}

#[test]
fn literal_keys_lists_the_keys_read_from_a_variable() {
    let keys = |text: &str| {
        let expression = Expression::compile(text, &["headers", "p"]).expect(text);
        let keys: Vec<String> = expression.literal_keys("headers").into_iter().collect();
        (keys.join(" "), expression.uses_whole("headers"))
    };
    let known = |names: &str| (names.to_owned(), false);
    assert_eq!(keys("headers['x-event'] + headers.etag + p.headers"), known("etag x-event"));
    assert_eq!(keys("has(headers.id) ? {'a': [headers.a]}.a[0] : -p.b"), known("a id"));
    assert_eq!(keys("'x-a' in headers && !headers.b.matches('c')"), known("b x-a"));
    assert_eq!(keys("p.l.filter(x, x == headers.c).map(x, headers.f, headers.d)"), known("c d f"));
    assert_eq!(keys("[1].map(headers, headers.x)[p.i]"), known(""), "a macro's own variable");
    for whole in
        ["headers", "size(headers)", "headers[p.name]", "headers.all(k, true)", "p in headers"]
    {
        assert_eq!(keys(whole), (String::new(), true), "{whole}");
    }
}

#[test]
fn expressions_with_equal_texts_are_equal() {
    let (one, same, other) = (compile("p.a"), compile("p.a"), compile("p.b"));
    assert_eq!(one, same);
    assert_ne!(one, other);
    assert_eq!(one.text(), "p.a");
    assert_eq!(format!("{:?}", one.clone()), r#"Expression("p.a")"#);
    let on_another = std::thread::spawn(move || one.evaluate(&Scope::default()));
    assert_eq!(on_another.join().expect("no panic"), Ok(Evaluated::Nothing));
}

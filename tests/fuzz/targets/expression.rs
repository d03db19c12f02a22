//! Expressions of the configuration, and the payloads on which they are evaluated.

use webinar_bridge::expression::{Evaluated, Expression, Scope, Value};

pub(super) fn seeds() -> Vec<Vec<u8>> {
    const PAYLOAD: &str = r#"{ "name": "Caf\u00e9 [internal]", "id": 12345678901234567890, "at": "2026-03-05T18:30:15Z",
        "starts": 1772735415, "ended": null, "tags": ["a", "b"], "people": [{ "role": "host", "name": "Ada" }] }"#;
    let expressions = [
        "!payload.name.contains('[internal]') && size(payload.tags) > 0",
        "payload.people.filter(p, p.role == \"host\").map(p, p.name).join(', ')",
        "payload.tags.exists(t, payload.people.all(p, p.name != t))",
        "has(payload.ended) ? timestamp(payload.at) + duration('90m') : timestamp(payload.starts)",
        "{'a': 1, 'b': [2, -3.5e2]}[payload.tags[0]] == 1 || payload['id'] == null",
        "payload.name.matches(r'(?i)\\binternal\\b') ? 'yes' : string(received_at.getHours('+05:30'))",
        "payload.name.split(' ')[1].substring(1, 9).upperAscii().replace('A', '''b''') in headers",
        "int(payload.starts) / 60 % 60 - int('7') * 2 >= 3 // minutes",
    ];
    expressions.map(|text| format!("{text}\n\n{PAYLOAD}").into_bytes()).into()
}

pub(super) fn check(data: &[u8]) {
    let whole = String::from_utf8_lossy(data);
    let (text, json) = whole.split_once("\n\n").unwrap_or((&whole, "{}"));
    let expression = match Expression::compile(text, &["payload", "headers", "received_at"]) {
        Ok(expression) => expression,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && super::is_fit_for_logs(&message), "{message:?}");
            return;
        }
    };
    assert_eq!(expression.text(), text);
    let Ok(payload) = Value::read_json(json) else { return };
    let scope = Scope::default()
        .with("payload", payload)
        .with("headers", Value::map([("etag", "1".into()), ("x-event", "created".into())]))
        .with("received_at", Value::time(1_772_735_415_250));
    let result = expression.evaluate(&scope);
    let again = Expression::compile(text, &["payload", "headers", "received_at"]);
    let again = again.expect("it compiled before").evaluate(&scope);
    assert_eq!(format!("{result:?}"), format!("{again:?}"), "it yields something else each time");
    match result {
        Ok(Evaluated::Time(ms)) => assert_ne!(Value::time(ms).kind(), "null", "{ms}"),
        Ok(_) => {}
        Err(error) => assert!(super::is_fit_for_logs(&error.to_string()), "{error}"),
    }
    if !expression.uses_whole("headers") && expression.literal_keys("headers").is_empty() {
        let without = expression.evaluate(&scope.with("headers", Value::Null));
        assert_eq!(
            format!("{without:?}"),
            format!("{again:?}"),
            "it uses headers that it does not list"
        );
    }
}

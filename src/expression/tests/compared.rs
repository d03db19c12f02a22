//! Compares with the crate's interpreter, for expressions without variables.

use std::sync::Arc;

use cel::{Context, Env, ExecutionError, extensions};
use proptest::prelude::*;

use super::*;

/// Expressions of literals, mostly of fitting kinds.
fn expressions() -> impl Strategy<Value = String> {
    let of = |all: &[&'static str]| prop::sample::select(all.to_vec()).prop_map(str::to_owned);
    let leaf = prop_oneof![
        of(&["0", "1", "2", "7", "-3", "9223372036854775807", "4611686018427387904"]),
        of(&["0.0", "1.0", "2.5", "-0.5", "1e30", "9007199254740992.0"]),
        of(&["'a'", "'b'", "'abc'", "'äöü'", "''", "'12'", "'true'", "' a b '"]),
        of(&["true", "false", "null", "[]", "[1, 2, 3]", "['a', 'b']", "{'a': 1}", "{1: 'x'}"]),
    ];
    leaf.prop_recursive(4, 32, 3, move |inner| {
        let operator = of(&["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "in", "&&", "||"]);
        let method = of(&[
            "contains", "startsWith", "endsWith", "split", "join", "substring",
        ]);
        let plain = of(&["size", "lowerAscii", "upperAscii", "trim", "join"]);
        let function = of(&["size", "int", "double", "string", "bool"]);
        let each = of(&["all", "exists", "exists_one", "map", "filter"]);
        let body = of(&["x", "x == 1", "x > 1", "x != 'a'", "x + x", "1 / x == 1", "true", "[x]"]);
        prop_oneof![
            4 => (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => (inner.clone(), method, inner.clone()).prop_map(|(a, m, b)| format!("{a}.{m}({b})")),
            1 => (inner.clone(), plain).prop_map(|(a, m)| format!("{a}.{m}()")),
            1 => (function, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            2 => (inner.clone(), each, body).prop_map(|(a, m, b)| format!("{a}.{m}(x, {b})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            1 => inner.clone().prop_map(|a| format!("!({a})")),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

/// The result of the crate's interpreter.
fn crate_result(text: &str) -> Result<Evaluated, ExecutionError> {
    let mut env = Env::stdlib();
    env.add_extension(extensions::strings).expect("nothing is declared twice");
    let program = env.compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Ok(match program.execute(&Context::with_env(Arc::new(env)))? {
        cel::Value::Null => Evaluated::Nothing,
        cel::Value::Bool(flag) => Evaluated::Flag(flag),
        cel::Value::Int(number) => Evaluated::Integer(number),
        cel::Value::Float(number) => Evaluated::Float(number),
        cel::Value::String(text) => Evaluated::Text(text.to_string()),
        cel::Value::List(_) => Evaluated::Other("list"),
        cel::Value::Map(_) => Evaluated::Other("map"),
        other @ (cel::Value::UInt(_)
        | cel::Value::Bytes(_)
        | cel::Value::Struct(_)
        | cel::Value::Opaque(_)
        | cel::Value::Function(..)) => unreachable!("{text}: {other:?}"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(debug_assertions) { 300 } else { 3_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn result_equals_that_of_the_crate(text in expressions()) {
        let Ok(expression) = Expression::compile(&text, &[]) else { return Ok(()) };
        let ours = expression.evaluate(&Scope::default());
        // The crate adds the keys of a map to a list, which CEL does not.
        if ours.as_ref().is_err_and(|error| error.to_string() == "+ does not take list and map") {
            return Ok(());
        }
        match crate_result(&text) {
            Ok(theirs) => prop_assert_eq!(format!("{ours:?}"), format!("{:?}", Ok::<_, ()>(theirs)), "{}", text),
            // Ours has fewer errors: a missing value or null yields nothing.
            Err(_) => prop_assert!(matches!(ours, Err(_) | Ok(Evaluated::Nothing)), "{text}: {ours:?}"),
        }
    }
}

//! The environment: its variables, and the mapping of `BRIDGE__STORE__URL` to `store.url`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use toml::{Table, Value};

use super::problem::ConfigProblem;
use super::section::{ProblemReport, as_table, convert, key_path};

/// Variable with the path of the configuration file, if `--config` is not given.
pub const CONFIG_FILE: &str = "BRIDGE_CONFIG";

/// Prefix of every variable that sets a key.
const PREFIX: &str = "BRIDGE__";

/// All variables of the process whose name and value are UTF-8; no other is ours.
#[must_use]
pub fn variables() -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Overrides the file's values with the variables that set keys.
pub(super) fn overlay(
    table: &mut Table,
    variables: &BTreeMap<String, String>,
    report: &mut ProblemReport,
) {
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let path = path.to_lowercase();
        let keys: Vec<&str> = path.split("__").collect();
        match insert(table, "", &keys, text, &report.variables) {
            Ok(path) => drop(report.variables.insert(path, name.clone())),
            Err(message) => report.problems.get_mut().push(ConfigProblem {
                origin: format!("${name}"),
                key: keys.join("."),
                message,
            }),
        }
    }
}

/// Inserts the text below the table at `path`, and returns the path of its key.
fn insert(
    table: &mut Table,
    path: &str,
    keys: &[&str],
    text: &str,
    variables: &BTreeMap<String, String>,
) -> Result<String, String> {
    let Some((key, rest)) = keys.split_first() else { return Ok(path.to_owned()) };
    if key.is_empty() {
        return Err("has an empty part. Write SECTION__KEY with two underscores between the parts"
            .to_owned());
    }
    let key = resolve_key(table, key)?;
    let path = key_path(path, &key);
    if rest.is_empty() {
        table.insert(key, Value::String(text.to_owned()));
        return Ok(path);
    }
    let given = table.remove(&key);
    let below = given.and_then(|value| convert(&value, variables.contains_key(&path), as_table));
    let mut below = below.unwrap_or_default();
    let inserted = insert(&mut below, &path, rest, text, variables);
    table.insert(key, Value::Table(below));
    inserted
}

/// The key that a variable means: names may hold `-`, which a variable's name cannot, so `_` matches both.
fn resolve_key(table: &Table, key: &str) -> Result<String, String> {
    let meant: Vec<&String> = table.keys().filter(|known| known.replace('-', "_") == key).collect();
    match meant.as_slice() {
        [] => Ok(key.to_owned()),
        [one] => Ok((*one).clone()),
        [one, other, ..] => Err(format!(
            "matches {one} and {other}. Set the key in the file, or rename one of them"
        )),
    }
}

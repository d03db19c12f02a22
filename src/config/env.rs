//! The environment: its variables, and the mapping of `BRIDGE__STORE__URL` to `store.url`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::node::{ConfigNode, ConfigTree};
use super::problem::ConfigProblem;

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
    tree: &mut ConfigTree,
    variables: &BTreeMap<String, String>,
    problems: &mut Vec<ConfigProblem>,
) {
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let path = path.to_lowercase();
        let keys: Vec<&str> = path.split("__").collect();
        if let Err(message) = insert(tree, &keys, name, text) {
            problems.push(ConfigProblem {
                origin: format!("${name}"),
                key: keys.join("."),
                message,
            });
        }
    }
}

fn insert(tree: &mut ConfigTree, keys: &[&str], name: &str, text: &str) -> Result<(), String> {
    let Some((key, rest)) = keys.split_first() else { return Ok(()) };
    if key.is_empty() {
        return Err("has an empty part. Write SECTION__KEY with two underscores between the parts"
            .to_owned());
    }
    let key = resolve_key(tree, key)?;
    if rest.is_empty() {
        tree.insert(key, ConfigNode::Variable { name: name.to_owned(), text: text.to_owned() });
        return Ok(());
    }
    let mut below = tree.remove(&key).and_then(ConfigNode::into_table).unwrap_or_default();
    let put = insert(&mut below, rest, name, text);
    tree.insert(key, ConfigNode::Table(below));
    put
}

/// The key that a variable means: names may hold `-`, which a variable's name cannot, so `_` matches both.
fn resolve_key(tree: &ConfigTree, key: &str) -> Result<String, String> {
    let meant: Vec<&String> = tree.keys().filter(|known| known.replace('-', "_") == key).collect();
    match meant.as_slice() {
        [] => Ok(key.to_owned()),
        [one] => Ok((*one).clone()),
        [one, other, ..] => Err(format!(
            "matches {one} and {other}. Set the key in the file, or rename one of them"
        )),
    }
}

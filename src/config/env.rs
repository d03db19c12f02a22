//! The environment: its variables, and how `BRIDGE__STORE__URL` comes to stand for `store.url`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::node::{ConfigNode, ConfigTree};
use super::problem::ConfigProblem;

/// Names the configuration file where `--config` does not.
pub const CONFIG_FILE: &str = "BRIDGE_CONFIG";

/// Begins every variable that stands for a key.
const PREFIX: &str = "BRIDGE__";

/// All variables of the process. What is not UTF-8 is not ours and is left out.
#[must_use]
pub fn variables() -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Puts the variables that stand for keys over what the file says.
pub(super) fn overlay(
    tree: &mut ConfigTree,
    variables: &BTreeMap<String, String>,
    problems: &mut Vec<ConfigProblem>,
) {
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let path = path.to_lowercase();
        let keys: Vec<&str> = path.split("__").collect();
        if let Err(what) = insert(tree, &keys, name, text) {
            problems.push(ConfigProblem {
                origin: format!("${name}"),
                key: keys.join("."),
                message: what,
            });
        }
    }
}

fn insert(tree: &mut ConfigTree, keys: &[&str], name: &str, text: &str) -> Result<(), String> {
    let Some((key, rest)) = keys.split_first() else { return Ok(()) };
    if key.is_empty() {
        return Err("has an empty part. Write SECTION__KEY with two underscores between".to_owned());
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

/// The key that is meant: names may hold `-`, which a variable's name cannot, so that `_` stands for both.
fn resolve_key(tree: &ConfigTree, key: &str) -> Result<String, String> {
    let meant: Vec<&String> = tree.keys().filter(|known| known.replace('-', "_") == key).collect();
    match meant.as_slice() {
        [] => Ok(key.to_owned()),
        [one] => Ok((*one).clone()),
        [one, other, ..] => {
            Err(format!("could be {one} as well as {other}. Set it in the file, or rename one"))
        }
    }
}

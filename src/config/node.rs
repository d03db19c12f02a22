//! The configuration as a tree: what the file says, with what the environment puts over it.
//!
//! A value of the file has its type. A variable of the environment is a text until it is known what is wanted of it,
//! so that `BRIDGE__SOURCE__X__ORGANIZER=2026` is a name and `BRIDGE__HUBSPOT__MAIN__MAX_BATCH=50` a number.

use std::collections::BTreeMap;

use toml::Value;

/// A table's entries.
pub(super) type ConfigTree = BTreeMap<String, ConfigNode>;

/// One place in the tree.
#[derive(Clone)]
pub(super) enum ConfigNode {
    /// A value that is no table.
    Value {
        /// It.
        value: Value,
        /// The variable whose inline table it stood in; none for the file.
        variable: Option<String>,
    },
    /// A variable's text.
    Variable {
        /// The variable's name.
        name: String,
        /// Its value.
        text: String,
    },
    /// A table of any of these.
    Table(ConfigTree),
}

impl ConfigNode {
    /// A table as a tree. `variable` is the one that said it, if not the file.
    pub(super) fn entries(table: toml::Table, variable: Option<&str>) -> ConfigTree {
        let node = |value| match value {
            Value::Table(table) => Self::Table(Self::entries(table, variable)),
            value @ (Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_)) => Self::Value { value, variable: variable.map(str::to_owned) },
        };
        table.into_iter().map(|(key, value)| (key, node(value))).collect()
    }

    /// The variable that said it, if one did. Of a table, the first.
    pub(super) fn variable(&self) -> Option<&str> {
        match self {
            Self::Value { variable, .. } => variable.as_deref(),
            Self::Variable { name, .. } => Some(name),
            Self::Table(table) => table.values().find_map(Self::variable),
        }
    }

    /// What `wanted` makes of it. A variable's text is tried as TOML first, then as the text it is.
    pub(super) fn read<T>(self, wanted: impl Fn(Value) -> Option<T>) -> Option<T> {
        match self {
            Self::Value { value, .. } => wanted(value),
            Self::Variable { text, .. } => {
                let parsed = text.parse::<Value>().ok().and_then(&wanted);
                parsed.or_else(|| wanted(Value::String(text)))
            }
            Self::Table(table) => wanted(Value::Table(to_toml(table))),
        }
    }

    /// Its entries, if it is a table.
    pub(super) fn into_table(self) -> Option<ConfigTree> {
        match self {
            Self::Value { .. } => None,
            Self::Table(table) => Some(table),
            Self::Variable { name, text } => match text.parse::<Value>() {
                Ok(Value::Table(table)) => Some(Self::entries(table, Some(&name))),
                Ok(_) | Err(_) => None,
            },
        }
    }
}

/// A tree as TOML, for what is read whole: secrets, whose entries are texts.
fn to_toml(table: ConfigTree) -> toml::Table {
    let value = |node| match node {
        ConfigNode::Value { value, .. } => value,
        ConfigNode::Variable { text, .. } => Value::String(text),
        ConfigNode::Table(table) => Value::Table(to_toml(table)),
    };
    table.into_iter().map(|(key, node)| (key, value(node))).collect()
}

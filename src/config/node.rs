//! The configuration as a tree: the file's values, overridden by the environment's variables.
//!
//! Values of the file have types. A variable's text gets a type when its key is read, so that
//! `BRIDGE__SOURCE__X__ORGANIZER=2026` is a text and `BRIDGE__HUBSPOT__MAIN__MAX_BATCH=50` a number.

use std::collections::BTreeMap;

use toml::Value;

/// Entries of a table.
pub(super) type ConfigTree = BTreeMap<String, ConfigNode>;

/// One node of the tree.
#[derive(Clone)]
pub(super) enum ConfigNode {
    /// A value that is not a table.
    Value {
        /// Value.
        value: Value,
        /// Environment variable whose inline table holds the value; `None` for the file.
        variable: Option<String>,
    },
    /// Text of an environment variable.
    Variable {
        /// Name of the variable.
        name: String,
        /// Value of the variable.
        text: String,
    },
    /// A table.
    Table(ConfigTree),
}

impl ConfigNode {
    /// Converts a table; `variable` is the environment variable that holds it, if it is not the file's.
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

    /// The environment variable that set this node; of a table, the first one.
    pub(super) fn variable(&self) -> Option<&str> {
        match self {
            Self::Value { variable, .. } => variable.as_deref(),
            Self::Variable { name, .. } => Some(name),
            Self::Table(table) => table.values().find_map(Self::variable),
        }
    }

    /// Converts the node. A variable's text is tried as TOML first, then as a plain text.
    pub(super) fn read<T>(self, convert: impl Fn(Value) -> Option<T>) -> Option<T> {
        match self {
            Self::Value { value, .. } => convert(value),
            Self::Variable { text, .. } => {
                let parsed = text.parse::<Value>().ok().and_then(&convert);
                parsed.or_else(|| convert(Value::String(text)))
            }
            Self::Table(table) => convert(Value::Table(to_toml(table))),
        }
    }

    /// The entries, if the node is a table.
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

/// Converts a tree to TOML, for values that are read whole: secrets, whose entries are texts.
fn to_toml(table: ConfigTree) -> toml::Table {
    let value = |node| match node {
        ConfigNode::Value { value, .. } => value,
        ConfigNode::Variable { text, .. } => Value::String(text),
        ConfigNode::Table(table) => Value::Table(to_toml(table)),
    };
    table.into_iter().map(|(key, node)| (key, value(node))).collect()
}

//! The custom properties of a source.

use serde::{Serialize, Serializer};

use crate::expression::Expression;

/// A property that every event of a source carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomProperty {
    /// Always the same; what the platform says under that name goes before it.
    Text(String),
    /// What an expression says, which sees what the platform says and goes before it. Left out if it says nothing.
    Computed(Expression),
}

/// For comparing: a text as it is, an expression as the configuration has it.
impl Serialize for CustomProperty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Computed(expression) => serializer.collect_map([("cel", expression.text())]),
        }
    }
}

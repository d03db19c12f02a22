//! The custom properties of a source.

use serde::{Serialize, Serializer};

use crate::expression::Expression;

/// A custom property of every event of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomProperty {
    /// A fixed text; overridden by the platform's property of the same name.
    Text(String),
    /// An expression; it can read the platform's property of the same name, and overrides it. Left out if it has no
    /// value.
    Computed(Expression),
}

/// For comparison: a text as it is, an expression in its configured form.
impl Serialize for CustomProperty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Computed(expression) => serializer.collect_map([("cel", expression.text())]),
        }
    }
}

//! The variables of an evaluation.

use std::collections::BTreeMap;

use super::value::Value;

/// The values of an evaluation, by variable. A variable without a value counts as missing.
#[derive(Clone, Default)]
pub struct Scope {
    variables: BTreeMap<&'static str, Value>,
}

impl Scope {
    /// Adds a variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.variables.insert(name, value);
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }
}

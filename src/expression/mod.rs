//! Expressions of the configuration: filters, computed properties, mappings.
//!
//! They are written in the Common Expression Language, CEL, in which every program ends:
//! <https://github.com/google/cel-spec/blob/master/doc/langdef.md>.
//!
//! * `compile`: text to syntax tree, while the configuration is read, so that a faulty expression is reported at the
//!   start. The only user of the crate `cel`, of which it takes the parser.
//! * `evaluate`: syntax tree and values to a result; `meter` counts the steps.
//! * `operators`, `functions`, `times`: operations on values; `value`: values, and parsing of JSON.
//!
//! Promises: pure; equal values give equal results. No expression and no value makes it panic, and every evaluation
//! ends within [`STEPS_MAX`] steps: in a few tenths of a second (with a single use of the slowest pattern) and some
//! tens of megabytes. No error repeats a value. Relies on nothing of ours. Holds nothing that a crash could lose.
//!
//! Why not the crate's interpreter (0.15): it bounds neither time nor memory (`list.map(x, text + x)` on a payload of
//! 256 KiB builds up to 8 GB), takes up to 64 KiB of stack per level of an expression, iterates maps in an order that
//! changes from run to run, so that an event could differ each time it is folded, repeats values in its errors, and has
//! times only with a large dependency for time zones. A test compares the two where they can be compared.
//!
//! Supported: all operators and macros (`has`, `all`, `exists`, `exists_one`, `map`, `filter`), `size`, `int`,
//! `double`, `string`, `bool`, `timestamp`, `duration`, `contains`, `startsWith`, `endsWith`, `matches`, the getters of
//! times, and of the string extensions `lowerAscii`, `upperAscii`, `trim`, `replace`, `split`, `substring`, `join`. Not
//! supported: bytes, unsigned numbers, types as values, messages, the optional syntax. In contrast to the standard, a
//! missing value is no error but yields nothing: a missing key, a position beyond the end of a list or text, and any
//! operation on `null`; `has` is false for each of them at any depth. Patterns of `matches` are literals.

mod compile;
mod error;
mod evaluate;
mod evaluated;
mod functions;
mod limits;
mod meter;
mod node;
mod operators;
mod scope;
#[cfg(test)]
mod tests;
mod times;
mod value;

pub use compile::{ExpressionError, ExpressionFlaw};
pub use error::EvaluationError;
pub use evaluated::Evaluated;
pub use limits::{
    JSON_DEPTH_MAX, LENGTH_MAX, MACROS_MAX, NESTING_MAX, PATTERN_MAX, STEPS_MAX, StepBudget,
};
pub use scope::Scope;
pub use value::{JsonError, Value};

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use error::NoValue;
use evaluate::Evaluator;
use node::AstNode;

/// A compiled expression. Cheap to clone; two are equal if their texts are.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    text: String,
    root: AstNode,
}

impl Expression {
    /// Compiles an expression over these variables.
    ///
    /// # Errors
    /// The expression is too long or too deep, is not CEL, or names an unknown variable or function. The error holds
    /// the place.
    pub fn compile(text: &str, variables: &[&str]) -> Result<Self, ExpressionError> {
        let root = compile::compile(text, variables)?;
        Ok(Self(Arc::new(Compiled { text: text.to_owned(), root })))
    }

    /// The expression's text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The keys that the expression reads from a variable by a literal: `headers["x-event"]`, `headers.etag`, `"etag"
    /// in headers`.
    #[must_use]
    pub fn literal_keys(&self, variable: &str) -> BTreeSet<String> {
        self.variable_uses(variable).0
    }

    /// Whether the expression uses a variable in another way, so that its [`literal_keys`](Self::literal_keys) are not
    /// all that it reads: `headers[payload.name]`, `size(headers)`.
    #[must_use]
    pub fn uses_whole(&self, variable: &str) -> bool {
        self.variable_uses(variable).1
    }

    fn variable_uses(&self, variable: &str) -> (BTreeSet<String>, bool) {
        let (mut keys, mut whole) = (BTreeSet::new(), false);
        self.0.root.visit_uses(variable, &mut |key| match key {
            Some(key) => drop(keys.insert(key.to_owned())),
            None => whole = true,
        });
        (keys, whole)
    }

    /// Evaluates the expression.
    ///
    /// # Errors
    /// The operation does not accept the values, or takes too many steps.
    pub fn evaluate(&self, scope: &Scope) -> Result<Evaluated, EvaluationError> {
        self.evaluate_within(scope, &mut StepBudget(STEPS_MAX))
    }

    /// As [`evaluate`](Self::evaluate), within a budget that many evaluations share.
    ///
    /// # Errors
    /// The operation does not accept the values, or takes too many steps.
    pub fn evaluate_within(
        &self,
        scope: &Scope,
        steps: &mut StepBudget,
    ) -> Result<Evaluated, EvaluationError> {
        let granted = steps.0.min(STEPS_MAX);
        let mut run = Evaluator::new(scope, granted);
        let value = run.evaluate(&self.0.root);
        let left = run.steps_left();
        steps.0 -= granted - left.unwrap_or_default();
        match value {
            _ if left.is_none() => Err(EvaluationError::TooMuch),
            Ok(value) => Ok(Evaluated::from_value(value)),
            Err(NoValue::Missing) => Ok(Evaluated::Nothing),
            Err(NoValue::Failed(error)) => Err(error),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.0.text).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Expression {}

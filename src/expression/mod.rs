//! Expressions of the configuration: filters, computed properties, mappings.
//!
//! They are written in the Common Expression Language, CEL, in which every program ends:
//! <https://github.com/google/cel-spec/blob/master/doc/langdef.md>.
//!
//! * `compile`: from text to a tree, when the configuration is read: what is wrong with an expression is told then. The
//!   only door to the crate `cel`, of which the parser is used.
//! * `evaluate`: from a tree and values to what they say, step by counted step.
//! * `operators`, `functions`, `times`: what can be done with values; `value`: what there is, and how JSON is read.
//!
//! Promises: pure; the same values always say the same. Nothing in an expression or in a value makes it panic, and
//! however they are chosen an evaluation ends within [`STEPS_MAX`] steps: in a few tenths of a second (with the slowest
//! of patterns in one) and some tens of megabytes. No error repeats a value. Relies on nothing of ours.
//!
//! Why not the crate's interpreter (0.15): it bounds neither time nor memory (`list.map(x, text + x)` on a payload of
//! 256 KiB builds up to 8 GB), takes up to 64 KiB of stack for each level of an expression, goes through maps in an
//! order that changes from run to run, so that an event could differ each time it is folded, has values in its errors,
//! and has times only with a bulk of time zones. Where the two can be compared, a test does.
//!
//! What is CEL here: all operators and macros (`has`, `all`, `exists`, `exists_one`, `map`, `filter`), `size`, `int`,
//! `double`, `string`, `bool`, `timestamp`, `duration`, `contains`, `startsWith`, `endsWith`, `matches`, the getters of
//! times, and of the string extensions `lowerAscii`, `upperAscii`, `trim`, `replace`, `split`, `substring`, `join`.
//! What is not: bytes, unsigned numbers, types as values, messages, the optional syntax. Other than in the standard,
//! what is not there is never an error but yields nothing: a missing key, a place beyond the end of a list or text, and
//! what is done with `null`; `has` is false for each of them at any depth. Patterns of `matches` are literals.

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

/// An expression that can be evaluated. Cheap to clone; two are equal if their texts are.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    text: String,
    root: AstNode,
}

impl Expression {
    /// Reads an expression over these variables.
    ///
    /// # Errors
    /// It is too long or too deep, is not CEL, or names a variable or function that there is not; says where.
    pub fn compile(text: &str, variables: &[&str]) -> Result<Self, ExpressionError> {
        let root = compile::compile(text, variables)?;
        Ok(Self(Arc::new(Compiled { text: text.to_owned(), root })))
    }

    /// The text it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The keys that are asked of a variable by a literal: `headers["x-event"]`, `headers.etag`, `"etag" in headers`.
    #[must_use]
    pub fn literal_keys(&self, variable: &str) -> BTreeSet<String> {
        self.variable_uses(variable).0
    }

    /// Whether a variable is used in yet another way, so that its [`literal_keys`](Self::literal_keys) are not all that
    /// matters of it: `headers[payload.name]`, `size(headers)`.
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

    /// What it says of these values.
    ///
    /// # Errors
    /// It asks for what cannot be done with them, or for too much.
    pub fn evaluate(&self, scope: &Scope) -> Result<Evaluated, EvaluationError> {
        self.evaluate_within(scope, &mut StepBudget(STEPS_MAX))
    }

    /// As [`evaluate`](Self::evaluate), with no more steps than are left of those of many evaluations.
    ///
    /// # Errors
    /// It asks for what cannot be done with the values, or for too much.
    pub fn evaluate_within(
        &self,
        scope: &Scope,
        steps: &mut StepBudget,
    ) -> Result<Evaluated, EvaluationError> {
        let mut run = Evaluator::new(scope, steps);
        let value = run.evaluate(&self.0.root);
        run.charge(steps);
        match value {
            _ if run.has_exceeded_steps() => Err(EvaluationError::TooMuch),
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

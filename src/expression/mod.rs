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
mod evaluate;
mod functions;
mod node;
mod operators;
#[cfg(test)]
mod tests;
mod times;
mod value;

pub use compile::{ExpressionError, ExpressionFlaw};
pub use evaluate::EvaluationError;
pub use value::{JsonError, Value};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use evaluate::{Evaluator, NoValue};
use node::AstNode;

/// Longest expression, in characters.
pub const LENGTH_MAX: usize = 4_096;

/// Deepest nesting of brackets, and twice that of operators: `a + b + c` is two deep.
pub const NESTING_MAX: u16 = 32;

/// Deepest nesting of macros that go through a list.
pub const MACROS_MAX: usize = 2;

/// Longest pattern of `matches`, in characters.
pub const PATTERN_MAX: usize = 256;

/// Most steps of one evaluation.
///
/// A step is a node of the expression, an element of a list that is looked at or made, or 16
/// bytes of text; `matches` takes 2 to 32 for each byte, by its pattern. One macro over 60,000 elements fits, or two
/// nested ones over 300; more is a mistake, or meant to be a burden.
pub const STEPS_MAX: usize = 1_000_000;

/// Deepest nesting of a JSON value.
pub const JSON_DEPTH_MAX: usize = 64;

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

/// The steps that are left of those of many evaluations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepBudget(pub usize);

impl StepBudget {
    /// Whether none is left.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.0 == 0
    }
}

/// The values of an evaluation, by variable. One that is not given is as good as missing.
#[derive(Clone, Default)]
pub struct Scope {
    variables: BTreeMap<&'static str, Value>,
}

impl Scope {
    /// With one more variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.variables.insert(name, value);
        self
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }
}

/// What an expression says.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluated {
    /// Nothing: `null`, or what is asked for is not there.
    Nothing,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// True or false.
    Flag(bool),
    /// A point in time, in milliseconds since 1970.
    Time(i64),
    /// Something else, by CEL's word for it: a list, a map or a duration.
    Other(&'static str),
}

impl Evaluated {
    fn from_value(value: Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Flag(flag) => Self::Flag(flag),
            Value::Int(number) => Self::Integer(number),
            Value::Double(number) => Self::Float(number),
            Value::Text(text) => Self::Text(text.as_ref().to_owned()),
            Value::Time(time) => Self::Time(time.as_millisecond()),
            Value::List(_) | Value::Map(_) | Value::Span(_) => Self::Other(value.kind()),
        }
    }
}

//! From a tree and values to what they say.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node::{Each, Macro, Node, Pattern};
use super::operators::Operator;
use super::value::{Key, Value};
use super::{STEPS_MAX, Scope, Steps};

/// Why an evaluation failed. None repeats a value: they are payloads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The values are too many or too long for what is done with them.
    #[error("takes more than {STEPS_MAX} steps")]
    TooMuch,
    /// An operator or function does not take what it is given.
    #[error("{operation} does not take {kinds}")]
    Kinds {
        /// Which.
        operation: &'static str,
        /// What it is given: `string and int`.
        kinds: String,
    },
    /// A number, time or duration that is too large for its kind.
    #[error("{0} overflows")]
    Overflow(&'static str),
    /// By zero.
    #[error("divides by zero")]
    DivisionByZero,
    /// A conversion from a text that does not say that.
    #[error("{0} cannot read its text")]
    Unreadable(&'static str),
    /// The same key twice.
    #[error("makes a map with the same key twice")]
    RepeatedKey,
}

/// Why there is no value.
pub(super) enum Stop {
    /// What is asked for is not there.
    Missing,
    Failed(EvaluationError),
}

impl From<EvaluationError> for Stop {
    fn from(error: EvaluationError) -> Self {
        Self::Failed(error)
    }
}

/// A value, or why there is none.
pub(super) type Outcome = Result<Value, Stop>;

/// What an operator or function makes of its arguments; none if it does not take such.
pub(super) type Applied = Result<Option<Value>, Stop>;

/// The steps that are left; none once there were too few.
pub(super) struct Meter(Option<usize>);

impl Meter {
    pub(super) fn steps(&mut self, steps: usize) -> Result<(), Stop> {
        self.0 = self.0.and_then(|left| left.checked_sub(steps));
        self.0.map(drop).ok_or_else(|| EvaluationError::TooMuch.into())
    }

    /// For text that is looked at or made.
    pub(super) fn text(&mut self, bytes: usize) -> Result<(), Stop> {
        self.steps(bytes / 16)
    }

    /// For a key that is looked for.
    pub(super) fn key(&mut self, key: &Key) -> Result<(), Stop> {
        match key {
            Key::Text(text) => self.text(text.len()),
            Key::Flag(_) | Key::Int(_) => Ok(()),
        }
    }
}

/// One evaluation.
pub(super) struct Run<'a> {
    scope: &'a Scope,
    /// Of the macros that are under way, outermost first.
    locals: Vec<Value>,
    meter: Meter,
}

impl<'a> Run<'a> {
    pub(super) fn new(scope: &'a Scope, steps: &Steps) -> Self {
        Self { scope, locals: Vec::new(), meter: Meter(Some(steps.0.min(STEPS_MAX))) }
    }

    /// Takes from the steps what it took.
    pub(super) fn settle(&self, steps: &mut Steps) {
        let granted = steps.0.min(STEPS_MAX);
        steps.0 -= granted - self.meter.0.unwrap_or_default();
    }

    /// Whether it took too many steps. Then no value of it counts, as one that is wrong may have been outweighed.
    pub(super) fn is_too_much(&self) -> bool {
        self.meter.0.is_none()
    }

    pub(super) fn value(&mut self, node: &Node) -> Outcome {
        self.meter.steps(1)?;
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Variable(name) => self.scope.get(name).cloned().ok_or(Stop::Missing),
            Node::Local(at) => self.locals.get(*at).cloned().ok_or(Stop::Missing),
            Node::Field(of, name) => self.member(".", of, name),
            Node::Has(of, name) => match self.member(".", of, name) {
                Ok(_) => Ok(Value::Flag(true)),
                Err(Stop::Missing) => Ok(Value::Flag(false)),
                Err(failed) => Err(failed),
            },
            Node::Index(both) => {
                let (of, at) = (self.value(&both.0)?, self.value(&both.1)?);
                let key = at.key().ok_or_else(|| unfit("[]", [&of, &at]))?;
                self.meter.key(&key)?;
                member("[]", &of, &key)
            }
            Node::And(both) => {
                let left = self.flag("&&", &both.0);
                self.either("&&", left, &both.1, false)
            }
            Node::Or(both) => {
                let left = self.flag("||", &both.0);
                self.either("||", left, &both.1, true)
            }
            Node::Not(of) => Ok(Value::Flag(!self.flag("!", of)?)),
            Node::Negate(of) => {
                let of = self.value(of)?;
                Operator::negated(&of)?.ok_or_else(|| unfit("-", [&of]))
            }
            Node::If(three) => {
                let branch = if self.flag("?:", &three.0)? { &three.1 } else { &three.2 };
                self.value(branch)
            }
            Node::Apply(operator, both) => {
                let (left, right) = (self.value(&both.0)?, self.value(&both.1)?);
                let applied = operator.apply(&mut self.meter, &left, &right)?;
                applied.ok_or_else(|| unfit(operator.symbol(), [&left, &right]))
            }
            Node::List(nodes) => {
                let values = nodes.iter().map(|node| self.value(node));
                Ok(Value::List(values.collect::<Result<_, _>>()?))
            }
            Node::Map(entries) => self.map(entries),
            Node::Call(function, nodes) => {
                let values = nodes.iter().map(|node| self.value(node));
                let values: Vec<Value> = values.collect::<Result<_, _>>()?;
                let applied = (function.apply)(&mut self.meter, &values)?;
                applied.ok_or_else(|| unfit(function.name, &values))
            }
            Node::Matches(matches) => {
                let (of, Pattern { regex, steps_per_byte }) = &**matches;
                let value = self.value(of)?;
                let Value::Text(text) = &value else { return Err(unfit("matches", [&value])) };
                self.meter.steps(text.len().saturating_mul(*steps_per_byte))?;
                Ok(Value::Flag(regex.is_match(text)))
            }
            Node::Each(each) => self.each(each),
        }
    }

    fn member(&mut self, operation: &'static str, of: &Node, key: &Key) -> Outcome {
        let of = self.value(of)?;
        self.meter.key(key)?;
        member(operation, &of, key)
    }

    fn flag(&mut self, operation: &'static str, node: &Node) -> Result<bool, Stop> {
        let value = self.value(node)?;
        let Value::Flag(flag) = value else { return Err(unfit(operation, [&value])) };
        Ok(flag)
    }

    /// `&&` and `||`: one side that `decides` outweighs whatever is wrong with the other, on either side.
    fn either(
        &mut self,
        operation: &'static str,
        left: Result<bool, Stop>,
        right: &Node,
        decides: bool,
    ) -> Outcome {
        if matches!(left, Ok(flag) if flag == decides) {
            return Ok(Value::Flag(decides));
        }
        match (left, self.flag(operation, right)) {
            (_, Ok(flag)) if flag == decides => Ok(Value::Flag(decides)),
            (Err(stop), _) | (Ok(_), Err(stop)) => Err(stop),
            (Ok(_), Ok(_)) => Ok(Value::Flag(!decides)),
        }
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Outcome {
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let key = self.value(key)?;
            let Some(key) = key.key() else { return Err(unfit("{}", [&key])) };
            self.meter.key(&key)?;
            if map.insert(key, self.value(value)?).is_some() {
                return Err(EvaluationError::RepeatedKey.into());
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn each(&mut self, each: &Each) -> Outcome {
        let range = self.value(&each.range)?;
        let elements: Arc<[Value]> = if let Value::List(list) = range {
            list
        } else if let Value::Map(map) = range {
            self.meter.steps(map.len())?;
            map.keys().map(Key::value).collect()
        } else {
            return Err(unfit(each.kind.name(), [&range]));
        };
        let outside = self.locals.len();
        let outcome = self.go_through(each, &elements);
        self.locals.truncate(outside);
        outcome
    }

    fn go_through(&mut self, each: &Each, elements: &[Value]) -> Outcome {
        let name = each.kind.name();
        let outside = self.locals.len();
        let (mut found, mut pending, mut made) = (0, None, Vec::new());
        for element in elements {
            self.locals.truncate(outside);
            self.locals.push(element.clone());
            match each.kind {
                Macro::Map => {
                    let taken = each.filter.as_ref().map_or(Ok(true), |it| self.flag(name, it))?;
                    if taken {
                        made.push(self.value(&each.body)?);
                    }
                }
                Macro::Filter => {
                    if self.flag(name, &each.body)? {
                        made.push(element.clone());
                    }
                }
                Macro::ExistsOne => found += usize::from(self.flag(name, &each.body)?),
                // As of `&&` and `||`: one that decides outweighs what is wrong with others.
                Macro::All | Macro::Exists => match self.flag(name, &each.body) {
                    Ok(flag) if flag == (each.kind == Macro::Exists) => {
                        return Ok(Value::Flag(flag));
                    }
                    Ok(_) => {}
                    Err(stop) => pending = pending.or(Some(stop)),
                },
            }
        }
        match (each.kind, pending) {
            (_, Some(stop)) => Err(stop),
            (Macro::Map | Macro::Filter, None) => Ok(Value::List(made.into())),
            (Macro::ExistsOne, None) => Ok(Value::Flag(found == 1)),
            (Macro::All, None) => Ok(Value::Flag(true)),
            (Macro::Exists, None) => Ok(Value::Flag(false)),
        }
    }
}

/// What stands under a key, if there is such.
fn member(operation: &'static str, of: &Value, key: &Key) -> Outcome {
    let found = match (of, key) {
        (Value::Map(map), key) => map.get(key),
        (Value::List(list), Key::Int(at)) => usize::try_from(*at).ok().and_then(|at| list.get(at)),
        (other, key) => return Err(unfit(operation, [other, &key.value()])),
    };
    found.cloned().ok_or(Stop::Missing)
}

/// Null is as good as missing; anything else is a mistake.
fn unfit<'v>(operation: &'static str, values: impl IntoIterator<Item = &'v Value>) -> Stop {
    let kinds: Vec<&str> = values.into_iter().map(Value::kind).collect();
    if kinds.contains(&Value::Null.kind()) {
        return Stop::Missing;
    }
    EvaluationError::Kinds { operation, kinds: kinds.join(" and ") }.into()
}

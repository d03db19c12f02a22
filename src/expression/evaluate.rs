//! Evaluates a syntax tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{EvaluationError, NoValue, ValueResult, kind_error};
use super::meter::StepMeter;
use super::node::{AstNode, Comprehension, Macro, Pattern};
use super::operators::member;
use super::scope::Scope;
use super::value::{Key, Value};

/// One evaluation.
pub(super) struct Evaluator<'a> {
    scope: &'a Scope,
    /// Values of the enclosing macros' variables, outermost first.
    locals: Vec<Value>,
    meter: StepMeter,
}

impl<'a> Evaluator<'a> {
    /// An evaluation that may take that many steps.
    pub(super) fn new(scope: &'a Scope, steps: usize) -> Self {
        Self { scope, locals: Vec::new(), meter: StepMeter::new(steps) }
    }

    /// Steps left; none once they were too few. Then the value is void: `&&`, `||` or a macro may have ignored the
    /// error.
    pub(super) fn steps_left(&self) -> Option<usize> {
        self.meter.left()
    }

    pub(super) fn evaluate(&mut self, node: &AstNode) -> ValueResult {
        self.meter.spend(1)?;
        match node {
            AstNode::Literal(value) => Ok(value.clone()),
            AstNode::Variable(name) => self.scope.get(name).cloned().ok_or(NoValue::Missing),
            AstNode::Local(at) => self.locals.get(*at).cloned().ok_or(NoValue::Missing),
            AstNode::Field(of, name) => self.evaluate_member(".", of, name),
            AstNode::Has(of, name) => match self.evaluate_member(".", of, name) {
                Ok(_) => Ok(Value::Flag(true)),
                Err(NoValue::Missing) => Ok(Value::Flag(false)),
                Err(failed) => Err(failed),
            },
            AstNode::Logical { decides, sides } => self.evaluate_logical(*decides, sides),
            AstNode::If(three) => {
                let [condition, then, otherwise] = &**three;
                let branch = if self.evaluate_flag("?:", condition)? { then } else { otherwise };
                self.evaluate(branch)
            }
            AstNode::List(nodes) => {
                let values = nodes.iter().map(|node| self.evaluate(node));
                Ok(Value::List(values.collect::<Result<_, _>>()?))
            }
            AstNode::Map(entries) => self.evaluate_map(entries),
            AstNode::Call(function, nodes) => {
                let values = nodes.iter().map(|node| self.evaluate(node));
                let values: Vec<Value> = values.collect::<Result<_, _>>()?;
                let applied = (function.apply)(&mut self.meter, &values)?;
                applied.ok_or_else(|| kind_error(function.name, &values))
            }
            AstNode::Matches(matches) => {
                let (of, Pattern { regex, steps_per_byte }) = &**matches;
                let value = self.evaluate(of)?;
                let Value::Text(text) = &value else { return Err(kind_error("matches", [&value])) };
                self.meter.spend(text.len().saturating_mul(*steps_per_byte))?;
                Ok(Value::Flag(regex.is_match(text)))
            }
            AstNode::Each(each) => self.evaluate_macro(each),
        }
    }

    fn evaluate_member(&mut self, operation: &'static str, of: &AstNode, key: &Key) -> ValueResult {
        let of = self.evaluate(of)?;
        self.meter.spend_key(key)?;
        member(operation, &of, key)
    }

    fn evaluate_flag(&mut self, operation: &'static str, node: &AstNode) -> Result<bool, NoValue> {
        let value = self.evaluate(node)?;
        let Value::Flag(flag) = value else { return Err(kind_error(operation, [&value])) };
        Ok(flag)
    }

    /// `&&` and `||`: a side that decides overrides an error of the other side, in either order.
    fn evaluate_logical(&mut self, decides: bool, sides: &[AstNode; 2]) -> ValueResult {
        let operation = if decides { "||" } else { "&&" };
        let left = self.evaluate_flag(operation, &sides[0]);
        if matches!(left, Ok(flag) if flag == decides) {
            return Ok(Value::Flag(decides));
        }
        match (left, self.evaluate_flag(operation, &sides[1])) {
            (_, Ok(flag)) if flag == decides => Ok(Value::Flag(decides)),
            (Err(stop), _) | (Ok(_), Err(stop)) => Err(stop),
            (Ok(_), Ok(_)) => Ok(Value::Flag(!decides)),
        }
    }

    fn evaluate_map(&mut self, entries: &[(AstNode, AstNode)]) -> ValueResult {
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let key = self.evaluate(key)?;
            let Some(key) = key.key() else { return Err(kind_error("{}", [&key])) };
            self.meter.spend_key(&key)?;
            if map.insert(key, self.evaluate(value)?).is_some() {
                return Err(EvaluationError::RepeatedKey.into());
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn evaluate_macro(&mut self, each: &Comprehension) -> ValueResult {
        let range = self.evaluate(&each.range)?;
        let elements: Arc<[Value]> = if let Value::List(list) = range {
            list
        } else if let Value::Map(map) = range {
            self.meter.spend(map.len())?;
            map.keys().map(Key::value).collect()
        } else {
            return Err(kind_error(each.kind.into_str(), [&range]));
        };
        let outside = self.locals.len();
        let outcome = self.iterate(each, &elements);
        self.locals.truncate(outside);
        outcome
    }

    fn iterate(&mut self, each: &Comprehension, elements: &[Value]) -> ValueResult {
        let name = each.kind.into_str();
        let outside = self.locals.len();
        let (mut found, mut pending, mut made) = (0, None, Vec::new());
        for element in elements {
            self.locals.truncate(outside);
            self.locals.push(element.clone());
            match each.kind {
                Macro::Map => {
                    let taken =
                        each.filter.as_ref().map_or(Ok(true), |it| self.evaluate_flag(name, it))?;
                    if taken {
                        made.push(self.evaluate(&each.body)?);
                    }
                }
                Macro::Filter => {
                    if self.evaluate_flag(name, &each.body)? {
                        made.push(element.clone());
                    }
                }
                Macro::ExistsOne => found += usize::from(self.evaluate_flag(name, &each.body)?),
                // As with `&&` and `||`, an element that decides overrides errors of other elements.
                Macro::All | Macro::Exists => match self.evaluate_flag(name, &each.body) {
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

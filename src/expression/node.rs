//! The syntax tree of an expression: all names are resolved, all patterns compiled.

use regex::Regex;

use super::functions::Function;
use super::operators::Operator;
use super::value::{Key, Value};

/// One node.
pub(super) enum AstNode {
    Literal(Value),
    /// A variable of the scope.
    Variable(String),
    /// A macro's variable, by the number of enclosing variables.
    Local(usize),
    /// `a.b`
    Field(Box<AstNode>, Key),
    /// `has(a.b)`
    Has(Box<AstNode>, Key),
    /// `a[b]`
    Index(Box<(AstNode, AstNode)>),
    And(Box<(AstNode, AstNode)>),
    Or(Box<(AstNode, AstNode)>),
    Not(Box<AstNode>),
    Negate(Box<AstNode>),
    /// `a ? b : c`
    If(Box<(AstNode, AstNode, AstNode)>),
    Apply(Operator, Box<(AstNode, AstNode)>),
    List(Vec<AstNode>),
    Map(Vec<(AstNode, AstNode)>),
    /// A call of a function; a method's receiver is the first argument.
    Call(&'static Function, Vec<AstNode>),
    Matches(Box<(AstNode, Pattern)>),
    Each(Box<Comprehension>),
}

/// A compiled pattern of `matches`.
pub(super) struct Pattern {
    pub(super) regex: Regex,
    pub(super) steps_per_byte: usize,
}

/// A macro over the elements of a list or the keys of a map.
pub(super) struct Comprehension {
    pub(super) kind: Macro,
    pub(super) range: AstNode,
    /// Filter of `map` with three arguments.
    pub(super) filter: Option<AstNode>,
    pub(super) body: AstNode,
}

/// Kind of macro.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl Macro {
    const NAMED: [(&'static str, Self); 6] = [
        ("all", Self::All),
        ("exists", Self::Exists),
        ("exists_one", Self::ExistsOne),
        ("existsOne", Self::ExistsOne),
        ("map", Self::Map),
        ("filter", Self::Filter),
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl AstNode {
    /// Calls `report` for each use of a variable: with the key that a literal reads from it, or `None` for another use.
    pub(super) fn visit_uses(&self, variable: &str, report: &mut dyn FnMut(Option<&str>)) {
        let is_it = |node: &Self| matches!(node, Self::Variable(name) if name == variable);
        match self {
            Self::Variable(name) if name == variable => report(None),
            Self::Literal(_) | Self::Variable(_) | Self::Local(_) => {}
            Self::Field(of, Key::Text(key)) | Self::Has(of, Key::Text(key)) if is_it(of) => {
                report(Some(key));
            }
            Self::Field(of, _) | Self::Has(of, _) | Self::Not(of) | Self::Negate(of) => {
                of.visit_uses(variable, report);
            }
            Self::Index(both) => match &**both {
                (of, Self::Literal(Value::Text(key))) if is_it(of) => report(Some(key)),
                (of, at) => {
                    of.visit_uses(variable, report);
                    at.visit_uses(variable, report);
                }
            },
            Self::Apply(operator, both) => match &**both {
                (Self::Literal(Value::Text(key)), of) if *operator == Operator::In && is_it(of) => {
                    report(Some(key));
                }
                (left, right) => {
                    left.visit_uses(variable, report);
                    right.visit_uses(variable, report);
                }
            },
            Self::And(both) | Self::Or(both) => {
                both.0.visit_uses(variable, report);
                both.1.visit_uses(variable, report);
            }
            Self::If(three) => {
                three.0.visit_uses(variable, report);
                three.1.visit_uses(variable, report);
                three.2.visit_uses(variable, report);
            }
            Self::List(nodes) | Self::Call(_, nodes) => {
                for node in nodes {
                    node.visit_uses(variable, report);
                }
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    key.visit_uses(variable, report);
                    value.visit_uses(variable, report);
                }
            }
            Self::Matches(matches) => matches.0.visit_uses(variable, report),
            Self::Each(each) => {
                each.range.visit_uses(variable, report);
                if let Some(filter) = &each.filter {
                    filter.visit_uses(variable, report);
                }
                each.body.visit_uses(variable, report);
            }
        }
    }
}

//! The tree of an expression: all names are resolved, all patterns compiled.

use regex::Regex;

use super::functions::Function;
use super::operators::Operator;
use super::value::{Key, Value};

/// One node.
pub(super) enum Node {
    Literal(Value),
    /// A variable of the scope.
    Variable(String),
    /// A macro's variable, by how many stand outside of it.
    Local(usize),
    /// `a.b`
    Field(Box<Node>, Key),
    /// `has(a.b)`
    Has(Box<Node>, Key),
    /// `a[b]`
    Index(Box<(Node, Node)>),
    And(Box<(Node, Node)>),
    Or(Box<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// `a ? b : c`
    If(Box<(Node, Node, Node)>),
    Apply(Operator, Box<(Node, Node)>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// A function; what a method is called on stands first.
    Call(&'static Function, Vec<Node>),
    Matches(Box<(Node, Pattern)>),
    Each(Box<Each>),
}

/// What a text is to match.
pub(super) struct Pattern {
    pub(super) regex: Regex,
    pub(super) steps_per_byte: usize,
}

/// A macro that goes through a list, or through a map's keys.
pub(super) struct Each {
    pub(super) kind: Macro,
    pub(super) range: Node,
    /// Which elements `map` takes, if not all.
    pub(super) filter: Option<Node>,
    pub(super) body: Node,
}

/// Which macro.
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

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl Node {
    /// Tells of each use of a variable: the key that a literal asks of it, or none if it is used otherwise.
    pub(super) fn uses(&self, variable: &str, tell: &mut dyn FnMut(Option<&str>)) {
        let is_it = |node: &Self| matches!(node, Self::Variable(name) if name == variable);
        match self {
            Self::Variable(name) if name == variable => tell(None),
            Self::Literal(_) | Self::Variable(_) | Self::Local(_) => {}
            Self::Field(of, Key::Text(key)) | Self::Has(of, Key::Text(key)) if is_it(of) => {
                tell(Some(key));
            }
            Self::Field(of, _) | Self::Has(of, _) | Self::Not(of) | Self::Negate(of) => {
                of.uses(variable, tell);
            }
            Self::Index(both) => match &**both {
                (of, Self::Literal(Value::Text(key))) if is_it(of) => tell(Some(key)),
                (of, at) => {
                    of.uses(variable, tell);
                    at.uses(variable, tell);
                }
            },
            Self::Apply(operator, both) => match &**both {
                (Self::Literal(Value::Text(key)), of) if *operator == Operator::In && is_it(of) => {
                    tell(Some(key));
                }
                (left, right) => {
                    left.uses(variable, tell);
                    right.uses(variable, tell);
                }
            },
            Self::And(both) | Self::Or(both) => {
                both.0.uses(variable, tell);
                both.1.uses(variable, tell);
            }
            Self::If(three) => {
                three.0.uses(variable, tell);
                three.1.uses(variable, tell);
                three.2.uses(variable, tell);
            }
            Self::List(nodes) | Self::Call(_, nodes) => {
                for node in nodes {
                    node.uses(variable, tell);
                }
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    key.uses(variable, tell);
                    value.uses(variable, tell);
                }
            }
            Self::Matches(matches) => matches.0.uses(variable, tell),
            Self::Each(each) => {
                each.range.uses(variable, tell);
                if let Some(filter) = &each.filter {
                    filter.uses(variable, tell);
                }
                each.body.uses(variable, tell);
            }
        }
    }
}

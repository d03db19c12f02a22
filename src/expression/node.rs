//! The syntax tree of an expression: all names are resolved, all patterns compiled.

use regex::Regex;

use super::functions::Function;
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
    /// `a && b`, which a false side decides, or `a || b`, which a true side decides.
    Logical {
        decides: bool,
        sides: Box<[AstNode; 2]>,
    },
    /// `a ? b : c`
    If(Box<[AstNode; 3]>),
    List(Vec<AstNode>),
    Map(Vec<(AstNode, AstNode)>),
    /// A call of a function or operator; a method's receiver is the first argument.
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
#[derive(Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub(super) enum Macro {
    All,
    Exists,
    #[strum(to_string = "exists_one", serialize = "existsOne")]
    ExistsOne,
    Map,
    Filter,
}

impl AstNode {
    /// Calls `report` for each use of a variable: with the key that a literal reads from it, or `None` for another use.
    pub(super) fn visit_uses(&self, variable: &str, report: &mut dyn FnMut(Option<&str>)) {
        if self.is_variable(variable) {
            return report(None);
        }
        if let Some(key) = self.literal_key(variable) {
            return report(Some(key));
        }
        for child in self.children() {
            child.visit_uses(variable, report);
        }
    }

    fn is_variable(&self, variable: &str) -> bool {
        matches!(self, Self::Variable(name) if name == variable)
    }

    /// The key that this node reads from the variable by a literal: `a.b`, `has(a.b)`, `a["b"]`, `"b" in a`.
    fn literal_key(&self, variable: &str) -> Option<&str> {
        if let Self::Field(of, Key::Text(key)) | Self::Has(of, Key::Text(key)) = self {
            return of.is_variable(variable).then_some(key);
        }
        let Self::Call(function, operands) = self else { return None };
        match (function.name, operands.as_slice()) {
            ("[]", [of, Self::Literal(Value::Text(key))])
            | ("in", [Self::Literal(Value::Text(key)), of]) => {
                of.is_variable(variable).then_some(key)
            }
            _ => None,
        }
    }

    fn children(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::Variable(_) | Self::Local(_) => Vec::new(),
            Self::Field(of, _) | Self::Has(of, _) => vec![of],
            Self::Logical { sides, .. } => sides.iter().collect(),
            Self::If(three) => three.iter().collect(),
            Self::List(nodes) | Self::Call(_, nodes) => nodes.iter().collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Self::Matches(matches) => vec![&matches.0],
            Self::Each(each) => [&each.range, &each.body].into_iter().chain(&each.filter).collect(),
        }
    }
}

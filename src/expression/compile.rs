//! Compiles text to a syntax tree, and checks everything that can be checked without values.

use std::thread;

use cel::common::ast::{
    CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use cel::{Env, ParseError};
use regex::RegexBuilder;

use super::functions::Function;
use super::limits::{LENGTH_MAX, MACROS_MAX, NESTING_MAX, PATTERN_MAX};
use super::node::{AstNode, Comprehension, Macro, Pattern};
use super::value::{Key, Value};

/// Stack of the parser, whose frames are large: 32 brackets and 2,000 operators took 6 MiB without optimization.
const STACK: usize = 32 * 1024 * 1024;

/// Size limits of compiled patterns, in KiB. The cost of matching grows with the size, so a byte of text takes a step
/// per 8 KiB. `\d+` takes 16, `\w+@\w+` 128. The slowest pattern found at 256 took 1.3 s for as much text as the steps
/// allow.
const PATTERN_SIZES: [usize; 5] = [16, 32, 64, 128, 256];

/// An error in an expression, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{flaw}", place.map(|(line, column)| format!("line {line}, column {column}: ")).unwrap_or_default())]
pub struct ExpressionError {
    /// Line and column in characters, both from 1; `None` for an error of the whole expression.
    pub place: Option<(usize, usize)>,
    /// Kind of error.
    pub flaw: ExpressionFlaw,
}

/// Kind of error in an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionFlaw {
    /// The expression has too many characters.
    #[error("is longer than {LENGTH_MAX} characters")]
    TooLong,
    /// Brackets or operators are nested too deep.
    #[error("is nested more than {NESTING_MAX} levels deep")]
    TooDeep,
    /// Macros are nested too deep.
    #[error("nests macros more than {MACROS_MAX} levels deep")]
    MacrosTooDeep,
    /// The expression is not CEL; holds the parser's message.
    #[error("{0}")]
    Syntax(String),
    /// The expression names an unknown variable.
    #[error("unknown variable {name}. Known variables: {known}")]
    Variable {
        /// Name in the expression.
        name: String,
        /// Known variables.
        known: String,
    },
    /// The expression names an unknown function or method.
    #[error("unknown function {0}()")]
    Function(String),
    /// The function does not take this number of arguments, or the macro has another form.
    #[error("{0}() does not take these arguments")]
    Call(String),
    /// The expression uses a part of CEL that is not supported.
    #[error("{0} not supported")]
    Unsupported(&'static str),
    /// The pattern of `matches` is not acceptable.
    #[error(
        "the pattern of matches() must be a literal, a regular expression of at most {PATTERN_MAX} \
         characters, and not too complex"
    )]
    Pattern,
}

impl From<ExpressionFlaw> for ExpressionError {
    fn from(flaw: ExpressionFlaw) -> Self {
        Self { place: None, flaw }
    }
}

/// Compiles an expression to its syntax tree.
pub(super) fn compile(text: &str, variables: &[&str]) -> Result<AstNode, ExpressionError> {
    if text.chars().count() > LENGTH_MAX {
        return Err(ExpressionFlaw::TooLong.into());
    }
    // The parser runs on a stack of its own, since the caller's is unknown. The thread also contains a panic of the
    // parser; none is known.
    let read = thread::scope(|threads| {
        let builder = thread::Builder::new().stack_size(STACK);
        let thread = builder.spawn_scoped(threads, || parse(text, variables)).ok()?;
        thread.join().ok()
    });
    read.unwrap_or_else(|| Err(ExpressionFlaw::Syntax("cannot be read".into()).into()))
}

fn parse(text: &str, variables: &[&str]) -> Result<AstNode, ExpressionError> {
    // Without the standard's macros: they stay calls, which are compiled here.
    let parser = Env::default().with_optional_support(false).parser();
    let parsed = parser.max_recursion_depth(NESTING_MAX).parse_with_source_info(text);
    let (ast, source) = parsed.map_err(|errors| syntax_error(errors.errors.first()))?;
    Compiler { variables, locals: Vec::new(), source: &source, depth: 0 }.node(&ast)
}

/// The first error, without the parser's list of expected tokens.
fn syntax_error(error: Option<&ParseError>) -> ExpressionError {
    let Some(error) = error else { return ExpressionFlaw::Syntax("is not CEL".into()).into() };
    if error.msg.contains("Recursion limit") {
        return ExpressionFlaw::TooDeep.into();
    }
    let what = error.msg.split(" expecting ").next().unwrap_or_default();
    let what = shorten(what.trim_start_matches("Syntax error: "));
    let place = usize::try_from(error.pos.0).ok().zip(usize::try_from(error.pos.1).ok());
    ExpressionError {
        place: place.filter(|(line, _)| *line > 0),
        flaw: ExpressionFlaw::Syntax(what),
    }
}

/// Compiles a pattern, if it is valid, short and small enough.
fn compile_pattern(pattern: &str) -> Option<Pattern> {
    if pattern.chars().count() > PATTERN_MAX {
        return None;
    }
    PATTERN_SIZES.iter().find_map(|size| {
        let mut builder = RegexBuilder::new(pattern);
        let regex = builder.size_limit(size * 1024).dfa_size_limit(256 * 1024).build();
        regex.ok().map(|regex| Pattern { regex, steps_per_byte: size / 8 })
    })
}

/// Shortens text to one line of a log.
fn shorten(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

struct Compiler<'a> {
    variables: &'a [&'a str],
    /// Variables of the enclosing macros, outermost first.
    locals: Vec<&'a str>,
    source: &'a SourceInfo,
    depth: u16,
}

type CompileResult<T> = Result<T, ExpressionError>;

impl<'a> Compiler<'a> {
    fn node(&mut self, ast: &'a IdedExpr) -> CompileResult<AstNode> {
        // Operators nest without brackets, too.
        if self.depth >= 2 * NESTING_MAX {
            return Err(self.flaw(ast, ExpressionFlaw::TooDeep));
        }
        self.depth += 1;
        let node = self.expression(ast);
        self.depth -= 1;
        node
    }

    fn nodes(&mut self, asts: &'a [IdedExpr]) -> CompileResult<Vec<AstNode>> {
        asts.iter().map(|ast| self.node(ast)).collect()
    }

    fn logical(
        &mut self,
        decides: bool,
        left: &'a IdedExpr,
        right: &'a IdedExpr,
    ) -> CompileResult<AstNode> {
        let sides = Box::new([self.node(left)?, self.node(right)?]);
        Ok(AstNode::Logical { decides, sides })
    }

    fn expression(&mut self, ast: &'a IdedExpr) -> CompileResult<AstNode> {
        let unsupported = |what| Err(self.flaw(ast, ExpressionFlaw::Unsupported(what)));
        match &ast.expr {
            Expr::Literal(literal) => Ok(AstNode::Literal(match literal {
                LiteralValue::Null => Value::Null,
                LiteralValue::Boolean(flag) => Value::Flag(*flag.inner()),
                LiteralValue::Int(number) => Value::Int(*number.inner()),
                LiteralValue::Double(number) => Value::Double(*number.inner()),
                LiteralValue::String(text) => text.inner().into(),
                LiteralValue::Bytes(_) => return unsupported("bytes are"),
                LiteralValue::UInt(_) => return unsupported("unsigned numbers are"),
            })),
            Expr::Ident(name) => self.name(ast, name),
            Expr::Select(SelectExpr { operand, field, .. }) => {
                Ok(AstNode::Field(Box::new(self.node(operand)?), Key::Text(field.as_str().into())))
            }
            Expr::List(list) => Ok(AstNode::List(self.nodes(&list.elements)?)),
            Expr::Map(map) => {
                let entries = map.entries.iter().map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        Ok((self.node(&entry.key)?, self.node(&entry.value)?))
                    }
                    EntryExpr::StructField(_) => {
                        Err(self.flaw(ast, ExpressionFlaw::Unsupported("messages are")))
                    }
                });
                Ok(AstNode::Map(entries.collect::<CompileResult<_>>()?))
            }
            Expr::Call(call) => self.call(ast, call),
            Expr::Struct(_) => unsupported("messages are"),
            // The parser yields neither: macro expansion is off.
            Expr::Comprehension(_) | Expr::Unspecified => unsupported("this is"),
        }
    }

    fn name(&self, ast: &IdedExpr, name: &str) -> CompileResult<AstNode> {
        if let Some(at) = self.locals.iter().rposition(|local| *local == name) {
            return Ok(AstNode::Local(at));
        }
        if self.variables.contains(&name) {
            return Ok(AstNode::Variable(name.to_owned()));
        }
        let known = self.variables.join(", ");
        Err(self.flaw(ast, ExpressionFlaw::Variable { name: shorten(name), known }))
    }

    fn call(&mut self, ast: &'a IdedExpr, call: &'a CallExpr) -> CompileResult<AstNode> {
        let CallExpr { func_name: name, target, args } = call;
        if let (Some(kind), Some(range)) = (name.parse::<Macro>().ok(), target) {
            return self.each(ast, kind, range, args);
        }
        match (name.as_str(), target.as_deref(), args.as_slice()) {
            (operators::LOGICAL_AND, None, [left, right]) => self.logical(false, left, right),
            (operators::LOGICAL_OR, None, [left, right]) => self.logical(true, left, right),
            (operators::CONDITIONAL, None, [condition, then, otherwise]) => {
                let condition = self.node(condition)?;
                Ok(AstNode::If(Box::new([condition, self.node(then)?, self.node(otherwise)?])))
            }
            (operators::HAS, None, [selection]) => {
                let Expr::Select(SelectExpr { operand, field, .. }) = &selection.expr else {
                    return Err(self.flaw(ast, ExpressionFlaw::Call(shorten(name))));
                };
                Ok(AstNode::Has(Box::new(self.node(operand)?), Key::Text(field.as_str().into())))
            }
            ("matches", Some(text), [pattern]) | ("matches", None, [text, pattern]) => {
                self.matches(text, pattern)
            }
            (_, target, args) => {
                let flaw = |flaw: fn(String) -> ExpressionFlaw| self.flaw(ast, flaw(shorten(name)));
                let function = Function::named(name, target.is_some())
                    .ok_or_else(|| flaw(ExpressionFlaw::Function))?;
                if !function.arguments.contains(&args.len()) {
                    return Err(flaw(ExpressionFlaw::Call));
                }
                let args = target.into_iter().chain(args).map(|arg| self.node(arg));
                Ok(AstNode::Call(function, args.collect::<CompileResult<_>>()?))
            }
        }
    }

    fn matches(&mut self, text: &'a IdedExpr, pattern: &'a IdedExpr) -> CompileResult<AstNode> {
        let compiled = if let Expr::Literal(LiteralValue::String(pattern)) = &pattern.expr {
            compile_pattern(pattern.inner())
        } else {
            None
        };
        let compiled = compiled.ok_or_else(|| self.flaw(pattern, ExpressionFlaw::Pattern))?;
        Ok(AstNode::Matches(Box::new((self.node(text)?, compiled))))
    }

    fn each(
        &mut self,
        ast: &'a IdedExpr,
        kind: Macro,
        range: &'a IdedExpr,
        args: &'a [IdedExpr],
    ) -> CompileResult<AstNode> {
        let (local, filter, body) = match (kind, args) {
            (_, [local, body]) => (local, None, body),
            (Macro::Map, [local, filter, body]) => (local, Some(filter), body),
            _ => return Err(self.flaw(ast, ExpressionFlaw::Call(kind.into_str().into()))),
        };
        let Expr::Ident(local) = &local.expr else {
            return Err(self.flaw(local, ExpressionFlaw::Call(kind.into_str().into())));
        };
        if self.locals.len() >= MACROS_MAX {
            return Err(self.flaw(ast, ExpressionFlaw::MacrosTooDeep));
        }
        let range = self.node(range)?;
        self.locals.push(local);
        let filter = filter.map(|filter| self.node(filter)).transpose();
        let body = self.node(body);
        self.locals.pop();
        Ok(AstNode::Each(Box::new(Comprehension { kind, range, filter: filter?, body: body? })))
    }

    fn flaw(&self, ast: &IdedExpr, flaw: ExpressionFlaw) -> ExpressionError {
        let place = self.source.offset_for(ast.id).and_then(|(start, _)| {
            let before: Vec<char> =
                self.source.source.chars().take(usize::try_from(start).ok()?).collect();
            let line = before.iter().filter(|c| **c == '\n').count() + 1;
            let column = before.rsplit(|c| *c == '\n').next().map_or(0, <[char]>::len) + 1;
            Some((line, column))
        });
        ExpressionError { place, flaw }
    }
}

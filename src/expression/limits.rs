//! Bounds of expressions and evaluations.

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

//! Bounds of expressions and evaluations.

/// Longest expression, in characters.
pub const LENGTH_MAX: usize = 4_096;

/// Deepest nesting of brackets; operators may nest twice as deep: `a + b + c` has depth two.
pub const NESTING_MAX: u16 = 32;

/// Deepest nesting of macros that iterate over a list.
pub const MACROS_MAX: usize = 2;

/// Longest pattern of `matches`, in characters.
pub const PATTERN_MAX: usize = 256;

/// Upper bound of steps per evaluation.
///
/// A step is a node of the expression, an element of a list that is read or made, or 16 bytes of text; `matches` takes
/// 2 to 32 steps per byte, depending on its pattern. One macro over 60,000 elements fits, or two nested ones over 300;
/// more is a mistake or an attack.
pub const STEPS_MAX: usize = 1_000_000;

/// Deepest nesting of a JSON value.
pub const JSON_DEPTH_MAX: usize = 64;

/// Steps left for a group of evaluations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepBudget(pub usize);

impl StepBudget {
    /// Whether no step is left.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.0 == 0
    }
}

//! Binary operators, and negation.

use std::cmp::Ordering;

use super::error::{ApplyResult, EvaluationError, NoValue};
use super::meter::StepMeter;
use super::value::{Value, truncate_to_int};

/// A binary operator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
    In,
}

impl Operator {
    /// The names that CEL's parsers use, and the symbols.
    const NAMED: [(&'static str, &'static str, Self); 12] = [
        ("_+_", "+", Self::Add),
        ("_-_", "-", Self::Subtract),
        ("_*_", "*", Self::Multiply),
        ("_/_", "/", Self::Divide),
        ("_%_", "%", Self::Remainder),
        ("_<_", "<", Self::Less),
        ("_<=_", "<=", Self::LessOrEqual),
        ("_>_", ">", Self::Greater),
        ("_>=_", ">=", Self::GreaterOrEqual),
        ("_==_", "==", Self::Equal),
        ("_!=_", "!=", Self::Unequal),
        ("@in", "in", Self::In),
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _, _)| *known == name).map(|(_, _, operator)| *operator)
    }

    pub(super) fn symbol(self) -> &'static str {
        Self::NAMED.iter().find(|(_, _, known)| *known == self).map_or("", |(_, symbol, _)| symbol)
    }

    pub(super) fn apply(self, meter: &mut StepMeter, left: &Value, right: &Value) -> ApplyResult {
        let ordered = |meter: &mut StepMeter, fits: fn(Ordering) -> bool| {
            Ok(compare(meter, left, right)?.map(|order| Value::Flag(fits(order))))
        };
        match self {
            Self::Equal => Ok(Some(Value::Flag(is_equal(meter, left, right)?))),
            Self::Unequal => Ok(Some(Value::Flag(!is_equal(meter, left, right)?))),
            Self::In => contains(meter, left, right),
            Self::Less => ordered(meter, Ordering::is_lt),
            Self::LessOrEqual => ordered(meter, Ordering::is_le),
            Self::Greater => ordered(meter, Ordering::is_gt),
            Self::GreaterOrEqual => ordered(meter, Ordering::is_ge),
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Remainder => {
                self.calculate(meter, left, right)
            }
        }
    }

    fn calculate(self, meter: &mut StepMeter, left: &Value, right: &Value) -> ApplyResult {
        use Value::{Double, Int, List, Span, Text, Time};
        let value = match (self, left, right) {
            (Self::Add, Int(a), Int(b)) => a.checked_add(*b).map(Int),
            (Self::Subtract, Int(a), Int(b)) => a.checked_sub(*b).map(Int),
            (Self::Multiply, Int(a), Int(b)) => a.checked_mul(*b).map(Int),
            (Self::Divide | Self::Remainder, Int(_), Int(0)) => {
                return Err(EvaluationError::DivisionByZero.into());
            }
            (Self::Divide, Int(a), Int(b)) => a.checked_div(*b).map(Int),
            (Self::Remainder, Int(a), Int(b)) => a.checked_rem(*b).map(Int),
            (Self::Add, Double(a), Double(b)) => Some(Double(a + b)),
            (Self::Subtract, Double(a), Double(b)) => Some(Double(a - b)),
            (Self::Multiply, Double(a), Double(b)) => Some(Double(a * b)),
            (Self::Divide, Double(a), Double(b)) => Some(Double(a / b)),
            (Self::Add, Text(a), Text(b)) => {
                meter.spend_text(a.len() + b.len())?;
                Some(Text([&**a, &**b].concat().into()))
            }
            (Self::Add, List(a), List(b)) => {
                meter.spend(a.len() + b.len())?;
                Some(List(a.iter().chain(b.iter()).cloned().collect()))
            }
            (Self::Add, Time(time), Span(span)) | (Self::Add, Span(span), Time(time)) => {
                time.checked_add(*span).ok().map(Time)
            }
            (Self::Subtract, Time(time), Span(span)) => time.checked_sub(*span).ok().map(Time),
            (Self::Subtract, Time(a), Time(b)) => Some(Span(a.duration_since(*b))),
            (Self::Add, Span(a), Span(b)) => a.checked_add(*b).map(Span),
            (Self::Subtract, Span(a), Span(b)) => a.checked_sub(*b).map(Span),
            _ => return Ok(None),
        };
        value.map(Some).ok_or_else(|| EvaluationError::Overflow(self.symbol()).into())
    }

    /// `-a`
    pub(super) fn negate(value: &Value) -> ApplyResult {
        let negated = match value {
            Value::Int(number) => number.checked_neg().map(Value::Int),
            Value::Double(number) => Some(Value::Double(-number)),
            Value::Span(span) => span.checked_neg().map(Value::Span),
            Value::Null
            | Value::Flag(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Time(_) => return Ok(None),
        };
        negated.map(Some).ok_or_else(|| EvaluationError::Overflow("-").into())
    }
}

/// Whether two values are equal; values of different kinds are not, except numbers.
fn is_equal(meter: &mut StepMeter, left: &Value, right: &Value) -> Result<bool, NoValue> {
    use Value::{Double, Flag, Int, List, Map, Null, Span, Text, Time};
    meter.spend(1)?;
    Ok(match (left, right) {
        (Null, Null) => true,
        (Flag(a), Flag(b)) => a == b,
        (Int(_) | Double(_), Int(_) | Double(_)) => {
            compare(meter, left, right)? == Some(Ordering::Equal)
        }
        (Text(a), Text(b)) => {
            meter.spend_text(a.len().min(b.len()))?;
            a == b
        }
        (Time(a), Time(b)) => a == b,
        (Span(a), Span(b)) => a == b,
        (List(a), List(b)) if a.len() == b.len() => {
            for (a, b) in a.iter().zip(b.iter()) {
                if !is_equal(meter, a, b)? {
                    return Ok(false);
                }
            }
            true
        }
        (Map(a), Map(b)) if a.len() == b.len() => {
            for ((key_a, a), (key_b, b)) in a.iter().zip(b.iter()) {
                if !is_equal(meter, &key_a.value(), &key_b.value())? || !is_equal(meter, a, b)? {
                    return Ok(false);
                }
            }
            true
        }
        _ => false,
    })
}

/// Compares two values. `None` if their kinds have no order, or a number is NaN.
fn compare(
    meter: &mut StepMeter,
    left: &Value,
    right: &Value,
) -> Result<Option<Ordering>, NoValue> {
    use Value::{Double, Flag, Int, Span, Text, Time};
    Ok(match (left, right) {
        (Int(a), Int(b)) => Some(a.cmp(b)),
        (Double(a), Double(b)) => a.partial_cmp(b),
        (Int(a), Double(b)) => compare_int_to_double(*a, *b),
        (Double(a), Int(b)) => compare_int_to_double(*b, *a).map(Ordering::reverse),
        (Text(a), Text(b)) => {
            meter.spend_text(a.len().min(b.len()))?;
            Some(a.cmp(b))
        }
        (Flag(a), Flag(b)) => Some(a.cmp(b)),
        (Time(a), Time(b)) => Some(a.cmp(b)),
        (Span(a), Span(b)) => Some(a.cmp(b)),
        _ => None,
    })
}

/// Compares without rounding: a double holds 53 of 64 bits.
fn compare_int_to_double(whole: i64, double: f64) -> Option<Ordering> {
    match truncate_to_int(double) {
        Some(near) => {
            let rest = 0.0_f64.partial_cmp(&double.fract())?;
            Some(whole.cmp(&near).then(rest))
        }
        None => 0.0_f64.partial_cmp(&double),
    }
}

fn contains(meter: &mut StepMeter, value: &Value, container: &Value) -> ApplyResult {
    match container {
        Value::List(list) => {
            for element in list.iter() {
                if is_equal(meter, value, element)? {
                    return Ok(Some(Value::Flag(true)));
                }
            }
            Ok(Some(Value::Flag(false)))
        }
        Value::Map(map) => {
            let key = value.key();
            if let Some(key) = &key {
                meter.spend_key(key)?;
            }
            let found = key.map(|key| map.contains_key(&key));
            let no_key = matches!(value, Value::Double(_)).then_some(false);
            Ok(found.or(no_key).map(Value::Flag))
        }
        Value::Null
        | Value::Flag(_)
        | Value::Int(_)
        | Value::Double(_)
        | Value::Text(_)
        | Value::Time(_)
        | Value::Span(_) => Ok(None),
    }
}

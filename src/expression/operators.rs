//! Operators as functions of their operands. Those that may leave an operand unevaluated are nodes of their own.

use std::cmp::Ordering;

use super::error::{
    ApplyResult, EvaluationError, NoValue, ValueResult, kind_error, or_overflow, some,
};
use super::meter::StepMeter;
use super::value::Value::{self, Double, Flag, Int, List, Map, Null, Span, Text, Time};
use super::value::{Key, truncate_to_int};

pub(super) fn add(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    let sum = match args {
        [Int(a), Int(b)] => a.checked_add(*b).map(Int),
        [Double(a), Double(b)] => Some(Double(a + b)),
        [Text(a), Text(b)] => {
            meter.spend_text(a.len() + b.len())?;
            Some(Text([&**a, &**b].concat().into()))
        }
        [List(a), List(b)] => {
            meter.spend(a.len() + b.len())?;
            Some(List(a.iter().chain(b.iter()).cloned().collect()))
        }
        [Time(time), Span(span)] | [Span(span), Time(time)] => {
            time.checked_add(*span).ok().map(Time)
        }
        [Span(a), Span(b)] => a.checked_add(*b).map(Span),
        _ => return Ok(None),
    };
    or_overflow("+", sum)
}

pub(super) fn subtract(_: &mut StepMeter, args: &[Value]) -> ApplyResult {
    let difference = match args {
        [Int(a), Int(b)] => a.checked_sub(*b).map(Int),
        [Double(a), Double(b)] => Some(Double(a - b)),
        [Time(time), Span(span)] => time.checked_sub(*span).ok().map(Time),
        [Time(a), Time(b)] => Some(Span(a.duration_since(*b))),
        [Span(a), Span(b)] => a.checked_sub(*b).map(Span),
        _ => return Ok(None),
    };
    or_overflow("-", difference)
}

pub(super) fn multiply(_: &mut StepMeter, args: &[Value]) -> ApplyResult {
    match args {
        [Int(a), Int(b)] => or_overflow("*", a.checked_mul(*b).map(Int)),
        [Double(a), Double(b)] => some(Double(a * b)),
        _ => Ok(None),
    }
}

pub(super) fn divide(_: &mut StepMeter, args: &[Value]) -> ApplyResult {
    match args {
        [Int(_), Int(0)] => Err(EvaluationError::DivisionByZero.into()),
        [Int(a), Int(b)] => or_overflow("/", a.checked_div(*b).map(Int)),
        [Double(a), Double(b)] => some(Double(a / b)),
        _ => Ok(None),
    }
}

pub(super) fn remainder(_: &mut StepMeter, args: &[Value]) -> ApplyResult {
    match args {
        [Int(_), Int(0)] => Err(EvaluationError::DivisionByZero.into()),
        [Int(a), Int(b)] => or_overflow("%", a.checked_rem(*b).map(Int)),
        _ => Ok(None),
    }
}

/// `-a`
pub(super) fn negate(_: &mut StepMeter, args: &[Value]) -> ApplyResult {
    let negated = match args {
        [Int(number)] => number.checked_neg().map(Int),
        [Double(number)] => Some(Double(-number)),
        [Span(span)] => span.checked_neg().map(Span),
        _ => return Ok(None),
    };
    or_overflow("-", negated)
}

pub(super) fn not(_: &mut StepMeter, args: &[Value]) -> ApplyResult {
    match args {
        [Flag(flag)] => some(Flag(!flag)),
        _ => Ok(None),
    }
}

/// `a == b`, or `a != b`.
pub(super) fn equal(meter: &mut StepMeter, args: &[Value], expected: bool) -> ApplyResult {
    let [left, right] = args else { return Ok(None) };
    some(Flag(is_equal(meter, left, right)? == expected))
}

/// A comparison by the order of the operands.
pub(super) fn ordered(
    meter: &mut StepMeter,
    args: &[Value],
    fits: fn(Ordering) -> bool,
) -> ApplyResult {
    let [left, right] = args else { return Ok(None) };
    Ok(compare(meter, left, right)?.map(|order| Flag(fits(order))))
}

/// `a[b]`
pub(super) fn index(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    let [of, at] = args else { return Ok(None) };
    let Some(key) = at.key() else { return Ok(None) };
    meter.spend_key(&key)?;
    member("[]", of, &key).map(Some)
}

/// The value of a key.
pub(super) fn member(operation: &'static str, of: &Value, key: &Key) -> ValueResult {
    let found = match (of, key) {
        (Map(map), key) => map.get(key),
        (List(list), Key::Int(at)) => usize::try_from(*at).ok().and_then(|at| list.get(at)),
        (other, key) => return Err(kind_error(operation, [other, &key.value()])),
    };
    found.cloned().ok_or(NoValue::Missing)
}

/// `a in b`
pub(super) fn contains(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    match args {
        [value, List(list)] => {
            for element in list.iter() {
                if is_equal(meter, value, element)? {
                    return some(Flag(true));
                }
            }
            some(Flag(false))
        }
        [value, Map(map)] => {
            let key = value.key();
            if let Some(key) = &key {
                meter.spend_key(key)?;
            }
            let found = key.map(|key| map.contains_key(&key));
            let no_key = matches!(value, Double(_)).then_some(false);
            Ok(found.or(no_key).map(Flag))
        }
        _ => Ok(None),
    }
}

/// Whether two values are equal; values of different kinds are not, except numbers.
fn is_equal(meter: &mut StepMeter, left: &Value, right: &Value) -> Result<bool, NoValue> {
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

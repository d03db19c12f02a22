//! The functions and operators, by name and number of arguments.

use std::cmp::Ordering;
use std::fmt::Display;
use std::sync::Arc;

use jiff::SignedDuration;

use super::error::{ApplyResult, NoValue, or_overflow, or_unreadable, some};
use super::meter::StepMeter;
use super::operators::{self, ordered};
use super::times::{self, date_part, date_part_or_total};
use super::value::Value::{self, Double, Flag, Int, List, Map, Span, Text, Time};
use super::value::truncate_to_int;

/// A function or operator; a method's receiver is its first value.
pub(super) struct Function {
    /// The name that the parser gives it: `size`, `_+_`.
    parsed: &'static str,
    /// The name in messages: `size`, `+`.
    pub(super) name: &'static str,
    is_method: bool,
    /// Accepted numbers of arguments, without the receiver.
    pub(super) arguments: &'static [usize],
    pub(super) apply: Apply,
}

/// Implementation of a function; `None` if it does not accept values of these kinds.
type Apply = fn(&mut StepMeter, &[Value]) -> ApplyResult;

impl Function {
    pub(super) fn named(name: &str, is_method: bool) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|known| known.parsed == name && known.is_method == is_method)
    }
}

const fn operator(
    parsed: &'static str,
    name: &'static str,
    arguments: &'static [usize],
    apply: Apply,
) -> Function {
    Function { parsed, name, is_method: false, arguments, apply }
}

const fn global(name: &'static str, apply: Apply) -> Function {
    operator(name, name, &[1], apply)
}

const fn method(name: &'static str, arguments: &'static [usize], apply: Apply) -> Function {
    Function { parsed: name, name, is_method: true, arguments, apply }
}

/// The operators and functions of the standard and its string extensions. `&&`, `||`, `?:`, `has`, `matches` and the
/// macros are compiled to nodes of their own.
static FUNCTIONS: &[Function] = &[
    operator("_+_", "+", &[2], operators::add),
    operator("_-_", "-", &[2], operators::subtract),
    operator("_*_", "*", &[2], operators::multiply),
    operator("_/_", "/", &[2], operators::divide),
    operator("_%_", "%", &[2], operators::remainder),
    operator("-_", "-", &[1], operators::negate),
    operator("!_", "!", &[1], operators::not),
    operator("_==_", "==", &[2], |meter, args| operators::equal(meter, args, true)),
    operator("_!=_", "!=", &[2], |meter, args| operators::equal(meter, args, false)),
    operator("_<_", "<", &[2], |meter, args| ordered(meter, args, Ordering::is_lt)),
    operator("_<=_", "<=", &[2], |meter, args| ordered(meter, args, Ordering::is_le)),
    operator("_>_", ">", &[2], |meter, args| ordered(meter, args, Ordering::is_gt)),
    operator("_>=_", ">=", &[2], |meter, args| ordered(meter, args, Ordering::is_ge)),
    operator("_[_]", "[]", &[2], operators::index),
    operator("@in", "in", &[2], operators::contains),
    global("size", size),
    method("size", &[0], size),
    global("bool", bool),
    global("int", int),
    global("double", double),
    global("string", string),
    global("timestamp", times::timestamp),
    global("duration", times::duration),
    method("contains", &[1], |meter, args| {
        compare_texts(meter, args, |text, it| text.contains(it))
    }),
    method("startsWith", &[1], |meter, args| {
        compare_texts(meter, args, |text, it| text.starts_with(it))
    }),
    method("endsWith", &[1], |meter, args| {
        compare_texts(meter, args, |text, it| text.ends_with(it))
    }),
    method("lowerAscii", &[0], |meter, args| convert_text(meter, args, str::to_ascii_lowercase)),
    method("upperAscii", &[0], |meter, args| convert_text(meter, args, str::to_ascii_uppercase)),
    method("trim", &[0], |meter, args| convert_text(meter, args, |text| text.trim().to_owned())),
    method("replace", &[2], replace),
    method("split", &[1], split),
    method("substring", &[1, 2], substring),
    method("join", &[0, 1], join),
    method("getFullYear", &[0, 1], |meter, args| date_part(meter, args, |time| time.year().into())),
    method("getMonth", &[0, 1], |meter, args| {
        date_part(meter, args, |time| i64::from(time.month()) - 1)
    }),
    method("getDate", &[0, 1], |meter, args| date_part(meter, args, |time| time.day().into())),
    method("getDayOfMonth", &[0, 1], |meter, args| {
        date_part(meter, args, |time| i64::from(time.day()) - 1)
    }),
    method("getDayOfYear", &[0, 1], |meter, args| {
        date_part(meter, args, |time| i64::from(time.day_of_year()) - 1)
    }),
    method("getDayOfWeek", &[0, 1], |meter, args| {
        date_part(meter, args, |time| time.weekday().to_sunday_zero_offset().into())
    }),
    method("getHours", &[0, 1], |meter, args| {
        date_part_or_total(meter, args, |time| time.hour().into(), SignedDuration::as_hours)
    }),
    method("getMinutes", &[0, 1], |meter, args| {
        date_part_or_total(meter, args, |time| time.minute().into(), SignedDuration::as_mins)
    }),
    method("getSeconds", &[0, 1], |meter, args| {
        date_part_or_total(meter, args, |time| time.second().into(), SignedDuration::as_secs)
    }),
    method("getMilliseconds", &[0, 1], |meter, args| {
        date_part(meter, args, |time| time.millisecond().into())
    }),
];

fn count(number: usize) -> ApplyResult {
    some(Int(i64::try_from(number).unwrap_or(i64::MAX)))
}

fn size(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    match args {
        [Text(text)] => {
            meter.spend_text(text.len())?;
            count(text.chars().count())
        }
        [List(list)] => count(list.len()),
        [Map(map)] => count(map.len()),
        _ => Ok(None),
    }
}

fn bool(_: &mut StepMeter, args: &[Value]) -> ApplyResult {
    match args {
        [Flag(flag)] => some(Flag(*flag)),
        [Text(text)] => {
            let flag = match &**text {
                "true" | "TRUE" | "True" | "t" | "1" => Some(true),
                "false" | "FALSE" | "False" | "f" | "0" => Some(false),
                _ => None,
            };
            or_unreadable("bool", flag.map(Flag))
        }
        _ => Ok(None),
    }
}

fn int(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    match args {
        [Int(number)] => some(Int(*number)),
        [Double(number)] => or_overflow("int", truncate_to_int(*number).map(Int)),
        [Text(text)] => {
            meter.spend_text(text.len())?;
            or_unreadable("int", text.parse().ok().map(Int))
        }
        [Time(time)] => some(Int(time.as_second())),
        _ => Ok(None),
    }
}

fn double(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    match args {
        [Double(number)] => some(Double(*number)),
        #[allow(clippy::cast_precision_loss, reason = "the conversion to double is the purpose")]
        [Int(number)] => some(Double(*number as f64)),
        [Text(text)] => {
            meter.spend_text(text.len())?;
            or_unreadable("double", text.parse().ok().map(Double))
        }
        _ => Ok(None),
    }
}

fn string(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    // Some hundred digits at most, for a number that is very large or very small.
    let mut format = |value: &dyn Display| {
        let text = value.to_string();
        meter.spend_text(text.len())?;
        some(Text(text.into()))
    };
    match args {
        [Text(text)] => some(Text(Arc::clone(text))),
        [Flag(flag)] => format(flag),
        [Int(number)] => format(number),
        [Double(number)] => format(number),
        [Time(time)] => format(time),
        [Span(span)] => format(&times::format_seconds(*span)),
        _ => Ok(None),
    }
}

fn compare_texts(
    meter: &mut StepMeter,
    args: &[Value],
    holds: fn(&str, &str) -> bool,
) -> ApplyResult {
    let [Text(text), Text(other)] = args else { return Ok(None) };
    meter.spend_text(text.len() + other.len())?;
    some(Flag(holds(text, other)))
}

fn convert_text(meter: &mut StepMeter, args: &[Value], change: fn(&str) -> String) -> ApplyResult {
    let [Text(text)] = args else { return Ok(None) };
    meter.spend_text(text.len())?;
    some(Text(change(text).into()))
}

fn replace(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    let [Text(text), Text(old), Text(new)] = args else { return Ok(None) };
    meter.spend_text(text.len() + old.len())?;
    // Spent before the text is made, since it may be far longer.
    let places = text.matches(&**old).count();
    meter.spend_text(places.saturating_mul(new.len()))?;
    meter.spend(places / 16)?;
    some(Text(text.replace(&**old, new).into()))
}

fn split(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    let [Text(text), Text(separator)] = args else { return Ok(None) };
    meter.spend_text(text.len() + separator.len())?;
    let parts: Vec<&str> = if separator.is_empty() {
        // Rust's `split` yields an empty part at either end.
        text.split("").skip(1).take(text.chars().count()).collect()
    } else {
        text.split(&**separator).collect()
    };
    meter.spend(parts.len())?;
    some(List(parts.into_iter().map(Value::from).collect()))
}

/// The text from one position to before another, or to the end, in characters. Missing if the text is shorter.
fn substring(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    let (text, from, to) = match args {
        [Text(text), Int(from)] => (text, from, None),
        [Text(text), Int(from), Int(to)] => (text, from, Some(to)),
        _ => return Ok(None),
    };
    meter.spend_text(text.len())?;
    let place = |count: &i64| {
        let mut places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        places.nth(usize::try_from(*count).ok()?)
    };
    let from = place(from);
    let to = to.map_or(Some(text.len()), place);
    let part = from.zip(to).and_then(|(from, to)| text.get(from..to));
    part.map(Value::from).map(Some).ok_or(NoValue::Missing)
}

fn join(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    let (list, separator) = match args {
        [List(list)] => (list, ""),
        [List(list), Text(separator)] => (list, &**separator),
        _ => return Ok(None),
    };
    meter.spend(list.len())?;
    let mut parts = Vec::with_capacity(list.len());
    for part in list.iter() {
        let Text(part) = part else { return Ok(None) };
        meter.spend_text(part.len() + separator.len())?;
        parts.push(&**part);
    }
    some(Text(parts.join(separator).into()))
}

//! The functions that there are, by name and number of arguments.

use std::fmt::Display;
use std::sync::Arc;

use super::evaluate::{Applied, EvaluationError, Meter, Stop};
use super::times::{self, part};
use super::value::Value::{self, Double, Flag, Int, List, Map, Span, Text, Time};
use super::value::truncated;

/// A function; of a method, what it is called on is the first of its values.
pub(super) struct Function {
    pub(super) name: &'static str,
    is_method: bool,
    /// How many it takes, that first one not counted.
    arguments: &'static [usize],
    pub(super) apply: Apply,
}

/// None if it does not take such values.
type Apply = fn(&mut Meter, &[Value]) -> Applied;

/// Why there is no such function.
pub(super) enum NoFunction {
    /// No such name.
    Name,
    /// Of that name, but not for so many arguments.
    Arguments,
}

impl Function {
    pub(super) fn find(
        name: &str,
        is_method: bool,
        arguments: usize,
    ) -> Result<&'static Self, NoFunction> {
        let mut known = FUNCTIONS.iter();
        let found = known.find(|known| known.name == name && known.is_method == is_method);
        let found = found.ok_or(NoFunction::Name)?;
        found.arguments.contains(&arguments).then_some(found).ok_or(NoFunction::Arguments)
    }
}

const fn global(name: &'static str, apply: Apply) -> Function {
    Function { name, is_method: false, arguments: &[1], apply }
}

const fn method(name: &'static str, arguments: &'static [usize], apply: Apply) -> Function {
    Function { name, is_method: true, arguments, apply }
}

/// As the standard and its string extensions have them. `matches` and the macros are none: they are compiled.
static FUNCTIONS: &[Function] = &[
    global("size", size),
    method("size", &[0], size),
    global("bool", bool),
    global("int", int),
    global("double", double),
    global("string", string),
    global("timestamp", times::timestamp),
    global("duration", times::duration),
    method("contains", &[1], |meter, args| compared(meter, args, |text, it| text.contains(it))),
    method("startsWith", &[1], |meter, args| {
        compared(meter, args, |text, it| text.starts_with(it))
    }),
    method("endsWith", &[1], |meter, args| compared(meter, args, |text, it| text.ends_with(it))),
    method("lowerAscii", &[0], |meter, args| changed(meter, args, str::to_ascii_lowercase)),
    method("upperAscii", &[0], |meter, args| changed(meter, args, str::to_ascii_uppercase)),
    method("trim", &[0], |meter, args| changed(meter, args, |text| text.trim().to_owned())),
    method("replace", &[2], replace),
    method("split", &[1], split),
    method("substring", &[1, 2], substring),
    method("join", &[0, 1], join),
    method("getFullYear", &[0, 1], |meter, args| part(meter, args, |time| time.year().into())),
    method("getMonth", &[0, 1], |meter, args| {
        part(meter, args, |time| i64::from(time.month()) - 1)
    }),
    method("getDate", &[0, 1], |meter, args| part(meter, args, |time| time.day().into())),
    method("getDayOfMonth", &[0, 1], |meter, args| {
        part(meter, args, |time| i64::from(time.day()) - 1)
    }),
    method("getDayOfYear", &[0, 1], |meter, args| {
        part(meter, args, |time| i64::from(time.day_of_year()) - 1)
    }),
    method("getDayOfWeek", &[0, 1], |meter, args| {
        part(meter, args, |time| time.weekday().to_sunday_zero_offset().into())
    }),
    method("getHours", &[0, 1], times::hours),
    method("getMinutes", &[0, 1], times::minutes),
    method("getSeconds", &[0, 1], times::whole_seconds),
    method("getMilliseconds", &[0, 1], |meter, args| {
        part(meter, args, |time| time.millisecond().into())
    }),
];

/// What was read of a text, if it could be.
pub(super) fn read(function: &'static str, value: Option<Value>) -> Applied {
    value.map(Some).ok_or_else(|| EvaluationError::Unreadable(function).into())
}

#[allow(clippy::unnecessary_wraps, reason = "what functions give back")]
fn some(value: Value) -> Applied {
    Ok(Some(value))
}

fn count(number: usize) -> Applied {
    some(Int(i64::try_from(number).unwrap_or(i64::MAX)))
}

fn size(meter: &mut Meter, args: &[Value]) -> Applied {
    match args {
        [Text(text)] => {
            meter.text(text.len())?;
            count(text.chars().count())
        }
        [List(list)] => count(list.len()),
        [Map(map)] => count(map.len()),
        _ => Ok(None),
    }
}

fn bool(_: &mut Meter, args: &[Value]) -> Applied {
    match args {
        [Flag(flag)] => some(Flag(*flag)),
        [Text(text)] => {
            let flag = match &**text {
                "true" | "TRUE" | "True" | "t" | "1" => Some(true),
                "false" | "FALSE" | "False" | "f" | "0" => Some(false),
                _ => None,
            };
            read("bool", flag.map(Flag))
        }
        _ => Ok(None),
    }
}

fn int(meter: &mut Meter, args: &[Value]) -> Applied {
    match args {
        [Int(number)] => some(Int(*number)),
        [Double(number)] => {
            let whole = truncated(*number).ok_or(EvaluationError::Overflow("int"))?;
            some(Int(whole))
        }
        [Text(text)] => {
            meter.text(text.len())?;
            read("int", text.parse().ok().map(Int))
        }
        [Time(time)] => some(Int(time.as_second())),
        _ => Ok(None),
    }
}

fn double(meter: &mut Meter, args: &[Value]) -> Applied {
    match args {
        [Double(number)] => some(Double(*number)),
        #[allow(clippy::cast_precision_loss, reason = "that is what is asked for")]
        [Int(number)] => some(Double(*number as f64)),
        [Text(text)] => {
            meter.text(text.len())?;
            read("double", text.parse().ok().map(Double))
        }
        _ => Ok(None),
    }
}

fn string(meter: &mut Meter, args: &[Value]) -> Applied {
    // Some hundred digits at most: those of a number that is very large or very small.
    let mut said = |value: &dyn Display| {
        let text = value.to_string();
        meter.text(text.len())?;
        some(Text(text.into()))
    };
    match args {
        [Text(text)] => some(Text(Arc::clone(text))),
        [Flag(flag)] => said(flag),
        [Int(number)] => said(number),
        [Double(number)] => said(number),
        [Time(time)] => said(time),
        [Span(span)] => said(&times::in_seconds(*span)),
        _ => Ok(None),
    }
}

fn compared(meter: &mut Meter, args: &[Value], holds: fn(&str, &str) -> bool) -> Applied {
    let [Text(text), Text(other)] = args else { return Ok(None) };
    meter.text(text.len() + other.len())?;
    some(Flag(holds(text, other)))
}

fn changed(meter: &mut Meter, args: &[Value], change: fn(&str) -> String) -> Applied {
    let [Text(text)] = args else { return Ok(None) };
    meter.text(text.len())?;
    some(Text(change(text).into()))
}

fn replace(meter: &mut Meter, args: &[Value]) -> Applied {
    let [Text(text), Text(old), Text(new)] = args else { return Ok(None) };
    meter.text(text.len() + old.len())?;
    // Paid before it is made: it may be far longer.
    let places = text.matches(&**old).count();
    meter.text(places.saturating_mul(new.len()))?;
    meter.steps(places / 16)?;
    some(Text(text.replace(&**old, new).into()))
}

fn split(meter: &mut Meter, args: &[Value]) -> Applied {
    let [Text(text), Text(separator)] = args else { return Ok(None) };
    meter.text(text.len() + separator.len())?;
    let parts: Vec<&str> = if separator.is_empty() {
        // Rust has an empty part at either end.
        text.split("").skip(1).take(text.chars().count()).collect()
    } else {
        text.split(&**separator).collect()
    };
    meter.steps(parts.len())?;
    some(List(parts.into_iter().map(Value::from).collect()))
}

/// From one place to before another, or to the end; counted in characters. Not there if the text ends before.
fn substring(meter: &mut Meter, args: &[Value]) -> Applied {
    let (text, from, to) = match args {
        [Text(text), Int(from)] => (text, from, None),
        [Text(text), Int(from), Int(to)] => (text, from, Some(to)),
        _ => return Ok(None),
    };
    meter.text(text.len())?;
    let place = |count: &i64| {
        let mut places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        places.nth(usize::try_from(*count).ok()?)
    };
    let from = place(from);
    let to = to.map_or(Some(text.len()), place);
    let part = from.zip(to).and_then(|(from, to)| text.get(from..to));
    part.map(Value::from).map(Some).ok_or(Stop::Missing)
}

fn join(meter: &mut Meter, args: &[Value]) -> Applied {
    let (list, separator) = match args {
        [List(list)] => (list, ""),
        [List(list), Text(separator)] => (list, &**separator),
        _ => return Ok(None),
    };
    meter.steps(list.len())?;
    let mut parts = Vec::with_capacity(list.len());
    for part in list.iter() {
        let Text(part) = part else { return Ok(None) };
        meter.text(part.len() + separator.len())?;
        parts.push(&**part);
    }
    some(Text(parts.join(separator).into()))
}

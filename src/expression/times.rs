//! Timestamps and durations.

use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::error::{ApplyResult, EvaluationError, or_overflow, or_unreadable, some};
use super::meter::StepMeter;
use super::value::Value::{self, Int, Span, Text, Time};

/// Converts RFC 3339 text, or seconds since 1970.
pub(super) fn timestamp(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    match args {
        [Time(time)] => some(Time(*time)),
        [Int(second)] => or_overflow("timestamp", Timestamp::from_second(*second).ok().map(Time)),
        [Text(text)] => {
            meter.spend_text(text.len())?;
            or_unreadable("timestamp", text.parse().ok().map(Time))
        }
        _ => Ok(None),
    }
}

/// Converts text: `1h30m`, `90s`.
pub(super) fn duration(meter: &mut StepMeter, args: &[Value]) -> ApplyResult {
    match args {
        [Span(span)] => some(Span(*span)),
        [Text(text)] => {
            meter.spend_text(text.len())?;
            or_unreadable("duration", text.parse().ok().map(Span))
        }
        _ => Ok(None),
    }
}

/// Formats a duration as CEL does: `5400s`, `-0.25s`.
pub(super) fn format_seconds(span: SignedDuration) -> String {
    let sign = if span.is_negative() { "-" } else { "" };
    let span = span.unsigned_abs();
    let fraction = format!("{:09}", span.subsec_nanos());
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{}s", span.as_secs()),
        fraction => format!("{sign}{}.{fraction}s", span.as_secs()),
    }
}

/// A component of a time, in UTC or in the named zone: `Europe/Berlin`, `+02:00`.
pub(super) fn date_part(
    meter: &mut StepMeter,
    args: &[Value],
    of: fn(DateTime) -> i64,
) -> ApplyResult {
    let (time, zone) = match args {
        [Time(time)] => (time, TimeZone::UTC),
        [Time(time), Text(name)] => {
            meter.spend_text(name.len())?;
            let zone = DateTimeParser::new().parse_time_zone(&**name);
            (time, zone.map_err(|_| EvaluationError::Unreadable("time zone"))?)
        }
        _ => return Ok(None),
    };
    some(Int(of(zone.to_datetime(*time))))
}

/// The component of a timestamp, or the total of a duration.
pub(super) fn date_part_or_total(
    meter: &mut StepMeter,
    args: &[Value],
    of: fn(DateTime) -> i64,
    total: fn(&SignedDuration) -> i64,
) -> ApplyResult {
    match args {
        [Span(span)] => some(Int(total(span))),
        _ => date_part(meter, args, of),
    }
}

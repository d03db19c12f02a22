//! Durations and sizes as people write them.

use std::time::Duration;

/// A whole number and its unit, `ms`, `s`, `m`, `h` or `d`: `"250ms"`, `"30d"`. One unit only.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (count, unit) = count_and_unit(text)?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(count.checked_mul(ms)?))
}

/// A whole number of bytes, `KiB`, `MiB` or `GiB`: `"1MiB"`, `"65536"`.
pub(super) fn size(text: &str) -> Option<usize> {
    let (count, unit) = count_and_unit(text)?;
    let bytes = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(count.checked_mul(bytes)?).ok()
}

fn count_and_unit(text: &str) -> Option<(u64, &str)> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    Some((text.strip_suffix(unit)?.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_with_one_unit_only() {
        for (text, ms) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("30d", 2_592_000_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1.5h", "1h30m", "10 s", "10S", "1w", "9999999999999d"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_parse_with_binary_units_only() {
        for (text, bytes) in
            [("1MiB", 1 << 20), ("64KiB", 65_536), ("2GiB", 2 << 30), ("512", 512), ("0", 0)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "1MB", "1 MiB", "-1", "99999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}

//! HMAC-SHA256 in hexadecimal, and signed times.

use std::time::Duration;

use ::hmac::{EagerHash, Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::event::Millis;
use crate::providers::VerifyError;

/// Longest time in seconds, in digits: twelve reach the year 33658 and, in milliseconds, stay far from overflow.
const SECONDS_DIGITS_MAX: usize = 12;

/// The HMAC-SHA256 of the concatenated parts.
#[must_use]
pub fn sha256(secret: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    mac::<Sha256>(secret, parts).finalize().into_bytes().into()
}

/// The HMAC of the concatenated parts.
pub(super) fn mac<D: EagerHash>(secret: &[u8], parts: &[&[u8]]) -> Hmac<D> {
    let mut mac =
        Hmac::<D>::new_from_slice(secret).expect("HMAC takes a key of any length (RFC 2104)");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Parses a MAC of 64 lower-case hexadecimal digits. No other text is accepted, so a MAC has one spelling.
#[must_use]
pub fn parse_lower_hex(text: &[u8]) -> Option<[u8; 32]> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut mac = [0; 32];
    hex::decode_to_slice(text, &mut mac).ok()?;
    Some(mac)
}

/// Parses a time in whole seconds since 1970, digits only.
#[must_use]
pub fn parse_unix_seconds(text: &[u8]) -> Option<Millis> {
    let seconds = parse_digits(text, SECONDS_DIGITS_MAX)?;
    Some(Millis::new(seconds * 1_000))
}

/// Parses a number of that many digits at most, and of nothing else.
#[must_use]
pub fn parse_digits(text: &[u8], longest: usize) -> Option<i64> {
    let digits = (1..=longest).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// Checks that a signed time is near now.
///
/// # Errors
/// [`VerifyError::Stale`] and [`VerifyError::Future`] when it differs by more than `tolerance`.
pub fn check_timestamp(
    signed: Millis,
    now: Millis,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    if now.since(signed) > tolerance {
        return Err(VerifyError::Stale);
    }
    if signed.since(now) > tolerance {
        return Err(VerifyError::Future);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_matches_rfc_4231() {
        // RFC 4231, test case 2.
        let mac = sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        let known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(mac), known);
        assert_eq!(parse_lower_hex(known.as_bytes()), Some(mac));
    }

    #[test]
    fn parse_lower_hex_accepts_one_spelling() {
        let good = "0f".repeat(32);
        assert!(parse_lower_hex(good.as_bytes()).is_some());
        for text in [good.to_uppercase(), "0f".repeat(31), "0f".repeat(33), "0g".repeat(32)] {
            assert_eq!(parse_lower_hex(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn parse_unix_seconds_accepts_few_digits_only() {
        assert_eq!(parse_unix_seconds(b"1750000000"), Some(Millis::new(1_750_000_000_000)));
        assert_eq!(parse_unix_seconds(b"999999999999"), Some(Millis::new(999_999_999_999_000)));
        for text in ["", "-1", "+1", " 1", "1 ", "1.5", "1e9", "1000000000000", "१"] {
            assert_eq!(parse_unix_seconds(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn check_timestamp_includes_the_tolerance_in_both_directions() {
        let (now, hour) = (Millis::new(10_000_000_000), Duration::from_hours(1));
        let edge = Duration::from_millis(3_600_001);
        assert_eq!(check_timestamp(now.minus(hour), now, hour), Ok(()));
        assert_eq!(check_timestamp(now.plus(hour), now, hour), Ok(()));
        assert_eq!(check_timestamp(now.minus(edge), now, hour), Err(VerifyError::Stale));
        assert_eq!(check_timestamp(now.plus(edge), now, hour), Err(VerifyError::Future));
        assert_eq!(check_timestamp(Millis::new(0), now, Duration::MAX), Ok(()));
    }
}

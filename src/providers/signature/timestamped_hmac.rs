//! One header with the time and its MAC: `t={seconds},v1={hex of HMAC-SHA256}`, as Stripe writes it. What stands between
//! the time and the body in what is signed, differs by platform.
//!
//! Exactly these two, in this order, once each: a receiver that takes several MACs of a header lets a forger try
//! several, and no platform here documents that it sends more than one.

use super::hmac;
use crate::event::Millis;
use crate::providers::{Header, Keys, VerifyError};

/// What such a header says, not yet believed.
#[derive(Debug, Clone, Copy)]
pub struct TimestampedHmac<'a> {
    /// The time as it is written, and signed.
    pub time: &'a [u8],
    /// The time.
    pub at: Millis,
    /// The MAC as it is written.
    pub mac: &'a [u8],
    claimed: [u8; 32],
}

impl<'a> TimestampedHmac<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Refusal::Missing`], and [`Refusal::Malformed`] for what is twice or written in any other way.
    pub fn read(header: Header<'a>) -> Result<Self, VerifyError> {
        Self::parse(header.exactly_one()?).ok_or(VerifyError::Malformed)
    }

    fn parse(value: &'a [u8]) -> Option<Self> {
        let comma = value.iter().position(|byte| *byte == b',')?;
        let (time, mac) = value.split_at_checked(comma)?;
        let (time, mac) = (time.strip_prefix(b"t=")?, mac.strip_prefix(b",v1=")?);
        let at = hmac::parse_unix_seconds(time)?;
        let claimed = hmac::parse_lower_hex(mac)?;
        Some(Self { time, at, mac, claimed })
    }

    /// Which of the secrets signed it with this body.
    ///
    /// The signature goes first: the age of what was never signed says nothing.
    ///
    /// # Errors
    /// [`Refusal`] says why not.
    pub fn verify(
        &self,
        separator: &[u8],
        body: &[u8],
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<usize, VerifyError> {
        let parts = [self.time, separator, body];
        let secret = hmac::find_signing_secret(keys.secrets, &parts, &self.claimed)
            .ok_or(VerifyError::Mismatch)?;
        hmac::check_timestamp(self.at, now, keys.tolerance)?;
        Ok(secret)
    }
}

/// The header's value for a body that is sent at `now`.
#[must_use]
pub fn sign(separator: &[u8], body: &[u8], secret: &[u8], now: Millis) -> String {
    let time = now.get().div_euclid(1_000).to_string();
    let mac = hmac::sha256(secret, &[time.as_bytes(), separator, body]);
    format!("t={time},v1={}", hex::encode(mac))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Millis = Millis::new(1_735_689_600_000);
    const BODY: &[u8] = br#"{"a":1}"#;

    fn proved(value: &str, separator: &[u8], now: Millis) -> Result<usize, VerifyError> {
        let keys = Keys { secrets: &[b"other", b"key"], tolerance: Duration::from_mins(5) };
        let header = Header::One(value.as_bytes());
        TimestampedHmac::read(header)?.verify(separator, BODY, keys, now)
    }

    #[test]
    fn what_is_signed_is_the_time_the_separator_and_the_body() {
        let value = sign(b".", BODY, b"key", NOW);
        let mac = hmac::sha256(b"key", &[br#"1735689600.{"a":1}"#]);
        assert_eq!(value, format!("t=1735689600,v1={}", hex::encode(mac)));
        assert_eq!(proved(&value, b".", NOW), Ok(1));
        assert_eq!(proved(&value, b"", NOW), Err(VerifyError::Mismatch));
        assert_eq!(proved(&value, b".", NOW.plus(Duration::from_mins(6))), Err(VerifyError::Stale));
        assert_eq!(
            proved(&value, b".", NOW.minus(Duration::from_mins(6))),
            Err(VerifyError::Future)
        );
        let of_another = sign(b".", BODY, b"unknown", NOW.minus(Duration::from_hours(1)));
        assert_eq!(proved(&of_another, b".", NOW), Err(VerifyError::Mismatch), "before its age");
    }

    #[test]
    fn what_a_header_says_is_what_is_written() {
        let value = sign(b"", BODY, b"key", NOW);
        let said = TimestampedHmac::read(Header::One(value.as_bytes())).expect("it is well formed");
        assert_eq!((said.time, said.at, said.mac.len()), (b"1735689600".as_slice(), NOW, 64));
        assert!(value.as_bytes().ends_with(said.mac));
    }

    #[test]
    fn it_is_written_in_one_way() {
        let mac = "ab".repeat(32);
        for value in [
            String::new(),
            format!("v1={mac}"),
            "t=1735689600".to_owned(),
            "t=1735689600,v1=".to_owned(),
            format!("t=,v1={mac}"),
            format!("t=1735689600v1={mac}"),
            format!("t=1735689600, v1={mac}"),
            format!(" t=1735689600,v1={mac}"),
            format!("t=1735689600,v1={mac} "),
            format!("t=1735689600,v1={mac},v1={mac}"),
            format!("t=1735689600,t=1735689600,v1={mac}"),
            format!("t=1735689600,v1={mac},v0={mac}"),
            format!("t=1735689600,v0={mac},v1={mac}"),
            format!("v1={mac},t=1735689600"),
            format!("t=1735689600,s={mac}"),
            format!("T=1735689600,V1={mac}"),
            format!("t=1735689600,v1={}", mac.to_uppercase()),
            format!("t=1735689600.0,v1={mac}"),
            format!("t=1735689600000,v1={mac}"),
            format!("t=-1735689600,v1={mac}"),
        ] {
            let read = TimestampedHmac::read(Header::One(value.as_bytes())).map(|said| said.at);
            assert_eq!(read, Err(VerifyError::Malformed), "{value}");
        }
        let read = |header| TimestampedHmac::read(header).map(|said| said.at);
        assert_eq!(read(Header::Missing), Err(VerifyError::Missing));
        assert_eq!(read(Header::Repeated), Err(VerifyError::Malformed));
    }
}

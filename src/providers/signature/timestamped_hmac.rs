//! HMAC-SHA256 in hexadecimal over the time and the body, as several platforms sign. They differ in the header's
//! layout and in the bytes around the time: a [`TimestampedHmac`] states both.
//!
//! A request has exactly one MAC in exactly one spelling. A receiver that accepts several MACs lets a forger try
//! several, and no platform here documents that it sends more than one.

use subtle::ConstantTimeEq as _;

use super::{SignatureScheme, find_secret, hmac};
use crate::event::Millis;
use crate::providers::{
    Headers, Inbound, Keys, RawRequest, SignedRequest, UnsignedRequest, Verified, VerifyError,
};

/// A platform's scheme.
#[derive(Debug, Clone, Copy)]
pub struct TimestampedHmac {
    /// Name of the header with the MAC.
    pub header: &'static str,
    /// Layout of that header.
    pub layout: TimestampLayout,
    /// Bytes before the time in the signed message.
    pub before_time: &'static [u8],
    /// Bytes between the time and the body in the signed message.
    pub after_time: &'static [u8],
}

/// Place of the time and the MAC in the headers. The time is in whole seconds.
#[derive(Debug, Clone, Copy)]
pub enum TimestampLayout {
    /// `t={seconds},v1={hex}` in one header, as Stripe writes it.
    Stripe,
    /// `{mac_prefix}{hex}`, and the time in a header of its own.
    TwoHeaders {
        /// Bytes before the MAC.
        mac_prefix: &'static str,
        /// Name of the header with the time.
        time_header: &'static str,
    },
}

/// The time and the MAC that a request claims.
#[derive(Debug, Clone, Copy)]
pub struct ClaimedHmac<'a> {
    /// The time as it is written and signed.
    pub time: &'a [u8],
    /// The time.
    pub signed_at: Millis,
    /// The MAC as it is written.
    pub mac: &'a [u8],
    mac_bytes: [u8; 32],
}

impl TimestampedHmac {
    /// Reads the claims of a request without verifying them.
    ///
    /// # Errors
    /// [`VerifyError::Missing`], or [`VerifyError::Malformed`] for a repeated header and any other spelling.
    pub fn read<'h>(&self, headers: &'h dyn Headers) -> Result<ClaimedHmac<'h>, VerifyError> {
        let value = headers.lookup(self.header).exactly_one()?;
        let claimed = match self.layout {
            TimestampLayout::Stripe => split_stripe(value),
            TimestampLayout::TwoHeaders { mac_prefix, time_header } => {
                let time = headers.lookup(time_header).exactly_one()?;
                value.strip_prefix(mac_prefix.as_bytes()).map(|mac| (time, mac))
            }
        };
        claimed.and_then(|(time, mac)| ClaimedHmac::parse(time, mac)).ok_or(VerifyError::Malformed)
    }

    fn message<'m>(&self, time: &'m [u8], body: &'m [u8]) -> [&'m [u8]; 4] {
        [self.before_time, time, self.after_time, body]
    }
}

impl SignatureScheme for TimestampedHmac {
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError> {
        let claimed = self.read(request.headers)?;
        let message = self.message(claimed.time, request.body);
        let secret = find_secret(keys.secrets, |secret| {
            hmac::sha256(secret, &message).ct_eq(&claimed.mac_bytes).into()
        })?;
        hmac::check_timestamp(claimed.signed_at, request.received_at, keys.tolerance)?;
        Ok(secret)
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let time = request.now.get().div_euclid(1_000).to_string();
        let message = self.message(time.as_bytes(), request.body);
        let mac = hex::encode(hmac::sha256(request.secret, &message));
        let header = |value| (self.header.to_owned(), value);
        let headers = match self.layout {
            TimestampLayout::Stripe => vec![header(format!("t={time},v1={mac}"))],
            TimestampLayout::TwoHeaders { mac_prefix, time_header } => {
                vec![header(format!("{mac_prefix}{mac}")), (time_header.to_owned(), time)]
            }
        };
        Ok(SignedRequest::with_headers(request, headers))
    }

    fn signed_time(&self, request: &Inbound<'_, Verified>) -> Option<Vec<u8>> {
        Some(self.read(request.headers).ok()?.time.to_vec())
    }
}

impl<'a> ClaimedHmac<'a> {
    fn parse(time: &'a [u8], mac: &'a [u8]) -> Option<Self> {
        let signed_at = hmac::parse_unix_seconds(time)?;
        let mac_bytes = hmac::parse_lower_hex(mac)?;
        Some(Self { time, signed_at, mac, mac_bytes })
    }
}

/// The time and the MAC of `t={seconds},v1={hex}`: these two, in this order, once each.
fn split_stripe(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let comma = value.iter().position(|byte| *byte == b',')?;
    let (time, mac) = value.split_at_checked(comma)?;
    Some((time.strip_prefix(b"t=")?, mac.strip_prefix(b",v1=")?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Millis = Millis::new(1_735_689_600_000);
    const BODY: &[u8] = br#"{"a":1}"#;
    const DOT: TimestampedHmac = TimestampedHmac {
        header: "x-signature",
        layout: TimestampLayout::Stripe,
        before_time: b"",
        after_time: b".",
    };
    const NOTHING: TimestampedHmac = TimestampedHmac { after_time: b"", ..DOT };
    const TWO: TimestampedHmac = TimestampedHmac {
        layout: TimestampLayout::TwoHeaders { mac_prefix: "v0=", time_header: "x-time" },
        before_time: b"v0:",
        after_time: b":",
        ..DOT
    };

    fn sign(scheme: &TimestampedHmac, secret: &[u8], now: Millis) -> Vec<(String, String)> {
        let url = &"https://bridge.example/webhooks/source".parse().expect("a URL");
        let signed = scheme.sign(UnsignedRequest { url, body: BODY, secret, now });
        signed.expect("any secret signs").headers
    }

    fn verify(
        scheme: &TimestampedHmac,
        headers: &Vec<(String, String)>,
        now: Millis,
    ) -> Result<usize, VerifyError> {
        let keys = Keys {
            secrets: &[b"other", b"key"],
            tolerance: Duration::from_mins(5),
            grace: Duration::ZERO,
        };
        scheme.verify(&Inbound::new(headers, "", BODY, now), keys)
    }

    fn read(headers: &Vec<(String, String)>) -> Result<Millis, VerifyError> {
        DOT.read(headers).map(|claimed| claimed.signed_at)
    }

    fn header(value: &str) -> (String, String) {
        ("X-Signature".to_owned(), value.to_owned())
    }

    #[test]
    fn signed_message_is_the_time_the_separator_and_the_body() {
        let headers = sign(&DOT, b"key", NOW);
        let mac = hmac::sha256(b"key", &[br#"1735689600.{"a":1}"#]);
        assert_eq!(headers[0].1, format!("t=1735689600,v1={}", hex::encode(mac)));
        assert_eq!(verify(&DOT, &headers, NOW), Ok(1));
        assert_eq!(verify(&NOTHING, &headers, NOW), Err(VerifyError::Mismatch));
        let later = NOW.plus(Duration::from_mins(6));
        assert_eq!(verify(&DOT, &headers, later), Err(VerifyError::Stale));
        let earlier = NOW.minus(Duration::from_mins(6));
        assert_eq!(verify(&DOT, &headers, earlier), Err(VerifyError::Future));
        let other_secret = sign(&DOT, b"unknown", NOW.minus(Duration::from_hours(1)));
        assert_eq!(verify(&DOT, &other_secret, NOW), Err(VerifyError::Mismatch), "before its age");
    }

    #[test]
    fn two_headers_hold_the_mac_and_the_time() {
        let headers = sign(&TWO, b"key", NOW);
        let mac = hmac::sha256(b"key", &[br#"v0:1735689600:{"a":1}"#]);
        let expected = [
            ("x-signature".to_owned(), format!("v0={}", hex::encode(mac))),
            ("x-time".to_owned(), "1735689600".to_owned()),
        ];
        assert_eq!(headers, expected);
        assert_eq!(verify(&TWO, &headers, NOW), Ok(1));
        for missing in 0..2 {
            let mut headers = headers.clone();
            headers.remove(missing);
            assert_eq!(verify(&TWO, &headers, NOW), Err(VerifyError::Missing));
        }
    }

    #[test]
    fn claims_are_the_written_values() {
        let headers = sign(&NOTHING, b"key", NOW);
        let claimed = DOT.read(&headers).expect("it is well formed");
        assert_eq!(
            (claimed.time, claimed.signed_at, claimed.mac.len()),
            (b"1735689600".as_slice(), NOW, 64)
        );
        assert!(headers[0].1.as_bytes().ends_with(claimed.mac));
    }

    #[test]
    fn other_spellings_are_malformed() {
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
            assert_eq!(read(&vec![header(&value)]), Err(VerifyError::Malformed), "{value}");
        }
        assert_eq!(read(&Vec::new()), Err(VerifyError::Missing));
        let value = header(&format!("t=1735689600,v1={mac}"));
        assert_eq!(read(&vec![value.clone()]), Ok(NOW));
        assert_eq!(read(&vec![value.clone(), value]), Err(VerifyError::Malformed));
    }
}

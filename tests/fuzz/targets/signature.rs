//! The headers and the raw body from which a request is verified.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use webinar_bridge::event::Millis;
use webinar_bridge::providers::{
    Header, Headers, Inbound, Keys, PLATFORMS, Provider, Requirement, SignedRequest,
    UnsignedRequest, VerifyError, by_id,
};

use super::{Message, fixtures};

pub(super) const SECRET: &[u8] = b"the one that signs";
pub(super) const OTHER: &[u8] = b"another";
/// A time of whole seconds, as Zoom's header is.
pub(super) const NOW: Millis = Millis::new(1_800_000_000_000);
pub(super) const TOLERANCE: Duration = Duration::from_hours(2);

/// Headers as they come in: bytes, in any number.
pub(super) struct RawHeaders<'a>(pub(super) &'a [(&'a [u8], &'a [u8])]);

impl Headers for RawHeaders<'_> {
    fn lookup(&self, name: &str) -> Header<'_> {
        let name = name.as_bytes();
        let mut found = self.0.iter().filter(|(present, _)| present.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (None, _) => Header::Missing,
            (Some((_, value)), None) => Header::One(value),
            (Some(_), Some(_)) => Header::Repeated,
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let seed = |(_, body): (String, Vec<u8>)| {
        let mut seed = Vec::new();
        for (name, value) in signed(zoom().as_ref(), &body).headers {
            seed.extend(format!("{name}: {value}\n").into_bytes());
        }
        seed.push(b'\n');
        seed.extend(body);
        seed
    };
    fixtures("zoom").into_iter().take(3).map(seed).collect()
}

pub(super) fn check(data: &[u8]) {
    let message = Message::from_bytes(data);
    let headers = RawHeaders(&message.lines);
    let accepted = verified(zoom().as_ref(), &headers, message.body, &[OTHER, SECRET], NOW);
    assert_eq!(
        accepted.is_ok(),
        is_signed_as_zoom_documents(&headers, message.body),
        "the other implementation disagrees"
    );
    for provider in PLATFORMS.iter().filter_map(|platform| (platform.unconfigured)()) {
        check_secret_is_needed(provider.as_ref(), &headers, message.body);
    }
    check_signature_binds_body_secret_and_time(zoom().as_ref(), message.body);
}

/// No request is verified without a secret that signed it.
pub(super) fn check_secret_is_needed(provider: &dyn Provider, headers: &dyn Headers, body: &[u8]) {
    if provider.scheme().secret() != Requirement::Required {
        return;
    }
    let under = |secrets: &[&[u8]]| verified(provider, headers, body, secrets, NOW);
    assert!(under(&[]).is_err(), "verified without a secret");
    assert!(under(&[b""]).is_err(), "verified by the empty secret");
    assert!(under(&[b"never used"]).is_err(), "verified by a secret that signed nothing");
}

fn zoom() -> Arc<dyn Provider> {
    let zoom = by_id("zoom").expect("built in");
    (zoom.unconfigured)().expect("Zoom needs no keys of its own")
}

pub(super) fn signed(provider: &dyn Provider, body: &[u8]) -> SignedRequest {
    let url = &"https://bridge.example/webhooks/zoom".parse().expect("a URL");
    provider
        .sign(UnsignedRequest { url, body, secret: SECRET, now: NOW })
        .expect("any body can be signed")
}

pub(super) fn verified(
    provider: &dyn Provider,
    headers: &dyn Headers,
    body: &[u8],
    secrets: &[&[u8]],
    now: Millis,
) -> Result<usize, VerifyError> {
    let keys = Keys { secrets, tolerance: TOLERANCE, grace: Duration::ZERO };
    let verified = provider.verify(Inbound::new(headers, "", body, now), keys)?;
    assert_eq!(verified.body, body, "the verified body is not the body of the request");
    Ok(verified.verified_by())
}

/// Zoom's scheme by its documentation, in a second implementation: `v0={hex of HMAC-SHA256 of v0:{timestamp}:{raw body}}`.
fn is_signed_as_zoom_documents(headers: &RawHeaders<'_>, body: &[u8]) -> bool {
    let (Header::One(signature), Header::One(time)) =
        (headers.lookup("x-zm-signature"), headers.lookup("x-zm-request-timestamp"))
    else {
        return false;
    };
    let seconds = std::str::from_utf8(time).ok().and_then(|text| text.parse::<u64>().ok());
    let digits = time.iter().all(u8::is_ascii_digit);
    let Some(seconds) = seconds.filter(|_| digits) else { return false };
    let apart = seconds.abs_diff(u64::try_from(NOW.get()).expect("after 1970") / 1_000);
    let made_by = |secret: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
        mac.update(&[b"v0:", time, b":", body].concat());
        format!("v0={}", hex::encode(mac.finalize().into_bytes())).as_bytes() == signature
    };
    apart <= TOLERANCE.as_secs() && time.len() <= 12 && (made_by(SECRET) || made_by(OTHER))
}

/// Checks a platform that signs body and time.
pub(super) fn check_signature_binds_body_secret_and_time(provider: &dyn Provider, body: &[u8]) {
    let signed = signed(provider, body).headers;
    let under = |secrets: &[&[u8]]| verified(provider, &signed, body, secrets, NOW);
    assert_eq!(under(&[SECRET]), Ok(0));
    assert_eq!(under(&[OTHER, SECRET]), Ok(1));
    assert_eq!(under(&[OTHER]), Err(VerifyError::Mismatch));

    let longer = [body, b" "].concat();
    let verify = |body: &[u8], now: Millis| verified(provider, &signed, body, &[SECRET], now);
    assert_eq!(verify(&longer, NOW), Err(VerifyError::Mismatch));
    if let Some((last, rest)) = body.split_last() {
        assert_eq!(verify(rest, NOW), Err(VerifyError::Mismatch));
        assert_eq!(verify(&[rest, &[last ^ 1]].concat(), NOW), Err(VerifyError::Mismatch));
    }
    let (edge, beyond) = (TOLERANCE, TOLERANCE + Duration::from_millis(1));
    assert_eq!(verify(body, NOW.plus(edge)), Ok(0));
    assert_eq!(verify(body, NOW.minus(edge)), Ok(0));
    assert_eq!(verify(body, NOW.plus(beyond)), Err(VerifyError::Stale));
    assert_eq!(verify(body, NOW.minus(beyond)), Err(VerifyError::Future));

    for place in 0..signed.len() {
        let mut without = signed.clone();
        let header = without.remove(place);
        let result = verified(provider, &without, body, &[SECRET], NOW);
        assert_eq!(result, Err(VerifyError::Missing));
        let mut twice = signed.clone();
        twice.push(header);
        let result = verified(provider, &twice, body, &[SECRET], NOW);
        assert_eq!(result, Err(VerifyError::Malformed));
    }
}

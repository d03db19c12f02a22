//! Standard Webhooks 1.0 with symmetric keys, under its own header names and under Svix's.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>,
//! <https://docs.svix.com/receiving/verifying-payloads/how-manual>: `webhook-signature` is a list, `v1,{base64 of
//! HMAC-SHA256} v1,...`, of `{webhook-id}.{webhook-timestamp}.{raw body}`: one for each key in use while the sender
//! rotates them. Other versions (`v1a`: Ed25519) are skipped. The key is the content of `whsec_{base64}`. Each
//! attempt has the same id and its own time.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq as _;

use super::{SignatureScheme, digest, find_secret, hmac};
use crate::event::Millis;
use crate::providers::{
    Header, Headers, Inbound, Keys, RawRequest, SignedRequest, UnsignedRequest, Verified,
    VerifyError,
};

/// The scheme.
#[derive(Debug, Clone, Copy)]
pub struct StandardWebhooks;

/// Header names: those of the standard, and Svix's.
const HEADER_NAMES: [HeaderNames; 2] = [
    HeaderNames {
        id: "webhook-id",
        timestamp: "webhook-timestamp",
        signature: "webhook-signature",
    },
    HeaderNames { id: "svix-id", timestamp: "svix-timestamp", signature: "svix-signature" },
];
/// Prefix of a displayed key.
const KEY_PREFIX: &str = "whsec_";
/// Prefix of a signature of this version.
const VERSION: &[u8] = b"v1,";
/// Longest id, in bytes; Svix's have 31. The id is signed, so a longer one is a mistake, not an attack.
const ID_MAX: usize = 256;
/// Limit of signatures. A sender has a few keys.
const SIGNATURES_MAX: usize = 16;

/// Keys may lack their padding, as some dashboards show them. Signatures may not, so that each has one spelling.
const KEY_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

struct HeaderNames {
    id: &'static str,
    timestamp: &'static str,
    signature: &'static str,
}

impl SignatureScheme for StandardWebhooks {
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError> {
        let headers = request.headers;
        let family = header_names(headers).ok_or(VerifyError::Missing)?;
        let id = headers.lookup(family.id).exactly_one()?;
        let timestamp = headers.lookup(family.timestamp).exactly_one()?;
        let claimed = parse_signatures(headers.lookup(family.signature).exactly_one()?);
        let signed_at = hmac::parse_unix_seconds(timestamp).ok_or(VerifyError::Malformed)?;
        if id.is_empty() || id.len() > ID_MAX || claimed.is_empty() {
            return Err(VerifyError::Malformed);
        }
        let secret = find_secret(keys.secrets, |secret| {
            let Some(key) = decode_key(secret) else { return false };
            let mac = hmac::sha256(&key, &[id, b".", timestamp, b".", request.body]);
            // All signatures are compared, so that the duration does not depend on which one matches.
            claimed.iter().fold(false, |found, claimed| found | bool::from(mac.ct_eq(claimed)))
        })?;
        hmac::check_timestamp(signed_at, request.received_at, keys.tolerance)?;
        Ok(secret)
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let id = format!("msg_{}", digest::short_hash(request.body));
        let headers = sign(&id, request)?;
        Ok(SignedRequest::with_headers(request, headers))
    }

    fn signed_at(
        &self,
        request: &Inbound<'_, Verified>,
        _written: Option<&[u8]>,
    ) -> Option<Millis> {
        let name = header_names(request.headers)?.timestamp;
        hmac::parse_unix_seconds(request.headers.lookup(name).exactly_one().ok()?)
    }

    fn check_secret(&self, secret: &[u8]) -> Option<&'static str> {
        decode_key(secret).is_none().then_some(NOT_A_KEY)
    }

    fn id_headers(&self) -> Vec<String> {
        HEADER_NAMES.map(|family| family.id.to_owned()).to_vec()
    }

    fn delivery_id(&self, headers: &dyn Headers) -> Option<String> {
        headers.lookup(header_names(headers)?.id).text().map(str::to_owned)
    }
}

/// Signs a request as the delivery `id`, and returns the headers.
///
/// # Errors
/// Why the secret cannot sign, for operators.
pub fn sign(id: &str, request: UnsignedRequest<'_>) -> Result<Vec<(String, String)>, String> {
    let key = decode_key(request.secret).ok_or(NOT_A_KEY)?;
    let timestamp = request.now.get().div_euclid(1_000).to_string();
    let mac = hmac::sha256(&key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", request.body]);
    let [HeaderNames { id: id_name, timestamp: timestamp_name, signature }, _] = HEADER_NAMES;
    Ok(vec![
        (id_name.to_owned(), id.to_owned()),
        (timestamp_name.to_owned(), timestamp),
        (signature.to_owned(), format!("v1,{}", STANDARD.encode(mac))),
    ])
}

/// The error in a secret that is no key of this scheme, as the rest of a sentence that begins with its name.
const NOT_A_KEY: &str = "is no key of Standard Webhooks: whsec_ and base64";

/// Decodes the key of a secret. An empty key is none: everybody knows it.
fn decode_key(secret: &[u8]) -> Option<Vec<u8>> {
    let encoded = secret.strip_prefix(KEY_PREFIX.as_bytes()).unwrap_or(secret);
    KEY_ENCODING.decode(encoded).ok().filter(|key| !key.is_empty())
}

/// The header names of the request's signature. Svix may send both; then either proves the same.
fn header_names(headers: &dyn Headers) -> Option<&'static HeaderNames> {
    HEADER_NAMES.iter().find(|family| headers.lookup(family.signature) != Header::Missing)
}

/// Parses the signatures of this version; skips malformed ones and other versions.
fn parse_signatures(list: &[u8]) -> Vec<[u8; 32]> {
    let signature = |entry: &[u8]| {
        let mac = STANDARD.decode(entry.strip_prefix(VERSION)?).ok()?;
        mac.try_into().ok()
    };
    list.split(|byte| *byte == b' ').take(SIGNATURES_MAX).filter_map(signature).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Millis;
    use crate::providers::Inbound;

    /// 32 bytes in base64.
    const SECRET: &[u8] = b"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    const NOW: Millis = Millis::new(1_674_087_231_000);
    const TOLERANCE: Duration = Duration::from_mins(5);

    fn signed_with(
        id: &str,
        body: &[u8],
        secret: &[u8],
        now: Millis,
    ) -> Result<Vec<(String, String)>, String> {
        let url = &"https://bridge.example/webhooks/source".parse().expect("a URL");
        sign(id, UnsignedRequest { url, body, secret, now })
    }

    fn signed(body: &[u8]) -> Vec<(String, String)> {
        signed_with("msg_1", body, SECRET, NOW).expect("it is a key")
    }

    fn verify(
        headers: &dyn Headers,
        body: &[u8],
        secrets: &[&[u8]],
        now: Millis,
    ) -> Result<usize, VerifyError> {
        let keys = Keys { secrets, tolerance: TOLERANCE, grace: Duration::ZERO };
        StandardWebhooks.verify(&Inbound::new(headers, "", body, now), keys)
    }

    fn verified(headers: &dyn Headers, body: &[u8], secret: &[u8]) -> Result<usize, VerifyError> {
        verify(headers, body, &[b"whsec_bm9uZQ==", secret], NOW)
    }

    fn delivery_id(headers: &dyn Headers) -> Option<String> {
        StandardWebhooks.delivery_id(headers)
    }

    fn with(mut headers: Vec<(String, String)>, at: usize, value: &str) -> Vec<(String, String)> {
        headers[at].1 = value.to_owned();
        headers
    }

    /// The example of the standard's own libraries, with this secret, id and time
    /// (<https://github.com/standard-webhooks/standard-webhooks>, libraries/rust/src/lib.rs).
    #[test]
    fn sign_matches_the_standards_example() {
        let headers = signed_with(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            br#"{"test": 2432232314}"#,
            b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            Millis::new(1_614_265_330_000),
        );
        let headers = headers.expect("it is a key");
        assert_eq!(headers[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn any_signature_of_the_list_verifies() {
        let headers = signed(b"{}");
        assert_eq!(verified(&headers, b"{}", SECRET), Ok(1));
        let (own, zeros) = (headers[2].1.clone(), format!("v1,{}", STANDARD.encode([0; 32])));
        for list in
            [format!("{zeros} {own}"), format!("v1a,abc= {own} {zeros}"), format!("x  {own}")]
        {
            assert_eq!(verified(&with(headers.clone(), 2, &list), b"{}", SECRET), Ok(1), "{list}");
        }
        let other = with(headers.clone(), 2, &zeros);
        assert_eq!(verified(&other, b"{}", SECRET), Err(VerifyError::Mismatch));
        for list in
            ["", "v1", "v1,", "v2,AAAA", own.trim_end_matches('='), own.trim_start_matches("v1")]
        {
            let list = with(headers.clone(), 2, list);
            assert_eq!(verified(&list, b"{}", SECRET), Err(VerifyError::Malformed), "{list:?}");
        }
    }

    #[test]
    fn id_time_and_body_are_signed() {
        let headers = signed(b"{}");
        assert_eq!(verified(&headers, b"{ }", SECRET), Err(VerifyError::Mismatch));
        let other_id = with(headers.clone(), 0, "msg_2");
        assert_eq!(verified(&other_id, b"{}", SECRET), Err(VerifyError::Mismatch));
        let other_time = with(headers.clone(), 1, "1674087232");
        assert_eq!(verified(&other_time, b"{}", SECRET), Err(VerifyError::Mismatch));
        for (at, value) in [(0, ""), (0, &*"i".repeat(257)), (1, "now"), (1, "")] {
            let headers = with(headers.clone(), at, value);
            assert_eq!(verified(&headers, b"{}", SECRET), Err(VerifyError::Malformed), "{value}");
        }
        for at in 0..3 {
            let mut without = headers.clone();
            let header = without.remove(at);
            assert_eq!(verified(&without, b"{}", SECRET), Err(VerifyError::Missing));
            let mut twice = headers.clone();
            twice.push(header);
            assert_eq!(verified(&twice, b"{}", SECRET), Err(VerifyError::Malformed));
        }
    }

    #[test]
    fn time_outside_the_tolerance_is_refused() {
        let headers = signed(b"{}");
        let at = |now| verify(&headers, b"{}", &[SECRET], now);
        let beyond = TOLERANCE + Duration::from_secs(1);
        assert_eq!(at(NOW.plus(TOLERANCE)), Ok(0));
        assert_eq!(at(NOW.plus(beyond)), Err(VerifyError::Stale));
        assert_eq!(at(NOW.minus(beyond)), Err(VerifyError::Future));
    }

    #[test]
    fn svix_header_names_verify() {
        let rename = |(name, value): (String, String)| (name.replace("webhook-", "svix-"), value);
        let svix: Vec<_> = signed(b"{}").into_iter().map(rename).collect();
        assert_eq!(verified(&svix, b"{}", SECRET), Ok(1));
        assert_eq!(delivery_id(&svix), Some("msg_1".to_owned()));
        assert_eq!(delivery_id(&signed(b"{}")), Some("msg_1".to_owned()));
        // Header names of both are not mixed.
        let mixed = [&svix[..2], &signed(b"{}")[2..]].concat();
        assert_eq!(verified(&mixed, b"{}", SECRET), Err(VerifyError::Missing));
        assert_eq!(delivery_id(&mixed), None);
    }

    #[test]
    fn key_may_lack_prefix_and_padding() {
        let bare = SECRET.strip_prefix(b"whsec_").expect("shown so");
        let unpadded = bare.strip_suffix(b"=").expect("padded");
        for key in [SECRET, bare, unpadded] {
            assert_eq!(verified(&signed(b"{}"), b"{}", key), Ok(1));
        }
        for none in [&b""[..], b"whsec_", b"not base64!", b"whpk_MDEy"] {
            assert_eq!(StandardWebhooks.check_secret(none), Some(NOT_A_KEY));
            assert_eq!(signed_with("a", b"{}", none, NOW), Err(NOT_A_KEY.to_owned()));
            let headers = signed(b"{}");
            assert_eq!(verify(&headers, b"{}", &[none], NOW), Err(VerifyError::Mismatch));
        }
    }
}

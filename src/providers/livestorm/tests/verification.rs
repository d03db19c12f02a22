use sha2::{Digest as _, Sha256};

use super::*;
use crate::providers::signature::hmac;
use crate::providers::{SignedRequest, VerifyError};

const SECRET: &[u8] = b"lavender-92";
const BODY: &[u8] =
    r#"{"data":{"id":"s-1","type":"sessions","attributes":{"name":"é"}}}"#.as_bytes();
const NOW: Millis = Millis::new(1_790_848_800_000);

fn with(header: &str, body: &[u8]) -> SignedRequest {
    let mut signed = conformance::sign(&BARE, body, SECRET, NOW);
    signed.headers = vec![("X-Livestorm-Signature".to_owned(), header.to_owned())];
    signed
}

fn refusal(header: &str) -> Option<VerifyError> {
    conformance::verify(&BARE, &with(header, BODY), &[SECRET], NOW).err()
}

/// The first vector was computed from the documented algorithm. The second is from a public receiver's tests
/// (betagouv/mon-aide-cyber), which use milliseconds.
#[test]
fn published_vectors_verify() {
    for (secret, body, header, now) in [
        (
            "whsec_dGVzdC1zZWNyZXQ",
            r#"{"type":"event.created","data":{"id":"evt-1"}}"#,
            "1735689600,a5469640878be2ce892f14303ab327ede92de8b5f6003c9eedf7e8cedc8073fa",
            1_735_689_605_000,
        ),
        (
            "signature",
            r#"{"uneClef":"valeur"}"#,
            "1752652800000,bcee8607a976dee318a3aa34fa780a4a9ce777b4feb4a6ab218c24c45ca7953e",
            1_752_652_805_000,
        ),
    ] {
        let signed = with(header, body.as_bytes());
        let at = |now: i64| {
            conformance::verify(&BARE, &signed, &[b"another", secret.as_bytes()], Millis::new(now))
        };
        assert_eq!(at(now), Ok(1), "{header}");
        assert_eq!(at(now + 8_000_000), Err(VerifyError::Stale), "{header}");
        assert_eq!(at(now - 8_000_000), Err(VerifyError::Future), "{header}");
    }
}

#[test]
fn sign_produces_the_documented_header() {
    let hash = Sha256::digest([b"1790848800".as_slice(), SECRET, BODY].concat());
    let signed = conformance::sign(&BARE, BODY, SECRET, NOW);
    let expected = format!("1790848800,{}", hex::encode(hash));
    assert_eq!(signed.headers, [("x-livestorm-signature".to_owned(), expected)]);
}

#[test]
fn only_requests_signed_in_time_verify() {
    conformance::assert_only_signed_bytes_verify(&BARE, BODY, SECRET, NOW);
    conformance::assert_timestamp_tolerance(&BARE, BODY, SECRET, NOW);
}

#[test]
fn malformed_signature_header_is_refused() {
    let hash = hex::encode(Sha256::digest([b"1790848800".as_slice(), SECRET, BODY].concat()));
    assert_eq!(refusal(&format!("1790848800,{hash}")), None);
    for header in [
        String::new(),
        ",".to_owned(),
        hash.clone(),
        format!("1790848800;{hash}"),
        format!("1790848800, {hash}"),
        format!("1790848800,{hash},{hash}"),
        format!("1790848800,{}", hash.to_uppercase()),
        format!("{hash},1790848800"),
        format!(",{hash}"),
        format!("now,{hash}"),
        format!("-1,{hash}"),
        format!("+1790848800,{hash}"),
        format!("1790848800.0,{hash}"),
        format!("t=1790848800,v1={hash}"),
        format!("17908488000000000,{hash}"),
    ] {
        assert_eq!(refusal(&header), Some(VerifyError::Malformed), "{header}");
    }
    // The time is signed as written.
    assert_eq!(refusal(&format!("01790848800,{hash}")), Some(VerifyError::Mismatch));
    let mac = hex::encode(hmac::sha256(SECRET, &[b"1790848800", SECRET, BODY]));
    assert_eq!(
        refusal(&format!("1790848800,{mac}")),
        Some(VerifyError::Mismatch),
        "an HMAC is refused"
    );
}

#[test]
fn signed_time_of_12_digits_or_more_is_milliseconds() {
    for (written, read) in [
        ("1790848800", 1_790_848_800_000),
        ("1790848800000", 1_790_848_800_000),
        ("99999999999", 99_999_999_999_000),
        ("100000000000", 100_000_000_000),
        ("9999999999999999", 9_999_999_999_999_999),
    ] {
        let hash = Sha256::digest([written.as_bytes(), SECRET, BODY].concat());
        let signed = with(&format!("{written},{}", hex::encode(hash)), BODY);
        let verified = conformance::verify(&BARE, &signed, &[SECRET], Millis::new(read));
        assert_eq!(verified, Ok(0), "{written}");
    }
}

/// A sender that knows a hash of `time, secret, body` can extend the message: the padding that SHA-256 appended to it
/// becomes part of the longer message. The test computes the hash with the secret; the result is the same.
#[test]
fn body_after_length_extension_is_refused() {
    let message = [b"1790848800".as_slice(), SECRET, BODY].concat();
    let mut padding = vec![0x80];
    while (message.len() + padding.len()) % 64 != 56 {
        padding.push(0);
    }
    padding.extend((message.len() as u64 * 8).to_be_bytes());
    let extended = [BODY, &padding, br#"{"data":{"type":"sessions","id":"forged"}}"#].concat();
    let hash = Sha256::digest([b"1790848800".as_slice(), SECRET, &extended].concat());
    let signed = with(&format!("1790848800,{}", hex::encode(hash)), &extended);
    assert_eq!(conformance::verify(&BARE, &signed, &[SECRET], NOW), Err(VerifyError::Mismatch));
}

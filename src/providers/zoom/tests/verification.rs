use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::providers::signature::hmac::sha256;
use crate::providers::{Keys, UnsignedRequest, VerifyError, conformance};

const SECRET: &[u8] = b"bitter-orange-17";
const BODY: &[u8] = r#"{"event":"webinar.alert","topic":"\uD83D\uDE80 and raw é"}"#.as_bytes();
const TOLERANCE: Duration = Duration::from_hours(2);
const NOW: Millis = Millis::new(1_789_207_200_500);

type Pairs = Vec<(String, String)>;

fn verified(
    headers: &Pairs,
    body: &[u8],
    secrets: &[&[u8]],
    now: Millis,
) -> Result<usize, VerifyError> {
    let keys = Keys { secrets, tolerance: TOLERANCE, grace: Duration::ZERO };
    ZOOM.verify(Inbound::new(headers, "", body, now), keys).map(|request| request.verified_by())
}

fn signed(body: &[u8], secret: &[u8], now: Millis) -> Pairs {
    let url = &"https://bridge.example/webhooks/zoom".parse().expect("a URL");
    ZOOM.sign(UnsignedRequest { url, body, secret, now }).expect("any body can be signed").headers
}

fn refused(headers: &Pairs) -> Option<VerifyError> {
    verified(headers, BODY, &[SECRET], NOW).err()
}

fn with(name: &str, value: &str) -> Pairs {
    let mut headers = signed(BODY, SECRET, NOW);
    for (present, old) in &mut headers {
        if present == name {
            value.clone_into(old);
        }
    }
    headers
}

#[test]
fn published_vectors_verify_and_answer_the_handshake() {
    let headers = vec![
        ("X-Zm-Request-Timestamp".to_owned(), "1720705455".to_owned()),
        (
            "X-Zm-Signature".to_owned(),
            "v0=93a1a675965ceb9c5a50c5dfb31f20e50f763be37a54ef74cd2d16a1a8e5c0d6".to_owned(),
        ),
    ];
    let body = br#"{"payload":{"plainToken":"xys8n8PGS7mAU0m5-YJjRA"},"event_ts":1720705455858,"event":"endpoint.url_validation"}"#;
    let secret = b"4fv1RkqGQUq5sWbEz6hA5A".as_slice();
    let now = Millis::new(1_720_705_456_000);
    assert_eq!(verified(&headers, body, &[b"another", secret], now), Ok(1));

    let keys = Keys { secrets: &[b"another", secret], tolerance: TOLERANCE, grace: Duration::ZERO };
    let request = ZOOM.verify(Inbound::new(&headers, "", body, now), keys).expect("verified");
    let parsed = ZOOM.read(&request.scrub(&ZOOM), keys.secrets);
    let PayloadContent::Handshake(reply) = parsed.content else {
        panic!("no handshake: {parsed:?}")
    };
    assert_eq!((reply.status, reply.content_type), (200, "application/json"));
    assert_eq!(
        String::from_utf8(reply.body).expect("text"),
        r#"{"plainToken":"xys8n8PGS7mAU0m5-YJjRA","encryptedToken":"2fffc6a967dde4f68024025a5bd991c5ae1e5313b4e6365be4883e3e81d479b3"}"#
    );
}

#[test]
fn sign_produces_the_documented_headers() {
    let mut message = b"v0:1789207200:".to_vec();
    message.extend_from_slice(BODY);
    let expected = format!("v0={}", hex::encode(sha256(SECRET, &[&message])));
    assert_eq!(
        signed(BODY, SECRET, NOW),
        [
            ("x-zm-signature".to_owned(), expected),
            ("x-zm-request-timestamp".to_owned(), "1789207200".to_owned()),
        ]
    );
    assert_eq!(verified(&signed(BODY, SECRET, NOW), BODY, &[SECRET], NOW), Ok(0));
}

#[test]
fn request_with_a_flipped_bit_is_refused() {
    let headers = signed(BODY, SECRET, NOW);
    for at in 0..BODY.len() {
        for bit in 0..8 {
            let mut body = BODY.to_vec();
            body[at] ^= 1 << bit;
            assert_eq!(verified(&headers, &body, &[SECRET], NOW), Err(VerifyError::Mismatch));
        }
    }
    for (name, value) in &headers {
        for at in 0..value.len() {
            for bit in 0..7 {
                let mut bytes = value.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let flipped = String::from_utf8(bytes).expect("still ASCII");
                let refusal = refused(&with(name, &flipped));
                assert!(
                    matches!(refusal, Some(VerifyError::Mismatch | VerifyError::Malformed)),
                    "{name}: {flipped}: {refusal:?}"
                );
            }
        }
    }
    assert_eq!(verified(&headers, &BODY[1..], &[SECRET], NOW), Err(VerifyError::Mismatch));
    assert_eq!(verified(&headers, BODY, &[b"bitter-orange-18"], NOW), Err(VerifyError::Mismatch));
    assert_eq!(verified(&headers, BODY, &[], NOW), Err(VerifyError::Mismatch));
}

#[test]
fn missing_repeated_or_malformed_headers_are_refused() {
    for missing in [verify::SIGNATURE, verify::TIMESTAMP] {
        let mut headers = signed(BODY, SECRET, NOW);
        headers.retain(|(name, _)| name != missing);
        assert_eq!(refused(&headers), Some(VerifyError::Missing), "{missing}");
    }
    for repeated in [0, 1] {
        let mut headers = signed(BODY, SECRET, NOW);
        headers.push(headers[repeated].clone());
        assert_eq!(refused(&headers), Some(VerifyError::Malformed));
    }
    let mac = "ab".repeat(32);
    for signature in [
        String::new(),
        "v0=".to_owned(),
        mac.clone(),
        format!("v1={mac}"),
        format!("V0={mac}"),
        format!("v0={}", mac.to_uppercase()),
        format!("v0={mac}0"),
        format!("v0= {mac}"),
        format!("v0={mac},v0={mac}"),
        format!("v0={}zz", "ab".repeat(31)),
    ] {
        let headers = with(verify::SIGNATURE, &signature);
        assert_eq!(refused(&headers), Some(VerifyError::Malformed), "{signature}");
    }
    for time in ["", "now", "-1", "+1789207200", "1789207200.0", " 1789207200", "1789207200000"] {
        assert_eq!(refused(&with(verify::TIMESTAMP, time)), Some(VerifyError::Malformed), "{time}");
    }
}

#[test]
fn bad_signature_is_reported_before_bad_time() {
    let old = NOW.minus(TOLERANCE * 2);
    let mut headers = signed(BODY, SECRET, old);
    assert_eq!(refused(&headers), Some(VerifyError::Stale));
    headers[0].1 = format!("v0={}", "ab".repeat(32));
    assert_eq!(refused(&headers), Some(VerifyError::Mismatch));
    let ahead = NOW.plus(TOLERANCE * 2);
    assert_eq!(refused(&signed(BODY, SECRET, ahead)), Some(VerifyError::Future));
    let edge = Millis::new(1_789_207_200_000).plus(TOLERANCE);
    assert_eq!(verified(&signed(BODY, SECRET, NOW), BODY, &[SECRET], edge), Ok(0));
}

#[test]
fn handshake_is_answered_only_for_well_formed_tokens() {
    let answer = |token: serde_json::Value, secrets: &[&[u8]]| {
        let body =
            json!({ "event": "endpoint.url_validation", "payload": { "plainToken": token } });
        ZOOM.read(&Inbound::from_body(body.to_string().as_bytes()).scrub(&ZOOM), secrets).content
    };
    let longest = "a".repeat(64);
    assert!(matches!(answer(json!(longest), &[SECRET]), PayloadContent::Handshake(_)));
    for token in [
        json!(""),
        json!("a".repeat(65)),
        json!("v0:1789207200:{}"),
        json!("a b"),
        json!("é"),
        json!("a\n"),
        json!(5),
        json!(null),
        json!(["a"]),
    ] {
        assert!(
            matches!(answer(token.clone(), &[SECRET]), PayloadContent::Unmappable(_)),
            "{token}"
        );
    }
    assert!(matches!(answer(json!("a"), &[]), PayloadContent::Unmappable(_)));
}

fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        r#"{"event":"webinar.created","payload":{"object":{"id":1,"#,
        r#"{"event":"webinar.updated","payload":"#,
        r#"{"event":"zoom_events.session_ended","payload":{"object":{"event_id":"e","session_id":"#,
        r#"{"event":"endpoint.url_validation","payload":{"plainToken":"#,
        r#""occurrences":["#,
        r#""operation":"single","#,
        r#""start_time":"2026-10-01T15:00:00Z","#,
        r#""timezone":"Europe/Vienna","#,
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "9223372036854775808",
        "-1",
        "null",
        "é",
    ]);
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_request_is_handled_without_panic(
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..128), json_like()],
        signature in ".{0,80}",
        timestamp in "[0-9]{0,14}",
    ) {
        let headers = vec![
            (verify::SIGNATURE.to_owned(), signature),
            (verify::TIMESTAMP.to_owned(), timestamp),
        ];
        prop_assert!(verified(&headers, &body, &[SECRET], NOW).is_err());
        prop_assert_eq!(verified(&signed(&body, SECRET, NOW), &body, &[SECRET], NOW), Ok(0));
        prop_assert_eq!(read(&(PLATFORM.scrub)(&body)), read(&body));
    }
}

#[test]
fn only_requests_signed_in_time_verify() {
    conformance::assert_only_signed_bytes_verify(&ZOOM, BODY, SECRET, NOW);
    conformance::assert_timestamp_tolerance(&ZOOM, BODY, SECRET, Millis::new(1_789_207_200_000));
}

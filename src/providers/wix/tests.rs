use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;

use super::*;
use crate::event::{EndTime, Millis};
use crate::providers::{
    PayloadContent, Sample, SignedRequest, UnsignedRequest, VerifyError, conformance,
};

const NOW: Millis = Millis::new(1_790_000_000_000);
const CLAIMS: &[u8] = br#"{"data":"{\"eventType\":\"wix.events.v3.event_started\"}"}"#;
/// The public key of a pair that signed nothing here.
const OTHER: &str = include_str!("../../../tests/fixtures/jwt/rsa.public.pem");
/// Signed with `openssl dgst -sha256 -sign`.
const TOKEN: &[u8] = include_bytes!("../../../tests/fixtures/wix/created_token.jwt");

/// The sandbox's source.
static DEMO: LazyLock<Demo> = LazyLock::new(|| (PLATFORM.demos)().remove(0));
/// The public key of the sandbox.
static KEY: LazyLock<String> = LazyLock::new(|| {
    let settings: toml::Table = DEMO.settings("").parse().expect("TOML");
    settings["secret"].as_str().expect("a text").to_owned()
});

fn key() -> &'static str {
    &KEY
}

fn verify(token: &[u8], keys: &[&str], now: Millis) -> Result<usize, VerifyError> {
    let url = "https://bridge.example/webhooks/wix".parse().expect("a URL");
    let signed = SignedRequest { url, headers: Vec::new(), body: token.to_vec() };
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
    conformance::verify(&Wix, &signed, &keys, now)
}

/// A token with this header and these claims, and a signature by `sign`.
fn token(head: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(head), part(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()))).into_bytes()
}

#[test]
fn each_fixture_reads_as_expected() {
    conformance::assert_fixtures_parse_as_expected("wix", &Wix);
}

#[test]
fn scrubbed_fixtures_are_json_without_personal_data_and_read_the_same() {
    let personal = ["kettle", "Kettle Lane", "example.org", "Ada"];
    conformance::assert_scrubbed_bodies_parse_the_same("wix", &Wix, &personal);
    let stored: Value = serde_json::from_slice(&(PLATFORM.scrub)(TOKEN)).expect("JSON");
    let event = &stored["data"]["data"]["createdEvent"]["entity"];
    assert_eq!(event["title"], "Harvest supper", "nested JSON is decoded");
    assert_eq!(event["onlineConferencing"], "***");
}

/// The token was made by another program.
#[test]
fn token_signed_with_the_app_key_verifies_until_it_expires() {
    assert_eq!(verify(TOKEN, &[key()], NOW), Ok(0));
    assert_eq!(verify(TOKEN, &[OTHER, key()], NOW), Ok(1));
    assert_eq!(verify(TOKEN, &[OTHER], NOW), Err(VerifyError::Mismatch));
    assert_eq!(verify(TOKEN, &[], NOW), Err(VerifyError::Mismatch));
    for none in ["", "not a key", DEMO.signing_key()] {
        assert_eq!(verify(TOKEN, &[none], NOW), Err(VerifyError::Mismatch));
    }
    let packed = STANDARD.encode(key());
    assert_eq!(verify(TOKEN, &[&format!("{packed}\n")], NOW), Ok(0), "PEM in base64");
    let minute = std::time::Duration::from_mins(1);
    let end = Millis::new(4_102_444_800_000);
    assert_eq!(verify(TOKEN, &[key()], end.plus(minute)), Ok(0));
    assert_eq!(verify(TOKEN, &[key()], end.plus(minute * 2)), Err(VerifyError::Stale));
    assert_eq!(verify(TOKEN, &[key()], NOW.minus(minute * 2)), Err(VerifyError::Future));
}

#[test]
fn altered_token_is_refused() {
    let right = conformance::sign(&Wix, CLAIMS, DEMO.signing_key().as_bytes(), NOW).body;
    assert_eq!(verify(&right, &[key()], NOW), Ok(0));
    for at in 0..right.len() {
        for bit in [1, 0x20, 0x80] {
            let mut flipped = right.clone();
            flipped[at] ^= bit;
            assert!(verify(&flipped, &[key()], NOW).is_err(), "byte {at} was flipped");
        }
        assert!(verify(&right[..at], &[key()], NOW).is_err(), "it was cut at {at}");
    }
    for more in ["=", "A", ".", " ", "\n", ".e30"] {
        let longer = [&right, more.as_bytes()].concat();
        assert!(verify(&longer, &[key()], NOW).is_err(), "{more:?} was added");
    }
    let parts: Vec<&[u8]> = right.split(|byte| *byte == b'.').collect();
    let of_another: Vec<&[u8]> = TOKEN.split(|byte| *byte == b'.').collect();
    let mixed = [parts[0], of_another[1], parts[2]].join(&b'.');
    assert_eq!(verify(&mixed, &[key()], NOW), Err(VerifyError::Mismatch));
}

/// The algorithm that a token names is compared with the one expected, and never followed.
#[test]
fn token_of_another_algorithm_is_refused() {
    let claims = json!({ "data": "{}", "exp": 4_102_444_800_u64 });
    let by_public_key = |message: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key().as_bytes()).expect("any key");
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    };
    for alg in ["none", "None", "", "HS256", "RS384", "RS512", "PS256", "ES256", "rs256"] {
        let head = json!({ "alg": alg, "typ": "JWT" });
        for forged in [token(&head, &claims, by_public_key), token(&head, &claims, |_| Vec::new())]
        {
            assert!(verify(&forged, &[key()], NOW).is_err(), "{alg}");
        }
    }
    let forged = token(&json!({ "alg": "RS256", "jwk": { "kty": "oct" } }), &claims, by_public_key);
    assert_eq!(verify(&forged, &[key()], NOW), Err(VerifyError::Mismatch));
}

#[test]
fn check_secret_reports_invalid_keys() {
    assert_eq!(Wix.scheme().check_secret(key().as_bytes()), None);
    assert_eq!(Wix.scheme().check_secret(STANDARD.encode(key()).as_bytes()), None);
    for wrong in ["a secret", "", "-----BEGIN PUBLIC KEY-----"] {
        assert!(Wix.scheme().check_secret(wrong.as_bytes()).is_some(), "{wrong}");
    }
}

#[test]
fn sign_error_never_repeats_the_key() {
    let url = &"https://bridge.example/webhooks/wix".parse().expect("a URL");
    let sign = |body: &[u8], secret: &[u8]| {
        Wix.sign(UnsignedRequest { url, body, secret, now: NOW }).expect_err("signing fails")
    };
    assert!(sign(b"[]", DEMO.signing_key().as_bytes()).contains("not a JSON object"));
    assert!(sign(CLAIMS, b"hush").contains("RS256"));
    assert!(!sign(CLAIMS, b"hush").contains("hush"));
}

fn read(body: &Value) -> ParsedPayload {
    Wix.read(&Inbound::from_body(body.to_string().as_bytes()).scrub(&Wix), &[])
}

#[test]
fn domain_event_id_is_the_delivery_id() {
    let body = |iat: u32| {
        let happening = json!({ "id": "happened-1", "entityId": "e" }).to_string();
        let message = json!({ "eventType": "wix.events.v3.event_deleted", "data": happening });
        json!({ "data": message.to_string(), "iat": iat })
    };
    assert_eq!(read(&body(1)).delivery_id.as_deref(), Some("happened-1"));
    assert_eq!(read(&body(1)), read(&body(2)));
}

#[test]
fn page_link_is_read_from_text_or_base_and_path() {
    let url = |page: Value| {
        let entity = json!({ "title": "x", "status": "UPCOMING", "eventPageUrl": page });
        let happening = json!({ "entityId": "e", "updatedEvent": { "currentEntity": entity } });
        let data = json!({ "eventType": "wix.events.v3.event_updated", "data": happening });
        let PayloadContent::Changes { mut changes, .. } = read(&json!({ "data": data })).content
        else {
            panic!("the body is mapped");
        };
        changes.remove(0).whole.registration_url
    };
    let whole = Some("https://site.example/a/b".to_owned());
    assert_eq!(url(json!("https://site.example/a/b")), whole);
    for (base, path) in [("https://site.example/a", "/b"), ("https://site.example/a/", "b")] {
        assert_eq!(url(json!({ "base": base, "path": path })), whole);
    }
    for none in [json!({ "base": "", "path": "/b" }), json!({ "path": "/b" }), json!(5)] {
        assert_eq!(url(none.clone()), None, "{none}");
    }
}

#[test]
fn samples_complete_one_event_and_cancel_the_other() {
    let read = |sample: Sample| {
        let parsed = Wix.read(&Inbound::from_body(&sample.body).scrub(&Wix), &[]);
        let PayloadContent::Changes { changes, bad_fields } = parsed.content else {
            panic!("{}: {parsed:?}", sample.summary);
        };
        assert_eq!(bad_fields, Vec::<&str>::new());
        changes
    };
    let changes: Vec<_> = DEMO.samples(NOW).into_iter().flat_map(read).collect();
    let count =
        |field: fn(&crate::event::Change) -> bool| changes.iter().filter(|c| field(c)).count();
    assert_eq!(count(|change| change.full_picture), 3);
    assert_eq!(count(|change| change.whole.cancelled == Some(true)), 1);
    assert_eq!(count(|change| change.whole.completed == Some(true)), 1);
    assert!(changes.iter().all(|change| change.occurred_at.is_some_and(|at| at < NOW)));
    assert!(changes.iter().all(|change| !matches!(change.whole.end, Some(EndTime::After(_)))));
}

proptest! {
    #[test]
    fn any_body_is_decoded_idempotently(
        body in prop::collection::vec(
            prop::sample::select(vec![
                r#"{"data":"#, r#"{"data":"{\"data\":\""#, r#""entityAsJson":"{\"a\":1}""#, "\"", "\\\"", "{", "}",
                ":", ",", "[", "]", "1e3", r#""email":"#, r#""identity":"x""#, r"\u0064ata", "?tk=a", r"\ud800", " ", "null",
                r#"{"body":{"email":{"a":[1]}}}"#,
            ]),
            0..16,
        )
    ) {
        let body = body.concat().into_bytes();
        let stored = (PLATFORM.scrub)(&body);
        prop_assert_eq!((PLATFORM.scrub)(&stored), stored.clone());
        prop_assert!(stored.len() <= 5 * body.len());
        let read = |body: &[u8]| Wix.read(&Inbound::from_body(body).scrub(&Wix), &[]);
        prop_assert_eq!(read(&stored), read(&body));
    }
}

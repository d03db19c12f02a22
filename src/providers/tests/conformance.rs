//! Checks that the tests of every platform share: fixtures with reviewed expectations, and forged requests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    FetchedAnswers, Headers, Inbound, Keys, PLATFORMS, ParsedPayload, PayloadContent, Provider,
    SignedRequest, UnsignedRequest, VerifyError, read_answers,
};
use crate::config;
use crate::event::webinar::{Provenance, ReceiptOrder};
use crate::event::{Millis, Origin, ReceiptId, SourceName, Webinar, WebinarId};

/// Tolerance of signed times in these tests.
pub(super) const TOLERANCE: Duration = Duration::from_hours(2);

/// Builds the provider of a source with these keys, `provider` among them, or returns the configuration errors.
pub(super) fn provider_from_config(keys: &str) -> Result<Arc<dyn Provider>, String> {
    let text = format!("[hubspot.main]\naccess_token = 'x'\n[source.it]\n{keys}\n");
    let config = config::validate_for("bridge.toml", &text, &BTreeMap::new(), PLATFORMS);
    let mut config = config.map_err(|problems| problems.to_string())?;
    let (_, source) = config.sources.pop_first().expect("it has a source");
    Ok(Arc::clone(&source.provider))
}

/// A webhook body or, if its name begins with `fetched`, the stored answers of the platform's API.
pub(super) struct Fixture {
    pub(super) path: PathBuf,
    pub(super) body: Vec<u8>,
}

impl Fixture {
    pub(super) fn is_fetched(&self) -> bool {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("fetched"))
    }

    pub(super) fn read(&self, provider: &dyn Provider) -> ParsedPayload {
        self.read_as(provider, &self.body)
    }

    fn read_as(&self, provider: &dyn Provider, body: &[u8]) -> ParsedPayload {
        if self.is_fetched() {
            return read_answers(provider, body);
        }
        provider.read(&Inbound::from_body(body).scrub(provider), &[b"fixture secret"])
    }
}

/// Reads stored webhooks and answers, and merges their changes in this order. All are received at `now`. Asserts that
/// no field is bad.
pub(super) fn merge_bodies(
    provider: &dyn Provider,
    bodies: &[Vec<u8>],
    now: Millis,
) -> BTreeMap<WebinarId, Webinar> {
    let mut webinars: BTreeMap<WebinarId, Webinar> = BTreeMap::new();
    for (seq, body) in (1..).zip(bodies) {
        let parsed = match FetchedAnswers::parse(body) {
            Ok(fetched) => provider.read_fetched(&fetched),
            Err(_) => provider.read(&Inbound::from_body(body).scrub(provider), &[]),
        };
        let PayloadContent::Changes { changes, bad_fields } = parsed.content else { continue };
        assert_eq!(bad_fields, Vec::<&str>::new());
        let digest: [u8; 32] = Sha256::digest(body).into();
        let mut receipt = [0; 16];
        receipt.copy_from_slice(&digest[..16]);
        for change in changes {
            let provenance = Provenance {
                receipt: ReceiptId::from_bytes(receipt),
                order: ReceiptOrder { seq, at: now },
                place: 0,
                origin: Origin {
                    source: SourceName::parse("acme").expect("valid"),
                    provider: provider.id(),
                    event_type: parsed.event_type.clone(),
                    reported_at: change.occurred_at,
                    received_at: now,
                },
            };
            let webinar = webinars.entry(change.webinar.clone()).or_default();
            webinar.merge(&change, &provenance).expect("a change of the same platform");
        }
    }
    webinars
}

/// Loads the fixtures in `tests/fixtures/FOLDER`: files that end in neither `.expected` nor `.md`.
pub(super) fn load_fixtures(folder: &str) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut fixtures: Vec<Fixture> = std::fs::read_dir(folder)
        .expect("the folder of fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end != "expected" && end != "md"))
        .map(|path| Fixture { body: std::fs::read(&path).expect("a fixture"), path })
        .collect();
    fixtures.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!fixtures.is_empty(), "fixtures are missing");
    fixtures
}

/// Asserts that each fixture reads as its `.expected` file says. `UPDATE_FIXTURES=1` rewrites those files, for review
/// before a commit.
pub(super) fn assert_fixtures_parse_as_expected(folder: &str, provider: &dyn Provider) {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    for fixture in load_fixtures(folder) {
        let described = describe(&fixture.read(provider));
        let expected = fixture.path.with_extension("expected");
        if update {
            std::fs::write(&expected, &described).expect("an expectation can be written");
        }
        let expected = std::fs::read_to_string(expected).expect("each fixture has its expectation");
        assert_eq!(described, expected, "{}", fixture.path.display());
    }
}

/// Asserts that each scrubbed fixture holds none of these texts, reads the same, and is not changed by scrubbing again.
pub(super) fn assert_scrubbed_bodies_parse_the_same(
    folder: &str,
    provider: &dyn Provider,
    personal: &[&str],
) {
    let scrub = |body: &[u8]| provider.scrub(body);
    let mut found = 0;
    for fixture in load_fixtures(folder) {
        let stored = scrub(&fixture.body);
        let text = String::from_utf8(stored.clone()).expect("text stays text");
        let sent = String::from_utf8_lossy(&fixture.body).into_owned();
        for personal in personal {
            found += usize::from(sent.contains(personal));
            assert!(!text.contains(personal), "{}: {personal}", fixture.path.display());
        }
        let again = fixture.read_as(provider, &stored);
        assert_eq!(again, fixture.read(provider), "{}", fixture.path.display());
        assert_eq!(scrub(&stored), stored, "{}", fixture.path.display());
    }
    assert!(found >= personal.len(), "the fixtures hold nothing personal to mask");
}

/// Describes a reading for people: times as dates.
pub(super) fn describe(parsed: &ParsedPayload) -> String {
    fn dated(value: Value) -> Value {
        match value {
            Value::Number(number) => match number.as_i64().and_then(Millis::from_plausible_ms) {
                Some(time) => time.to_string().into(),
                None => Value::Number(number),
            },
            Value::Array(list) => list.into_iter().map(dated).collect(),
            Value::Object(map) => {
                let map = map.into_iter().filter(|(_, value)| !value.is_null());
                Value::Object(map.map(|(key, value)| (key, dated(value))).collect())
            }
            Value::Null | Value::Bool(_) | Value::String(_) => value,
        }
    }
    let content = match &parsed.content {
        PayloadContent::Changes { changes, bad_fields } => {
            let changes = dated(serde_json::to_value(changes).expect("changes can be written"));
            json!({ "changes": changes, "bad_fields": bad_fields })
        }
        PayloadContent::Ignored | PayloadContent::Excluded => json!("ignored"),
        PayloadContent::Unmappable(reason) => json!({ "unmappable": reason }),
        PayloadContent::Handshake(reply) => {
            let body: Value = serde_json::from_slice(&reply.body).expect("an answer is JSON");
            json!({ "handshake": { "status": reply.status, "body": body } })
        }
    };
    let mut described = json!({ "event_type": parsed.event_type, "content": content });
    if !parsed.fetch_requests.is_empty() {
        let wanted = parsed.fetch_requests.iter();
        described["fetch_requests"] =
            wanted.map(|wanted| format!("{} {:?}", wanted.webinar, wanted.condition)).collect();
    }
    if let Some(delivery) = &parsed.delivery_id {
        described["delivery_id"] = delivery.as_str().into();
    }
    format!("{described:#}\n")
}

/// Signs a body as a request to a source of this provider.
pub(super) fn sign(
    provider: &dyn Provider,
    body: &[u8],
    secret: &[u8],
    now: Millis,
) -> SignedRequest {
    let url = &"https://bridge.example/webhooks/source".parse().expect("a URL");
    provider.sign(UnsignedRequest { url, body, secret, now }).expect("it can be signed")
}

/// Verifies a request. Returns the index of the secret that verified it.
pub(super) fn verify(
    provider: &dyn Provider,
    signed: &SignedRequest,
    secrets: &[&[u8]],
    now: Millis,
) -> Result<usize, VerifyError> {
    let keys = Keys { secrets, tolerance: TOLERANCE, grace: Duration::ZERO };
    let headers: &dyn Headers = &signed.headers;
    let query = signed.url.query().unwrap_or_default();
    let verified = provider.verify(Inbound::new(headers, query, &signed.body, now), keys)?;
    assert_eq!(verified.body, signed.body, "the verified body differs from the sent one");
    Ok(verified.verified_by())
}

/// Asserts, for a platform that signs the raw body with a secret, that a signed request verifies and that a request
/// differing in one byte, one header or the secret does not.
pub(super) fn assert_only_signed_bytes_verify(
    provider: &dyn Provider,
    body: &[u8],
    secret: &[u8],
    now: Millis,
) {
    let right = sign(provider, body, secret, now);
    let verify_signed =
        |signed: &SignedRequest| verify(provider, signed, &[b"another", secret], now);
    assert_eq!(verify_signed(&right), Ok(1));
    assert_eq!(verify(provider, &right, &[secret], now), Ok(0));
    for secrets in [&[][..], &[b"".as_slice()], &[b"another"]] {
        assert!(verify(provider, &right, secrets, now).is_err(), "verified by {secrets:?}");
    }
    for at in 0..right.body.len() {
        for bit in [1, 0x20, 0x80] {
            let mut flipped = right.clone();
            flipped.body[at] ^= bit;
            assert!(verify_signed(&flipped).is_err(), "byte {at} of the body was flipped");
        }
    }
    for cut in 0..right.body.len() {
        let mut short = right.clone();
        short.body.truncate(cut);
        assert!(verify_signed(&short).is_err(), "the body was cut at {cut}");
    }
    let mut long = right.clone();
    long.body.push(b' ');
    assert!(verify_signed(&long).is_err(), "a byte was added");
    for place in 0..right.headers.len() {
        let (name, value) = &right.headers[place];
        if name.eq_ignore_ascii_case("content-type") {
            continue;
        }
        let mut without = right.clone();
        without.headers.remove(place);
        assert_eq!(verify_signed(&without), Err(VerifyError::Missing), "{name}");
        let mut twice = right.clone();
        twice.headers.push((name.clone(), value.clone()));
        assert_eq!(verify_signed(&twice), Err(VerifyError::Malformed), "{name} twice");
        let wrong = |value: String| {
            let mut wrong = right.clone();
            wrong.headers[place].1 = value;
            assert!(verify_signed(&wrong).is_err(), "{name} was another");
        };
        for cut in 0..value.len() {
            wrong(value.chars().take(cut).collect());
        }
        for at in 0..value.len() {
            let other = |c: char| if c == '0' { '1' } else { '0' };
            let flip = |(i, c): (usize, char)| if i == at { other(c) } else { c };
            wrong(value.chars().enumerate().map(flip).collect());
        }
        wrong(format!("{value}0"));
        wrong(format!(" {value}x"));
    }
}

/// Asserts, for a platform that signs the time, that requests outside the tolerance are refused.
pub(super) fn assert_timestamp_tolerance(
    provider: &dyn Provider,
    body: &[u8],
    secret: &[u8],
    now: Millis,
) {
    let right = sign(provider, body, secret, now);
    let at = |then: Millis| verify(provider, &right, &[secret], then);
    let second = Duration::from_secs(1);
    assert_eq!(at(now.plus(TOLERANCE).minus(second)), Ok(0));
    assert_eq!(at(now.minus(TOLERANCE).plus(second)), Ok(0));
    assert_eq!(at(now.plus(TOLERANCE).plus(second)), Err(VerifyError::Stale));
    assert_eq!(at(now.minus(TOLERANCE).minus(second)), Err(VerifyError::Future));
}

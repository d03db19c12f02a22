use proptest::prelude::*;

use super::*;
use crate::event::Millis;
use crate::providers::conformance::{self, TOLERANCE};
use crate::providers::{Provider, SignedRequest, VerifyError};

const SECRET: &[u8] = b"bitter-orange-17";
const CALLBACK: &str = "https://bridge.example/webhooks/source";
const NOW: Millis = Millis::new(1_789_207_200_000);
const BODY: &[u8] = b"domain=bbb.example.net&event=%5B%5D&timestamp=1789207200000";

/// A source with these keys, or its configuration errors.
fn configured(keys: &str) -> Result<Arc<dyn Provider>, String> {
    conformance::provider_from_config(&format!("provider = 'bigbluebutton'\nsecret = 'y'\n{keys}"))
}

fn provider(more: &str) -> Arc<dyn Provider> {
    configured(&format!("callback_url = '{CALLBACK}'\n{more}")).expect("a valid configuration")
}

/// Verifies a request with this query.
fn verify_query(provider: &dyn Provider, query: &str, body: &[u8]) -> Result<usize, VerifyError> {
    let url = format!("{CALLBACK}?{query}").parse().expect("a URL");
    let signed = SignedRequest { url, headers: Vec::new(), body: body.to_vec() };
    conformance::verify(provider, &signed, &[SECRET], NOW)
}

fn checksum_of(provider: &dyn Provider, body: &[u8]) -> String {
    let signed = conformance::sign(provider, body, SECRET, NOW);
    let query = signed.url.query().expect("the checksum is in the query");
    query.strip_prefix("checksum=").expect("the checksum alone").to_owned()
}

#[test]
fn each_fixture_reads_as_expected() {
    conformance::assert_fixtures_parse_as_expected("bigbluebutton", &BigBlueButton::default());
}

#[test]
fn scrubbed_fixtures_hold_no_personal_data_and_read_the_same() {
    let personal = ["kettle", "71347", "Ada", "example.org"];
    conformance::assert_scrubbed_bodies_parse_the_same(
        "bigbluebutton",
        &BigBlueButton::default(),
        &personal,
    );
}

/// Checksums of the scheme in the sender's source, computed without this code.
#[test]
fn independently_computed_checksums_verify() {
    let body = "domain=bbb.example.com&event=%5B%7B%22data%22%3A%7B%22type%22%3A%22event%22%2C%22id%22%3A%22\
                meeting-ended%22%7D%7D%5D&timestamp=1735689600000";
    for (algorithm, checksum) in [
        ("sha1", "193089d7d83addc0c7966c9ebfc4e21913aa855a"),
        ("sha256", "a61ce23ea9c2b1ffdafd5b10b5614031737c2aa16cf204bc870618d639ed2513"),
    ] {
        let url = "https://bridge.example.com/hooks/bbb";
        let keys = format!("callback_url = '{url}'\nchecksum = '{algorithm}'");
        let provider = configured(&keys).expect("a valid configuration");
        let url = format!("{url}?checksum={checksum}").parse().expect("a URL");
        let signed = SignedRequest { url, headers: Vec::new(), body: body.as_bytes().to_vec() };
        let now = Millis::new(1_735_689_600_500);
        let secrets: [&[u8]; 2] = [b"another", b"whsec_dGVzdC1zZWNyZXQ"];
        assert_eq!(conformance::verify(provider.as_ref(), &signed, &secrets, now), Ok(1));
    }
}

#[test]
fn only_requests_signed_in_time_verify() {
    for (algorithm, _) in HashAlgorithm::NAMED {
        let provider = provider(&format!("checksum = '{algorithm}'"));
        conformance::assert_only_signed_bytes_verify(provider.as_ref(), BODY, SECRET, NOW);
        conformance::assert_timestamp_tolerance(provider.as_ref(), BODY, SECRET, NOW);
    }
}

#[test]
fn missing_repeated_or_malformed_checksum_is_refused() {
    let provider = provider("");
    let provider = provider.as_ref();
    let right = checksum_of(provider, BODY);
    let verify = |query: String| verify_query(provider, &query, BODY);
    assert_eq!(verify(format!("checksum={right}")), Ok(0));
    assert_eq!(verify(format!("a=b&checksum={right}")), Ok(0));
    assert_eq!(verify(String::new()), Err(VerifyError::Missing));
    assert_eq!(verify(format!("Checksum={right}")), Err(VerifyError::Missing));
    for query in [
        format!("checksum={right}&checksum={right}"),
        format!("checksum={right}&check%73um=x"),
        "checksum=".to_owned(),
        format!("checksum={}", right.to_uppercase()),
        format!("checksum={right}0"),
        format!("checksum=+{right}"),
        format!("checksum={}", "g".repeat(40)),
        format!("checksum={}", "ab".repeat(32)),
    ] {
        assert_eq!(verify(query.clone()), Err(VerifyError::Malformed), "{query}");
    }
    for at in 0..right.len() {
        let other = |c: char| if c == '0' { '1' } else { '0' };
        let flipped: String =
            right.chars().enumerate().map(|(n, c)| if n == at { other(c) } else { c }).collect();
        assert_eq!(verify(format!("checksum={flipped}")), Err(VerifyError::Mismatch));
        let cut: String = right.chars().take(at).collect();
        assert_eq!(verify(format!("checksum={cut}")), Err(VerifyError::Malformed));
    }
}

/// The hash covers the configured URL, not the requested one.
#[test]
fn checksum_of_another_url_is_refused() {
    let here = provider("");
    for other in
        ["https://bridge.example/webhooks/source/", "http://bridge.example/webhooks/source"]
    {
        let there = configured(&format!("callback_url = '{other}'")).expect("valid");
        let signed = conformance::sign(there.as_ref(), BODY, SECRET, NOW);
        let result = conformance::verify(here.as_ref(), &signed, &[SECRET], NOW);
        assert_eq!(result, Err(VerifyError::Mismatch), "{other}");
    }
    let query = provider_of("https://bridge.example/webhooks/source?tenant=a");
    let signed = conformance::sign(query.as_ref(), BODY, SECRET, NOW);
    assert_eq!(conformance::verify(query.as_ref(), &signed, &[SECRET], NOW), Ok(0));
    let bare = BigBlueButton::default();
    let signed = conformance::sign(&bare, BODY, SECRET, NOW);
    assert_eq!(
        conformance::verify(here.as_ref(), &signed, &[SECRET], NOW),
        Ok(0),
        "without a callback, sign uses the request's URL"
    );
    assert_eq!(conformance::verify(&bare, &signed, &[SECRET], NOW), Err(VerifyError::Mismatch));
}

fn provider_of(callback: &str) -> Arc<dyn Provider> {
    configured(&format!("callback_url = '{callback}'")).expect("a valid configuration")
}

#[test]
fn body_without_one_valid_timestamp_is_refused() {
    use sha1::{Digest, Sha1};
    let provider = provider("");
    for body in [
        "",
        "event=%5B%5D",
        "event=%5B%5D&timestamp=",
        "timestamp=1789207200000&timestamp=1789207200000",
        "timestamp=1789207200",
        "timestamp=%2B1789207200000",
        "timestamp=1789207200000.5",
        "timestamp=99999999999999999999",
    ] {
        let checksum =
            hex::encode(Sha1::digest([CALLBACK.as_bytes(), body.as_bytes(), SECRET].concat()));
        let result =
            verify_query(provider.as_ref(), &format!("checksum={checksum}"), body.as_bytes());
        assert_eq!(result, Err(VerifyError::Malformed), "{body}");
    }
}

#[test]
fn bearer_secret_is_compared_with_all_secrets() {
    let provider = configured("auth = 'bearer'").expect("a valid configuration");
    assert!(!provider.scheme().signs_time());
    let right = conformance::sign(provider.as_ref(), BODY, SECRET, NOW);
    assert_eq!(right.url.query(), None);
    let verify = |header: Option<&str>| {
        let header = header.map(|value| ("authorization".to_owned(), value.to_owned()));
        let signed = SignedRequest { headers: header.into_iter().collect(), ..right.clone() };
        conformance::verify(provider.as_ref(), &signed, &[b"", b"another", SECRET], NOW)
    };
    assert_eq!(verify(Some("Bearer bitter-orange-17")), Ok(2));
    assert_eq!(verify(Some("Bearer another")), Ok(1));
    assert_eq!(verify(None), Err(VerifyError::Missing));
    for value in ["Bearer", "bitter-orange-17", "Basic bitter-orange-17", "bearer bitter-orange-17"]
    {
        assert_eq!(verify(Some(value)), Err(VerifyError::Malformed), "{value}");
    }
    for value in [
        "Bearer ",
        "Bearer bitter-orange-1",
        "Bearer  bitter-orange-17",
        "Bearer bitter-orange-17 ",
    ] {
        assert_eq!(verify(Some(value)), Err(VerifyError::Mismatch), "{value}");
    }
    let mut twice = right.clone();
    twice.headers.extend(right.headers.iter().filter(|(name, _)| name == "authorization").cloned());
    let twice = conformance::verify(provider.as_ref(), &twice, &[SECRET], NOW);
    assert_eq!(twice, Err(VerifyError::Malformed));
    let later = NOW.plus(TOLERANCE * 9);
    assert_eq!(conformance::verify(provider.as_ref(), &right, &[SECRET], later), Ok(0));
}

#[test]
fn invalid_source_keys_are_reported() {
    let wrong = |keys: &str| configured(keys).expect_err("the configuration is invalid");
    assert!(wrong("").contains("source.it.callback_url: is missing"));
    for url in ["bridge.example/x", "ftp://bridge.example/x", "https://bridge.example/x?checksum=1"]
    {
        let errors = wrong(&format!("callback_url = '{url}'"));
        assert!(errors.contains("source.it.callback_url: must be the URL"), "{errors}");
    }
    let errors = wrong(&format!("callback_url = '{CALLBACK}'\nchecksum = 'md5'"));
    assert!(errors.contains("source.it.checksum"), "{errors}");
    for excluded in [format!("callback_url = '{CALLBACK}'"), "checksum = 'sha1'".to_owned()] {
        let errors = wrong(&format!("auth = 'bearer'\n{excluded}"));
        assert!(errors.contains("source.it.auth: is \"bearer\""), "{errors}");
    }
}

#[test]
fn sign_sets_the_timestamp_and_keeps_other_fields() {
    let signed =
        conformance::sign(provider("").as_ref(), b"a=%22&timestamp=5&&b&timestamp=6", SECRET, NOW);
    assert_eq!(signed.body, b"a=%22&b&timestamp=1789207200000");
    let form =
        ("content-type".to_owned(), "application/x-www-form-urlencoded;charset=UTF-8".to_owned());
    assert_eq!(signed.headers, [form]);
}

#[test]
fn scrubbing_without_masked_keys_keeps_every_byte() {
    for body in
        [&b"event=%7b%22a%22:1%7D&x=%zz&%FF=\xff&=&&timestamp=1+2"[..], b"", b"&", b"=%", b"%2"]
    {
        assert_eq!((PLATFORM.scrub)(body), body);
    }
    let scrubbed = (PLATFORM.scrub)(b"a=1&event=%5B{%22user%22:{%22name%22:%22A&b=%22%7D");
    assert_eq!(scrubbed, b"a=1&event=%5B%7B%22user%22%3A%22***%22&b=%22%7D");
}

proptest! {
    #[test]
    fn any_body_is_read_and_scrubbed_idempotently(
        body in prop::collection::vec(
            prop::sample::select(vec![
                "event=", "&", "=", "%22", "%5B", "%7B", "user", "metadata", "%3A", ":", "%", "%2", "+",
                "%3Ftk%3D", "\"", "{", "}", "%7D", "%5D", "%5C", "\\", "é", "%FF", "moderator-pass",
            ]),
            0..24,
        )
    ) {
        let body = body.concat().into_bytes();
        let scrubbed = (PLATFORM.scrub)(&body);
        prop_assert_eq!((PLATFORM.scrub)(&scrubbed), scrubbed.clone());
        prop_assert!(scrubbed.len() <= 5 * body.len());
        let read = |body: &[u8]| BigBlueButton::default().read(&Inbound::from_body(body).scrub(&BigBlueButton::default()), &[]);
        prop_assert_eq!(read(&scrubbed), read(&body));
        let provider = provider("");
        let signed = conformance::sign(provider.as_ref(), &body, SECRET, NOW);
        prop_assert_eq!(conformance::verify(provider.as_ref(), &signed, &[SECRET], NOW), Ok(0));
    }
}

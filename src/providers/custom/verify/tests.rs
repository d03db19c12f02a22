use crate::event::Millis;
use crate::providers::conformance::{
    assert_only_signed_bytes_verify, assert_timestamp_tolerance, sign, verify,
};
use crate::providers::custom::tests::{MAP, config_error, provider, provider_from_config};
use crate::providers::{Inbound, Requirement, SignedRequest, VerifyError};

const NOW: Millis = Millis::new(1_800_000_000_000);
const BODY: &[u8] = br#"{"id":"e-1"}"#;

/// A source with this `verify` and its other required keys.
fn verify_config(keys: &str) -> String {
    format!("secret = \"s\"\nexternal_account_id = \"a\"\n{MAP}verify = {{ {keys} }}\n")
}

/// The documented signature formats as `verify` tables.
const FORMS: [&str; 9] = [
    // Luma
    r#"scheme = "hmac", header = "Webhook-Signature", header_format = "t={timestamp},v1={signature}", signed = "{timestamp}.{body}""#,
    // Livestorm
    r#"scheme = "hash", header = "x-livestorm-signature", header_format = "{timestamp},{signature}", signed = "{timestamp}{secret}{body}""#,
    // Livestorm, with the time in milliseconds, as in one of its vectors
    r#"scheme = "hash", header = "x-livestorm-signature", header_format = "{timestamp},{signature}", signed = "{timestamp}{secret}{body}", timestamp_unit = "ms""#,
    // Ticket Tailor
    r#"scheme = "hmac", header = "Tickettailor-Webhook-Signature", header_format = "t={timestamp},v1={signature}", signed = "{timestamp}{body}""#,
    // Riverside
    r#"scheme = "hmac", header = "x-riverside-signature", header_format = "v1={signature}", timestamp_header = "x-riverside-timestamp", signed = "{timestamp}:{body}""#,
    // WebinarGeek
    r#"scheme = "hmac", header = "Signature", prefix = "sha256=""#,
    // Tito
    r#"scheme = "hmac", header = "Tito-Signature", encoding = "base64""#,
    // BigBlueButton
    r#"scheme = "hash", query = "checksum", signed = "{url}{body}{secret}", algorithm = "sha1", url = "https://bridge.example.com/hooks/bbb""#,
    r#"scheme = "hash", query = "checksum", signed = "{url}{body}{secret}", algorithm = "sha256", url = "https://bridge.example.com/hooks/bbb""#,
];

const SECRET: &str = "whsec_dGVzdC1zZWNyZXQ";
const EVENT: &str = r#"{"type":"event.created","data":{"id":"evt-1"}}"#;
const FORM: &str = "domain=bbb.example.com&event=%5B%7B%22data%22%3A%7B%22type%22%3A%22event%22%2C%22id%22%3A\
                    %22meeting-ended%22%7D%7D%5D&timestamp=1735689600000";

/// Secret, body, headers and query.
type Vector = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

/// A request in each format, computed by others from the platforms' documentation.
const VECTORS: [Vector; 9] = [
    (
        SECRET,
        EVENT,
        &[
            ("Webhook-Id", "wh_evt_test_123"),
            ("Webhook-Timestamp", "1735689600"),
            (
                "Webhook-Signature",
                "t=1735689600,v1=77ab0a70b0d3ad82b8654bb877840eabed9af53b122fdfde79d4b1ba3c99d3d5",
            ),
        ],
        "",
    ),
    (
        SECRET,
        EVENT,
        &[(
            "x-livestorm-signature",
            "1735689600,a5469640878be2ce892f14303ab327ede92de8b5f6003c9eedf7e8cedc8073fa",
        )],
        "",
    ),
    (
        "signature",
        r#"{"uneClef":"valeur"}"#,
        &[(
            "x-livestorm-signature",
            "1752652800000,bcee8607a976dee318a3aa34fa780a4a9ce777b4feb4a6ab218c24c45ca7953e",
        )],
        "",
    ),
    (
        SECRET,
        EVENT,
        &[(
            "Tickettailor-Webhook-Signature",
            "t=1735689600,v1=468428a65a7f5ed22d674c7af257237c1f6d96ea193a4c8aa535b87acac927f5",
        )],
        "",
    ),
    (
        SECRET,
        EVENT,
        &[
            ("x-riverside-timestamp", "1735689600"),
            (
                "x-riverside-signature",
                "v1=5e847d28826fd3f80db25d9961be8b06b8e8e23e5efc83b97e2d7dd0bc56338b",
            ),
        ],
        "",
    ),
    (
        SECRET,
        EVENT,
        &[
            ("ID", "1"),
            (
                "Signature",
                "sha256=dfbb470c65954553bbbb40b614faf9b6b578fa4087b4ec8efa2035ec8cb0c546",
            ),
        ],
        "",
    ),
    (SECRET, EVENT, &[("Tito-Signature", "37tHDGWVRVO7u0C2FPr5trV4+kCHtOyO+iA17IywxUY=")], ""),
    (SECRET, FORM, &[], "checksum=193089d7d83addc0c7966c9ebfc4e21913aa855a"),
    (
        SECRET,
        FORM,
        &[],
        "checksum=a61ce23ea9c2b1ffdafd5b10b5614031737c2aa16cf204bc870618d639ed2513",
    ),
];

#[test]
fn documented_signatures_verify() {
    let signed_at = Millis::new(1_735_689_600_000);
    for (form, (secret, body, headers, query)) in FORMS.into_iter().zip(VECTORS) {
        let provider = provider(&verify_config(form));
        let mut url: url::Url = "https://bridge.example.com/hooks/bbb".parse().expect("a URL");
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sent = SignedRequest { url, headers: headers.collect(), body: body.into() };
        let now = if form.contains("\"ms\"") { Millis::new(1_752_652_800_000) } else { signed_at };
        assert_eq!(verify(provider.as_ref(), &sent, &[secret.as_bytes()], now), Ok(0), "{form}");
        let mut other = sent.clone();
        other.body.push(b' ');
        let refused = verify(provider.as_ref(), &other, &[secret.as_bytes()], now);
        assert_eq!(refused, Err(VerifyError::Mismatch), "{form}");
    }
    // Also without the prefix, as in WebinarGeek's documentation.
    let bare = "dfbb470c65954553bbbb40b614faf9b6b578fa4087b4ec8efa2035ec8cb0c546";
    let sent = SignedRequest {
        url: "https://bridge.example/webhooks/it".parse().expect("a URL"),
        headers: vec![("Signature".into(), bare.into())],
        body: EVENT.into(),
    };
    let geek = provider(&verify_config(FORMS[5]));
    assert_eq!(verify(geek.as_ref(), &sent, &[SECRET.as_bytes()], signed_at), Ok(0));
}

#[test]
fn only_requests_signed_by_the_scheme_verify() {
    let more = [
        r#"scheme = "hmac", header = "x-sign", signed = "{id}.{timestamp}.{body}", id_header = "x-id", timestamp_header = "x-time", algorithm = "sha512", encoding = "base64""#,
        r#"scheme = "hmac", header = "x-sign", signed = "v0:{timestamp}:{body}", timestamp_header = "x-time", prefix = "v0=", algorithm = "sha384""#,
        r#"scheme = "hmac", header = "x-sign", algorithm = "sha1""#,
    ];
    for form in FORMS.into_iter().chain(more) {
        let provider = provider(&verify_config(form));
        assert_only_signed_bytes_verify(provider.as_ref(), BODY, b"a secret", NOW);
        let timed = form.contains("{timestamp}");
        assert_eq!(provider.scheme().signs_time(), timed, "{form}");
        if timed {
            assert_timestamp_tolerance(provider.as_ref(), BODY, b"a secret", NOW);
        }
    }
    let standard = provider(&verify_config(r#"scheme = "standard_webhooks""#));
    let secret = b"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    assert_only_signed_bytes_verify(standard.as_ref(), BODY, secret, NOW);
    assert_timestamp_tolerance(standard.as_ref(), BODY, secret, NOW);
    assert!(standard.scheme().signs_time());
    assert!(
        standard.scheme().check_secret(b"whsec_?").is_some()
            && standard.scheme().check_secret(secret).is_none()
    );
}

/// A sender that saw one request can append to the data hashed after a secret, and compute the new hash (length
/// extension). The appended part begins with the hash's padding, which no text holds.
#[test]
fn body_after_length_extension_is_refused() {
    let form = provider(&format!("format = \"form\"\n{}", verify_config(FORMS[1])));
    let padded = b"id=e-1\x80\0\0\0\0\0\0\x02\x28&id=e-2";
    for (body, expected) in [(&b"id=e-1"[..], Ok(0)), (padded, Err(VerifyError::Malformed))] {
        let sent = sign(form.as_ref(), body, b"a secret", NOW);
        assert_eq!(verify(form.as_ref(), &sent, &[b"a secret"], NOW), expected);
    }
}

/// A sender that rotates its keys signs with each of them.
#[test]
fn header_with_several_signatures_verifies_by_any() {
    let provider = provider(&verify_config(FORMS[0]));
    let right = sign(provider.as_ref(), BODY, b"s", NOW);
    let verify_value = |value: &str| {
        let mut sent = right.clone();
        sent.headers[0].1 = value.to_owned();
        verify(provider.as_ref(), &sent, &[b"s"], NOW)
    };
    let value = right.headers[0].1.as_str();
    let (time, own) = value.split_once(',').expect("two entries");
    let zeros = format!("v1={}", "0".repeat(64));
    assert_eq!(verify_value(&format!("{own}, v0=older ,{zeros},{time}")), Ok(0));
    assert_eq!(verify_value(&format!("{time},{zeros}")), Err(VerifyError::Mismatch));
    assert_eq!(verify_value(&format!("{time},{own},{time}")), Err(VerifyError::Malformed));
    for none in [time, own, "", "v1=", &format!("{time},v1=abc")] {
        assert_eq!(verify_value(none), Err(VerifyError::Malformed), "{none}");
    }
    // Hexadecimal digits may have either case.
    assert_eq!(
        verify_value(&format!("{time},v1={}", own.replace("v1=", "").to_uppercase())),
        Ok(0)
    );
}

#[test]
fn signed_id_is_the_delivery_id() {
    let keys = r#"scheme = "hmac", header = "x-sign", signed = "{id}.{body}", id_header = "X-Id""#;
    let provider = provider(&verify_config(keys));
    assert_eq!(*provider.read_headers(), ["x-id"]);
    let right = sign(provider.as_ref(), BODY, b"s", NOW);
    let read = |headers: &Vec<(String, String)>| {
        provider
            .read(&Inbound::from_stored(headers, BODY, NOW).scrub(provider.as_ref()), &[])
            .delivery_id
    };
    assert_eq!(read(&right.headers), Some("delivery-91efc6eb5ac3f6e0".to_owned()));
    let mut empty = right.clone();
    empty.headers[1].1.clear();
    assert_eq!(verify(provider.as_ref(), &empty, &[b"s"], NOW), Err(VerifyError::Malformed));
    assert_eq!(read(&Vec::new()), None);

    let standard = super::super::tests::provider(&verify_config(r#"scheme = "standard_webhooks""#));
    assert_eq!(*standard.read_headers(), ["webhook-id", "svix-id"]);
    let right = sign(standard.as_ref(), BODY, b"MDEyMw==", NOW);
    let parsed = standard
        .read(&Inbound::from_stored(&right.headers, BODY, NOW).scrub(standard.as_ref()), &[]);
    assert_eq!(parsed.delivery_id, Some("msg_91efc6eb5ac3f6e0".to_owned()));
}

/// M32: what tells deliveries of equal bodies apart.
#[test]
fn time_signed_beside_the_body_tells_deliveries_apart() {
    let secret = b"thirty-two characters of a secret";
    let signed_time = |keys: &str| {
        let provider = provider(&verify_config(keys));
        let sent = sign(provider.as_ref(), BODY, secret, NOW);
        let request = Inbound::from_stored(&sent.headers, &sent.body, NOW);
        provider.scheme().signed_time(&request).map(|time| String::from_utf8(time).expect("text"))
    };
    let second = NOW.get() / 1_000;
    let timed = r#"signed = "{timestamp}.{body}""#;
    for (keys, expected) in [
        (format!(r#"scheme = "hmac", header = "x", timestamp_header = "x-t", {timed}"#), second),
        (
            format!(
                r#"scheme = "hmac", header = "x", header_format = "t={{timestamp}},v={{signature}}", {timed}"#
            ),
            second,
        ),
        (
            format!(
                r#"scheme = "hmac", header = "x", timestamp_header = "x-t", timestamp_unit = "ms", {timed}"#
            ),
            NOW.get(),
        ),
        (r#"scheme = "jwt", algorithms = ["HS256"], body_claim = "b""#.to_owned(), second),
        (r#"scheme = "jwt", algorithms = ["HS256"], token = "body""#.to_owned(), second),
    ] {
        assert_eq!(signed_time(&keys), Some(expected.to_string()), "{keys}");
    }
    for keys in [
        r#"scheme = "hmac", header = "x""#,
        r#"scheme = "jwt", algorithms = ["HS256"]"#,
        r#"scheme = "basic", username = "hooks""#,
        r#"scheme = "bearer""#,
    ] {
        assert_eq!(signed_time(keys), None, "{keys}");
    }
}

#[test]
fn basic_scheme_compares_user_name_and_password() {
    let provider = provider(&verify_config(r#"scheme = "basic", username = "hooks""#));
    let right = sign(provider.as_ref(), BODY, b"pass:word", NOW);
    assert_eq!(
        right.headers,
        [("authorization".to_owned(), "Basic aG9va3M6cGFzczp3b3Jk".to_owned())]
    );
    let verify_value = |value: &str| {
        let mut sent = right.clone();
        sent.headers[0].1 = value.to_owned();
        verify(provider.as_ref(), &sent, &[b"other", b"pass:word"], NOW)
    };
    assert_eq!(verify_value(&right.headers[0].1), Ok(1));
    assert_eq!(verify_value("basic aG9va3M6cGFzczp3b3Jk"), Ok(1));
    for wrong in ["Basic aG9va3M6", "Basic aG9va3M6cGFzcw==", "Basic "] {
        assert_eq!(verify_value(wrong), Err(VerifyError::Mismatch), "{wrong}");
    }
    for none in ["", "Basic", "Basic aG9va3M6cGFzczp3b3J", "Bearer aG9va3M6cGFzczp3b3Jk"] {
        assert_eq!(verify_value(none), Err(VerifyError::Malformed), "{none}");
    }
    let mut twice = right.clone();
    twice.headers.extend(right.headers.clone());
    assert_eq!(
        verify(provider.as_ref(), &twice, &[b"pass:word"], NOW),
        Err(VerifyError::Malformed)
    );
    assert_eq!(verify(provider.as_ref(), &right, &[b""], NOW), Err(VerifyError::Mismatch));
}

#[test]
fn bearer_scheme_compares_the_header() {
    let usual = provider(&verify_config(r#"scheme = "bearer""#));
    let right = sign(usual.as_ref(), BODY, b"s", NOW);
    assert_eq!(right.headers, [("authorization".to_owned(), "Bearer s".to_owned())]);
    assert_eq!(verify(usual.as_ref(), &right, &[b"r", b"s"], NOW), Ok(1));
    let own = provider(&verify_config(r#"scheme = "bearer", header = "X-Key""#));
    let right = sign(own.as_ref(), BODY, b"s", NOW);
    assert_eq!(right.headers, [("x-key".to_owned(), "s".to_owned())]);
    assert_eq!(verify(own.as_ref(), &right, &[b"s"], NOW), Ok(0));
    assert_eq!(verify(own.as_ref(), &right, &[b"", b"t", b"ss"], NOW), Err(VerifyError::Mismatch));
    let prefixed =
        provider(&verify_config(r#"scheme = "bearer", header = "x-key", prefix = "Key ""#));
    assert_eq!(verify(prefixed.as_ref(), &right, &[b"s"], NOW), Err(VerifyError::Malformed));
}

#[test]
fn path_token_scheme_verifies_any_request() {
    let provider = provider(&format!(
        "path_token = \"a-token-of-twelve\"\nexternal_account_id = \"a\"\n{MAP}verify = {{ scheme = \"path_token\" }}\n"
    ));
    let sent = sign(provider.as_ref(), BODY, b"", NOW);
    assert_eq!(sent.headers, []);
    assert_eq!(verify(provider.as_ref(), &sent, &[], NOW), Ok(0));
    let scheme = provider.scheme();
    assert_eq!(
        (scheme.secret(), scheme.path_token()),
        (Requirement::Unused, Requirement::Required)
    );
}

#[test]
fn jwt_scheme_verifies_token_in_header_or_body() {
    let beside = provider(&verify_config(
        r#"scheme = "jwt", algorithms = ["HS256", "HS512"], issuer = "me", body_claim = "body_sha256""#,
    ));
    let secret = b"thirty-two characters of a secret";
    assert_only_signed_bytes_verify(beside.as_ref(), BODY, secret, NOW);
    assert!(!beside.scheme().signs_time());

    // Without a claim for the body, the token proves the sender and not the content.
    let bare =
        provider(&verify_config(r#"scheme = "jwt", algorithms = ["HS256"], header = "x-jwt""#));
    let mut sent = sign(bare.as_ref(), BODY, secret, NOW);
    sent.body.push(b' ');
    assert_eq!(verify(bare.as_ref(), &sent, &[secret], NOW), Ok(0));
    assert_eq!(verify(beside.as_ref(), &sent, &[secret], NOW), Err(VerifyError::Missing));

    let whole =
        provider(&verify_config(r#"scheme = "jwt", algorithms = ["HS256"], token = "body""#));
    let sent = sign(whole.as_ref(), BODY, secret, NOW);
    assert_only_signed_bytes_verify(whole.as_ref(), BODY, secret, NOW);
    let read = |body: &[u8]| {
        crate::providers::conformance::describe(
            &whole.read(&Inbound::from_body(body).scrub(whole.as_ref()), &[]),
        )
    };
    assert!(read(&sent.body).contains("e-1"));
    assert_eq!(read(&whole.scrub(&sent.body)), read(&sent.body));
    let kept = String::from_utf8(whole.scrub(&sent.body)).expect("text");
    assert!(kept.contains(r#""id":"e-1""#), "{kept}");
}

/// The published key set takes the place of the secret. Without it, requests are refused for an unknown key.
#[test]
fn jwt_scheme_verifies_with_published_keys() {
    let lines = format!(
        "external_account_id = \"a\"\n{MAP}\
         verify = {{ scheme = \"jwt\", algorithms = [\"ES256\"], jwks_url = \"https://id.example/keys\" }}\n"
    );
    let provider = provider(&lines);
    assert_eq!(provider.scheme().secret(), Requirement::Unused);
    let url = provider.scheme().published_keys().expect("the URL is configured");
    assert_eq!(url.as_str(), "https://id.example/keys");
    let private = include_bytes!("../../../../tests/fixtures/jwt/ec.private.pem");
    let sent = sign(provider.as_ref(), BODY, private, NOW);
    let keys = include_bytes!("../../../../tests/fixtures/jwt/ec.jwks.json");
    assert_eq!(verify(provider.as_ref(), &sent, &[keys], NOW), Ok(0));
    for none in [&[][..], &[&b"{}"[..]], &[&br#"{"keys":[]}"#[..]]] {
        assert_eq!(verify(provider.as_ref(), &sent, none, NOW), Err(VerifyError::UnknownKey));
    }
}

#[test]
fn invalid_verify_table_is_reported_with_its_key() {
    for (keys, what) in [
        ("", "source.it.verify.scheme: is missing"),
        (r#"scheme = "magic""#, "source.it.verify.scheme: must be \"hmac\" or"),
        (r#"scheme = "hmac""#, "source.it.verify.header: is missing"),
        (r#"scheme = "hmac", header = "a b""#, "source.it.verify.header: is not a header name"),
        (
            r#"scheme = "hmac", header = "a", encoding = "hax""#,
            "source.it.verify.encoding: must be",
        ),
        (
            r#"scheme = "hmac", header = "a", algorithm = "md5""#,
            "source.it.verify.algorithm: must be",
        ),
        (
            r#"scheme = "hmac", header = "a", signed = "{time}""#,
            "source.it.verify.signed: has {time}",
        ),
        (r#"scheme = "hmac", header = "a", signed = "{timestamp}{body}""#, "Set timestamp_header"),
        (r#"scheme = "hmac", header = "a", timestamp_header = "t""#, "must hold {timestamp}"),
        (r#"scheme = "hmac", header = "a", id_header = "t""#, "must hold {id}"),
        (r#"scheme = "hmac", header = "a", signed = "{secret}{body}""#, "Set scheme = \"hash\""),
        (r#"scheme = "hash", header = "a""#, "source.it.verify.signed: must hold {secret}"),
        (
            r#"scheme = "hash", header = "a", signed = "{secret}{url}{body}""#,
            "holds {url}. Set url",
        ),
        (r#"scheme = "hmac", header = "a", header_format = "v1""#, "header_format: must be like"),
        (
            r#"scheme = "hmac", header = "a", header_format = "{timestamp},v1={signature}""#,
            "must be like",
        ),
        (
            r#"scheme = "hmac", header = "a", header_format = "{signature},{timestamp}""#,
            "must be like",
        ),
        (
            r#"scheme = "hmac", header = "a", header_format = "v={signature},v={signature}""#,
            "must be like",
        ),
        (
            r#"scheme = "hmac", header = "a", prefix = "p", header_format = "v={signature}""#,
            "excludes header_format",
        ),
        (
            r#"scheme = "hmac", header = "a", query = "b""#,
            "source.it.verify.header: excludes query",
        ),
        (
            r#"scheme = "hmac", header = "a", timestamp_header = "t", header_format = "t={timestamp},v={signature}", signed = "{timestamp}{body}""#,
            "timestamp_header: excludes",
        ),
        (r#"scheme = "basic""#, "source.it.verify.username: is missing"),
        (r#"scheme = "basic", username = "a:b""#, "must not hold a colon"),
        (
            r#"scheme = "basic", username = "a", header = "b""#,
            "source.it.verify.header: is not a key",
        ),
        (r#"scheme = "jwt""#, "source.it.verify.algorithms: is missing"),
        (r#"scheme = "jwt", algorithms = ["none"]"#, "algorithms: must be among HS256"),
        (r#"scheme = "jwt", algorithms = ["HS256", "RS256"]"#, "must be of one family"),
        (
            r#"scheme = "jwt", algorithms = ["HS256"], jwks_url = "https://x.example""#,
            "public keys",
        ),
        (
            r#"scheme = "jwt", algorithms = ["RS256"], jwks_url = "http://x.example""#,
            "must begin with https",
        ),
        (
            r#"scheme = "jwt", algorithms = ["RS256"], token = "body", body_claim = "b""#,
            "has no meaning",
        ),
    ] {
        let errors = config_error(&verify_config(keys));
        assert!(errors.contains(what), "{keys}: {errors}");
        assert!(provider_from_config(&verify_config(keys)).is_err());
    }
    let form = verify_config(r#"scheme = "jwt", algorithms = ["HS256"], token = "body""#);
    let errors = config_error(&format!("format = \"form\"\n{form}"));
    assert!(errors.contains("source.it.format: has no meaning"), "{errors}");
}

use std::path::Path;

use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000_000;
/// A time at which the standard's examples are still valid.
const THEN: i64 = 1_300_819_000_000;

fn key(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jwt").join(name);
    std::fs::read(path).expect("the key is there")
}

fn rules(algorithm: Algorithm) -> TokenRules {
    TokenRules { algorithms: vec![algorithm], issuer: None, audience: None }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

/// A token with any claims and header, which [`mint`] would refuse.
fn raw(head: &Value, claims: &impl ToString) -> Vec<u8> {
    let part = |json: &dyn ToString| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(head), part(claims));
    let key = EncodingKey::from_secret(b"shared");
    let code = crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("it can sign");
    format!("{signed}.{code}").into_bytes()
}

#[allow(clippy::needless_pass_by_value, reason = "callers build it in place")]
fn shared(claims: Value) -> Result<VerifiedToken, JwtError> {
    shared_by(&rules(Algorithm::HS256), &claims)
}

fn shared_by(rules: &TokenRules, claims: &Value) -> Result<VerifiedToken, JwtError> {
    let token = raw(&json!({ "alg": "HS256" }), claims);
    verify(&token, TokenKeys::Given(&[b"other", b"shared"]), rules, NOW)
}

/// RFC 7515, appendix A.1, A.2 and A.3.
#[test]
fn verify_the_standards_examples_are_verified() {
    let claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let shared =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let shared = URL_SAFE_NO_PAD.decode(shared).expect("base64");
    let hs256 = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{claims}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let token = verify(
        hs256.as_bytes(),
        TokenKeys::Given(&[b"other", &shared]),
        &rules(Algorithm::HS256),
        THEN,
    );
    let token = token.expect("it is verified");
    assert_eq!(token.key, 1);
    assert!(token.claims.contains("http://example.com/is_root"));

    let set = json!({ "keys": [
        { "kty": "future", "kid": "1" },
        {
            "kty": "RSA", "e": "AQAB",
            "n": concat!(
                "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL",
                "-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e",
                "-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9",
                "_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
            ),
        },
        {
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
    ] });
    let set = set.to_string();
    let rs256 = format!(
        "eyJhbGciOiJSUzI1NiJ9.{claims}.{}",
        concat!(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9u",
            "JdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_e",
            "SN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5",
            "AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        )
    );
    let es256 = format!(
        "eyJhbGciOiJFUzI1NiJ9.{claims}.{}",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    for (token, algorithm) in [(rs256, Algorithm::RS256), (es256, Algorithm::ES256)] {
        let ring = TokenKeys::Published(set.as_bytes());
        let verified = verify(token.as_bytes(), ring, &rules(algorithm), THEN);
        assert_eq!(verified.map(|token| token.key), Ok(0), "{algorithm:?}");
        let late = verify(token.as_bytes(), ring, &rules(algorithm), NOW);
        assert_eq!(late, Err(JwtError::Stale));
    }
}

#[test]
fn verify_minted_token_needs_its_own_key() {
    for (algorithm, name) in [
        (Algorithm::RS256, "rsa"),
        (Algorithm::PS256, "rsa"),
        (Algorithm::ES256, "ec"),
        (Algorithm::EdDSA, "ed"),
    ] {
        let private = key(&format!("{name}.private.pem"));
        let public = key(&format!("{name}.public.pem"));
        let rules = rules(algorithm);
        let claims = object(&json!({ "a": 1 }));
        let token = mint(claims, &private, &rules, NOW).expect("it can sign");
        let by = |keys: &[&[u8]]| verify(token.as_bytes(), TokenKeys::Given(keys), &rules, NOW);
        assert_eq!(by(&[b"no key", &public]).map(|token| token.key), Ok(1));
        assert_eq!(by(&[b"no key", b""]), Err(JwtError::Mismatch));
        assert_eq!(check_key(algorithm, &public), None);
        assert!(check_key(algorithm, &private).is_some_and(|what| what.contains("no public key")));
        assert!(check_key(algorithm, b"no key").is_some_and(|what| what.contains("PEM")));
        for at in 0..token.len() {
            let mut flipped = token.clone().into_bytes();
            flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
            let verified = verify(&flipped, TokenKeys::Given(&[&public]), &rules, NOW);
            assert!(verified.is_err(), "{algorithm:?}: byte {at} was changed");
        }
        assert!(mint(Map::new(), b"no key", &rules, NOW).is_err());
    }
}

/// The format's known attacks: no algorithm, and a public key that is used as a shared one.
#[test]
fn verify_other_algorithm_than_pinned_is_refused() {
    let public = key("rsa.public.pem");
    let keys: &[&[u8]] = &[&public];
    let none = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        URL_SAFE_NO_PAD.encode("{}")
    );
    let confused = mint(Map::new(), &public, &rules(Algorithm::HS256), NOW).expect("it can sign");
    for token in [none, confused.clone()] {
        let verified =
            verify(token.as_bytes(), TokenKeys::Given(keys), &rules(Algorithm::RS256), NOW);
        assert_eq!(verified, Err(JwtError::Mismatch), "{token}");
    }
    let set = json!({ "keys": [{ "kty": "oct", "kid": "1", "k": "c2hhcmVk" }] }).to_string();
    let token = raw(&json!({ "alg": "HS256", "kid": "1" }), &json!({ "exp": 1_900_000_000 }));
    let published = TokenKeys::Published(set.as_bytes());
    let verified = verify(&token, published, &rules(Algorithm::HS256), NOW);
    assert_eq!(verified, Err(JwtError::UnknownKey));
    assert!(same_family(&[Algorithm::RS256, Algorithm::PS512]) && same_family(&[]));
    assert!(!same_family(&[Algorithm::RS256, Algorithm::HS256]));
    assert!(is_shared(Algorithm::HS512) && !is_shared(Algorithm::EdDSA));
    assert!(check_key(Algorithm::HS256, &public).is_some_and(|what| what.contains("PEM")));
    let confused =
        verify(confused.as_bytes(), TokenKeys::Given(keys), &rules(Algorithm::HS256), NOW);
    assert_eq!(confused, Err(JwtError::Mismatch), "anyone has a public key");
    assert_eq!(parse_algorithm("none"), None);
}

#[test]
fn verify_published_keys_are_found_by_id() {
    let private = EncodingKey::from_ec_pem(&key("ec.private.pem")).expect("a key");
    let jwk = |kid: &str| {
        let jwk = Jwk::from_encoding_key(&private, Algorithm::ES256).expect("a key");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk["kid"] = kid.into();
        jwk
    };
    let token = |kid: Option<&str>| {
        let head = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&head, &json!({ "exp": 1_900_000_000 }), &private).expect("it signs")
    };
    let verified = |kid: Option<&str>, keys: &[Value]| {
        let set = json!({ "keys": keys }).to_string();
        let ring = TokenKeys::Published(set.as_bytes());
        verify(token(kid).as_bytes(), ring, &rules(Algorithm::ES256), NOW).map(|token| token.key)
    };
    let other = {
        let other = DecodingKey::from_ed_pem(&key("ed.public.pem")).expect("a key");
        let other = Jwk::from_decoding_key(&other, Some(Algorithm::EdDSA)).expect("a key");
        serde_json::to_value(other).expect("JSON")
    };
    assert_eq!(verified(Some("b"), &[jwk("a"), jwk("b")]), Ok(0));
    assert_eq!(verified(Some("c"), &[jwk("a"), jwk("b")]), Err(JwtError::UnknownKey));
    assert_eq!(verified(None, &[jwk("a"), other.clone()]), Ok(0));
    let mut other_point = jwk("a");
    other_point["x"] = other_point["y"].clone();
    assert_eq!(verified(None, &[other_point.clone(), jwk("b")]), Ok(0));
    assert_eq!(verified(None, &[other_point.clone()]), Err(JwtError::UnknownKey));
    assert_eq!(verified(None, &[other, json!(1), json!({})]), Err(JwtError::UnknownKey));
    let mut for_secrets = jwk("a");
    for_secrets["use"] = "enc".into();
    assert_eq!(verified(Some("a"), &[for_secrets]), Err(JwtError::UnknownKey));
    assert_eq!(verified(Some("a"), &[other_point.clone()]), Err(JwtError::Mismatch));
    assert_eq!(verified(Some("a"), &[other_point, jwk("a")]), Ok(0), "it may be of another curve");
    for set in [&b""[..], b"[]", br#"{"keys":1}"#] {
        let ring = TokenKeys::Published(set);
        let token = token(Some("a"));
        let verified = verify(token.as_bytes(), ring, &rules(Algorithm::ES256), NOW);
        assert_eq!(verified, Err(JwtError::UnknownKey));
    }
}

#[test]
fn verify_outside_the_lifetime_is_refused() {
    let second = NOW / 1_000;
    let exp = |exp: Value| shared(json!({ "exp": exp })).map(|token| token.key);
    assert_eq!(exp(json!(second)), Ok(1));
    assert_eq!(exp(json!(second - 60)), Ok(1), "clocks differ");
    assert_eq!(exp(json!(second - 61)), Err(JwtError::Stale));
    assert_eq!(exp(json!(1_800_000_000.75)), Ok(1));
    for none in [json!(null), json!("2999-01-01"), json!(1e300), json!(1.5e300), json!(i64::MAX)] {
        assert_eq!(exp(none.clone()), Err(JwtError::Malformed), "{none}");
    }
    // The digits before the exponent are another time.
    for claims in [r#"{"exp":1900000000.5e-3}"#, r#"{"exp":1900000000,"nbf":1.9e9}"#] {
        let claims = RawValue::from_string(claims.to_owned()).expect("JSON");
        let token = raw(&json!({ "alg": "HS256" }), &claims);
        let rules = rules(Algorithm::HS256);
        let verified = verify(&token, TokenKeys::Given(&[b"shared"]), &rules, NOW);
        assert_eq!(verified, Err(JwtError::Malformed), "{claims}");
    }
    assert_eq!(shared(json!({})), Err(JwtError::Malformed), "a token must expire");
    for claim in ["nbf", "iat"] {
        let at =
            |at: i64| shared(json!({ "exp": second + 3_600, claim: at })).map(|token| token.key);
        assert_eq!(at(second + 60), Ok(1));
        assert_eq!(at(second + 61), Err(JwtError::Future));
    }
}

#[test]
fn verify_required_issuer_and_audience_are_compared() {
    let rules = TokenRules {
        issuer: Some("me".into()),
        audience: Some("you".into()),
        ..rules(Algorithm::HS256)
    };
    let verify_claims = |iss: Value, aud: Value| {
        let claims = json!({ "exp": 1_900_000_000, "iss": iss, "aud": aud });
        shared_by(&rules, &claims).map(|token| token.key)
    };
    assert_eq!(verify_claims(json!("me"), json!("you")), Ok(1));
    assert_eq!(verify_claims(json!("me"), json!(["they", "you"])), Ok(1));
    for (iss, aud) in [
        (json!("me"), json!("they")),
        (json!("me"), json!([])),
        (json!("me"), json!(null)),
        (json!("I"), json!("you")),
        (json!(["me"]), json!("you")),
        (json!(null), json!("you")),
    ] {
        assert_eq!(verify_claims(iss, aud), Err(JwtError::Mismatch));
    }
    let token = mint(Map::new(), b"shared", &rules, NOW).expect("it can sign");
    let verified = verify(token.as_bytes(), TokenKeys::Given(&[b"shared"]), &rules, NOW);
    assert!(verified.is_ok(), "{verified:?}");
}

#[test]
fn verify_no_token_is_malformed() {
    let exp = json!({ "exp": 1_900_000_000 });
    let good = String::from_utf8(raw(&json!({ "alg": "HS256" }), &exp)).expect("text");
    let critical = raw(&json!({ "alg": "HS256", "crit": ["b64"], "b64": false }), &exp);
    let list = raw(&json!({ "alg": "HS256" }), &json!([1]));
    let texts = [
        String::new(),
        "..".into(),
        "a.b".into(),
        format!("{good}.x"),
        good.replacen('.', "=.", 1),
        String::from_utf8(critical).expect("text"),
        String::from_utf8(list).expect("text"),
    ];
    for token in texts {
        let ring = TokenKeys::Given(&[b"shared"]);
        let verified = verify(token.as_bytes(), ring, &rules(Algorithm::HS256), NOW);
        assert_eq!(verified, Err(JwtError::Malformed), "{token}");
    }
    assert_eq!(decode_claims(good.as_bytes()), Some(exp.to_string().into_bytes()));
    for none in ["", "{}", "a.b.c", "e30.e30", "e30.e30.x.y", "e30.W10.x"] {
        assert_eq!(decode_claims(none.as_bytes()), None, "{none}");
    }
    assert_eq!(decode_claims(b"e30.e30."), Some(b"{}".to_vec()));
}

use super::*;

fn jane() -> EmailAddress {
    EmailAddress::parse("Jane.Doe@Example.com").expect("valid")
}

fn erased(body: &str) -> String {
    let without = erase(body.as_bytes(), &jane()).expect("it contains the address");
    assert_eq!(erase(&without, &jane()), None, "once is enough");
    String::from_utf8(without).expect("text stays text")
}

#[test]
fn address_in_every_spelling_is_found() {
    let spellings = [
        "jane.doe@example.com",
        "JANE.DOE@EXAMPLE.COM",
        r"jane.doe\u0040example.com",
        r"\u006aane\u002Edoe@example.com",
        "jane.doe%40example.com",
        "jane%2edoe%2540example%2Ecom",
        "jane.doe&#64;example.com",
        "jane.doe&#x40;example.com",
        "jane.doe&commat;example.com",
        r"jane.doe%40exam\u0070le.com",
        "<jane.doe@example.com>",
        "Write to jane.doe@example.com.",
        "%22jane.doe%40example.com%22",
        r"first line\njane.doe@example.com",
        "mailto:jane.doe@example.com?subject=hi",
    ];
    for spelling in spellings {
        let body = format!(r#"{{"topic":"x","who":"{spelling}","n":1}}"#);
        let without = erased(&body);
        assert!(!without.to_lowercase().contains("jane"), "{spelling}: {without}");
        let value: serde_json::Value = serde_json::from_str(&without).expect("still JSON");
        assert_eq!(value["n"], 1);
        let plain = erased(&format!("no JSON: {spelling} and more"));
        assert!(plain.starts_with("no JSON: ") && plain.ends_with(" and more"), "{plain}");
        assert!(!plain.to_lowercase().contains("jane"), "{plain}");
    }
}

#[test]
fn longer_address_is_not_found() {
    for other in [
        "mary-jane.doe@example.com",
        "x.jane.doe@example.com",
        "jane.doe@example.com.au",
        "jane.doe@example.community",
        "jane.doe+news@example.com",
        "jane.doe@example.org",
    ] {
        let body = format!(r#"{{"email":"{other}","name":"Other"}}"#);
        assert_eq!(erase(body.as_bytes(), &jane()), None, "{other}");
    }
}

#[test]
fn personal_members_beside_the_address_are_erased() {
    let body = r#"{ "account_id": "acct-1", "registrant": {"id": "r-7", "first_name":"Jane", "last_name":"Doe",
        "email":"jane.doe@example.com", "phone": 4912345, "status":"approved", "join_url":"https://x/w?tk=1"},
        "other": {"email":"joe@example.com","name":"Joe"} }"#;
    let expected = r#"{"account_id":"acct-1","registrant":{"id":"[erased]","first_name":"[erased]","last_name":"[erased]","email":"[erased]","phone":"[erased]","status":"approved","join_url":"[erased]"},"other":{"email":"joe@example.com","name":"Joe"}}"#;
    assert_eq!(erased(body), expected);
    // Others of the same list stay.
    let list = r#"{"people":[{"email":"jane.doe@example.com","name":"Jane"},{"email":"joe@example.com","name":"Joe"}]}"#;
    let expected = r#"{"people":[{"email":"[erased]","name":"[erased]"},{"email":"joe@example.com","name":"Joe"}]}"#;
    assert_eq!(erased(list), expected);
    // Also where the address is one of several, or the string holds the name, too.
    assert_eq!(
        erased(r#"{"emails":["a@b.c","jane.doe@example.com"],"name":"Jane"}"#),
        r#"{"emails":["a@b.c","[erased]"],"name":"[erased]"}"#
    );
    assert_eq!(erased(r#"{"from":"Jane Doe <jane.doe@example.com>"}"#), r#"{"from":"[erased]"}"#);
}

#[test]
fn event_texts_lose_only_the_address() {
    let body = r#"{"object":{"id":86001,"uuid":"u==","topic":"Ask jane.doe@example.com","start_time":"2027-01-01T10:00:00Z","host_id":"h1","host_email":"jane.doe@example.com","duration":60.0,"big":123456789012345678901234567890}}"#;
    let expected = r#"{"object":{"id":86001,"uuid":"u==","topic":"Ask [erased]","start_time":"2027-01-01T10:00:00Z","host_id":"[erased]","host_email":"[erased]","duration":60.0,"big":123456789012345678901234567890}}"#;
    assert_eq!(erased(body), expected);
}

#[test]
fn keys_and_deeply_nested_values_lose_the_address() {
    assert_eq!(erased(r#"{"votes":{"jane.doe@example.com":3}}"#), r#"{"votes":{"[erased]":3}}"#);
    let deep = format!("{}\"jane.doe@example.com\"{}", "[".repeat(120), "]".repeat(120));
    assert!(!erased(&deep).contains("jane"));
    let deeper = format!("{}\"jane.doe@example.com\"{}", "[".repeat(50_000), "]".repeat(50_000));
    assert!(!erased(&deeper).contains("jane"));
}

#[test]
fn text_that_is_no_address_is_refused() {
    for bad in ["", "jane", "@example.com", "jane@", "a@b@c", "a b@c", "a@b\n", "a%40b@c", "a\"@b"]
    {
        let trimmed = bad.trim();
        assert!(EmailAddress::parse(bad).is_err() || trimmed == "a@b", "{bad:?}");
    }
    assert!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(250))).is_err());
    let error = EmailAddress::parse("secret person").err().expect("it is none").to_string();
    assert!(!error.contains("secret"), "{error}");
}

mod laws {
    use proptest::prelude::*;

    use super::super::*;

    proptest! {
        /// Whatever the bytes: afterwards the address is not in them, and JSON is still JSON.
        #[test]
        fn erased_bytes_never_contain_the_address(before in ".{0,40}", between in "[\"{}:, a-z@.]{0,20}", after in ".{0,40}") {
            let address = EmailAddress::parse("ab@c.de").expect("valid");
            let body = format!("{before}ab@c.de{between}AB%40c.de{after}");
            if let Some(without) = erase(body.as_bytes(), &address) {
                prop_assert!(address.find(&without).is_empty(), "{}", String::from_utf8_lossy(&without));
            }
            let json = serde_json::json!({ "name": before, "v": [between, body], "topic": after }).to_string();
            if let Some(without) = erase(json.as_bytes(), &address) {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&without).is_ok());
            }
        }
    }
}

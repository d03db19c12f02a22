mod recipes;

use std::sync::Arc;

use crate::providers::{Provider, conformance};

/// A `map` with an id only.
pub(super) const MAP: &str = "map = { event_id = \"payload.id\" }\n";

/// Builds the provider of a custom source with these lines.
pub(super) fn provider(lines: &str) -> Arc<dyn Provider> {
    provider_from_config(lines).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Builds the provider, or returns the configuration errors.
pub(super) fn provider_from_config(lines: &str) -> Result<Arc<dyn Provider>, String> {
    conformance::provider_from_config(&format!("provider = \"custom\"\n{lines}"))
}

/// The configuration errors of these lines.
pub(super) fn config_error(lines: &str) -> String {
    provider_from_config(lines).err().unwrap_or_default()
}

#[test]
fn source_without_verify_or_map_is_invalid() {
    let errors = config_error("secret = \"x\"\nexternal_account_id = \"a\"\n");
    assert!(errors.contains("source.it.verify: is missing. Set how"), "{errors}");
    assert!(errors.contains("source.it.map: is missing. Set how"), "{errors}");
    let errors = self::config_error("verify = 1\nmap = 2\n");
    assert!(errors.contains("source.it.verify: must be a table"), "{errors}");
    assert!(errors.contains("source.it.map: must be a table"), "{errors}");
}

#[test]
fn source_without_secret_or_account_requires_path_token_and_account_id() {
    let path = "verify = { scheme = \"path_token\" }\n";
    let errors = self::config_error(&format!("{path}{MAP}"));
    assert!(errors.contains("source.it.path_token: is missing"), "{errors}");
    assert!(errors.contains("source.it.external_account_id: is missing"), "{errors}");
    let errors = self::config_error(&format!("{path}{MAP}secret = \"x\"\npath_token = \"y\"\n"));
    assert!(errors.contains("source.it.secret: is not used"), "{errors}");
    let account = "map = { event_id = \"payload.id\", account = \"payload.account\" }\n";
    let provider = provider(&format!("{path}{account}path_token = \"a-token-of-twelve\"\n"));
    let traits = provider.capabilities();
    assert!(traits.names_account && !traits.reports_end && traits.slow);
    assert!(!provider.scheme().signs_time());
}

/// Masked values can be neither stored nor mapped.
#[test]
fn personal_data_is_masked_before_mapping() {
    let provider = provider(
        "path_token = \"a-token-of-twelve\"\nexternal_account_id = \"a\"\nmask = [\"tutor\"]\n\
         verify = { scheme = \"path_token\" }\n\
         map = { event_id = \"payload.id\", name = \"payload.email\", organizer = \"payload.tutor\" }\n",
    );
    let body = br#"{"id":1,"email":"a@b.example","tutor":{"name":"Ada"},"link":"https://x.example/?tk=1"}"#;
    let kept = provider.scrub(body);
    assert_eq!(
        String::from_utf8_lossy(&kept),
        r#"{"id":1,"email":"***","tutor":"***","link":"https://x.example/?tk=***"}"#
    );
    let parsed =
        provider.read(&crate::providers::Inbound::from_body(body).scrub(provider.as_ref()), &[]);
    let described = crate::providers::conformance::describe(&parsed);
    assert!(!described.contains("Ada") && !described.contains("b.example"), "{described}");
}

#[test]
fn form_body_is_read_and_stored_as_json() {
    let provider = provider(
        "secret = \"s\"\nexternal_account_id = \"a\"\nformat = \"form\"\n\
         verify = { scheme = \"hmac\", header = \"x-sign\" }\n\
         map = { event_id = \"payload.id\", name = \"payload.title\" }\n",
    );
    let body = b"id=e-1&title=Two+words&email=a%40b.example";
    assert_eq!(
        String::from_utf8_lossy(&provider.scrub(body)),
        r#"{"email":"***","id":"e-1","title":"Two words"}"#
    );
    let read = |body: &[u8]| {
        provider.read(&crate::providers::Inbound::from_body(body).scrub(provider.as_ref()), &[])
    };
    let described = crate::providers::conformance::describe(&read(body));
    assert!(described.contains("Two words") && described.contains("e-1"), "{described}");
    assert_eq!(read(&provider.scrub(body)), read(body));
    let url = &"https://bridge.example/webhooks/it".parse().expect("a URL");
    let unsigned = crate::providers::UnsignedRequest {
        url,
        body,
        secret: b"s",
        now: crate::event::Millis::new(0),
    };
    let signed = provider.sign(unsigned).expect("it can be signed");
    let form = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    assert!(signed.headers.contains(&form), "{signed:?}");
}

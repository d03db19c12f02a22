//! The recipes, on bodies in the documented format.

use std::sync::Arc;

use super::{config_error, provider};
use crate::event::Millis;
use crate::providers::conformance::{
    assert_fixtures_parse_as_expected, assert_only_signed_bytes_verify,
    assert_scrubbed_bodies_parse_the_same, verify,
};
use crate::providers::custom::recipes::{ALL, Recipe};
use crate::providers::{Inbound, PayloadContent, Provider, SignedRequest, VerifyError};

const NOW: Millis = Millis::new(1_800_000_000_000);

/// The provider of a recipe's demo.
fn demo(name: &str) -> Arc<dyn Provider> {
    let recipe = ALL.iter().find(|recipe| recipe.name == name).expect("the recipe exists");
    provider(&recipe.demo().settings(""))
}

#[test]
fn each_recipe_reads_its_fixtures_as_expected() {
    for Recipe { name, .. } in &ALL {
        assert_fixtures_parse_as_expected(&format!("custom/{name}"), demo(name).as_ref());
    }
}

#[test]
fn scrubbed_fixtures_hold_no_personal_data_and_read_the_same() {
    for (name, personal) in [
        ("zuddl", ["ines.example", "+49 30 5550"]),
        ("webinargeek", ["ines@mail.example", "/watch/9f2"]),
        ("sequel", ["ines@mail.example", "user-551"]),
        ("sessions_us", ["ines@mail.example", "Paulsen"]),
        ("airmeet", ["ines@mail.example", "orga@mail.example"]),
    ] {
        let folder = format!("custom/{name}");
        assert_scrubbed_bodies_parse_the_same(&folder, demo(name).as_ref(), &personal);
    }
}

#[test]
fn each_recipe_has_a_name_and_readable_samples() {
    for recipe in &ALL {
        let (provider, samples) = (demo(recipe.name), recipe.demo().samples(NOW));
        assert!(samples.len() >= 2, "{}", recipe.name);
        for sample in samples {
            let parsed =
                provider.read(&Inbound::from_body(&sample.body).scrub(provider.as_ref()), &[]);
            let PayloadContent::Changes { changes, bad_fields } = parsed.content else {
                panic!("{}, {}: {:?}", recipe.name, sample.summary, parsed.content);
            };
            assert!(bad_fields.is_empty(), "{}, {}: {bad_fields:?}", recipe.name, sample.summary);
            assert_eq!(changes.len(), 1);
        }
    }
}

#[test]
fn recipes_with_signatures_verify_only_signed_requests() {
    let body = br#"{"action":"EVENT_CREATED","event":{"id":"e"}}"#;
    for name in ["zuddl", "webinargeek"] {
        assert_only_signed_bytes_verify(demo(name).as_ref(), body, b"a secret", NOW);
    }
    let sequel = demo("sequel");
    let with = |headers: &[(&str, &str)]| SignedRequest {
        url: "https://bridge.example/webhooks/sequel".parse().expect("a URL"),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.to_vec(),
    };
    let verify_with =
        |headers: &[(&str, &str)]| verify(sequel.as_ref(), &with(headers), &[b"a key"], NOW);
    assert_eq!(verify_with(&[("x-introvoke-web-hook-auth", "a key")]), Ok(0));
    assert_eq!(verify_with(&[("x-introvoke-web-hook-auth", "a kez")]), Err(VerifyError::Mismatch));
    assert_eq!(verify_with(&[("authorization", "Bearer a key")]), Err(VerifyError::Missing));
}

#[test]
fn source_keys_override_recipe_keys() {
    let lines =
        "recipe = \"zuddl\"\nsecret = \"s\"\nexternal_account_id = \"a\"\nmask = [\"name\"]\n";
    let own = provider(&format!(
        "{lines}verify = {{ scheme = \"bearer\", header = \"x-own\" }}\n\
         map = {{ organizer = \"payload.event.teamName\", webhook = \"'own'\" }}\n"
    ));
    let body = br#"{"action":"EVENT_CREATED","event":{"id":"e","teamName":"Team","name":"Ines"}}"#;
    let parsed = own.read(&Inbound::from_body(body).scrub(own.as_ref()), &[]);
    assert_eq!(parsed.event_type, "own");
    let described = crate::providers::conformance::describe(&parsed);
    assert!(
        described.contains(r#""organizer": "Team""#) && described.contains(r#""name": "***""#),
        "{described}"
    );
    let headers = vec![("x-own".to_owned(), "s".to_owned())];
    let url = "https://bridge.example/webhooks/it".parse().expect("a URL");
    let signed = SignedRequest { url, headers, body: body.to_vec() };
    assert_eq!(verify(own.as_ref(), &signed, &[b"s"], NOW), Ok(0));
    let errors = self::config_error("recipe = \"zoom\"\n");
    assert!(errors.contains("source.it.recipe: must be \"zuddl\" or"), "{errors}");
}

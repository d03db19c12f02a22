//! Any platform, by configuration alone: how its webhooks prove where they come from, and an expression for each field.
//!
//! * [`verify`]: `verify = { ... }`, over the schemes of [`mod@super::signature`];
//! * [`mapping`]: `map = { ... }`, expressions of [`crate::expression`];
//! * [`document`]: what a body is read as;
//! * [`recipes`]: both, for platforms of which enough is known.
//!
//! Promises: a webhook is read only after it proved where it comes from; each is about one event; an expression that
//! yields nothing says nothing about its field, and nothing is called off that was not said to be. What is masked is masked
//! before anything is read. Relies on the configuration for what the platform means. Holds nothing, so a crash loses
//! nothing.
//!
//! Reading may take tenths of a second if an expression is made to ([`crate::expression::STEPS_MAX`]), so it is kept off the
//! threads that serve requests ([`Traits::slow`]).

mod document;
mod mapping;
mod recipes;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;

use url::Url;

use crate::event::{Millis, ProviderId};
use crate::providers::{
    Demo, Inbound, Keys, Meaning, Options, Platform, Provider, Reading, Refusal, Sample, Signed,
    Traits, Unsigned, Unverified, Verified, scrub,
};
use document::Format;
use mapping::Mapping;
use recipes::Recipe;
use verify::Scheme;

/// Keys whose values are masked in every body, whatever it is about: they are secret or tell of a person.
const MASKED: [&str; 24] = [
    "password",
    "passcode",
    "email",
    "e_mail",
    "email_address",
    "emailAddress",
    "firstname",
    "first_name",
    "firstName",
    "surname",
    "lastname",
    "last_name",
    "lastName",
    "phone",
    "phone_number",
    "phoneNumber",
    "registrant",
    "registrants",
    "attendee",
    "attendees",
    "participant",
    "participants",
    "operator",
    "user_email",
];

/// Any platform.
pub struct CustomPlatform;

impl Platform for CustomPlatform {
    fn id(&self) -> ProviderId {
        ProviderId::new("custom")
    }

    /// Nothing can be said of a platform of which nothing is known.
    fn bare(&self) -> Option<Arc<dyn Provider>> {
        None
    }

    fn configured(&self, options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(Custom::read(options)?))
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        scrub::mask(body, &MASKED)
    }

    fn demos(&self) -> Vec<Demo> {
        recipes::ALL.iter().map(|recipe| recipe.demo.clone()).collect()
    }
}

/// A source's own platform.
#[derive(Debug)]
struct Custom {
    scheme: Scheme,
    mapping: Mapping,
    format: Format,
    masked: Vec<String>,
    recipe: Option<&'static Recipe>,
    read_headers: Vec<String>,
}

impl Custom {
    fn read(options: &mut dyn Options) -> Option<Self> {
        let recipe = options.word("recipe", &recipes::NAMES).and_then(recipes::by_name);
        let mut masked: Vec<String> = MASKED.map(str::to_owned).to_vec();
        masked.extend(options.texts("mask").unwrap_or_default());
        if let Some(recipe) = recipe {
            let recipe = recipe.read();
            // A way of proving is one whole: keys of two make none.
            if !options.has("verify") {
                options.fill("verify", &recipe.verify);
            }
            options.fill("map", &recipe.map);
            masked.extend(recipe.mask);
        }
        for (key, remedy) in [
            ("verify", "Say how webhooks prove where they come from: { scheme = \"hmac\", ... }"),
            (
                "map",
                "Say what they mean: { event_id = \"payload.id\", name = \"payload.title\", ... }",
            ),
        ] {
            if !options.has(key) {
                options.problem(key, &format!("is missing. {remedy}"));
            }
        }
        let (mut scheme, mut mapping) = (None, None);
        options.table("verify", &mut |table| scheme = verify::scheme(table));
        options.table("map", &mut |table| mapping = mapping::read(table));
        let form = options.word("format", &["json", "form"]) == Some("form");
        let (scheme, mapping) = (scheme?, mapping?);
        let format = match (scheme.wraps(), form) {
            (true, true) => {
                options.problem("format", "means nothing where the body is a token. Remove it");
                return None;
            }
            (true, false) => Format::Token,
            (false, true) => Format::Form,
            (false, false) => Format::Json,
        };
        let mut read_headers = scheme.id_headers();
        read_headers.extend(mapping.headers());
        Some(Self { scheme, mapping, format, masked, recipe, read_headers })
    }
}

impl Provider for Custom {
    fn platform(&self) -> &'static dyn Platform {
        &CustomPlatform
    }

    fn traits(&self) -> Traits {
        Traits {
            secret: self.scheme.secret(),
            path_token: self.scheme.path_token(),
            names_account: self.mapping.says("account"),
            tells_end: self.mapping.says("completed"),
            signs_time: self.scheme.signs_time(),
            slow: true,
        }
    }

    fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<Inbound<'a, Verified>, Refusal> {
        self.scheme.verify(request, keys, now)
    }

    fn read(&self, request: &Inbound<'_, Verified>, _secrets: &[&[u8]]) -> Reading {
        let body = self.scrub(request.body);
        let mut reading = match document::value(&body) {
            Ok(payload) => self.mapping.read(payload, request),
            Err(why) => Reading::new("", Meaning::Unmappable(why)),
        };
        reading.delivery = self.scheme.delivery(request.headers);
        reading
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        let keys: Vec<&str> = self.masked.iter().map(String::as_str).collect();
        scrub::mask(&self.format.json(body), &keys)
    }

    fn unusable(&self, secret: &[u8]) -> Option<&'static str> {
        self.scheme.unusable(secret)
    }

    fn published_keys(&self) -> Option<&Url> {
        self.scheme.published_keys()
    }

    fn read_headers(&self) -> &[String] {
        &self.read_headers
    }

    fn sign(&self, request: Unsigned<'_>) -> Result<Signed, String> {
        let mut signed = self.scheme.sign(request)?;
        if self.format == Format::Form {
            let form = "application/x-www-form-urlencoded".to_owned();
            signed.headers.push(("content-type".to_owned(), form));
        }
        Ok(signed)
    }

    fn samples(&self, now: Millis) -> Vec<Sample> {
        self.recipe.map(|recipe| (recipe.samples)(now)).unwrap_or_default()
    }
}

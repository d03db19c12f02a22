//! Any platform, by configuration alone: a verification scheme and an expression for each field.
//!
//! * [`verify`]: `verify = { ... }`, with the schemes of [`mod@super::signature`];
//! * [`mapping`]: `map = { ... }`, expressions of [`crate::expression`];
//! * [`body_format`]: the format of a body;
//! * [`recipes`]: both tables for platforms that are documented well enough.
//!
//! Promises: reads a webhook only after it verified. Each webhook is about one event. An expression without a value
//! leaves its field unchanged, and nothing is cancelled unless an expression reports it. Values are masked before
//! anything is read. Relies on the configuration for the meaning of the platform's fields. On a crash: nothing is lost,
//! because nothing is held.
//!
//! Expressions can make reading take tenths of a second ([`crate::expression::STEPS_MAX`]), so reading is kept off the
//! threads that serve requests ([`Capabilities::slow`]).

mod body_format;
mod mapping;
mod recipes;
#[cfg(test)]
mod tests;
mod verify;

use std::borrow::Cow;
use std::sync::Arc;

use crate::event::ProviderId;
use crate::providers::options::require_table;
use crate::providers::{
    Capabilities, Inbound, Options, ParsedPayload, Platform, Provider, Scrubbed, SignatureScheme,
    SignedRequest, UnsignedRequest, scrub,
};
use body_format::BodyFormat;
use mapping::Mapping;
use recipes::Recipe;

/// Keys of secrets and personal data; their values are masked in every body.
const MASKED: &str = include_str!("masked_keys.txt");

/// The custom platform, independent of any source.
pub static PLATFORM: Platform = Platform {
    id: ProviderId::new("custom"),
    // Without configuration nothing is known about the platform.
    unconfigured: || None,
    configure: |options| Some(Arc::new(Custom::from_options(options)?)),
    scrub: |body| scrub::mask(body, MASKED.lines()),
    demos: || recipes::ALL.iter().map(Recipe::demo).collect(),
};

/// A custom platform as configured for one source.
struct Custom {
    scheme: Box<dyn SignatureScheme>,
    mapping: Mapping,
    format: BodyFormat,
    masked: Vec<String>,
    read_headers: Vec<String>,
}

impl Custom {
    fn from_options(options: &mut dyn Options) -> Option<Self> {
        let names = recipes::ALL.each_ref().map(|recipe| recipe.name);
        let recipe = options.choice("recipe", &names).and_then(recipes::find);
        let mut masked: Vec<String> = MASKED.lines().map(str::to_owned).collect();
        masked.extend(options.texts("mask").unwrap_or_default());
        let mut recipe_when = None;
        if let Some(recipe) = recipe {
            let recipe = recipe.parse();
            recipe_when = recipe.map.get("when").and_then(|when| when.as_str().map(str::to_owned));
            // The recipe's `verify` is used whole or not at all: keys of two schemes make no scheme.
            if !options.has("verify") {
                options.fill_defaults("verify", &recipe.verify);
            }
            options.fill_defaults("map", &recipe.map);
            masked.extend(recipe.mask);
        }
        let remedy = "Set how webhooks are verified: { scheme = \"hmac\", ... }";
        let scheme = require_table(options, "verify", verify::scheme_from_options, remedy);
        let remedy = "Set how fields are mapped: \
                      { event_id = \"payload.id\", name = \"payload.title\", ... }";
        let mapping = require_table(options, "map", mapping::from_options, remedy);
        let form = options.choice("format", &["json", "form"]) == Some("form");
        let (scheme, mapping) = (scheme?, mapping?.with_recipe_when(recipe_when.as_deref()));
        let format = match (scheme.body_is_token(), form) {
            (true, true) => {
                options.report("format", "has no meaning where the body is a token. Remove it");
                return None;
            }
            (true, false) => BodyFormat::Token,
            (false, true) => BodyFormat::Form,
            (false, false) => BodyFormat::Json,
        };
        let mut read_headers = scheme.id_headers();
        read_headers.extend(mapping.header_names());
        Some(Self { scheme, mapping, format, masked, read_headers })
    }
}

impl Provider for Custom {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            names_account: self.mapping.has("account"),
            reports_end: self.mapping.has("completed"),
            slow: true,
        }
    }

    fn scheme(&self) -> &dyn SignatureScheme {
        self.scheme.as_ref()
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        let mut parsed = match body_format::parse_value(&request.body) {
            Ok(payload) => self.mapping.read(payload, request),
            Err(reason) => ParsedPayload::unreadable(reason),
        };
        parsed.delivery_id = self.scheme.delivery_id(request.headers);
        parsed
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        scrub::mask(&self.format.to_json(body), self.masked.iter().map(String::as_str))
    }

    fn read_headers(&self) -> Cow<'_, [String]> {
        Cow::Borrowed(&self.read_headers)
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let mut signed = self.scheme.sign(request)?;
        if self.format == BodyFormat::Form {
            let form = "application/x-www-form-urlencoded".to_owned();
            signed.headers.push(("content-type".to_owned(), form));
        }
        Ok(signed)
    }
}

//! Reading of `verify = { scheme = "...", ... }`.

use super::{BasicScheme, BearerScheme, JwtScheme, PrefixedHeader, TokenLocation};
use crate::jwt::{self, TokenRules};
use crate::providers::options::choice_of;
use crate::providers::signature::digest::{HashAlgorithm, MacMethod};
use crate::providers::signature::mac::{
    HeaderLayout, MacScheme, SignatureEncoding, SignatureLocation, TimeUnit,
};
use crate::providers::signature::message::{MessageTemplate, Placeholder};
use crate::providers::signature::path_token::PathToken;
use crate::providers::signature::standard_webhooks::StandardWebhooks;
use crate::providers::{Options, SignatureScheme, require};

const SCHEMES: [&str; 7] =
    ["hmac", "hash", "standard_webhooks", "jwt", "basic", "bearer", "path_token"];
const ENCODINGS: [(&str, SignatureEncoding); 2] =
    [("hex", SignatureEncoding::Hex), ("base64", SignatureEncoding::Base64)];
const AUTHORIZATION: &str = "authorization";

/// Reads the table. Returns `None` after reporting what is wrong with it.
pub(in crate::providers::custom) fn scheme_from_options(
    options: &mut dyn Options,
) -> Option<Box<dyn SignatureScheme>> {
    let remedy = "Set how webhooks are verified: \"hmac\", \"hash\", \"standard_webhooks\", \"jwt\", \
                  \"basic\", \"bearer\" or \"path_token\"";
    let word = |options: &mut dyn Options, key| options.choice(key, &SCHEMES);
    Some(match require(options, "scheme", word, remedy)? {
        "hmac" => Box::new(mac_scheme(options, MacMethod::Hmac)?),
        "hash" => Box::new(mac_scheme(options, MacMethod::Hash)?),
        "standard_webhooks" => Box::new(StandardWebhooks),
        "jwt" => Box::new(jwt_scheme(options)?),
        "basic" => {
            let remedy = "Set the user name; the password is the source's secret";
            let username = require(options, "username", |o, key| o.text(key), remedy)?;
            if username.contains(':') {
                options.report("username", "must not hold a colon (RFC 7617). Remove it");
            }
            Box::new(BasicScheme { username })
        }
        "bearer" => Box::new(BearerScheme(prefixed_header(options))),
        _ => Box::new(PathToken),
    })
}

/// Reads the header that holds a secret or token, and the prefix before it.
fn prefixed_header(options: &mut dyn Options) -> PrefixedHeader {
    let name = header_name(options, "header").unwrap_or_else(|| AUTHORIZATION.to_owned());
    let default_prefix = if name == AUTHORIZATION { "Bearer " } else { "" };
    let prefix = options.text("prefix").unwrap_or_else(|| default_prefix.to_owned());
    PrefixedHeader { name, prefix }
}

fn mac_scheme(options: &mut dyn Options, method: MacMethod) -> Option<MacScheme> {
    let location = signature_location(options);
    let encoding = choice_of(options, "encoding", ENCODINGS).unwrap_or(SignatureEncoding::Hex);
    let algorithm = choice_of(options, "algorithm", HashAlgorithm::NAMED);
    let timestamp_header = header_name(options, "timestamp_header");
    let timestamp_unit = choice_of(options, "timestamp_unit", TimeUnit::NAMED);
    let id_header = header_name(options, "id_header");
    let url = options.text("url");
    let signed = match options.text("signed").map(|text| MessageTemplate::parse(&text)) {
        Some(Ok(template)) => template,
        Some(Err(problem)) => {
            options.report("signed", &format!("{problem}. Correct it"));
            return None;
        }
        None => MessageTemplate::parse("{body}").ok()?,
    };
    let location = location?;
    let has_time_in_signature = matches!(
        location,
        SignatureLocation::Header(
            _,
            HeaderLayout::AfterTimestamp | HeaderLayout::Keyed { timestamp: Some(_), .. }
        )
    );
    if has_time_in_signature && timestamp_header.is_some() {
        options.report("timestamp_header", "excludes the {timestamp} in header_format. Keep one");
    }
    let timed = has_time_in_signature || timestamp_header.is_some();
    // Every part of the message must be configured, and every configured part must be signed: an attacker could choose
    // an unsigned one.
    for (placeholder, configured, key, source) in [
        (
            Placeholder::Timestamp,
            timed,
            "{timestamp}",
            "timestamp_header, or {timestamp} in header_format",
        ),
        (Placeholder::Id, id_header.is_some(), "{id}", "id_header"),
        (Placeholder::Url, url.is_some(), "{url}", "url"),
        (Placeholder::Secret, method == MacMethod::Hash, "{secret}", "scheme = \"hash\""),
    ] {
        match (signed.contains(placeholder), configured) {
            (true, false) => options.report("signed", &format!("holds {key}. Set {source}, too")),
            (false, true) => {
                options.report("signed", &format!("must hold {key} where there is {source}"));
            }
            (true, true) | (false, false) => {}
        }
    }
    Some(MacScheme {
        method,
        algorithm: algorithm.unwrap_or(HashAlgorithm::Sha256),
        encoding,
        location,
        message: signed,
        timestamp_header,
        timestamp_unit: timestamp_unit.unwrap_or(TimeUnit::Seconds),
        id_header,
        url: url.unwrap_or_default(),
    })
}

/// Reads the location of the signature.
fn signature_location(options: &mut dyn Options) -> Option<SignatureLocation> {
    if let Some(query) = options.text("query") {
        for key in ["header", "prefix", "header_format"] {
            if options.has(key) {
                drop(options.text(key));
                options.report(key, "excludes query. Keep one of the two");
            }
        }
        return Some(SignatureLocation::Query(query));
    }
    let prefix = options.text("prefix");
    let format = options.text("header_format");
    let remedy = "Name the header that holds the signature";
    let header = require(options, "header", header_name, remedy);
    let layout = match (format, prefix) {
        (Some(_), Some(_)) => {
            options.report("prefix", "excludes header_format. Keep one of the two");
            return None;
        }
        (Some(format), None) => {
            let layout = HeaderLayout::parse(&format);
            if layout.is_none() {
                let like = "must be like \"t={timestamp},v1={signature}\", \"v1={signature}\" or \
                            \"{timestamp},{signature}\"";
                options.report("header_format", like);
            }
            layout?
        }
        (None, prefix) => HeaderLayout::Prefixed(prefix.unwrap_or_default()),
    };
    Some(SignatureLocation::Header(header?, layout))
}

fn jwt_scheme(options: &mut dyn Options) -> Option<JwtScheme> {
    let issuer = options.text("issuer");
    let audience = options.text("audience");
    let jwks_url = options.url("jwks_url");
    let body_claim = options.text("body_claim");
    let is_body = options.choice("token", &["header", "body"]) == Some("body");
    let location =
        if is_body { TokenLocation::Body } else { TokenLocation::Header(prefixed_header(options)) };
    if is_body && body_claim.is_some() {
        options.report("body_claim", "has no meaning where the token is the body. Remove it");
    }
    let remedy = "List the algorithms that the platform uses: [\"RS256\"]";
    let names = require(options, "algorithms", |o, key| o.texts(key), remedy)?;
    let mut algorithms = Vec::new();
    for name in &names {
        match jwt::parse_algorithm(name) {
            Some(algorithm) => algorithms.push(algorithm),
            None => options.report(
                "algorithms",
                "must be among HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA",
            ),
        }
    }
    if !jwt::same_family(&algorithms) {
        options.report("algorithms", "must be of one family, because their keys are of one kind");
    }
    if jwks_url.is_some() && algorithms.iter().any(|one| jwt::is_shared(*one)) {
        options.report("algorithms", "must use public keys where jwks_url is set");
    }
    let rules = TokenRules { algorithms, issuer, audience };
    Some(JwtScheme { location, rules, jwks_url, body_claim })
}

/// Reads a header name in lower case (RFC 9110, 5.6.2).
fn header_name(options: &mut dyn Options, key: &'static str) -> Option<String> {
    let name = options.text(key)?.to_ascii_lowercase();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !name.bytes().all(allowed) {
        options.report(key, "is not a header name. Correct it");
        return None;
    }
    Some(name)
}

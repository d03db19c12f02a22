//! `verify = { scheme = "...", ... }`, read.

use super::{JwtScheme, TokenLocation, VerifyScheme};
use crate::providers::signature::digest::{HashAlgorithm, MacMethod};
use crate::providers::signature::jwt::{self, TokenRules};
use crate::providers::signature::mac::{
    HeaderLayout, MacScheme, SignatureEncoding, SignatureLocation, TimestampUnit,
};
use crate::providers::signature::message::{MessageTemplate, Placeholder};
use crate::providers::{Options, require};

const SCHEMES: [&str; 7] =
    ["hmac", "hash", "standard_webhooks", "jwt", "basic", "bearer", "path_token"];
const AUTHORIZATION: &str = "authorization";

/// Reads the table. None if something is wrong with it, which was told.
pub(in crate::providers::custom) fn scheme_from_options(
    options: &mut dyn Options,
) -> Option<VerifyScheme> {
    let remedy = "Say how webhooks prove where they come from: \"hmac\", \"hash\", \"standard_webhooks\", \"jwt\", \
                  \"basic\", \"bearer\" or \"path_token\"";
    let word = |options: &mut dyn Options, key| options.choice(key, &SCHEMES);
    Some(match require(options, "scheme", word, remedy)? {
        "hmac" => VerifyScheme::Mac(Box::new(mac_scheme(options, MacMethod::Hmac)?)),
        "hash" => VerifyScheme::Mac(Box::new(mac_scheme(options, MacMethod::Hash)?)),
        "standard_webhooks" => VerifyScheme::StandardWebhooks,
        "jwt" => VerifyScheme::Jwt(jwt_scheme(options)?),
        "basic" => {
            let remedy = "Set the user's name; the password is the source's secret";
            let username = require(options, "username", |o, key| o.text(key), remedy)?;
            if username.contains(':') {
                options.report("username", "must not hold a colon (RFC 7617). Take it out");
            }
            VerifyScheme::Basic { username }
        }
        "bearer" => {
            let (header, prefix) = header_and_prefix(options);
            VerifyScheme::Bearer { header, prefix }
        }
        _ => VerifyScheme::PathToken,
    })
}

/// The header that holds a token, and what stands before it there.
fn header_and_prefix(options: &mut dyn Options) -> (String, String) {
    let header = header_name(options, "header").unwrap_or_else(|| AUTHORIZATION.to_owned());
    let usual = if header == AUTHORIZATION { "Bearer " } else { "" };
    let prefix = options.text("prefix").unwrap_or_else(|| usual.to_owned());
    (header, prefix)
}

fn mac_scheme(options: &mut dyn Options, method: MacMethod) -> Option<MacScheme> {
    let place = signature_location(options);
    let encoding = match options.choice("encoding", &["hex", "base64"]) {
        Some("base64") => SignatureEncoding::Base64,
        _ => SignatureEncoding::Hex,
    };
    let algorithm = match options.choice("algorithm", &["sha256", "sha1", "sha384", "sha512"]) {
        Some("sha1") => HashAlgorithm::Sha1,
        Some("sha384") => HashAlgorithm::Sha384,
        Some("sha512") => HashAlgorithm::Sha512,
        _ => HashAlgorithm::Sha256,
    };
    let timestamp_header = header_name(options, "timestamp_header");
    let timestamp_unit = match options.choice("timestamp_unit", &["s", "ms"]) {
        Some("ms") => TimestampUnit::Milliseconds,
        _ => TimestampUnit::Seconds,
    };
    let id_header = header_name(options, "id_header");
    let url = options.text("url");
    let signed = match options.text("signed").map(|text| MessageTemplate::parse(&text)) {
        Some(Ok(template)) => template,
        Some(Err(what)) => {
            options.report("signed", &format!("{what}. Correct it"));
            return None;
        }
        None => MessageTemplate::parse("{body}").ok()?,
    };
    let place = place?;
    let beside = matches!(
        place,
        SignatureLocation::Header(
            _,
            HeaderLayout::AfterTimestamp | HeaderLayout::Keyed { timestamp: Some(_), .. }
        )
    );
    if beside && timestamp_header.is_some() {
        options
            .report("timestamp_header", "stands beside the {timestamp} of header_format. Keep one");
    }
    let timed = beside || timestamp_header.is_some();
    // Each part of the request must be known and signed: what is not could be anybody's.
    for (hole, there, key, source) in [
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
        match (signed.contains(hole), there) {
            (true, false) => options.report("signed", &format!("holds {key}. Set {source}, too")),
            (false, true) => {
                options.report("signed", &format!("must hold {key} where there is {source}"));
            }
            (true, true) | (false, false) => {}
        }
    }
    Some(MacScheme {
        method,
        algorithm,
        encoding,
        location: place,
        message: signed,
        timestamp_header,
        timestamp_unit,
        id_header,
        url: url.unwrap_or_default(),
    })
}

/// Where the signature stands.
fn signature_location(options: &mut dyn Options) -> Option<SignatureLocation> {
    if let Some(query) = options.text("query") {
        for key in ["header", "prefix", "header_format"] {
            if options.has(key) {
                drop(options.text(key));
                options.report(key, "stands beside query. Keep one of the two");
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
            options.report("prefix", "stands beside header_format. Keep one of the two");
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
    let published = options.url("jwks_url");
    let body_claim = options.text("body_claim");
    let is_body = options.choice("token", &["header", "body"]) == Some("body");
    let place = if is_body {
        TokenLocation::Body
    } else {
        let (header, prefix) = header_and_prefix(options);
        TokenLocation::Header(header, prefix)
    };
    if is_body && body_claim.is_some() {
        options.report("body_claim", "means nothing where the token is the body. Remove it");
    }
    let remedy = "Name those that the platform signs by: [\"RS256\"]";
    let names = require(options, "algorithms", |o, key| o.texts(key), remedy)?;
    let mut algorithms = Vec::new();
    for name in &names {
        match jwt::parse_algorithm(name) {
            Some(algorithm) => algorithms.push(algorithm),
            None => options.report(
                "algorithms",
                "must be of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA",
            ),
        }
    }
    if !jwt::same_family(&algorithms) {
        options.report("algorithms", "must have keys of one kind: name those of one family");
    }
    if published.is_some() && algorithms.iter().any(|one| jwt::is_shared(*one)) {
        options.report("algorithms", "must be of public keys where there is jwks_url");
    }
    let rules = TokenRules { algorithms, issuer, audience };
    Some(JwtScheme { location: place, rules, jwks_url: published, body_claim })
}

/// A header's name, in lower case (RFC 9110, 5.6.2).
fn header_name(options: &mut dyn Options, key: &'static str) -> Option<String> {
    let name = options.text(key)?.to_ascii_lowercase();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !name.bytes().all(allowed) {
        options.report(key, "is no name of a header. Correct it");
        return None;
    }
    Some(name)
}

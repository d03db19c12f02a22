//! `verify = { scheme = "...", ... }`, read.

use super::{JwtScheme, Scheme, TokenPlace};
use crate::providers::signature::digest::{Algorithm, Method};
use crate::providers::signature::jwt::{self, Rules};
use crate::providers::signature::mac::{Encoding, Layout, MacScheme, Place, Unit};
use crate::providers::signature::message::{Hole, Template};
use crate::providers::{Options, required};

const SCHEMES: [&str; 7] =
    ["hmac", "hash", "standard_webhooks", "jwt", "basic", "bearer", "path_token"];
const AUTHORIZATION: &str = "authorization";

/// Reads the table. None if something is wrong with it, which was told.
pub(in crate::providers::custom) fn scheme(options: &mut dyn Options) -> Option<Scheme> {
    let remedy = "Say how webhooks prove where they come from: \"hmac\", \"hash\", \"standard_webhooks\", \"jwt\", \
                  \"basic\", \"bearer\" or \"path_token\"";
    let word = |options: &mut dyn Options, key| options.word(key, &SCHEMES);
    Some(match required(options, "scheme", word, remedy)? {
        "hmac" => Scheme::Mac(Box::new(mac(options, Method::Hmac)?)),
        "hash" => Scheme::Mac(Box::new(mac(options, Method::Hash)?)),
        "standard_webhooks" => Scheme::StandardWebhooks,
        "jwt" => Scheme::Jwt(token(options)?),
        "basic" => {
            let remedy = "Set the user's name; the password is the source's secret";
            let username = required(options, "username", |o, key| o.text(key), remedy)?;
            if username.contains(':') {
                options.problem("username", "must not hold a colon (RFC 7617). Take it out");
            }
            Scheme::Basic { username }
        }
        "bearer" => {
            let (header, prefix) = bearer(options);
            Scheme::Bearer { header, prefix }
        }
        _ => Scheme::PathToken,
    })
}

/// The header that holds a token, and what stands before it there.
fn bearer(options: &mut dyn Options) -> (String, String) {
    let header = header(options, "header").unwrap_or_else(|| AUTHORIZATION.to_owned());
    let usual = if header == AUTHORIZATION { "Bearer " } else { "" };
    let prefix = options.text("prefix").unwrap_or_else(|| usual.to_owned());
    (header, prefix)
}

fn mac(options: &mut dyn Options, method: Method) -> Option<MacScheme> {
    let place = place(options);
    let encoding = match options.word("encoding", &["hex", "base64"]) {
        Some("base64") => Encoding::Base64,
        _ => Encoding::Hex,
    };
    let algorithm = match options.word("algorithm", &["sha256", "sha1", "sha384", "sha512"]) {
        Some("sha1") => Algorithm::Sha1,
        Some("sha384") => Algorithm::Sha384,
        Some("sha512") => Algorithm::Sha512,
        _ => Algorithm::Sha256,
    };
    let timestamp_header = header(options, "timestamp_header");
    let timestamp_unit = match options.word("timestamp_unit", &["s", "ms"]) {
        Some("ms") => Unit::Milliseconds,
        _ => Unit::Seconds,
    };
    let id_header = header(options, "id_header");
    let url = options.text("url");
    let signed = match options.text("signed").map(|text| Template::parse(&text)) {
        Some(Ok(template)) => template,
        Some(Err(what)) => {
            options.problem("signed", &format!("{what}. Correct it"));
            return None;
        }
        None => Template::parse("{body}").ok()?,
    };
    let place = place?;
    let beside = matches!(
        place,
        Place::Header(_, Layout::AfterTimestamp | Layout::Keyed { timestamp: Some(_), .. })
    );
    if beside && timestamp_header.is_some() {
        options.problem(
            "timestamp_header",
            "stands beside the {timestamp} of header_format. Keep one",
        );
    }
    let timed = beside || timestamp_header.is_some();
    // Each part of the request must be known and signed: what is not could be anybody's.
    for (hole, there, key, source) in [
        (
            Hole::Timestamp,
            timed,
            "{timestamp}",
            "timestamp_header, or {timestamp} in header_format",
        ),
        (Hole::Id, id_header.is_some(), "{id}", "id_header"),
        (Hole::Url, url.is_some(), "{url}", "url"),
        (Hole::Secret, method == Method::Hash, "{secret}", "scheme = \"hash\""),
    ] {
        match (signed.has(hole), there) {
            (true, false) => options.problem("signed", &format!("holds {key}. Set {source}, too")),
            (false, true) => {
                options.problem("signed", &format!("must hold {key} where there is {source}"));
            }
            (true, true) | (false, false) => {}
        }
    }
    Some(MacScheme {
        method,
        algorithm,
        encoding,
        place,
        signed,
        timestamp_header,
        timestamp_unit,
        id_header,
        url: url.unwrap_or_default(),
    })
}

/// Where the signature stands.
fn place(options: &mut dyn Options) -> Option<Place> {
    if let Some(query) = options.text("query") {
        for key in ["header", "prefix", "header_format"] {
            if options.has(key) {
                drop(options.text(key));
                options.problem(key, "stands beside query. Keep one of the two");
            }
        }
        return Some(Place::Query(query));
    }
    let prefix = options.text("prefix");
    let format = options.text("header_format");
    let remedy = "Name the header that holds the signature";
    let header = required(options, "header", header, remedy);
    let layout = match (format, prefix) {
        (Some(_), Some(_)) => {
            options.problem("prefix", "stands beside header_format. Keep one of the two");
            return None;
        }
        (Some(format), None) => {
            let layout = Layout::parse(&format);
            if layout.is_none() {
                let like = "must be like \"t={timestamp},v1={signature}\", \"v1={signature}\" or \
                            \"{timestamp},{signature}\"";
                options.problem("header_format", like);
            }
            layout?
        }
        (None, prefix) => Layout::Alone(prefix.unwrap_or_default()),
    };
    Some(Place::Header(header?, layout))
}

fn token(options: &mut dyn Options) -> Option<JwtScheme> {
    let issuer = options.text("issuer");
    let audience = options.text("audience");
    let published = options.url("jwks_url");
    let body_claim = options.text("body_claim");
    let is_body = options.word("token", &["header", "body"]) == Some("body");
    let place = if is_body {
        TokenPlace::Body
    } else {
        let (header, prefix) = bearer(options);
        TokenPlace::Header(header, prefix)
    };
    if is_body && body_claim.is_some() {
        options.problem("body_claim", "means nothing where the token is the body. Remove it");
    }
    let remedy = "Name those that the platform signs by: [\"RS256\"]";
    let names = required(options, "algorithms", |o, key| o.texts(key), remedy)?;
    let mut algorithms = Vec::new();
    for name in &names {
        match jwt::algorithm(name) {
            Some(algorithm) => algorithms.push(algorithm),
            None => options.problem(
                "algorithms",
                "must be of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA",
            ),
        }
    }
    if !jwt::are_kin(&algorithms) {
        options.problem("algorithms", "must have keys of one kind: name those of one family");
    }
    if published.is_some() && algorithms.iter().any(|one| jwt::is_shared(*one)) {
        options.problem("algorithms", "must be of public keys where there is jwks_url");
    }
    let rules = Rules { algorithms, issuer, audience };
    Some(JwtScheme { place, rules, published, body_claim })
}

/// A header's name, in lower case (RFC 9110, 5.6.2).
fn header(options: &mut dyn Options, key: &'static str) -> Option<String> {
    let name = options.text(key)?.to_ascii_lowercase();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !name.bytes().all(allowed) {
        options.problem(key, "is no name of a header. Correct it");
        return None;
    }
    Some(name)
}

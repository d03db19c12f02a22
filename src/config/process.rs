//! Settings of the process: `[listen]`, `[store]`, `[ops]`; keys, defaults and rules.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::field::Field;
use super::rules::ZeroDuration;
use super::section::Section;
use super::settings::{JwtSettings, ListenSettings, OpsSettings, StoreSettings};
use crate::ledger::Retention;

const DAY: Duration = Duration::from_hours(24);

/// `[listen]`
pub(super) fn listen(root: &mut Section<'_>) -> ListenSettings {
    let anywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);
    let here = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
    let mut listen = ListenSettings {
        webhooks: anywhere,
        ops: here,
        max_body: 1 << 20,
        shutdown_delay: Duration::ZERO,
        shutdown_timeout: Duration::from_secs(25),
    };
    let Field::Valid(mut section) = root.section("listen") else { return listen };
    let parse = |text: String| {
        text.parse().map_err(|_| "must be an address and a port such as \"127.0.0.1:9090\"")
    };
    listen.webhooks = section.parsed("webhooks", parse).unwrap_or(listen.webhooks);
    listen.ops = section.parsed("ops", parse).unwrap_or(listen.ops);
    listen.max_body = section.size("max_body").unwrap_or(listen.max_body);
    listen.shutdown_delay =
        section.duration("shutdown_delay", ZeroDuration::Allowed).unwrap_or(listen.shutdown_delay);
    listen.shutdown_timeout = section
        .duration("shutdown_timeout", ZeroDuration::Allowed)
        .unwrap_or(listen.shutdown_timeout);
    if listen.webhooks == listen.ops && listen.ops.port() != 0 {
        section.report("ops", "is also the address for webhooks. Choose another port");
    }
    section.finish();
    listen
}

/// `[store]`
pub(super) fn store(root: &mut Section<'_>) -> StoreSettings {
    let mut store = StoreSettings {
        path: PathBuf::from("data/bridge.db"),
        retention: Retention { receipts: 30 * DAY, events: 400 * DAY },
        migrate: true,
    };
    let Field::Valid(mut section) = root.section("store") else { return store };
    store.path = section.parsed("url", |url| sqlite_path(&url)).unwrap_or(store.path);
    store.retention = Retention {
        receipts: section
            .duration("keep_receipts", ZeroDuration::Refused)
            .unwrap_or(store.retention.receipts),
        events: section
            .duration("keep_events", ZeroDuration::Refused)
            .unwrap_or(store.retention.events),
    };
    store.migrate = section.flag("migrate").unwrap_or(store.migrate);
    section.finish();
    store
}

/// Parses the store's URL. Errors do not repeat it, since it may hold a password.
fn sqlite_path(url: &str) -> Result<PathBuf, &'static str> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Err("names PostgreSQL, which this version does not support. Write sqlite:PATH");
    }
    let Some(path) = url.strip_prefix("sqlite:") else {
        return Err("must be sqlite:PATH, such as \"sqlite:data/bridge.db\"");
    };
    // In URL syntax `sqlite:///x` is the file /x; the meaning of `sqlite://x` differs between programs.
    let path = match path.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => return Err("has a host. Write sqlite:PATH without //"),
        None => path,
    };
    // SQLite gives both prefixes a special meaning.
    if path.is_empty() || path.starts_with(':') || path.starts_with("file:") {
        return Err("names no file. Write sqlite:PATH, such as \"sqlite:data/bridge.db\"");
    }
    Ok(PathBuf::from(path))
}

/// `[ops]`
pub(super) fn ops(root: &mut Section<'_>) -> OpsSettings {
    let Field::Valid(mut section) = root.section("ops") else { return OpsSettings { auth: None } };
    let auth = section.section("auth").valid().and_then(|mut auth| {
        let jwt = match auth.section("jwt") {
            Field::Absent => {
                auth.report(
                    "jwt",
                    "is missing. Set jwt = { algorithm = \"HS256\", secret = { env = \"NAME\" }, \
                     audience = \"webinar-bridge\" }, or remove [ops.auth]",
                );
                None
            }
            Field::Invalid => None,
            Field::Valid(section) => jwt(section),
        };
        auth.finish();
        jwt
    });
    section.finish();
    OpsSettings { auth }
}

#[derive(Clone, Copy)]
enum Algorithm {
    Hs256,
    Rs256,
}

fn jwt(mut section: Section<'_>) -> Option<JwtSettings> {
    // Pinned, never taken from a token: a public key must not be used as a shared secret.
    let algorithm =
        section.word("algorithm", &[("HS256", Algorithm::Hs256), ("RS256", Algorithm::Rs256)]);
    let algorithm = section.required("algorithm", algorithm, "Set \"HS256\" or \"RS256\"")?;
    let audience = section.text("audience");
    let audience = section.required("audience", audience, "Set the aud that tokens must have");
    let jwt = match algorithm {
        Algorithm::Hs256 => {
            let secret = section.secret("secret");
            let secret =
                section.required("secret", secret, "Set { env = \"NAME\" }, 32 bytes or more");
            secret.zip(audience).map(|(secret, audience)| JwtSettings::Hs256 { secret, audience })
        }
        Algorithm::Rs256 => {
            let url = section.url("jwks_url");
            let url = section.required("jwks_url", url, "Set the URL of the public keys");
            let issuer = section.text("issuer");
            let issuer = section.required("issuer", issuer, "Set the iss that tokens must have");
            url.zip(issuer).zip(audience).map(|((jwks_url, issuer), audience)| JwtSettings::Rs256 {
                jwks_url,
                issuer,
                audience,
            })
        }
    };
    section.finish();
    jwt
}

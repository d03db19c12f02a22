//! Settings of the process: `[listen]`, `[store]`, `[ops]`; keys, defaults and rules.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;
use super::settings::{ListenSettings, OpsSettings, StoreSettings};
use crate::ledger::Retention;
use crate::providers::Options as _;

const DAY: Duration = Duration::from_hours(24);
/// Shortest key of HS256: as long as its digest (RFC 7518, 3.2).
const HS256_MIN: usize = 32;

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
    let Some(mut section) = root.section("listen") else { return listen };
    let parse = |text: String| {
        text.parse().map_err(|_| "must be an address and a port such as \"127.0.0.1:9090\"")
    };
    listen.webhooks = section.parsed("webhooks", parse).unwrap_or(listen.webhooks);
    listen.ops = section.parsed("ops", parse).unwrap_or(listen.ops);
    listen.max_body = section.size("max_body").unwrap_or(listen.max_body);
    listen.shutdown_delay =
        section.duration_or_zero("shutdown_delay").unwrap_or(listen.shutdown_delay);
    listen.shutdown_timeout =
        section.duration_or_zero("shutdown_timeout").unwrap_or(listen.shutdown_timeout);
    if listen.webhooks == listen.ops && listen.ops.port() != 0 {
        section.add_problem("ops", "is also the address for webhooks. Choose another port");
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
    let Some(mut section) = root.section("store") else { return store };
    store.path = section.parsed("url", |url| sqlite_path(&url)).unwrap_or(store.path);
    let Retention { receipts, events } = &mut store.retention;
    *receipts = section.duration("keep_receipts").unwrap_or(*receipts);
    *events = section.duration("keep_events").unwrap_or(*events);
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
    let Some(mut section) = root.section("ops") else { return OpsSettings { has_auth: false } };
    let auth = section.section("auth");
    let has_auth = auth.is_some();
    if let Some(mut auth) = auth {
        let remedy = "Set jwt = { algorithm = \"HS256\", secret = { env = \"NAME\" }, \
                      audience = \"webinar-bridge\" }, or remove [ops.auth]";
        if let Some(jwt) = auth.required("jwt", remedy, Section::section) {
            check_jwt(jwt);
        }
        auth.finish();
    }
    section.finish();
    OpsSettings { has_auth }
}

/// Reports the problems of `ops.auth.jwt`. Its values have no use yet, apart from the secret, which is checked.
fn check_jwt(mut section: Section<'_>) {
    let choose = |section: &mut Section<'_>, key| section.choice(key, &["HS256", "RS256"]);
    let algorithm = section.required("algorithm", "Set \"HS256\" or \"RS256\"", choose);
    let Some(algorithm) = algorithm else { return };
    section.required("audience", "Set the aud that tokens must have", Section::text);
    if algorithm == "HS256" {
        let remedy = "Set { env = \"NAME\" }, 32 bytes or more";
        let read = |section: &mut Section<'_>, key| section.secret_of(key, HS256_MIN);
        section.required("secret", remedy, read);
    } else {
        section.required("jwks_url", "Set the URL of the public keys", Section::url);
        section.required("issuer", "Set the iss that tokens must have", Section::text);
    }
    section.finish();
}

//! The configuration's text.

use std::collections::BTreeMap;

use webinar_bridge::config;
use webinar_bridge::providers::Requirement;

/// The secret in the seeds.
const SECRET: &str = "kettle-whistles";

const LEAST: &str = "
[hubspot.main]
access_token = 'kettle-whistles'
[source.acme-zoom]
provider = 'zoom'
secret = 'kettle-whistles'
organizer = 'Acme'
";

const WHOLE: &str = r#"
[listen]
webhooks = "127.0.0.1:8081"
ops = "[::1]:9091"
max_body = "64KiB"
shutdown_delay = "5s"
shutdown_timeout = "0s"

[store]
url = "sqlite:/var/lib/bridge/x.db"
keep_receipts = "7d"
keep_events = "90d"
migrate = false

[ops.auth]
jwt = { algorithm = "HS256", secret = "kettle-whistles-in-thirty-two-bytes", audience = "bridge" }

[hubspot.main]
oauth = { client_id = "cid", client_secret = "kettle-whistles", refresh_token = { env = "RT" }, token_url = "http://127.0.0.1:7/t" }
base_url = "http://localhost:7"
path_prefix = "/marketing/marketing-events/2026-03"
rate_limit = { requests = 190, window = "10s" }
max_batch = 7
max_linger = "0s"
max_in_flight = 3
deliver = false
request_timeout = "9s"

[hubspot.second]
access_token = "kettle-whistles"

[source.acme-zoom]
provider = "zoom"
secrets = ["kettle-whistles", { file = "/run/secrets/old" }]
hubspot = "second"
organizer = "Acme"
external_account_id = "acct"
event_type = "CONFERENCE"
timestamp_tolerance = "9000d"
platform_accounts = ["a", "b", "a"]
path_token = "kettle-whistles"
recurring = "series"
complete_after_end = "30m"
only = '!event.name.startsWith("Internal") && event.start > timestamp("2026-01-01T00:00:00Z")'
custom_properties = { webinar_platform = "zoom", length = { cel = "size(event.name)" } }
"#;

const CUSTOM: &str = r#"
[hubspot.main]
access_token = "kettle-whistles"
[source.any]
provider = "custom"
secret = "kettle-whistles"
mask = ["people"]
format = "json"
verify = { scheme = "hmac", header = "x-sign", header_format = "t={timestamp},v1={signature}", signed = "{timestamp}.{body}", encoding = "hex", algorithm = "sha512", timestamp_unit = "ms" }
[source.any.map]
event_id = "payload.id"
account = 'headers["x-account"]'
start = "timestamp(payload.start)"
cancelled = "payload.states.exists(state, state == 'off')"
time_unit = "s"
[source.geek]
provider = "custom"
recipe = "webinargeek"
secret = "kettle-whistles"
external_account_id = "a"
map = { organizer = "'Acme'" }
[source.tokens]
provider = "custom"
external_account_id = "a"
verify = { scheme = "jwt", algorithms = ["RS256"], jwks_url = "https://id.example/keys", issuer = "me", audience = "us" }
map = { event_id = "payload.id" }
"#;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    [LEAST, WHOLE, CUSTOM].map(|text| text.as_bytes().to_vec()).into()
}

pub(super) fn check(data: &[u8]) {
    // The text comes from the operator, so a long one need not be fast to read.
    if data.len() > 16 * 1024 {
        return;
    }
    // Bytes that are no text cannot be read from a file either.
    let Ok(text) = std::str::from_utf8(data) else { return };
    let none = BTreeMap::new();
    let read = config::validate("bridge.toml", text, &none);
    let message = match &read {
        Ok(config) => {
            assert!(!config.accounts.is_empty() && !config.sources.is_empty());
            for source in config.sources.values() {
                assert!(config.accounts.contains_key(&source.policy.hubspot), "no such account");
                let needs = source.provider.scheme().secret() == Requirement::Required;
                assert!(!needs || !source.secrets.is_empty(), "no secret to verify with");
            }
            format!("{config:?}")
        }
        Err(problems) => {
            assert!(!problems.to_string().is_empty());
            format!("{problems} {problems:?}")
        }
    };
    assert!(message.len() <= 64 * text.len() + 4_096, "{} bytes of messages", message.len());
    assert!(!is_only_secret(text) || !message.contains(SECRET), "a secret is shown: {message}");

    // The same values in variables: messages name the problem, and show no secret.
    for line in text.lines().take(8) {
        let Some((key, value)) = line.split_once('=') else { continue };
        if key.to_ascii_lowercase().contains(SECRET) {
            continue;
        }
        let name = format!("BRIDGE__SOURCE__ACME_ZOOM__{}", key.trim().to_ascii_uppercase());
        let variables = BTreeMap::from([(name, value.trim().to_owned())]);
        if let Err(problems) = config::validate("bridge.toml", LEAST, &variables) {
            assert!(!problems.to_string().contains(SECRET), "{problems}");
        }
    }
}

/// Whether the marker is only in the place of secrets: elsewhere it is a value that may be shown.
fn is_only_secret(text: &str) -> bool {
    const SECRET_KEYS: [&str; 5] =
        ["secret = ", "secrets = [", "access_token = ", "client_secret = ", "path_token = "];
    text.match_indices(SECRET).all(|(at, _)| {
        let before = text.get(..at).unwrap_or_default().trim_end_matches(['"', '\'']);
        SECRET_KEYS.iter().any(|key| before.ends_with(key))
    })
}

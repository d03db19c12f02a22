//! Sources that are configured to understand any platform: their headers, their bodies and their tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use webinar_bridge::config;
use webinar_bridge::event::Millis;
use webinar_bridge::providers::{Header, Headers as _, PLATFORMS, Provider};

use super::signature::{
    NOW, OTHER, RawHeaders, SECRET, TOLERANCE, check_secret_is_needed,
    check_signature_binds_body_secret_and_time, signed, verified,
};
use super::{Message, fixtures, webhook};

/// Ways of signing in which the time has a header or an entry of its own, so that each can be taken away.
const TIMED: [&str; 2] = [
    "signed = \"{timestamp}.{body}\"\nheader = \"x-sign\"\nheader_format = \"t={timestamp},v1={signature}\"",
    "signed = \"{id}:{timestamp}:{body}\"\nheader = \"x-sign\"\nprefix = \"sha256=\"\nencoding = \"base64\"\n\
     timestamp_header = \"x-time\"\ntimestamp_unit = \"ms\"\nid_header = \"x-id\"\nalgorithm = \"sha512\"",
];
/// Other ways of signing.
const OTHERS: [&str; 7] = [
    "scheme = \"hash\"\nsigned = \"{timestamp}{secret}{body}\"\nheader = \"x-sign\"\nheader_format = \"{timestamp},{signature}\"",
    "scheme = \"hash\"\nsigned = \"{url}{body}{secret}\"\nquery = \"checksum\"\nurl = \"https://bridge.example/it\"\nalgorithm = \"sha1\"",
    "scheme = \"standard_webhooks\"",
    "scheme = \"jwt\"\nalgorithms = [\"HS256\"]\ntoken = \"body\"",
    "scheme = \"jwt\"\nalgorithms = [\"RS256\", \"PS256\"]\nissuer = \"me\"\nbody_claim = \"hash\"",
    "scheme = \"basic\"\nusername = \"me\"",
    "scheme = \"bearer\"\nheader = \"x-key\"",
];
/// An expression for every kind of field, over members that may be absent.
const MAP: &str = r#"
event_id = "payload.id"
when = "payload.when != false"
webhook = 'headers["x-event"]'
account = "payload.account"
occurred_at = "payload.at"
name = "payload.name + payload.suffix"
description = "payload.texts.map(text, text.trim()).join(' ')"
organizer = "payload.people[0].name"
event_type = "payload.kind.upperAscii()"
start = "payload.start"
end = "timestamp(payload.end) + duration('90m')"
duration_minutes = "payload.minutes / payload.parts"
actual_end = "received_at"
timezone = "payload.zone"
registration_url = "payload.url"
join_url = "payload.url + '?' + payload.query"
cancelled = "payload.states.exists(state, state == 'off')"
completed = "payload.over"
full_picture = "has(payload.name) || payload.full"
time_unit = "ms"
"#;

/// A custom source with this `verify` table, and these other settings.
fn source(verify: &str, other_settings: &str) -> Arc<dyn Provider> {
    let scheme = if verify.starts_with("scheme") { "" } else { "scheme = \"hmac\"\n" };
    let text = format!(
        "[hubspot.main]\naccess_token = \"x\"\n[source.it]\nprovider = \"custom\"\nsecret = \"x\"\n{other_settings}\n\
         [source.it.verify]\n{scheme}{verify}\n[source.it.map]\n{MAP}"
    );
    let mut config = config::validate("fuzz", &text, &BTreeMap::new()).expect("it is valid");
    let (_, source) = config.sources.pop_first().expect("it has a source");
    Arc::clone(&source.provider)
}

static TIMED_SOURCES: LazyLock<Vec<Arc<dyn Provider>>> =
    LazyLock::new(|| TIMED.map(|verify| source(verify, "")).to_vec());
static OTHER_SOURCES: LazyLock<Vec<Arc<dyn Provider>>> = LazyLock::new(|| {
    let mut sources: Vec<_> = OTHERS.map(|verify| source(verify, "")).to_vec();
    sources.push(source(TIMED[0], "format = \"form\"\nmask = [\"people\"]"));
    sources
});
/// The recipes, as the sandbox shows them.
static RECIPES: LazyLock<Vec<Arc<dyn Provider>>> = LazyLock::new(|| {
    let custom = PLATFORMS.iter().find(|platform| platform.id.as_str() == "custom");
    let demos = (custom.expect("it is built in").demos)().into_iter().map(|demo| {
        let text = format!(
            "[hubspot.main]\naccess_token = \"x\"\n[source.it]\nprovider = \"custom\"\n{}\n",
            demo.settings("")
        );
        let mut config = config::validate("fuzz", &text, &BTreeMap::new()).expect("it is valid");
        config.sources.pop_first().expect("it has a source").1.provider.clone()
    });
    demos.collect()
});

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let payload = json!({
        "id": "e-1", "when": true, "account": 7, "at": 1_800_000_000_000_i64, "name": "Tea", "suffix": " live",
        "texts": [" a", "b "], "people": [{ "name": "Acme", "email": "a@b.example" }], "kind": "webinar",
        "start": "2027-02-03T10:00:00", "end": "2027-02-03T10:00:00Z", "minutes": 90, "parts": 2,
        "zone": "Europe/Berlin", "url": "https://x.example/a", "query": "pwd=1", "states": ["on", "off"],
        "over": true, "full": false,
    });
    let mut seeds = Vec::new();
    let bodies =
        [payload.to_string().into_bytes(), b"id=e-1&name=Tea&suffix=&email=a%40b.example".to_vec()];
    for body in &bodies {
        for source in TIMED_SOURCES.iter().chain(&OTHER_SOURCES[..1]) {
            let mut seed = Vec::new();
            for (name, value) in signed(source.as_ref(), body).headers {
                seed.extend(format!("{name}: {value}\n").into_bytes());
            }
            seed.extend(b"x-event: made\n\n");
            seed.extend(body);
            seeds.push(seed);
        }
    }
    let whole = signed(OTHER_SOURCES[3].as_ref(), &bodies[0]);
    seeds.push([b"x: y\n\n", whole.body.as_slice()].concat());
    for recipe in ["zuddl", "webinargeek", "sequel", "sessions_us", "airmeet"] {
        let bodies = fixtures(&format!("custom/{recipe}")).into_iter();
        let bodies = bodies.filter(|(name, _)| !name.ends_with("expected"));
        seeds.extend(bodies.map(|(_, body)| [b"x-event: made\n\n", body.as_slice()].concat()));
    }
    seeds
}

pub(super) fn check(data: &[u8]) {
    let message = Message::from_bytes(data);
    let headers = RawHeaders(&message.lines);
    // Reading depends on the format alone: JSON, a token, a form.
    let formats = [&TIMED_SOURCES[0], &OTHER_SOURCES[3], &OTHER_SOURCES[7]];
    for source in formats.into_iter().chain(RECIPES.iter()) {
        webhook::check_payload(source.as_ref(), message.body);
    }
    for source in TIMED_SOURCES.iter().chain(OTHER_SOURCES.iter()) {
        check_secret_is_needed(source.as_ref(), &headers, message.body);
    }
    let keyed = TIMED_SOURCES[0].as_ref();
    let accepted = verified(keyed, &headers, message.body, &[OTHER, SECRET], NOW);
    assert_eq!(
        accepted.is_ok(),
        is_signed(&headers, message.body),
        "the other implementation disagrees"
    );
    for source in TIMED_SOURCES.iter() {
        check_signature_binds_body_secret_and_time(source.as_ref(), message.body);
    }
}

/// The first way of signing, in a second implementation: entries `t={seconds}` (one) and `v1={hex of HMAC-SHA256 of t.body}` (some).
fn is_signed(headers: &RawHeaders<'_>, body: &[u8]) -> bool {
    let Header::One(value) = headers.lookup("x-sign") else { return false };
    let entries: Vec<&[u8]> = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
    let under = |key: &str| -> Vec<&[u8]> {
        entries.iter().filter_map(|entry| entry.strip_prefix(key.as_bytes())).collect()
    };
    let (times, signatures) = (under("t="), under("v1="));
    let [time] = times.as_slice() else { return false };
    if time.is_empty() || time.len() > 12 || !time.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let seconds: i64 = std::str::from_utf8(time).expect("digits").parse().expect("few digits");
    let apart = Millis::new(seconds * 1_000).distance(NOW);
    let made_by = |secret: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
        mac.update(&[*time, b".", body].concat());
        let right = hex::encode(mac.finalize().into_bytes());
        signatures.iter().take(16).any(|one| one.eq_ignore_ascii_case(right.as_bytes()))
    };
    apart <= TOLERANCE && (made_by(SECRET) || made_by(OTHER))
}

//! A platform's demonstration: its source in the sandbox, its webhooks there, and the answers of its emulated API.
//!
//! `demo.json` in the platform's folder holds a [`Demo`]. The samples are templates:
//!
//! * the text `{{now+1h}}` is a time relative to the present second, in RFC 3339. The units of the offset are `d`, `h`,
//!   `m` and `s`: `{{now}}`, `{{now-1d2h}}`;
//! * `as` changes the format: `{{now as s}}` and `{{now as ms}}` are numbers since 1970, `{{now as ms text}}` is such a
//!   number as text, and `{{now as text without zone}}` is `2026-01-01 12:00:00`;
//! * the object `{"$json": VALUE}` is a text, the value as JSON;
//! * the object `{"$form": FIELDS}` is a text, the fields as `application/x-www-form-urlencoded`.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use toml::Table;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::event::Millis;

const WELL_FORMED: &str = "demonstrations are part of the program, and a test renders each";

/// A source of a platform in the sandbox, with its credentials and webhooks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demo {
    /// Name of the source.
    pub source: &'static str,
    /// The keys of `[source.NAME]` except `provider` and `organizer`. `{api}` is replaced by the address of the
    /// emulated platform's API.
    settings: Table,
    /// Key that the platform signs with, where it is not the source's secret: the private key to its public key.
    signing_key: Option<String>,
    /// Authentication of the platform's emulated API.
    #[serde(default)]
    pub api: DemoApi,
    /// Template of the list of [`Sample`]s.
    samples: Value,
}

impl Demo {
    /// Parses a `demo.json`.
    pub(super) fn parse(json: &'static str) -> Self {
        serde_json::from_str(json).expect(WELL_FORMED)
    }

    /// The lines of `[source.NAME]` except `provider` and `organizer`, with this address of the platform's API.
    #[must_use]
    pub fn settings(&self, api: &str) -> String {
        let lines = self.settings.iter().map(|(key, value)| format!("{key} = {value}\n"));
        lines.collect::<String>().replace("{api}", api)
    }

    /// Key that the platform signs with; empty if it does not sign.
    #[must_use]
    pub fn signing_key(&self) -> &str {
        self.signing_key.as_deref().or_else(|| self.setting("secret")).unwrap_or_default()
    }

    /// Last part of the URL, for platforms that do not sign.
    #[must_use]
    pub fn path_token(&self) -> Option<&str> {
        self.setting("path_token")
    }

    /// The webhooks in chronological order: the whole life of webinars around `now`, sent before it.
    #[must_use]
    pub fn samples(&self, now: Millis) -> Vec<Sample> {
        let samples = render(&self.samples, now).expect(WELL_FORMED);
        serde_json::from_value(samples).expect(WELL_FORMED)
    }

    fn setting(&self, key: &str) -> Option<&str> {
        self.settings.get(key)?.as_str()
    }
}

/// Authentication of a platform's emulated API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemoApi {
    /// The platform has no emulated API.
    #[default]
    None,
    /// A request header (name in lower case) with this value.
    Header(&'static str, &'static str),
    /// `authorization: Bearer TOKEN` with a token that `POST {api}/oauth/token` issues for this client id and secret
    /// (HTTP Basic).
    Client(&'static str, &'static str),
}

/// A sample webhook.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// What happens, for people: `the host moves the start by an hour`.
    pub summary: String,
    /// The body.
    #[serde(deserialize_with = "deserialize_body")]
    pub body: Vec<u8>,
    /// Answers of the platform's API after this webhook, by path and query: `/v2/webinars/1`.
    #[serde(default)]
    pub answers: BTreeMap<String, Value>,
}

/// A text is the body itself; other values are sent as JSON.
fn deserialize_body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let body = Value::deserialize(deserializer)?;
    Ok(body.as_str().map_or_else(|| body.to_string(), str::to_owned).into_bytes())
}

/// Renders a template at `now`; none if it is malformed.
fn render(template: &Value, now: Millis) -> Option<Value> {
    Some(match template {
        Value::String(text) => {
            match text.strip_prefix("{{").and_then(|text| text.strip_suffix("}}")) {
                Some(time) => render_time(time, now)?,
                None => template.clone(),
            }
        }
        Value::Array(items) => items.iter().map(|item| render(item, now)).collect::<Option<_>>()?,
        Value::Object(members) => {
            let member = |(name, value): (&String, _)| Some((name.clone(), render(value, now)?));
            let members: Map<String, Value> = members.iter().map(member).collect::<Option<_>>()?;
            match (members.get("$json"), members.get("$form")) {
                (Some(value), _) => value.to_string().into(),
                (None, Some(fields)) => render_form(fields)?.into(),
                (None, None) => Value::Object(members),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => template.clone(),
    })
}

fn render_form(fields: &Value) -> Option<String> {
    let mut form = Serializer::new(String::new());
    for (name, value) in fields.as_object()? {
        form.append_pair(name, value.as_str()?);
    }
    Some(form.finish())
}

/// Renders a time: `now-1d2h as ms`.
fn render_time(template: &str, now: Millis) -> Option<Value> {
    let (time, format) = template.split_once(" as ").unwrap_or((template, "RFC 3339"));
    let offset = match time.strip_prefix("now")? {
        "" => Span::new(),
        offset => offset.parse().ok()?,
    };
    let second = Timestamp::from_second(now.get().div_euclid(1_000)).ok()?;
    let at = second.to_zoned_datetime(TimeZone::UTC).checked_add(offset).ok()?;
    let (ms, seconds) = (at.timestamp().as_millisecond(), at.timestamp().as_second());
    Some(match format {
        "RFC 3339" => at.timestamp().to_string().into(),
        "s" => seconds.into(),
        "ms" => ms.into(),
        "ms text" => ms.to_string().into(),
        "text without zone" => at.strftime("%F %T").to_string().into(),
        _ => return None,
    })
}

/// A webhook before signing.
#[derive(Clone, Copy)]
pub struct UnsignedRequest<'a> {
    /// URL of the endpoint, as registered at the platform.
    pub url: &'a Url,
    /// The body.
    pub body: &'a [u8],
    /// The secret that signs.
    pub secret: &'a [u8],
    /// Time of signing.
    pub now: Millis,
}

/// A signed webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// URL of the request; some platforms sign in the query.
    pub url: Url,
    /// The headers; `content-type` only where it is not `application/json`.
    pub headers: Vec<(String, String)>,
    /// The body; some platforms wrap it to sign it.
    pub body: Vec<u8>,
}

impl SignedRequest {
    /// Adds the headers that sign the request.
    #[must_use]
    pub fn with_headers(request: UnsignedRequest<'_>, headers: Vec<(String, String)>) -> Self {
        Self { url: request.url.clone(), headers, body: request.body.to_vec() }
    }

    /// Replaces the body by a token.
    pub(super) fn with_token_body(request: UnsignedRequest<'_>, token: String) -> Self {
        let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
        Self { body: token.into_bytes(), ..Self::with_headers(request, headers) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::conformance::provider_from_config;
    use crate::providers::{Inbound, PLATFORMS, PayloadContent};

    const NOW: Millis = Millis::new(1_790_000_000_999);

    #[test]
    fn times_are_relative_to_the_present_second() {
        for (template, expected) in [
            ("{{now}}", json!("2026-09-21T14:13:20Z")),
            ("{{now+1h}}", json!("2026-09-21T15:13:20Z")),
            ("{{now-1d2h3m4s}}", json!("2026-09-20T12:10:16Z")),
            ("{{now+2s as s}}", json!(1_790_000_002)),
            ("{{now-2s as ms}}", json!(1_789_999_998_000_i64)),
            ("{{now as ms text}}", json!("1790000000000")),
            ("{{now+30d as text without zone}}", json!("2026-10-21 14:13:20")),
            ("now", json!("now")),
        ] {
            assert_eq!(render(&json!(template), NOW), Some(expected), "{template}");
        }
        for malformed in ["{{}}", "{{later}}", "{{now+1}}", "{{now+1x}}", "{{now as minutes}}"] {
            assert_eq!(render(&json!([{ "a": malformed }]), NOW), None, "{malformed}");
        }
    }

    #[test]
    fn packed_values_become_text() {
        let template =
            json!({ "$form": { "a": "x y", "b": { "$json": [{ "at": "{{now as s}}" }] } } });
        let form = "a=x+y&b=%5B%7B%22at%22%3A1790000000%7D%5D";
        assert_eq!(render(&template, NOW), Some(json!(form)));
        let sample: Sample =
            serde_json::from_value(json!({ "summary": "", "body": form })).expect("a sample");
        assert_eq!(sample.body, form.as_bytes());
    }

    /// Each demonstration parses and renders, its settings configure a source, and the source reads its samples.
    #[test]
    fn each_source_reads_its_samples() {
        for platform in PLATFORMS {
            for demo in (platform.demos)() {
                let settings = demo.settings("https://platform.example");
                let settings = format!("provider = \"{}\"\n{settings}", platform.id);
                let provider = provider_from_config(&settings).expect("valid settings");
                let samples = demo.samples(NOW);
                assert!(samples.len() >= 2, "{}", demo.source);
                for Sample { summary, body, .. } in samples {
                    let parsed =
                        provider.read(&Inbound::from_body(&body).scrub(provider.as_ref()), &[]);
                    match parsed.content {
                        PayloadContent::Changes { bad_fields, .. } => {
                            assert_eq!(
                                bad_fields,
                                Vec::<&str>::new(),
                                "{}: {summary}",
                                demo.source
                            );
                        }
                        PayloadContent::Ignored | PayloadContent::Excluded => {}
                        content
                        @ (PayloadContent::Unmappable(_) | PayloadContent::Handshake(_)) => {
                            panic!("{}: {summary}: {content:?}", demo.source)
                        }
                    }
                }
            }
        }
    }
}

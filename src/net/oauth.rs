//! Requests for access tokens (RFC 6749), their responses, and refresh tokens that a response replaces.
//!
//! The callers decide when to request a token, and how to react to a refusal.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use url::Url;
use url::form_urlencoded::Serializer;

use super::http::{HttpMethod, HttpRequest, parse_json_object};
use crate::secret::secrets_equal;

/// Longest response, in bytes: one with a token has some kilobytes at most.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Longest believable lifetime; it keeps sums of times from overflowing.
const MAX_LIFETIME: Duration = Duration::from_hours(24 * 366);

/// How a client authenticates at a token endpoint (RFC 6749, 2.3.1).
#[derive(Debug, Clone, Copy)]
pub enum ClientAuth {
    /// HTTP Basic.
    Basic,
    /// `client_id` and `client_secret` in the form.
    Form,
}

/// Builds the request for a token: this form, and the client's authentication.
#[must_use]
pub fn token_request(
    token_url: &Url,
    auth: ClientAuth,
    client: (&str, &SecretString),
    form: &[(&str, &str)],
    timeout: Duration,
) -> HttpRequest {
    let (id, secret) = (client.0, client.1.expose_secret());
    let mut headers: Vec<(Cow<'static, str>, SecretString)> = vec![
        ("content-type".into(), "application/x-www-form-urlencoded".into()),
        ("accept".into(), "application/json".into()),
    ];
    let mut body = Serializer::new(String::new());
    body.extend_pairs(form);
    match auth {
        ClientAuth::Basic => {
            let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
            headers.push(("authorization".into(), basic.into()));
        }
        ClientAuth::Form => {
            body.append_pair("client_id", id).append_pair("client_secret", secret);
        }
    }
    HttpRequest {
        method: HttpMethod::Post,
        url: token_url.clone(),
        headers,
        body: body.finish().into_bytes(),
        timeout,
        max_response_bytes: MAX_RESPONSE_BYTES,
    }
}

/// Response of a token endpoint that granted a token (RFC 6749, 5.1).
pub struct TokenGrant {
    /// The token.
    pub access_token: SecretString,
    /// Time until the token expires, at most a year.
    pub lifetime: Duration,
    /// Refresh token that replaces the one in the request.
    pub refresh_token: Option<SecretString>,
}

impl TokenGrant {
    /// Parses the body of a 2xx response; none if it is no grant. The parser's message is dropped: it could repeat the
    /// token. If the endpoint does not state the lifetime, it is the default; without a default, that is no grant.
    #[must_use]
    pub fn parse(body: &[u8], default_lifetime: Option<Duration>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire {
            access_token: String,
            #[serde(default, deserialize_with = "parse_lifetime")]
            expires_in: Option<Duration>,
            refresh_token: Option<String>,
        }
        let Wire { access_token, expires_in, refresh_token } = parse_json_object(body)?;
        Some(Self {
            access_token: access_token.into(),
            lifetime: expires_in.or(default_lifetime)?,
            refresh_token: refresh_token.map(SecretString::from),
        })
    }
}

/// How long a token of that lifetime is used before it is renewed: until `margin` before its end, or a fifth of its
/// lifetime if that is less.
#[must_use]
pub fn usable_for(lifetime: Duration, margin: Duration) -> Duration {
    lifetime.saturating_sub(margin.min(lifetime / 5))
}

/// Seconds: a number by the RFC; some endpoints write text.
fn parse_lifetime<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(u64),
        Text(String),
    }
    let seconds = match Option::<Seconds>::deserialize(deserializer)? {
        None => None,
        Some(Seconds::Number(seconds)) => Some(seconds),
        Some(Seconds::Text(text)) => Some(text.trim().parse().map_err(serde::de::Error::custom)?),
    };
    Ok(seconds.map(|seconds| Duration::from_secs(seconds).min(MAX_LIFETIME)))
}

/// A refresh token that responses may replace. The replacement is in memory only: after a start the configured one
/// counts again.
#[derive(Default)]
pub struct RefreshTokenRotation {
    /// The configured refresh token that was used last.
    configured: Option<SecretString>,
    /// The one that replaces it.
    replacement: Option<SecretString>,
}

impl RefreshTokenRotation {
    /// The refresh token to use. A newly configured one wins over the replacement of the old one.
    pub fn current(&mut self, configured: &SecretString) -> SecretString {
        if !self.configured.as_ref().is_some_and(|used| secrets_equal(used, configured)) {
            *self = Self { configured: Some(configured.clone()), replacement: None };
        }
        self.replacement.as_ref().unwrap_or(configured).clone()
    }

    /// Records the replacement of the present refresh token that a response granted, if it did.
    pub fn replace(&mut self, by: Option<SecretString>) {
        self.replacement = by.or(self.replacement.take());
    }

    /// Drops a replacement that was refused: the configured one may still be valid, as a restart would find out.
    pub fn reset(&mut self) {
        self.replacement = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const DEFAULT: Option<Duration> = Some(MINUTE);

    /// The lifetime that is parsed; an error if the body is no grant.
    fn lifetime_of(expires_in: &str) -> Result<Duration, ()> {
        let body = format!(r#"{{"access_token":"a","token_type":"bearer"{expires_in}}}"#);
        TokenGrant::parse(body.as_bytes(), DEFAULT).map(|granted| granted.lifetime).ok_or(())
    }

    #[test]
    fn parse_any_form_of_lifetime_reads_seconds() {
        let hour = Duration::from_hours(1);
        assert_eq!(lifetime_of(r#","expires_in":3600"#), Ok(hour));
        assert_eq!(lifetime_of(r#","expires_in":"3600""#), Ok(hour));
        assert_eq!(lifetime_of(""), Ok(MINUTE));
        assert_eq!(lifetime_of(r#","expires_in":null"#), Ok(MINUTE));
        assert!(TokenGrant::parse(br#"{"access_token":"a"}"#, None).is_none());
        assert_eq!(lifetime_of(r#","expires_in":18446744073709551615"#), Ok(MAX_LIFETIME));
        for wrong in [r#","expires_in":-1"#, r#","expires_in":"soon""#, r#","expires_in":[3600]"#] {
            assert_eq!(lifetime_of(wrong), Err(()), "{wrong}");
        }
    }

    #[test]
    fn parse_no_grant_is_none() {
        for body in ["", "{}", r#"["a",3600,null]"#, r#"{"access_token":7}"#, "<html>"] {
            assert!(TokenGrant::parse(body.as_bytes(), DEFAULT).is_none(), "{body}");
        }
    }

    #[test]
    fn token_request_either_authentication_carries_the_client() {
        let url: Url = "https://platform.example/token".parse().expect("a URL");
        let secret = SecretString::from("s=&é");
        let form = [("grant_type", "client_credentials")];
        let build =
            |auth| token_request(&url, auth, ("app:1", &secret), &form, Duration::from_secs(1));
        let header = |request: &HttpRequest| {
            let mut headers = request.headers.iter();
            let found = headers.find(|(name, _)| name == "authorization");
            found.map(|(_, value)| value.expose_secret().to_owned())
        };
        let basic = build(ClientAuth::Basic);
        assert_eq!(basic.body, b"grant_type=client_credentials");
        assert_eq!(header(&basic).as_deref(), Some("Basic YXBwOjE6cz0mw6k="));
        let in_form = build(ClientAuth::Form);
        let expected =
            b"grant_type=client_credentials&client_id=app%3A1&client_secret=s%3D%26%C3%A9";
        assert_eq!((in_form.body.as_slice(), header(&in_form)), (expected.as_slice(), None));
    }

    #[test]
    fn rotation_replacement_holds_until_another_is_configured() {
        let text = |token: &SecretString| token.expose_secret().to_owned();
        let (one, two) = (SecretString::from("one"), SecretString::from("two"));
        let mut rotation = RefreshTokenRotation::default();
        assert_eq!(text(&rotation.current(&one)), "one");
        rotation.replace(None);
        assert_eq!(text(&rotation.current(&one)), "one");
        rotation.replace(Some("replacement".into()));
        rotation.replace(None);
        assert_eq!(text(&rotation.current(&one)), "replacement");
        assert_eq!(text(&rotation.current(&two)), "two");
        assert_eq!(text(&rotation.current(&one)), "one", "another was configured meanwhile");
        rotation.replace(Some("replacement".into()));
        rotation.reset();
        assert_eq!(text(&rotation.current(&one)), "one");
    }

    #[test]
    fn usable_for_any_lifetime_ends_before_it() {
        let minutes = Duration::from_mins;
        assert_eq!(usable_for(minutes(30), minutes(5)), minutes(25));
        assert_eq!(usable_for(minutes(10), minutes(5)), minutes(8));
        assert_eq!(usable_for(Duration::ZERO, minutes(5)), Duration::ZERO);
    }
}

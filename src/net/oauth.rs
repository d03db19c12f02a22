//! The wire of buying access tokens (RFC 6749): the request, the answer, and refresh tokens that are replaced.
//!
//! When a token is bought, and what it means that none is to be had, is for those who need it.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use url::Url;
use url::form_urlencoded::Serializer;

use super::{HttpMethod, HttpRequest};
use crate::secret::secrets_equal;

/// An answer with a token has some kilobytes at most.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// No believable token lives longer; keeps sums of times from overflowing.
const MAX_LIFETIME: Duration = Duration::from_hours(24 * 366);

/// How a client proves itself to a token endpoint (RFC 6749, 2.3.1).
#[derive(Debug, Clone, Copy)]
pub enum ClientAuth {
    /// HTTP Basic.
    Basic,
    /// `client_id` and `client_secret` in the form.
    Form,
}

/// Asks for a token: this form, and the client's proof.
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
            let proof = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
            headers.push(("authorization".into(), proof.into()));
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

/// What a token endpoint granted (RFC 6749, 5.1).
pub struct TokenGrant {
    /// The token.
    pub access_token: SecretString,
    /// How long it is good; none if the endpoint does not say. At most a year.
    pub lifetime: Option<Duration>,
    /// What takes the place of the refresh token that it was bought with.
    pub refresh_token: Option<SecretString>,
}

impl TokenGrant {
    /// Reads an answer of 2xx; none if it is no grant. The parser's own words are not passed on: they could repeat the token.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire {
            access_token: String,
            #[serde(default, deserialize_with = "parse_lifetime")]
            expires_in: Option<Duration>,
            refresh_token: Option<String>,
        }
        // What is derived would take an array, too.
        let begins = body.trim_ascii_start().starts_with(b"{");
        let wire: Wire = begins.then(|| serde_json::from_slice(body).ok()).flatten()?;
        let Wire { access_token, expires_in, refresh_token } = wire;
        let refresh_token = refresh_token.map(SecretString::from);
        Some(Self { access_token: access_token.into(), lifetime: expires_in, refresh_token })
    }
}

/// For how long a token of that life is used before another is bought: to `margin` before its end, or a fifth of its life if
/// that is less.
#[must_use]
pub fn usable_for(life: Duration, margin: Duration) -> Duration {
    life.saturating_sub(margin.min(life / 5))
}

/// Seconds: a number by the RFC; some write it as text.
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

/// A refresh token that may have been replaced. In memory only: after a start it is the configured one again.
#[derive(Default)]
pub struct RefreshTokenRotation {
    /// The configured one, and what has come in its place.
    replacement: Option<(SecretString, SecretString)>,
}

impl RefreshTokenRotation {
    /// The one to use, given the configured one. A new configured one wins over what grew out of the old one.
    pub fn current(&mut self, configured: &SecretString) -> SecretString {
        self.replacement.take_if(|(old, _)| !secrets_equal(old, configured));
        self.replacement.as_ref().map_or(configured, |(_, by)| by).clone()
    }

    /// Another was granted in the place of the present one, if one was.
    pub fn replace(&mut self, configured: SecretString, by: Option<SecretString>) {
        if let Some(by) = by {
            self.replacement = Some((configured, by));
        }
    }

    /// The present one was refused: the configured one may still be good, as a restart would find out.
    pub fn reset(&mut self) {
        self.replacement = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The life that is read, or none if it is no grant.
    fn life_of(expires_in: &str) -> Result<Option<Duration>, ()> {
        let body = format!(r#"{{"access_token":"a","token_type":"bearer"{expires_in}}}"#);
        TokenGrant::parse(body.as_bytes()).map(|granted| granted.lifetime).ok_or(())
    }

    #[test]
    fn a_grant_is_read_whatever_way_its_life_is_written() {
        let hour = Some(Duration::from_hours(1));
        assert_eq!(life_of(r#","expires_in":3600"#), Ok(hour));
        assert_eq!(life_of(r#","expires_in":"3600""#), Ok(hour));
        assert_eq!(life_of(""), Ok(None));
        assert_eq!(life_of(r#","expires_in":null"#), Ok(None));
        assert_eq!(life_of(r#","expires_in":18446744073709551615"#), Ok(Some(MAX_LIFETIME)));
        for wrong in [r#","expires_in":-1"#, r#","expires_in":"soon""#, r#","expires_in":[3600]"#] {
            assert_eq!(life_of(wrong), Err(()), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_grant_is_none() {
        for body in ["", "{}", r#"["a",3600,null]"#, r#"{"access_token":7}"#, "<html>"] {
            assert!(TokenGrant::parse(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn the_client_proves_itself_in_one_of_two_ways() {
        let url: Url = "https://platform.example/token".parse().expect("a URL");
        let secret = SecretString::from("s=&é");
        let form = [("grant_type", "client_credentials")];
        let of =
            |auth| token_request(&url, auth, ("app:1", &secret), &form, Duration::from_secs(1));
        let header = |request: &HttpRequest| {
            let mut headers = request.headers.iter();
            let found = headers.find(|(name, _)| name == "authorization");
            found.map(|(_, value)| value.expose_secret().to_owned())
        };
        let basic = of(ClientAuth::Basic);
        assert_eq!(basic.body, b"grant_type=client_credentials");
        assert_eq!(header(&basic).as_deref(), Some("Basic YXBwOjE6cz0mw6k="));
        let in_form = of(ClientAuth::Form);
        let expected =
            b"grant_type=client_credentials&client_id=app%3A1&client_secret=s%3D%26%C3%A9";
        assert_eq!((in_form.body.as_slice(), header(&in_form)), (expected.as_slice(), None));
    }

    #[test]
    fn a_refresh_token_is_replaced_until_another_is_configured() {
        let text = |token: &SecretString| token.expose_secret().to_owned();
        let (one, two) = (SecretString::from("one"), SecretString::from("two"));
        let mut rotation = RefreshTokenRotation::default();
        assert_eq!(text(&rotation.current(&one)), "one");
        rotation.replace(one.clone(), None);
        assert_eq!(text(&rotation.current(&one)), "one");
        rotation.replace(one.clone(), Some("grown".into()));
        assert_eq!(text(&rotation.current(&one)), "grown");
        assert_eq!(text(&rotation.current(&two)), "two");
        assert_eq!(text(&rotation.current(&one)), "one", "the other was configured meanwhile");
        rotation.replace(one.clone(), Some("grown".into()));
        rotation.reset();
        assert_eq!(text(&rotation.current(&one)), "one");
    }

    #[test]
    fn a_token_is_not_used_to_its_end() {
        let minutes = Duration::from_mins;
        assert_eq!(usable_for(minutes(30), minutes(5)), minutes(25));
        assert_eq!(usable_for(minutes(10), minutes(5)), minutes(8));
        assert_eq!(usable_for(Duration::ZERO, minutes(5)), Duration::ZERO);
    }
}

//! What proves us to a platform: a token that is given, or tokens that end and are bought anew.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::platform_client::MeteredHttp;
use super::verdict::{self, FetchVerdict, TemporaryFailure, judge};
use crate::net::HttpRequest;
use crate::net::oauth::{self, ClientAuth, RefreshTokenRotation, TokenGrant};
use crate::providers::ApiCredentials;
use crate::secret::{Secret, secrets_equal};

/// For everything of buying a token.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A token is bought anew this long before it ends.
const MARGIN: Duration = Duration::from_mins(2);
/// What is taken for a token's life where the platform does not say: RFC 6749, 4.2.2, has the server document it. An
/// hour is what the platforms known here give.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(1);

/// The credentials of one source. A token that ends is bought when it is needed, once for all who wait for it.
pub(super) struct PlatformTokens {
    credentials: ApiCredentials,
    http: MeteredHttp,
    present: Mutex<Present>,
}

/// A request header that proves us.
pub(super) struct AuthHeader {
    pub(super) header: &'static str,
    pub(super) value: SecretString,
}

#[derive(Default)]
struct Present {
    /// The header's value, and when to buy another.
    bought: Option<(SecretString, Instant)>,
    refresh: RefreshTokenRotation,
}

/// No token is to be had.
#[derive(Debug)]
pub(super) struct TokenError {
    /// For operators.
    pub(super) reason: String,
    /// How long to wait before it is tried again, where that is known.
    pub(super) wait: Option<Duration>,
}

impl PlatformTokens {
    /// Nothing is bought yet.
    pub(super) fn new(credentials: ApiCredentials, line: MeteredHttp) -> Self {
        Self { credentials, http: line, present: Mutex::default() }
    }

    /// What is good as far as is known.
    ///
    /// # Cancel safety
    /// A cancelled purchase may have been carried out; the next call buys again.
    pub(super) async fn auth_header(&self) -> Result<AuthHeader, TokenError> {
        if let ApiCredentials::Token { header, prefix, token } = &self.credentials {
            let token = read_secret(token, "token")?;
            let value = format!("{prefix}{}", token.expose_secret()).into();
            return Ok(AuthHeader { header, value });
        }
        let mut present = self.present.lock().await;
        if let Some((value, renew_at)) = &present.bought
            && Instant::now() < *renew_at
        {
            return Ok(AuthHeader { header: "authorization", value: value.clone() });
        }
        let (token, life) = self.request_token(&mut present).await?;
        let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
        let renew_at = Instant::now() + oauth::usable_for(life, MARGIN);
        present.bought = Some((value.clone(), renew_at));
        Ok(AuthHeader { header: "authorization", value })
    }

    /// Whether asking for credentials again may bring others than these, which were refused.
    pub(super) async fn may_replace(&self, refused: &SecretString) -> bool {
        if matches!(self.credentials, ApiCredentials::Token { .. }) {
            return self
                .auth_header()
                .await
                .is_ok_and(|proof| !secrets_equal(&proof.value, refused));
        }
        // Another call may have bought a new one meanwhile.
        self.present.lock().await.bought.take_if(|(value, _)| secrets_equal(value, refused));
        true
    }

    /// The purchase, and the configured refresh token that it rests on, if it does on one.
    fn token_request(
        &self,
        present: &mut Present,
    ) -> Result<(HttpRequest, Option<SecretString>), TokenError> {
        let request = |token_url, client_id: &str, client_secret, form: &[(&str, &str)]| {
            let client_secret = read_secret(client_secret, "client_secret")?;
            let client = (client_id, &client_secret);
            Ok(oauth::token_request(token_url, ClientAuth::Basic, client, form, TIMEOUT))
        };
        match &self.credentials {
            ApiCredentials::Token { .. } => Err(TokenError::new("there is none to be bought")),
            ApiCredentials::ClientCredentials { token_url, client_id, client_secret, form } => {
                let form: Vec<(&str, &str)> =
                    form.iter().map(|(name, value)| (*name, value.as_str())).collect();
                Ok((request(token_url, client_id, client_secret, &form)?, None))
            }
            ApiCredentials::RefreshToken { token_url, client_id, client_secret, refresh_token } => {
                let configured = read_secret(refresh_token, "refresh_token")?;
                let refresh = present.refresh.current(&configured);
                let form =
                    [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
                Ok((request(token_url, client_id, client_secret, &form)?, Some(configured)))
            }
        }
    }

    async fn request_token(
        &self,
        present: &mut Present,
    ) -> Result<(SecretString, Duration), TokenError> {
        let (request, configured) = self.token_request(present)?;
        let answer = self.http.send(request).await;
        let response = match (judge(&answer), answer) {
            (FetchVerdict::Answered, Ok(response)) => response,
            (FetchVerdict::RetryLater(TemporaryFailure { reason: why, wait, .. }), _) => {
                return Err(TokenError { wait, ..TokenError::new(&why) });
            }
            (FetchVerdict::Rejected(why), _) => return Err(TokenError::new(&why)),
            (
                FetchVerdict::Unauthorized
                | FetchVerdict::Forbidden
                | FetchVerdict::NotFound
                | FetchVerdict::Answered,
                _,
            ) => return Err(TokenError::new("the credentials are refused")),
        };
        let granted = TokenGrant::parse(&response.body);
        let granted = granted.ok_or_else(|| TokenError::new("the answer holds no access_token"))?;
        if let Some(configured) = configured {
            present.refresh.replace(configured, granted.refresh_token);
        }
        Ok((granted.access_token, granted.lifetime.unwrap_or(DEFAULT_LIFETIME)))
    }
}

impl TokenError {
    fn new(why: &str) -> Self {
        Self {
            reason: format!("no token is to be had: {why}"),
            wait: Some(verdict::refusal_wait()),
        }
    }
}

fn read_secret(secret: &Secret, which: &str) -> Result<SecretString, TokenError> {
    secret.read().map_err(|error| TokenError::new(&format!("api.{which} cannot be read: {error}")))
}

//! The credentials header of a platform's API: a fixed token, or tokens that expire and are renewed.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::metered_http::MeteredHttp;
use super::verdict::{FailureKind, PlatformError, REFUSAL_WAIT, SourceFailure, judge};
use crate::net::oauth::{self, ClientAuth, RefreshTokenRotation, TokenGrant};
use crate::net::{CredentialsFingerprint, HttpRequest, TokenCache, TokenIssuer, TokenIssuerError};
use crate::providers::PlatformCredentials;
use crate::secret::{Secret, secrets_equal};

/// Timeout of one whole token request.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A token is renewed this long before it expires.
const MARGIN: Duration = Duration::from_mins(2);
/// Assumed lifetime of a token for which the platform names none: RFC 6749, 4.2.2, has the server document it. The
/// platforms known here grant an hour.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(1);

/// The credentials of one source. A token that expires is requested when it is needed, once for every caller that
/// waits.
pub(super) struct PlatformTokens {
    issuer: PlatformTokenIssuer,
    cache: TokenCache<SourceFailure>,
}

/// A request header that authenticates us.
pub(super) struct AuthHeader {
    pub(super) name: &'static str,
    prefix: &'static str,
    token: SecretString,
}

/// Requests tokens at the platform's token endpoint.
struct PlatformTokenIssuer {
    credentials: PlatformCredentials,
    http: MeteredHttp,
}

impl PlatformTokens {
    /// Creates the cache; requests nothing yet.
    pub(super) fn new(credentials: PlatformCredentials, http: MeteredHttp) -> Self {
        let issuer = PlatformTokenIssuer { credentials, http };
        Self { issuer, cache: TokenCache::new(MARGIN, None) }
    }

    /// The header that is valid as far as is known.
    ///
    /// # Cancel safety
    /// A cancelled request may have been answered; the next caller makes another.
    pub(super) async fn auth_header(&self) -> Result<AuthHeader, SourceFailure> {
        if let PlatformCredentials::Token { header, prefix, token } = &self.issuer.credentials {
            let token = read_secret(token, "token")?;
            return Ok(AuthHeader { name: header, prefix, token });
        }
        let token = self.cache.token(&self.issuer).await?;
        Ok(AuthHeader { name: "authorization", prefix: "Bearer ", token })
    }

    /// Drops this header, which was refused. Returns whether the next one may be another.
    pub(super) async fn may_replace(&self, refused: &AuthHeader) -> bool {
        if matches!(self.issuer.credentials, PlatformCredentials::Token { .. }) {
            let present = self.auth_header().await;
            return present.is_ok_and(|present| !secrets_equal(&present.token, &refused.token));
        }
        // Another call may have renewed the token meanwhile.
        self.cache.invalidate(&refused.token).await;
        true
    }
}

impl AuthHeader {
    /// The header's value.
    pub(super) fn value(&self) -> SecretString {
        format!("{}{}", self.prefix, self.token.expose_secret()).into()
    }
}

impl PlatformTokenIssuer {
    fn token_request(
        &self,
        rotation: &mut RefreshTokenRotation,
    ) -> Result<HttpRequest, SourceFailure> {
        let request = |token_url, client_id: &str, client_secret, form: &[(&str, &str)]| {
            let client_secret = read_secret(client_secret, "client_secret")?;
            let client = (client_id, &client_secret);
            Ok(oauth::token_request(token_url, ClientAuth::Basic, client, form, TIMEOUT))
        };
        match &self.credentials {
            PlatformCredentials::Token { .. } => Err(no_token("the token is fixed")),
            PlatformCredentials::ClientCredentials {
                token_url,
                client_id,
                client_secret,
                form,
            } => {
                let form: Vec<(&str, &str)> =
                    form.iter().map(|(name, value)| (*name, value.as_str())).collect();
                request(token_url, client_id, client_secret, &form)
            }
            PlatformCredentials::RefreshToken {
                token_url,
                client_id,
                client_secret,
                refresh_token,
            } => {
                let refresh = rotation.current(&read_secret(refresh_token, "refresh_token")?);
                let form =
                    [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
                request(token_url, client_id, client_secret, &form)
            }
        }
    }
}

impl TokenIssuer for PlatformTokenIssuer {
    type Error = SourceFailure;

    fn fingerprint(&self) -> CredentialsFingerprint {
        CredentialsFingerprint::from_secrets(&match &self.credentials {
            PlatformCredentials::Token { token, .. } => vec![token],
            PlatformCredentials::ClientCredentials { client_secret, .. } => vec![client_secret],
            PlatformCredentials::RefreshToken { client_secret, refresh_token, .. } => {
                vec![client_secret, refresh_token]
            }
        })
    }

    async fn request_token(
        &self,
        rotation: &mut RefreshTokenRotation,
    ) -> Result<TokenGrant, SourceFailure> {
        let request = self.token_request(rotation)?;
        let answer = judge(self.http.send(request).await).map_err(|error| match error {
            PlatformError::Held(failure) => failure,
            PlatformError::Failed(failure) => match failure.kind {
                FailureKind::Passing => {
                    SourceFailure { wait: failure.wait, ..no_token(&failure.reason) }
                }
                FailureKind::RateLimit => {
                    let wait = Some(failure.source_wait(1, 0));
                    SourceFailure { wait, ..no_token(&failure.reason) }
                }
                FailureKind::Lasting => no_token(&failure.reason),
                FailureKind::Credentials => no_token("the credentials are refused"),
            },
            PlatformError::Forbidden => no_token("the credentials are refused"),
        })?;
        let body = answer.body.ok_or_else(|| no_token("the credentials are refused"))?;
        TokenGrant::parse(body.get().as_bytes(), Some(DEFAULT_LIFETIME))
            .ok_or_else(|| no_token("the answer holds no access_token"))
    }
}

impl TokenIssuerError for SourceFailure {
    fn retry_after(&mut self) -> &mut Option<Duration> {
        &mut self.wait
    }

    /// A refusal may pass: it may be a proxy's, or the endpoint's for the moment. So the token granted last is kept.
    fn refuses_refresh_token(&self) -> bool {
        false
    }
}

fn no_token(reason: &str) -> SourceFailure {
    SourceFailure {
        reason: format!("no token could be obtained: {reason}"),
        wait: Some(REFUSAL_WAIT),
    }
}

fn read_secret(secret: &Secret, key: &str) -> Result<SecretString, SourceFailure> {
    secret.read().map_err(|error| no_token(&format!("api.{key} cannot be read: {error}")))
}

//! The token that an account's calls carry.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::clock::Clock;
use crate::net::oauth::{self, ClientAuth, RefreshTokenRotation, TokenGrant};
use crate::net::{
    CredentialsFingerprint, HttpRequest, HttpResponse, TokenCache, TokenIssuer, TokenIssuerError,
    parse_json_object,
};
use crate::secret::Secret;

use super::account_error::{AccountError, AccountErrorKind, is_web_page};
use super::account_http::{AccountHttp, ApiOperation};
use super::settings::AccountCredentials;

/// A token is renewed this long before it expires. HubSpot's live 30 minutes
/// (<https://developers.hubspot.com/changelog/upcoming-expiration-of-oauth-access-tokens-is-changing>): the time
/// between is for renewals that fail.
const MARGIN: Duration = Duration::from_mins(5);

/// How long a renewal that failed is not repeated while the present token is valid. The endpoint has a rate limit of
/// its own, so it is not called with every call.
const RETRY: Duration = Duration::from_secs(10);

/// Gives an account's calls their bearer token, and keeps it fresh.
pub(super) struct AccountTokens {
    issuer: AccountTokenIssuer,
    cache: TokenCache<AccountError>,
}

/// Requests tokens for an OAuth app's installation.
struct AccountTokenIssuer {
    credentials: AccountCredentials,
    timeout: Duration,
    http: AccountHttp,
    clock: Arc<dyn Clock>,
}

/// `{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN",...}`
/// (<https://developers.hubspot.com/changelog/new-oauth-v3-api-endpoints-and-standardized-error-responses>).
#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenErrorBody {
    error: Option<String>,
    status: Option<String>,
}

impl AccountTokens {
    /// Requests nothing yet. Each request has `timeout` for all of itself.
    pub(super) fn new(
        credentials: AccountCredentials,
        timeout: Duration,
        http: AccountHttp,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let issuer = AccountTokenIssuer { credentials, timeout, http, clock };
        Self { issuer, cache: TokenCache::new(MARGIN, Some(RETRY)) }
    }

    /// The credentials as they are now. Cheap while nothing changed: of a file only the metadata is read then.
    pub(super) fn fingerprint(&self) -> CredentialsFingerprint {
        self.issuer.fingerprint()
    }

    /// The OAuth app's id. A fixed token does not show its app.
    pub(super) fn client_id(&self) -> Option<&str> {
        match &self.issuer.credentials {
            AccountCredentials::Token(_) => None,
            AccountCredentials::OAuth { client_id, .. } => Some(client_id),
        }
    }

    /// A token that is valid as far as is known.
    ///
    /// # Errors
    /// [`AccountError`]: [`AccountErrorKind::Unauthorized`] when the credentials are refused or cannot be read; any
    /// other passes. The account's API has not been called.
    ///
    /// # Cancel safety
    /// A cancelled request may have been answered; the next call makes another.
    pub(super) async fn bearer_token(&self) -> Result<SecretString, AccountError> {
        match &self.issuer.credentials {
            // It is read each time, so that a changed file counts at once.
            AccountCredentials::Token(token) => read_secret(token, "access token"),
            AccountCredentials::OAuth { .. } => self.cache.token(&self.issuer).await,
        }
    }

    /// Drops a token that was refused, unless it is fixed. It does nothing if another has replaced that one.
    pub(super) async fn invalidate(&self, token: &SecretString) {
        self.cache.invalidate(token).await;
    }
}

impl AccountTokenIssuer {
    /// <https://api.hubapi.com/oauth/2026-03/token>: a form, by HubSpot's published OpenAPI of its OAuth API.
    fn token_request(
        &self,
        rotation: &mut RefreshTokenRotation,
    ) -> Result<HttpRequest, AccountError> {
        let AccountCredentials::OAuth { client_id, client_secret, refresh_token, token_url } =
            &self.credentials
        else {
            let kind = AccountErrorKind::Unauthorized;
            return Err(AccountError::new(kind, "the access token is fixed"));
        };
        let refresh = rotation.current(&read_secret(refresh_token, "refresh token")?);
        let client_secret = read_secret(client_secret, "client secret")?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
        let client = (client_id.as_str(), &client_secret);
        Ok(oauth::token_request(token_url, ClientAuth::Form, client, &form, self.timeout))
    }
}

impl TokenIssuer for AccountTokenIssuer {
    type Error = AccountError;

    fn fingerprint(&self) -> CredentialsFingerprint {
        match &self.credentials {
            AccountCredentials::Token(token) => CredentialsFingerprint::from_secrets(&[token]),
            AccountCredentials::OAuth { client_secret, refresh_token, .. } => {
                CredentialsFingerprint::from_secrets(&[client_secret, refresh_token])
            }
        }
    }

    async fn request_token(
        &self,
        rotation: &mut RefreshTokenRotation,
    ) -> Result<TokenGrant, AccountError> {
        let request = self.token_request(rotation)?;
        let granted = match self.http.send(ApiOperation::Token, request).await {
            Ok(response) => parse_token_response(&response),
            // That the endpoint may have acted makes no difference to the account's API, which was not called.
            Err(error) => Err(AccountError {
                kind: AccountErrorKind::Transport { ambiguous: false },
                ..AccountError::from_transport(&error)
            }),
        };
        let grant = granted.map_err(|error| error.prefixed("OAuth token"))?;
        let expires_at = self.clock.now().plus(grant.lifetime);
        self.http.metrics.set_token_expires(&self.http.account, expires_at);
        Ok(grant)
    }
}

impl TokenIssuerError for AccountError {
    fn retry_after(&mut self) -> &mut Option<Duration> {
        &mut self.retry_after
    }

    fn refuses_refresh_token(&self) -> bool {
        self.kind == AccountErrorKind::Unauthorized
    }
}

/// The token that the endpoint granted; HubSpot's have an end. Of a refusal only the codes are kept: the rest of its
/// body may repeat the request.
fn parse_token_response(response: &HttpResponse) -> Result<TokenGrant, AccountError> {
    match response.status {
        200..=299 => TokenGrant::parse(&response.body, None).ok_or_else(|| AccountError {
            status: None,
            ..AccountError::from_unreadable(response, "not both access_token and expires_in")
        }),
        400 | 401 | 403 if !is_web_page(response) => {
            let refusal: TokenErrorBody = parse_json_object(&response.body).unwrap_or_default();
            let codes: Vec<String> =
                [refusal.error, refusal.status].into_iter().flatten().collect();
            let detail = format!("HTTP {}: refused: {}", response.status, codes.join(", "));
            Err(AccountError {
                status: Some(response.status),
                ..AccountError::new(AccountErrorKind::Unauthorized, detail)
            })
        }
        // The account's API was not called, so nothing of it is in doubt.
        _ => Err(AccountError { status: None, ..AccountError::from_response(response) }),
    }
}

fn read_secret(secret: &Secret, name: &str) -> Result<SecretString, AccountError> {
    secret.read().map_err(|error| {
        AccountError::new(
            AccountErrorKind::Unauthorized,
            format!("the {name} cannot be read: {error}"),
        )
    })
}

#[cfg(test)]
mod tests;

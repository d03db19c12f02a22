//! Access tokens that expire, kept until shortly before: one request serves every caller that waits for it.

use std::future::Future;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::fingerprint::CredentialsFingerprint;
use super::oauth::{RefreshTokenRotation, TokenGrant, usable_for};
use crate::secret::secrets_equal;

/// Requests tokens of one client.
pub trait TokenIssuer: Sync {
    /// Why there is no token.
    type Error: TokenIssuerError;

    /// The client's credentials as they are now.
    fn fingerprint(&self) -> CredentialsFingerprint;

    /// Requests a token. An issuer that uses refresh tokens takes the current one from `rotation`.
    fn request_token(
        &self,
        rotation: &mut RefreshTokenRotation,
    ) -> impl Future<Output = Result<TokenGrant, Self::Error>> + Send;
}

/// Why an issuer gave no token, as far as the cache must know.
pub trait TokenIssuerError: Clone + Send {
    /// Time before the next request, where that is known.
    fn retry_after(&mut self) -> &mut Option<Duration>;

    /// Whether the refresh token in use was refused for good, so that the configured one is tried next.
    fn refuses_refresh_token(&self) -> bool;
}

/// Keeps the token of one client.
pub struct TokenCache<E> {
    /// A token is renewed this long before it expires.
    margin: Duration,
    /// How long a failed renewal is not repeated while the present token is valid. Without it a failed renewal is an
    /// error, however long the present token is valid.
    renewal_pause: Option<Duration>,
    /// Locked while a token is requested, so that one request serves every caller.
    state: Mutex<CacheState<E>>,
}

struct CacheState<E> {
    token: Option<CachedToken>,
    rotation: RefreshTokenRotation,
    /// The last request's failure, for the callers that waited for it, and for as long as the endpoint is left alone.
    failure: Option<FailedRequest<E>>,
}

struct CachedToken {
    token: SecretString,
    granted_for: CredentialsFingerprint,
    renew_at: Instant,
    expires_at: Instant,
}

struct FailedRequest<E> {
    at: Instant,
    retry_at: Instant,
    error: E,
}

impl<E: TokenIssuerError> TokenCache<E> {
    /// Creates an empty cache that renews a token `margin` before it expires. With a `renewal_pause` it gives out the
    /// present token while it is valid although its renewal failed, and tries to renew it again after this pause, if
    /// the endpoint asks for none of its own.
    #[must_use]
    pub fn new(margin: Duration, renewal_pause: Option<Duration>) -> Self {
        let state =
            CacheState { token: None, rotation: RefreshTokenRotation::default(), failure: None };
        Self { margin, renewal_pause, state: Mutex::new(state) }
    }

    /// A token that is valid as far as is known: the cached one, or a new one of the issuer's.
    ///
    /// # Errors
    /// The issuer's. Callers that waited for a request share its failure.
    ///
    /// # Cancel safety
    /// A cancelled request may have been answered; the next caller makes another.
    pub async fn token(&self, issuer: &impl TokenIssuer<Error = E>) -> Result<SecretString, E> {
        let called_at = Instant::now();
        let mut state = self.state.lock().await;
        let fingerprint = issuer.fingerprint();
        state.forget_other_credentials(&fingerprint);
        let now = Instant::now();
        if let Some(token) = state.token.as_ref().filter(|token| now < token.renew_at) {
            return Ok(token.token.clone());
        }
        if let Some(failure) = state.failure.as_ref().filter(|failed| failed.covers(called_at, now))
        {
            return self.valid_token(&state, now).ok_or_else(|| failure.remaining(now));
        }
        let result = issuer.request_token(&mut state.rotation).await;
        let now = Instant::now();
        match result {
            Ok(TokenGrant { access_token: token, lifetime, refresh_token }) => {
                state.rotation.replace(refresh_token);
                state.failure = None;
                state.token = Some(CachedToken {
                    token: token.clone(),
                    granted_for: fingerprint,
                    renew_at: now + usable_for(lifetime, self.margin),
                    expires_at: now + lifetime,
                });
                Ok(token)
            }
            Err(mut error) => {
                let valid = self.valid_token(&state, now);
                let pause = error.retry_after().or(valid.as_ref().and(self.renewal_pause));
                let retry_at = now + pause.unwrap_or_default();
                if error.refuses_refresh_token() {
                    state.rotation.reset();
                }
                state.failure = Some(FailedRequest { at: now, retry_at, error: error.clone() });
                valid.ok_or(error)
            }
        }
    }

    /// Drops a token that was refused. It does nothing if another has replaced that one.
    pub async fn invalidate(&self, refused: &SecretString) {
        let mut state = self.state.lock().await;
        state.token.take_if(|cached| secrets_equal(&cached.token, refused));
    }

    /// The present token, if it outlives the failure of its renewal.
    fn valid_token(&self, state: &CacheState<E>, now: Instant) -> Option<SecretString> {
        self.renewal_pause?;
        let valid = state.token.as_ref().filter(|token| now < token.expires_at)?;
        Some(valid.token.clone())
    }
}

impl<E: TokenIssuerError> CacheState<E> {
    /// A token that was granted for other credentials may be another account's.
    fn forget_other_credentials(&mut self, present: &CredentialsFingerprint) {
        if self.token.take_if(|token| present.replaces(&token.granted_for)).is_some() {
            self.failure.take_if(|failure| failure.error.retry_after().is_none());
        }
    }
}

impl<E: TokenIssuerError> FailedRequest<E> {
    /// Whether a caller need not try again: the request failed while it waited, or must not be repeated yet.
    fn covers(&self, called_at: Instant, now: Instant) -> bool {
        self.at > called_at || now < self.retry_at
    }

    /// The error with the rest of its time.
    fn remaining(&self, now: Instant) -> E {
        let mut error = self.error.clone();
        if let Some(left) = error.retry_after() {
            *left = self.retry_at.saturating_duration_since(now);
        }
        error
    }
}

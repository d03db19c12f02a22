//! The token that a call carries.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use url::Url;

use crate::clock::Clock;
use crate::event::Millis;
use crate::net::oauth::{self, ClientAuth, RefreshTokenRotation, TokenGrant};
use crate::net::{Http, HttpRequest, HttpResponse};
use crate::secret::{Secret, secrets_equal};

use super::account_error::{AccountError, AccountErrorKind, is_web_page};
use super::body::parse_object;
use super::client::{ApiCall, ApiOperation, CallStatus};
use super::fingerprint::CredentialsFingerprint;
use super::settings::AccountCredentials;

/// A token is renewed this long before it ends. HubSpot's live 30 minutes
/// (<https://developers.hubspot.com/changelog/upcoming-expiration-of-oauth-access-tokens-is-changing>): the time
/// between is for renewals that fail.
const MARGIN: Duration = Duration::from_mins(5);

/// How long a renewal that failed is not tried again while the present token is still good. The endpoint has a rate
/// limit of its own, so not with every call.
const RETRY: Duration = Duration::from_secs(10);

/// Gives an account's calls their bearer token, and keeps it fresh.
#[derive(Debug)]
pub struct AccountTokens {
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Read each time, so that a changed file counts at once.
    Fixed(Secret),
    OAuth(Box<OAuth>),
}

struct OAuth {
    client_id: String,
    client_secret: Secret,
    refresh_token: Secret,
    token_url: Url,
    timeout: Duration,
    http: Arc<dyn Http>,
    clock: Arc<dyn Clock>,
    /// Held while a token is fetched, so that one flight serves all who wait.
    held: Mutex<Held>,
    expires_at: watch::Sender<Option<Millis>>,
}

#[derive(Default)]
struct Held {
    access: Option<Access>,
    refresh: RefreshTokenRotation,
    /// How the last flight failed, for those who waited for it, and for as long as the endpoint asked to be left alone.
    failed: Option<FailedRefresh>,
}

struct Access {
    token: SecretString,
    granted_for: CredentialsFingerprint,
    renew_at: Instant,
    ends_at: Instant,
}

/// What HubSpot grants has an end.
struct Grant {
    token: SecretString,
    life: Duration,
    refresh: Option<SecretString>,
}

struct FailedRefresh {
    at: Instant,
    until: Instant,
    trouble: AccountError,
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
    /// Nothing is fetched yet. A fetch has `timeout` for all of itself.
    #[must_use]
    pub fn new(
        credentials: AccountCredentials,
        timeout: Duration,
        http: Arc<dyn Http>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let source = match credentials {
            AccountCredentials::Token(secret) => Source::Fixed(secret),
            AccountCredentials::OAuth { client_id, client_secret, refresh_token, token_url } => {
                Source::OAuth(Box::new(OAuth {
                    client_id,
                    client_secret,
                    refresh_token,
                    token_url,
                    timeout,
                    http,
                    clock,
                    held: Mutex::default(),
                    expires_at: watch::Sender::new(None),
                }))
            }
        };
        Self { source }
    }

    /// The credentials as they are now. Cheap while nothing changed: files are looked at, not read.
    #[must_use]
    pub fn fingerprint(&self) -> CredentialsFingerprint {
        match &self.source {
            Source::Fixed(secret) => CredentialsFingerprint::from_secrets(&[secret]),
            Source::OAuth(oauth) => oauth.fingerprint(),
        }
    }

    /// The OAuth app; of a token it is not known which app's it is.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        match &self.source {
            Source::Fixed(_) => None,
            Source::OAuth(oauth) => Some(&oauth.client_id),
        }
    }

    /// A token that is good as far as is known. The calls that were made for it are added to `calls`.
    ///
    /// # Errors
    /// [`AccountTrouble`]: [`TroubleKind::Unauthorized`] when the credentials are refused or cannot be read; else it
    /// passes. The account's API has not been called.
    ///
    /// # Cancel safety
    /// A cancelled fetch may have been answered; the next call fetches again.
    pub async fn bearer_token(
        &self,
        calls: &mut Vec<ApiCall>,
    ) -> Result<SecretString, AccountError> {
        match &self.source {
            Source::Fixed(secret) => read_secret(secret, "access token"),
            Source::OAuth(oauth) => oauth.bearer(calls).await,
        }
    }

    /// The token was refused: it is not given out again, unless it is fixed. Does nothing if another has taken its
    /// place already.
    pub async fn invalidate(&self, token: &SecretString) {
        match &self.source {
            Source::Fixed(_) => {}
            Source::OAuth(oauth) => {
                let mut held = oauth.held.lock().await;
                if held.access.as_ref().is_some_and(|access| secrets_equal(&access.token, token)) {
                    held.access = None;
                }
            }
        }
    }

    /// When the present token ends; none if it does not, or there is none yet.
    #[must_use]
    pub fn expires_at(&self) -> Option<Millis> {
        match &self.source {
            Source::Fixed(_) => None,
            Source::OAuth(oauth) => *oauth.expires_at.borrow(),
        }
    }
}

impl OAuth {
    fn fingerprint(&self) -> CredentialsFingerprint {
        CredentialsFingerprint::from_secrets(&[&self.client_secret, &self.refresh_token])
    }

    async fn bearer(&self, calls: &mut Vec<ApiCall>) -> Result<SecretString, AccountError> {
        let asked = Instant::now();
        let mut held = self.held.lock().await;
        let present = self.fingerprint();
        // A token that was granted for other credentials may be another account's.
        if held.access.as_ref().is_some_and(|access| present.replaces(&access.granted_for)) {
            held.access = None;
            held.failed = held.failed.take().filter(|failed| failed.trouble.retry_after.is_some());
        }
        let now = Instant::now();
        if let Some(access) = held.access.as_ref().filter(|access| now < access.renew_at) {
            return Ok(access.token.clone());
        }
        let good = held.access.as_ref().filter(|access| now < access.ends_at);
        if let Some(failed) = held.failed.as_ref().filter(|failed| failed.applies_to(asked, now)) {
            return good.map_or_else(
                || Err(failed.remaining_error(now)),
                |access| Ok(access.token.clone()),
            );
        }
        let fetched = self.fetch(&mut held, calls).await;
        let now = Instant::now();
        match fetched {
            Ok(token) => {
                held.failed = None;
                Ok(token)
            }
            Err(trouble) => {
                let good = held.access.as_ref().filter(|access| now < access.ends_at);
                let token = good.map(|access| access.token.clone());
                let pause = trouble.retry_after.or(token.is_some().then_some(RETRY));
                let until = now + pause.unwrap_or_default();
                held.failed = Some(FailedRefresh { at: now, until, trouble: trouble.clone() });
                if trouble.kind == AccountErrorKind::Unauthorized {
                    held.refresh.reset();
                }
                token.ok_or(trouble)
            }
        }
    }

    /// Asks for a token and keeps it.
    async fn fetch(
        &self,
        held: &mut Held,
        calls: &mut Vec<ApiCall>,
    ) -> Result<SecretString, AccountError> {
        let granted_for = self.fingerprint();
        let configured = read_secret(&self.refresh_token, "refresh token")?;
        let request = self.request(&held.refresh.current(&configured))?;

        let began = Instant::now();
        let answer = self.http.send(request).await;
        let now = Instant::now();
        calls.push(ApiCall {
            operation: ApiOperation::Token,
            status: CallStatus::from_result(&answer),
            elapsed: now - began,
        });
        let granted = match answer {
            Ok(answer) => parse_token_response(&answer),
            // That the endpoint may have acted makes no difference to the account's API, which was not called.
            Err(error) => Err(AccountError {
                kind: AccountErrorKind::Transport { ambiguous: false },
                ..AccountError::from_transport(&error)
            }),
        };
        let granted = granted.map_err(|trouble| trouble.prefixed("OAuth token"))?;

        let Grant { token, life, refresh } = granted;
        held.access = Some(Access {
            token: token.clone(),
            granted_for,
            renew_at: now + oauth::usable_for(life, MARGIN),
            ends_at: now + life,
        });
        self.expires_at.send_replace(Some(self.clock.now().plus(life)));
        held.refresh.replace(configured, refresh);
        Ok(token)
    }

    /// <https://api.hubapi.com/oauth/2026-03/token>: a form, by HubSpot's published OpenAPI of its OAuth API.
    fn request(&self, refresh: &SecretString) -> Result<HttpRequest, AccountError> {
        let client_secret = read_secret(&self.client_secret, "client secret")?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
        let client = (self.client_id.as_str(), &client_secret);
        Ok(oauth::token_request(&self.token_url, ClientAuth::Form, client, &form, self.timeout))
    }
}

impl FailedRefresh {
    /// Whether one who asked then need not try again: the flight failed while it waited, or is not to be repeated yet.
    fn applies_to(&self, asked: Instant, now: Instant) -> bool {
        self.at > asked || now < self.until
    }

    /// The trouble with what is left of its time.
    fn remaining_error(&self, now: Instant) -> AccountError {
        let retry_after = self.trouble.retry_after.map(|_| self.until.duration_since(now));
        AccountError { retry_after, ..self.trouble.clone() }
    }
}

/// What the token endpoint says. Only the codes of a refusal are passed on: what else it holds may repeat what we sent.
fn parse_token_response(answer: &HttpResponse) -> Result<Grant, AccountError> {
    match answer.status {
        200..=299 => grant(&answer.body).ok_or_else(|| AccountError {
            status: None,
            ..AccountError::from_unreadable(answer, "not both access_token and expires_in")
        }),
        400 | 401 | 403 if !is_web_page(answer) => {
            let denied: TokenErrorBody = parse_object(&answer.body).unwrap_or_default();
            let codes: Vec<String> = [denied.error, denied.status].into_iter().flatten().collect();
            let detail = format!("HTTP {}: refused: {}", answer.status, codes.join(", "));
            Err(AccountError {
                status: Some(answer.status),
                ..AccountError::new(AccountErrorKind::Unauthorized, detail)
            })
        }
        // The account's API was not called, so nothing of it is in doubt.
        _ => Err(AccountError { status: None, ..AccountError::from_response(answer) }),
    }
}

fn grant(body: &[u8]) -> Option<Grant> {
    let TokenGrant { access_token: token, lifetime: life, refresh_token: refresh } =
        TokenGrant::parse(body)?;
    Some(Grant { token, life: life?, refresh })
}

fn read_secret(secret: &Secret, which: &str) -> Result<SecretString, AccountError> {
    secret.read().map_err(|error| {
        AccountError::new(
            AccountErrorKind::Unauthorized,
            format!("the {which} cannot be read: {error}"),
        )
    })
}

impl std::fmt::Debug for OAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OAuth").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

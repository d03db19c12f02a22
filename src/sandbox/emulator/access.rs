//! Credentials and limits of calls.
//!
//! Tokens are compared without constant time: they are made up and protect nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::json;
use url::form_urlencoded;

use super::answer;
use super::refusal::AccessRefusal;
use super::wire::EmulatorReply;
use crate::event::Millis;

/// An OAuth app installed in the account.
#[derive(Clone)]
pub struct OAuthApp {
    /// Client id of the app.
    pub client_id: String,
    /// Client secret of the app.
    pub client_secret: String,
    /// Refresh token of the installation.
    pub refresh_token: String,
    /// Lifetime of access tokens. HubSpot's last 30 minutes (changelog
    /// `upcoming-expiration-of-oauth-access-tokens-is-changing`).
    pub token_lifetime: Duration,
    /// Whether each refresh also replaces the refresh token.
    pub rotate: bool,
}

pub(super) struct AccessControl {
    token: String,
    limit: u32,
    window: Duration,
    /// Times of the admitted calls within the window, oldest first.
    admitted: VecDeque<Millis>,
    daily: Option<DailyLimit>,
    oauth: Option<OAuthApp>,
    /// Expiry of each access token of the OAuth app.
    issued: BTreeMap<String, Millis>,
}

struct DailyLimit {
    limit: u32,
    left: u32,
}

impl AccessControl {
    pub(super) fn new(token: String, rate: (u32, Duration), oauth: Option<OAuthApp>) -> Self {
        Self {
            token,
            limit: rate.0,
            window: rate.1,
            admitted: VecDeque::new(),
            daily: None,
            oauth,
            issued: BTreeMap::new(),
        }
    }

    pub(super) fn set_daily_limit(&mut self, calls: Option<u32>) {
        self.daily = calls.map(|limit| DailyLimit { limit, left: limit });
    }

    /// Admits and counts a call; a refused call is not counted.
    pub(super) fn admit(
        &mut self,
        now: Millis,
        authorization: Option<&str>,
    ) -> Result<(), AccessRefusal> {
        self.authenticate(now, authorization)?;
        if self.used(now) >= self.limit {
            return Err(AccessRefusal::Window);
        }
        if let Some(daily) = &mut self.daily {
            daily.left = daily.left.checked_sub(1).ok_or(AccessRefusal::Daily)?;
        }
        self.admitted.push_back(now);
        Ok(())
    }

    /// Number of calls in the window that ends now; a call leaves it one window after it arrived.
    fn used(&mut self, now: Millis) -> u32 {
        while self.admitted.front().is_some_and(|at| now.since(*at) >= self.window) {
            self.admitted.pop_front();
        }
        u32::try_from(self.admitted.len()).unwrap_or(u32::MAX)
    }

    fn authenticate(&self, now: Millis, authorization: Option<&str>) -> Result<(), AccessRefusal> {
        let token = authorization
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(AccessRefusal::NoCredentials)?;
        if token == self.token {
            return Ok(());
        }
        let at = *self.issued.get(token).ok_or(AccessRefusal::UnknownToken)?;
        if now >= at { Err(AccessRefusal::Expired { at, ago: now.since(at) }) } else { Ok(()) }
    }

    /// HubSpot's headers of limits; OAuth apps get none of the day
    /// (<https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>).
    pub(super) fn headers(
        &mut self,
        now: Millis,
        authorization: Option<&str>,
    ) -> Vec<(String, String)> {
        let left = self.limit.saturating_sub(self.used(now));
        let mut headers = vec![
            ("X-HubSpot-RateLimit-Max".to_owned(), self.limit.to_string()),
            ("X-HubSpot-RateLimit-Remaining".to_owned(), left.to_string()),
            (
                "X-HubSpot-RateLimit-Interval-Milliseconds".to_owned(),
                self.window.as_millis().to_string(),
            ),
        ];
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        if let Some(daily) = self.daily.as_ref().filter(|_| token == Some(self.token.as_str())) {
            headers.push(("X-HubSpot-RateLimit-Daily".to_owned(), daily.limit.to_string()));
            headers
                .push(("X-HubSpot-RateLimit-Daily-Remaining".to_owned(), daily.left.to_string()));
        }
        headers
    }

    /// The token endpoint: RFC 6749 section 6. Replies follow HubSpot's OpenAPI of `/oauth/2026-03/token`, and refusals
    /// its changelog `new-oauth-v3-api-endpoints-and-standardized-error-responses`.
    pub(super) fn refresh(&mut self, now: Millis, form: &[u8], portal_id: u64) -> EmulatorReply {
        let fields: BTreeMap<String, String> = form_urlencoded::parse(form).into_owned().collect();
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        if field("grant_type") != "refresh_token" {
            return oauth_error(
                "unsupported_grant_type",
                "BAD_GRANT_TYPE",
                "grant type is unknown",
            );
        }
        let known = self.oauth.as_mut().filter(|app| {
            field("client_id") == app.client_id && field("client_secret") == app.client_secret
        });
        let Some(app) = known else {
            return oauth_error("invalid_client", "BAD_CLIENT_ID", "missing or unknown client id");
        };
        if field("refresh_token") != app.refresh_token {
            return oauth_error(
                "invalid_grant",
                "BAD_REFRESH_TOKEN",
                "refresh token is invalid, expired or revoked",
            );
        }
        let serial = self.issued.len() + 1;
        let access_token = format!("emulated-access-{serial}");
        if app.rotate {
            app.refresh_token = format!("emulated-refresh-{serial}");
        }
        self.issued.insert(access_token.clone(), now.plus(app.token_lifetime));
        let granted = json!({
            "access_token": access_token,
            "refresh_token": app.refresh_token,
            "expires_in": app.token_lifetime.as_secs(),
            "token_type": "bearer",
            "token_use": "access_token",
            "hub_id": portal_id,
            "scopes": ["crm.objects.marketing_events.read", "crm.objects.marketing_events.write"],
        });
        answer::json(200, &granted)
    }
}

fn oauth_error(error: &str, status: &str, description: &str) -> EmulatorReply {
    let body = json!({
        "error": error,
        "error_description": description,
        "status": status,
        "message": description,
    });
    answer::json(400, &body)
}

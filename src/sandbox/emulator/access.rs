//! Credentials and limits of calls.
//!
//! Tokens are compared without constant time: they are made up and protect nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::json;
use url::form_urlencoded;

use super::{EmulatorSettings, answer};
use crate::event::Millis;
use crate::http::simple_server::SimpleResponse;

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
    pub(super) settings: EmulatorSettings,
    /// Times of the admitted calls within the window, oldest first.
    admitted: VecDeque<Millis>,
    daily: Option<DailyLimit>,
    /// Expiry of each access token of the OAuth app.
    issued: BTreeMap<String, Millis>,
}

struct DailyLimit {
    limit: u32,
    left: u32,
}

impl AccessControl {
    pub(super) fn new(settings: EmulatorSettings) -> Self {
        Self { settings, admitted: VecDeque::new(), daily: None, issued: BTreeMap::new() }
    }

    pub(super) fn set_daily_limit(&mut self, calls: Option<u32>) {
        self.daily = calls.map(|limit| DailyLimit { limit, left: limit });
    }

    /// Admits and counts a call, or returns the refusal; a refused call is not counted.
    pub(super) fn admit(
        &mut self,
        now: Millis,
        authorization: Option<&str>,
    ) -> Result<(), SimpleResponse> {
        self.authenticate(now, authorization)?;
        if self.used(now) >= self.settings.rate.0 {
            return Err(answer::status(429));
        }
        if let Some(daily) = &mut self.daily {
            daily.left = daily.left.checked_sub(1).ok_or_else(|| answer::limited(Some("DAILY")))?;
        }
        self.admitted.push_back(now);
        Ok(())
    }

    /// Number of calls in the window that ends now; a call leaves it one window after it arrived.
    fn used(&mut self, now: Millis) -> u32 {
        let (_, window) = self.settings.rate;
        while self.admitted.front().is_some_and(|at| now.since(*at) >= window) {
            self.admitted.pop_front();
        }
        u32::try_from(self.admitted.len()).unwrap_or(u32::MAX)
    }

    fn authenticate(&self, now: Millis, authorization: Option<&str>) -> Result<(), SimpleResponse> {
        let token = authorization
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(answer::no_credentials)?;
        if token == self.settings.token {
            return Ok(());
        }
        let at = *self.issued.get(token).ok_or_else(|| answer::status(401))?;
        if now >= at { Err(answer::expired(at, now.since(at))) } else { Ok(()) }
    }

    /// HubSpot's headers of limits; OAuth apps get none of the day
    /// (<https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>).
    pub(super) fn headers(
        &mut self,
        now: Millis,
        authorization: Option<&str>,
    ) -> Vec<(String, String)> {
        let (limit, window) = self.settings.rate;
        let left = limit.saturating_sub(self.used(now));
        let mut headers = vec![
            ("Max", limit.to_string()),
            ("Remaining", left.to_string()),
            ("Interval-Milliseconds", window.as_millis().to_string()),
        ];
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        if let Some(daily) = self.daily.as_ref().filter(|_| token == Some(&self.settings.token)) {
            headers.push(("Daily", daily.limit.to_string()));
            headers.push(("Daily-Remaining", daily.left.to_string()));
        }
        let named = |(name, value)| (format!("X-HubSpot-RateLimit-{name}"), value);
        headers.into_iter().map(named).collect()
    }

    /// The token endpoint: RFC 6749 section 6. Replies follow HubSpot's OpenAPI of `/oauth/2026-03/token`, and refusals
    /// its changelog `new-oauth-v3-api-endpoints-and-standardized-error-responses`.
    pub(super) fn refresh(&mut self, now: Millis, form: &[u8]) -> SimpleResponse {
        let fields: BTreeMap<String, String> = form_urlencoded::parse(form).into_owned().collect();
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        if field("grant_type") != "refresh_token" {
            return answer::oauth_error(
                "unsupported_grant_type",
                "BAD_GRANT_TYPE",
                "grant type is unknown",
            );
        }
        let known = self.settings.oauth.as_mut().filter(|app| {
            field("client_id") == app.client_id && field("client_secret") == app.client_secret
        });
        let Some(app) = known else {
            return answer::oauth_error(
                "invalid_client",
                "BAD_CLIENT_ID",
                "missing or unknown client id",
            );
        };
        if field("refresh_token") != app.refresh_token {
            return answer::oauth_error(
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
            "hub_id": self.settings.portal_id,
            "scopes": ["crm.objects.marketing_events.read", "crm.objects.marketing_events.write"],
        });
        SimpleResponse::json(200, &granted)
    }
}

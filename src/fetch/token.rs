//! What proves us to a platform: a token that is given, or tokens that end and are bought anew.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::form_urlencoded::Serializer;

use super::verdict::{self, Trouble, Verdict, judge};
use crate::net::{Http, Method, Request};
use crate::providers::Credentials;
use crate::secret::Secret;

/// For everything of buying a token.
const TIMEOUT: Duration = Duration::from_secs(20);
/// An answer with a token has some kilobytes.
const ANSWER_MAX: usize = 64 * 1024;
/// A token is bought anew this long before it ends, or a fifth of its life if that is less.
const MARGIN: Duration = Duration::from_mins(2);
/// What is taken for a token's life where the platform does not say: RFC 6749, 4.2.2, has the server document it. An
/// hour is what the platforms known here give.
const LIFE: Duration = Duration::from_hours(1);
/// No believable token lives longer; keeps sums of times from overflowing.
const LONGEST_LIFE: Duration = Duration::from_hours(24 * 366);

/// The credentials of one source. A token that ends is bought when it is needed, once for all who wait for it.
pub(super) struct Tokens {
    credentials: Credentials,
    http: Arc<dyn Http>,
    present: Mutex<Present>,
}

/// A request header that proves us.
pub(super) struct Proof {
    pub(super) header: &'static str,
    pub(super) value: SecretString,
}

#[derive(Default)]
struct Present {
    /// The header's value, and when to buy another.
    bought: Option<(SecretString, Instant)>,
    /// A configured refresh token, and the one that the platform has put in its place.
    replaced: Option<(SecretString, SecretString)>,
}

/// No token is to be had.
#[derive(Debug)]
pub(super) struct Denied {
    /// For operators.
    pub(super) why: String,
    /// How long to wait before it is tried again.
    pub(super) wait: Duration,
}

/// RFC 6749, 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
}

impl Tokens {
    /// Nothing is bought yet.
    pub(super) fn new(credentials: Credentials, http: Arc<dyn Http>) -> Self {
        Self { credentials, http, present: Mutex::default() }
    }

    /// What is good as far as is known.
    ///
    /// # Cancel safety
    /// A cancelled purchase may have been carried out; the next call buys again.
    pub(super) async fn proof(&self) -> Result<Proof, Denied> {
        if let Credentials::Token { header, prefix, token } = &self.credentials {
            let token = read(token, "token")?;
            let value = format!("{prefix}{}", token.expose_secret()).into();
            return Ok(Proof { header, value });
        }
        let mut present = self.present.lock().await;
        if let Some((value, renew_at)) = &present.bought
            && Instant::now() < *renew_at
        {
            return Ok(Proof { header: "authorization", value: value.clone() });
        }
        let (token, life) = self.buy(&mut present).await?;
        let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
        let renew_at = Instant::now() + life.saturating_sub(MARGIN.min(life / 5));
        present.bought = Some((value.clone(), renew_at));
        Ok(Proof { header: "authorization", value })
    }

    /// Whether asking for credentials again may bring others than these, which were refused.
    pub(super) async fn may_be_better_than(&self, refused: &SecretString) -> bool {
        if matches!(self.credentials, Credentials::Token { .. }) {
            return self.proof().await.is_ok_and(|proof| !same(&proof.value, refused));
        }
        // Another call may have bought a new one meanwhile.
        self.present.lock().await.bought.take_if(|(value, _)| same(value, refused));
        true
    }

    /// The purchase, and the configured refresh token that it rests on, if it does on one.
    fn purchase(&self, present: &Present) -> Result<(Request, Option<SecretString>), Denied> {
        let mut form = Serializer::new(String::new());
        let mut configured = None;
        let (token_url, client_id, client_secret) = match &self.credentials {
            Credentials::Token { .. } => return Err(Denied::of("there is none to be bought")),
            Credentials::Client { token_url, client_id, client_secret, form: fields } => {
                form.extend_pairs(fields.iter().map(|(name, value)| (*name, value)));
                (token_url, client_id, client_secret)
            }
            Credentials::Refresh { token_url, client_id, client_secret, refresh_token } => {
                let refresh = read(refresh_token, "refresh_token")?;
                // A new configured token wins over one that grew out of the old one.
                let grown = present.replaced.as_ref().filter(|(old, _)| same(old, &refresh));
                let token = grown.map_or(&refresh, |(_, by)| by);
                form.append_pair("grant_type", "refresh_token");
                form.append_pair("refresh_token", token.expose_secret());
                configured = Some(refresh);
                (token_url, client_id, client_secret)
            }
        };
        let client_secret = read(client_secret, "client_secret")?;
        let basic = STANDARD.encode(format!("{client_id}:{}", client_secret.expose_secret()));
        let request = Request {
            method: Method::Post,
            url: token_url.clone(),
            headers: vec![
                ("authorization".into(), format!("Basic {basic}").into()),
                ("content-type".into(), "application/x-www-form-urlencoded".into()),
                ("accept".into(), "application/json".into()),
            ],
            body: form.finish().into_bytes(),
            timeout: TIMEOUT,
            max_answer: ANSWER_MAX,
        };
        Ok((request, configured))
    }

    async fn buy(&self, present: &mut Present) -> Result<(SecretString, Duration), Denied> {
        let (request, configured) = self.purchase(present)?;
        let answer = self.http.send(request).await;
        let response = match (judge(&answer), answer) {
            (Verdict::Answered, Ok(response)) => response,
            (Verdict::Later(Trouble { why, wait, .. }), _) => {
                let wait = wait.unwrap_or_else(|| verdict::delay(0, u32::MAX));
                return Err(Denied { wait, ..Denied::of(&why) });
            }
            (Verdict::Wrong(why), _) => return Err(Denied::of(&why)),
            (
                Verdict::Unauthorized | Verdict::Forbidden | Verdict::NotThere | Verdict::Answered,
                _,
            ) => return Err(Denied::of("the credentials are refused")),
        };
        // The parser's own words could repeat the token.
        let granted: Granted = serde_json::from_slice(&response.body)
            .map_err(|_| Denied::of("the answer holds no access_token"))?;
        if let Some((configured, by)) = configured.zip(granted.refresh_token) {
            present.replaced = Some((configured, by.into()));
        }
        let life = granted.expires_in.map_or(LIFE, Duration::from_secs).min(LONGEST_LIFE);
        Ok((granted.access_token.into(), life))
    }
}

impl Denied {
    fn of(why: &str) -> Self {
        Self { why: format!("no token is to be had: {why}"), wait: verdict::refused() }
    }
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret().as_bytes().ct_eq(other.expose_secret().as_bytes()).into()
}

fn read(secret: &Secret, which: &str) -> Result<SecretString, Denied> {
    secret.read().map_err(|error| Denied::of(&format!("api.{which} cannot be read: {error}")))
}

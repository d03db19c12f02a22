//! What proves us to a platform: a token that is given, or tokens that end and are bought anew.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::client::Line;
use super::verdict::{self, Trouble, Verdict, judge};
use crate::net::Request;
use crate::net::oauth::{self, ClientAuth, Granted, Rotation};
use crate::providers::Credentials;
use crate::secret::{Secret, same};

/// For everything of buying a token.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A token is bought anew this long before it ends.
const MARGIN: Duration = Duration::from_mins(2);
/// What is taken for a token's life where the platform does not say: RFC 6749, 4.2.2, has the server document it. An
/// hour is what the platforms known here give.
const LIFE: Duration = Duration::from_hours(1);

/// The credentials of one source. A token that ends is bought when it is needed, once for all who wait for it.
pub(super) struct Tokens {
    credentials: Credentials,
    line: Line,
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
    refresh: Rotation,
}

/// No token is to be had.
#[derive(Debug)]
pub(super) struct Denied {
    /// For operators.
    pub(super) why: String,
    /// How long to wait before it is tried again, where that is known.
    pub(super) wait: Option<Duration>,
}

impl Tokens {
    /// Nothing is bought yet.
    pub(super) fn new(credentials: Credentials, line: Line) -> Self {
        Self { credentials, line, present: Mutex::default() }
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
        let renew_at = Instant::now() + oauth::use_for(life, MARGIN);
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
    fn purchase(&self, present: &mut Present) -> Result<(Request, Option<SecretString>), Denied> {
        let request = |token_url, client_id: &str, client_secret, form: &[(&str, &str)]| {
            let client_secret = read(client_secret, "client_secret")?;
            let client = (client_id, &client_secret);
            Ok(oauth::request(token_url, ClientAuth::Basic, client, form, TIMEOUT))
        };
        match &self.credentials {
            Credentials::Token { .. } => Err(Denied::of("there is none to be bought")),
            Credentials::Client { token_url, client_id, client_secret, form } => {
                let form: Vec<(&str, &str)> =
                    form.iter().map(|(name, value)| (*name, value.as_str())).collect();
                Ok((request(token_url, client_id, client_secret, &form)?, None))
            }
            Credentials::Refresh { token_url, client_id, client_secret, refresh_token } => {
                let configured = read(refresh_token, "refresh_token")?;
                let refresh = present.refresh.present(&configured);
                let form =
                    [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
                Ok((request(token_url, client_id, client_secret, &form)?, Some(configured)))
            }
        }
    }

    async fn buy(&self, present: &mut Present) -> Result<(SecretString, Duration), Denied> {
        let (request, configured) = self.purchase(present)?;
        let answer = self.line.send(request).await;
        let response = match (judge(&answer), answer) {
            (Verdict::Answered, Ok(response)) => response,
            (Verdict::Later(Trouble { why, wait, .. }), _) => {
                return Err(Denied { wait, ..Denied::of(&why) });
            }
            (Verdict::Wrong(why), _) => return Err(Denied::of(&why)),
            (
                Verdict::Unauthorized | Verdict::Forbidden | Verdict::NotThere | Verdict::Answered,
                _,
            ) => return Err(Denied::of("the credentials are refused")),
        };
        let granted = Granted::read(&response.body);
        let granted = granted.ok_or_else(|| Denied::of("the answer holds no access_token"))?;
        if let Some(configured) = configured {
            present.refresh.replace(configured, granted.refresh_token);
        }
        Ok((granted.access_token, granted.life.unwrap_or(LIFE)))
    }
}

impl Denied {
    fn of(why: &str) -> Self {
        Self { why: format!("no token is to be had: {why}"), wait: Some(verdict::refused()) }
    }
}

fn read(secret: &Secret, which: &str) -> Result<SecretString, Denied> {
    secret.read().map_err(|error| Denied::of(&format!("api.{which} cannot be read: {error}")))
}

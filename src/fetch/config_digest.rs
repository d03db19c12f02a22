//! A digest of how a source asks its platform: it changes with what an operator, or a new version, may have mended.

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use crate::event::{Millis, WebinarId};
use crate::providers::{
    ApiAnswers, ListQuery, PlatformAccess, PlatformApi, PlatformCredentials, TimeRange,
};
use crate::secret::Secret;
use crate::telemetry::VERSION;

/// The digest of addresses, credentials and the program's version. A secret that cannot be read counts as an empty one.
pub(super) fn config_digest(api: &dyn PlatformApi) -> [u8; 32] {
    let mut parts: Vec<String> = vec![VERSION.to_owned()];
    let PlatformAccess { credentials, headers, rate_limit: _ } = api.access();
    parts.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    match credentials {
        PlatformCredentials::Token { header, prefix, token } => {
            parts.extend([(*header).to_owned(), (*prefix).to_owned(), secret_digest(token)]);
        }
        PlatformCredentials::ClientCredentials { token_url, client_id, client_secret, form } => {
            parts.extend([token_url.to_string(), client_id.clone(), secret_digest(client_secret)]);
            parts.extend(form.iter().map(|(name, value)| format!("{name}={value}")));
        }
        PlatformCredentials::RefreshToken {
            token_url,
            client_id,
            client_secret,
            refresh_token,
        } => {
            parts.extend([token_url.to_string(), client_id.clone()]);
            parts.extend([client_secret, refresh_token].map(secret_digest));
        }
    }
    // The addresses are those of samples; the API shows no others.
    let span = TimeRange { from: Millis::new(0), to: Millis::new(0) };
    let list = api.list_url(ListQuery { span, cursor: None });
    let webinar = WebinarId::parse("1").ok().and_then(|id| {
        api.next_request(&id, &ApiAnswers::new()).ok().flatten().map(|request| request.url)
    });
    parts.extend([list, webinar].into_iter().flatten().map(|url| url.to_string()));
    parts.extend(api.account().map(ToString::to_string));
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// A digest of a secret's value, in hexadecimal digits.
fn secret_digest(secret: &Secret) -> String {
    let value = secret.read().map(|value| Sha256::digest(value.expose_secret()));
    value.map(hex::encode).unwrap_or_default()
}

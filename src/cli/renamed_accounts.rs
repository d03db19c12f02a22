//! HubSpot accounts that were renamed without `formerly`: their credentials, or the portal that these open, show it.
//!
//! Promises: an account inherits from one that is gone only if nobody else could, and before the store is opened, so that
//! nothing is written under the new name first. Relies on the status that the store keeps of each account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context as _;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::event::{AccountName, AccountStatus, Identity};
use crate::hubspot::{AccountClient, AccountErrorKind, RateLimiter, WaitingRateLimiter};
use crate::ledger::sqlite::{self, StoreState};
use crate::net::Http;
use crate::telemetry::Metrics;

/// How an account is recognised.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Recognition {
    /// By its credentials alone.
    Credentials,
    /// By the portal and the app too: HubSpot is asked. It is an error if it does not answer.
    Portal,
}

/// Makes each account that took the place of one that is gone its heir, as `formerly` does. Returns a sentence for each. An
/// HTTP client is made only if an account is gone: a check off line may have no certificates.
///
/// # Errors
/// The store cannot be read, or HubSpot does not say whose account it is.
pub(super) async fn adopt(
    config: &mut Config,
    http: impl FnOnce() -> anyhow::Result<Arc<dyn Http>>,
    by: Recognition,
) -> anyhow::Result<Vec<String>> {
    let path = &config.store.path;
    if sqlite::inspect(path).context("the store cannot be opened")? == StoreState::Absent {
        return Ok(Vec::new());
    }
    let mut stored = sqlite::stored_accounts(path).context("the store cannot be opened")?;
    let heirs = config.heirs();
    let gone: BTreeMap<AccountName, AccountStatus> = stored
        .with_events
        .into_iter()
        .filter(|name| !config.accounts.contains_key(heirs.account(name)))
        .map(|name| (name.clone(), stored.statuses.remove(&name).unwrap_or_default()))
        .collect();
    // A former name that the store does not know makes nobody an heir.
    let inherited = heirs.accounts.iter().filter(|(former, _)| stored.known.contains(*former));
    let known_heirs: BTreeSet<&AccountName> = inherited.map(|(_, heir)| heir).collect();
    let is_heir = |name: &AccountName| known_heirs.contains(name);
    let new: Vec<AccountName> = config
        .accounts
        .keys()
        .filter(|name| !stored.known.contains(*name) && !is_heir(name))
        .cloned()
        .collect();
    if gone.is_empty() || new.is_empty() {
        return Ok(Vec::new());
    }
    let http = http()?;
    let mut successors: BTreeMap<&AccountName, Vec<(AccountName, &str)>> = BTreeMap::new();
    for name in new {
        let client = client(config, &name, &http);
        let digest = client.credentials_digest(client.fingerprint());
        let has_credentials =
            |status: &AccountStatus| digest.is_some() && status.checked_credentials == digest;
        let mut found =
            only(&gone, has_credentials).map(|gone| (gone, "its credentials are the same"));
        if found.is_none()
            && by == Recognition::Portal
            && gone.values().any(|status| status.identity.is_some())
        {
            let identity = ask(&client, &name, config).await?;
            let opens = |status: &AccountStatus| identity.is_some() && status.identity == identity;
            found = only(&gone, opens).map(|gone| (gone, "it is the same portal"));
        }
        if let Some((gone, why)) = found {
            successors.entry(gone).or_default().push((name, why));
        }
    }
    let mut adopted = Vec::new();
    for (gone, mut successors) in successors {
        let (Some((name, why)), true) = (successors.pop(), successors.is_empty()) else { continue };
        adopted.push(format!("hubspot.{name} takes the place of hubspot.{gone}: {why}"));
        if let Some(account) = config.accounts.get_mut(&name) {
            account.formerly.insert(gone.clone());
        }
    }
    Ok(adopted)
}

/// The one account of which that is true.
fn only(
    accounts: &BTreeMap<AccountName, AccountStatus>,
    is_it: impl Fn(&AccountStatus) -> bool,
) -> Option<&AccountName> {
    let mut found = accounts.iter().filter(|(_, status)| is_it(status));
    let (name, _) = found.next()?;
    found.next().is_none().then_some(name)
}

fn client(config: &Config, name: &AccountName, http: &Arc<dyn Http>) -> AccountClient {
    AccountClient::new(
        name.clone(),
        config.accounts[name].api.clone(),
        Arc::clone(http),
        Arc::new(SystemClock),
        Metrics::new(&[], &[]),
    )
}

/// The account that the credentials open; none if HubSpot does not disclose it.
async fn ask(
    client: &AccountClient,
    name: &AccountName,
    config: &Config,
) -> anyhow::Result<Option<Identity>> {
    let limit = RateLimiter::for_shared_limit(config.accounts[name].delivery.rate_limit);
    let permit = WaitingRateLimiter::new(limit).acquire().await;
    match client.fetch_portal_id(permit).await.outcome {
        Ok(portal_id) => {
            let client_id = client.client_id().map(str::to_owned);
            Ok(Some(Identity { portal_id, client_id }))
        }
        Err(error)
            if matches!(
                error.kind,
                AccountErrorKind::Unauthorized
                    | AccountErrorKind::Forbidden
                    | AccountErrorKind::NotFound
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!(
            "hubspot.{name} is new, and HubSpot could not be asked whether it is an account of the store, renamed. If it \
             is, set formerly in [hubspot.{name}]"
        ))),
    }
}

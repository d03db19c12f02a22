//! `check`: validates the configuration and inspects the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;

use super::renamed_accounts::{self, Recognition};
use super::{CommandError, ConfigArg, Io};
use crate::app;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, load_and_check};
use crate::deliver::ownership::changed_identity;
use crate::event::{
    AccountName, AccountStatus, EventKey, ExternalAccountId, ExternalEventId, Identity,
};
use crate::hubspot::{
    AccountClient, AccountErrorKind, CallPermit, RateLimiter, WaitingRateLimiter,
};
use crate::ledger::sqlite::{self, Rekey, StoreState};
use crate::telemetry::Metrics;

/// Ids of no event: no platform has such an account.
const NO_SUCH_EVENT: &str = "webinar-bridge:check";

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigArg,
    /// Also asks HubSpot whether the credentials work
    #[arg(long)]
    online: bool,
}

impl Check {
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        let mut config = load_and_check(self.file.config.as_deref(), io.variables)?;
        let by = if self.online { Recognition::Portal } else { Recognition::Credentials };
        let adopting = renamed_accounts::adopt(&mut config, super::http_client, by);
        for adopted in super::runtime()?.block_on(adopting).map_err(super::classify_open_error)? {
            io.print(&adopted)?;
        }
        let (store, warnings) = open_store(&config).map_err(super::classify_open_error)?;
        for warning in warnings {
            io.print(&format!("warning: {warning}"))?;
        }
        if self.online {
            for answer in ask_hubspot(&config)? {
                io.print(&answer)?;
            }
        }
        let (accounts, sources) = (config.accounts.len(), config.sources.len());
        io.print(&format!(
            "{}: valid; HubSpot accounts: {accounts}, sources: {sources}; {store}",
            config.file
        ))
    }
}

/// Checks that the service could open the store, and returns its state and warnings. Does not change it: it may be in
/// use.
fn open_store(config: &Config) -> anyhow::Result<(String, Vec<String>)> {
    let state = sqlite::inspect(&config.store.path).context("the store cannot be opened")?;
    let mut warnings = Vec::new();
    if state != StoreState::Absent {
        let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Metrics::new(&[], &[]));
        let settings = app::store_settings(config, &clock, &metrics, Rekey::Refuse);
        warnings = sqlite::check_sources(&settings)?;
    }
    let path = config.store.path.display();
    let state = match state {
        StoreState::Absent => format!("{path} will be made"),
        StoreState::Ready => format!("{path} is ready"),
        StoreState::Older { found, known } if config.store.migrate => {
            format!("{path} has schema {found} and will be brought to {known}")
        }
        StoreState::Older { found, known } => anyhow::bail!(
            "{path} has schema {found} of {known} and store.migrate is false; \
             run `webinar-bridge migrate` first"
        ),
    };
    Ok((state, warnings))
}

/// The HubSpot account that the events of each account are in, as the store remembers it.
fn remembered_identities(config: &Config) -> anyhow::Result<BTreeMap<AccountName, Identity>> {
    let path = &config.store.path;
    if sqlite::inspect(path).context("the store cannot be opened")? == StoreState::Absent {
        return Ok(BTreeMap::new());
    }
    let stored = sqlite::stored_accounts(path).context("the store cannot be opened")?;
    let heirs = config.heirs();
    // What an account inherits does not replace what is known of itself.
    let (own, inherited): (Vec<_>, Vec<_>) =
        stored.statuses.into_iter().partition(|(name, _)| heirs.account(name) == name);
    let all = inherited.into_iter().chain(own);
    let identity = |(name, status): (AccountName, AccountStatus)| {
        Some((heirs.account(&name).clone(), status.identity?))
    };
    Ok(all.filter_map(identity).collect())
}

/// Whether the service would send the account's events to the HubSpot account that they are in.
fn check_identity(
    name: &AccountName,
    seen: &Identity,
    remembered: &BTreeMap<AccountName, Identity>,
) -> anyhow::Result<()> {
    let Some((known, _)) = changed_identity(remembered.get(name), Some(seen)) else {
        return Ok(());
    };
    let owner = remembered.iter().find(|(_, identity)| *identity == seen);
    let owner =
        owner.map_or_else(String::new, |(owner, _)| format!(", as those of hubspot.{owner}"));
    anyhow::bail!(
        "hubspot.{name}: the credentials open {seen}{owner}, and its events are in {known}: the service would send \
         nothing. Put the right credentials in; or, to go on with these, start the service and resume the account \
         (POST /api/v1/accounts/{name}/resume)"
    )
}

/// Asks HubSpot whether each account's credentials work and open the HubSpot account that its events are in. Returns a
/// line with the portal of each.
fn ask_hubspot(config: &Config) -> anyhow::Result<Vec<String>> {
    let http = super::http_client()?;
    let remembered = remembered_identities(config)?;
    super::runtime()?.block_on(async {
        let mut answers = Vec::new();
        for (name, account) in &config.accounts {
            let limit = RateLimiter::for_shared_limit(account.delivery.rate_limit);
            let limiter = WaitingRateLimiter::new(limit);
            let permit = limiter.acquire().await;
            let client = AccountClient::new(
                name.clone(),
                account.api.clone(),
                Arc::clone(&http),
                Arc::new(SystemClock),
                Metrics::new(&[], &[]),
            );
            let portal = client.fetch_portal_id(permit).await.outcome.map_err(|error| {
                let is_refusal = matches!(
                    error.kind,
                    AccountErrorKind::Unauthorized | AccountErrorKind::Forbidden
                );
                let failure = if is_refusal {
                    "HubSpot does not accept the credentials"
                } else {
                    "HubSpot could not be asked"
                };
                anyhow::Error::new(error).context(format!("hubspot.{name}: {failure}"))
            })?;
            let client_id = client.client_id().map(str::to_owned);
            check_identity(name, &Identity { portal_id: portal, client_id }, &remembered)?;
            check_reading(&client, name, limiter.acquire().await).await?;
            answers.push(format!("hubspot.{name}: the credentials work; portal {portal}"));
        }
        Ok(answers)
    })
}

/// Reads an event that cannot exist: events of older webinars are read before they are sent, and that needs a scope of
/// its own.
async fn check_reading(
    client: &AccountClient,
    account: &AccountName,
    permit: CallPermit,
) -> anyhow::Result<()> {
    let key = EventKey {
        hubspot: account.clone(),
        external_account_id: ExternalAccountId::parse(NO_SUCH_EVENT)?,
        external_event_id: ExternalEventId::from_stored(NO_SUCH_EVENT.to_owned()),
    };
    let read = client.read_event(permit, &key).await.outcome;
    let Err(error) = read else { return Ok(()) };
    let failure = if error.kind == AccountErrorKind::Forbidden {
        "HubSpot does not show events; add the scope crm.objects.marketing_events.read"
    } else {
        "HubSpot could not be asked for an event"
    };
    Err(anyhow::Error::new(error).context(format!("hubspot.{account}: {failure}")))
}

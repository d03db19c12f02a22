//! The status of the whole service.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::error::ApiError;
use super::models::{AccountModel, AccountStatusModel, SourceModel, StatusModel, StoreModel};
use super::query::QueryParameters;
use super::{STORE_TIMEOUT, await_store};
use crate::event::{AccountName, ProviderId, SourceName};
use crate::ledger::{EventStateCounts, FetchStatus, StoreSizes};
use crate::ops::state::OpsState;
use crate::telemetry::{REVISION, VERSION};

/// Shows the status. A figure that the store does not supply in time is none.
pub(super) async fn get(ops: &OpsState, query: QueryParameters) -> Result<StatusModel, ApiError> {
    query.finish()?;
    let counts = await_store(ops.ledger.event_counts()).await?;
    let accounts = ops.accounts.iter().map(|name| {
        let counts = counts.get(name).copied().unwrap_or_default();
        account(ops, name, counts)
    });
    let (store, accounts) = tokio::join!(store(ops), join_all(accounts));
    let fetches = await_store(ops.ledger.fetch_statuses()).await?;
    let sources = ops.sources.iter().map(|(name, provider)| source(ops, &fetches, name, provider));
    let now = ops.clock.now();
    Ok(StatusModel {
        version: VERSION.to_owned(),
        revision: REVISION.to_owned(),
        now,
        uptime_seconds: now.since(ops.started_at).as_secs(),
        store,
        accounts,
        sources: sources.collect(),
    })
}

async fn store(ops: &OpsState) -> StoreModel {
    let problem = ops.ledger.health().err();
    // The file system may hang.
    let sizes = timeout(STORE_TIMEOUT, ops.ledger.store_sizes()).await;
    let sizes: Option<StoreSizes> = sizes.ok().and_then(Result::ok);
    StoreModel {
        ok: problem.is_none(),
        problem,
        bytes: sizes.as_ref().map(|sizes| sizes.store),
        free_bytes: sizes.as_ref().map(|sizes| sizes.free),
        wal_bytes: sizes.as_ref().map(|sizes| sizes.wal),
    }
}

async fn account(ops: &OpsState, name: &AccountName, counts: EventStateCounts) -> AccountModel {
    let oldest = match timeout(STORE_TIMEOUT, ops.ledger.oldest_pending(name)).await {
        Ok(Ok(since)) => since,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the oldest pending event is unknown");
            None
        }
        Err(_) => {
            tracing::debug!("the oldest pending event is unknown: the store took too long");
            None
        }
    };
    let status = match timeout(STORE_TIMEOUT, ops.ledger.account_status(name)).await {
        Ok(Ok(status)) => status.into(),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the account's status is unknown");
            AccountStatusModel::default()
        }
        Err(_) => {
            tracing::debug!("the account's status is unknown: reading it took too long");
            AccountStatusModel::default()
        }
    };
    AccountModel {
        hubspot: name.clone(),
        events: counts,
        oldest_pending_since: oldest,
        oldest_pending_age_seconds: oldest.map(|since| ops.clock.now().since(since).as_secs()),
        status,
    }
}

fn source(
    ops: &OpsState,
    fetches: &BTreeMap<SourceName, FetchStatus>,
    name: &SourceName,
    provider: &ProviderId,
) -> SourceModel {
    let fetch = fetches.get(name).filter(|_| ops.fetchable_sources.contains_key(name)).cloned();
    let counts = ops.metrics.webhook_counts(name, provider).into_iter();
    SourceModel {
        source: name.clone(),
        provider: provider.clone(),
        last_webhook_at: ops.metrics.last_webhook_at(name),
        webhooks_since_start: counts
            .map(|(outcome, count)| (outcome.as_str().to_owned(), count))
            .collect(),
        fetch: fetch.unwrap_or_default(),
    }
}

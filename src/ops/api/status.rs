//! The status of the whole service.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::error::ApiError;
use super::models::{
    AccountModel, AccountStatusModel, ClockModel, SourceModel, StatusModel, StoreModel,
};
use super::query::QueryParameters;
use super::{STORE_TIMEOUT, await_store};
use crate::event::{AccountName, SourceName};
use crate::ledger::{EventStateCounts, FetchStatus};
use crate::ops::figure::read_figure;
use crate::ops::state::OpsState;
use crate::providers::Provider;
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
    let sources = ops.sources.iter();
    let sources = sources.map(|(name, provider)| source(ops, &fetches, name, provider.as_ref()));
    Ok(StatusModel {
        version: VERSION.to_owned(),
        revision: REVISION.to_owned(),
        now: ops.clock.now(),
        uptime_seconds: ops.started_at.elapsed().as_secs(),
        clock: clock(ops),
        store,
        accounts,
        sources: sources.collect(),
    })
}

fn clock(ops: &OpsState) -> ClockModel {
    let trust = ops.clock.trust();
    ClockModel {
        skew_seconds: trust.and_then(|trust| trust.skew_seconds(ops.clock.now())),
        doubt: ops.clock.doubt().map(|doubt| doubt.to_string()),
    }
}

async fn store(ops: &OpsState) -> StoreModel {
    let problem = ops.ledger.health().err();
    // The file system may hang.
    let sizes = ops.ledger.store_sizes();
    let sizes = read_figure("the store's sizes", STORE_TIMEOUT, sizes).await;
    StoreModel {
        ok: problem.is_none(),
        problem,
        bytes: sizes.map(|sizes| sizes.store),
        free_bytes: sizes.map(|sizes| sizes.free),
        wal_bytes: sizes.map(|sizes| sizes.wal),
    }
}

async fn account(ops: &OpsState, name: &AccountName, events: EventStateCounts) -> AccountModel {
    let oldest = ops.ledger.oldest_pending(name);
    let oldest = read_figure("the oldest pending event", STORE_TIMEOUT, oldest).await.flatten();
    let status = ops.ledger.account_status(name);
    let status = read_figure("a status", STORE_TIMEOUT, status).await;
    AccountModel {
        hubspot: name.clone(),
        events,
        oldest_pending_since: oldest,
        oldest_pending_age_seconds: oldest.map(|since| ops.clock.now().since(since).as_secs()),
        status: status.map(AccountStatusModel::from).unwrap_or_default(),
    }
}

fn source(
    ops: &OpsState,
    fetches: &BTreeMap<SourceName, FetchStatus>,
    name: &SourceName,
    provider: &dyn Provider,
) -> SourceModel {
    let fetch = fetches.get(name).filter(|_| provider.api().is_some()).cloned();
    let provider = provider.id();
    let counts = ops.metrics.webhook_counts(name, &provider).into_iter();
    SourceModel {
        source: name.clone(),
        last_webhook_at: ops.metrics.last_webhook_at(name),
        webhooks_since_start: counts
            .map(|(outcome, count)| (outcome.as_ref().to_owned(), count))
            .collect(),
        fetch: fetch.unwrap_or_default(),
        provider,
    }
}

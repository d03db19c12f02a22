//! How it all stands, at one look.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::error::ApiError;
use super::query::QueryParameters;
use super::{STORE_TIMEOUT, await_store, models};
use crate::event::{AccountName, ProviderId, SourceName};
use crate::ledger::{EventStateCounts, FetchStatus, StoreSizes};
use crate::ops::state::OpsState;
use crate::telemetry::{REVISION, VERSION};

/// Everything; what cannot be told in time is null.
pub(super) async fn get(ops: &OpsState, query: QueryParameters) -> Result<Value, ApiError> {
    query.finish()?;
    let census = await_store(ops.ledger.event_counts()).await?;
    let accounts = ops.accounts.iter().map(|name| {
        let counts = census.get(name).copied().unwrap_or_default();
        account(ops, name, counts)
    });
    let (store, accounts) = tokio::join!(store(ops), join_all(accounts));
    let fetches = await_store(ops.ledger.fetch_statuses()).await?;
    let sources: Vec<Value> =
        ops.sources.iter().map(|(name, provider)| source(ops, &fetches, name, provider)).collect();
    let now = ops.clock.now();
    Ok(json!({
        "version": VERSION,
        "revision": REVISION,
        "now": models::time(now),
        "uptime_seconds": now.since(ops.started_at).as_secs(),
        "store": store,
        "accounts": accounts,
        "sources": sources,
    }))
}

async fn store(ops: &OpsState) -> Value {
    let problem = ops.ledger.health().err();
    // The file system may hang.
    let sizes = timeout(STORE_TIMEOUT, ops.ledger.store_sizes()).await;
    let sizes = sizes.ok().and_then(Result::ok);
    let size = |which: fn(&StoreSizes) -> u64| sizes.as_ref().map(which);
    json!({
        "ok": problem.is_none(),
        "problem": problem,
        "bytes": size(|sizes| sizes.store),
        "free_bytes": size(|sizes| sizes.free),
        "wal_bytes": size(|sizes| sizes.wal),
    })
}

async fn account(ops: &OpsState, name: &AccountName, counts: EventStateCounts) -> Value {
    let oldest = match timeout(STORE_TIMEOUT, ops.ledger.oldest_pending(name)).await {
        Ok(Ok(since)) => since,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the oldest pending event is unknown");
            None
        }
        Err(_) => {
            tracing::debug!("the oldest pending event is unknown: it took too long");
            None
        }
    };
    let EventStateCounts { pending, in_flight, delivered, incomplete, filtered, dead } = counts;
    let mut shown = json!({
        "hubspot": name,
        "events": {
            "pending": pending,
            "in_flight": in_flight,
            "delivered": delivered,
            "incomplete": incomplete,
            "filtered": filtered,
            "dead": dead,
        },
        "oldest_pending_since": models::maybe_time(oldest),
        "oldest_pending_age_seconds": oldest.map(|since| ops.clock.now().since(since).as_secs()),
    });
    let status = match timeout(STORE_TIMEOUT, ops.ledger.account_status(name)).await {
        Ok(Ok(status)) => Some(status),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the account's status is unknown");
            None
        }
        Err(_) => {
            tracing::debug!("the account's status is unknown: reading it took too long");
            None
        }
    };
    models::add(&mut shown, models::account_status(status.as_ref()));
    shown
}

fn source(
    ops: &OpsState,
    fetches: &BTreeMap<SourceName, FetchStatus>,
    name: &SourceName,
    provider: &ProviderId,
) -> Value {
    let fetch = fetches.get(name).filter(|_| ops.fetchable_sources.contains_key(name)).cloned();
    let FetchStatus { pending, given_up, last_error } = fetch.unwrap_or_default();
    let counts = ops.metrics.webhook_counts(name, provider);
    let counts: serde_json::Map<String, Value> = counts
        .into_iter()
        .map(|(outcome, count)| (outcome.as_str().to_owned(), json!(count)))
        .collect();
    json!({
        "source": name,
        "provider": provider,
        "last_webhook_at": models::maybe_time(ops.metrics.last_webhook_at(name)),
        "webhooks_since_start": counts,
        "fetch": { "pending": pending, "given_up": given_up, "last_error": last_error },
    })
}

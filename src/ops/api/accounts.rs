//! Pauses and resumes accounts.

use super::await_store;
use super::error::ApiError;
use super::models::PausedAccountModel;
use super::query::QueryParameters;
use crate::event::{AccountName, StatusChange};
use crate::ops::state::OpsState;

/// Pauses the account: nothing is sent until it is resumed, also after a restart.
pub(super) async fn pause(
    ops: &OpsState,
    account: &AccountName,
    query: QueryParameters,
) -> Result<PausedAccountModel, ApiError> {
    query.finish()?;
    let shown = update(ops, account, StatusChange::Paused).await?;
    tracing::info!(hubspot.account = %account, "an operator paused the account");
    Ok(shown)
}

/// Resumes the account: every pause and every wait ends now.
pub(super) async fn resume(
    ops: &OpsState,
    account: &AccountName,
    query: QueryParameters,
) -> Result<PausedAccountModel, ApiError> {
    query.finish()?;
    let shown = update(ops, account, StatusChange::Resumed).await?;
    tracing::info!(hubspot.account = %account, "an operator resumed the account");
    Ok(shown)
}

async fn update(
    ops: &OpsState,
    account: &AccountName,
    change: StatusChange,
) -> Result<PausedAccountModel, ApiError> {
    if !ops.accounts.contains(account) {
        return Err(ApiError::UnknownAccount);
    }
    let update = await_store(ops.ledger.update_status(account, change)).await;
    let update = match update {
        // The change holds in memory, which the operator should know.
        Err(ApiError::Unavailable(why)) => {
            let why = format!("{why}; it may hold, but only until a restart");
            return Err(ApiError::Unavailable(why));
        }
        update => update?,
    };
    Ok(PausedAccountModel { hubspot: account.clone(), status: update.after.into() })
}

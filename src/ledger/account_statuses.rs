//! The statuses of the HubSpot accounts.

use async_trait::async_trait;
use tokio::sync::watch;

use super::LedgerError;
use crate::event::{AccountName, AccountStatus, StatusChange, StatusUpdate};

/// The statuses of the HubSpot accounts, stored across restarts.
#[async_trait]
pub trait AccountStatuses: Send + Sync + 'static {
    /// The account's status, now and after every change, for the one that delivers to the account.
    fn watch_status(&self, account: &AccountName) -> watch::Receiver<AccountStatus>;

    /// The account's status now.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn account_status(&self, account: &AccountName) -> Result<AccountStatus, LedgerError>;

    /// Applies a change to the account's status, one change after the other; durable when it returns. Returns the status
    /// before and after. If they differ, the account is woken.
    ///
    /// # Errors
    /// [`LedgerError`] when the change was not stored. It holds all the same, for as long as the process lives.
    async fn update_status(
        &self,
        account: &AccountName,
        change: StatusChange,
    ) -> Result<StatusUpdate, LedgerError>;
}

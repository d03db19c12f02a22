//! Reading what HubSpot holds of an event before its first send.

use async_trait::async_trait;

use super::{Lease, LedgerError, RecordResult};
use crate::event::{AccountName, BaseFields, EventKey};

/// The queue of events whose base is to be read, as the one process that delivers an account uses it.
#[async_trait]
pub trait BaseReads: Send + Sync + 'static {
    /// Claims the next event of the lease's account whose base is to be read, cancelled ones first, unless it is claimed
    /// already. None: there is none, or another process has the lease.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn claim_base_read(&self, lease: &Lease) -> Result<Option<BaseRead>, LedgerError>;

    /// Records what HubSpot holds and frees the event; durable when it returns. The event is folded again with it, or
    /// with the reads of further events of its webinar.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was recorded. The event stays claimed: the caller must release it.
    async fn settle_base_read(
        &self,
        lease: &Lease,
        read: &BaseRead,
        outcome: BaseReadOutcome,
    ) -> Result<RecordResult, LedgerError>;

    /// Whether the account has an event whose base is to be read, claimed or not.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn has_base_reads(&self, account: &AccountName) -> Result<bool, LedgerError>;

    /// Frees an event that could not be read. Does nothing for a lost lease.
    fn release_base_read(&self, lease: &Lease, read: &BaseRead);
}

/// An event whose base is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRead {
    /// The ledger's number of the event.
    pub id: i64,
    /// The event's key.
    pub key: EventKey,
}

/// The result of reading an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseReadOutcome {
    /// HubSpot holds no such event.
    Absent,
    /// HubSpot holds it so.
    Found {
        /// Its values.
        fields: Box<BaseFields>,
        /// HubSpot's id of the record, where the answer has it.
        object_id: Option<String>,
    },
}

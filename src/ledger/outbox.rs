//! Sending to HubSpot: claiming pending events, noting attempts, recording their outcomes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::LedgerError;
use crate::event::{AccountName, EventKey, ExternalAccountId, HubspotRefusal, Millis};

/// The queue of pending events, as the one process that delivers an account uses it.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Takes the account's lease, or renews the one that this process holds; none while another process holds it. When
    /// the lease gets another holder, calls under way become [`DeliveryOutcome::Ambiguous`].
    ///
    /// # Errors
    /// [`LedgerError`] when it is unknown who holds the lease.
    async fn acquire_lease(&self, account: &AccountName) -> Result<Option<Lease>, LedgerError>;

    /// Claims up to `request.limit` pending events of the lease's account, oldest first, none of them claimed already.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn claim(&self, lease: &Lease, request: ClaimRequest)
    -> Result<ClaimResult, LedgerError>;

    /// Records that a call with these claimed events is about to be made; durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was recorded: the call must not be made.
    async fn begin_attempt(
        &self,
        lease: &Lease,
        events: &[EventVersion],
    ) -> Result<RecordResult, LedgerError>;

    /// Records the outcomes of claimed events and frees them; durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was recorded. The events stay claimed: the caller must try again or release them.
    async fn settle(
        &self,
        lease: &Lease,
        settlements: Vec<Settlement>,
    ) -> Result<RecordResult, LedgerError>;

    /// Frees claimed events that were not settled. Does nothing for a lost lease.
    fn release(&self, lease: &Lease, events: &[EventVersion]);

    /// Whether the account has a pending event that is not claimed.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn has_pending(&self, account: &AccountName) -> Result<bool, LedgerError>;

    /// Notified after each commit, and each change of the account's status, that may have made work for the account.
    /// Carries no data; arm it before looking.
    fn wake_up(&self, account: &AccountName) -> Arc<Notify>;
}

/// Permission to deliver an account's events; one process has it at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    account: AccountName,
    fence: u64,
}

impl Lease {
    /// A lease of the account. `fence` rises each time that the lease gets a new holder.
    #[must_use]
    pub fn new(account: AccountName, fence: u64) -> Self {
        Self { account, fence }
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// The fencing number: a store refuses calls that carry an older one than the latest.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
    }
}

/// The terms of a claim.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// The most events in one batch.
    pub limit: usize,
    /// How long a pending event waits for others before a batch leaves that is not full.
    pub linger: Duration,
    /// Events to send before all others, in this order, each in a batch of its own.
    pub first: Vec<i64>,
    /// Events to send only when no other can be sent, in this order, each in a batch of its own.
    pub last: Vec<i64>,
    /// The account refuses everything: one event probes it, and the rest of the terms does not count.
    pub probe: Option<Probe>,
}

/// A probe of an account that refuses everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The kind of event that is sent, if there is one; else any pending event.
    pub kind: ProbeKind,
    /// The events that were refused so far.
    pub refused: BTreeSet<i64>,
    /// The external account of the pending event that was sent last. The accounts take turns.
    pub last_account: Option<ExternalAccountId>,
}

/// The kind of event that probes an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// An event that HubSpot confirmed and that did not change since, sent again as it was: if HubSpot takes it, the
    /// account works.
    Witness,
    /// A pending event that was not refused.
    NeverRefused,
    /// A pending event that was refused.
    Refused,
}

impl ClaimRequest {
    /// The events of one batch, out of those that could go, oldest first.
    #[must_use]
    pub fn select<T>(&self, ready: Vec<T>, id: impl Fn(&T) -> i64) -> Vec<T> {
        let singles = self.first.iter().chain(&self.last);
        let ranks: BTreeMap<i64, usize> =
            singles.enumerate().map(|(rank, id)| (*id, rank)).collect();
        let rank = |event: &T| ranks.get(&id(event)).copied();
        let (singles, mut others): (Vec<T>, Vec<T>) =
            ready.into_iter().partition(|event| rank(event).is_some());
        let next = singles.into_iter().min_by_key(&rank);
        let goes = |event: &T| {
            others.is_empty() || rank(event).is_some_and(|rank| rank < self.first.len())
        };
        if let Some(next) = next.filter(goes) {
            return vec![next];
        }
        others.truncate(self.limit);
        others
    }

    /// The number of pending events to look at, oldest first, when so many of them are claimed already: those are among
    /// the oldest, and so are the events that go in a batch of their own.
    #[must_use]
    pub fn rows_to_read(&self, claimed: usize) -> usize {
        self.limit + claimed + self.first.len() + self.last.len()
    }
}

/// The answer to a claim.
#[derive(Debug)]
pub enum ClaimResult {
    /// These events are claimed.
    Batch(Vec<ClaimedEvent>),
    /// Nothing is to be sent before that time, unless woken; none: only when woken.
    Wait(Option<Millis>),
    /// Another process has the lease: nothing is claimed.
    LeaseLost,
}

/// The answer to a call that records something under a lease.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordResult {
    /// It is recorded.
    Recorded,
    /// Another process has the lease: nothing is recorded, no call may be made, and the batch is to be dropped.
    LeaseLost,
}

/// The start of the SHA-256 of an event's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputHash([u8; 16]);

impl InputHash {
    /// The hash of an input.
    #[must_use]
    pub fn from_input(input: &[u8]) -> Self {
        let mut hash = [0; 16];
        hash.iter_mut().zip(Sha256::digest(input)).for_each(|(to, from)| *to = from);
        Self(hash)
    }

    /// A stored hash.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The hash as it is stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// One version of an event: what a settlement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventVersion {
    /// The ledger's number of the event.
    pub id: i64,
    /// The version.
    pub version: i64,
    /// The hash of the version's input.
    pub input_hash: InputHash,
}

/// A claimed event: one version of its state, to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEvent {
    /// The ledger's number of the event.
    pub id: i64,
    /// The event's key.
    pub key: EventKey,
    /// The claimed version.
    pub version: i64,
    /// Since when the event has been pending.
    pub pending_since: Millis,
    /// How often in a row this version came back as [`DeliveryOutcome::RetryCounted`].
    pub attempts: u32,
    /// The event's full state as HubSpot takes it: JSON of [`crate::event::EventInput`].
    pub input: Arc<[u8]>,
    /// The hash of the input.
    pub input_hash: InputHash,
    /// HubSpot confirmed this very state last, and nothing was sent since: settle it as
    /// [`DeliveryOutcome::AlreadyConfirmed`].
    pub already_confirmed: bool,
    /// It is no pending event: it is sent again as it was, to see whether the account works ([`ProbeKind::Witness`]).
    pub is_witness: bool,
}

impl ClaimedEvent {
    /// The event as a witness: it is sent although HubSpot confirmed it.
    #[must_use]
    pub fn as_witness(self) -> Self {
        Self { already_confirmed: false, is_witness: true, ..self }
    }

    /// The claimed version, for settling it.
    #[must_use]
    pub fn event_version(&self) -> EventVersion {
        EventVersion { id: self.id, version: self.version, input_hash: self.input_hash }
    }
}

/// The outcome of one claimed event.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The event, and the version of it that was claimed.
    pub event: EventVersion,
    /// The outcome.
    pub outcome: DeliveryOutcome,
}

/// The outcome of a claimed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// HubSpot confirmed it.
    Confirmed {
        /// HubSpot's id of the record, where the answer has it.
        object_id: Option<String>,
    },
    /// HubSpot refused this version for good: a dead letter until it changes or is redriven.
    Refused(HubspotRefusal),
    /// It was not sent: HubSpot holds this state already.
    AlreadyConfirmed,
    /// It was refused before, and the refusal was the account's fault: pending again, unless it changed since.
    RefusalRevoked,
    /// It was refused before, that refusal was revoked, and HubSpot takes other events: a dead letter after all, unless
    /// it changed since, is on its way again, or was made pending by an operator.
    RefusalUpheld(HubspotRefusal),
    /// The account could not apply it, and certainly did not.
    NotApplied,
    /// It is unknown whether HubSpot applied it, or still will.
    Ambiguous,
    /// HubSpot did nothing with it and applied others: retry after `wait`, and count the attempt.
    RetryCounted {
        /// The wait before the next attempt, from the moment when this is recorded: the clock may be set until then.
        wait: Duration,
        /// The reason, for showing.
        reason: String,
    },
    /// Outcome unknown: retry after `wait` without counting an attempt.
    RetryUncounted {
        /// The wait before the next attempt, from the moment when this is recorded.
        wait: Duration,
        /// The reason, for showing.
        reason: String,
    },
}

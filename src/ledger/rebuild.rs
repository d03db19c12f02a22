//! Rebuilds. In a replay a receipt is mapped again with today's code and configuration, and the webinars that it built,
//! or builds now, are rebuilt from their retained receipts at their original times.
//!
//! Mapping is not the ledger's: the replayer reads a [`WebinarState`] and its [`ReceiptRecord`]s, maps and merges
//! them, and returns a [`RebuildRequest`]. If the webinar changed meanwhile the ledger answers [`RebuildResult::Stale`],
//! and the replayer starts over. So a rebuild takes the writer no longer than a webhook does, however many receipts a
//! webinar has, and the memory never holds all of them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::rules::rebuild::ReceiptChecksum;
use super::{LedgerError, Page, ReceiptOutcome, ReceiptRecord};
use crate::event::webinar::{Provenance, ReceiptOrder};
use crate::event::{
    AccountName, Change, ExternalAccountId, MissingExternalAccount, OccurrenceId, Policy,
    ReceiptId, Webinar, WebinarId,
};

/// Webinars as the replayer reads and replaces them.
#[async_trait]
pub trait Rebuilds: Send + Sync + 'static {
    /// The present states of the webinars that a receipt built.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn webinars_of(&self, receipt: ReceiptId) -> Result<Vec<WebinarState>, LedgerError>;

    /// A webinar's present state.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn webinar_state(&self, key: &WebinarKey) -> Result<WebinarState, LedgerError>;

    /// A page of the retained receipts that built a webinar, with their bodies, oldest first. A page holds some megabytes of
    /// bodies, and at least one receipt if there is any. `after` is the `next` of the page before.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn receipts_of(
        &self,
        key: &WebinarKey,
        after: Option<i64>,
    ) -> Result<Page<ReceiptRecord>, LedgerError>;

    /// Replaces webinars with their rebuilt states after a receipt was mapped again. A webinar that is rebuilt as it was does
    /// not change. Durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was changed.
    async fn rebuild(&self, request: RebuildRequest) -> Result<RebuildResult, LedgerError>;
}

/// The name of a webinar (or series) in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WebinarKey {
    /// The HubSpot account that gets its events.
    pub hubspot: AccountName,
    /// The platform's account, as HubSpot gets it.
    pub account: ExternalAccountId,
    /// The platform's id.
    pub webinar: WebinarId,
}

impl WebinarKey {
    /// The name of a webinar of a source with that policy. `named` is the account that the platform named.
    ///
    /// # Errors
    /// [`MissingExternalAccount`] where neither the source nor the platform names the account.
    pub fn new(
        policy: &Policy,
        named: Option<&ExternalAccountId>,
        webinar: &WebinarId,
    ) -> Result<Self, MissingExternalAccount> {
        let account = policy.external_account(named)?.clone();
        Ok(Self { hubspot: policy.hubspot.clone(), account, webinar: webinar.clone() })
    }
}

/// A webinar as it is before it is rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebinarState {
    /// The webinar's name.
    pub key: WebinarKey,
    /// Its state; empty if it is not there.
    pub webinar: Webinar,
    /// Receipts that built it are deleted, so that what they reported stays.
    pub has_expired_receipts: bool,
    /// The retained receipts among those that its values come from.
    pub retained: BTreeSet<ReceiptId>,
    /// The checksum of the retained receipts that built it.
    pub receipt_checksum: ReceiptChecksum,
    /// The places of retained receipts that do not follow from the receipts themselves.
    pub orders: BTreeMap<ReceiptId, ReceiptOrder>,
    /// The occurrences that left its state; their events stay as they are.
    pub frozen: BTreeSet<OccurrenceId>,
}

impl WebinarState {
    /// The state of a webinar that these retained receipts built, in their order. No occurrence left it.
    #[must_use]
    pub fn new(
        key: WebinarKey,
        webinar: Webinar,
        has_expired_receipts: bool,
        receipts: &[ReceiptId],
        orders: BTreeMap<ReceiptId, ReceiptOrder>,
    ) -> Self {
        let is_retained = |id: &&ReceiptId| webinar.origins.contains_key(*id);
        let retained = receipts.iter().filter(is_retained).copied().collect();
        let receipt_checksum = ReceiptChecksum::from_receipts(receipts);
        Self {
            key,
            webinar,
            has_expired_receipts,
            retained,
            receipt_checksum,
            orders,
            frozen: BTreeSet::new(),
        }
    }

    /// The provenance of a change that a retained receipt brings today, as the one at that place among its changes.
    #[must_use]
    pub fn provenance(&self, receipt: &ReceiptRecord, change: &Change, place: usize) -> Provenance {
        let ReceiptRecord { seq, summary, .. } = receipt;
        let own = ReceiptOrder { seq: *seq, at: summary.received_at };
        let order = self.orders.get(&summary.id).copied().unwrap_or(own);
        summary.provenance(change, place, order)
    }
}

/// The replayed receipt's new outcome, and the webinars as today's code builds them.
#[derive(Debug, Clone)]
pub struct RebuildRequest {
    /// The replayed receipt.
    pub receipt: ReceiptId,
    /// Its outcome this time.
    pub outcome: ReceiptOutcome,
    /// Why it is quarantined, if it still is.
    pub reason: Option<String>,
    /// Every webinar that the receipt built until now or builds today.
    pub webinars: Vec<RebuiltWebinar>,
}

/// A webinar as its retained receipts build it today.
#[derive(Debug, Clone)]
pub struct RebuiltWebinar {
    /// The state that it was rebuilt from.
    pub before: WebinarState,
    /// Its state from now on.
    pub webinar: Webinar,
    /// The replayed receipt contributes to it today.
    pub contributes: bool,
}

/// The answer to a rebuild.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebuildResult {
    /// Done, and durable.
    Done,
    /// One of the webinars changed since it was read: nothing was stored, and the replayer should start over.
    Stale,
    /// The rebuilt webinars cannot be stored: nothing was changed. The reason, for operators.
    Refused(String),
    /// The receipt is not there (any more).
    Unknown,
}

//! A ledger that accepts receipts as a test requests.

use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};

use crate::event::{AccountName, SourceName};
use crate::ledger::{Intake, LedgerError, NewReceipt, ReceiptContent, ReceiptOutcome};

pub(crate) fn account() -> AccountName {
    AccountName::parse("main").expect("a name")
}

pub(crate) fn source(name: &str) -> SourceName {
    SourceName::parse(name).expect("a name")
}

/// How the ledger answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IntakeMode {
    Accepting,
    Failing,
    /// Accepts as soon as `gate` permits.
    Waiting,
}

pub(super) struct FakeIntake {
    mode: Mutex<IntakeMode>,
    stored: Mutex<Vec<NewReceipt>>,
    /// Notified when an acceptance has begun.
    pub(super) begun: Notify,
    /// Each permit lets one waiting acceptance go on.
    pub(super) gate: Semaphore,
}

impl Default for FakeIntake {
    fn default() -> Self {
        Self {
            mode: Mutex::new(IntakeMode::Accepting),
            stored: Mutex::default(),
            begun: Notify::new(),
            gate: Semaphore::new(0),
        }
    }
}

impl FakeIntake {
    pub(super) fn set(&self, mode: IntakeMode) {
        *self.mode.lock().unwrap() = mode;
    }

    pub(super) fn stored(&self) -> Vec<NewReceipt> {
        self.stored.lock().unwrap().clone()
    }
}

#[async_trait]
impl Intake for FakeIntake {
    async fn accept(&self, receipt: NewReceipt) -> Result<ReceiptOutcome, LedgerError> {
        self.begun.notify_one();
        let mode = *self.mode.lock().unwrap();
        match mode {
            IntakeMode::Accepting => {}
            IntakeMode::Failing => return Err(LedgerError::unavailable("disk full")),
            IntakeMode::Waiting => self.gate.acquire().await.expect("never closed").forget(),
        }
        let mut stored = self.stored.lock().unwrap();
        let seen = |old: &NewReceipt| {
            (&old.source, old.dedupe_key) == (&receipt.source, receipt.dedupe_key)
        };
        if stored.iter().any(seen) {
            return Ok(ReceiptOutcome::Duplicate);
        }
        let outcome = match receipt.content {
            ReceiptContent::Changes(_) => ReceiptOutcome::Accepted,
            ReceiptContent::Ignored => ReceiptOutcome::Ignored,
            ReceiptContent::Quarantined(_) => ReceiptOutcome::Quarantined,
        };
        stored.push(receipt);
        Ok(outcome)
    }
}

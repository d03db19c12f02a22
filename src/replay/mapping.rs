//! What a stored receipt says today.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::{Change, FetchRequest, Policy};
use crate::ledger::{ReceiptKind, ReceiptSummary, WebinarKey};
use crate::providers::{Inbound, PayloadContent, Provider, read_answers};

/// A source of the present configuration, as replaying needs it.
#[derive(Clone)]
pub struct Source {
    /// Its platform's code.
    pub provider: Arc<dyn Provider>,
    /// What shapes its events.
    pub policy: Policy,
    /// The platform's accounts it may speak for; all if none.
    pub platform_accounts: Option<BTreeSet<String>>,
}

/// A receipt as it is stored.
pub(super) struct StoredReceipt<'a> {
    pub(super) receipt: &'a ReceiptSummary,
    pub(super) headers: &'a Vec<(String, String)>,
    pub(super) body: &'a [u8],
}

/// What one receipt says, by webinar.
pub(super) type ChangesByWebinar = BTreeMap<WebinarKey, Vec<Change>>;

/// What a receipt turns out to be today.
pub(super) enum Mapped {
    /// It says this, and this is to be asked of the platform's API because of it.
    Changes(ChangesByWebinar, Vec<FetchRequest>),
    /// There is nothing in it for us.
    Ignored,
    /// It cannot be mapped; why, for operators.
    Unmappable(String),
}

impl Mapped {
    /// What is to be asked of the platform's API because of it.
    pub(super) fn fetch_requests(&self) -> Vec<FetchRequest> {
        match self {
            Self::Changes(_, wanted) => wanted.clone(),
            Self::Ignored | Self::Unmappable(_) => Vec::new(),
        }
    }
}

impl Source {
    /// Maps what is stored, with the checks of what comes in; that it is authentic was proved when it did.
    pub(super) fn map(&self, stored: &StoredReceipt<'_>) -> Mapped {
        let StoredReceipt { receipt, headers, body } = stored;
        let reading = match receipt.kind {
            // Without secrets a handshake cannot be answered, and none is kept.
            ReceiptKind::Webhook => self.provider.read(
                &Inbound::from_stored(*headers, body, receipt.received_at)
                    .scrub(self.provider.as_ref()),
                &[],
            ),
            ReceiptKind::Fetched => read_answers(self.provider.as_ref(), body),
        };
        let (reading, _) = reading.restrict_to_accounts(self.platform_accounts.as_ref());
        let changes = match reading.content {
            PayloadContent::Changes { changes, .. } => changes,
            PayloadContent::Ignored | PayloadContent::Handshake(_) => return Mapped::Ignored,
            PayloadContent::Unmappable(why) => return Mapped::Unmappable(why),
        };
        let mut sayings = ChangesByWebinar::new();
        for change in changes {
            let account = match self.policy.external_account(&change) {
                Ok(account) => account.clone(),
                Err(none) => return Mapped::Unmappable(none.to_string()),
            };
            let hubspot = self.policy.hubspot.clone();
            let key = WebinarKey { hubspot, account, webinar: change.webinar.clone() };
            sayings.entry(key).or_default().push(change);
        }
        let wanted =
            if self.provider.api().is_some() { reading.fetch_requests } else { Vec::new() };
        Mapped::Changes(sayings, wanted)
    }
}

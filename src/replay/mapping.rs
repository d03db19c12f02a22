//! What a stored receipt says today.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::{Change, Policy, Wanted};
use crate::ledger::{ReceiptKind, ReceiptSummary, WebinarKey};
use crate::providers::{Inbound, Meaning, Provider, read_answers};

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
pub(super) struct Stored<'a> {
    pub(super) receipt: &'a ReceiptSummary,
    pub(super) headers: &'a Vec<(String, String)>,
    pub(super) body: &'a [u8],
}

/// What one receipt says, by webinar.
pub(super) type Sayings = BTreeMap<WebinarKey, Vec<Change>>;

/// What a receipt turns out to be today.
pub(super) enum Told {
    /// It says this, and this is to be asked of the platform's API because of it.
    Sayings(Sayings, Vec<Wanted>),
    /// There is nothing in it for us.
    Nothing,
    /// It cannot be mapped; why, for operators.
    Unmappable(String),
}

impl Told {
    /// What is to be asked of the platform's API because of it.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        match self {
            Self::Sayings(_, wanted) => wanted.clone(),
            Self::Nothing | Self::Unmappable(_) => Vec::new(),
        }
    }
}

impl Source {
    /// Maps what is stored, with the checks of what comes in; that it is authentic was proved when it did.
    pub(super) fn tell(&self, stored: &Stored<'_>) -> Told {
        let Stored { receipt, headers, body } = stored;
        let reading = match receipt.kind {
            // Without secrets a handshake cannot be answered, and none is kept.
            ReceiptKind::Webhook => {
                self.provider.read(&Inbound::stored(*headers, body, receipt.received_at), &[])
            }
            ReceiptKind::Fetched => read_answers(self.provider.as_ref(), body),
        };
        let (reading, _) = reading.admitted(self.platform_accounts.as_ref());
        let changes = match reading.meaning {
            Meaning::Changes { changes, .. } => changes,
            Meaning::Ignored | Meaning::Handshake(_) => return Told::Nothing,
            Meaning::Unmappable(why) => return Told::Unmappable(why),
        };
        let mut sayings = Sayings::new();
        for change in changes {
            let account = match self.policy.account_of(&change) {
                Ok(account) => account.clone(),
                Err(none) => return Told::Unmappable(none.to_string()),
            };
            let hubspot = self.policy.hubspot.clone();
            let key = WebinarKey { hubspot, account, webinar: change.webinar.clone() };
            sayings.entry(key).or_default().push(change);
        }
        let wanted = if self.provider.api().is_some() { reading.wanted } else { Vec::new() };
        Told::Sayings(sayings, wanted)
    }
}

//! What a stored receipt says today.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::{Change, Policy};
use crate::ledger::WebinarKey;
use crate::providers::{Inbound, Meaning, Provider};

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

/// What one receipt says, by webinar.
pub(super) type Sayings = BTreeMap<WebinarKey, Vec<Change>>;

/// What a receipt turns out to be today.
pub(super) enum Told {
    /// It says this.
    Sayings(Sayings),
    /// There is nothing in it for us.
    Nothing,
    /// It cannot be mapped; why, for operators.
    Unmappable(String),
}

impl Source {
    /// Maps a stored body, with the checks of one that comes in; that it is authentic was proved when it did.
    pub(super) fn tell(&self, body: &[u8]) -> Told {
        // Without secrets a handshake cannot be answered, and none is kept.
        let reading = self.provider.read(&Inbound::trusted(body), &[]);
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
        Told::Sayings(sayings)
    }
}

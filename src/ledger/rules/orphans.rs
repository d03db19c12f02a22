//! Sources and accounts that the configuration lacks although the store holds events of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{AccountName, ProviderId, SourceName};
use crate::ledger::{Heirs, Policies};

/// Why a store is not opened with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigRefused {
    /// Events of a source would get new ids in HubSpot.
    #[error(
        "source.{source_name}: hubspot, external_account_id or recurring was {was} and is {is}: HubSpot would hold \
         its events a second time under new ids. Change it back, or start once with --accept-rekey"
    )]
    Rekey {
        /// The source.
        source_name: SourceName,
        /// The old configuration: account, external account, recurring.
        was: String,
        /// The new configuration.
        is: String,
    },
    /// A source with events is gone, and there is a new one of its platform.
    #[error(
        "source.{gone} is not configured any more, and the store holds its events; source.{new} is new. If it takes \
         the place of the other, set formerly = [\"{gone}\"] in [source.{new}]. If not, start once with \
         --accept-rekey"
    )]
    Source {
        /// The source that is gone.
        gone: SourceName,
        /// The new source.
        new: SourceName,
    },
    /// An account with events is gone, and there is a new one.
    #[error(
        "hubspot.{gone} is not configured any more, and the store holds its events; hubspot.{new} is new. If it \
         takes the place of the other, set formerly = [\"{gone}\"] in [hubspot.{new}]. If not, start once with \
         --accept-rekey"
    )]
    Account {
        /// The account that is gone.
        gone: AccountName,
        /// The new account.
        new: AccountName,
    },
}

/// What a store knows of the names in its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownNames {
    /// The sources that it was opened with before.
    pub sources: BTreeSet<SourceName>,
    /// The accounts that it was opened with before; none if it does not remember them.
    pub accounts: Option<BTreeSet<AccountName>>,
}

/// Names that the store holds events of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orphans {
    /// The sources, with the platform of their events.
    pub sources: BTreeMap<SourceName, Option<ProviderId>>,
    /// The accounts.
    pub accounts: BTreeSet<AccountName>,
}

impl KnownNames {
    /// The sources that are not configured any more and that nobody inherits.
    pub fn gone<'a>(
        &'a self,
        policies: &'a Policies,
        heirs: &'a Heirs,
    ) -> impl Iterator<Item = &'a SourceName> {
        self.sources.iter().filter(|name| !policies.contains_key(heirs.source(name)))
    }
}

impl Orphans {
    /// Checks that no new source or account may be a renamed one.
    ///
    /// # Errors
    /// [`ConfigRefused::Source`], [`ConfigRefused::Account`].
    pub fn check(
        &self,
        known: &KnownNames,
        policies: &Policies,
        accounts: &[AccountName],
        heirs: &Heirs,
    ) -> Result<(), ConfigRefused> {
        let inherits = |name: &&SourceName| {
            heirs.sources.iter().any(|(old, heir)| heir == *name && known.sources.contains(old))
        };
        let is_new = |name: &&SourceName| !known.sources.contains(*name) && !inherits(name);
        for (gone, provider) in &self.sources {
            let mut new = policies.keys().filter(is_new);
            let successor = new.find(|name| Some(&policies[*name].provider) == provider.as_ref());
            if let Some(new) = successor {
                return Err(ConfigRefused::Source { gone: gone.clone(), new: new.clone() });
            }
        }
        let Some(known) = &known.accounts else { return Ok(()) };
        let is_new = |name: &&AccountName| {
            !known.contains(*name) && !heirs.accounts.values().any(|heir| heir == *name)
        };
        match (self.accounts.first(), accounts.iter().find(is_new)) {
            (Some(gone), Some(new)) => {
                Err(ConfigRefused::Account { gone: gone.clone(), new: new.clone() })
            }
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// A warning for each, as a sentence for operators.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let sources = self.sources.keys().map(|name| {
            format!(
                "source.{name} is not configured any more: its events stay as they are in HubSpot, and their timers \
                 wait. If another source takes its place, set formerly = [\"{name}\"] there"
            )
        });
        let accounts = self.accounts.iter().map(|name| {
            format!(
                "hubspot.{name} is not configured any more: its events are not sent. If another account takes its \
                 place, set formerly = [\"{name}\"] there"
            )
        });
        sources.chain(accounts).collect()
    }
}

#[cfg(test)]
mod tests;

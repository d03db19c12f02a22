//! Renamed sources and accounts.

use std::collections::BTreeMap;

use crate::event::{AccountName, SourceName};

/// The configured sources and accounts that took the place of former ones (`formerly`), by the former name. What the
/// store holds of the former one becomes the heir's when the store is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heirs {
    /// The sources.
    pub sources: BTreeMap<SourceName, SourceName>,
    /// The accounts.
    pub accounts: BTreeMap<AccountName, AccountName>,
}

impl Heirs {
    /// The present name of a source.
    #[must_use]
    pub fn source<'a>(&'a self, name: &'a SourceName) -> &'a SourceName {
        self.sources.get(name).unwrap_or(name)
    }

    /// The present name of an account.
    #[must_use]
    pub fn account<'a>(&'a self, name: &'a AccountName) -> &'a AccountName {
        self.accounts.get(name).unwrap_or(name)
    }
}

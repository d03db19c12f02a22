//! Sources whose configuration changed since the store was last opened.

use crate::event::Policy;

/// A source's configuration as the store remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSource {
    /// The settings that decide the ids of the source's events in HubSpot.
    pub identity: String,
    /// The other settings that shape the source's events.
    pub defaults: String,
}

impl StoredSource {
    /// The configuration of a source with that policy.
    #[must_use]
    pub fn from_policy(policy: &Policy) -> Self {
        Self { identity: policy.identity_fingerprint(), defaults: policy.defaults_fingerprint() }
    }
}

/// Whether the source's events would get new ids in HubSpot, which would hold them twice. A store without webinars
/// holds none that could.
#[must_use]
pub fn is_rekeyed(stored: Option<&StoredSource>, now: &StoredSource, holds_webinars: bool) -> bool {
    holds_webinars && stored.is_some_and(|stored| stored.identity != now.identity)
}

/// Whether the source's webinars are to be folded again.
#[must_use]
pub fn is_reshaped(stored: Option<&StoredSource>, now: &StoredSource) -> bool {
    stored.is_some_and(|stored| stored != now)
}

#[cfg(test)]
mod tests;

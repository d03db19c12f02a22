//! What follows from a source's configuration that is another than when the store was last opened.

use crate::event::Policy;

/// What the store remembers of a source's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSource {
    /// What decides the ids that the source's events have in HubSpot.
    pub identity: String,
    /// What else shapes the source's events.
    pub defaults: String,
}

impl StoredSource {
    /// What is to be remembered of a source with that policy.
    #[must_use]
    pub fn from_policy(policy: &Policy) -> Self {
        Self { identity: policy.identity_fingerprint(), defaults: policy.defaults_fingerprint() }
    }
}

/// Whether the source's events would get new ids in HubSpot, which would hold them twice. A store without webinars holds
/// none that could.
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

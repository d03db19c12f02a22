//! Sources whose configuration changed since the store was last opened.

use serde::Deserialize;

use super::orphans::ConfigRefused;
use crate::event::{
    AccountName, ExternalAccountId, ExternalEventId, HeldEvents, Millis, Policy, RecurringMode,
    SourceName, Webinar, fold,
};
use crate::ledger::{Heirs, WebinarKey};

/// A source's configuration as the store remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSource {
    /// The settings that decide the ids of the source's events in HubSpot.
    pub identity: String,
    /// The other settings that shape the source's events.
    pub defaults: String,
}

/// The settings that decide the ids of a source's events in HubSpot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct SourceIdentity(AccountName, Option<ExternalAccountId>, RecurringMode);

/// A webinar of a source, with its events' ids and ends.
#[derive(Debug, Clone)]
pub struct HeldWebinar {
    /// The webinar's name.
    pub key: WebinarKey,
    /// Its state.
    pub webinar: Webinar,
    /// Its events and their ends, as far as they are known.
    pub events: Vec<(ExternalEventId, Option<Millis>)>,
}

impl StoredSource {
    /// The configuration of a source with that policy.
    #[must_use]
    pub fn from_policy(policy: &Policy) -> Self {
        Self { identity: policy.identity_fingerprint(), defaults: policy.defaults_fingerprint() }
    }

    /// The same, if the source's account was renamed.
    #[must_use]
    pub fn with_renamed_account(self, heirs: &Heirs) -> Self {
        let Some(SourceIdentity(account, external, recurring)) = self.parse() else { return self };
        let Some(heir) = heirs.accounts.get(&account) else { return self };
        let external = external.as_ref().map(ExternalAccountId::as_str);
        let identity = serde_json::json!([heir.as_str(), external, recurring]).to_string();
        Self { identity, ..self }
    }

    fn parse(&self) -> Option<SourceIdentity> {
        serde_json::from_str(&self.identity).ok()
    }
}

/// Checks that no event of a stored source would get another id in HubSpot, which would hold it twice.
///
/// The source may have another name by now. `for_each` visits the webinars that it spoke of, one at a time, until a visit
/// fails; it is called only if needed. Events that are over do not count.
///
/// # Errors
/// [`ConfigRefused::Rekey`], or the error of reading a webinar.
pub fn check_rekey<E: From<ConfigRefused>>(
    (name, stored): (&SourceName, StoredSource),
    policy: &Policy,
    heirs: &Heirs,
    now: Millis,
    for_each: impl FnOnce(&mut dyn FnMut(HeldWebinar) -> Result<(), E>) -> Result<(), E>,
) -> Result<(), E> {
    let stored = stored.with_renamed_account(heirs);
    let is = policy.identity_fingerprint();
    if stored.identity == is {
        return Ok(());
    }
    let was = stored.parse();
    for_each(&mut |mut held| {
        held.key.hubspot = heirs.account(&held.key.hubspot).clone();
        held.events.retain(|(_, end)| end.is_none_or(|end| end >= now));
        if !held.events.is_empty()
            && was.as_ref().is_none_or(|was| is_rekeyed(was, policy, &held, now))
        {
            let source_name = heirs.source(name).clone();
            let (was, is) = (stored.identity.clone(), is.clone());
            return Err(ConfigRefused::Rekey { source_name, was, is }.into());
        }
        Ok(())
    })
}

/// Whether one of the events would get another id.
fn is_rekeyed(was: &SourceIdentity, policy: &Policy, held: &HeldWebinar, now: Millis) -> bool {
    let HeldWebinar { key, webinar, events } = held;
    let SourceIdentity(account, external, recurring) = was;
    // Another source's, or what an earlier change left behind.
    if key.hubspot != *account || external.as_ref().is_some_and(|own| *own != key.account) {
        return false;
    }
    let is_external_new = match &policy.external_account_id {
        Some(own) => *own != key.account,
        // Which one the platform names is not known as long as the source has its own.
        None => external.is_some(),
    };
    if policy.hubspot != *account || is_external_new {
        return true;
    }
    if policy.recurring == *recurring {
        return false;
    }
    let ids = |recurring| {
        let policy = Policy { recurring, ..policy.clone() };
        let folded = fold(webinar, &key.account, &key.webinar, &policy, &HeldEvents::new(), now);
        folded.into_iter().map(|event| event.id).collect::<Vec<_>>()
    };
    let (before, after) = (ids(*recurring), ids(policy.recurring));
    events.iter().any(|(id, _)| before.contains(id) && !after.contains(id))
}

/// Whether the source's webinars are to be folded again.
#[must_use]
pub fn is_reshaped(stored: Option<&StoredSource>, now: &StoredSource) -> bool {
    stored.is_some_and(|stored| stored != now)
}

#[cfg(test)]
mod tests;

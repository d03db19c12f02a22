//! A configured source.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Change, MissingExternalAccount, Policy, SourceName};
use crate::ledger::WebinarKey;
use crate::providers::{ParsedPayload, Provider};
use crate::secret::Secret;

/// How far a signed timestamp may be from now where the source does not say. Zoom repeats a delivery for up to 85
/// minutes, perhaps with the first one's timestamp.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_hours(2);

/// A source, as every room needs it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The source's name, which is in its URL.
    pub name: SourceName,
    /// The platform's code, as the source configures it.
    pub provider: Arc<dyn Provider>,
    /// Defaults and rules for the source's events, and the HubSpot account they go to.
    pub policy: Policy,
    /// The platform's accounts that the source may speak for; all if none.
    pub platform_accounts: Option<BTreeSet<String>>,
    /// Secrets that verify its webhooks; more than one while rotating, none where the platform needs none.
    pub secrets: Vec<Secret>,
    /// The token that must follow the name in the URL.
    pub path_token: Option<Secret>,
    /// How far a signed timestamp may be from now.
    pub tolerance: Duration,
    /// Former names of the source, whose events, and address, it inherits.
    pub formerly: BTreeSet<SourceName>,
    /// Whether a body counts again where nothing that is signed tells two deliveries apart.
    pub replays: Replays,
}

/// What becomes of a repeated body where nothing that is signed tells two deliveries apart: the platform may say the
/// same again, and somebody who has seen an old webhook may send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replays {
    /// It counts again, unless nothing came since of the webinars that it speaks of.
    #[default]
    Accept,
    /// It counts once, for as long as the webinars that it speaks of are kept.
    Refuse,
}

impl Source {
    /// A source without secrets, for any account of the platform.
    #[must_use]
    pub fn new(name: SourceName, provider: Arc<dyn Provider>, policy: Policy) -> Self {
        Self {
            name,
            provider,
            policy,
            platform_accounts: None,
            secrets: Vec::new(),
            path_token: None,
            tolerance: DEFAULT_TOLERANCE,
            formerly: BTreeSet::new(),
            replays: Replays::default(),
        }
    }

    /// The key of the webinar that a change of this source is about.
    ///
    /// # Errors
    /// [`MissingExternalAccount`] where neither the source nor the change names the platform's account.
    pub fn webinar_key(&self, change: &Change) -> Result<WebinarKey, MissingExternalAccount> {
        WebinarKey::new(&self.policy, change.account.as_ref(), &change.webinar)
    }

    /// The payload without the changes and fetches that the source is not entitled to, and whether it held anything of
    /// a platform account that the source may not speak for.
    pub(super) fn restrict(&self, payload: ParsedPayload) -> (ParsedPayload, bool) {
        let (mut payload, has_foreign) =
            payload.restrict_to_accounts(self.platform_accounts.as_ref());
        if self.provider.api().is_none() {
            // Without credentials no worker would make the fetch.
            payload.fetch_requests.clear();
        }
        (payload, has_foreign)
    }
}

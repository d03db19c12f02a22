//! The platform whose webhooks these are, as replaying knows it: what a stored body says by today's code.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use webinar_bridge::event::{Change, Millis, Policy, ProviderId, SourceName};
use webinar_bridge::intake::Source;
use webinar_bridge::providers::{
    Capabilities, Demo, Inbound, Keys, Options, ParsedPayload, PayloadContent, Platform, Provider,
    Sample, Scrubbed, SignedRequest, UnsignedRequest, Unverified, Verified, VerifyError,
};

use super::webhooks::{Webhook, policies};

thread_local! {
    /// What each body of the present run says. A simulation keeps to one thread.
    static SAID: RefCell<BTreeMap<Vec<u8>, Vec<Change>>> = const { RefCell::new(BTreeMap::new()) };
}

/// These are the webhooks of the run that begins.
pub(super) fn sends(webhooks: &[Webhook]) {
    let said = webhooks.iter().map(|webhook| (webhook.digest.to_vec(), webhook.changes.clone()));
    SAID.with(|bodies| *bodies.borrow_mut() = said.collect());
}

/// The sources that replaying maps by.
pub(super) fn sources() -> BTreeMap<SourceName, Arc<Source>> {
    let provider: Arc<dyn Provider> = Arc::new(Simulated);
    let source = |(name, policy): (SourceName, Policy)| {
        (name.clone(), Arc::new(Source::new(name, Arc::clone(&provider), policy)))
    };
    policies().into_iter().map(source).collect()
}

struct Simulated;

impl Platform for Simulated {
    fn id(&self) -> ProviderId {
        ProviderId::new("zoom")
    }

    fn unconfigured(&self) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(Self))
    }

    fn configure(&self, _options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        unreachable!("nothing is configured")
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        body.to_vec()
    }

    fn demos(&self) -> Vec<Demo> {
        Vec::new()
    }
}

impl Provider for Simulated {
    fn platform(&self) -> &'static dyn Platform {
        &Self
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::FULL
    }

    fn verify<'a>(
        &self,
        _request: Inbound<'a, Unverified>,
        _keys: Keys<'_>,
        _now: Millis,
    ) -> Result<Inbound<'a, Verified>, VerifyError> {
        unreachable!("what comes in goes to the ledger")
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        let changes = SAID.with(|bodies| bodies.borrow().get(&request.body).cloned());
        let meaning = match changes {
            Some(changes) => PayloadContent::Changes { changes, bad_fields: Vec::new() },
            None => PayloadContent::Unmappable("nobody sent this".into()),
        };
        ParsedPayload::new("webinar.simulated", meaning)
    }

    fn sign(&self, _request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        unreachable!("what comes in goes to the ledger")
    }

    fn samples(&self, _now: Millis) -> Vec<Sample> {
        Vec::new()
    }
}

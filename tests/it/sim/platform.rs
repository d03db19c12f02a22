//! The platform whose webhooks these are, as replaying knows it: what a stored body says by today's code.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use webinar_bridge::event::{Change, Policy, SourceName};
use webinar_bridge::intake::Source;
use webinar_bridge::providers::{Inbound, ParsedPayload, PayloadContent, Provider, Scrubbed};

use crate::harness::stub_platform::{StubBehavior, StubProvider};

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
    let provider: Arc<dyn Provider> = Arc::new(StubProvider(Simulated));
    let source = |(name, policy): (SourceName, Policy)| {
        (name.clone(), Arc::new(Source::new(name, Arc::clone(&provider), policy)))
    };
    policies().into_iter().map(source).collect()
}

struct Simulated;

impl StubBehavior for Simulated {
    const ID: &'static str = "zoom";

    fn unconfigured() -> Option<Arc<dyn Provider>> {
        Some(Arc::new(StubProvider(Self)))
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>) -> ParsedPayload {
        let changes = SAID.with(|bodies| bodies.borrow().get(&request.body).cloned());
        let meaning = match changes {
            Some(changes) => PayloadContent::Changes { changes, bad_fields: Vec::new() },
            None => PayloadContent::Unmappable("nobody sent this".into()),
        };
        ParsedPayload::new("webinar.simulated", meaning)
    }
}

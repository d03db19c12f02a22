//! The platform of the simulated webhooks, as replays map them: by the correct changes of a stored body.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use webinar_bridge::event::{Change, Policy, SourceName};
use webinar_bridge::intake::Source;
use webinar_bridge::providers::{
    FetchedAnswers, Inbound, ParsedPayload, PayloadContent, Provider, Scrubbed,
};

use crate::harness::stub_platform::{StubBehavior, StubProvider};

use super::thin_provider;
use super::webhooks::{Webhook, policies};

thread_local! {
    /// Correct changes of each body of the present simulation, which runs on one thread.
    static CHANGES: RefCell<BTreeMap<Vec<u8>, Vec<Change>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Registers the webhooks of a new simulation.
pub(super) fn sends(webhooks: &[Webhook]) {
    let reported =
        webhooks.iter().map(|webhook| (webhook.digest.to_vec(), webhook.changes.clone()));
    CHANGES.with(|bodies| *bodies.borrow_mut() = reported.collect());
}

/// The sources for replays.
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

    fn read_fetched(&self, fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        thin_provider::read_fetched(fetched)
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>) -> ParsedPayload {
        let changes = CHANGES.with(|bodies| bodies.borrow().get(&request.body).cloned());
        let meaning = match changes {
            Some(changes) => PayloadContent::Changes { changes, bad_fields: Vec::new() },
            None => PayloadContent::Unmappable("nobody sent this".into()),
        };
        ParsedPayload::new("webinar.simulated", meaning)
    }
}

//! Whether the process should get webhooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the process is in its life: starting, serving or draining. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<ReadinessFlags>);

#[derive(Debug, Default)]
struct ReadinessFlags {
    started: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// Records that everything is set up and that the counts are right.
    pub fn set_started(&self) {
        self.0.started.store(true, Ordering::Release);
    }

    /// Records that the process is about to stop, so that load balancers look elsewhere. It cannot be undone.
    pub fn set_draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Why the process is not ready; empty if it is.
    pub(super) fn reasons(&self) -> Vec<String> {
        let flags = [
            (!self.0.started.load(Ordering::Acquire), "starting"),
            (self.0.draining.load(Ordering::Acquire), "draining"),
        ];
        flags.into_iter().filter(|(set, _)| *set).map(|(_, reason)| reason.to_owned()).collect()
    }
}

//! Number of events of an account in each state.

use serde::{Deserialize, Serialize};

/// Number of events of an account in each state; the states are disjoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the states of `bridge_events`")]
pub struct EventStateCounts {
    pub pending: u64,
    pub in_flight: u64,
    pub delivered: u64,
    pub incomplete: u64,
    pub filtered: u64,
    pub dead: u64,
}

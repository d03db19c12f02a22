//! Settings of delivery.

use std::time::Duration;

use crate::hubspot::RateLimit;

/// How an account's events are sent.
#[derive(Debug, Clone, Copy)]
pub struct DeliverySettings {
    /// The calls that may be made.
    pub rate_limit: RateLimit,
    /// The most events in one call.
    pub max_batch: usize,
    /// How long a pending event waits for others to fill its batch.
    pub max_linger: Duration,
    /// The most calls at a time.
    pub max_in_flight: usize,
    /// Whether events are sent. In shadow mode HubSpot is only asked what it holds.
    pub sends: bool,
    /// Source of randomness for backoff jitter.
    pub random: fn() -> u32,
}

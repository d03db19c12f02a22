//! Verification of Riverside's signature.
//!
//! Riverside signs `{timestamp header}:{raw body}` with HMAC-SHA256 and the subscription's secret. It signs each
//! attempt separately, and the body holds the attempt's number
//! (<https://docs.riverside.fm/webhooks/verifying-signatures>).

use crate::providers::signature::timestamped_hmac::{TimestampLayout, TimestampedHmac};

/// Riverside's scheme.
pub(super) const SCHEME: TimestampedHmac = TimestampedHmac {
    header: "x-riverside-signature",
    layout: TimestampLayout::TwoHeaders { mac_prefix: "v1=", time_header: "x-riverside-timestamp" },
    before_time: b"",
    after_time: b":",
};

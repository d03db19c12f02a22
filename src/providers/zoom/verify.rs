//! Verification of Zoom's signature.
//!
//! Zoom signs `v0:{timestamp header}:{raw body}` with HMAC-SHA256 and the app's secret token
//! (<https://developers.zoom.us/docs/api/webhooks>). Zoom's own samples re-serialize the parsed body, which fails on
//! real deliveries: they mix `\u` escapes and raw UTF-8. Only the raw bytes verify.

use crate::providers::signature::timestamped_hmac::{TimestampLayout, TimestampedHmac};

/// The header with the signature.
pub(super) const SIGNATURE: &str = "x-zm-signature";
/// The header with the signed time, in seconds.
pub(super) const TIMESTAMP: &str = "x-zm-request-timestamp";

/// Zoom's scheme. `v0` is its version; there is no other.
pub(super) const SCHEME: TimestampedHmac = TimestampedHmac {
    header: SIGNATURE,
    layout: TimestampLayout::TwoHeaders { mac_prefix: "v0=", time_header: TIMESTAMP },
    before_time: b"v0:",
    after_time: b":",
};

//! Verification of Ticket Tailor's signature.
//!
//! Ticket Tailor signs `{seconds}{raw body}`, without a separator, with HMAC-SHA256 and the webhook's shared secret
//! (<https://developers.tickettailor.com/docs/webhook/security>). So the same signature fits a request with digits
//! moved from the end of the time to the start of the body, or back. That gains an attacker nothing: a body that begins
//! with digits is no JSON object, and a time with more or fewer digits is decades off.

use crate::providers::signature::timestamped_hmac::{TimestampLayout, TimestampedHmac};

/// Ticket Tailor's scheme.
pub(super) const SCHEME: TimestampedHmac = TimestampedHmac {
    header: "tickettailor-webhook-signature",
    layout: TimestampLayout::Stripe,
    before_time: b"",
    after_time: b"",
};

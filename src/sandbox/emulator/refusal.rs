//! Reasons for refusing a call.

use std::time::Duration;

use crate::event::Millis;

/// Reason for refusing a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessRefusal {
    NoCredentials,
    UnknownToken,
    Expired { at: Millis, ago: Duration },
    Window,
    Daily,
}

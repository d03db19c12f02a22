//! Faults of calls: every kind of failure that HubSpot, or the way to it, is known or feared to have.

use std::time::Duration;

use webinar_bridge::http::simple_server::ResponseFault;
use webinar_bridge::sandbox::emulator::{EmulatorFault, HANG};

use crate::harness::rng::SeededRng;

/// How long after it was given up a call may still be carried out; the ledger waits for
/// [`webinar_bridge::ledger::LATE_EFFECT_WINDOW`].
const STORED_WITHIN: u64 = 100_000;

/// States of a batch that is under way.
const UNFINISHED: [&str; 3] = ["PENDING", "PROCESSING", "WHATEVER"];

/// Faults of one call.
#[derive(Debug, Clone, Default)]
pub(super) struct CallFault {
    /// Fault at HubSpot, if any.
    pub(super) fault: Option<EmulatorFault>,
    /// Fault of the reply on its way.
    pub(super) reply_fault: ReplyFault,
}

/// Fault of a reply on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ReplyFault {
    /// No fault.
    #[default]
    Whole,
    /// The body is cut in half, and the connection looks well.
    Half,
    /// The body is longer than the client reads.
    TooLong,
    /// The reply is slower than the client waits.
    Slow,
}

impl CallFault {
    /// A call without faults.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// Any failure of a call with this number of events.
    pub(super) fn random(rng: &mut SeededRng, events: usize) -> Self {
        match rng.below(10) {
            0..=3 => Self { fault: Some(reported_failure(rng, events)), ..Self::default() },
            4..=5 => Self { fault: Some(gateway(rng)), ..Self::default() },
            6..=7 => Self { fault: Some(lost(rng)), ..Self::default() },
            8 => Self { fault: Some(in_part(rng)), ..Self::default() },
            _ => {
                let ways = [ReplyFault::Half, ReplyFault::TooLong, ReplyFault::Slow];
                // A single event with a reply that is too long is sent again and again.
                Self { fault: None, reply_fault: *rng.pick(&ways) }
            }
        }
    }

    /// Any failure of a single write.
    pub(super) fn of_single(rng: &mut SeededRng) -> Self {
        match rng.below(10) {
            0..=3 => Self { fault: Some(reported_failure(rng, 1)), ..Self::default() },
            4..=5 => Self { fault: Some(gateway(rng)), ..Self::default() },
            6..=8 => Self { fault: Some(lost(rng)), ..Self::default() },
            _ => {
                Self { fault: None, reply_fault: *rng.pick(&[ReplyFault::Half, ReplyFault::Slow]) }
            }
        }
    }

    /// Whether HubSpot reports that it is still processing, so that the batch is left alone for a while.
    pub(super) fn is_processing(&self) -> bool {
        let reply = match &self.fault {
            Some(EmulatorFault::StoredLater { reply, .. }) => Some(reply.as_ref()),
            fault => fault.as_ref(),
        };
        matches!(reply, Some(EmulatorFault::NoResults(state)) if UNFINISHED.contains(state))
    }

    /// Whether HubSpot tells the account to wait for minutes or more, or until the next day.
    pub(super) fn is_long_wait(&self) -> bool {
        let reply = match &self.fault {
            Some(EmulatorFault::StoredLater { reply, .. }) => Some(reply.as_ref()),
            fault => fault.as_ref(),
        };
        match reply {
            Some(
                EmulatorFault::Status { retry_after, .. }
                | EmulatorFault::Limited { retry_after, policy: None | Some("SECONDLY") },
            ) => retry_after.is_some_and(|seconds| seconds > 600),
            Some(EmulatorFault::Limited { retry_after, policy: Some(policy) }) => {
                policy.contains("DAILY") || retry_after.is_some_and(|seconds| seconds > 600)
            }
            _ => false,
        }
    }

    /// Fault of a call that the client gave up: it is carried out late, or never.
    pub(super) fn of_abandoned_call(rng: &mut SeededRng) -> EmulatorFault {
        maybe_stored_later(
            rng,
            EmulatorFault::Transport { fault: ResponseFault::Reset, stored: false },
        )
    }

    /// A failure of the token endpoint.
    pub(super) fn token_error(rng: &mut SeededRng) -> Option<u16> {
        rng.percent(10).then(|| *rng.pick(&[429, 500, 503]))
    }
}

/// HubSpot reports a failure.
fn reported_failure(rng: &mut SeededRng, events: usize) -> EmulatorFault {
    const POLICIES: [Option<&str>; 4] =
        [Some("TEN_SECONDLY_ROLLING"), Some("SECONDLY"), Some("DAILY"), None];
    // Waits of minutes and more are rare: a simulation does not last a day.
    let retry_after = match rng.below(12) {
        0..=5 => None,
        6..=9 => Some(rng.between(0, 10)),
        10 => Some(*rng.pick(&[45, 1_500, 3_000_000])),
        _ => Some(*rng.pick(&[86_400, u64::MAX, 999_999_999_999])),
    };
    match rng.below(16) {
        0 | 1 => EmulatorFault::Limited { policy: *rng.pick(&POLICIES), retry_after },
        2 => EmulatorFault::Status { status: 403, retry_after: None },
        3 => EmulatorFault::HtmlPage(*rng.pick(&[400, 403, 200])),
        // A 400 to a single event makes it dead, so only poison may get it.
        4..=6 if events > 1 => {
            EmulatorFault::Status { status: *rng.pick(&[400, 413, 409]), retry_after: None }
        }
        7 => EmulatorFault::Status { status: *rng.pick(&[301, 302, 307, 308]), retry_after: None },
        8 => EmulatorFault::StoredLater {
            after: Duration::ZERO,
            reply: Box::new(EmulatorFault::Status {
                status: *rng.pick(&[408, 500, 503]),
                retry_after,
            }),
        },
        _ => {
            let statuses = [401, 403, 404, 408, 409, 423, 477, 500, 500, 503, 503, 429];
            EmulatorFault::Status { status: *rng.pick(&statuses), retry_after }
        }
    }
}

/// The edge gave up on HubSpot, or never reached it.
fn gateway(rng: &mut SeededRng) -> EmulatorFault {
    let status_fault = |status| EmulatorFault::Status { status, retry_after: None };
    if rng.percent(30) {
        return status_fault(*rng.pick(&[521, 523, 525, 526]));
    }
    let reply = status_fault(*rng.pick(&[502, 504, 520, 522, 524]));
    maybe_stored_later(rng, reply)
}

/// No reply.
fn lost(rng: &mut SeededRng) -> EmulatorFault {
    let ways = [HANG, ResponseFault::Reset, ResponseFault::Truncate];
    let reply = EmulatorFault::Transport { fault: *rng.pick(&ways), stored: false };
    maybe_stored_later(rng, reply)
}

/// Carried out never, at once, or later.
fn maybe_stored_later(rng: &mut SeededRng, reply: EmulatorFault) -> EmulatorFault {
    let after = match rng.below(3) {
        0 => return reply,
        1 => Duration::ZERO,
        _ => Duration::from_millis(rng.between(0, STORED_WITHIN)),
    };
    EmulatorFault::StoredLater { after, reply: Box::new(reply) }
}

/// A success that is reported and incomplete.
fn in_part(rng: &mut SeededRng) -> EmulatorFault {
    match rng.below(5) {
        0 => EmulatorFault::NoResults("COMPLETE"),
        1 => EmulatorFault::FewerResults,
        2 => EmulatorFault::NoResults("CANCELED"),
        _ => {
            let reply = EmulatorFault::NoResults(UNFINISHED[rng.below(UNFINISHED.len())]);
            maybe_stored_later(rng, reply)
        }
    }
}

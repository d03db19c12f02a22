//! What befalls a call: every kind of failure that HubSpot, or the way to it, is known or feared to have.

use std::time::Duration;

use webinar_bridge::sandbox::emulator::{EmulatorFault, TransportFault};

use crate::harness::dice::Dice;

/// How long after it was given up a call may still be carried out; the ledger waits for [`webinar_bridge::ledger::LANDED`].
const LANDS_WITHIN: u64 = 100_000;

/// What befalls one call.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate {
    /// At HubSpot; none: it does as it should.
    pub(super) fault: Option<EmulatorFault>,
    /// To its answer, on the way back.
    pub(super) way_back: WayBack,
}

/// What befalls an answer on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum WayBack {
    /// Nothing.
    #[default]
    Whole,
    /// It ends in its midst, and the connection looks well: half a body.
    Half,
    /// It is longer than anybody reads.
    TooLong,
    /// It is so slow that nobody waits for it.
    Slow,
}

impl Fate {
    /// Nothing goes wrong.
    pub(super) fn kind() -> Self {
        Self::default()
    }

    /// Any failure of a call with so many events.
    pub(super) fn cruel(dice: &mut Dice, events: usize) -> Self {
        match dice.below(10) {
            0..=3 => Self { fault: Some(told(dice, events)), ..Self::default() },
            4..=5 => Self { fault: Some(gateway(dice)), ..Self::default() },
            6..=7 => Self { fault: Some(lost(dice)), ..Self::default() },
            8 => Self { fault: Some(in_part(dice)), ..Self::default() },
            _ => {
                let ways = [WayBack::Half, WayBack::TooLong, WayBack::Slow];
                // One whose only event's answer is too long is asked for again and again.
                Self { fault: None, way_back: *dice.pick(&ways) }
            }
        }
    }

    /// Whether HubSpot says that it is still at it, so that it is to be left alone for a while.
    pub(super) fn is_at_it(&self) -> bool {
        let told = match &self.fault {
            Some(EmulatorFault::StoredLater { reply, .. }) => Some(reply.as_ref()),
            fault => fault.as_ref(),
        };
        matches!(told, Some(EmulatorFault::Unfinished(state)) if *state != "CANCELED")
    }

    /// What befalls a call that nobody waits for any more: it is carried out late, or never.
    pub(super) fn stray(dice: &mut Dice) -> EmulatorFault {
        landed(dice, EmulatorFault::Transport { fault: TransportFault::Reset, stored: false })
    }

    /// A failure of the token endpoint.
    pub(super) fn of_token(dice: &mut Dice) -> Option<u16> {
        dice.percent(10).then(|| *dice.pick(&[429, 500, 503]))
    }
}

/// HubSpot says that it did not do it.
fn told(dice: &mut Dice, events: usize) -> EmulatorFault {
    const POLICIES: [Option<&str>; 4] =
        [Some("TEN_SECONDLY_ROLLING"), Some("SECONDLY"), Some("DAILY"), None];
    // Whole minutes and more are told rarely: a run of the simulation is not a day.
    let retry_after = match dice.below(12) {
        0..=5 => None,
        6..=9 => Some(dice.between(0, 10)),
        10 => Some(*dice.pick(&[45, 1_500, 3_000_000])),
        _ => Some(*dice.pick(&[86_400, u64::MAX, 999_999_999_999])),
    };
    match dice.below(16) {
        0 | 1 => EmulatorFault::Limited { policy: *dice.pick(&POLICIES), retry_after },
        2 => EmulatorFault::MissingScopes,
        3 => EmulatorFault::HtmlPage(*dice.pick(&[400, 403, 200])),
        // A single event's 400 is the event's own end, so that only poison may have it.
        4..=6 if events > 1 => {
            EmulatorFault::Status { status: *dice.pick(&[400, 413, 409]), retry_after: None }
        }
        7 => EmulatorFault::Status { status: *dice.pick(&[301, 302, 307, 308]), retry_after: None },
        8 => EmulatorFault::StoredLater {
            after: Duration::ZERO,
            reply: Box::new(EmulatorFault::Status {
                status: *dice.pick(&[408, 500, 503]),
                retry_after,
            }),
        },
        _ => {
            let statuses = [401, 403, 404, 408, 409, 423, 477, 500, 500, 503, 503, 429];
            EmulatorFault::Status { status: *dice.pick(&statuses), retry_after }
        }
    }
}

/// The edge gave up on HubSpot, or never reached it.
fn gateway(dice: &mut Dice) -> EmulatorFault {
    let told = |status| EmulatorFault::Status { status, retry_after: None };
    if dice.percent(30) {
        return told(*dice.pick(&[521, 523, 525, 526]));
    }
    let told = told(*dice.pick(&[502, 504, 520, 522, 524]));
    landed(dice, told)
}

/// No answer.
fn lost(dice: &mut Dice) -> EmulatorFault {
    let ways = [TransportFault::Hang, TransportFault::Reset, TransportFault::Truncate];
    let told = EmulatorFault::Transport { fault: *dice.pick(&ways), stored: false };
    landed(dice, told)
}

/// Never carried out, at once, or later.
fn landed(dice: &mut Dice, told: EmulatorFault) -> EmulatorFault {
    let after = match dice.below(3) {
        0 => return told,
        1 => Duration::ZERO,
        _ => Duration::from_millis(dice.between(0, LANDS_WITHIN)),
    };
    EmulatorFault::StoredLater { after, reply: Box::new(told) }
}

/// Success, so it says.
fn in_part(dice: &mut Dice) -> EmulatorFault {
    const AT_IT: [&str; 3] = ["PENDING", "PROCESSING", "WHATEVER"];
    match dice.below(5) {
        0 => EmulatorFault::EmptyResults,
        1 => EmulatorFault::FewerResults,
        2 => EmulatorFault::Unfinished("CANCELED"),
        _ => {
            let told = EmulatorFault::Unfinished(AT_IT[dice.below(AT_IT.len())]);
            landed(dice, told)
        }
    }
}

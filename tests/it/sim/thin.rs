//! Webinars of a platform with thin webhooks, which name an id and leave the rest to be fetched.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use webinar_bridge::event::{FetchCondition, FetchRequest, Millis, WebinarId};

use super::platform_api::SimulatedPlatformApi;
use super::process_run::PlannedEnd;
use super::thin_draft::ThinDraft;
use super::webhooks::Webhook;
use crate::harness::rng::SeededRng;

/// Source of the webinars.
pub(super) const THIN_SOURCE: &str = "t";

pub(super) const SECOND: u64 = 1_000;
pub(super) const MINUTE: u64 = 60 * SECOND;

/// The webinars of a platform with thin webhooks, and what an operator does about them.
pub(super) struct ThinWebinars {
    pub(super) api: SimulatedPlatformApi,
    /// Random numbers of its own, so that simulations without such webinars stay as they are.
    pub(super) rng: SeededRng,
    /// Whether there are no other webinars, since a week passes.
    pub(super) is_alone: bool,
    /// When all changes are made and all troubles are over.
    pub(super) quiet_at: Millis,
    /// Webinars whose last change no webhook reports.
    pub(super) unreported: BTreeSet<String>,
    /// When the operator requests a backfill meanwhile.
    pub(super) backfills: VecDeque<Millis>,
    /// Whether the last backfill was requested, after all is quiet.
    pub(super) is_backfilled: bool,
    /// The week that passes between the first process run and the second.
    pub(super) week: Option<Duration>,
    pub(super) webhooks: Vec<Webhook>,
}

impl ThinWebinars {
    /// The webinars of a seed; most have none.
    pub(super) fn draw(seed: u64, is_lopsided: bool) -> Option<Self> {
        // Odd and even ones. They take four times as long as others.
        (matches!(seed % 12, 1 | 4) && !is_lopsided).then(|| {
            let rng = SeededRng::from_seed(seed ^ 0x7468_696e);
            ThinDraft::draw(rng).finish()
        })
    }

    /// The webhooks, in the order of their numbers.
    pub(super) fn webhooks(&mut self) -> Vec<Webhook> {
        std::mem::take(&mut self.webhooks)
    }

    /// Plans the end of a process run after which a week passes.
    pub(super) fn plan_week(&mut self) -> Option<PlannedEnd> {
        self.week?;
        Some(PlannedEnd::Stop(ms(self.rng.between(4 * MINUTE, 8 * MINUTE))))
    }

    /// The pause after a process run.
    pub(super) fn pause(&mut self) -> Duration {
        self.week.take().unwrap_or_else(|| {
            let longest = *self.rng.pick(&[0, 0, MINUTE, 20 * MINUTE]);
            ms(self.rng.between(0, longest))
        })
    }

    /// Whether all is said and done.
    pub(super) fn is_quiet(&self, now: Millis) -> bool {
        now >= self.quiet_at && self.backfills.is_empty()
    }
}

pub(super) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A request that names the id alone.
pub(super) fn fetch_request(webinar: WebinarId) -> FetchRequest {
    FetchRequest { account: None, webinar, condition: FetchCondition::Always }
}

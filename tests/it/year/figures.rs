//! What a simulated year cost.

use std::fmt;

/// Counts of one simulation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Figures {
    /// Webinars, and how many of them are series and begin as drafts.
    pub(super) webinars: usize,
    pub(super) series: usize,
    pub(super) drafts: usize,
    pub(super) webhooks: u64,
    pub(super) lost: u64,
    pub(super) refused: u64,
    /// Calls of platforms' APIs.
    pub(super) api_calls: u64,
    pub(super) backfills: u64,
    /// Fetches that an operator had asked again: many webinars were gone at once (M14).
    pub(super) redriven: u64,
    pub(super) restarts: u64,
    /// Reads at HubSpot, upserts, and the events in them.
    pub(super) reads: u64,
    pub(super) upserts: u64,
    pub(super) inputs: u64,
    /// Events that HubSpot holds, and comparisons of them.
    pub(super) events: u64,
    pub(super) compared: u64,
    /// Day, bytes of the store, bytes of the largest webinar's state.
    pub(super) growth: Vec<(u64, u64, u64)>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            webinars,
            series,
            drafts,
            webhooks,
            lost,
            refused,
            api_calls,
            backfills,
            redriven,
            restarts,
            reads,
            upserts,
            inputs,
            ..
        } = self;
        write!(
            f,
            "{webinars} webinars ({series} series, {drafts} drafts), {webhooks} webhooks ({lost} lost, {refused} refused), {backfills} backfills, {api_calls} calls of platforms' \
             APIs ({redriven} fetches redriven), {restarts} restarts; HubSpot: {reads} reads, {upserts} upserts of {inputs} inputs, {} events, compared \
             {} times; day, KiB of the store, KiB of the largest webinar:",
            self.events, self.compared
        )?;
        for (day, store, state) in &self.growth {
            write!(f, " {day}:{}:{}", store / 1_024, state / 1_024)?;
        }
        Ok(())
    }
}

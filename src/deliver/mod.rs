//! Delivery: what the ledger says is pending goes to HubSpot, in batches, until HubSpot confirms it.
//!
//! * [`lane`]: one account's loop: wait, take a slot, claim a batch, send it off.
//! * [`home`]: before the first batch, and whenever the credentials have changed: whose account is it?
//! * [`flight`]: one batch on its way: sent, halved if need be, settled.
//! * [`calls`]: an account's calls, each in a slot of its pace, counted and measured.
//!
//! What is decided, without doing it:
//!
//! * [`standing`]: what an answer means for the account.
//! * [`identity`]: whether the credentials are of the account that events went to so far.
//! * [`parts`]: how a batch is taken apart to find the event that is at fault.
//! * [`streak`]: telling an account that refuses everything from events that are bad.
//! * [`silence`]: telling an account that does nothing from events that it passes over.
//! * [`suspicion`]: telling an account that fails from an event that makes it fail.
//! * [`width`]: how many calls are in flight at a time.
//!
//! And beside the lanes:
//!
//! * [`schedule`]: what the passing of time alone makes due: completion timers, housekeeping.
//!
//! Promises: at most one flight per event; one account never waits for another; no failure of the account's is charged
//! to an event, and no event that makes calls fail holds up the others for ever; nothing is sent to an account that is not the one that was sent to before. Knows no SQL and no HTTP, and
//! no platform. Relies on the ledger alone for what to do: a wake-up carries no data. On a crash, or when a task is
//! dropped at any await, claims are free again and the same state is sent again, which HubSpot takes as the same.

pub mod account_check;
pub mod api_calls;
pub mod batch;
pub mod bisect;
pub mod concurrency;
mod lease;
pub mod missing_results;
pub mod ownership;
pub mod poison_events;
pub mod refusal_streak;
pub mod schedule;
mod settlements;
pub mod status;
#[cfg(test)]
mod tests;
pub mod worker;

pub use worker::{AccountWorker, DeliverySettings};

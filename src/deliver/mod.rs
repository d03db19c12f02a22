//! Delivery: sends what the ledger has pending to HubSpot, in batches, until HubSpot confirms it.
//!
//! * [`worker`]: one account's loop: wait, take a permit, claim a batch, send it off.
//! * [`batch`]: one batch: sent part by part, settled.
//! * [`assess`]: what an answer means for each event and for the account, decided without doing it.
//! * [`account_check`]: whose account is it? Before the first batch, and whenever the credentials have changed;
//!   [`ownership`] decides.
//!
//! Below them:
//!
//! * [`account`]: what the worker of an account, its batches and its checks share.
//! * [`api_calls`]: an account's calls, each with a permit of its rate limiter, counted and measured.
//!
//! And beside the workers:
//!
//! * [`schedule`]: what time alone makes due: completion timers, housekeeping.
//!
//! Promises: an event is in at most one call at a time; no account waits for another; no failure of the account is
//! charged to an event, and no event that makes calls fail holds up the others for ever; nothing is sent to another
//! account than the one that was sent to before. Knows no SQL, no HTTP and no platform. Relies on the ledger alone for
//! what to do: a wake-up carries no data. On a crash, or when a task is dropped at any await, claims are free again and
//! the same state is sent again, which HubSpot takes as the same.

pub mod account;
pub mod account_check;
pub mod api_calls;
pub mod assess;
pub mod batch;
pub mod ownership;
pub mod schedule;
pub mod settings;
pub mod worker;

pub use settings::DeliverySettings;
pub use worker::AccountWorker;

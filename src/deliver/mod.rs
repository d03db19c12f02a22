//! Delivery: sends the ledger's pending events to HubSpot in batches until HubSpot confirms them.
//!
//! * [`worker`]: one account's loop: wait, take a permit, claim a batch, send it off.
//! * [`batch`]: sends one batch part by part and settles its events; `single`: sends one event by itself.
//! * [`base_read`]: reads what HubSpot holds of an event before its first send.
//! * [`assess`]: decides the consequences of an answer for each event and for the account, without I/O.
//! * [`account_check`]: checks which account the credentials open, before the first batch and whenever they have
//!   changed; [`ownership`] decides.
//!
//! * [`account`]: the state that the worker of an account, its batches and its checks share.
//! * [`schedule`]: work that only time makes due: completion timers, housekeeping.
//!
//! Promises: an event is in at most one call at a time; no account waits for another; no failure of the account is
//! charged to an event, and no event that makes calls fail holds up the others for ever; nothing is sent to another
//! account than before. Knows no SQL, no HTTP and no platform. Relies on the ledger alone for its work: a wake-up
//! carries no data. On a crash, or when a task is dropped at any await, claims are free again and the same state is
//! sent again, which changes nothing at HubSpot.

pub mod account;
pub mod account_check;
pub mod assess;
pub mod base_read;
pub mod batch;
pub mod ownership;
pub mod schedule;
pub mod settings;
mod single;
pub mod worker;

pub use account::DeliveryAccount;
pub use settings::DeliverySettings;
pub use worker::AccountWorker;

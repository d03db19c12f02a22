//! Fetches the data that webhooks leave out from the platforms' APIs.
//!
//! A webhook is committed and answered first; a lack of data becomes a row of the ledger's fetch queue, which the
//! [`FetchWorker`] of its source processes. The answers become a receipt like any other, merged as one more change, so
//! that they can be mapped again.
//!
//! * `worker`: processes one source's queue; `webinar_fetch`: the requests about one webinar, and their outcome;
//! * [`WebinarLister`]: lists a platform's webinars;
//! * `platform_client`: one request with credentials; `platform_tokens`: the credentials; `metered_http`: counted
//!   calls;
//! * `config_digest`: notices that a source asks its platform in another way;
//! * `verdict`: the meaning of a response, decided without I/O.
//!
//! Promises: a fetch is repeated until it is answered, or the platform definitely has no such webinar, or it is dead and
//! shown; what fails for one webinar delays no other; URLs are built by
//! the platform's code, and credentials follow no redirect; no more calls are made than the platform allows. Relies on
//! the ledger's queue. After a crash the fetches under way are made again: a request changes nothing at the platform,
//! and merging the same answer twice changes nothing here.

mod config_digest;
mod lister;
mod metered_http;
mod platform_client;
mod platform_tokens;
mod settings;
mod verdict;
mod webinar_fetch;
mod worker;

pub use lister::{ListError, WebinarLister};
pub use settings::Settings;
pub use worker::FetchWorker;

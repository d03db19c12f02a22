//! The JSON of the API as types: the server writes them, the command line reads them. The ledger's records are JSON as
//! they are; the types here are the rest.
//!
//! * [`event`]: events, and sending them again; [`receipt`]: receipts, and replaying them.
//! * [`account`]: an account's status; [`status`]: the status of the whole service; [`fetch`]: fetches from platforms.
//! * [`problem`]: why a call failed.
//!
//! Promises: names are in `snake_case`, absent values are `null`, members keep their names and may only be joined by
//! new ones. Relies on the ledger's records for their content.

mod account;
mod event;
mod fetch;
mod problem;
mod receipt;
mod status;

pub use account::{AccountStatusModel, PauseModel, PausedAccountModel};
pub use event::{BulkRedriveModel, EventListModel, RedriveModel};
pub use fetch::{ComingWebinarsModel, FetchListModel, FetchRequestModel, PendingFetchesModel};
pub use problem::{PROBLEM_TYPE_PREFIX, ProblemModel};
pub use receipt::{BulkReplayModel, ReceiptDetailModel, ReceiptListModel};
pub use status::{AccountModel, ClockModel, SourceModel, StatusModel, StoreModel};

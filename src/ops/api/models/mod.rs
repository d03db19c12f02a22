//! The JSON of the API as types: the server writes them, the command line reads them.
//!
//! * [`event`]: events, and sending them again; [`receipt`]: receipts, and replaying them.
//! * [`account`]: an account's status; [`status`]: the status of the whole service; [`fetch`]: fetches from platforms.
//! * [`problem`]: why a call failed.
//! * [`time`]: times as text.
//!
//! Promises: names are in `snake_case`, absent values are `null`, members keep their names and may only be joined by
//! new ones. Relies on the ledger's records for their content.

mod account;
mod event;
mod fetch;
mod problem;
mod receipt;
mod status;
mod time;

pub use account::{AccountStatusModel, PauseModel, PausedAccountModel};
pub use event::{
    BulkRedriveModel, EventDetailModel, EventListModel, EventModel, FieldModel, RedriveModel,
    RefusalModel,
};
pub use fetch::{FetchRequestModel, FetchStatusModel, PendingFetchesModel};
pub use problem::{PROBLEM_TYPE_PREFIX, ProblemModel};
pub use receipt::{
    BulkReplayModel, ReceiptDetailModel, ReceiptListModel, ReceiptModel, ReplayModel,
};
pub use status::{AccountModel, EventCountsModel, SourceModel, StatusModel, StoreModel};
pub use time::ApiTime;

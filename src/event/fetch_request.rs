//! What a webhook leaves out and the platform's API may tell.

use super::id::{ExternalAccountId, WebinarId};

/// A webinar that the platform is to be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// The platform's account, if the webhook told.
    pub account: Option<ExternalAccountId>,
    /// Which.
    pub webinar: WebinarId,
    /// On what condition.
    pub condition: FetchCondition,
}

/// When a webinar is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchCondition {
    /// In any case: the webhook says less than there is.
    Always,
    /// If it has no event, or one that is incomplete, once the webhook is merged.
    IfIncomplete,
}

//! A webinar to ask the platform's API about, since its webhook leaves fields out.

use super::id::{ExternalAccountId, WebinarId};

/// A request to ask the platform's API about one webinar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// Account on the platform, if the webhook names it.
    pub account: Option<ExternalAccountId>,
    /// Platform id of the webinar.
    pub webinar: WebinarId,
    /// Condition for asking.
    pub condition: FetchCondition,
}

/// Condition for asking about a webinar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchCondition {
    /// Always: the webhook holds less than the platform knows.
    Always,
    /// If the merged webinar has no event or an incomplete one, or if only the platform knows whether and when it takes
    /// place ([`super::is_uncertain()`]).
    IfUncertain,
}

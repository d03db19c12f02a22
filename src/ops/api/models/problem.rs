//! Problem documents: RFC 9457.

use serde::{Deserialize, Serialize};

/// The beginning of every [`ProblemModel::kind`]; the problem's code follows.
pub const PROBLEM_TYPE_PREFIX: &str = "urn:webinar-bridge:problem:";

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemModel {
    /// Kind of the problem; stable, for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// Kind of the problem, for people.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// This problem, for people.
    pub detail: String,
    /// Name of the wrong parameter, if one is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

impl ProblemModel {
    /// The problem's code: `unknown_event`.
    #[must_use]
    pub fn code(&self) -> &str {
        self.kind.strip_prefix(PROBLEM_TYPE_PREFIX).unwrap_or_default()
    }
}

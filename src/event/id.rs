//! Names and identifiers. Every value has been validated.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Reason why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is longer than its kind allows.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// The text holds a character that its kind does not allow.
    #[error("has a character that is not allowed")]
    Character,
}

/// Longest name in the configuration: it appears in URLs, labels and log fields.
const NAME_MAX: usize = 64;
/// Longest identifier taken from a platform. The longest known (Graph's `guid@guid`) has 73 characters.
const PLATFORM_ID_MAX: usize = 200;

fn check(text: &str, max: usize, is_allowed: impl Fn(char) -> bool) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > max {
        return Err(IdError::TooLong(max));
    }
    if !text.chars().all(is_allowed) {
        return Err(IdError::Character);
    }
    Ok(())
}

fn check_name(text: &str) -> Result<(), IdError> {
    let is_allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
    check(text, NAME_MAX, is_allowed)?;
    if text.starts_with(['-', '_']) { Err(IdError::Character) } else { Ok(()) }
}

fn check_platform_id(text: &str) -> Result<(), IdError> {
    check(text, PLATFORM_ID_MAX, |c| !c.is_control() && !c.is_whitespace())
}

/// The text of a type that wraps one.
macro_rules! shown_as_text {
    ($name:ident) => {
        impl $name {
            /// The identifier's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Validates a text.
            ///
            /// # Errors
            /// [`IdError`] names the broken rule.
            pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text))
            }
        }

        shown_as_text!($name);

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

identifier!(
    /// A HubSpot account's name in the configuration (`[hubspot.NAME]`): lower-case letters, digits, `-`, `_`.
    AccountName, check_name
);
identifier!(
    /// A source's name in the configuration (`[source.NAME]`): lower-case letters, digits, `-`, `_`.
    SourceName, check_name
);
identifier!(
    /// The customer's account on the platform; HubSpot's `externalAccountId`.
    ExternalAccountId, check_platform_id
);
identifier!(
    /// The platform's id of a webinar, or of a whole series.
    WebinarId, check_platform_id
);
identifier!(
    /// The platform's id of one occurrence of a series; opaque.
    OccurrenceId, check_platform_id
);

impl OccurrenceId {
    /// The id of an occurrence that HubSpot shows and no platform named. No platform can give it.
    pub(super) fn unnamed(number: u8) -> Self {
        Self(format!("\u{0}{number}"))
    }
}

/// HubSpot's `externalEventId`: a webinar's id, or `{webinar}-{occurrence}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExternalEventId(String);

impl ExternalEventId {
    /// The event of a webinar that is one event.
    #[must_use]
    pub fn for_webinar(webinar: &WebinarId) -> Self {
        Self(webinar.as_str().to_owned())
    }

    /// The event of one occurrence of a series.
    #[must_use]
    pub fn for_occurrence(series: &WebinarId, occurrence: &OccurrenceId) -> Self {
        Self(format!("{series}-{occurrence}"))
    }

    /// The occurrence of that series that the event is of, if it is of one.
    #[must_use]
    pub fn occurrence_of(&self, series: &WebinarId) -> Option<OccurrenceId> {
        let occurrence = self.0.strip_prefix(series.as_str())?.strip_prefix('-')?;
        OccurrenceId::parse(occurrence).ok()
    }

    /// An id from the ledger.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

shown_as_text!(ExternalEventId);

/// Key of an event: its HubSpot account and the two ids by which HubSpot knows the event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    /// Name of the HubSpot account.
    pub hubspot: AccountName,
    /// Customer's account on the platform.
    pub external_account_id: ExternalAccountId,
    /// Id of the event on the platform.
    pub external_event_id: ExternalEventId,
}

/// A platform's short name, the value of `provider` in the configuration: `zoom`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderId(Cow<'static, str>);

impl ProviderId {
    /// A built-in platform's name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// A name from the ledger.
    #[must_use]
    pub fn from_stored(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

shown_as_text!(ProviderId);

/// A receipt's id: a version 7 UUID, so that ids sort by the time of receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReceiptId(uuid::Uuid);

impl ReceiptId {
    /// A new id; later ids sort after earlier ones of this process.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// Parses the id's form with hyphens.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // UUIDs can also be written without hyphens, in braces and as a URN; one form is enough.
        uuid::Uuid::try_parse(text).ok().filter(|_| text.len() == 36).map(Self)
    }

    /// The id with these 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    /// The id's 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ReceiptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_accept_only_characters_safe_in_urls_and_labels() {
        assert!(AccountName::parse("main").is_ok());
        assert!(SourceName::parse("acme-zoom_2").is_ok());
        assert_eq!(SourceName::parse(""), Err(IdError::Empty));
        assert_eq!(SourceName::parse("Acme"), Err(IdError::Character));
        assert_eq!(SourceName::parse("../x"), Err(IdError::Character));
        assert!(SourceName::parse("a".repeat(64)).is_ok());
        assert_eq!(SourceName::parse("a".repeat(65)), Err(IdError::TooLong(64)));
    }

    #[test]
    fn platform_ids_accept_no_space_and_no_control_character() {
        assert!(WebinarId::parse("guid@tenant").is_ok());
        assert_eq!(WebinarId::parse("a b"), Err(IdError::Character));
        assert_eq!(WebinarId::parse("a\u{0}"), Err(IdError::Character));
        assert!(WebinarId::parse("9".repeat(200)).is_ok());
        assert_eq!(WebinarId::parse("9".repeat(201)), Err(IdError::TooLong(200)));
    }

    #[test]
    fn occurrence_event_id_begins_with_the_series_id() {
        let series = WebinarId::parse("111").expect("valid");
        let occurrence = OccurrenceId::parse("1700").expect("valid");
        assert_eq!(ExternalEventId::for_occurrence(&series, &occurrence).as_str(), "111-1700");
    }

    #[test]
    fn stored_and_displayed_ids_are_unchanged() {
        let event = ExternalEventId::from_stored("111-1700".into());
        assert_eq!((event.as_str(), event.to_string()), ("111-1700", event.as_str().to_owned()));
        let platform = ProviderId::new("zoom");
        assert_eq!(ProviderId::from_stored(platform.as_str().to_owned()), platform);
        assert_eq!(platform.to_string(), "zoom");
    }

    #[test]
    fn receipt_id_parses_only_its_displayed_form() {
        let id = ReceiptId::from_bytes([7; 16]);
        let shown = id.to_string();
        assert_eq!(ReceiptId::parse(&shown), Some(id));
        for other in [shown.replace('-', ""), format!("{{{shown}}}"), String::new()] {
            assert_eq!(ReceiptId::parse(&other), None, "{other}");
        }
    }
}

//! Times as text in the JSON for operators: RFC 3339 in UTC with milliseconds. The JSON that is stored holds numbers.
//!
//! For `#[serde(with = "rfc3339")]`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use super::time::Millis;

/// Writes the time as text.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(time: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// Reads a time from text.
///
/// # Errors
/// The text is no time.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
    Ok(Millis::new(time.as_millisecond()))
}

/// The same for a time that may be absent.
pub mod option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Millis;

    #[derive(Serialize, Deserialize)]
    struct Present(#[serde(with = "super")] Millis);

    /// Writes the time as text, or `null`.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(
        time: &Option<Millis>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Present).serialize(serializer)
    }

    /// Reads a time from text, or `null`.
    ///
    /// # Errors
    /// The text is no time.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Millis>, D::Error> {
        let time: Option<Present> = Option::deserialize(deserializer)?;
        Ok(time.map(|Present(time)| time))
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Times {
        #[serde(with = "super")]
        at: Millis,
        #[serde(with = "super::option")]
        until: Option<Millis>,
    }

    #[test]
    fn time_is_text_with_milliseconds_and_reads_back() {
        for (at, until, text) in [
            (
                1_700_000_000_007,
                Some(1_700_000_000_000),
                r#"{"at":"2023-11-14T22:13:20.007Z","until":"2023-11-14T22:13:20.000Z"}"#,
            ),
            (1_700_000_000_000, None, r#"{"at":"2023-11-14T22:13:20.000Z","until":null}"#),
        ] {
            let times = Times { at: Millis::new(at), until: until.map(Millis::new) };
            assert_eq!(serde_json::to_string(&times).expect("JSON"), text);
            assert_eq!(serde_json::from_str::<Times>(text).expect("times"), times);
        }
        for text in [r#"{"at":"yesterday","until":null}"#, r#"{"at":null,"until":null}"#] {
            assert!(serde_json::from_str::<Times>(text).is_err(), "{text}");
        }
    }
}

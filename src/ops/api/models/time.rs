//! Times as text.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::Millis;

/// A time: RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiTime(pub Millis);

impl From<Millis> for ApiTime {
    fn from(time: Millis) -> Self {
        Self(time)
    }
}

impl Serialize for ApiTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

impl<'de> Deserialize<'de> for ApiTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Self(Millis::new(time.as_millisecond())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_text_with_milliseconds_and_reads_back() {
        for (milliseconds, text) in [
            (1_700_000_000_007, "\"2023-11-14T22:13:20.007Z\""),
            (1_700_000_000_000, "\"2023-11-14T22:13:20.000Z\""),
        ] {
            let time = ApiTime(Millis::new(milliseconds));
            assert_eq!(serde_json::to_string(&time).expect("JSON"), text);
            assert_eq!(serde_json::from_str::<ApiTime>(text).expect("a time"), time);
        }
        assert!(serde_json::from_str::<ApiTime>("\"yesterday\"").is_err());
    }
}

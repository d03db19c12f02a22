//! Stored inputs whose flags change while all else stays as HubSpot has it.

use serde_json::{Map, Value};

/// The member of an input that says whether the event is cancelled.
pub(super) const CANCELLED: &str = "eventCancelled";
/// The member of an input that says whether the event is completed.
pub(super) const COMPLETED: &str = "eventCompleted";

/// A stored input with these flags; none if it has them already, or cannot be read.
pub(super) fn replace_flags(input: &[u8], flags: &[(&str, bool)]) -> Option<Vec<u8>> {
    let mut fields: Map<String, Value> = serde_json::from_slice(input).ok()?;
    let mut is_changed = false;
    for (name, value) in flags {
        let before = fields.insert((*name).to_owned(), Value::from(*value));
        is_changed |= before != Some(Value::from(*value));
    }
    is_changed.then(|| Value::from(fields).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_flags_change() {
        let input = br#"{"eventName":"One","eventCancelled":false,"eventCompleted":false}"#;
        let changed = replace_flags(input, &[(CANCELLED, true)]).expect("it changes");
        let changed: Value = serde_json::from_slice(&changed).expect("JSON");
        let expected = serde_json::json!({
            "eventName": "One", "eventCancelled": true, "eventCompleted": false,
        });
        assert_eq!(changed, expected);
        assert_eq!(replace_flags(input, &[(CANCELLED, false), (COMPLETED, false)]), None);
        assert_eq!(replace_flags(b"[]", &[(CANCELLED, true)]), None);
    }
}

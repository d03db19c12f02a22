//! Stored JSON as a part of a record's JSON, for `#[serde(with = "json_bytes")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Writes the stored JSON itself; `null` if there is none, or none that can be read.
#[expect(clippy::ref_option, reason = "serde's signature")]
pub(super) fn serialize<S: Serializer>(
    bytes: &Option<Vec<u8>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let json = bytes.as_deref().and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    json.serialize(serializer)
}

/// Reads any JSON.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<u8>>, D::Error> {
    let json: Option<Value> = Option::deserialize(deserializer)?;
    Ok(json.map(|json| json.to_string().into_bytes()))
}

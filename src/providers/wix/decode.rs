//! Decoding and masking of a body into the JSON that is stored and read.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::jwt;
use crate::providers::{lenient, scrub};

/// Keys of secrets, home addresses and personal data; their values are masked. `onlineConferencing` holds links to the
/// online room, including the host's.
const MASKED: &str = include_str!("masked_keys.txt");
/// Keys with an object that may be written as text.
const PACKED: &str = include_str!("packed_keys.txt");
/// Nesting depth at which decoding stops. Wix nests four levels.
const DEPTH_MAX: u8 = 6;

/// Decodes the token's claims, replaces JSON written as text by that JSON, and masks. A decoded body stays unchanged. A
/// body that is neither a token nor an object is only masked.
pub(super) fn decode(body: &[u8]) -> Vec<u8> {
    let claims = jwt::decode_claims(body).map_or(Cow::Borrowed(body), Cow::Owned);
    decode_object(&claims, DEPTH_MAX).unwrap_or_else(|| scrub::mask(&claims, MASKED.lines()))
}

/// Decodes and masks an object. Returns `None` for any other JSON.
fn decode_object(json: &[u8], levels: u8) -> Option<Vec<u8>> {
    // Masked first, so that decoding a masked body again changes nothing.
    let json = scrub::mask(json, MASKED.lines());
    let Members(members) = serde_json::from_slice(&json).ok()?;
    let mut out = vec![b'{'];
    for (place, (key, value)) in members.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend(serde_json::to_vec(&key).expect("a text can be written as JSON"));
        out.push(b':');
        let packed = levels > 0 && PACKED.lines().any(|packed| packed == key);
        let inside = Some(value).filter(|_| packed).and_then(|value| {
            let text = lenient::string(value).unwrap_or(Cow::Borrowed(value.get()));
            decode_object(text.as_bytes(), levels - 1)
        });
        out.extend(inside.as_deref().unwrap_or(value.get().as_bytes()));
    }
    out.push(b'}');
    Some(out)
}

/// The members of an object in order, with unchanged values.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &RawValue>()? {
                    members.push((key, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Members)
    }
}

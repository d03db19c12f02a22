//! Removing a person from a stored body: pure functions of bytes.
//!
//! An e-mail address identifies the person. It is found in every spelling: upper or lower case, escaped as in JSON
//! (`\u0040`, `\/`), in URLs (`%40`, also twice) or in HTML (`&#64;`). In JSON the whole string is erased, together with
//! the other personal members of the same object (`PERSONAL_KEYS`). An event's own texts (its topic, its agenda) lose
//! only the address: replaying the body must build the same event, and HubSpot shows those texts anyway. A body that is
//! not JSON loses the bytes of the address. Erased JSON stays valid, and everything else stays byte for byte.

use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The placeholder for erased text.
pub const ERASED: &str = "[erased]";

/// The longest address (RFC 5321: a path is at most 256 bytes, with its brackets).
const MAX_ADDRESS_BYTES: usize = 254;
/// The deepest nesting that is parsed, close to the JSON parser's own limit.
const MAX_DEPTH: usize = 100;

/// Keys of personal members: names, contact data, and ids by which a platform's other bodies name the same person. As in
/// the other lists, each line is a key in lower case without `_` and `-`.
const PERSONAL_KEYS: &str = include_str!("erasure/personal_keys.txt");
/// Keys that are personal in an object about a person, and not in one about an event.
const SHARED_KEYS: &str = include_str!("erasure/shared_keys.txt");
/// Keys by which an object about an event is recognised.
const EVENT_KEYS: &str = include_str!("erasure/event_keys.txt");

/// The e-mail address of the person to erase.
#[derive(Clone)]
pub struct EmailAddress(Vec<u8>);

/// A text that is not an e-mail address.
#[derive(Debug, thiserror::Error)]
#[error(
    "not an e-mail address: it needs one @ with text on both sides, no spaces, at most 254 bytes"
)]
pub struct AddressError;

impl EmailAddress {
    /// Parses an address.
    ///
    /// # Errors
    /// [`AddressError`], which does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let whole = text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"\"\\%&;<>".contains(c);
        if !whole || text.len() > MAX_ADDRESS_BYTES || !text.chars().all(plain) {
            return Err(AddressError);
        }
        Ok(Self(text.to_lowercase().into_bytes()))
    }

    /// Finds the address in the bytes, in every spelling. A longer address that contains it does not count.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut text = Decoded::from_bytes(bytes);
        loop {
            found.extend(self.find_in(&text));
            // The decoded text may be encoded once more: a link within a link.
            match text.decode() {
                Some(next) => text = next,
                None => break,
            }
        }
        found.sort_by_key(|range: &Range<usize>| (range.start, std::cmp::Reverse(range.end)));
        let mut apart: Vec<Range<usize>> = Vec::new();
        for range in found {
            match apart.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                Some(_) | None => apart.push(range),
            }
        }
        apart
    }

    fn find_in(&self, text: &Decoded) -> Vec<Range<usize>> {
        let (wanted, bytes) = (&self.0, &text.bytes);
        let mut found = Vec::new();
        let mut at = 0_usize;
        while let Some(end) = at.checked_add(wanted.len()).filter(|end| *end <= bytes.len()) {
            let here = bytes[at..end].iter().zip(wanted).all(|(a, b)| a.to_ascii_lowercase() == *b);
            let begins = at == 0 || !is_local_part_byte(bytes[at - 1]);
            if here && begins && !domain_continues(&bytes[end..]) {
                found.push(text.at[at]..text.at[end]);
                at = end;
            } else {
                at += 1;
            }
        }
        found
    }
}

fn is_local_part_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-+".contains(&byte)
}

/// Whether these bytes continue a domain.
fn domain_continues(rest: &[u8]) -> bool {
    match rest {
        [b'.' | b'-', next, ..] | [next, ..] => next.is_ascii_alphanumeric(),
        [] => false,
    }
}

/// Decoded bytes, and the position of each in the original; one more position for the end.
struct Decoded {
    bytes: Vec<u8>,
    at: Vec<usize>,
}

impl Decoded {
    fn from_bytes(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), at: (0..=bytes.len()).collect() }
    }

    /// Resolves every escape once; none if there is no escape.
    fn decode(&self) -> Option<Self> {
        let mut next = Self { bytes: Vec::with_capacity(self.bytes.len()), at: Vec::new() };
        let (mut at, mut any) = (0, false);
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (c, length) = escape(rest).unwrap_or((char::from(rest[0]), 1));
            if length == 1 {
                next.bytes.push(rest[0]);
                next.at.push(self.at[at]);
            } else {
                any = true;
                let mut utf8 = [0; 4];
                for byte in c.encode_utf8(&mut utf8).bytes() {
                    next.bytes.push(byte);
                    next.at.push(self.at[at]);
                }
            }
            at += length;
        }
        next.at.push(self.at[self.bytes.len()]);
        any.then_some(next)
    }
}

/// Reads an escape: its character and its length.
fn escape(rest: &[u8]) -> Option<(char, usize)> {
    let hex = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok()?;
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
    };
    match rest {
        // Only ASCII characters: other ones are rare in addresses.
        [b'%', a, b, ..] => hex(&[*a, *b]).filter(char::is_ascii).map(|c| (c, 3)),
        [b'\\', b'u', a, b, c, d, ..] => hex(&[*a, *b, *c, *d]).map(|found| (found, 6)),
        // White space in JSON, so that it separates the address from the text before it.
        [b'\\', b'n' | b'r' | b't' | b'b' | b'f', ..] => Some((' ', 2)),
        [b'\\', c @ (b'/' | b'"' | b'\\'), ..] => Some((char::from(*c), 2)),
        [b'&', b'#', digits @ ..] => {
            let end = digits.iter().take(8).position(|b| *b == b';')?;
            let text = std::str::from_utf8(&digits[..end]).ok()?;
            let number = match text.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => text.parse().ok()?,
            };
            char::from_u32(number).map(|c| (c, end + 3))
        }
        _ => rest.starts_with(b"&commat;").then_some(('@', 8)),
    }
}

/// Erases the person from a body; none if the body does not contain the address.
#[must_use]
pub fn erase(body: &[u8], address: &EmailAddress) -> Option<Vec<u8>> {
    if address.find(body).is_empty() {
        return None;
    }
    let as_json = std::str::from_utf8(body).ok().and_then(|text| {
        let value: &RawValue = serde_json::from_str(text).ok()?;
        // The value excludes the white space around it.
        let start = text.find(value.get())?;
        let mut out = text.get(..start)?.to_owned();
        erase_value(value.get(), address, 0, &mut out);
        out.push_str(text.get(start + value.get().len()..)?);
        Some(out.into_bytes())
    });
    // Erases also the address as a key, or nested too deep.
    let rest = as_json.as_deref().unwrap_or(body);
    Some(erase_bytes(rest, address))
}

/// Replaces the address everywhere in the bytes.
#[must_use]
pub fn erase_bytes(bytes: &[u8], address: &EmailAddress) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for range in address.find(bytes) {
        out.extend_from_slice(&bytes[from..range.start]);
        out.extend_from_slice(ERASED.as_bytes());
        from = range.end;
    }
    out.extend_from_slice(&bytes[from..]);
    out
}

/// The members of an object, in their order and unparsed.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

fn erase_value(raw: &str, address: &EmailAddress, depth: usize, out: &mut String) {
    let mentions_person = !address.find(raw.as_bytes()).is_empty();
    if !mentions_person || depth > MAX_DEPTH {
        out.push_str(raw);
        return;
    }
    if raw.starts_with('"') {
        push_erased(out);
    } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw) {
        out.push('[');
        for (number, item) in items.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            erase_value(item.get(), address, depth + 1, out);
        }
        out.push(']');
    } else if let Ok(Members(members)) = serde_json::from_str(raw) {
        erase_object(&members, address, depth, out);
    } else {
        out.push_str(raw);
    }
}

fn erase_object(
    members: &[(String, &RawValue)],
    address: &EmailAddress,
    depth: usize,
    out: &mut String,
) {
    let keys: Vec<String> = members.iter().map(|(key, _)| plain(key)).collect();
    let is = |key: &str, list: &str| list.lines().any(|listed| listed == key);
    let of_event = keys.iter().any(|key| is(key, EVENT_KEYS));
    let person_here = members.iter().any(|(_, value)| contains_address(value.get(), address));
    out.push('{');
    for (number, ((key, value), plain)) in members.iter().zip(&keys).enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::Value::from(key.as_str()).to_string());
        out.push(':');
        let raw = value.get();
        let personal = is(plain, PERSONAL_KEYS) || (!of_event && is(plain, SHARED_KEYS));
        let has_content = !matches!(raw, "null" | "true" | "false" | "\"\"");
        if person_here && personal && has_content {
            push_erased(out);
        } else if of_event && raw.starts_with('"') {
            // The event's own texts keep everything but the address.
            let text = erase_bytes(raw.as_bytes(), address);
            out.push_str(&String::from_utf8_lossy(&text));
        } else {
            erase_value(raw, address, depth + 1, out);
        }
    }
    out.push('}');
}

/// Whether a string, or one of a list of strings, contains the address.
fn contains_address(raw: &str, address: &EmailAddress) -> bool {
    let list = raw.starts_with('[') && !raw.contains('{');
    (raw.starts_with('"') || list) && !address.find(raw.as_bytes()).is_empty()
}

fn push_erased(out: &mut String) {
    out.push('"');
    out.push_str(ERASED);
    out.push('"');
}

/// Normalizes a key to the spelling of the lists.
fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;

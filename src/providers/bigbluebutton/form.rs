//! The outer format of a body, `application/x-www-form-urlencoded`: `domain`, `event` (JSON) and `timestamp`.

use std::borrow::Cow;

use url::form_urlencoded::{byte_serialize, parse};

use crate::providers::scrub;

/// All values of a field.
pub(super) fn values<'a>(form: &'a [u8], name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    parse(form).filter(move |(key, _)| key == name).map(|(_, value)| value)
}

/// The value of a field that is present exactly once.
pub(super) fn single_value<'a>(form: &'a [u8], name: &'a str) -> Option<Cow<'a, str>> {
    let mut values = values(form, name);
    values.next().filter(|_| values.next().is_none())
}

/// Returns the form with one value in place of all values of the field.
pub(super) fn with_value(form: &[u8], name: &str, value: &str) -> Vec<u8> {
    let is_other = |pair: &&[u8]| parse(pair).all(|(key, _)| key != name);
    let mut pairs: Vec<&[u8]> =
        pairs(form).filter(|pair| !pair.is_empty()).filter(is_other).collect();
    let new = format!("{name}={}", byte_serialize(value.as_bytes()).collect::<String>());
    pairs.push(new.as_bytes());
    pairs.join(&b'&')
}

/// Masks the values of the keys, one a line, in the JSON of the form's values. A value without JSON stays unchanged byte for byte.
///
/// The sender percent-encodes quotation marks. A body with a literal one is no form and is masked as JSON.
pub(super) fn mask(form: &[u8], keys: &str) -> Vec<u8> {
    if form.contains(&b'"') {
        return scrub::mask(form, keys.lines());
    }
    let masked: Vec<Cow<'_, [u8]>> = pairs(form).map(|pair| mask_value(pair, keys)).collect();
    masked.join(&b'&')
}

fn pairs(form: &[u8]) -> impl Iterator<Item = &[u8]> {
    form.split(|byte| *byte == b'&')
}

fn mask_value<'a>(pair: &'a [u8], keys: &str) -> Cow<'a, [u8]> {
    let value = pair.iter().position(|byte| *byte == b'=').map_or(0, |equals| equals + 1);
    let (name, value) = pair.split_at(value);
    let text = percent_decode(value);
    let masked = scrub::mask(&text, keys.lines());
    if masked == text {
        return Cow::Borrowed(pair);
    }
    let masked = byte_serialize(&masked).collect::<String>();
    Cow::Owned([name, masked.as_bytes()].concat())
}

/// Decodes a value to bytes, which need not be UTF-8.
fn percent_decode(value: &[u8]) -> Vec<u8> {
    let spaces = value.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte });
    percent_encoding::percent_decode(&spaces.collect::<Vec<u8>>()).collect()
}

//! Strict percent-decoding: bytes that are not UTF-8 are an error, and are not replaced.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Decodes a text. `None` if a `%` does not precede two hexadecimal digits, or if the bytes are not UTF-8.
pub(super) fn decode_percent(text: &str) -> Option<String> {
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    // The crate leaves an incomplete encoding as it is.
    let is_complete =
        text.split('%').skip(1).all(|rest| rest.as_bytes().get(..2).is_some_and(is_hex));
    if !is_complete {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_encoded_text_is_decoded() {
        assert_eq!(decode_percent("a%2Fb%20c%c3%A9+").as_deref(), Some("a/b cé+"));
        assert_eq!(decode_percent("é").as_deref(), Some("é"));
        assert_eq!(decode_percent("%252e").as_deref(), Some("%2e"), "once only");
        for broken in ["%", "%2", "%zz", "%-1", "%+1", "%ff", "%c3", "%c0%af", "%ed%a0%80"] {
            assert_eq!(decode_percent(broken), None, "{broken}");
        }
    }
}

//! Strict percent-decoding: bytes that are not UTF-8 are an error, and are not replaced.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The meaning of a `+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    /// Itself, as in paths.
    Plus,
    /// A space, as in queries.
    Space,
}

/// Decodes a text. `None` if a `%` does not precede two hexadecimal digits, or if the bytes are not UTF-8.
pub(super) fn decoded(text: &str, plus: Plus) -> Option<String> {
    let text = match plus {
        Plus::Plus => Cow::Borrowed(text),
        Plus::Space => Cow::Owned(text.replace('+', " ")),
    };
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    // The crate leaves an incomplete encoding as it is.
    let is_complete =
        text.split('%').skip(1).all(|rest| rest.as_bytes().get(..2).is_some_and(is_hex));
    if !is_complete {
        return None;
    }
    percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_encoded_text_is_decoded() {
        let path = |text| decoded(text, Plus::Plus);
        assert_eq!(path("a%2Fb%20c%c3%A9+").as_deref(), Some("a/b cé+"));
        assert_eq!(path("é").as_deref(), Some("é"));
        assert_eq!(path("%252e").as_deref(), Some("%2e"), "once only");
        assert_eq!(decoded("a+b%2B", Plus::Space).as_deref(), Some("a b+"));
        for broken in ["%", "%2", "%zz", "%-1", "%+1", "%ff", "%c3", "%c0%af", "%ed%a0%80"] {
            assert_eq!(path(broken), None, "{broken}");
        }
    }
}

//! Percent-encoding, read strictly: what is not UTF-8 is not replaced by something that is.

/// What a `+` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    /// Itself, as in paths.
    Plus,
    /// A space, as in queries.
    Space,
}

/// The text without its encoding; none if a `%` is not followed by two hexadecimal digits, or it is not UTF-8.
pub(super) fn decoded(text: &str, plus: Plus) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next()?)? * 16 + digit(rest.next()?)?,
            b'+' if plus == Plus::Space => b' ',
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
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

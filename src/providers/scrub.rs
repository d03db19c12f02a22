//! Masking of passwords, personal links and people, and mending of what no parser reads: a byte order mark and half
//! surrogates. Everything else stays byte for byte.
//!
//! Also masks invalid JSON as far as it resembles JSON: an unreadable body is stored for an operator and must hold no
//! more secrets than a readable one. Without recursion and backtracking, so no body is slow or overflows the stack.
//! Masking a masked body changes nothing.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// Replacement of a masked value.
const MASK: &[u8] = b"***";
/// Keys of secrets and people whose values are masked in the bodies of every platform.
const COMMON: [&str; 5] = ["password", "registrant", "participant", "operator", "email"];
/// A query parameter that admits a person or opens the room, in any link in any text, up to its value. The marks
/// around its name are literal, in JSON (as Go and Gson write it), in HTML (`&amp;`), or percent-encoded. The group is
/// found before a parameter of a link that is itself a parameter.
static PERSONAL_PARAMETER: LazyLock<Regex> = LazyLock::new(|| {
    let marks = r"(?:[?&;#]|\\u0026|\\u003f|\\u0023|(%26|%3f|%23))";
    let pattern = format!(r"(?i-u){marks}(?:pwd|tk|zak)(?:=|\\u003d|%3d)");
    Regex::new(&pattern).expect("the pattern is valid")
});

/// The mark that some senders put before a text.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What half a surrogate becomes: the escape of U+FFFD, of the same length.
const REPLACEMENT: &[u8] = br"\ufffd";

/// Masks the values of these keys and of the [`COMMON`] ones, and of personal query parameters in any text.
///
/// Valid JSON stays valid. Keys are compared decoded: `"pass\u0077ord"` is `password`. A byte order mark is left out, and
/// half a surrogate (`\ud83d` alone, where a sender cut a text) becomes U+FFFD.
pub(super) fn mask<'k>(body: &[u8], keys: impl IntoIterator<Item = &'k str>) -> Vec<u8> {
    let keys: Vec<&str> = keys.into_iter().chain(COMMON).collect();
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    while at < body.len() {
        if body[at] != b'"' {
            let end = body[at..].iter().position(|b| *b == b'"').map_or(body.len(), |n| at + n);
            mask_parameters(&body[at..end], &mut out);
            at = end;
            continue;
        }
        let end = string_end(body, at);
        let string = &body[at..end];
        mask_parameters(string, &mut out);
        at = end;
        let colon = space_end(body, end);
        if body.get(colon) == Some(&b':') && is_one_of(string, &keys) {
            let value = space_end(body, colon + 1);
            out.extend_from_slice(&body[end..value]);
            at = value_end(body, value);
            match &body[value..at] {
                plain @ (b"" | b"null" | b"true" | b"false") => out.extend_from_slice(plain),
                _ => out.extend([b"\"", MASK, b"\""].concat()),
            }
        }
    }
    replace_half_surrogates(&mut out);
    out
}

/// Replaces each escape of a surrogate that is no part of a pair.
fn replace_half_surrogates(json: &mut [u8]) {
    let mut at = 0;
    while let Some(next) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        at += match surrogate(&json[at..]) {
            None => 2,
            Some(Surrogate::First) if surrogate(&json[at + 6..]) == Some(Surrogate::Second) => 12,
            Some(Surrogate::First | Surrogate::Second) => {
                json[at..at + 6].copy_from_slice(REPLACEMENT);
                6
            }
        };
        at = at.min(json.len());
    }
}

/// A half of a character beyond U+FFFF.
#[derive(PartialEq, Eq)]
enum Surrogate {
    First,
    Second,
}

/// The surrogate whose escape the text begins with.
fn surrogate(text: &[u8]) -> Option<Surrogate> {
    let (b'\\', (unit, 6)) = (text.first()?, escaped(text)?) else { return None };
    match unit {
        0xd800..=0xdbff => Some(Surrogate::First),
        0xdc00..=0xdfff => Some(Surrogate::Second),
        _ => None,
    }
}

fn is_one_of(string: &[u8], keys: &[&str]) -> bool {
    if !string.contains(&b'\\') {
        let text = string.strip_prefix(b"\"").unwrap_or(string);
        let text = text.strip_suffix(b"\"").unwrap_or(text);
        return keys.iter().any(|key| key.as_bytes() == text);
    }
    serde_json::from_slice::<String>(string).is_ok_and(|text| keys.contains(&text.as_str()))
}

/// End of the string that begins here; the end of the body if the string is not closed.
fn string_end(body: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < body.len() {
        match body[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    body.len()
}

fn space_end(body: &[u8], start: usize) -> usize {
    let rest = body.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// End of the value that begins here.
fn value_end(body: &[u8], start: usize) -> usize {
    match body.get(start) {
        None => start,
        Some(b'"') => string_end(body, start),
        Some(b'{' | b'[') => nested_end(body, start),
        Some(_) => {
            let rest = &body[start..];
            let end = rest.iter().position(|b| b",}]\"".contains(b)).unwrap_or(rest.len());
            start + rest[..end].trim_ascii_end().len()
        }
    }
}

fn nested_end(body: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at < body.len() {
        match body[at] {
            b'"' => {
                at = string_end(body, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

fn mask_parameters(text: &[u8], out: &mut Vec<u8>) {
    let (mut at, mut copied) = (0, 0);
    while let Some(found) = PERSONAL_PARAMETER.captures_at(text, at) {
        let start = found.get_match().end();
        at = parameter_end(text, start, found.get(1).is_some());
        if at > start {
            out.extend_from_slice(&text[copied..start]);
            out.extend_from_slice(MASK);
            copied = at;
        }
    }
    out.extend_from_slice(&text[copied..]);
}

/// End of a parameter's value: too late rather than too early.
fn parameter_end(text: &[u8], start: usize, encoded: bool) -> usize {
    let ends = |byte: u8| byte <= b' ' || b"&#<>\"".contains(&byte);
    let mut at = start;
    while at < text.len() {
        at += match text[at] {
            b'\\' => match escaped(&text[at..]) {
                Some((character, width)) if !u8::try_from(character).is_ok_and(ends) => width,
                Some(_) | None => break,
            },
            b'%' if encoded => match text.get(at + 1..at + 3) {
                Some(b"20" | b"22" | b"23" | b"26") => break,
                Some(_) | None => 1,
            },
            byte if ends(byte) => break,
            _ => 1,
        };
    }
    at
}

/// Decodes a JSON escape of a character of a link to its UTF-16 unit and width; none for other escapes.
fn escaped(text: &[u8]) -> Option<(u16, usize)> {
    match text.get(1)? {
        b'/' => Some((u16::from(b'/'), 2)),
        b'u' => {
            let digits = std::str::from_utf8(text.get(2..6)?).ok()?;
            Some((u16::from_str_radix(digits, 16).ok()?, 6))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;

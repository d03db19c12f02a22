//! Mutates real inputs: their bytes, and their structure.
//!
//! The structure is what JSON, TOML and headers share: tokens (texts in quotes, words, numbers), and values after a
//! `"key":`.

use std::ops::Range;

use crate::harness::rng::SeededRng;

/// Longest mutated input; longer ones only take time.
const MAX_LENGTH: usize = 256 * 1024;

/// Fragments that replace a token, or go anywhere.
const FRAGMENTS: &[&[u8]] = &[
    b"null",
    b"true",
    b"false",
    b"0",
    b"-1",
    b"1",
    b"5",
    b"6",
    b"9",
    b"1.5",
    b"1e999",
    b"-0.0",
    b"9223372036854775808",
    b"99999999999999999999999999",
    b"1800000000000",
    b"\"\"",
    b"\" \"",
    b"{}",
    b"[]",
    b"[[[[[[[[",
    b"{\"a\":",
    b"]",
    b"}",
    b"\"",
    b"\\",
    b"\"\\ud800\"",
    b"\\udc00",
    b"\\u0000",
    b"\\u0022",
    b"\\u0026pwd\\u003d",
    b"?pwd=a&tk=b",
    b"%26tk%3da",
    b"&amp;zak=z",
    b"\"password\":",
    b"\"pass\\u0077ord\":",
    b"\"id\":",
    b"\"event\":",
    b"\"occurrences\":",
    b"\"status\":",
    b"\"errors\":",
    b"\"results\":",
    b"\"single\"",
    b"\"all\"",
    b"\"deleted\"",
    b"\"webinar.updated\"",
    b"\"webinar.created\"",
    b"\"webinar.deleted\"",
    b"\"COMPLETE\"",
    b"\"PENDING\"",
    b"\"2026-07-05T13:00:00\"",
    b"\"9999-12-31T23:59:60Z\"",
    b"\"2026-07-05T13:00:00+23:59\"",
    b"\"Europe/Berlin\"",
    b"\"Nowhere/Land\"",
    b"\"https://x.example/?pwd=a&q=\\u00e9 b\"",
    b"\"javascript:alert(1)\"",
    b"<html>",
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\r\n",
    b"\n\n",
    b"\t",
    b"\xe2\x80\xae",
    b"%",
    b"%00",
    b"%zz",
    b"=",
    b":",
    b"/",
    b"..",
    b"#",
    b"'''",
    b"\"\"\"",
];

/// Applies a few mutations to an input of the corpus.
pub(crate) fn mutate(rng: &mut SeededRng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input: Vec<u8> = pick(rng, corpus).clone();
    for _ in 0..=rng.below(4) {
        let other: &Vec<u8> = pick(rng, corpus);
        input = mutate_once(rng, &input, other);
        input.truncate(MAX_LENGTH);
    }
    input
}

fn mutate_once(rng: &mut SeededRng, input: &[u8], other: &[u8]) -> Vec<u8> {
    match rng.below(15) {
        0 => flip_bit(rng, input),
        1 => replace(input, random_range(rng, input.len(), 64), b""),
        2 => replace(input, random_range(rng, input.len(), usize::MAX), b""),
        3 => {
            let at = rng.below(input.len() + 1);
            replace(input, at..at, &input[random_range(rng, input.len(), 256)])
        }
        4 => {
            let at = random_range(rng, input.len(), 64);
            replace(input, at, &other[random_range(rng, other.len(), 256)])
        }
        5 => {
            let at = rng.below(input.len() + 1);
            replace(input, at..at, pick::<&[u8]>(rng, FRAGMENTS))
        }
        6 | 7 => replace(input, one_of(rng, &tokens(input)), pick::<&[u8]>(rng, FRAGMENTS)),
        8 => {
            let token = one_of(rng, &tokens(other));
            replace(input, one_of(rng, &tokens(input)), &other[token])
        }
        9 => replace(input, one_of(rng, &members(input)).member, b""),
        10 => {
            // The member again, perhaps with another value.
            let Member { member, value } = one_of(rng, &members(input));
            let key = &input[member.start..value.start];
            let value =
                if rng.below(2) == 0 { pick::<&[u8]>(rng, FRAGMENTS) } else { &input[value] };
            let again = [key, value, b","].concat();
            replace(input, member.start..member.start, &again)
        }
        11 => {
            let (one, two) = (one_of(rng, &members(input)), one_of(rng, &members(other)));
            replace(input, one.value, &other[two.value])
        }
        12 => {
            let Member { value, .. } = one_of(rng, &members(input));
            let (open, close): (&[u8], &[u8]) =
                if rng.below(2) == 0 { (b"[", b"]") } else { (b"{\"a\":", b"}") };
            let depth = 1 + rng.below(200);
            let nested =
                [&open.repeat(depth), &input[value.clone()], &close.repeat(depth)].concat();
            replace(input, value, &nested)
        }
        13 => {
            let first = one_of(rng, &elements(input));
            let element = [&input[first.clone()], b","].concat();
            replace(input, first.start..first.start, &repeat(rng, &element))
        }
        _ => {
            let token = one_of(rng, &tokens(input));
            let quoted = usize::from(input.get(token.start) == Some(&b'"') && token.len() > 2);
            let inside = token.start + quoted..token.end - quoted;
            replace(input, inside.clone(), &repeat(rng, &input[inside]))
        }
    }
}

fn repeat(rng: &mut SeededRng, piece: &[u8]) -> Vec<u8> {
    let most = [4, 600, 80_000][rng.below(3)].min(MAX_LENGTH / piece.len().max(1));
    piece.repeat(1 + rng.below(most))
}

fn flip_bit(rng: &mut SeededRng, input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    if !bytes.is_empty() {
        let at = rng.below(bytes.len());
        bytes[at] ^= 1 << rng.below(8);
    }
    bytes
}

fn pick<'a, T>(rng: &mut SeededRng, all: &'a [T]) -> &'a T {
    &all[rng.below(all.len())]
}

/// One of these; an empty range at the start where there is none.
fn one_of<T: Clone + Default>(rng: &mut SeededRng, all: &[T]) -> T {
    if all.is_empty() { T::default() } else { pick(rng, all).clone() }
}

fn random_range(rng: &mut SeededRng, len: usize, longest: usize) -> Range<usize> {
    let start = rng.below(len + 1);
    let most = (len - start).min(longest);
    start..start + rng.below(most + 1)
}

fn replace(input: &[u8], at: Range<usize>, by: &[u8]) -> Vec<u8> {
    [&input[..at.start], by, &input[at.end..]].concat()
}

/// Texts with their quotes, words and numbers.
fn tokens(input: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < input.len() {
        let end = token_end(input, at);
        if end > at {
            found.push(at..end);
        }
        at = end.max(at + 1);
    }
    found
}

/// End of the token that begins here; its start if there is none.
fn token_end(input: &[u8], start: usize) -> usize {
    let word = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    if input.get(start) != Some(&b'"') {
        return start + input[start..].iter().take_while(word).count();
    }
    let mut at = start + 1;
    while at < input.len() && input[at] != b'"' {
        at += if input[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(input.len())
}

/// A member of an object: `"key": value`.
#[derive(Clone, Default)]
struct Member {
    member: Range<usize>,
    value: Range<usize>,
}

fn members(input: &[u8]) -> Vec<Member> {
    let space =
        |at: usize| at + input[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let mut found = Vec::new();
    for token in tokens(input) {
        let colon = space(token.end);
        if input.get(colon) == Some(&b':') {
            let value = space(colon + 1);
            let end = value_end(input, value);
            found.push(Member { member: token.start..end, value: value..end });
        }
    }
    found
}

/// The first elements of lists.
fn elements(input: &[u8]) -> Vec<Range<usize>> {
    let opened = (0..input.len()).filter(|at| input[*at] == b'[');
    opened.map(|at| at + 1..value_end(input, at + 1)).collect()
}

fn value_end(input: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at < input.len() {
        match input[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at = token_end(input, at).max(at + 1);
        if depth == 0 {
            return at;
        }
    }
    at
}

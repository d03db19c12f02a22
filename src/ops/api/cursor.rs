//! Cursors: positions at which a list continues. Clients treat them as opaque; one of another list or filter is
//! refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The first byte of a cursor; another form would have another.
const VERSION: u8 = 1;
/// Bytes that distinguish one list and filter from others. It guards against mistakes, not against malice: a position
/// of another list shows nothing that the caller may not see.
const DIGEST_BYTES: usize = 8;

/// A list with its filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CursorScope([u8; DIGEST_BYTES]);

/// The reason for which a cursor is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CursorError {
    #[error("is not one that was given out")]
    Malformed,
    #[error("belongs to another list or filter")]
    OtherList,
}

impl CursorScope {
    /// The list of that name with these filters, in a fixed order.
    pub(super) fn new(name: &str, filters: &[Option<&str>]) -> Self {
        let mut digest = Sha256::new();
        for part in std::iter::once(&Some(name)).chain(filters) {
            // With its length, so that no text of one filter can pass for two.
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            digest.update(length.to_be_bytes());
            digest.update(part.unwrap_or_default());
        }
        let mut mark = [0; DIGEST_BYTES];
        mark.copy_from_slice(&digest.finalize()[..DIGEST_BYTES]);
        Self(mark)
    }

    /// A cursor for that position in the list.
    pub(super) fn encode(self, position: i64) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.0);
        bytes.extend_from_slice(&position.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position in a cursor of this list.
    ///
    /// # Errors
    /// [`CursorError`].
    pub(super) fn decode(self, cursor: &str) -> Result<i64, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| CursorError::Malformed)?;
        let rest = bytes.strip_prefix(&[VERSION]).ok_or(CursorError::Malformed)?;
        let (mark, position) =
            rest.split_first_chunk::<DIGEST_BYTES>().ok_or(CursorError::Malformed)?;
        let position = position.try_into().map_err(|_| CursorError::Malformed)?;
        if *mark != self.0 {
            return Err(CursorError::OtherList);
        }
        Ok(i64::from_be_bytes(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_of_another_list_or_filter_is_refused() {
        let dead = CursorScope::new("events", &[None, Some("dead")]);
        for position in [0, 1, -1, i64::MAX, i64::MIN] {
            let cursor = dead.encode(position);
            assert_eq!(dead.decode(&cursor), Ok(position));
            assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        }
        let cursor = dead.encode(7);
        for other in [
            CursorScope::new("receipts", &[None, Some("dead")]),
            CursorScope::new("events", &[Some("dead"), None]),
            CursorScope::new("events", &[None, Some("pending")]),
            CursorScope::new("events", &[None, None]),
            CursorScope::new("events", &[Some(""), Some("dead")]),
        ] {
            assert_eq!(other.decode(&cursor), Err(CursorError::OtherList));
        }
    }

    #[test]
    fn cursor_that_is_malformed_is_refused() {
        let listing = CursorScope::new("events", &[]);
        let cursor = listing.encode(7);
        let mut broken = vec![
            String::new(),
            "!".to_owned(),
            "é".to_owned(),
            "AAAA".to_owned(),
            cursor.chars().skip(2).collect(),
            format!("{cursor}AA"),
            format!("{cursor}="),
        ];
        broken.push(cursor.replacen('A', "B", 1));
        for text in broken {
            assert!(listing.decode(&text).is_err(), "{text}");
        }
    }
}

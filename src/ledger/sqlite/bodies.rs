//! The bodies of one commit, packed together.

use rusqlite::Connection;

use super::statements::Statements as _;
use crate::ledger::LedgerError;

/// The bodies of the commit under way.
pub(super) struct Segment {
    id: i64,
    data: Vec<u8>,
}

/// A body that lies beyond the end of its segment.
#[derive(Debug, thiserror::Error)]
#[error("a body lies beyond its end")]
struct BodyOutOfRange;

/// The location of a body: segment, offset and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyLocation {
    pub(super) id: i64,
    pub(super) offset: i64,
    pub(super) length: i64,
}

impl BodyLocation {
    /// Finds the body in its unpacked segment.
    pub(super) fn find_in(self, segment: &[u8]) -> Result<&[u8], LedgerError> {
        let end = self.offset.saturating_add(self.length);
        let range = usize::try_from(self.offset).ok().zip(usize::try_from(end).ok());
        let body = range.and_then(|(from, to)| segment.get(from..to));
        body.ok_or_else(|| LedgerError::corrupt(format_args!("bodies {}", self.id), BodyOutOfRange))
    }
}

impl Segment {
    /// Starts the segment after the last one in the file.
    pub(super) fn after(connection: &Connection) -> rusqlite::Result<Self> {
        let last: Option<i64> = connection.value("SELECT max(id) FROM bodies", ())?;
        // An id must not be used again while a receipt of a deleted segment still names it.
        let named: Option<i64> =
            connection.value("SELECT max(body_id) FROM receipts WHERE body_id IS NOT NULL", ())?;
        let last = last.unwrap_or(0).max(named.unwrap_or(0));
        Ok(Self { id: last + 1, data: Vec::new() })
    }

    pub(super) fn clear(&mut self) {
        self.data.clear();
        // A commit of large bodies must not keep their memory.
        self.data.shrink_to(256 * 1024);
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Removes the bodies after this length.
    pub(super) fn truncate(&mut self, len: usize) {
        self.data.truncate(len);
    }

    pub(super) fn push(&mut self, body: &[u8]) -> BodyLocation {
        let as_i64 = |n: usize| i64::try_from(n).expect("a segment is some megabytes at most");
        let location = BodyLocation {
            id: self.id,
            offset: as_i64(self.data.len()),
            length: as_i64(body.len()),
        };
        self.data.extend_from_slice(body);
        location
    }

    /// Stores the segment in the commit under way.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.data.is_empty() {
            return Ok(());
        }
        let packed = lz4_flex::compress_prepend_size(&self.data);
        connection.run("INSERT INTO bodies (id, data) VALUES (?1, ?2)", (self.id, packed))
    }

    /// Moves on to the next segment after the commit.
    pub(super) fn advance(&mut self) {
        if !self.data.is_empty() {
            self.id += 1;
        }
    }
}

/// A reader of bodies that keeps the last segment unpacked: bodies read in order mostly share a segment.
#[derive(Default)]
pub(super) struct BodyReader {
    last: Option<(i64, Vec<u8>)>,
    bytes: usize,
}

impl BodyReader {
    /// Bytes unpacked so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reads one body back; none if its segment is gone.
    pub(super) fn read(
        &mut self,
        connection: &Connection,
        location: BodyLocation,
    ) -> Result<Option<&[u8]>, LedgerError> {
        if self.last.as_ref().is_none_or(|(id, _)| *id != location.id) {
            self.last = None;
            let packed: Option<Vec<u8>> = connection.first(
                "SELECT data FROM bodies WHERE id = ?1",
                [location.id],
                |row| row.get(0),
            )?;
            let Some(packed) = packed else { return Ok(None) };
            let data = unpack(location.id, &packed)?;
            self.bytes += data.len();
            self.last = Some((location.id, data));
        }
        let data = self.last.as_ref().map_or(&[][..], |(_, data)| data);
        location.find_in(data).map(Some)
    }
}

/// Unpacks a stored segment.
pub(super) fn unpack(segment: i64, packed: &[u8]) -> Result<Vec<u8>, LedgerError> {
    lz4_flex::decompress_size_prepended(packed)
        .map_err(|error| LedgerError::corrupt(format_args!("bodies {segment}"), error))
}

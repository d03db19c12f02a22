//! Cached statements in one call each.

use rusqlite::types::FromSql;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, Rows};

use crate::ledger::{LedgerError, Page};

/// Statements that a connection prepares once.
pub(super) trait Statements {
    fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>>;

    /// Carries out a statement.
    fn run(&self, sql: &str, params: impl Params) -> rusqlite::Result<()> {
        self.change(sql, params).map(drop)
    }

    /// Carries out a statement; returns the number of changed rows.
    fn change(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.statement(sql)?.execute(params)
    }

    /// Reads the value of a query that always has one row of one column.
    fn value<T: FromSql>(&self, sql: &str, params: impl Params) -> rusqlite::Result<T> {
        self.statement(sql)?.query_row(params, |row| row.get(0))
    }

    /// Reads the first row, if there is one.
    fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.statement(sql)?.query_row(params, read).optional()
    }

    /// Reads every row.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.statement(sql)?.query_map(params, read)?.collect()
    }
}

impl Statements for Connection {
    fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.prepare_cached(sql)
    }
}

/// A number as SQLite takes it.
pub(super) fn sql_count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The most rows that one page of a list reads: some tens of milliseconds, however rare the matches are.
pub(super) const MAX_ROWS_READ: usize = 20_000;

/// Reads a page of at most `limit` items out of at most `max_rows` rows, whose first column is their number.
pub(super) fn read_page<T>(
    mut rows: Rows<'_>,
    limit: usize,
    max_rows: usize,
    mut item: impl FnMut(&Row<'_>) -> Result<Option<T>, LedgerError>,
) -> Result<Page<T>, LedgerError> {
    let (mut items, mut rows_read, mut last) = (Vec::new(), 0, None);
    while let Some(row) = rows.next()? {
        if items.len() >= limit || rows_read >= max_rows {
            return Ok(Page { items, next: last });
        }
        rows_read += 1;
        last = Some(row.get(0)?);
        items.extend(item(row)?);
    }
    Ok(Page { items, next: None })
}

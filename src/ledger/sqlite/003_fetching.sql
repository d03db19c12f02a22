-- The queue of fetches, receipts of the platforms' answers, and dedupe keys that outlive their receipts.

ALTER TABLE receipts ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;    -- 0 webhook, 1 fetched
ALTER TABLE receipts ADD COLUMN headers TEXT;                       -- JSON of [name, value]; none: NULL
ALTER TABLE receipts ADD COLUMN lasting INTEGER NOT NULL DEFAULT 0; -- 1: its key outlives it

-- The dedupe keys of deleted receipts; each is kept as long as the webinars that its receipt built.
CREATE TABLE lasting_keys (
    source     TEXT    NOT NULL,
    dedupe_key BLOB    NOT NULL,
    webinar    INTEGER NOT NULL, -- webinars.id
    PRIMARY KEY (source, dedupe_key, webinar)
) STRICT, WITHOUT ROWID;
CREATE INDEX lasting_keys_by_webinar ON lasting_keys (webinar);

-- The webinars to ask the platforms' APIs about. An id is never used again: a row that is settled twice must not be
-- taken for another.
CREATE TABLE fetches (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    source     TEXT    NOT NULL,
    webinar    TEXT    NOT NULL,            -- the platform's id
    account    TEXT    NOT NULL,            -- the platform's; empty if none was named
    version    INTEGER NOT NULL DEFAULT 1,  -- rises each time that it is wanted
    wanted_at  INTEGER NOT NULL,
    not_before INTEGER NOT NULL DEFAULT 0,
    attempts   INTEGER NOT NULL DEFAULT 0,
    given_up   INTEGER NOT NULL DEFAULT 0,
    failed_at  INTEGER,                     -- when it went wrong last, and why
    last_error TEXT,
    UNIQUE (source, webinar, account)
) STRICT;
CREATE INDEX fetches_due ON fetches (source, not_before, wanted_at) WHERE given_up = 0;
CREATE INDEX fetches_failed ON fetches (source, failed_at) WHERE failed_at IS NOT NULL;

-- The number of fetches that wait and that were given up, updated with every change so that no query has to count.
CREATE TABLE fetch_counts (
    source   TEXT    NOT NULL,
    given_up INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (source, given_up)
) STRICT, WITHOUT ROWID;

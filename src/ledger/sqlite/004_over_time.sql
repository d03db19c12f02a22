-- Right over time: facts of the store itself, and what a replay must find again as it was.

-- The store's own facts; one row.
CREATE TABLE store (
    id          INTEGER PRIMARY KEY CHECK (id = 0),
    born_at     INTEGER NOT NULL, -- when the store was made, or its oldest receipt
    written_at  INTEGER NOT NULL, -- the last commit
    copied_at   INTEGER,          -- it is a copy, made then, that was not served yet
    restored_at INTEGER,          -- when a copy was last put into service
    restored_above INTEGER,       -- the last receipt that the copy held
    pruned_to   INTEGER,          -- webinars and events that were over or last changed before then may have been pruned
    last_receipt INTEGER NOT NULL DEFAULT 0 -- the highest receipts.seq that was deleted: numbers are never given again
) STRICT;
INSERT INTO store (id, born_at, written_at)
    SELECT 0, coalesce((SELECT min(received_at) FROM receipts), unixepoch() * 1000),
        coalesce((SELECT max(received_at) FROM receipts), unixepoch() * 1000);

-- Sources that are not configured any more, and the accounts of the configuration when the store was last opened.
ALTER TABLE sources ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
CREATE TABLE accounts (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- The place of a receipt among those of its webinar, where it does not follow from the receipt itself: the number of the
-- first receipt with the same body, and the time of what it says without a time of its own.
ALTER TABLE webinar_receipts ADD COLUMN order_seq INTEGER;
ALTER TABLE webinar_receipts ADD COLUMN order_at INTEGER;

-- 1: the event's occurrence left the state of its series, and the event stays as it is.
ALTER TABLE events ADD COLUMN frozen INTEGER NOT NULL DEFAULT 0;
DROP INDEX events_by_webinar;
CREATE INDEX events_by_webinar ON events (webinar, frozen);
CREATE INDEX events_frozen ON events (ends_at) WHERE frozen = 1;

-- The queue of fetches: whose failure it is, since when, and what is dead.
ALTER TABLE fetches RENAME COLUMN given_up TO state;                  -- 0 pending, 1 given up, 2 dead, 3 answered
ALTER TABLE fetch_counts RENAME COLUMN given_up TO state;
ALTER TABLE fetches ADD COLUMN not_found INTEGER NOT NULL DEFAULT 0;  -- attempts that found no such webinar
ALTER TABLE fetches ADD COLUMN failing_since INTEGER;                 -- the first failure of the webinar's own
ALTER TABLE fetches ADD COLUMN absence INTEGER NOT NULL DEFAULT 0;    -- 0 believed within limits, 1 held, 2 confirmed
ALTER TABLE fetches ADD COLUMN absent_at INTEGER;                     -- when it turned absent; not found since
ALTER TABLE fetches ADD COLUMN reported_at INTEGER;                   -- the last webhook that requested it
ALTER TABLE fetches ADD COLUMN repeated_for INTEGER;                  -- the last one because of which it is repeated
DROP INDEX fetches_due;
CREATE INDEX fetches_due ON fetches (source, not_before, wanted_at) WHERE state IN (0, 3);
CREATE INDEX fetches_absent ON fetches (source, absent_at) WHERE absent_at IS NOT NULL;
CREATE INDEX fetches_ended ON fetches (id) WHERE state IN (1, 2);
-- The version before gave up what a platform had refused a few times. It is dead now, so that it is tried once more.
UPDATE fetches SET state = 2, failing_since = failed_at
    WHERE state = 1 AND last_error LIKE 'it answered %';
DELETE FROM fetch_counts;
INSERT INTO fetch_counts (source, state, count)
    SELECT source, state, count(*) FROM fetches GROUP BY source, state;

-- What is known of asking each source's platform.
CREATE TABLE fetch_sources (
    source      TEXT PRIMARY KEY,
    answered_at INTEGER, -- when a webinar was last answered
    config      BLOB     -- digest of how the platform is asked
) STRICT, WITHOUT ROWID;

-- 1: nothing says when one of its events takes place. The dates of retention changed: every webinar is folded again once.
ALTER TABLE webinars ADD COLUMN timeless INTEGER NOT NULL DEFAULT 0;
INSERT OR REPLACE INTO revision (id, after) SELECT 0, 0 WHERE EXISTS (SELECT 1 FROM webinars);

-- The end after which a timer completed the event, and whether HubSpot confirmed that. NULL: as far as is known none did.
ALTER TABLE events ADD COLUMN timer_end INTEGER;
ALTER TABLE events ADD COLUMN timer_confirmed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX events_timer ON events (timer_end) WHERE timer_end IS NOT NULL;
-- What HubSpot held of an event before this ledger knew a full picture of it (event::BaseState).
ALTER TABLE events ADD COLUMN base INTEGER NOT NULL DEFAULT 0; -- 0 not needed, 1 to be read, 2 HubSpot had none, 3 read
ALTER TABLE events ADD COLUMN base_rank INTEGER;  -- while it is to be read: 0 before others, 1
ALTER TABLE events ADD COLUMN base_above INTEGER; -- it lies above all of the receipts up to this; none: above the creation
ALTER TABLE events ADD COLUMN base_fields TEXT;   -- what was read: event::BaseFields as JSON; while it is to be read again
                                                  -- in a restored copy: event::BaseState, as it was before
CREATE INDEX events_unread ON events (hubspot, state, base_rank) WHERE base_rank IS NOT NULL;
-- Incomplete events that were never sent are read before they are. What was about to be sent when the version before
-- stopped is sent as it would have been.
UPDATE events SET base = 1, base_rank = 1
    WHERE state = 2 AND confirmed_hash IS NULL AND attempts = 0 AND sending_since IS NULL AND resend_at IS NULL;
-- The newest delivered events of an account, which show whether it still takes what it took before.
CREATE INDEX events_delivered ON events (hubspot) WHERE state = 1;

-- Webinars that could not be folded when it was due. 0: to be tried again since the start; 1: tried.
CREATE TABLE unfolded (webinar INTEGER PRIMARY KEY, tried INTEGER NOT NULL) STRICT;

-- 1: dated by a clock that was doubted then, so that its age is that of its neighbours.
ALTER TABLE receipts ADD COLUMN doubted INTEGER NOT NULL DEFAULT 0;

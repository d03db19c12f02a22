-- Right over time: facts of the store itself, and what a replay must find again as it was.

-- The store's own facts; one row.
CREATE TABLE store (
    id          INTEGER PRIMARY KEY CHECK (id = 0),
    born_at     INTEGER NOT NULL, -- when the store was made, or its oldest receipt
    written_at  INTEGER NOT NULL, -- the last commit
    copied_at   INTEGER,          -- it is a copy, made then, that was not served yet
    restored_at INTEGER           -- when a copy was last put into service
) STRICT;
INSERT INTO store (id, born_at, written_at)
    SELECT 0, coalesce((SELECT min(received_at) FROM receipts), unixepoch() * 1000),
        coalesce((SELECT max(received_at) FROM receipts), unixepoch() * 1000);

-- The place of a receipt among those of its webinar, where it does not follow from the receipt itself: the number of the
-- first receipt with the same body, and the time of what it says without a time of its own.
ALTER TABLE webinar_receipts ADD COLUMN order_seq INTEGER;
ALTER TABLE webinar_receipts ADD COLUMN order_at INTEGER;

-- 1: the event's occurrence left the state of its series, and the event stays as it is.
ALTER TABLE events ADD COLUMN frozen INTEGER NOT NULL DEFAULT 0;

-- Queries of events and receipts, redrives, and rebuilds from receipts.

-- From a receipt to the webinars that it built: for showing it, for replaying it, and for deleting the link with it.
CREATE INDEX webinar_receipts_by_receipt ON webinar_receipts (receipt);

-- 1: receipts that built it are deleted. Their values stay, since no replay can map them again.
ALTER TABLE webinars ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
UPDATE webinars SET base = 1 WHERE EXISTS (
    SELECT 1 FROM webinar_receipts AS link WHERE link.webinar = webinars.id
        AND NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.seq = link.receipt));
DELETE FROM webinar_receipts
    WHERE NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.seq = webinar_receipts.receipt);

-- The name and the end that the webinar gives the event, also while the event is incomplete.
ALTER TABLE events ADD COLUMN name TEXT;
ALTER TABLE events ADD COLUMN ends_at INTEGER;
UPDATE events SET name = json_extract(CAST(input AS TEXT), '$.eventName'),
        ends_at = unixepoch(json_extract(CAST(input AS TEXT), '$.endDateTime')) * 1000
    WHERE input IS NOT NULL;
-- An incomplete event has no input to read them from, so every webinar is folded again once.
INSERT OR REPLACE INTO revision (id, after)
    SELECT 0, 0 WHERE EXISTS (SELECT 1 FROM events WHERE state = 2);

-- Indexes of rare rows, newest first: incomplete and dead events by state, quarantined receipts by outcome.
CREATE INDEX events_held ON events (state) WHERE state > 1;
CREATE INDEX receipts_quarantined ON receipts (outcome) WHERE outcome = 2;

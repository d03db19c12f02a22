-- Looking at what is there, sending again, and rebuilding from receipts.

-- From a receipt to the webinars that it built: for showing it, for replaying it, and for deleting the link with it.
CREATE INDEX webinar_receipts_by_receipt ON webinar_receipts (receipt);

-- 1: receipts that built it are gone, so what they said stays, since nobody can say it again.
ALTER TABLE webinars ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
UPDATE webinars SET base = 1 WHERE EXISTS (
    SELECT 1 FROM webinar_receipts AS link WHERE link.webinar = webinars.id
        AND NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.seq = link.receipt));
DELETE FROM webinar_receipts
    WHERE NOT EXISTS (SELECT 1 FROM receipts WHERE receipts.seq = webinar_receipts.receipt);

-- As the webinar tells them, also while the event is incomplete.
ALTER TABLE events ADD COLUMN name TEXT;
ALTER TABLE events ADD COLUMN ends_at INTEGER;
UPDATE events SET name = json_extract(CAST(input AS TEXT), '$.eventName'),
        ends_at = unixepoch(json_extract(CAST(input AS TEXT), '$.endDateTime')) * 1000
    WHERE input IS NOT NULL;
-- What is incomplete has no input to read them from: all webinars are gone through once.
INSERT OR REPLACE INTO revision (id, after)
    SELECT 0, 0 WHERE EXISTS (SELECT 1 FROM events WHERE state = 2);

-- What is rare, newest first: events incomplete or dead, receipts quarantined. By state or outcome, then by row.
CREATE INDEX events_held ON events (state) WHERE state > 1;
CREATE INDEX receipts_quarantined ON receipts (outcome) WHERE outcome = 2;

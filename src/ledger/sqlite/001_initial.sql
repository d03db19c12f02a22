-- The first schema. Times are milliseconds since 1970, UTC.

-- One row for each verified webhook. `seq` is the order of arrival.
CREATE TABLE receipts (
    seq         INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE,
    source      TEXT    NOT NULL,
    dedupe_key  BLOB    NOT NULL,
    provider    TEXT    NOT NULL,
    event_type  TEXT    NOT NULL,
    outcome     INTEGER NOT NULL, -- 0 accepted, 1 ignored, 2 quarantined
    reason      TEXT,             -- why it is quarantined
    received_at INTEGER NOT NULL,
    hash        BLOB    NOT NULL, -- first 16 bytes of SHA-256 of the raw body
    body_id     INTEGER,          -- where the scrubbed body is: a stretch of bodies.data, unpacked
    body_offset INTEGER,
    body_length INTEGER,
    UNIQUE (source, dedupe_key)
) STRICT;
CREATE INDEX receipts_by_body ON receipts (body_id) WHERE body_id IS NOT NULL;

-- The bodies that came in with one commit, packed together (lz4, size in front): a quarter less
-- written than a row each, and a third more accepted per second.
CREATE TABLE bodies (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

-- Everything known of one platform object: event::Webinar as JSON.
CREATE TABLE webinars (
    id      INTEGER PRIMARY KEY,
    hubspot TEXT    NOT NULL,
    account TEXT    NOT NULL,
    webinar TEXT    NOT NULL,
    state   BLOB    NOT NULL,
    last_at INTEGER NOT NULL, -- its last end or last change, whichever is later
    UNIQUE (hubspot, account, webinar)
) STRICT;
CREATE INDEX webinars_by_age ON webinars (last_at);

-- From a webinar to the receipts that built it.
CREATE TABLE webinar_receipts (
    webinar INTEGER NOT NULL,
    receipt INTEGER NOT NULL, -- receipts.seq
    PRIMARY KEY (webinar, receipt)
) STRICT, WITHOUT ROWID;

-- The events that follow from the webinars: the input that HubSpot is to hold, and the input that it holds.
CREATE TABLE events (
    id                  INTEGER PRIMARY KEY,
    webinar             INTEGER NOT NULL,
    hubspot             TEXT    NOT NULL,
    external_account_id TEXT    NOT NULL,
    external_event_id   TEXT    NOT NULL,
    version             INTEGER NOT NULL,
    state               INTEGER NOT NULL, -- 0 pending, 1 delivered, 2 incomplete, 3 dead, 4 filtered
    input               BLOB,             -- what HubSpot is to get; none while incomplete or filtered
    input_hash          BLOB,
    gaps                TEXT    NOT NULL DEFAULT '[]',
    changed_at          INTEGER NOT NULL,
    pending_since       INTEGER NOT NULL,
    not_before          INTEGER NOT NULL DEFAULT 0,
    attempts            INTEGER NOT NULL DEFAULT 0,
    due_at              INTEGER,          -- when its completion timer runs out
    sending_since       INTEGER,          -- a call with it is under way; a crash leaves it so
    resend_at           INTEGER,          -- an older call may land until then: sent once more
    held_hash           BLOB,             -- what HubSpot is known to hold; none while that is unknown
    confirmed_hash      BLOB,             -- what HubSpot confirmed last
    confirmed_input     BLOB,             -- the same in full, where it differs from input
    confirmed_at        INTEGER,
    object_id           TEXT,
    refused             TEXT,             -- HubSpot's words, while dead
    last_error          TEXT,
    UNIQUE (hubspot, external_account_id, external_event_id)
) STRICT;
CREATE INDEX events_by_webinar ON events (webinar);
CREATE INDEX events_pending ON events (hubspot, pending_since) WHERE state = 0;
CREATE INDEX events_waiting ON events (hubspot, not_before) WHERE state = 0 AND not_before > 0;
CREATE INDEX events_sending ON events (sending_since) WHERE sending_since IS NOT NULL;
CREATE INDEX events_resend ON events (resend_at) WHERE resend_at IS NOT NULL;
CREATE INDEX events_due ON events (due_at) WHERE due_at IS NOT NULL;

-- The number of events in each state, updated with every change so that no query has to count.
CREATE TABLE event_counts (
    hubspot TEXT    NOT NULL,
    state   INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (hubspot, state)
) STRICT, WITHOUT ROWID;

-- The configuration of each source when the store was last opened.
CREATE TABLE sources (
    name     TEXT PRIMARY KEY,
    identity TEXT NOT NULL, -- what decides the events' ids in HubSpot
    defaults TEXT NOT NULL  -- what else shapes events
) STRICT, WITHOUT ROWID;

-- The last webinar that was folded again since the defaults changed; no row: all have been.
CREATE TABLE revision (
    id    INTEGER PRIMARY KEY CHECK (id = 0),
    after INTEGER NOT NULL  -- webinars.id
) STRICT;

-- The status of each HubSpot account: event::AccountStatus as JSON.
CREATE TABLE standings (
    hubspot  TEXT PRIMARY KEY,
    standing TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A row that the writer writes to find out whether writing works again.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    at INTEGER NOT NULL
) STRICT;

-- Version 2. What was paid by invoice, and how often it was used.

-- One counter for all copies and attenuations of a token.
CREATE TABLE uses (
    identity   TEXT PRIMARY KEY,
    payment    TEXT REFERENCES payments (id),  -- NULL: withdrawn, and not paid that we know
    taken      INTEGER NOT NULL CHECK (taken >= 0),
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;

-- How far the settled events of a node are booked.
CREATE TABLE told (
    source TEXT PRIMARY KEY,
    place  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

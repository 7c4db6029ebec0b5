-- Version 3. Buyers: by which method was asked, what a payment has really cost, and tokens that
-- were paid for and can be shown again.

ALTER TABLE payments ADD COLUMN method TEXT;
ALTER TABLE payments ADD COLUMN actual_fee BLOB CHECK (length(actual_fee) = 16);
ALTER TABLE payments ADD COLUMN actual_cost BLOB CHECK (length(actual_cost) = 16);

CREATE TABLE tokens (
    seq               INTEGER PRIMARY KEY,  -- in order of creation
    id                TEXT NOT NULL UNIQUE,
    payment           TEXT UNIQUE,  -- the id of the payment that bought it
    origin            TEXT NOT NULL,  -- scheme://host:port
    method            TEXT,
    path              TEXT NOT NULL,  -- '*' stands for any text
    agent             TEXT,
    credential_header TEXT NOT NULL,
    credential_value  TEXT NOT NULL UNIQUE,
    created_ms        INTEGER NOT NULL,
    updated_ms        INTEGER NOT NULL,
    expires_s         INTEGER,
    uses_left         INTEGER,
    state             TEXT NOT NULL
        CHECK (state IN ('fresh', 'used', 'exhausted', 'refused', 'revoked'))
) STRICT;

CREATE INDEX tokens_origin ON tokens (origin, seq);
-- For pruning.
CREATE INDEX tokens_dead ON tokens (updated_ms) WHERE state IN ('exhausted', 'revoked');
CREATE INDEX tokens_expire ON tokens (expires_s) WHERE expires_s IS NOT NULL;

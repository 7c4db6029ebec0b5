-- Version 1. Amounts and balances are 16-byte big-endian signed integers, limits unsigned ones.
-- Times in milliseconds unless the name says seconds. Entries and postings are only ever added.

CREATE TABLE accounts (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    asset   TEXT NOT NULL,  -- CAIP-19, or '' for US dollars in millionths
    balance BLOB NOT NULL CHECK (length(balance) = 16),  -- that of the account's last posting
    UNIQUE (name, asset)
) STRICT;

CREATE TABLE payments (
    seq               INTEGER PRIMARY KEY,  -- in order of creation
    id                TEXT NOT NULL UNIQUE,
    role              TEXT NOT NULL CHECK (role IN ('buyer', 'seller', 'facilitator')),
    state             TEXT NOT NULL,  -- JSON
    is_open           INTEGER NOT NULL,  -- a rail still has to be asked
    is_live           INTEGER NOT NULL,  -- not decided, and its amount is held
    terms             TEXT NOT NULL,  -- JSON
    identity          TEXT,
    created_ms        INTEGER NOT NULL,
    updated_ms        INTEGER NOT NULL,
    valid_before_s    INTEGER,
    handle            TEXT,
    hashes            TEXT NOT NULL,  -- JSON array of {hash, signer, nonce}
    receipt           TEXT,
    call              TEXT,
    agent             TEXT,
    url               TEXT,
    credential_header TEXT,
    credential_value  TEXT,
    lease_owner       TEXT,
    lease_until_ms    INTEGER,
    budget_day        INTEGER,  -- days since 1970-01-01 UTC, of the reserve
    route             TEXT,
    payload_digest    BLOB,
    request_digest    BLOB,
    body_digest       BLOB
) STRICT;

CREATE UNIQUE INDEX payments_identity ON payments (identity, role) WHERE identity IS NOT NULL;
CREATE INDEX payments_live_call ON payments (call, seq) WHERE is_live = 1 AND call IS NOT NULL;
CREATE INDEX payments_open ON payments (seq) WHERE is_open = 1;
CREATE INDEX payments_live ON payments (seq) WHERE is_live = 1;
-- For pruning.
CREATE INDEX payments_secret ON payments (valid_before_s) WHERE credential_value IS NOT NULL;
CREATE INDEX payments_done ON payments (valid_before_s) WHERE handle IS NOT NULL AND is_open = 0;

-- What happened to a payment; postings belong to an entry.
CREATE TABLE entries (
    id           INTEGER PRIMARY KEY,
    payment      INTEGER NOT NULL REFERENCES payments (seq),
    at_ms        INTEGER NOT NULL,
    event        TEXT NOT NULL,  -- JSON
    phase_before TEXT,
    phase_after  TEXT NOT NULL
) STRICT;

CREATE TABLE postings (
    id      INTEGER PRIMARY KEY,
    entry   INTEGER NOT NULL REFERENCES entries (id),
    account INTEGER NOT NULL REFERENCES accounts (id),
    amount  BLOB NOT NULL CHECK (length(amount) = 16),
    balance BLOB NOT NULL CHECK (length(balance) = 16)  -- of the account, after this posting
) STRICT;

CREATE TABLE budgets (
    holder      TEXT PRIMARY KEY,  -- 'owner' or 'agent/<name>'
    per_payment BLOB CHECK (length(per_payment) = 16),
    per_day     BLOB CHECK (length(per_day) = 16),
    total       BLOB CHECK (length(total) = 16)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries
BEGIN SELECT raise(ABORT, 'entries are append only'); END;
CREATE TRIGGER entries_are_not_removed BEFORE DELETE ON entries
BEGIN SELECT raise(ABORT, 'entries are append only'); END;
CREATE TRIGGER postings_are_not_changed BEFORE UPDATE ON postings
BEGIN SELECT raise(ABORT, 'postings are append only'); END;
CREATE TRIGGER postings_are_not_removed BEFORE DELETE ON postings
BEGIN SELECT raise(ABORT, 'postings are append only'); END;

"""The tables of signed usage and channels; docs/books.md says what each column means."""

from typing import Final

USAGE_TABLES: Final = """
CREATE TABLE signers (
    public_key BLOB PRIMARY KEY,
    role TEXT NOT NULL,
    origin_host TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_until INTEGER,
    revoked_at INTEGER,
    reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE purchases (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    reference TEXT NOT NULL,
    key TEXT NOT NULL
);
CREATE TABLE channels (
    number INTEGER PRIMARY KEY,
    channel_id BLOB NOT NULL UNIQUE,
    amount INTEGER NOT NULL,
    tariff INTEGER NOT NULL,
    per_octets INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    changed_at INTEGER NOT NULL,
    used INTEGER NOT NULL,
    commits INTEGER NOT NULL,
    envelope BLOB
);
CREATE TABLE signed_sessions (
    session_id BLOB PRIMARY KEY,
    gy_session_id BLOB NOT NULL,
    channel INTEGER NOT NULL REFERENCES channels,
    sgw_key BLOB NOT NULL,
    miner_key BLOB NOT NULL,
    state TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    up INTEGER NOT NULL,
    down INTEGER NOT NULL,
    credits INTEGER NOT NULL,
    flags INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX signed_sessions_by_gy ON signed_sessions (gy_session_id);
CREATE TABLE commits (
    leaf INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    group_index INTEGER NOT NULL,
    channel INTEGER NOT NULL REFERENCES channels,
    session_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    report_id BLOB NOT NULL,
    octets INTEGER NOT NULL,
    credits INTEGER NOT NULL,
    flags INTEGER NOT NULL
);
CREATE INDEX commits_by_session ON commits (session_id, seq);
CREATE TABLE refused_reports (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    miner_key BLOB NOT NULL,
    report BLOB NOT NULL
);
CREATE TABLE disputes (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    session_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    first BLOB NOT NULL,
    second BLOB NOT NULL
);
"""

CHANNEL_INDEXES: Final = """
CREATE INDEX commits_by_channel ON commits (channel, leaf);
CREATE INDEX session_inits_by_channel ON commits (channel, leaf) WHERE seq = 0;
"""
"""What the page of a channel reads that was settled long ago: without these it would read all commits there are."""

"""The tables of the books, for people who query them.  docs/books.md says what each column means."""

from typing import Final

from ocs.shell.books.reconciliation_tables import RECONCILIATION_TABLES
from ocs.shell.books.usage_tables import CHANNEL_INDEXES, USAGE_TABLES

SCHEMA_VERSION: Final = 4

CHANNELS_SINCE: Final = 2
"""The first format with keys, channels and reports."""

UPGRADES: Final = {1: USAGE_TABLES, 2: RECONCILIATION_TABLES, 3: CHANNEL_INDEXES}
"""What makes the next format of an older one."""

APPLICATION_ID: Final = 0x4F435342
"""`OCSB`."""

FIRST_TABLES: Final = """
CREATE TABLE progress (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    group_index INTEGER NOT NULL,
    at INTEGER NOT NULL
);
CREATE TABLE operators (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    grant_max INTEGER
);
CREATE TABLE prefixes (
    prefix TEXT PRIMARY KEY,
    operator INTEGER NOT NULL REFERENCES operators
);
CREATE TABLE tariffs (
    number INTEGER PRIMARY KEY,
    operator INTEGER NOT NULL REFERENCES operators,
    rating_group INTEGER,
    apn TEXT,
    price INTEGER NOT NULL,
    per_octets INTEGER NOT NULL,
    since INTEGER NOT NULL
);
CREATE TABLE accounts (
    operator INTEGER PRIMARY KEY REFERENCES operators,
    available INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    consumed INTEGER NOT NULL,
    overrun INTEGER NOT NULL,
    written_off INTEGER NOT NULL,
    funded INTEGER NOT NULL,
    owed INTEGER NOT NULL
);
CREATE TABLE top_ups (
    number INTEGER PRIMARY KEY,
    operator INTEGER NOT NULL REFERENCES operators,
    at INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    kind TEXT NOT NULL,
    reference TEXT NOT NULL,
    key TEXT NOT NULL,
    reversed INTEGER NOT NULL
);
CREATE INDEX top_ups_by_operator ON top_ups (operator, number);
CREATE TABLE reversals (
    number INTEGER PRIMARY KEY,
    top_up INTEGER NOT NULL REFERENCES top_ups,
    at INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE write_offs (
    number INTEGER PRIMARY KEY,
    operator INTEGER NOT NULL REFERENCES operators,
    at INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE peers (
    origin_host TEXT PRIMARY KEY,
    addresses TEXT NOT NULL,
    profile TEXT,
    allowed_at INTEGER NOT NULL
);
CREATE TABLE starts (
    group_index INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    version TEXT NOT NULL
);
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY,
    session_id BLOB NOT NULL,
    operator INTEGER REFERENCES operators,
    imsi TEXT NOT NULL,
    msisdn TEXT NOT NULL,
    apn TEXT NOT NULL,
    context_id TEXT NOT NULL,
    peer TEXT NOT NULL,
    origin_host TEXT NOT NULL,
    state TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    ended_at INTEGER,
    end_cause TEXT,
    termination_cause INTEGER,
    requests INTEGER NOT NULL,
    used INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    overrun INTEGER NOT NULL,
    result_code INTEGER NOT NULL,
    notes INTEGER NOT NULL,
    last_group INTEGER NOT NULL
);
CREATE INDEX sessions_by_id ON sessions (session_id, number);
CREATE INDEX sessions_by_operator ON sessions (operator, number);
CREATE INDEX sessions_by_imsi ON sessions (imsi, number);
CREATE INDEX sessions_alive ON sessions (number) WHERE state <> 'ended';
CREATE TABLE session_services (
    session INTEGER NOT NULL REFERENCES sessions,
    rating_group INTEGER NOT NULL,
    service_ids TEXT NOT NULL,
    tariff INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    used INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    overrun INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    result_code INTEGER NOT NULL,
    PRIMARY KEY (session, rating_group, service_ids)
) WITHOUT ROWID;
CREATE TABLE incidents (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    group_index INTEGER NOT NULL,
    kind TEXT NOT NULL,
    session_id BLOB NOT NULL,
    cc_request_number INTEGER NOT NULL,
    result_code INTEGER NOT NULL,
    octets INTEGER NOT NULL,
    origin_host TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE VIEW cdrs AS
SELECT
    sessions.number AS session,
    CAST(sessions.session_id AS TEXT) AS session_id,
    operators.name AS operator,
    sessions.imsi,
    sessions.msisdn,
    sessions.apn,
    sessions.origin_host,
    strftime('%Y-%m-%dT%H:%M:%S', sessions.began_at / 1000, 'unixepoch') || 'Z' AS began_at,
    strftime('%Y-%m-%dT%H:%M:%S', sessions.ended_at / 1000, 'unixepoch') || 'Z' AS ended_at,
    sessions.state,
    sessions.end_cause,
    nullif(session_services.rating_group, -1) AS rating_group,
    session_services.service_ids,
    session_services.tariff,
    session_services.used AS octets,
    session_services.charged AS credits,
    session_services.overrun AS overrun
FROM session_services
JOIN sessions ON sessions.number = session_services.session
LEFT JOIN operators ON operators.number = sessions.operator;
"""

TABLES: Final = FIRST_TABLES + "".join(UPGRADES.values())

"""The tables of reconciliation, and what other tables need for it; docs/books.md says what each column means."""

from typing import Final

RECONCILIATION_TABLES: Final = """
ALTER TABLE starts ADD COLUMN tolerance INTEGER NOT NULL DEFAULT 1000000;
ALTER TABLE signed_sessions ADD COLUMN session INTEGER REFERENCES sessions;
ALTER TABLE signed_sessions ADD COLUMN signed INTEGER NOT NULL DEFAULT 0;
UPDATE signed_sessions SET signed = up + down;
ALTER TABLE refused_reports ADD COLUMN gy_session_id BLOB;
ALTER TABLE refused_reports ADD COLUMN session_id BLOB;
ALTER TABLE refused_reports ADD COLUMN seq INTEGER;
ALTER TABLE refused_reports ADD COLUMN octets INTEGER;
CREATE INDEX refused_reports_by_session ON refused_reports (session_id, number) WHERE session_id IS NOT NULL;
CREATE INDEX refused_reports_by_gy ON refused_reports (gy_session_id, number) WHERE gy_session_id IS NOT NULL;
CREATE TABLE comparisons (
    session INTEGER PRIMARY KEY REFERENCES sessions,
    operator INTEGER NOT NULL REFERENCES operators,
    day TEXT NOT NULL,
    granted INTEGER NOT NULL,
    used INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    committed INTEGER NOT NULL,
    signed INTEGER NOT NULL,
    refusal TEXT,
    begun INTEGER NOT NULL,
    finals INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    frozen INTEGER NOT NULL,
    running_in INTEGER REFERENCES channels,
    terminated INTEGER NOT NULL,
    ended_at INTEGER,
    waits_for INTEGER NOT NULL,
    due_at INTEGER,
    tolerance INTEGER NOT NULL,
    state TEXT NOT NULL,
    cause TEXT,
    difference INTEGER NOT NULL,
    unexplained INTEGER NOT NULL
);
CREATE INDEX comparisons_by_day ON comparisons (day, operator, session);
CREATE INDEX comparisons_by_operator ON comparisons (operator, session);
CREATE INDEX comparisons_by_state ON comparisons (state, session);
CREATE INDEX comparisons_waiting ON comparisons (session) WHERE due_at IS NULL AND ended_at IS NOT NULL;
CREATE TABLE reconciliation_incidents (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    group_index INTEGER NOT NULL,
    operator INTEGER NOT NULL REFERENCES operators,
    session INTEGER NOT NULL REFERENCES sessions,
    kind TEXT NOT NULL,
    granted INTEGER NOT NULL,
    used INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    signed INTEGER NOT NULL,
    committed INTEGER NOT NULL,
    difference INTEGER NOT NULL,
    unexplained INTEGER NOT NULL,
    tolerance INTEGER NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX reconciliation_incidents_by_session ON reconciliation_incidents (session, number);
CREATE INDEX reconciliation_incidents_by_operator ON reconciliation_incidents (operator, number);
"""

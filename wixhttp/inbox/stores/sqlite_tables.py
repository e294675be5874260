"""The tables of the inbox in SQLite, and the values of their rows.

Jobs that are over are in none of the indexes that claims use: a claim takes as long with many of them as with none.
Of a key only its head waits or runs, which an index holds, too; the others are blocked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from .contract import VERSION, Job
from .job_rows import job_of_row

READY = "wixhttp_inbox INDEXED BY wixhttp_inbox_ready"
KEYS = "wixhttp_inbox INDEXED BY wixhttp_inbox_keys"
HEADS = "wixhttp_inbox INDEXED BY wixhttp_inbox_heads"
RUNNING = "wixhttp_inbox INDEXED BY wixhttp_inbox_running"
ENDED = "wixhttp_inbox INDEXED BY wixhttp_inbox_ended"

TABLES = f"""
CREATE TABLE IF NOT EXISTS wixhttp_inbox_facts (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO wixhttp_inbox_facts VALUES ('version', {VERSION});
CREATE TABLE IF NOT EXISTS wixhttp_inbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
    state TEXT NOT NULL, key TEXT, dedup TEXT, priority INTEGER NOT NULL, attempt INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL, on_dead TEXT NOT NULL, claims INTEGER NOT NULL DEFAULT 0, accepted REAL NOT NULL,
    due REAL NOT NULL, started REAL, ended REAL, owner TEXT, is_relative INTEGER NOT NULL,
    is_over INTEGER NOT NULL DEFAULT 0, error TEXT, result BLOB, payload BLOB NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS wixhttp_inbox_ready ON wixhttp_inbox (name, priority, due, seq) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS wixhttp_inbox_running ON wixhttp_inbox (owner) WHERE state = 'running';
CREATE INDEX IF NOT EXISTS wixhttp_inbox_keys ON wixhttp_inbox (name, key, seq) WHERE key IS NOT NULL AND is_over = 0;
CREATE UNIQUE INDEX IF NOT EXISTS wixhttp_inbox_heads ON wixhttp_inbox (name, key)
    WHERE key IS NOT NULL AND state IN ('waiting', 'running');
CREATE UNIQUE INDEX IF NOT EXISTS wixhttp_inbox_dedup ON wixhttp_inbox (name, dedup) WHERE dedup IS NOT NULL;
CREATE INDEX IF NOT EXISTS wixhttp_inbox_states ON wixhttp_inbox (state, name, seq);
CREATE INDEX IF NOT EXISTS wixhttp_inbox_ended ON wixhttp_inbox (state, ended) WHERE ended IS NOT NULL;
CREATE TABLE IF NOT EXISTS wixhttp_inbox_owners (
    owner TEXT PRIMARY KEY, boot TEXT NOT NULL, lease_until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wixhttp_inbox_watermarks (name TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""

INSERT = f"""
INSERT INTO wixhttp_inbox (token, name, kind, state, key, dedup, priority, max_attempts, on_dead, accepted, due,
    is_relative, payload, body)
VALUES (:token, :name, :kind,
    CASE WHEN EXISTS (SELECT 1 FROM {KEYS} WHERE name = :name AND key = :key AND key IS NOT NULL AND is_over = 0)
        THEN 'blocked' ELSE 'waiting' END,
    :key, :dedup, :priority, :max_attempts, :on_dead, :now, :due, :is_relative, :payload, :body)
ON CONFLICT (name, dedup) WHERE dedup IS NOT NULL DO NOTHING RETURNING seq
"""

LEVELS = f"""
WITH RECURSIVE levels (name, priority) AS (
    SELECT value, (SELECT priority FROM {READY} WHERE state = 'waiting' AND name = value ORDER BY priority DESC LIMIT 1)
        FROM json_each(?)
    UNION ALL
    SELECT levels.name, (SELECT job.priority FROM wixhttp_inbox AS job INDEXED BY wixhttp_inbox_ready
            WHERE job.state = 'waiting' AND job.name = levels.name AND job.priority < levels.priority
            ORDER BY job.priority DESC LIMIT 1)
        FROM levels WHERE levels.priority IS NOT NULL)
SELECT name, priority FROM levels WHERE priority IS NOT NULL ORDER BY priority DESC
"""
"""The names, of those that are given as JSON, and the priorities of the jobs that wait."""

PROMOTE = f"""
UPDATE wixhttp_inbox SET state = 'waiting'
WHERE state = 'blocked'
    AND seq = (SELECT min(seq) FROM {KEYS} WHERE name = :name AND key = :key AND key IS NOT NULL AND is_over = 0)
    AND NOT EXISTS (SELECT 1 FROM {HEADS}
        WHERE name = :name AND key = :key AND key IS NOT NULL AND state IN ('waiting', 'running'))
"""
"""Let the first of the jobs of a key that are not over wait, unless one does, or runs, or the first holds the key."""


def job_of(row: Sequence[Any]) -> Job:
    """The job of a row of `COLUMNS`."""
    return job_of_row(row, date_of)


def date_of(seconds: float) -> datetime:
    """The date in UTC of seconds since 1970."""
    return datetime.fromtimestamp(seconds, timezone.utc)

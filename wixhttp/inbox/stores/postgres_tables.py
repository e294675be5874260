"""The tables of the inbox in PostgreSQL, and the values of their rows; see `sqlite_tables`.

All times are those of the server's clock. Of a key, accepting a job and ending one take turns, by an advisory lock.

The planner goes by estimates, which are far off in a table where jobs wait in crowds and vanish: what is to be found by
an index is asked for in that index's order, which no other way gives. ``place`` is ``seq`` again for that: by the
primary key one would walk through all jobs that are over. ``lane`` is a name and a key in one column, since the planner
believes an index of one column only that it is unique.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from .contract import VERSION, Job
from .job_rows import COLUMNS, job_of_row

_TEXT = 'text COLLATE "C"'

TABLES = f"""
CREATE TABLE IF NOT EXISTS wixhttp_inbox (
    seq bigserial PRIMARY KEY, token text NOT NULL, name {_TEXT} NOT NULL, kind text NOT NULL, state text NOT NULL,
    key {_TEXT}, dedup {_TEXT}, priority integer NOT NULL, attempt integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL, on_dead text NOT NULL, claims integer NOT NULL DEFAULT 0,
    accepted timestamptz NOT NULL, due timestamptz NOT NULL, started timestamptz, ended timestamptz, owner text,
    is_over boolean NOT NULL DEFAULT FALSE, error text, result bytea, payload bytea NOT NULL, body bytea NOT NULL,
    place bigint GENERATED ALWAYS AS (seq) STORED, lane {_TEXT} GENERATED ALWAYS AS (name || chr(10) || key) STORED);
CREATE INDEX IF NOT EXISTS wixhttp_inbox_ready ON wixhttp_inbox (name, priority, due, seq) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS wixhttp_inbox_running ON wixhttp_inbox (owner) WHERE state = 'running';
CREATE INDEX IF NOT EXISTS wixhttp_inbox_keys ON wixhttp_inbox (lane, place) WHERE lane IS NOT NULL AND NOT is_over;
CREATE UNIQUE INDEX IF NOT EXISTS wixhttp_inbox_heads ON wixhttp_inbox (lane)
    WHERE lane IS NOT NULL AND state IN ('waiting', 'running');
CREATE UNIQUE INDEX IF NOT EXISTS wixhttp_inbox_dedup ON wixhttp_inbox (name, dedup) WHERE dedup IS NOT NULL;
CREATE INDEX IF NOT EXISTS wixhttp_inbox_states ON wixhttp_inbox (state, name, seq);
CREATE INDEX IF NOT EXISTS wixhttp_inbox_ended ON wixhttp_inbox (state, ended) WHERE ended IS NOT NULL;
CREATE TABLE IF NOT EXISTS wixhttp_inbox_owners (owner text PRIMARY KEY, lease_until timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS wixhttp_inbox_watermarks (name text PRIMARY KEY, at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS wixhttp_inbox_facts (name text PRIMARY KEY, value integer NOT NULL);
INSERT INTO wixhttp_inbox_facts VALUES ('version', {VERSION}) ON CONFLICT DO NOTHING;
"""

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 20090))"
"""The lock of a lane until the transaction ends. 20090 tells it from others' locks."""

INSERT = """
INSERT INTO wixhttp_inbox (token, name, kind, state, key, dedup, priority, max_attempts, on_dead, accepted, due,
    payload, body)
SELECT $1::text, $2::text, $3::text,
    CASE WHEN (SELECT place FROM wixhttp_inbox
            WHERE lane = $2::text || chr(10) || $4::text AND lane IS NOT NULL AND NOT is_over
            ORDER BY place LIMIT 1) IS NULL
        THEN 'waiting' ELSE 'blocked' END,
    $4::text, $5::text, $6::integer, $7::integer, $8::text, now.now,
    CASE WHEN $9::timestamptz IS NULL THEN now.now + make_interval(secs => $10::double precision)
        ELSE $9::timestamptz END,
    $11::bytea, $12::bytea
FROM (SELECT clock_timestamp() AS now) AS now
ON CONFLICT (name, dedup) WHERE dedup IS NOT NULL DO NOTHING RETURNING seq
"""

LEVELS = """
levels (name, priority) AS (
    SELECT known.name, (SELECT priority FROM wixhttp_inbox AS job
            WHERE job.state = 'waiting' AND job.name = known.name ORDER BY priority DESC LIMIT 1)
        FROM unnest($1::text[]) AS known (name)
    UNION ALL
    SELECT levels.name, (SELECT job.priority FROM wixhttp_inbox AS job
            WHERE job.state = 'waiting' AND job.name = levels.name AND job.priority < levels.priority
            ORDER BY job.priority DESC LIMIT 1)
        FROM levels WHERE levels.priority IS NOT NULL)
"""
"""The names, of those that are given, and the priorities of the jobs that wait."""

DUE = f"""
WITH RECURSIVE {LEVELS}
SELECT due.seq FROM levels CROSS JOIN LATERAL (
    SELECT job.seq, job.due FROM wixhttp_inbox AS job
    WHERE job.state = 'waiting' AND job.name = levels.name AND job.priority = levels.priority
        AND job.due <= statement_timestamp()
    ORDER BY job.due, job.seq LIMIT $2::integer FOR UPDATE SKIP LOCKED) AS due
WHERE levels.priority IS NOT NULL ORDER BY levels.priority DESC, due.due, due.seq LIMIT $2::integer
"""
"""The first jobs that are due, locked; what others are locking is left out."""

CLAIM = f"""
UPDATE wixhttp_inbox SET state = 'running', owner = $2::text, attempt = attempt + 1, claims = claims + 1,
    started = clock_timestamp()
WHERE seq = ANY($1::bigint[]) RETURNING {COLUMNS}
"""
"""Start jobs that `DUE` gave in the same transaction."""

IS_DUE = f"""
WITH RECURSIVE {LEVELS}
SELECT EXISTS (SELECT 1 FROM levels CROSS JOIN LATERAL (
    SELECT 1 FROM wixhttp_inbox AS job
    WHERE job.state = 'waiting' AND job.name = levels.name AND job.priority = levels.priority
        AND job.due <= statement_timestamp()
    ORDER BY job.due, job.seq LIMIT 1) AS due WHERE levels.priority IS NOT NULL)
"""

FIRST_DUE = f"""
WITH RECURSIVE {LEVELS}
SELECT extract(epoch FROM min(due.due) - clock_timestamp())::double precision
FROM levels CROSS JOIN LATERAL (
    SELECT job.due FROM wixhttp_inbox AS job
    WHERE job.state = 'waiting' AND job.name = levels.name AND job.priority = levels.priority
    ORDER BY job.due LIMIT 1) AS due WHERE levels.priority IS NOT NULL
"""
"""Seconds until the first of the jobs that wait is due; negative: for so many it has been."""

WAITING_NAMES = """
WITH RECURSIVE names (name) AS (
    (SELECT name FROM wixhttp_inbox WHERE state = 'waiting' ORDER BY name LIMIT 1)
    UNION ALL
    SELECT (SELECT job.name FROM wixhttp_inbox AS job WHERE job.state = 'waiting' AND job.name > names.name
            ORDER BY job.name LIMIT 1)
        FROM names WHERE names.name IS NOT NULL)
SELECT name FROM names WHERE name IS NOT NULL
"""

PROMOTE = """
UPDATE wixhttp_inbox SET state = 'waiting'
WHERE state = 'blocked'
    AND seq = (SELECT place FROM wixhttp_inbox
        WHERE lane = $1::text AND lane IS NOT NULL AND NOT is_over ORDER BY place LIMIT 1)
    AND NOT EXISTS (SELECT 1 FROM wixhttp_inbox
        WHERE lane = $1::text AND lane IS NOT NULL AND state IN ('waiting', 'running'))
"""
"""Let the first of the jobs of a key that are not over wait, unless one does, or runs, or the first holds the key."""


def lane_of(name: str, key: str) -> str:
    """The lane of a name and a key."""
    return f"{name}\n{key}"


def job_of(row: Sequence[Any]) -> Job:
    """The job of a row of `COLUMNS`."""
    return job_of_row(row, _date)


def _date(value: datetime) -> datetime:
    return value.astimezone(timezone.utc)

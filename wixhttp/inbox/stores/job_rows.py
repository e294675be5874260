"""The columns of a job, which all databases name alike, and the job of a row of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from .contract import Job
from .job_ids import JobId

COLUMNS = (
    "seq, token, name, kind, state, key, dedup, priority, attempt, max_attempts, on_dead, claims, payload, body,"
    " accepted, due, started, ended, owner, error, result"
)


def job_of_row(row: Sequence[Any], date_of: Callable[[Any], datetime]) -> Job:
    """The job of a row of `COLUMNS`; ``date_of`` gives the date in UTC of a time as the database has it."""
    (seq, token, name, kind, state, key, dedup, priority, attempt, most, on_dead, claims, payload, body, *rest) = row
    accepted, due, started, ended, owner, error, result = rest
    return Job(
        id=str(JobId(seq, token)),
        seq=seq,
        name=name,
        kind=kind,
        state=state,
        key=key,
        dedup=dedup,
        priority=priority,
        attempt=attempt,
        max_attempts=most,
        on_dead=on_dead,
        claims=claims,
        payload=payload,
        body=body,
        accepted_at=date_of(accepted),
        run_at=date_of(due),
        started_at=None if started is None else date_of(started),
        ended_at=None if ended is None else date_of(ended),
        owner=owner,
        error=error,
        result=result,
    )

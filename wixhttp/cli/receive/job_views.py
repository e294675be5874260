"""Scheduled functions as ``wixhttp jobs list`` prints them: a table, or JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import click

from wixhttp.data.queries.values import format_date
from wixhttp.http.json_codec import json_or_text
from wixhttp.inbox.schedules.loading import ScheduledFunction
from wixhttp.inbox.schedules.schedule import Schedule
from wixhttp.inbox.schedules.scheduler import last_run
from wixhttp.inbox.stores.contract import Inbox, Job

from .listings import cell, print_json, print_table

_COLUMNS = ("NAME", "SCHEDULE", "ZONE", "NEXT", "LAST RUN", "RESULT")


def last_runs(inbox: Inbox, functions: Iterable[ScheduledFunction]) -> dict[str, Job]:
    """The last job of each function that was begun, by the function's name."""
    found = {function.name: last_run(inbox, function) for function in functions}
    return {name: job for name, job in found.items() if job is not None}


def print_schedules(functions: Sequence[ScheduledFunction], runs: Mapping[str, Job], *, as_json: bool) -> None:
    """Print functions with their schedules and last runs."""
    now = datetime.now(timezone.utc)
    if as_json:
        for function in functions:
            print_json(_document(function, runs.get(function.name), now))
        return
    if not functions:
        click.echo("nothing is scheduled")
        return
    rows = [
        [
            cell(text)
            for text in (
                function.name,
                schedule.expression,
                schedule.zone,
                _next(schedule, now),
                *_last(runs.get(function.name)),
            )
        ]
        for function in functions
        for schedule in function.schedules
    ]
    print_table(_COLUMNS, rows, lambda row: "red" if row[-1].startswith("dead") else None)


def _next(schedule: Schedule, now: datetime) -> str:
    due = schedule.next(now)
    return "" if due is None else due.astimezone(schedule.timezone).strftime("%Y-%m-%d %H:%M %z")


def _last(job: Job | None) -> tuple[str, str]:
    """The time and the result of a run."""
    if job is None or job.started_at is None:
        return "", ""
    told = job.why if job.state == "dead" or (job.state == "waiting" and job.error) else None
    state = f"failed, attempt {job.attempt} of {job.max_attempts}" if job.state == "waiting" else job.state
    return job.started_at.strftime("%Y-%m-%d %H:%M %z"), state + (f": {told}" if told else "")


def _document(function: ScheduledFunction, job: Job | None, now: datetime) -> dict[str, Any]:
    return {
        "name": function.name,
        "place": function.place,
        "description": function.description,
        "schedules": [
            {
                "expression": each.expression,
                "zone": each.zone,
                "missed": each.missed,
                "explanation": each.explanation,
                "next": _date(each.next(now)),
            }
            for each in function.schedules
        ],
        "last": None if job is None else _run(job),
    }


def _run(job: Job) -> dict[str, Any]:
    return {
        "id": job.id, "due": (job.dedup or "").removeprefix(f"cron:{job.name}:").replace("+00:00", "Z"),
        "state": job.state, "attempt": job.attempt, "started": _date(job.started_at), "ended": _date(job.ended_at),
        "error": job.error, "result": json_or_text(job.result),
    }  # fmt: skip


def _date(date: datetime | None) -> str | None:
    return None if date is None else format_date(date)

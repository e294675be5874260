"""Deferred functions and jobs as ``wixhttp inbox`` prints them: tables, or JSON for programs, secrets masked."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from wixhttp.data.queries.values import format_date
from wixhttp.http.json_codec import json_or_text
from wixhttp.inbox.stored_request import CREDENTIALS
from wixhttp.logs.masking import escaped, masked

from .listings import cell, print_json, print_table

if TYPE_CHECKING:
    from wixhttp.inbox.stores.contract import Job

_COLUMNS = ("ID", "STATE", "NAME", "ATTEMPT", "ACCEPTED", "DUE", "KEY", "LAST ERROR")
_COLOURS = {"dead": "red", "running": "green", "blocked": "yellow"}
_MASK = "***"


def print_jobs(jobs: Sequence[Job], known: Collection[str] | None, *, as_json: bool) -> None:
    """Print jobs, one a line. ``known`` are the names that the project has; ``None``: nobody knows."""
    if as_json:
        for job in jobs:
            print_json({**_facts(job), **({} if known is None else {"known": job.name in known})})
        return
    rows = [
        [
            job.id,
            job.state,
            cell(job.name) + ("" if known is None or job.name in known else " (unknown)"),
            f"{job.attempt}/{job.max_attempts}",
            _short(job.accepted_at),
            _short(job.run_at) if job.state == "waiting" else "",
            cell(job.key or ""),
            cell(job.why or ""),
        ]
        for job in jobs
    ]
    if rows:
        print_table(_COLUMNS, rows, lambda row: _COLOURS.get(row[1]))
    else:
        click.echo("nothing is there")


def print_unknown(unknown: Mapping[str, int]) -> None:
    """Warn of names that wait, and that nothing of the project runs."""
    for name, count in sorted(unknown.items()):
        click.secho(
            f"Warning: {count} of {cell(name)} wait, and no function of the project has that name; deploy one, or "
            f"cancel them",
            fg="yellow",
            err=True,
        )


def print_job(job: Job, *, as_json: bool) -> None:
    """Print one job with all that is known of it."""
    document = {**_facts(job), **_content(job)}
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        if value is None:
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        lines = masked(text).split("\n")
        click.echo(f"{name + ':':<14} {escaped(lines[0])}")
        for line in lines[1:]:
            click.echo(f"{'':<14} {escaped(line)}")


def _facts(job: Job) -> dict[str, Any]:
    return {
        "id": job.id, "state": job.state, "name": job.name, "kind": job.kind, "key": job.key, "dedup": job.dedup,
        "priority": job.priority, "attempt": job.attempt, "maxAttempts": job.max_attempts, "onDead": job.on_dead,
        "accepted": _date(job.accepted_at), "due": _date(job.run_at), "started": _date(job.started_at),
        "ended": _date(job.ended_at), "error": job.error, "result": json_or_text(job.result),
    }  # fmt: skip


def _content(job: Job) -> dict[str, Any]:
    """The arguments of a job, or the request of a deferred function."""
    document = json_or_text(job.payload)
    if job.kind == "job" or not isinstance(document, dict):
        return document if isinstance(document, dict) else {"payload": document}
    document["headers"] = {
        name: _MASK if name.lower() in CREDENTIALS else value for name, value in document.get("headers", ())
    }
    try:
        document["body"] = job.body.decode()
    except UnicodeDecodeError:
        document["bodyBase64"] = base64.b64encode(job.body).decode()
    return {"request": document}


def _date(date: datetime | None) -> str | None:
    return None if date is None else format_date(date)


def _short(date: datetime) -> str:
    return date.strftime("%Y-%m-%d %H:%M:%S")

"""The deferred functions and jobs that wait in a test, run at once in its process."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NamedTuple

from wixhttp.dispatch.app import App
from wixhttp.errors import HTTPError
from wixhttp.inbox.outcomes import Dead, Retry
from wixhttp.inbox.runs import Run
from wixhttp.inbox.service import jobs_of
from wixhttp.inbox.stores.contract import Again, Inbox

_MOST = 1000  # runs, after which something enqueues itself


class DeferredRun(NamedTuple):
    """One run of a deferred function or job. ``state`` is the one behind it: ``"done"``, ``"waiting"`` for the next
    attempt, or ``"dead"``; ``error`` is why, ``None`` where it is done."""

    id: str
    name: str
    attempt: int
    state: str
    error: str | None


def run_waiting(app: App, *, delayed: bool, retries: bool, raises: bool) -> list[DeferredRun]:
    """Run what waits in the current inbox; see `TestClient.run_deferred`."""
    service = jobs_of(app.site)
    if service is None:
        raise LookupError("the project has neither @deferred functions nor jobs, so there is nothing to run")
    inbox = service.inbox()
    runs: list[DeferredRun] = []
    while True:
        if delayed:
            _make_due(inbox)
        jobs = inbox.claim(service.table.names, 1)
        if not jobs:
            return runs
        (job,) = jobs
        entry = service.table.get(job.name)
        assert entry is not None  # noqa: S101  # its name was asked for
        run = Run(job, entry)
        outcome = run.perform()
        inbox.finish(job, Again(0.0, outcome.error) if retries and isinstance(outcome, Again) else outcome)
        if raises and run.error is not None and not isinstance(run.error, HTTPError | Retry | Dead):
            raise run.error
        after = inbox.get(job.id)
        assert after is not None  # noqa: S101  # it was stored a moment ago
        runs.append(DeferredRun(job.id, job.name, job.attempt, after.state, after.error))
        if len(runs) == _MOST:
            raise RecursionError(
                f"{_MOST} deferred functions and jobs have run, and more wait: {job.name} enqueues itself"
            )


def _make_due(inbox: Inbox) -> None:
    """Let those that have never run, and wait for a later time, be due now."""
    now = datetime.now(timezone.utc)
    later = [job.id for job in inbox.list(state="waiting", limit=_MOST) if job.run_at > now and not job.attempt]
    if later:
        inbox.cancel(later)
        inbox.retry(later)

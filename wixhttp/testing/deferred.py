"""The deferred functions and jobs that wait in a test, run at once in its process."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable, Collection
from datetime import datetime, timezone
from typing import Any, NamedTuple

from wixhttp.concurrency.event_loop import background
from wixhttp.dispatch.app import App
from wixhttp.errors import HTTPError
from wixhttp.inbox.opened import current_inbox
from wixhttp.inbox.outcomes import Dead, Retry
from wixhttp.inbox.runs import Run
from wixhttp.inbox.schedules.loading import ScheduledFunction, load_schedules
from wixhttp.inbox.service import jobs_of
from wixhttp.inbox.stores.contract import Again, Inbox
from wixhttp.messages import nearest
from wixhttp.public_calls import named

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
    inbox = current_inbox()
    runs: list[DeferredRun] = []
    while True:
        if delayed:
            _make_due(inbox)
        jobs = inbox.claim(service.table.names, 1)
        if not jobs:
            _refuse_unknown(inbox, service.table.names)
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
        runs.append(DeferredRun(job.id, job.name, job.attempt, after.state, after.why))
        if len(runs) == _MOST:
            raise RecursionError(
                f"{_MOST} deferred functions and jobs have run, and more wait: {job.name} enqueues itself"
            )


def _refuse_unknown(inbox: Inbox, names: Collection[str]) -> None:
    """Refuse to leave those that nothing in the project would ever run: their names are misspelt."""
    for name in inbox.unknown_names(names):
        known = nearest(name, names) if names else "it has none"
        raise LookupError(f"a job named {name!r} waits, and the project has none of that name; {known}")


def run_scheduled(app: App, which: str | Callable[..., Any], at: datetime | None) -> Any:
    """Run a scheduled function; see `TestClient.run_scheduled`."""
    function = _scheduled(app, which)
    if at is not None and (not isinstance(at, datetime) or at.utcoffset() is None):
        raise TypeError(f"at is a datetime with a time zone, not {at!r}; write datetime(..., tzinfo=timezone.utc)")
    occurrence = None if at is None else at.isoformat()
    if not function.is_async:
        value = contextvars.copy_context().run(function.call, occurrence)
        if not inspect.isawaitable(value):
            return value

    async def awaited() -> Any:
        return await (function.call(occurrence) if function.is_async else value)

    result, error = background.run(awaited)
    if error is not None:
        raise error
    return result


def _scheduled(app: App, which: str | Callable[..., Any]) -> ScheduledFunction:
    """The scheduled function of that name, or that is the function itself."""
    config = app.config
    known = {each.name: each for each in load_schedules(config.root, config.import_timeout)}
    found = [each for each in known.values() if which in (each.name, each.function)]
    if not found:
        what = repr(which) if isinstance(which, str) else named(which)
        hint = nearest(str(getattr(which, "__name__", which)), known) if known else "the project has none"
        raise LookupError(f"{what} is no scheduled function of the project; {hint}")
    return found[0]


def _make_due(inbox: Inbox) -> None:
    """Let those that have never run, and wait for a later time, be due now."""
    now = datetime.now(timezone.utc)
    later = [job.id for job in inbox.list(state="waiting", limit=_MOST) if job.run_at > now and not job.attempt]
    if later:
        inbox.cancel(later)
        inbox.retry(later)

"""The public functions that store jobs: `enqueue`, and `job_call` for a job in one commit with a collection's write."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wixhttp.concurrency.service_threads import is_awaited
from wixhttp.context import current_request
from wixhttp.data.stores.contract import Transaction
from wixhttp.measurements import counted
from wixhttp.messages import nearest
from wixhttp.public_calls import is_function
from wixhttp.public_calls import named as described

from .arguments import NotTaken, check_taken, job_payload
from .declarations import JOB, check_name
from .keys import key_text
from .opened import current_inbox
from .options import JobOptions, parse_priority
from .outcomes import seconds_of
from .process_jobs import ProcessJobs, noted_jobs
from .stores.contract import NewJob

_KEYWORDS = ("at", "dedup", "delay", "key", "priority")

logger = logging.getLogger("wixhttp")


class JobCall:
    """A job for the option ``enqueue`` of a write, made by `job_call`. ``id`` is the job's, once the write has
    returned; ``None`` where it wrote nothing, and so stored none."""

    def __init__(self, new_job: NewJob) -> None:
        self._name = new_job.name
        self.order = new_job.lane or ""
        self._jobs = noted_jobs()
        limit = None if self._jobs is None else self._jobs.limit
        self._accepting = current_inbox().accepting([new_job], limit=limit)
        self.id: str | None = None

    def add_to(self, transaction: Transaction) -> None:
        """Store the job. It is called again where the transaction is.

        Raises:
            InboxFull: there are as many as the setting ``inbox_limit`` says.
        """
        self._accepting.add_to(transaction)

    def after_commit(self) -> None:
        """Learn that what `add_to` did the last time is on disk."""
        ((self.id, is_new),) = self._accepting.accepted
        _note_accepted(self._name, self._jobs, is_new=is_new)


def _note_accepted(name: str, jobs: ProcessJobs | None, *, is_new: bool) -> None:
    """Count a job that was stored, and have this process look for it."""
    is_known = jobs is not None and jobs.table.get(name) is not None
    # Names that nobody declares are one in metrics: there may be any number of them.
    counted("job_accepted", name=name if is_known else "unknown", result="new" if is_new else "repeated")
    if is_new and jobs is not None:
        jobs.wake()


def enqueue(
    name: str | Callable[..., Any],
    /,
    *arguments: Any,
    key: str | int | None = None,
    dedup: str | int | None = None,
    delay: float | None = None,
    at: datetime | None = None,
    priority: int | None = None,
    **unknown: Any,
) -> Any:
    """Have a job run later, by any process of the site: ``enqueue("send-mail", order["_id"])``. The id of the job.

    It returns once the job is on disk. In an ``async def`` it is awaited, and begins when it is called. ``name`` is
    that of ``@job``, or the function itself. ``arguments`` are what JSON has, at most 1 MiB of it.

    ``key``: the jobs of one name and key run one after the other, in this order. ``dedup``: a job of that name with
    this value is stored only once in seven days; a repeat gives the id of the first. ``delay``: not before so many
    seconds have passed; ``at``: not before that moment, a datetime with a time zone. ``priority``: -100 to 100, the
    highest first; that of the ``@job`` unless given.

    A name that this process does not know is stored too, with a warning in the log: during a deploy the new code may
    enqueue what only other processes know already. It waits until one does.

    Raises:
        TypeError: an argument is none that JSON has, the job does not take them, or a keyword is unknown.
        ValueError: a value is out of range.
        StoreUnavailable: it cannot be stored now, or there are as many as the setting ``inbox_limit`` says; uncaught it
            is answered 503.
    """
    new_job = _new_job("enqueue", name, arguments, _Keywords(key, dedup, delay, at, priority), unknown)
    jobs = noted_jobs()

    def store() -> str:
        ((job_id, is_new),) = current_inbox().accept([new_job], limit=None if jobs is None else jobs.limit)
        _note_accepted(new_job.name, jobs, is_new=is_new)
        return job_id

    if not is_awaited():
        return store()
    from wixhttp.data.awaited_calls import begin  # on the threads of awaited calls on collections

    return begin("enqueue(...)", store)


def job_call(
    name: str | Callable[..., Any],
    /,
    *arguments: Any,
    key: str | int | None = None,
    dedup: str | int | None = None,
    delay: float | None = None,
    at: datetime | None = None,
    priority: int | None = None,
    **unknown: Any,
) -> JobCall:
    """A job for the option ``enqueue`` of a write, to be stored in one commit with it, or not at all::

        wix_data.insert("orders", order, enqueue=job_call("send-mail", order["_id"]))

    Arguments and errors are those of `enqueue`.
    """
    return JobCall(_new_job("job_call", name, arguments, _Keywords(key, dedup, delay, at, priority), unknown))


@dataclass(frozen=True, slots=True)
class _Keywords:
    """The keywords of `enqueue`, as they are given."""

    key: Any
    dedup: Any
    delay: Any
    at: Any
    priority: Any


def _new_job(called: str, name: Any, arguments: Sequence[Any], given: _Keywords, unknown: dict[str, Any]) -> NewJob:
    if unknown:
        first = next(iter(unknown))
        hint = nearest(first, _KEYWORDS)
        raise TypeError(
            f"{called}() has no keyword {first!r}; {hint}{'' if hint[-1] == '?' else '.'} What the job takes by name "
            f'goes into a dict: {called}(name, {{"{first}": ...}})'
        )
    named, options, target = _named(called, name)
    if target is not None:
        try:
            check_taken(named, target, arguments)
        except NotTaken as error:
            raise TypeError(f"{called}: {error}") from None
    if given.delay is not None and given.at is not None:
        raise TypeError(f"{called}() takes one of delay and at, not both")
    delay = 0.0 if given.delay is None else seconds_of(given.delay, f"{called}: delay")
    if given.at is not None and (not isinstance(given.at, datetime) or given.at.utcoffset() is None):
        raise TypeError(
            f"{called}: at is a datetime with a time zone, not {given.at!r}; write datetime(..., tzinfo=timezone.utc)"
        )
    return NewJob(
        named,
        "job",
        job_payload(arguments, getattr(current_request.get(), "request_id", "")),
        key=key_text(given.key, f"{called}: key"),
        dedup=key_text(given.dedup, f"{called}: dedup"),
        delay=delay,
        at=given.at,
        priority=options.priority if given.priority is None else parse_priority(called, given.priority),
        max_attempts=options.attempts,
        on_dead=options.on_dead,
    )


def _named(called: str, name: Any) -> tuple[str, JobOptions, Callable[..., Any] | None]:
    """The name, the options and the function of a job that is named, or given as its function; ``None``: a function
    that this process does not know.

    Raises:
        TypeError: it is neither.
        ValueError: it is the name of a function that takes requests.
    """
    declaration = None if isinstance(name, str) else getattr(name, JOB, None)
    if declaration is not None:
        return declaration.name, declaration.options, name
    if not isinstance(name, str):
        what = f"{getattr(name, '__name__', name)!r}, which has no @job" if is_function(name) else described(name)
        raise TypeError(f"{called}() takes the name of a job, or its function, not {what}")
    check_name(called, name)
    jobs = noted_jobs()
    entry = None if jobs is None else jobs.table.get(name)
    if entry is None:
        if jobs is not None:
            known = [each.name for each in jobs.table if each.kind == "job"]
            hint = nearest(name, known) if known else "the project has no @job"
            logger.warning(
                "%s(%r): this process knows no such job, and it waits for one that does; %s", called, name, hint
            )
        return name, JobOptions(), None
    if entry.kind == "deferred":
        raise ValueError(f"{called}: {name!r} is a deferred function, which takes requests; name a @job")
    return name, entry.options, entry.target

"""One run of a deferred function or job, and its outcome: what it returned or raised decides what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from wixhttp.concurrency.event_loop import background, value_or_error
from wixhttp.context import current_request
from wixhttp.dispatch.timeouts import thread_deadlines
from wixhttp.errors import HTTPError
from wixhttp.http.encoding import as_stream, close_stream, is_async_stream
from wixhttp.http.json_codec import encode_json
from wixhttp.http.request_head import PlainHead
from wixhttp.http.response import Response
from wixhttp.logs.captured_prints import flush_prints
from wixhttp.logs.tracebacks import format_exception, summary_of
from wixhttp.measurements import counted

from .arguments import NotTaken, read_payload
from .job_table import JobEntry
from .outcomes import Dead, Retry
from .stored_request import head_of
from .stores.contract import Again, Done, Failed, GivenBack, Job, Outcome
from .stores.lifecycle import final_outcome

_LONGEST_RESULT = 10_000  # bytes of what a job returns, as JSON

logger = logging.getLogger("wixhttp")


class Run:
    """One run of a job, on the thread that calls it; what is awaited runs on ``loop``, ``None`` for the process's own.

    ``is_over`` once it has an outcome; ``error`` is what the function raised, if it did.
    """

    def __init__(self, job: Job, entry: JobEntry, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.job = job
        self.entry = entry
        self.loop = loop
        self.is_over = False
        self.is_stopped = False
        self.error: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Cancel what is awaited, as the process stops; nothing stops a ``def``."""
        with self._lock:
            self.is_stopped = True
            task = self._task
        if task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                task.get_loop().call_soon_threadsafe(task.cancel)

    def perform(self) -> Outcome:
        """Run the function, and return what becomes of the job. What went wrong is logged."""
        job, entry = self.job, self.entry
        context = contextvars.copy_context()
        try:
            document = read_payload(job.payload)
            head = head_of(job, document)
        except Exception as error:  # the row is damaged
            logger.exception("%s %s cannot be read, and is dead", entry.name, job.id)
            return Failed(f"it cannot be read: {summary_of(error)}")
        context.run(current_request.set, head)
        head.deadline = entry.timeout and time.monotonic() + entry.timeout
        try:
            outcome = context.run(self._outcome, *self._call(head, context))
        finally:
            flush_prints()
            head.deadline = 0.0  # what it left behind, a task, has time
            self.is_over = True
        counted("job_run", name=entry.name, outcome=type(final_outcome(job, outcome)).__name__.lower())
        return outcome

    # --- the call ---

    def _call(self, head: PlainHead, context: contextvars.Context) -> tuple[Any, BaseException | None]:
        """The value that the function returned, its stream drained, and ``None``; or ``None`` and what was raised."""
        entry = self.entry

        def start() -> Any:
            return entry.start(self.job, head)

        if entry.is_async:
            return self._await(start, context)
        if entry.timeout:
            thread_deadlines.add(self, time.monotonic() + entry.timeout, self._report_overdue, context.copy())
        try:
            value = context.run(start)
            if value.__class__ is not Response and isinstance(value, Awaitable):
                return self._await(lambda: value, context)
            stream = _stream_of(value)
            if stream is not None and is_async_stream(stream):
                return self._await(lambda: _drained(value), context)
            if stream is not None:
                try:
                    context.run(_drain, stream)
                finally:
                    context.run(close_stream, stream)
            return value, None
        except BaseException as error:  # noqa: BLE001  # SystemExit too: it ends the run, and nothing else
            return None, error
        finally:
            thread_deadlines.discard(self)

    def _await(self, start: Callable[[], Any], context: contextvars.Context) -> tuple[Any, BaseException | None]:
        """As `_call`, on the event loop: it is cancelled when its time is over, and has ended when this returns."""

        async def run() -> tuple[Any, BaseException | None]:
            with self._lock:
                self._task = asyncio.current_task()
                if self.is_stopped:
                    return None, asyncio.CancelledError()
            try:
                return await asyncio.wait_for(
                    value_or_error(lambda: _ended(start()), context), self.entry.timeout or None
                )
            except asyncio.TimeoutError:
                return None, _Overdue()
            except asyncio.CancelledError as error:
                return None, error

        result, error = background.run(run, 0, self.loop, contextvars.Context())
        return result if error is None else (None, error)

    def _report_overdue(self, context: contextvars.Context) -> None:
        text = "%s %s runs past its timeout of %g seconds; nothing stops a def, and its place is taken until it ends"
        context.run(logger.error, text, self.entry.name, self.job.id, self.entry.timeout)

    # --- the outcome ---

    def _outcome(self, value: Any, error: BaseException | None) -> Outcome:
        self.error = error
        if error is None:
            return self._of_value(value)
        if isinstance(error, asyncio.CancelledError) and self.is_stopped:
            logger.warning("%s was given back: the process stops", self._said)
            return GivenBack("it was cancelled: its process stopped")
        if isinstance(error, Retry):
            return self._again(str(error), error.after, is_error=False)
        if isinstance(error, Dead):
            return self._dead(str(error))
        if isinstance(error, _Overdue):
            return self._again(f"it ran past its timeout of {self.entry.timeout:g} seconds, and was cancelled")
        if isinstance(error, NotTaken):  # of other code, which other processes have during a deploy
            return self._again(str(error))
        if isinstance(error, HTTPError):
            reason = f"{error.status}: {error.reason or error.detail}"
            return self._dead(reason) if error.status < 500 else self._again(reason, cause=error)
        return self._again(f"it raised {summary_of(error)}", cause=error)

    def _of_value(self, value: Any) -> Outcome:
        status = value.status if isinstance(value, Response) else None
        if isinstance(value, Mapping) and isinstance(value.get("status"), int):
            status = value["status"]
        if status is not None and status >= 400:
            reason = f"it answered {status}"
            return self._dead(reason) if status < 500 else self._again(reason)
        logger.info("%s is done", self._said)
        if self.entry.kind == "deferred" or isinstance(value, Response):
            return Done(None if status is None else json.dumps({"status": int(status)}).encode())
        return Done(_kept(value))

    @property
    def _said(self) -> str:
        return f"{self.entry.name} {self.job.id}, attempt {self.job.attempt} of {self.job.max_attempts},"

    def _again(
        self, why: str, after: float | None = None, *, is_error: bool = True, cause: BaseException | None = None
    ) -> Outcome:
        job = self.job
        delay = self.entry.options.pause(job.attempt) if after is None else after
        is_last = job.attempt >= job.max_attempts
        then = "it is dead" if is_last else f"again in {delay:.1f} seconds"
        level = logging.ERROR if is_error or is_last else logging.INFO
        traceback = (type(cause), cause, cause.__traceback__) if cause is not None else None
        what = "failed" if is_error else "asked to be run again"
        logger.log(level, "%s %s, %s: %s", self._said, what, then, why, exc_info=traceback)
        return Again(delay, self._with_traceback(why) if is_error or is_last else why)

    def _dead(self, why: str) -> Outcome:
        logger.error("%s is dead: %s", self._said, why)
        return Failed(self._with_traceback(why))

    def _with_traceback(self, why: str) -> str:
        """The reason as it is stored, with the traceback of what was raised below it."""
        if self.error is None or isinstance(self.error, _Overdue | NotTaken):
            return why
        return f"{why}\n\n{format_exception(self.error)}"


def _kept(value: Any) -> bytes | None:
    """The value that a job returned as it is kept with it: JSON, as far as that has it and it is not long."""
    if value is None:
        return None
    try:
        text = encode_json(value)
    except Exception:  # noqa: BLE001  # of a type that JSON has not, or of the user's
        return None
    return text if len(text) <= _LONGEST_RESULT else None


class _Overdue(Exception):
    """An ``async def`` ran past its time."""


def _stream_of(value: Any) -> Any:
    return as_stream(value.body) if isinstance(value, Response) else None


def _drain(stream: Any) -> None:
    for _ in stream:
        pass


async def _ended(value: Any) -> Any:
    """The value of a function, awaited where it is awaitable, with its stream at its end."""
    if value.__class__ is not Response and isinstance(value, Awaitable):
        value = await value
    return await _drained(value)


async def _drained(value: Any) -> Any:
    stream = _stream_of(value)
    if stream is None:
        return value
    if not is_async_stream(stream):
        await asyncio.to_thread(_drain, stream)
        close_stream(stream)
        return value
    try:
        async for _ in stream:
            pass
    finally:
        closing = close_stream(stream)
        if isinstance(closing, Awaitable):
            await closing
    return value

"""One run of a deferred function or job, and its outcome: what it returned or raised decides what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from wixhttp.concurrency.event_loop import background, value_or_error
from wixhttp.context import current_request
from wixhttp.dispatch.timeouts import thread_deadlines
from wixhttp.errors import HTTPError
from wixhttp.http.encoding import as_stream, close_stream, is_async_stream
from wixhttp.http.json_codec import encode_json, simpler
from wixhttp.http.request_head import PlainHead
from wixhttp.http.response import Response
from wixhttp.logs.captured_prints import flush_prints
from wixhttp.logs.tracebacks import format_exception, summary_of
from wixhttp.measurements import counted

from .arguments import NotTaken, read_payload
from .job_table import JobEntry
from .outcomes import Dead, Retry, seconds_of
from .stored_request import head_of
from .stores.contract import Again, Done, Failed, GivenBack, Job, Outcome
from .stores.lifecycle import final_outcome

_LONGEST_RESULT = 10_000  # bytes of what a job returns, as JSON

logger = logging.getLogger("wixhttp")


class Run:
    """One run of a job, on the thread that calls it; what is awaited runs on ``loop``, ``None`` for the process's own.

    ``is_over`` once it has an outcome; ``error`` is what the function raised, if it did. Cancelled while the process
    ``is_ending``, it is given back.
    """

    def __init__(
        self,
        job: Job,
        entry: JobEntry,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        is_ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self.job = job
        self.entry = entry
        self.loop = loop
        self.is_ending = is_ending
        self.is_over = False
        self.is_stopped = False
        self.error: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Cancel what is awaited, and end a stream that is drawn, as the process stops; nothing stops a ``def``."""
        with self._lock:
            self.is_stopped = True
            task = self._task
        if task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                task.get_loop().call_soon_threadsafe(task.cancel)

    def perform(self) -> Outcome:
        """Run the function, and return what becomes of the job. What went wrong is logged."""
        try:
            outcome = self._perform()
        finally:
            self.is_over = True
        counted("job_run", name=self.entry.name, outcome=type(final_outcome(self.job, outcome)).__name__.lower())
        return outcome

    def _perform(self) -> Outcome:
        job, entry = self.job, self.entry
        context = contextvars.copy_context()
        try:
            head = head_of(job, read_payload(job.payload))
        except ValueError as error:  # no JSON
            return self._dead(f"it cannot be read: {summary_of(error)}")
        except Exception as error:  # noqa: BLE001  # of other code, which other processes have during a deploy
            return self._again(f"it cannot be read: {summary_of(error)}", cause=error)
        context.run(current_request.set, head)
        head.deadline = entry.timeout and time.monotonic() + entry.timeout
        try:
            return context.run(self._outcome, *self._call(head, context))
        except Exception as error:  # noqa: BLE001  # of the user's classes, where it is looked what was returned
            self.error = error
            return context.run(self._again, f"what became of it cannot be told: {summary_of(error)}", cause=error)
        finally:
            flush_prints()
            head.deadline = 0.0  # what it left behind, a task, has time

    # --- the call ---

    def _call(self, head: PlainHead, context: contextvars.Context) -> tuple[Any, BaseException | None]:
        """The value that the function returned, its stream drained, and ``None``; or ``None`` and what was raised."""
        entry = self.entry

        def start() -> Any:
            return entry.start(self.job, head)

        if entry.timeout and not entry.is_async:
            thread_deadlines.add(self, time.monotonic() + entry.timeout, self._report_overdue, context.copy())
        try:
            value = self._await(start, context) if entry.is_async else context.run(start)
            if value.__class__ is not Response and isinstance(value, Awaitable):
                value = self._await(lambda: value, context)
            stream = _stream_of(value)
            if stream is not None and is_async_stream(stream):
                self._await(lambda: _drained(stream), context)
            elif stream is not None:
                context.run(self._drain, stream, head.deadline if entry.is_async else 0.0)
            return value, None
        except BaseException as error:  # noqa: BLE001  # SystemExit too: it ends the run, and nothing else
            return None, error
        finally:
            thread_deadlines.discard(self)

    def _await(self, start: Callable[[], Any], context: contextvars.Context) -> Any:
        """The value of what is awaited on the event loop, an asynchronous stream at its end; or what it raised is
        raised. It is cancelled when its time is over, and has ended when this returns."""

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
        value, error = result if error is None else (None, error)
        if error is not None:
            raise error
        return value

    def _drain(self, stream: Any, end: float) -> None:
        """Draw a stream on this thread, which has no other work, to its end; at most to a time, unless that is 0."""
        try:
            for _ in stream:
                if self.is_stopped:
                    raise asyncio.CancelledError
                if end and time.monotonic() > end:
                    raise _Overdue
        finally:
            close_stream(stream)

    def _report_overdue(self, context: contextvars.Context) -> None:
        text = "%s %s runs past its timeout of %g seconds; nothing stops a def, and its place is taken until it ends"
        context.run(logger.error, text, self.entry.name, self.job.id, self.entry.timeout)

    # --- the outcome ---

    def _outcome(self, value: Any, error: BaseException | None) -> Outcome:
        self.error = error
        if error is None:
            return self._of_value(value)
        if self._is_of_the_end(error):
            logger.warning("%s was given back: the process stops", self._said)
            return GivenBack("it was cancelled: its process stopped")
        if isinstance(error, Retry):
            after = None if error.after is None else seconds_of(error.after, "Retry: after")  # set anew, perhaps
            return self._again(str(error), after, is_error=False)
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

    def _is_of_the_end(self, error: BaseException) -> bool:
        """Return whether an error is none of the function's, but comes of the end of its process: it is cancelled, or
        a thread is refused to it."""
        if isinstance(error, asyncio.CancelledError):
            return self.is_stopped or self.is_ending()
        return isinstance(error, RuntimeError) and _threads_are_refused()

    def _of_value(self, value: Any) -> Outcome:
        if isinstance(value, GeneratorType | AsyncGeneratorType):
            return self._again("it returned a generator, of which nothing has run: draw it, or leave yield out")
        status = value.status if isinstance(value, Response) else None
        if self.entry.kind == "deferred" and isinstance(value, Mapping) and type(value.get("status")) is int:
            status = Response(value["status"]).status
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
    try:
        text = b"" if value is None or _is_long(value) else encode_json(value)
    except Exception:  # noqa: BLE001  # of a type that JSON has not, or of the user's
        return None
    return text if 0 < len(text) <= _LONGEST_RESULT else None


def _is_long(value: Any) -> bool:
    """Return whether the JSON of a value is certainly too long to be kept, without printing it."""
    left, waiting = _LONGEST_RESULT, [value]
    while waiting and left >= 0:
        each = waiting.pop()
        while (plain := simpler(each)) is not each:
            each = plain
        if isinstance(each, str):
            left -= len(each)
        elif isinstance(each, int):
            left -= each.bit_length() // 4
        elif isinstance(each, dict | list | tuple):
            left -= len(each)
            if left >= 0:
                waiting += [*each.keys(), *each.values()] if isinstance(each, dict) else each
    return left < 0


def _threads_are_refused() -> bool:
    """Return whether the process ends, so that Python starts no thread any more: nothing else tells it as early."""
    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(bool)
        except RuntimeError as error:
            return "shutdown" in str(error)
    return False


class _Overdue(Exception):
    """An ``async def`` ran past its time."""


def _stream_of(value: Any) -> Any:
    return as_stream(value.body) if isinstance(value, Response) else None


async def _ended(value: Any) -> Any:
    """The value of a function, awaited where it is awaitable, with its asynchronous stream at its end."""
    if value.__class__ is not Response and isinstance(value, Awaitable):
        value = await value
    stream = _stream_of(value)
    if stream is not None and is_async_stream(stream):
        await _drained(stream)
    return value


async def _drained(stream: AsyncIterator[Any]) -> None:
    try:
        async for _ in stream:
            pass
    finally:
        closing = close_stream(stream)
        if isinstance(closing, Awaitable):
            await closing

"""Time limits on an event loop: for a result, for a handler, and for a body that should come."""

from __future__ import annotations

import asyncio
import contextvars
import math
import sys
import time
from collections.abc import Callable
from typing import Any

from wixhttp.errors import HTTPError
from wixhttp.http.body import body_due
from wixhttp.measurements import counted

from .event_loop import ValueOrError

EXPIRED: ValueOrError = (None, TimeoutError())
"""The outcome of a future whose time ran out, told apart by identity."""


class Deadlines:
    """Deadlines of many calls by one timer of the loop: a timer for each costs as much as a small handler."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: dict[object, tuple[float, Callable[..., None], tuple[Any, ...]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._context = contextvars.Context()  # an empty one: a timer keeps that of the request that armed it
        self._next = math.inf

    def add(self, key: object, seconds: float, late: Callable[..., None], *arguments: Any) -> None:
        """Call ``late(*arguments)`` in ``seconds``, outside of any request's context, unless ``key`` is discarded
        before."""
        when = self.loop.time() + seconds
        self._waiting[key] = when, late, arguments
        if when < self._next:
            self._arm(when)

    def discard(self, key: object) -> bool:
        """Lift a deadline. Return whether it was still there."""
        return self._waiting.pop(key, None) is not None

    async def wait(self, waiter: asyncio.Future[ValueOrError], seconds: float) -> ValueOrError:
        """The result of a future.

        Raises:
            TimeoutError: after ``seconds`` (0: never).
        """
        if not seconds:
            return await waiter
        self.add(waiter, seconds, _expire, waiter)
        try:
            result = await waiter
        finally:
            self.discard(waiter)
        if result is EXPIRED:
            raise TimeoutError
        return result

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = when
        self._timer = self.loop.call_at(when, self._look, context=self._context) if when < math.inf else None

    def _look(self) -> None:
        now = self.loop.time()
        due = [(key, late, arguments) for key, (when, late, arguments) in self._waiting.items() if when <= now]
        for key, late, arguments in due:
            self.discard(key)
            try:
                late(*arguments)
            except Exception as error:  # it stops no other deadline
                context = {"message": "a deadline could not be dealt with", "exception": error}
                self.loop.call_exception_handler(context)
        self._arm(min((when for when, *_ in self._waiting.values()), default=math.inf))


def _expire(waiter: asyncio.Future[ValueOrError]) -> None:
    if not waiter.done():
        waiter.set_result(EXPIRED)


def uncancel(task: asyncio.Task[Any]) -> None:
    """Have a task forget that it was cancelled: that was dealt with."""
    if sys.version_info >= (3, 11):
        while task.cancelling():
            task.uncancel()


class BodyDeadline:
    """Cancels the task that entered it when a body does not come: ``seconds`` without a part (0: never), or too slowly
    (`wixhttp.http.body.body_due`).

    ``size`` returns the bytes so far. ``last`` is the time of the last part by ``time.monotonic``, for the reader to
    set; ``paused`` is the time for which the reader itself did not take parts.

    Raises:
        HTTPError: 408 in place of that cancellation.
    """

    def __init__(self, deadlines: Deadlines, seconds: float, size: Callable[[], int]) -> None:
        self.deadlines = deadlines
        self.seconds = seconds
        self.size = size
        self.expired = False
        self.paused = 0.0
        self.started = self.last = time.monotonic()

    def __enter__(self) -> BodyDeadline:
        if self.seconds:
            self.task = asyncio.current_task()
            self._look()
        return self

    def _look(self) -> None:
        due = min(self.last + self.seconds, body_due(self.started + self.paused, self.size()))
        left = due - time.monotonic()
        if left > 0:
            self.deadlines.add(self, left, self._look)
        elif self.task is not None:
            self.expired = True
            self.task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.deadlines.discard(self)
        if self.expired and kind is asyncio.CancelledError:
            if self.task is not None:
                uncancel(self.task)
            counted("limit_hit", limit="time")
            raise HTTPError(408, "The body did not arrive in time.") from None

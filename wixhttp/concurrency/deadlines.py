"""Time limits on an event loop: for a result, for a handler, and for a body that should keep coming."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from typing import Any

from wixhttp.errors import HTTPError

from .event_loop import ValueOrError

_EXPIRED: ValueOrError = (None, TimeoutError())


class Deadlines:
    """Deadlines of many calls by one timer of the loop: a timer for each costs as much as a small handler."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: dict[object, tuple[float, Callable[[], None]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = math.inf

    def add(self, key: object, seconds: float, late: Callable[[], None]) -> None:
        """Call ``late`` in ``seconds``, unless ``key`` is discarded before."""
        when = self.loop.time() + seconds
        self._waiting[key] = when, late
        if when < self._next:
            self._arm(when)

    def discard(self, key: object) -> None:
        """Lift a deadline, if it is still there."""
        self._waiting.pop(key, None)

    async def wait(self, waiter: asyncio.Future[ValueOrError], seconds: float) -> ValueOrError:
        """The result of a future.

        Raises:
            TimeoutError: after ``seconds`` (0: never).
        """
        if not seconds:
            return await waiter
        self.add(waiter, seconds, lambda: _expire(waiter))
        try:
            result = await waiter
        finally:
            self.discard(waiter)
        if result is _EXPIRED:
            raise TimeoutError
        return result

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = when
        self._timer = self.loop.call_at(when, self._look) if when < math.inf else None

    def _look(self) -> None:
        now = self.loop.time()
        due = [(key, late) for key, (when, late) in self._waiting.items() if when <= now]
        for key, late in due:
            self.discard(key)
            late()
        self._arm(min((when for when, _ in self._waiting.values()), default=math.inf))


def _expire(waiter: asyncio.Future[ValueOrError]) -> None:
    if not waiter.done():
        waiter.set_result(_EXPIRED)


def uncancel(task: asyncio.Task[Any]) -> None:
    """Have a task forget that it was cancelled: that was dealt with."""
    if sys.version_info >= (3, 11):
        while task.cancelling():
            task.uncancel()


class InactivityTimeout:
    """Cancels the task that entered it after ``seconds`` without ``renew`` (0: never).

    Raises:
        HTTPError: 408 in place of that cancellation.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False

    def __enter__(self) -> InactivityTimeout:
        if self.seconds:
            self.task = asyncio.current_task()
            self.loop = asyncio.get_running_loop()
            self.last = self.loop.time()
            self.timer = self.loop.call_later(self.seconds, self._look)
        return self

    def renew(self) -> None:
        """Restart the time: a part of the body has arrived."""
        if self.seconds:
            self.last = self.loop.time()

    def _look(self) -> None:
        left = self.last + self.seconds - self.loop.time()
        if left > 0.001:
            self.timer = self.loop.call_later(left, self._look)
        elif self.task is not None:
            self.expired = True
            self.task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not self.seconds:
            return
        self.timer.cancel()
        if self.expired and kind is asyncio.CancelledError:
            if self.task is not None:
                uncancel(self.task)
            raise HTTPError(408, "The body did not arrive in time.") from None

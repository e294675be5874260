"""Steps of a handler that hold the event loop: found in development, where each step is timed."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Coroutine, Generator
from types import CodeType, coroutine
from typing import Any

from wixhttp.context import current_request
from wixhttp.logs.tracebacks import is_runtime

SLOW = 0.1
"""Seconds of one step that are told of."""

logger = logging.getLogger("wixhttp")


class SlowSteps:
    """Times the steps of handlers' coroutines, and logs one that is slow, once for each place. One that imports
    something is passed over: it is slow once in a process."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    async def timed(self, running: Coroutine[Any, Any, Any]) -> Any:
        """Await a coroutine, and time its steps."""
        return await _timed(running, self._tell)

    def _tell(self, running: Any, seconds: float) -> None:
        head = current_request.get()
        name = head.function if head is not None else running.__qualname__
        place = _place_of(running)
        if (name, place) not in self._told:
            self._told.add((name, place))
            logger.warning(
                "%s held the event loop for %.0f ms%s, and all requests with it: write await asyncio.sleep(...) for "
                "time.sleep, the calls of wixhttp.data.aio, and await asyncio.to_thread(f) for what else blocks; or a "
                "def, which has a thread", name, seconds * 1000, place,
            )  # fmt: skip


@coroutine
def _timed(running: Coroutine[Any, Any, Any], tell: Callable[[Any, float], None]) -> Generator[Any, Any, Any]:
    step: Callable[[Any], Any] = running.send
    given: Any = None
    while True:
        began, modules = time.monotonic(), len(sys.modules)
        try:
            waits_for = step(given)
        except StopIteration as end:
            return end.value
        finally:
            given = None  # breaks the reference cycle error -> traceback -> frame
            if (seconds := time.monotonic() - began) >= SLOW and len(sys.modules) == modules:
                tell(running, seconds)
        try:
            given = yield waits_for
            step = running.send
        except BaseException as error:  # cancellation, and the end of a generator: the coroutine's to deal with
            step, given = running.throw, error


def _place_of(running: Any) -> str:
    """The line of the user's code at which a coroutine waits now: the step was before it. Empty where it has ended."""
    place = ""
    while running is not None:
        frame = getattr(running, "cr_frame", None)
        code: CodeType | None = getattr(frame, "f_code", None)
        if frame is not None and code is not None and not is_runtime(code.co_filename):
            place = f" before {code.co_filename}, line {frame.f_lineno}"
        running = getattr(running, "cr_await", None)
    return place

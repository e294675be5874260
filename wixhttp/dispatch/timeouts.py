"""Timeouts of handlers (setting ``timeout``, 14 seconds by default; ``@limits``): the error for a late one (504), and
the log line for a ``def`` that nothing can stop.

The clocks themselves: `wixhttp.concurrency.deadlines` on an event loop, `wixhttp.concurrency.event_loop` for a thread
that waits for one.
"""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from wixhttp.errors import HTTPError
from wixhttp.measurements import counted

from .call import Call

logger = logging.getLogger("wixhttp")


def timed_out(call: Call) -> HTTPError:
    """The error for a handler that ran past its time: 504. The log names the handler."""
    counted("limit_hit", limit="time")
    return HTTPError(
        504,
        "The function did not answer in time.",
        reason=f"{call.function.exported_name} ran past its timeout of {call.timeout:g} seconds"
        + ("" if call.function.is_async else "; its thread goes on until the function ends by itself"),
    )


class ThreadDeadlines:
    """Deadlines of threads that nothing can stop: what is to be done about one is done by another thread, half a second
    late at most. The counterpart on an event loop is `wixhttp.concurrency.deadlines.Deadlines`."""

    def __init__(self) -> None:
        self._forget_all()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget_all)

    def _forget_all(self) -> None:
        """Forget the thread, and what it is to do: a fork leaves both behind."""
        self._waiting: dict[object, tuple[float, Callable[..., None], tuple[Any, ...]]] = {}
        self._thread: threading.Thread | None = None

    def add(self, key: object, when: float, late: Callable[..., None], *arguments: Any) -> None:
        """Call ``late(*arguments)`` at ``when``, a time of ``time.monotonic``, unless ``key`` is discarded before. In
        place of what was added for that key."""
        self._waiting[key] = when, late, arguments
        if self._thread is None:
            # Outside of the context of the request that is first, which newer versions of Python hand on.
            run = contextvars.Context().run
            self._thread = threading.Thread(target=run, args=(self._look,), name="wixhttp-overdue", daemon=True)
            self._thread.start()

    def discard(self, key: object) -> None:
        """Lift a deadline, if it is still there."""
        self._waiting.pop(key, None)

    def _look(self) -> None:
        while True:
            time.sleep(0.5)
            now = time.monotonic()
            for key, found in list(self._waiting.items()):
                when, late, arguments = found
                if now >= when and self._waiting.get(key) is found and self._waiting.pop(key, None) is not None:
                    try:
                        late(*arguments)
                    except Exception:  # it stops no other deadline
                        logger.exception("a deadline could not be dealt with")
                # Else the thread would keep the last call, its request and its site.
                del key, found, late, arguments


thread_deadlines = ThreadDeadlines()


def report_overdue(call: Call) -> None:
    """Log a ``def`` handler that runs past its time in the calling thread, where nothing can stop it."""
    logger.error(
        "%s runs past its timeout of %g seconds; under this server nothing is answered until it ends",
        call.function.exported_name, call.timeout,
        extra={"keys": {"request_id": call.head.request_id, "function": call.function.exported_name}},
    )  # fmt: skip

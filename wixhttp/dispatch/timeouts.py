"""Timeouts of handlers (setting ``timeout``, 14 seconds by default; ``@limits``): the error for a late one (504), and
the log line for a ``def`` that nothing can stop.

The clocks themselves: `wixhttp.concurrency.deadlines` on an event loop, `wixhttp.concurrency.event_loop` for a thread
that waits for one.
"""

from __future__ import annotations

import logging
import threading
import time

from wixhttp.errors import HTTPError

from .call import Call

logger = logging.getLogger("wixhttp")


def timed_out(call: Call) -> HTTPError:
    """The error for a handler that ran past its time: 504. The log names the handler."""
    return HTTPError(
        504,
        "The function did not answer in time.",
        reason=f"{call.function.exported_name} ran past its timeout of {call.timeout:g} seconds"
        + ("" if call.function.is_async else "; its thread goes on until the function ends by itself"),
    )


class Overdue:
    """Logs each ``def`` handler that runs past its time, while it does. Nothing can stop it in the calling thread."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[float, Call]] = {}
        self._thread: threading.Thread | None = None

    def watch(self, call: Call) -> None:
        """Note that a handler begins."""
        if call.timeout:
            self._running[id(call)] = (time.monotonic() + call.timeout, call)
            if self._thread is None or not self._thread.is_alive():  # a fork leaves threads behind
                self._thread = threading.Thread(target=self._look, name="wixhttp-overdue", daemon=True)
                self._thread.start()

    def forget(self, call: Call) -> None:
        """Note that it has ended."""
        self._running.pop(id(call), None)

    def _look(self) -> None:
        while True:
            time.sleep(0.5)
            now = time.monotonic()
            for key, (deadline, call) in list(self._running.items()):
                if now >= deadline and self._running.pop(key, None) is not None:
                    logger.error(
                        "%s runs past its timeout of %g seconds; under this server nothing is answered until it ends",
                        call.function.exported_name, call.timeout,
                        extra={"keys": {"request_id": call.head.request_id, "function": call.function.exported_name}},
                    )  # fmt: skip


overdue = Overdue()

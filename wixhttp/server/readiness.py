"""The readiness check: pings the database on a thread of its own, so that a probe is answered at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from wixhttp.logs.masking import masked

SHORT = 0.1  # seconds that a probe waits for the ping at most
PING_TIMEOUT = 2.0  # seconds after which a database that does not answer is not ready

logger = logging.getLogger("wixhttp")


class Readiness:
    """A check by ``ping`` on a thread of its own, one at a time (single-flight). ``ping`` raises where it fails.

    ``needed`` says whether there is a database at all; without one the process is always ready. ``ping_timeout`` is in
    seconds. ``facts`` is more for the answer of the probe; it must not block.
    """

    def __init__(
        self,
        ping: Callable[[], None],
        needed: Callable[[], bool] = lambda: True,
        ping_timeout: float = PING_TIMEOUT,
        facts: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._ping = ping
        self._needed = needed
        self._facts = facts
        self._ping_timeout = ping_timeout
        self._lock = threading.Lock()
        self._answered: threading.Event | None = None  # set when the ping that is under way has ended
        self._asked_at = 0.0
        self._is_ready: bool | None = None

    def __call__(self) -> bool:
        """Return whether ``ping`` succeeds: the result within `SHORT` seconds, else the last, for ``ping_timeout``."""
        if not self._needed():
            return True
        with self._lock:
            if self._answered is None or self._answered.is_set():
                self._answered = threading.Event()
                self._asked_at = time.monotonic()
                threading.Thread(
                    target=self._ask, args=(self._answered,), name="wixhttp-readiness", daemon=True
                ).start()
            answered, asked_at = self._answered, self._asked_at
        if not answered.wait(SHORT) and time.monotonic() - asked_at > self._ping_timeout:
            self._note(False, f"no answer within {self._ping_timeout:g} seconds")
        return bool(self._is_ready)

    def facts(self) -> dict[str, Any]:
        """More about the process, for the answer of the probe."""
        return self._facts()

    def _ask(self, answered: threading.Event) -> None:
        try:
            self._ping()
        except Exception as error:  # noqa: BLE001  # whatever a database's driver raises
            self._note(False, masked(str(error) or type(error).__name__))
        else:
            self._note(True, "")
        finally:
            answered.set()

    def _note(self, is_ready: bool, reason: str) -> None:
        was_ready, self._is_ready = self._is_ready, is_ready
        if is_ready and was_ready is False:
            logger.info("the database answers again; this process is ready")
        elif not is_ready and was_ready is not False:
            logger.error("the database does not answer; this process is not ready: %s", reason)

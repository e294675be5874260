"""The last fault of a database that calls of this process met: it is not ready until the fault is found gone."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from wixhttp.errors import StoreUnavailable

AGAIN = 5.0  # seconds after a fault until it is looked into
_SHARE = 10  # an examination takes one part in so many of the time

logger = logging.getLogger("wixhttp")


class Faults:
    """Remembers a fault that lasts. It is logged once, when it is first met, and once when it is gone.

    ``again`` is in seconds.
    """

    def __init__(self, again: float = AGAIN) -> None:
        self.again = again
        self._lock = threading.Lock()
        self._error: StoreUnavailable | None = None
        self._stops_writes = False
        self._due = 0.0
        self._is_left_out = False

    def note(self, error: StoreUnavailable, *, stops_writes: bool = False) -> None:
        """Take a fault down. ``stops_writes``: nothing may be written until it is gone."""
        if self._is_left_out:
            return
        with self._lock:
            is_new = self._error is None or (stops_writes and not self._stops_writes)
            if is_new:  # or worse
                self._error, self._stops_writes = error, stops_writes
            self._due = max(self._due, time.monotonic() + self.again)
        if is_new:
            logger.error("%s", error)

    @contextlib.contextmanager
    def left_out(self) -> Iterator[None]:
        """Take nothing down in this block, whose own result the faults are."""
        self._is_left_out = True
        try:
            yield
        finally:
            self._is_left_out = False

    def refuse_writes(self) -> None:
        """Raises the fault where nothing may be written."""
        error = self._error
        if error is not None and self._stops_writes:
            raise StoreUnavailable(error.description, code=error.code)

    def look(self, examine: Callable[[], None]) -> None:
        """Raise the fault that was met, unless it is time for ``examine``, and that does not raise it."""
        error = self._error
        if error is None:
            return
        if time.monotonic() < self._due:
            raise StoreUnavailable(error.description, code=error.code)
        began = time.monotonic()
        try:
            examine()
        finally:
            now = time.monotonic()
            self._due = now + max(self.again, _SHARE * (now - began))
        self.forget()

    def note_success(self) -> None:
        """A write succeeded: a fault that did not stop writes is gone."""
        if self._error is not None and not self._stops_writes:
            self.forget()

    def forget(self) -> None:
        """Take it that the fault is gone."""
        with self._lock:
            error, self._error, self._stops_writes = self._error, None, False
        if error is not None:
            logger.warning("the database is taken to be sound again; its fault was: %s", error)

    @property
    def stops_writes(self) -> bool:
        """True while nothing may be written."""
        return self._stops_writes

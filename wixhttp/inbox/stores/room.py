"""The room that is left in an inbox, without counting its jobs each time that one is accepted."""

from __future__ import annotations

import time
from collections.abc import Callable

from wixhttp.concurrency.process_lock import ProcessLock

from .contract import InboxFull

_TRUST = 1.0  # seconds for which a count is believed, as far as there is room
_SHARE = 20  # counting takes one part in so many of the time


class Room:
    """The count of jobs that are to be done: counted each second at most, and in between by what this process adds."""

    def __init__(self) -> None:
        self._lock = ProcessLock()
        self._counting = ProcessLock()
        self._count = 0
        self._limit = 0
        self._counted = 0.0  # when; 0: never
        self._cost = 0.0

    def take(self, adding: int, limit: int | None, count: Callable[[int], int]) -> None:
        """Take room for jobs. ``count`` counts those that are there, and stops at the number that it is given.

        Raises:
            InboxFull: there is none.
        """
        if limit is None:
            return
        age = time.monotonic() - self._counted
        has_room = self._count + adding <= limit <= self._limit
        trusted = max(_SHARE * self._cost, _TRUST) if has_room else min(_SHARE * self._cost, _TRUST)
        if age > trusted or limit > self._limit:
            self._recount(limit, count)
        with self._lock:
            if self._count + adding > limit:
                raise InboxFull(limit)
            self._count += adding

    def _recount(self, limit: int, count: Callable[[int], int]) -> None:
        if not self._counting.acquire(blocking=self._counted == 0.0):  # another thread does
            return
        try:
            began = time.monotonic()
            found = count(limit)
            self._counted = time.monotonic()
            self._cost = self._counted - began
            with self._lock:
                self._count, self._limit = found, limit
        finally:
            self._counting.release()

    def give_back(self, number: int) -> None:
        """Give room back that was taken for what was not stored."""
        with self._lock:
            self._count = max(0, self._count - number)

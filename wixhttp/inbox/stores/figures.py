"""The numbers of jobs, which are not counted again and again where there are very many."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from wixhttp.concurrency.process_lock import ProcessLock

from .contract import STATES, State, Stats

_SHARE = 20  # counting takes one part in so many of the time
_NOTHING = 0.005  # seconds in which a count may be done each time

Counts = Sequence[tuple[str, State, int]]


class Figures:
    """The last count of jobs by name and state; it is believed for as long as counting is too dear."""

    def __init__(self) -> None:
        self._lock = ProcessLock()
        self._counts: Counts = ()
        self._until = 0.0

    def of(self, count: Callable[[], Counts]) -> Counts:
        """The counts as ``count`` gives them, or gave them a short while ago."""
        with self._lock:
            began = time.monotonic()
            if began >= self._until:
                self._counts = count()
                cost = time.monotonic() - began
                self._until = began if cost < _NOTHING else began + _SHARE * cost
            return self._counts


def stats_of(counts: Iterable[tuple[str, State, int]], oldest_age: float | None) -> Stats:
    """The numbers of an inbox from those by name and state."""
    by_state: dict[State, int] = dict.fromkeys(STATES, 0)
    by_name: dict[str, dict[State, int]] = {}
    for name, state, number in counts:
        by_state[state] += number
        by_name.setdefault(name, {})[state] = number
    return Stats(by_state, dict(sorted(by_name.items())), oldest_age)

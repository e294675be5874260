"""The one writer of a process: what threads write at the same time is committed together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_MOST = 256  # writes in one commit


class Job(Generic[T]):
    """One write: ``work`` is given what writes, ``result`` or ``error`` is what came of it."""

    __slots__ = ("error", "is_done", "result", "work")

    def __init__(self, work: Callable[[Any], T]) -> None:
        self.work = work
        self.result: T | None = None
        self.error: BaseException | None = None
        self.is_done = False


class GroupCommit:
    """Hands the jobs of many threads to ``commit``, a few at a time, in the order in which they came.

    Whoever is first commits for all that wait. ``commit`` gives each job a result or an error.
    """

    def __init__(self, commit: Callable[[list[Job[Any]]], None]) -> None:
        self._commit = commit
        self._waiting: deque[Job[Any]] = deque()
        self._turn = threading.Lock()

    def run(self, work: Callable[[Any], T]) -> T:
        """What ``work`` gave, once it is committed; what it raised, or what the commit did."""
        job = Job(work)
        self._waiting.append(job)
        with self._turn:
            if not job.is_done:
                self._commit_waiting()
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]  # it is done

    def _commit_waiting(self) -> None:
        jobs = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST))]
        try:
            self._commit(jobs)
        except BaseException as error:
            for job in jobs:
                if job.error is None:
                    job.error = error
            raise
        finally:
            for job in jobs:
                job.is_done = True

"""The one writer of a process: what threads write at the same time is committed together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_MOST = 256  # writes in one commit


class PendingWrite(Generic[T]):
    """One write: ``work`` is given what writes, ``result`` or ``error`` is what came of it."""

    __slots__ = ("error", "is_done", "leads", "result", "turn", "work")

    def __init__(self, work: Callable[[Any], T]) -> None:
        self.work = work
        self.result: T | None = None
        self.error: BaseException | None = None
        self.is_done = False
        self.leads = False  # it is the one to commit for all
        self.turn = threading.Lock()  # held until the job is done, or is the one to commit for all
        self.turn.acquire()


class GroupCommit:
    """Hands the jobs of many threads to ``commit``, in the order in which they came.

    Whoever is first commits for all that wait, and then wakes the next. ``commit`` is given what takes the jobs, and
    calls it once, as late as it can: when it may write. It gives each job a result or an error.
    """

    def __init__(self, commit: Callable[[Callable[[], list[PendingWrite[Any]]]], None]) -> None:
        self._commit = commit
        self._mutex = threading.Lock()
        self._waiting: deque[PendingWrite[Any]] = deque()
        self._is_busy = False

    def run(self, work: Callable[[Any], T]) -> T:
        """Return the result of ``work`` once it is committed. Raises what it raised, or what the commit did."""
        job = PendingWrite(work)
        try:
            with self._mutex:
                self._waiting.append(job)
                job.leads, self._is_busy = not self._is_busy, True
            if not job.leads:
                job.turn.acquire()
            if not job.is_done:
                self._lead()
        finally:
            if job.leads:
                self._hand_over(job)
            elif not job.is_done:
                self._abandon(job)  # a signal's handler raised while it waited
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]  # it is done

    def _lead(self) -> None:
        jobs: list[PendingWrite[Any]] = []

        def take() -> list[PendingWrite[Any]]:
            with self._mutex:
                jobs.extend(self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST)))
            return jobs

        failure: BaseException | None = None
        try:
            self._commit(take)
        except BaseException as error:
            failure = error
            raise
        finally:
            for job in jobs or take():  # it may have failed before it could write
                job.error = job.error or failure
                job.is_done = True
                job.turn.release()

    def _hand_over(self, job: PendingWrite[Any]) -> None:
        """Let the next job that waits commit for all."""
        with self._mutex:
            job.leads = False
            if job in self._waiting:  # it never came to it
                self._waiting.remove(job)
            self._is_busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].turn.release()

    def _abandon(self, job: PendingWrite[Any]) -> None:
        with self._mutex:
            if job in self._waiting and not job.leads:
                self._waiting.remove(job)
        if job.leads:  # meanwhile
            self._hand_over(job)

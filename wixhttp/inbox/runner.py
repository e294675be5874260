"""The runner of a process: it claims work that is due, and runs it on threads of its own and the site's event loop.

One thread looks for work: once a second, when something was stored in this process, and when a place is free again. It
claims no more than it has places, so that what waits can be taken by any other process.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING

from wixhttp.concurrency.strayed import end_strayed
from wixhttp.errors import StoreUnavailable

from .job_table import JobTable
from .runs import Run
from .stores.contract import Again, GivenBack, Inbox, Job, Outcome
from .stores.lifecycle import is_last_after_death
from .stores.owner import held_by

if TYPE_CHECKING:  # a site without scheduled functions does not load it
    from .schedules.scheduler import Scheduler

POLL = 1.0
"""Seconds between two looks for what other processes have stored."""
_JITTER = 0.25  # of that: processes that were started together do not look together
_SHORTEST = 0.01  # seconds between two looks
_STORE_AWAY = 2.0  # seconds until a store that could not be reached is asked again, or a thread is started again
_ENDED_IN = 5.0  # seconds in which a process has ended that has nothing left to do but a def that nothing can stop
_UNSAID = 60.0  # seconds until a job is run again of which nobody can say what became of it

logger = logging.getLogger("wixhttp")


class JobRunner:
    """Runs the work of ``table`` that is in the inbox, ``places`` at once. ``opened`` gives the inbox.

    ``make_scheduler`` makes the scheduler of an inbox, which the same thread calls; ``None`` without scheduled
    functions. What is awaited runs on ``loop``; ``None``: on the process's own.
    """

    def __init__(
        self,
        table: JobTable,
        opened: Callable[[], Inbox],
        places: int,
        *,
        make_scheduler: Callable[[Inbox], Scheduler] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.table = table
        self.places = places
        self._make_scheduler = make_scheduler
        self._scheduler: Scheduler | None = None
        self.loop = loop
        self._opened = opened
        self._names: Collection[str] = table.names
        self._woken = threading.Event()
        self._lock = threading.Lock()
        self._running: set[Run] = set()
        self._runs: SimpleQueue[Run] = SimpleQueue()
        self._threads = 0
        self._ending_at: float | None = None
        self._looker: threading.Thread | None = None
        self._is_away = False
        self._is_clearing = False  # nothing is claimed until all that runs has ended: the next is to run alone
        self._is_stopped = False
        self._tick_at = self._free_at = 0.0
        self._pid = os.getpid()

    def start(self) -> None:
        """Begin to look for work, on a thread of its own."""
        if self._looker is None:
            self._looker = self._thread("wixhttp-inbox", self._look)

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=contextvars.Context().run, args=(work,), name=name, daemon=True)
        thread.start()
        return thread

    def wake(self) -> None:
        """Have it look for work at once."""
        self._woken.set()

    # --- the end ---

    @property
    def is_ending(self) -> bool:
        """True once it claims nothing any more."""
        return self._ending_at is not None

    def begin_stop(self) -> None:
        """Claim nothing from here on. Safe in a signal handler: it takes no lock."""
        if self._ending_at is None:
            self._ending_at = time.monotonic()

    def stop(self, grace: float) -> None:
        """Wait for what runs, at most until ``grace`` seconds after `begin_stop`. Then cancel each ``async def``, and
        give back what has not ended, so that its start is not counted. Called again it does nothing."""
        self.begin_stop()
        if self._is_stopped:
            return
        self._is_stopped = True
        assert self._ending_at is not None  # noqa: S101  # set there
        end = self._ending_at + grace
        self.wake()
        if self._looker is not None:
            self._looker.join(max(end - time.monotonic(), 1.0))
        self._wait(end)
        for run in self._still_running():
            run.stop()
        self._wait(time.monotonic() + 1.0)
        for run in self._still_running():
            logger.warning("%s %s runs on as its process stops, and was given back", run.entry.name, run.job.id)
            self._finish(run.job, GivenBack("its process stopped", _ENDED_IN))

    def _still_running(self) -> list[Run]:
        with self._lock:
            return list(self._running)

    def _wait(self, end: float) -> None:
        while self._running and time.monotonic() < end:
            time.sleep(0.01)

    # --- the thread that looks ---

    def _look(self) -> None:
        while not self.is_ending:
            end_strayed(self._pid)
            try:
                wait = self._step()
                if self._is_away:
                    self._is_away = False
                    logger.info("the inbox can be reached again")
            except StoreUnavailable as error:
                wait = _STORE_AWAY
                if not self._is_away:
                    self._is_away = True
                    logger.error("deferred work waits: %s", error)
            except Exception:  # whatever it is, it is not to end all work of this process
                logger.exception("the inbox cannot be looked at")
                wait = _STORE_AWAY
            self._woken.wait(max(wait, _SHORTEST))
            self._woken.clear()

    def _step(self) -> float:
        """Claim what is due, and return the seconds until the next look."""
        inbox = self._opened()
        wait = POLL * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # no secret
        if self._make_scheduler is not None:
            wait = min(wait, self._tick(self._make_scheduler))
        if time.monotonic() >= self._free_at:
            inbox.free_dead()
            self._free_at = time.monotonic() + POLL
        free = self.places - len(self._running)
        if free <= 0 or (self._is_clearing and self._running):
            return wait  # the end of one of them wakes this thread
        self._is_clearing = False
        claimed = inbox.claim(self._names, free)
        if not self._begin_all(claimed):
            return _STORE_AWAY
        if len(claimed) == free or self._is_clearing:
            return wait  # the end of one of them wakes this thread
        due = inbox.next_due(self._names)
        return min(wait, due) if due is not None and (due > 0 or claimed) else wait

    def _tick(self, make_scheduler: Callable[[Inbox], Scheduler]) -> float:
        """Have stored what is due of schedules, and return the seconds until more is."""
        if self._scheduler is None:
            self._scheduler = make_scheduler(self._opened())
        if time.monotonic() >= self._tick_at:
            self._tick_at = time.monotonic() + self._scheduler.tick()
        return max(self._tick_at - time.monotonic(), 0.0)

    def _begin_all(self, claimed: Sequence[Job]) -> bool:
        """Begin what was claimed. What is to run alone is given back, unless nothing else runs: then the first of it
        is begun, and nothing else. False where no thread could be started."""
        claimed = [job for job in claimed if not self._goes_on(job)]
        alone = [job for job in claimed if is_last_after_death(job)]
        begun = [job for job in claimed if job not in alone]
        if alone and not self._running and claimed[0] is alone[0]:
            begun = alone[:1]
        self._is_clearing = bool(alone)
        for job in claimed:  # before others are begun: one of them may end the process
            if job not in begun:
                self._finish(job, GivenBack())
        for number, job in enumerate(begun):
            try:
                self._begin(job)
            except RuntimeError as error:  # the system has no more threads
                logger.error("no thread can be started for deferred work, which is given back: %s", error)
                for each in begun[number:]:
                    self._finish(each, GivenBack("its process could start no thread for it"))
                return False
        return True

    def _begin(self, job: Job) -> None:
        entry = self.table.get(job.name)
        if self.is_ending or entry is None:
            self._finish(job, GivenBack("its process stopped"))
            return
        run = Run(job, entry, self.loop, is_ending=lambda: self.is_ending)
        with self._lock:
            self._running.add(run)
            needs_thread = self._threads < len(self._running)
        if needs_thread:
            try:
                self._thread(f"wixhttp-inbox-{self._threads + 1}", self._work)
            except RuntimeError:
                with self._lock:
                    self._running.discard(run)
                raise
            self._threads += 1
        self._runs.put(run)

    def _goes_on(self, job: Job) -> bool:
        """Return whether a run of the job, whose claim was lost with the lease, goes on in this process: its outcome
        is that of the new claim. A second one would run at the same time."""
        with self._lock:
            for run in self._running:
                if run.job.id == job.id and not run.is_over:
                    held_by(str(run.job.owner)).end(run.job)
                    run.job = job
                    logger.warning("%s %s ran past its lease; it goes on with a new claim", job.name, job.id)
                    return True
        return False

    # --- the threads that run ---

    def _work(self) -> None:
        while True:
            run = self._runs.get()
            try:
                outcome = self._perform(run)
                end_strayed(self._pid)
                with self._lock:
                    run.is_over = True
                    job = run.job
                self._finish(job, outcome)
            except BaseException:  # a thread of the pool does not end
                logger.exception("%s %s: its outcome could not be noted", run.entry.name, run.job.id)
            finally:
                with self._lock:
                    self._running.discard(run)
                del run
                self.wake()

    def _perform(self, run: Run) -> Outcome:
        try:
            return run.perform()
        except BaseException as error:  # it could not be run, or not said what became of it
            if self.is_ending:  # the loop may have closed
                return GivenBack("its process stopped")
            logger.exception("%s %s: what became of it cannot be told", run.entry.name, run.job.id)
            return Again(_UNSAID, f"what became of it cannot be told: {type(error).__name__}")

    def _finish(self, job: Job, outcome: Outcome) -> None:
        """Say what became of a job, again and again while the store is away: until the process is to end. What the
        store does not take is said in its place."""
        plain: Outcome | None = None
        while True:
            try:
                self._opened().finish(job, plain or outcome)
                return
            except StoreUnavailable as error:
                if self.is_ending:
                    logger.error("the outcome of %s %s is lost, and it is run again: %s", job.name, job.id, error)
                    return
                logger.warning("the outcome of %s %s waits: %s", job.name, job.id, error)
                time.sleep(_STORE_AWAY)
            except Exception:  # it is not to be running for ever, and to hold its key
                logger.exception("the outcome of %s %s cannot be stored", job.name, job.id)
                if plain is not None:
                    held_by(str(job.owner)).end(job)  # so that it is given back
                    return
                plain = Again(_UNSAID, "its outcome could not be stored; the log says why")

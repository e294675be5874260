"""gunicorn's master, with workers that are replaced only by workers that have loaded the project."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections import deque
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from .reports import FAILED, READY, WORN, WorkerReport, print_failure
from .worker_class import ENDINGS, WSGI_LIMITS, extended

LOAD_FAILED = 3
INTERRUPTED = 130
FIRST_DELAY = 1.0  # seconds from a load that failed to the next try
LONGEST_DELAY = 30.0
_NO_EXIT_CODE = -1
_MOST_SAID = 20

logger = logging.getLogger("wixhttp")


class Master(Arbiter):  # type: ignore[misc]  # gunicorn has no types for it
    """gunicorn's master for a project that may change, and break, while it is served.

    - A worker is ready once it reports so, which is when it serves.
    - While no worker has ever been ready, one that cannot load the project ends the server, with `LOAD_FAILED`.
    - Later, loading is tried again, by one worker at a time and with exponential back-off, while the others serve.
    - A worker that a signal ends while it loads (the system's, which is out of memory; somebody's) says nothing about
      the project: another one is started at once, and after several in a row each second.
    - A worker that is to be replaced, at SIGHUP or after ``max_requests``, serves until another is ready.

    ``app`` has ``reports``, the `WorkerReports` of the workers, and ``worker_files``, by which they count together, or
    ``None``.
    """

    # gunicorn would end the server when a worker exits with one of these; but any handler could.
    WORKER_BOOT_ERROR = APP_LOAD_ERROR = _NO_EXIT_CODE

    START_CTX: dict[Any, Any]
    WORKERS: dict[int, Any]
    worker_class: Any

    _interrupted = False
    _is_reloading = False

    def __init__(self, app: Any) -> None:
        self._ready: set[int] = set()  # process ids of workers
        self._outdated: set[int] = set()  # those to be replaced
        self._stopping: set[int] = set()  # those told to end
        self._failures: dict[int, WorkerReport] = {}
        self._has_served = False
        self._fatal: WorkerReport | None = None
        self._delay = 0.0  # seconds; 0: the last load succeeded
        self._next_try = 0.0
        self._killed = 0  # workers in a row that a signal ended while they loaded
        self._last_round = 0  # the age of the last worker that was started before loading failed last
        self._said: deque[WorkerReport] = deque(
            maxlen=_MOST_SAID
        )  # failures since the last success, without their worker
        super().__init__(app)
        # What SIGUSR2 runs: gunicorn's own guess takes "python -m wixhttp" for a script of that folder.
        self.START_CTX["args"] = [sys.executable, *sys.orig_argv[1:]]

    def setup(self, app: Any) -> None:
        """Take the settings, at the start and at SIGHUP."""
        super().setup(app)
        self.worker_class = extended(self.worker_class)

    def start(self) -> None:
        """Bind the sockets, and say what the chosen worker class cannot promise."""
        super().start()
        if self.app.worker_files is not None:
            self.app.worker_files.own(self.cfg.uid, self.cfg.gid)
        if limits := WSGI_LIMITS.get(self.cfg.worker_class_str):
            logger.warning("worker_class %s is less than asgi: %s", self.cfg.worker_class_str, limits)

    # --- signals ---

    def handle_int(self) -> None:
        """Note that Ctrl-C ended the server, and stop."""
        self._interrupted = True
        super().handle_int()

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stop and exit, with `INTERRUPTED` after Ctrl-C."""
        try:
            super().halt(reason, exit_status)
        except SystemExit as end:
            if self._interrupted and not end.code:
                sys.exit(INTERRUPTED)
            raise

    def reload(self) -> None:
        """Read gunicorn's settings again, and replace all workers."""
        self._outdated.update(self.WORKERS)
        self._delay = self._next_try = 0.0  # what was wrong may be mended
        # gunicorn would start the new workers, stop the old ones at once, and wait for their end. It does not see them.
        workers, self.WORKERS = self.WORKERS, {}
        self._is_reloading = True
        try:
            super().reload()
        finally:
            self.WORKERS = workers
            self._is_reloading = False
        self.manage_workers()

    # --- workers ---

    def spawn_worker(self) -> int | None:
        """Start a worker; its process id. Not within `reload`: `manage_workers`, which follows, knows how many.

        Signals to end are blocked meanwhile. One to a new process that has the master's handlers still would be lost,
        and the master wait for a worker that does not know of it.
        """
        if self._is_reloading:
            return None
        files = self.app.worker_files
        if files is not None:
            files.begin_worker()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
        try:
            pid: int = super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if files is not None:
            files.note_worker(pid)
        return pid

    def kill_worker(self, pid: int, sig: int) -> None:
        """Send a signal to a worker."""
        if sig in (signal.SIGTERM, signal.SIGQUIT):
            self._stopping.add(pid)
        super().kill_worker(pid, sig)

    def manage_workers(self) -> None:
        """Start workers that are missing, as far as back-off lets, and stop those that others have replaced.

        Raises:
            HaltServer: the project could never be loaded.
        """
        if self._is_reloading:
            return
        self._take_reports()
        if self._fatal is not None and not self._has_served:
            print_failure(self._fatal.reason, self._fatal.traceback)
            raise HaltServer("The project cannot be loaded.", LOAD_FAILED)
        if len(self.WORKERS) == self.num_workers:
            super().manage_workers()  # which has none to start or to stop then, but writes gunicorn's metrics
        # Those that go first: outdated ones, then the oldest.
        serving = sorted(
            self.WORKERS.keys() - self._stopping, key=lambda pid: (pid not in self._outdated, self.WORKERS[pid].age)
        )
        for _ in range(self._missing(serving)):
            self.spawn_worker()
        ready = [pid for pid in serving if pid in self._ready]
        for pid in ready[: max(len(ready) - self.num_workers, 0)]:
            self.kill_worker(pid, signal.SIGTERM)

    def _missing(self, serving: list[int]) -> int:
        """The number of workers to start now."""
        missing: int = self.num_workers - sum(pid not in self._outdated for pid in serving)
        if time.monotonic() < self._next_try:
            return 0
        if not self._delay:
            return missing
        is_loading = any(pid not in self._ready for pid in serving)
        return 0 if is_loading else min(missing, 1)

    def reap_workers(self) -> None:
        """Take note of the workers that have ended, and of those that could not load the project."""
        before = dict(self.WORKERS)
        exited = {pid for pid in before.keys() - self._ready if _has_exited(pid)}
        super().reap_workers()
        self._take_reports()
        for pid in before.keys() - self.WORKERS.keys() - self._ready - self._stopping:
            unknown = WorkerReport(FAILED, pid, "a worker ended before it could serve, and did not say why")
            failure = self._failures.get(pid, unknown)
            if failure is unknown and pid not in exited:
                self._note_killed(pid)
            elif not self._has_served:
                self._fatal = failure
            else:
                self._back_off(failure, before[pid].age)
        for noted in (self._ready, self._outdated, self._stopping):
            noted.intersection_update(self.WORKERS)
        if self.app.worker_files is not None:
            self.app.worker_files.keep_only(self.WORKERS)
        self._failures = {pid: failure for pid, failure in self._failures.items() if pid in self.WORKERS}

    def _take_reports(self) -> None:
        for report in self.app.reports.receive():
            if report.kind == FAILED:
                self._failures[report.pid] = report
            elif report.kind == WORN:
                self._outdated.add(report.pid)
                logger.info("worker %d has served max_requests; it is replaced once another is ready", report.pid)
            elif report.kind == READY:
                self._ready.add(report.pid)
                self._has_served = True
                self._killed = 0
                if self._delay:
                    logger.info("the project can be loaded again; worker %d serves", report.pid)
                    self._delay = self._next_try = 0.0
                    self._said.clear()

    def _note_killed(self, pid: int) -> None:
        """Say that a signal ended a worker while it loaded, and start no more than one each second after several."""
        self._killed += 1
        if self._killed > self.num_workers:
            self._next_try = max(self._next_try, time.monotonic() + FIRST_DELAY)
        logger.warning(
            "worker %d was killed while it loaded the project; %d of %d workers serve; another one is started",
            pid, len(self._ready & self.WORKERS.keys()), self.num_workers,
        )  # fmt: skip

    def _back_off(self, failure: WorkerReport, age: int) -> None:
        """Say why a worker could not load the project, each different reason once, and when it is tried again."""
        failure = failure._replace(pid=0)
        is_known = failure in self._said
        if age > self._last_round or not self._delay:
            self._delay = min(max(2 * self._delay, FIRST_DELAY), LONGEST_DELAY)
            self._next_try = time.monotonic() + self._delay
            self._last_round = self.worker_age
        elif is_known:
            return  # it was started together with one that has said so
        still, reason = (" still", "") if is_known else ("", f": {failure.reason}")
        keys = {"exception": failure.traceback} if failure.traceback and not is_known else {}
        logger.error(
            "the project%s cannot be loaded%s; %d of %d workers serve; next try in %g s",
            still, reason, len(self._ready & self.WORKERS.keys()), self.num_workers, self._delay,
            extra={"keys": keys},
        )  # fmt: skip
        if not is_known:
            self._said.append(failure)


def _has_exited(pid: int) -> bool:
    """Return whether a child that was not waited for has ended by itself, not by a signal; it is left to be waited for.

    Where the system cannot tell (macOS before Python 3.13), each end counts.
    """
    if not hasattr(os, "waitid"):
        return True
    try:
        state = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # somebody has waited for it: a hook of the user's
        return True
    return state is not None and state.si_code == os.CLD_EXITED

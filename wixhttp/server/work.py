"""``wixhttp work``: processes that run deferred functions and jobs, and listen on no port.

A supervisor, which imports nothing of the user's, forks them, and replaces each that dies.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from dataclasses import fields, replace
from types import FrameType
from typing import Any, NoReturn

from wixhttp.concurrency.event_loop import background
from wixhttp.errors import ProjectError
from wixhttp.inbox.service import jobs_of
from wixhttp.logs.captured_prints import capture_prints
from wixhttp.logs.line_writer import LineWriter
from wixhttp.logs.setup import configure
from wixhttp.project.config import Config
from wixhttp.project.loader import NOT_LOADED
from wixhttp.project.opened_database import share
from wixhttp.services import load_served_site

from .project_setup import set_secrets, set_up, settle_collector
from .reports import FAILED, READY, WorkerReports, explanation, print_failure

NOTHING = (
    "the project has no @deferred function, no @job and no scheduled function, so there is nothing to work on; "
    "--project names another project"
)
_PLACES: Any = next(each.default for each in fields(Config) if each.name == "inbox_concurrency")
_LOOK = 0.1  # seconds between two looks at the processes
_ENDING = 5.0  # seconds after graceful_timeout in which a process ends by itself before it is killed
_SHORTEST, _LONGEST = 0.5, 30.0  # seconds until a process that could not load the project is replaced

logger = logging.getLogger("wixhttp")


def work(config: Config, processes: int) -> int:
    """Run the project's deferred functions and jobs in so many processes, until a signal ends it. The exit code: 3
    where the project cannot be loaded at first.

    Where the setting ``inbox_concurrency`` is 0, it is meant for ``wixhttp serve``: each runs as many as without it.
    """
    if not config.inbox_concurrency:
        config = replace(config, inbox_concurrency=_PLACES)
    configure(config.log_format, config.log_level, LineWriter())
    share()
    return _WorkMaster(config, processes).run()


class _WorkMaster:
    """The parent of the processes. ``SIGTERM`` and ``SIGINT`` end all in order, ``SIGHUP`` replaces all."""

    def __init__(self, config: Config, processes: int) -> None:
        self.config = config
        self.processes = processes
        self.reports = WorkerReports()
        self._living: set[int] = set()
        self._ready: set[int] = set()
        self._leaving: dict[int, float] = {}  # until when each may take to end
        self._ends = self._reloads = self._was_ready = False
        self._pause = 0.0
        self._start_at = 0.0

    def run(self) -> int:
        """Keep the processes running until a signal ends them; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)
        count = "1 process works" if self.processes == 1 else f"{self.processes} processes work"
        logger.info("%s on the inbox of %s", count, self.config.root)
        while not self._ends:
            if self._reloads:
                self._reloads = False
                self._dismiss()
            while len(self._living) < self.processes and time.monotonic() >= self._start_at and not self._ends:
                self._fork()
            failed = self._look()
            if failed is not None and not self._was_ready:
                self._end_all()
                print_failure(*failed)
                return NOT_LOADED
            time.sleep(_LOOK)
        self._end_all()
        return 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reloads = True
        else:
            self._ends = True

    def _fork(self) -> None:
        pid = os.fork()
        if not pid:
            _work_in_child(self.config, self.reports)
        self._living.add(pid)

    def _look(self) -> tuple[str, str] | None:
        """Note what the processes have said, and which have ended; why one could not load the project, if so."""
        failed = None
        for report in self.reports.receive():
            if report.kind == READY:
                self._ready.add(report.pid)
                self._was_ready, self._pause = True, 0.0
            elif report.kind == FAILED:
                failed = report.reason, report.traceback
        for pid in [*self._living, *self._leaving]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._note_end(pid, status)
        for pid in [pid for pid, end in self._leaving.items() if time.monotonic() > end]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if failed is not None and self._was_ready:
            self._back_off()
            logger.error("the project cannot be loaded: %s; tried again in %.1f seconds", failed[0], self._pause)
        return failed

    def _back_off(self) -> None:
        """Start none for a while, which is longer each time until one has loaded the project."""
        self._pause = min(max(2 * self._pause, _SHORTEST), _LONGEST)
        self._start_at = time.monotonic() + self._pause

    def _note_end(self, pid: int, status: int) -> None:
        was_ready = pid in self._ready
        self._ready.discard(pid)
        if self._leaving.pop(pid, None) is None:
            self._living.discard(pid)
            code = os.waitstatus_to_exitcode(status)
            if code != NOT_LOADED:
                how = f"by signal {-code}" if code < 0 else f"with code {code}"
                when = "and is replaced"
                if not was_ready:
                    self._back_off()
                    when = f"while it loaded the project, and is replaced in {self._pause:g} seconds"
                logger.error("process %d has ended %s, %s", pid, how, when)

    def _dismiss(self) -> None:
        """Tell all processes to end in order."""
        end = time.monotonic() + self.config.graceful_timeout + _ENDING
        for pid in self._living:
            os.kill(pid, signal.SIGTERM)
            self._leaving[pid] = end
        self._living.clear()

    def _end_all(self) -> None:
        self._dismiss()
        while self._leaving:
            self._look()
            time.sleep(0.02)


def _work_in_child(config: Config, reports: WorkerReports) -> NoReturn:
    """The life of one process."""
    parent, ends = os.getppid(), False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ends
        ends = True

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's, which tells its processes
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    capture_prints()
    try:
        set_secrets(config)
        set_up(config)
        service = jobs_of(load_served_site(config))
        if service is None:
            raise ProjectError(NOTHING)
    except Exception as error:  # noqa: BLE001  # whatever it is, the supervisor says it
        reports.send_failure(*explanation(error))
        sys.exit(NOT_LOADED)
    settle_collector()
    signal.signal(signal.SIGTERM, end)
    background.grace = config.graceful_timeout
    service.start()
    reports.send(READY)
    names = ", ".join(service.table.names)
    logger.info("process %d runs %s, %d at once", os.getpid(), names, service.places)
    while not ends and os.getppid() == parent:
        time.sleep(0.05)
    service.begin_stop()
    service.stop(config.graceful_timeout)
    sys.exit(0)

"""The parent of the development server's processes. It holds the socket, and never imports the user's code.

It has imported what a worker needs, so that a reload is a fork and the import of the project. Of itself it does little:
one thread, no event loop, no lock that a fork could copy. What is watched, loaded and served has processes of its own.

A change retires the worker that serves, and starts another. Meanwhile new connections wait in the socket's queue, and
those of the retired worker in that of the `Handover`. Where the next one is not ready within `PATIENCE` seconds, a
waiting worker answers 503.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import logging
import os
import secrets
import select
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import IO, Any

from wixhttp.errors import ProjectError
from wixhttp.logs.line_writer import LineWriter
from wixhttp.logs.setup import configure
from wixhttp.logs.tracebacks import is_runtime
from wixhttp.project.config import Config, load_development_config
from wixhttp.project.loader import NOT_LOADED
from wixhttp.project.misplaced_files import nothing_to_serve
from wixhttp.server.descriptors import raise_descriptor_limit
from wixhttp.server.listening import listen_on

from .control import AGAIN, IN_USE, LOADING, READY, RETIRE, RETIRED, STOP, TELL, ControlEnd
from .handover import Handover
from .watched_files import WatchedFiles, WatchPlan
from .watching import watch
from .worker import BACKLOG, Assignment, address_of, run_worker

PATIENCE = 10.0
"""Seconds for which requests wait for a worker that is loading."""

INTERRUPTED = 130  # the exit code after Ctrl-C

_STALE = 1.0  # seconds after which a load that a further change makes useless is ended; a shorter one is finished
_KILL_AFTER = 5.0  # seconds after the time that a worker has for something, until it is killed
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # but for those that nohup, or a shell, has it ignore
_QUICK = 1.0  # seconds that requests have to end after Ctrl-C
_BACK_OFF = (0.0, 0.5, 1.0, 2.0, 5.0)  # seconds until a worker that died is replaced: the first, the next in a row
_STABLE = 10.0  # seconds after which a worker that died was not one in a row
_MOST_FAULT = 20_000  # characters of what a process wrote when it crashed

# What a worker needs, imported before it is forked; what is not installed is no reason not to start.
_PRELOADED = (
    "asyncio", "uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.loops.uvloop", "wixhttp.asgi",
    "wixhttp.endpoints.loader",
    "wixhttp.endpoints.request_state", "wixhttp.endpoints.session", "wixhttp.data", "wixhttp.data.aio",
    "wixhttp.data.collections", "wixhttp.data.stores.sqlite", "wixhttp.dev.web.templates", "jinja2",
    "wixhttp.dev.inspector.application", "wixhttp.dev.failures.page", "wixhttp.fetch",
)  # fmt: skip

logger = logging.getLogger("wixhttp")


class _Forked(BaseException):
    """Raised in a new process, to leave the supervisor's code: ``task`` is what the process is to do."""

    def __init__(self, task: Callable[[], None]) -> None:
        super().__init__()
        self.task = task


class WorkerProcess:
    """A worker, as the supervisor sees it. Times are those of ``time.monotonic``; ``kill_at`` is when it is killed."""

    def __init__(self, pid: int, control: ControlEnd, life: socket.socket, faults: IO[bytes]) -> None:
        self.pid = pid
        self.control = control
        self.life = life  # whose end is that of the worker
        self.faults = faults  # what it writes when it crashes
        self.started = time.monotonic()
        self.ready_at = 0.0
        self.grace = 30.0
        self.kill_at = float("inf")
        self.was_aborted = False
        self.found_in_use = False  # an address that the project binds: a worker before it may hold it still
        self.changed: list[str] = []  # the files for whose change it was started

    def close(self) -> None:
        """Close what the supervisor has of it."""
        self.control.close()
        self.life.close()
        self.faults.close()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Supervisor:
    """The processes of one ``wixhttp dev``, by the settings ``config``, as ``flags`` made them.

    Raises:
        ProjectError: there is nothing that looks like a project.
        OSError: the address cannot be bound.
    """

    def __init__(self, config: Config, flags: dict[str, Any], *, opens_browser: bool = False) -> None:
        self.root = config.root
        _check_is_project(config)
        self.listener = listen_on(config.host, config.port, backlog=BACKLOG)
        port = self.listener.getsockname()[1]
        self.config = replace(config, port=port)
        self.flags = {**flags, "host": config.host, "port": port}
        self.token = secrets.token_urlsafe(24)
        self.handover = Handover()
        self.generation = int(time.time())  # another one after a restart, which open pages notice as well
        self.serving: WorkerProcess | None = None
        self.loading: WorkerProcess | None = None
        self.waiting: WorkerProcess | None = None
        self.retired: set[WorkerProcess] = set()
        self._answering: WorkerProcess | None = None  # the one that waited, until it answers no further request
        self.changed: list[str] = []  # files that the worker that loads does not know
        self.since = self._changed_at = time.monotonic()  # since when requests wait, and these files have changed
        self._told: frozenset[str] = frozenset()
        self._failure = ""  # for which the project could not be loaded last
        self._failure_told = ""  # the failure that the worker which loads need not tell again
        self._awaits_end = False  # of retired workers, one of which may hold an address that the project binds
        self._handled = [number for number in _ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
        self._has_served = False
        self._deaths = 0  # of workers that served, in a row
        self._restart_at = float("inf")
        self._opens_browser = opens_browser
        self._signals: list[int] = []
        self._stopping = 0  # the signal that ends it
        self._stop_by = float("inf")
        self._watch_pid = 0
        self._watch_pipe = -1
        self._watch_rest = b""
        self._wake, self._woken = os.pipe()
        for descriptor in (self._wake, self._woken):
            os.set_blocking(descriptor, False)

    # --- the loop ---

    def run(self) -> int:
        """Serve until a signal ends it, and return the exit code. It also returns in processes that are forked here,
        once they have done what they are for."""
        raise_descriptor_limit()
        _preload()
        try:
            return self._supervise()
        except _Forked as forked:
            task = forked.task
        task()
        return 0

    def _supervise(self) -> int:
        files = WatchedFiles(WatchPlan.of(self.config))
        for number in (*self._handled, signal.SIGCHLD):
            signal.signal(number, self._note_signal)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        gc.freeze()  # a new process need not look at what it did not make
        self._start_watching(files)
        self._load()
        while not (self._stopping and not self._workers()):
            self._wait()
            self._heed_signals()
            self._reap()
            for worker in self._workers():
                self._take_messages(worker)
            self._take_changes()
            self._look_at_clock()
        if self._watch_pid:
            os.kill(self._watch_pid, signal.SIGKILL)
        return INTERRUPTED if self._stopping == signal.SIGINT else 0

    def _workers(self) -> list[WorkerProcess]:
        current = (self.serving, self.loading, self.waiting)
        return [worker for worker in (*current, *self.retired) if worker is not None]

    def _wait(self) -> None:
        """Wait until something happens, or it is time for something."""
        sources = [self._wake, *([self._watch_pipe] if self._watch_pipe >= 0 else [])]
        sources += [worker.control.socket.fileno() for worker in self._workers() if not worker.control.has_ended]
        times = [self._restart_at, self._stop_by, *(worker.kill_at for worker in self._workers())]
        if self._awaits_end:
            times.append(self.since + PATIENCE)
        if self.loading is not None:
            if self.waiting is None:
                times.append(self.since + PATIENCE)
            if self.changed:
                times.append(self.loading.started + _STALE)
        left = min(times) - time.monotonic()
        select.select(sources, [], [], None if left == float("inf") else max(left, 0.0))

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        if self._stopping:
            if now >= self._stop_by:
                for worker in self._workers():
                    worker.kill()
                self._stop_by = now + 1.0
            return
        for worker in self._workers():
            if now >= worker.kill_at:
                # An import that does not end: by the first signal faulthandler writes where it is.
                worker.kill(signal.SIGABRT if worker is self.loading and not worker.was_aborted else signal.SIGKILL)
                worker.was_aborted = True
                worker.kill_at = now + _KILL_AFTER
        loading = self.loading
        if loading is not None and self.changed and now >= loading.started + _STALE:
            loading.kill()
            self.retired.add(loading)
            self._add_changes_of(loading)
            self._load()
        elif loading is not None and self.waiting is None and now >= self.since + PATIENCE:
            self.waiting = self._start(is_waiting=True)
        elif loading is None and (now >= self._restart_at or self._has_awaited_end(now)):
            self._load(failure_told=self._failure_told)

    def _has_awaited_end(self, now: float) -> bool:
        return self._awaits_end and (not self.retired or now >= self.since + PATIENCE)

    # --- signals ---

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _heed_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 4096):
                pass
        signals, self._signals = self._signals, []
        for number in signals:
            if number != signal.SIGCHLD:
                self._stop(number)

    def _stop(self, number: int) -> None:
        """Have all workers end; at once, where that was asked for before."""
        if self._stopping:
            self._stop_by = 0.0
            return
        self._stopping = number
        is_quick = number == signal.SIGINT
        seconds = _QUICK if is_quick else self.config.graceful_timeout
        self._stop_by = time.monotonic() + seconds + (_QUICK if is_quick else _KILL_AFTER)
        for worker in self._workers():
            if worker.ready_at:
                worker.control.send(STOP, seconds=seconds)
            else:
                worker.kill()

    # --- workers ---

    def _load(self, fault: str = "", failure_told: str = "") -> None:
        """Start a worker that loads the project, in place of the one that serves."""
        self.generation += 1
        self._restart_at = float("inf")
        self._awaits_end = False
        self._failure_told = failure_told
        changed, self.changed = self.changed, []
        if changed:
            self._deaths = 0
        if self.serving is not None:
            self._retire(self.serving)
            self.serving = None
        may_wait = bool(self.retired) and time.monotonic() < self.since + PATIENCE
        self.loading = self._start(changed=changed, fault=fault, failure_told=failure_told, may_wait=may_wait)
        self.loading.changed = changed

    def _start(self, **values: Any) -> WorkerProcess:
        """Start a worker; ``values`` are those of its `Assignment`."""
        ours, theirs = ControlEnd.pair()
        our_life, their_life = socket.socketpair()
        faults = tempfile.TemporaryFile()  # noqa: SIM115  # for as long as the worker lives
        assignment = Assignment(
            self.root, self.flags, self.listener, self.handover, theirs, their_life, faults, self.token,
            self.generation, self.since, told=self._told, is_first=not self._has_served, **values,
        )  # fmt: skip

        def work() -> None:
            ours.close()
            our_life.close()
            run_worker(assignment)

        pid = self._fork(work)
        theirs.close()
        their_life.close()
        return WorkerProcess(pid, ours, our_life, faults)

    def _fork(self, task: Callable[[], None]) -> int:
        """Start a process that does something, with none of the supervisor's own descriptors; its id."""
        pid = os.fork()
        if pid:
            return pid
        signal.set_wakeup_fd(-1)
        for number in {*self._handled, signal.SIGCHLD} - {signal.SIGINT}:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for worker in self._workers():
            worker.close()
        for descriptor in {self._wake, self._woken, self._watch_pipe} - {-1}:
            os.close(descriptor)
        raise _Forked(task)

    def _retire(self, worker: WorkerProcess) -> None:
        worker.kill_at = time.monotonic() + worker.grace + _KILL_AFTER
        if worker is self.serving and self._answering is not None:
            self._tell()
        worker.control.send(RETIRE)
        self.retired.add(worker)

    def _take_messages(self, worker: WorkerProcess) -> None:
        for message in worker.control.receive():
            if message["kind"] == LOADING:
                worker.grace = message["graceful_timeout"]
                if worker is self.loading and message["import_timeout"]:
                    # It ends an import by itself, each module's: this is for one that is stuck outside of Python.
                    worker.kill_at = time.monotonic() + 2 * message["import_timeout"] + _KILL_AFTER
            elif message["kind"] == READY:
                worker.ready_at = time.monotonic()
                if worker is self.loading:
                    self._failure = message["failure"]
                    self._take_over(worker, frozenset(message["told"]))
            elif message["kind"] == RETIRED and worker is self._answering:
                self._tell()
            elif message["kind"] == IN_USE:
                worker.found_in_use = True
                self._told = frozenset(message["told"])
            elif message["kind"] == AGAIN and worker is self.serving and not self._stopping:
                self.since = time.monotonic()
                self._load(failure_told=self._failure)

    def _take_over(self, worker: WorkerProcess, told: frozenset[str]) -> None:
        """The worker that was loading serves now."""
        self.loading, self.serving = None, worker
        self._has_served = True
        worker.kill_at = float("inf")
        self._told = told
        self._answering, self.waiting = self.waiting, None
        if self._answering is not None:
            self._retire(self._answering)
        else:
            self._tell()
        if self._stopping:
            worker.control.send(STOP, seconds=_QUICK)
        elif self.changed:
            self.since = self._changed_at
            self._load()
        if self._opens_browser:
            self._opens_browser = False
            self._fork(self._open_browser)

    def _tell(self) -> None:
        """Have the worker that serves say so: no other answers any more."""
        self._answering = None
        if self.serving is not None:
            self.serving.control.send(TELL)

    def _open_browser(self) -> None:
        """Open the inspector in the user's browser, which writes nothing on this terminal."""
        import webbrowser

        self.listener.close()
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nothing, descriptor)
        webbrowser.open(f"{address_of(self.config)}/_wixhttp/")

    def _reap(self) -> None:
        """Take note of the processes that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self._watch_pid and self._stopping:
                self._watch_pid = 0  # a signal to the whole group has ended it
            elif pid == self._watch_pid:
                logger.error("the process that watches the files has ended (%s); it is started again", _how(status))
                os.close(self._watch_pipe)
                self._start_watching(WatchedFiles(WatchPlan.of(self.config)))
                continue
            for worker in self._workers():
                if worker.pid == pid:
                    self._take_messages(worker)
                    self._bury(worker, status)

    def _bury(self, worker: WorkerProcess, status: int) -> None:
        """A worker has ended."""
        fault = _fault_of(worker, status)
        worker.close()
        self.retired.discard(worker)
        if worker is self._answering:
            self._tell()
        if worker is self.waiting:
            self.waiting = None
        elif worker is self.loading:
            self.loading = None
            if self.changed:
                fault = ""
            self._add_changes_of(worker)
            if self._stopping:
                return
            if worker.found_in_use:
                self._awaits_end = True  # `_look_at_clock` looks whether there is anything to wait for
            else:
                self._load(fault)
        elif worker is self.serving:
            self.serving = None
            if not self._stopping:
                self._replace(worker, fault)

    def _add_changes_of(self, worker: WorkerProcess) -> None:
        """Take the changes back that a worker was started for, and which it does not serve."""
        self.changed = worker.changed + [path for path in self.changed if path not in worker.changed]

    def _replace(self, worker: WorkerProcess, fault: str) -> None:
        """Start another worker for one that died while it served; not at once, where that happens again and again."""
        now = self.since = time.monotonic()
        self._deaths = 1 if now - worker.ready_at > _STABLE else self._deaths + 1
        pause = _BACK_OFF[min(self._deaths, len(_BACK_OFF)) - 1]
        how, _, crash = fault.partition("\n")
        again = f" in {pause:g} s" if pause else ""
        keys = {"exception": crash} if crash else {}
        logger.error("the worker %s; another one is started%s", how, again, extra={"keys": keys})
        if pause:
            self._restart_at = now + pause
        else:
            self._load()

    # --- changes ---

    def _start_watching(self, files: WatchedFiles) -> None:
        self._watch_pipe, told = os.pipe()
        os.set_blocking(self._watch_pipe, False)
        self._watch_rest = b""

        def look_after_files() -> None:
            self.listener.close()
            watch(files, told)

        self._watch_pid = self._fork(look_after_files)
        os.close(told)

    def _take_changes(self) -> None:
        for message in self._watch_messages():
            if "by" in message:
                self._tell_how(message["by"], message["why"])
            elif not self._stopping:
                self._note_changes(message["changed"], message["at"])

    def _watch_messages(self) -> list[dict[str, Any]]:
        lines: list[bytes] = []
        try:
            while part := os.read(self._watch_pipe, 65_536):
                *whole, self._watch_rest = (self._watch_rest + part).split(b"\n")
                lines += whole
        except BlockingIOError:
            pass
        return [json.loads(line) for line in lines]

    def _note_changes(self, changed: list[str], at: float) -> None:
        if not self.changed:
            self._changed_at = at
        self.changed += [path for path in changed if path not in self.changed]
        if self.loading is None:
            self.since = at
            self._load()

    def _tell_how(self, by: str, why: str) -> None:
        if by == "polling":
            remedy = "; run: pip install 'wixhttp[dev]'" if "not installed" in why else ""
            logger.warning("changed files are looked for four times a second: %s%s", why, remedy)
        else:
            logger.info("files are watched: a save is served at once (%s)", by)


def supervise(config: Config, flags: dict[str, Any], *, opens_browser: bool = False) -> int:
    """Run ``wixhttp dev`` and return its exit code. Raises as `Supervisor`."""
    configure(config.log_format, config.log_level, LineWriter())
    supervisor = Supervisor(config, flags, opens_browser=opens_browser)
    if not _is_loopback(config.host):
        logger.warning(
            "other machines can reach this server; the pages below /_wixhttp/ and the details of errors are shown to "
            "this one alone (setting dev_allow)"
        )
    return supervisor.run()


def settings_to_start(root: str | None, flags: dict[str, Any]) -> Config:
    """The settings by which the supervisor starts; those of flags and environment alone, where the file is wrong: the
    error page says so.

    Raises:
        ConfigError: a flag or a variable is wrong, or there is no such folder.
    """
    try:
        return load_development_config(root, flags=flags)
    except ProjectError:
        return load_development_config(root, flags=flags, reads_file=False)


def _check_is_project(config: Config) -> None:
    """Raise ProjectError for a folder in which nothing looks like a project: all of it would be watched."""
    root = config.root
    middleware = config.pages.parent / "middleware.py"
    places = (root / "backend", root / "public", root / "wixhttp.toml", config.pages, middleware)
    if not any(place.exists() for place in places):
        raise ProjectError(nothing_to_serve(root))


def _preload() -> None:
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _is_loopback(host: str) -> bool:
    return host.strip("[]") in ("localhost", "::1") or host.startswith("127.")


def _how(status: int) -> str:
    """The way in which a process ended, by its status as ``os.waitpid`` has it."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"was ended by {signal.Signals(number).name if number in set(signal.Signals) else f'signal {number}'}"
    return f"ended with exit code {os.WEXITSTATUS(status)}"


def _fault_of(worker: WorkerProcess, status: int) -> str:
    """The way in which a worker ended, and what it wrote of it when it crashed."""
    how = _how(status)
    if not worker.ready_at:
        how = f"the process that imports the project {how}"
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if worker.was_aborted:
            how += ": the import does not end, in code that is not Python's (setting import_timeout)"
        elif number in (signal.SIGTERM, signal.SIGKILL):
            how += ", which another process sent, or the system, where there is no more memory"
        elif number:
            how += ": it crashed in code that is not Python's"
        elif os.WEXITSTATUS(status) == NOT_LOADED:
            how += ": the import does not end, and catches all that would end it (setting import_timeout)"
        else:
            how += ": something calls os._exit() at import, or standard error says why"
    worker.faults.seek(0)
    lines = worker.faults.read(_MOST_FAULT).decode("utf-8", "replace").splitlines()
    return "\n".join([how, *filter(_is_of_interest, lines)])


def _is_of_interest(line: str) -> bool:
    """Return whether a line that faulthandler has written says what the user's code did."""
    file = line.strip().removeprefix('File "')
    return bool(file) and not (
        is_runtime(file)
        or f"{os.sep}site-packages{os.sep}" in file
        or "<frozen " in file
        or file.startswith("Extension modules:")
    )

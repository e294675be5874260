"""A worker of the development server: the process that imports the project once, and serves it until it is replaced.

Where the project cannot be loaded the same process serves the error page.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import errno
import faulthandler
import fcntl
import functools
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any, NamedTuple

from wixhttp.asgi import ASGIApplication
from wixhttp.concurrency.strayed import end_strayed
from wixhttp.dispatch.app import App
from wixhttp.dispatch.site import Site
from wixhttp.errors import ProjectError
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response
from wixhttp.logs.access_log import AccessLog
from wixhttp.logs.captured_prints import capture_prints
from wixhttp.logs.line_writer import LineWriter
from wixhttp.logs.setup import configure, is_json
from wixhttp.project.config import Config, load_development_config
from wixhttp.project.loader import ImportTimeout
from wixhttp.server.limits import Limits
from wixhttp.server.project_setup import readiness_of, set_secrets, set_up, settle_collector
from wixhttp.server.worker_server import WorkerServer
from wixhttp.services import load_served_site, missing_for_senders

from .application import NO_PAGES, DevelopmentApplication, StandInApp, still_loading
from .control import AGAIN, IN_USE, LOADING, READY, RETIRE, RETIRED, STOP, TELL, ControlEnd
from .failures.page import ErrorPage, failure_page
from .failures.report import report_of
from .forks import ForkedProcesses
from .fresh_imports import import_from_source
from .handover import DevelopmentServerConfig, Handover, Retirement, ServedConnection
from .traffic.store import RequestStore
from .watched_files import WatchPlan
from .web.context import DevelopmentContext
from .web.templates import are_installed

BACKLOG = 2048  # connections that wait in the socket's queue while the project is loaded
_FOLDER = ".wixhttp"
_THREADS_END = 2.0  # seconds that a worker which has nothing left to serve waits for threads of the user's
_AGAIN = 1.0  # seconds for which a project that could not be loaded is not loaded again, unless a file changes
_MOST_FAILURE = 2_000  # characters of a failure, by which it is known again
_IN_USE_TEXT = os.strerror(errno.EADDRINUSE)

_Answer = Callable[[Head], Response]

logger = logging.getLogger("wixhttp")


@dataclass
class Assignment:
    """The task of a worker, and what it is given for it.

    ``changed`` are the files that have, noticed at the time ``since`` of ``time.monotonic``. ``fault`` is the reason
    for which the worker before died while it loaded the project: this one serves the error page for it. One that
    ``is_waiting`` answers only that the project is still being loaded. ``is_first``: no worker has served yet. ``told``
    are warnings that are in the log already, ``failure_told`` is the failure that is. ``may_wait``: a worker before
    this one has not ended yet, and there is time to wait until it has.
    """

    root: Path
    flags: dict[str, Any]
    listener: socket.socket
    handover: Handover
    control: ControlEnd
    life: socket.socket
    faults: IO[bytes]
    token: str
    generation: int
    since: float
    changed: list[str] = field(default_factory=list)
    fault: str = ""
    is_waiting: bool = False
    is_first: bool = False
    told: frozenset[str] = frozenset()
    failure_told: str = ""
    may_wait: bool = False


class ConnectionSettings(NamedTuple):
    """The settings of connections that are gunicorn's in production."""

    limit_request_line: int = 8190
    limit_request_field_size: int = 8190
    limit_request_fields: int = 100
    worker_connections: int = 16_384
    keepalive: int = 75
    forwarded_allow_ips: tuple[str, ...] = ()
    secure_scheme_headers: dict[str, str] = {}  # noqa: RUF012  # whom to believe is trusted_proxies' to say


def run_worker(assignment: Assignment) -> None:
    """Load the project, serve it, and return once this worker is replaced or stopped."""
    _end_with_supervisor(assignment.life)
    faulthandler.enable(assignment.faults, all_threads=False)
    held = _HeldDescriptors(assignment)
    forks, pid = ForkedProcesses(held), os.getpid()
    error: BaseException | None = None
    try:
        config = load_development_config(assignment.root, flags=assignment.flags)
    except ProjectError as wrong:
        error = wrong
        config = load_development_config(assignment.root, flags=assignment.flags, reads_file=False)
    import_from_source(config.root, *WatchPlan.of(config).places)
    writer = LineWriter()
    configure(config.log_format, config.log_level, writer)
    capture_prints()
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # the lines of `_tell` say more
    is_quiet = config.log_level not in ("debug", "info")
    access = None if is_quiet else AccessLog(writer, is_json(config.log_format))
    timeouts = {"import_timeout": config.import_timeout, "graceful_timeout": config.graceful_timeout}
    assignment.control.send(LOADING, **timeouts)
    if assignment.fault:
        error = error or ProjectError(assignment.fault)
    store = RequestStore(assignment.root / _FOLDER)
    context = DevelopmentContext(config, store, assignment.token, assignment.generation)
    warnings = _Warnings(assignment.told)
    app: App
    if assignment.is_waiting:
        app = StandInApp(config, access, still_loading)
    else:
        with warnings:
            site, is_used, error = _load(config, error)
        end_strayed(pid)
        if error is not None and assignment.may_wait and _is_address_in_use(error):
            assignment.control.send(IN_USE, told=sorted(warnings.now))
            forks.terminate()
            _leave(0.0)
            return
        if site is not None:
            context.site = site
            app = context.app = App(site, access, readiness_of(site, is_used=is_used), on_failure=ErrorPage(context))
        else:
            assert error is not None  # noqa: S101  # there is one of both
            context.failure = report_of(error, config.root, secrets_file=config.secrets_file)
            answer = functools.partial(failure_page, context)
            app = StandInApp(config, access, answer if assignment.fault else _asking(assignment.control, error, answer))
    settle_collector()
    report = functools.partial(_report, assignment, error, warnings)
    server = _server(assignment, context, app, report, functools.partial(_tell, assignment, context, error))
    held.connections = server.server_state.connections
    server.run([assignment.listener])
    store.close()
    forks.terminate()
    _leave(min(_THREADS_END, server.config.grace / 2))


def _load(config: Config, error: BaseException | None) -> tuple[Site | None, bool, BaseException | None]:
    """The site, whether it uses collections, and the error for which there is none."""
    try:
        set_secrets(config)
        if error is None:
            is_used = set_up(config)
            site = load_served_site(config)
            of_endpoints = site.endpoints.startup_warnings() if site.endpoints is not None else ()
            for warning in (*of_endpoints, *missing_for_senders(site)):
                logger.warning("%s", warning)
            return site, is_used, None
    except BaseException as failed:  # noqa: BLE001  # whatever the user's code raises, it ends nothing
        error = error or failed
    return None, False, error


def _is_address_in_use(error: BaseException) -> bool:
    """Return whether an error is, or came of, an address that another process has."""
    seen: BaseException | None = error
    while seen is not None:
        if (isinstance(seen, OSError) and seen.errno == errno.EADDRINUSE) or _IN_USE_TEXT in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _asking(control: ControlEnd, error: BaseException, answer: _Answer) -> _Answer:
    """The answer in place of a site that cannot be loaded. Where somebody asks for a page, the supervisor learns it: a
    module may be installed by now, a service be reachable. Only a save mends a syntax error, or an import that does not
    end."""
    may_ask = not isinstance(error.__cause__ or error, (SyntaxError, ImportTimeout))
    again_at = time.monotonic() + _AGAIN

    def answered(head: Head) -> Response:
        nonlocal may_ask
        if may_ask and time.monotonic() >= again_at and head.method == "GET" and _is_of_browser(head):
            may_ask = False
            control.send(AGAIN)
        return answer(head)

    return answered


def _is_of_browser(head: Head) -> bool:
    return "text/html" in (head.header("accept") or "").lower()


class _HeldDescriptors:
    """The descriptors of a worker that a forked process is not to have: those of its sockets."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self.connections: Any = ()

    def __call__(self) -> list[int]:
        """Those that are open."""
        its = self._assignment
        clients = [connection.transport.get_extra_info("socket") for connection in self.connections]
        sockets = (its.listener, its.control.socket, its.life, *(client for client in clients if client is not None))
        return [*its.handover.descriptors, *(each.fileno() for each in sockets)]


def _leave(seconds: float) -> None:
    """Let this process end in order, as any of Python; but wait no longer than ``seconds`` for threads of the user's
    that are no daemons: they may never end, and there is nothing left that they are for."""
    has_begun = threading.Event()
    atexit.register(has_begun.set)  # the last one to be registered is called first, once no thread is waited for

    def end() -> None:
        if not has_begun.wait(seconds):
            atexit._run_exitfuncs()
            os._exit(0)

    threading.Thread(target=end, name="wixhttp-end", daemon=True).start()


# --- what the terminal says ------------------------------------------------------------------------------------------


class _Warnings(logging.Filter):
    """Warnings while the project is loaded: those that an earlier worker has told are not told again. ``now`` are all
    of them. It is in place within a ``with`` block."""

    _NAMES = ("wixhttp", "wixhttp.endpoints", "py.warnings")

    def __init__(self, told: frozenset[str]) -> None:
        super().__init__()
        self._told = told
        self.now: set[str] = set()

    def __enter__(self) -> None:
        for name in self._NAMES:
            logging.getLogger(name).addFilter(self)

    def __exit__(self, *raised: object) -> None:
        for name in self._NAMES:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be written."""
        if record.levelno != logging.WARNING:
            return True
        text = record.getMessage()
        self.now.add(text)
        return text not in self._told


def _report(assignment: Assignment, error: BaseException | None, warnings: _Warnings) -> None:
    """Tell the supervisor that this worker accepts connections."""
    assignment.control.send(READY, told=sorted(warnings.now), failure=_failure_of(error))
    if assignment.is_waiting:
        logger.warning("the project is still being loaded; until it is, requests are answered 503")


def _failure_of(error: BaseException | None) -> str:
    return "" if error is None else str(error)[:_MOST_FAILURE]


def _tell(assignment: Assignment, context: DevelopmentContext, error: BaseException | None) -> None:
    """Tell the terminal of what this worker serves."""
    address = address_of(context.config)
    milliseconds = (time.monotonic() - assignment.since) * 1000
    if error is not None and _failure_of(error) == assignment.failure_told:
        return
    if error is not None:
        cause = error.__cause__ if isinstance(error, ProjectError) else error
        reason, _, crash = str(error).partition("\n")
        keys = {"exception": crash} if crash and cause is None else {}
        logger.error("the project cannot be loaded: %s", reason, exc_info=cause, extra={"keys": keys})
    for route in context.site.endpoints.routes if context.site is not None and context.site.endpoints else ():
        if route.broken is not None and route.broken.__cause__ is not None:
            logger.error("%s cannot be loaded", route.file_name, exc_info=route.broken.__cause__)
    if assignment.changed:
        files = ", ".join(assignment.changed[:3]) + (" and others" if len(assignment.changed) > 3 else "")
        state = "reloaded" if error is None else "waiting for it to be mended:"
        logger.info("%s %s in %.0f ms", state, files, milliseconds)
    elif assignment.is_first:
        if context.site is not None:
            logger.info("%s of %s at %s/", context.site.summary, context.config.root, address)
        else:
            logger.info("the error page is at %s/", address)
        logger.info("the inspector is at %s/_wixhttp/", address)
        if not are_installed():
            logger.warning("%s", NO_PAGES)
    elif error is None:
        logger.info("the project is served again, after %.0f ms", milliseconds)


def address_of(config: Config) -> str:
    """The URL of the server for this machine, without a slash at its end."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104  # to be shown
    return f"http://{f'[{host}]' if ':' in host else host}:{config.port}"


# --- the server ------------------------------------------------------------------------------------------------------


def _server(
    assignment: Assignment,
    context: DevelopmentContext,
    app: App,
    report: Callable[[], None],
    tell: Callable[[], None],
) -> DevelopmentServer:
    site = ASGIApplication(app)
    config = DevelopmentServerConfig(
        DevelopmentApplication(site, context),
        Retirement(assignment.handover),
        site,
        Limits(context.config, ConnectionSettings()),
        context.config.graceful_timeout,
        loop="auto",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        date_header=False,
        server_header=False,
        backlog=BACKLOG,
    )
    return DevelopmentServer(config, assignment.control, report, tell)


class DevelopmentServer(WorkerServer):
    """The server of a worker that the supervisor replaces: it takes over the connections of the one before, and hands
    its own to the one after. ``report`` is called once it accepts connections, ``tell`` once no other worker answers
    requests."""

    PAUSE = 0.01
    config: DevelopmentServerConfig

    def __init__(
        self,
        config: DevelopmentServerConfig,
        control: ControlEnd,
        report: Callable[[], None],
        tell: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self.control = control
        self.report = report
        self.tell = tell
        self._pid = os.getpid()
        self._adopting: set[asyncio.Task[Any]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections: new ones, and those of the worker before."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        loop.add_reader(self.control.socket.fileno(), self._obey)
        loop.add_reader(self.config.retirement.handover.receiver.fileno(), self._adopt)
        self.report()

    def _adopt(self) -> None:
        loop = asyncio.get_running_loop()
        for adopted, unserved in self.config.retirement.handover.receive():
            adopted.setblocking(False)
            make = functools.partial(self._make, unserved)
            task = loop.create_task(loop.connect_accepted_socket(make, adopted))
            self._adopting.add(task)
            task.add_done_callback(self._adopted)

    def _adopted(self, task: asyncio.Task[Any]) -> None:
        self._adopting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.debug("a client left while its connection was handed over: %s", error)

    def _make(self, unserved: bytes) -> ServedConnection:
        loop = asyncio.get_running_loop()
        connection = ServedConnection(self.config, self.server_state, self.lifespan.state, loop)
        connection.unserved = unserved
        return connection

    def _obey(self) -> None:
        """Do what the supervisor says. Where it has ended, so does this worker."""
        for message in self.control.receive():
            if message["kind"] == TELL:
                self.tell()
            elif message["kind"] == RETIRE:
                self._retire()
            elif message["kind"] == STOP:
                self.config.grace = message["seconds"]
                self._accept_no_more()
        if self.control.has_ended:
            self.force_exit = True
            self._accept_no_more()

    def _retire(self) -> None:
        self.config.retirement.has_begun = True
        self._accept_no_more()
        for connection in list(self.connections):
            connection.shutdown()
        self.control.send(RETIRED)

    def _accept_no_more(self) -> None:
        self.should_exit = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.config.retirement.handover.receiver.fileno())
        if self.control.has_ended:
            loop.remove_reader(self.control.socket.fileno())
        for server in self.servers:
            server.close()

    async def on_tick(self, counter: int) -> bool:
        """Called every 0.1 seconds. Return whether it is time to stop."""
        end_strayed(self._pid)
        return await super().on_tick(counter)

    def look(self) -> None:
        """End the connections whose time is up; hand over those that are between two requests by now."""
        super().look()
        if self.config.retirement.has_begun:
            for connection in list(self.connections):
                connection.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop on SIGTERM. Ctrl-C is for the supervisor, which tells its workers."""
        if sig != signal.SIGINT:
            super().handle_exit(sig, frame)


def _end_with_supervisor(life: socket.socket) -> None:
    """Have the system end this process when the supervisor is gone, which has the other end of ``life``: this one may
    be busy, with an import or in a handler, and not look by itself. Ctrl-C is the supervisor's to act on."""
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGIO, lambda number, frame: os._exit(1))
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    if hasattr(fcntl, "F_SETSIG"):  # then it is ended even where code that is not Python's never returns
        fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        life.recv(1)  # nothing is ever sent
        os._exit(1)

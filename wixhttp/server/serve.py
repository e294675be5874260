"""``wixhttp serve``: gunicorn inside this process, set up for the project and open to gunicorn's own options."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from gunicorn import glogging
from gunicorn.app import base
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from wixhttp.dispatch.app import App
from wixhttp.dispatch.site import load_site
from wixhttp.dispatch.stream_chunks import StreamBroken
from wixhttp.errors import ProjectError
from wixhttp.logs.access_log import AccessLog
from wixhttp.logs.captured_prints import capture_prints
from wixhttp.logs.formats import format_exception
from wixhttp.logs.line_writer import LineWriter
from wixhttp.logs.masking import masked
from wixhttp.logs.setup import configure, is_json
from wixhttp.project.active_config import has_collections, open_later
from wixhttp.project.config import Config, forwarded_allow_ips_are_set, sockets_are_inherited
from wixhttp.secrets import SecretStore, set_default_store

from .readiness import Readiness

WSGI_WORKERS = ("gthread", "gevent", "sync")
LOAD_FAILED = 3  # gunicorn's own code for a worker that cannot boot, which ends the server
INTERRUPTED = 130
_ENDINGS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)
_DESCRIPTORS = 65_536
GC_THRESHOLD = 10_000  # objects made and not freed between two looks at the youngest
_LAST_PORT = 65_535
_FOREVER = 86_400  # seconds, where a setting says "no limit"
_REPORT_SIZE = 60_000  # bytes of a traceback that are passed on
_ENDING = 5  # seconds after graceful_timeout in which a worker ends by itself before it is killed

logger = logging.getLogger("wixhttp")


def serve(config: Config, gunicorn_options: Sequence[str] = ()) -> None:
    """Serve the project until a signal ends it. Does not return: it exits, with 3 where the project cannot load.

    ``gunicorn_options`` are gunicorn's own, as on its command line; they win over ``GUNICORN_CMD_ARGS``, which wins
    over the project's settings.

    Raises:
        ProjectError: the worker class cannot be loaded: it needs a package that is not there.
        OSError: an address is in use, or cannot be bound.
    """
    writer = LineWriter()
    configure(config.log_format, config.log_level, writer)
    _raise_descriptor_limit()
    server = Server(config, tuple(gunicorn_options), writer)
    cfg = server.cfg
    _load_worker_class(cfg)
    if not (cfg.print_config or cfg.check_config or cfg.reuse_port or sockets_are_inherited()):
        for address in cfg.address:
            _try_address(address)
    server.run()


class Server(base.Application):  # type: ignore[misc]  # gunicorn has no types for it
    """The gunicorn application: settings from the project, and its dispatcher loaded in each worker."""

    def __init__(self, config: Config, options: tuple[str, ...], writer: LineWriter) -> None:
        self.config = config
        self.options = options
        self.writer = writer
        # A worker that cannot load the project tells the master why, which says it once for all of them.
        self._reports, self._report = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._reports.setblocking(False)
        self._report.setblocking(False)
        self._made_in = os.getpid()
        super().__init__(usage="wixhttp serve [OPTIONS] -- [GUNICORN OPTIONS]", prog="wixhttp serve")

    def load_config(self) -> None:
        """Set gunicorn's settings: the project's, then those of ``GUNICORN_CMD_ARGS``, then of the command line."""
        for name, value in settings(self.config).items():
            self.cfg.set(name, value)
        parser = self.cfg.parser()
        given: set[str] = set()
        for words in (self.cfg.get_cmd_args_from_env(), list(self.options)):
            given |= self._take(parser, parser.parse_args(words))
        _check_addresses(self.cfg, parser)
        if not (forwarded_allow_ips_are_set() or given & {"forwarded_allow_ips", "secure_scheme_headers"}):
            self.cfg.set("secure_scheme_headers", {})  # whom to believe is trusted_proxies' to say
        self.grace = self.cfg.graceful_timeout
        if not self.cfg.print_config:
            self.cfg.set("graceful_timeout", self.grace + _ENDING)

    def _take(self, parser: Any, arguments: Any) -> set[str]:
        """Set gunicorn's settings as these arguments, and the file they name, have them; the names of those given."""
        if arguments.args:
            parser.error(f"wixhttp serves its own application; leave out {arguments.args[0]!r}")
        given = set(self.load_config_from_file(arguments.config)) if arguments.config else set()
        for name, value in vars(arguments).items():
            if value is not None and name not in ("args", "config"):
                try:
                    self.cfg.set(name.lower(), value)
                except (TypeError, ValueError) as error:
                    parser.error(f"{name}: {error}")
                given.add(name)
        return given

    def load(self) -> Any:
        """The application of one worker, in that worker."""
        capture_prints()
        self.cfg.set("graceful_timeout", self.grace)  # the greater one is the master's
        config = self.config
        try:
            set_default_store(SecretStore.from_config(config))
            with self._ended_by_signals():
                open_later(config)
                if is_used := has_collections(config):
                    _open_collections(config)
                _check_auth(config)
                site = load_site(config)
        except ProjectError as error:
            self._tell(error)
            if os.getpid() == self._made_in:  # --check-config, --preload: there is no master that would
                self.say_why()
            sys.exit(LOAD_FAILED)
        # The modules loaded by now stay: the garbage collector need not look at them again, nor run every few requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        is_quiet = config.log_level not in ("debug", "info")
        access = None if is_quiet else AccessLog(self.writer, is_json(config.log_format))
        # A site without collections is not made a database by being asked for its health.
        ready = Readiness(_ping, lambda: is_used or config.embedded_database.exists())
        app = App(site, access, ready)
        logger.info("%s of %s are served", site.summary, config.root)
        for warning in site.endpoints.startup_warnings() if site.endpoints is not None else ():
            logger.warning("%s", warning)
        if self.cfg.worker_class_str in WSGI_WORKERS:
            from wixhttp.wsgi import WSGIApplication

            return WSGIApplication(app)
        from wixhttp.asgi import ASGIApplication

        return ASGIApplication(app)

    @contextlib.contextmanager
    def _ended_by_signals(self) -> Iterator[None]:
        """In a worker: let the signals to end do so at once. gunicorn's handlers exit from wherever the worker is: from
        within the user's file it would look as if that file did."""
        if os.getpid() == self._made_in:  # the master's signals are gunicorn's
            yield
            return
        handlers = {number: signal.getsignal(number) for number in _ENDINGS}
        _end_by_signals()
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def run(self) -> None:
        """Serve until a signal ends it, then exit."""
        base.Arbiter = Master
        os.register_at_fork(after_in_child=_end_by_signals)
        super().run()

    def _tell(self, error: ProjectError) -> None:
        text = str(error)
        if error.__cause__ is not None:
            text = f"{format_exception(error.__cause__)}\n\n{text}"
        try:
            self._report.send(masked(text).encode("utf-8", "backslashreplace")[-_REPORT_SIZE:])
        except BlockingIOError:  # others have told
            pass

    def say_why(self) -> None:
        """Print, in the master, why a worker could not load the project, where one said so."""
        try:
            os.write(2, self._reports.recv(_REPORT_SIZE) + b"\n")
        except OSError:  # none did, or nobody reads
            pass


def _open_collections(config: Config) -> None:
    """Open the collections that the project declares, so that an error in them ends the start."""
    from wixhttp.data.collections import open_collections, set_default

    set_default(open_collections(config))


def _check_auth(config: Config) -> None:
    """Make the verifier of tokens, so that an error in the setting ends the start."""
    if config.auth is not None:
        from wixhttp.auth.token_verifiers import check_auth

        check_auth(config.auth, config.root)


def _ping() -> None:
    from wixhttp.data.collections import current

    current().store.ping()


def _end_by_signals() -> None:
    """In a new process: be ended by signals, which the handlers of its parent would only note, for the parent."""
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_DFL)


class Master(Arbiter):  # type: ignore[misc]  # gunicorn has no types for it
    """gunicorn's master, which also ends in order when several workers cannot load; interrupted, with its own code."""

    _interrupted = False

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

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers, and print why one could not load the project."""
        self.app.say_why()
        while True:
            try:
                super().stop(graceful)
            except HaltServer:  # one more worker that could not load
                continue
            return


def settings(config: Config) -> dict[str, Any]:
    """gunicorn's settings for a project."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    bind = [f"{host}:{config.port}"]
    if config.health_port is not None:
        bind.append(f"{host}:{config.health_port}")
    # Seconds without a sign of life after which the master replaces a worker: more than the waits that are in order.
    longest = max(30.0, config.import_timeout or _FOREVER, config.body_timeout or _FOREVER)
    is_asgi = config.worker_class not in WSGI_WORKERS
    return {
        "bind": bind,
        "workers": config.workers,
        "worker_class": "wixhttp.server.worker.Worker" if is_asgi else config.worker_class,
        "threads": 1 if is_asgi else config.threads,
        "worker_connections": config.async_concurrency,
        "timeout": math.ceil(longest) + 5,
        "graceful_timeout": math.ceil(config.graceful_timeout),
        "keepalive": 20,
        "limit_request_line": 8190,
        "asgi_lifespan": "on",
        "control_socket_disable": True,  # it would be a file in the home folder
        "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108  # works read-only
        "logger_class": ServerLog,
        "loglevel": config.log_level,
        "proc_name": "wixhttp",
    }


class ServerLog(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types for it
    """gunicorn's own events, through the standard logging of the process like all others."""

    def setup(self, cfg: Any) -> None:
        """Set the loggers up; errors go through the root logger unless ``errorlog`` names a file."""
        super().setup(cfg)
        if cfg.errorlog == "-":
            for handler in list(self.error_log.handlers):
                self.error_log.removeHandler(handler)
            self.error_log.propagate = True

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """An exception that escaped. That of a broken stream is in the log already; it only ends the connection."""
        if not isinstance(sys.exc_info()[1], StreamBroken):
            super().exception(msg, *args, **kwargs)


def _load_worker_class(cfg: Any) -> None:
    """Load the worker class, before there is a server that could fail to.

    Raises:
        ProjectError: it cannot be loaded.
    """
    name = cfg.worker_class_str
    try:
        _ = cfg.worker_class
    except Exception as error:  # noqa: BLE001  # whatever the module of a worker class raises
        extra = f": pip install 'wixhttp[{name}]'" if name == "gevent" else ""
        last = str(error).strip().rpartition("\n")[2]
        raise ProjectError(f"worker_class {name!r} cannot be loaded{extra} ({last})") from None


def _check_addresses(cfg: Any, parser: Any) -> None:
    try:
        for address in cfg.address:
            if isinstance(address, tuple) and not 0 <= address[1] <= _LAST_PORT:
                parser.error(f"bind: {address[1]} is not a valid port number.")
    except RuntimeError as error:
        parser.error(f"bind: {error}")


def _try_address(address: object) -> None:
    """Bind an address and let it go: a port in use is said at once, and no other is taken.

    Raises:
        OSError: it cannot be bound.
    """
    if not isinstance(address, tuple):
        return
    host, port = address[:2]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = f"port {port} on {host} is in use; stop what uses it, or choose another with --port"
            else:
                reason = f"{host}:{port} cannot be bound: {error.strerror}"
            raise OSError(error.errno, reason) from None
        except UnicodeError:
            raise OSError(errno.EINVAL, f"{host!r} cannot be bound: it is no name of a host") from None


def _raise_descriptor_limit() -> None:
    """Let the process have as many connections as the system allows; the usual limit of 1024 is for select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

"""``wixhttp serve``: gunicorn inside this process, set up for the project and open to gunicorn's own options."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from gunicorn import glogging
from gunicorn.app import base
from gunicorn.sock import ssl_context

from wixhttp.access import counter_table
from wixhttp.dispatch.app import App
from wixhttp.dispatch.stream_chunks import StreamBroken
from wixhttp.errors import ConfigError, ProjectError
from wixhttp.logs.access_log import AccessLog
from wixhttp.logs.captured_prints import capture_prints
from wixhttp.logs.line_writer import LineWriter
from wixhttp.logs.setup import configure, is_json, write_elsewhere
from wixhttp.metrics.worker_files import WorkerFiles
from wixhttp.project.config import Config, forwarded_allow_ips_are_set, sockets_are_inherited
from wixhttp.project.opened_database import share
from wixhttp.services import load_served_site, missing_for_senders

from .descriptors import raise_descriptor_limit
from .listening import listen_on
from .master import LOAD_FAILED, Master
from .project_setup import readiness_of, set_secrets, set_up, settle_collector
from .reports import WorkerReports, explanation, print_failure
from .worker_class import ENDINGS, WSGI_LIMITS

ASGI_WORKER = "wixhttp.server.worker.Worker"
# gunicorn's settings for its own HTTP parsers and ASGI worker, and hooks of requests, which the asgi worker has not.
_UNUSED = frozenset(
    "accesslog asgi_lifespan asgi_loop casefold_http_method forwarder_headers header_map http2_cleartext http_parser "
    "http_protocols permit_obsolete_folding permit_unconventional_http_method permit_unconventional_http_version "
    "post_request pre_request protocol proxy_protocol strip_header_spaces websocket_max_message_size".split()
)
_LAST_PORT = 65_535
CONNECTIONS = 16_384  # of clients, idle ones too, that one worker has at once
_FOREVER = 86_400  # seconds, where a setting says "no limit"
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
    raise_descriptor_limit()
    server = Server(config, tuple(gunicorn_options), writer)
    cfg = server.cfg
    _load_worker_class(cfg)
    _check_certificate(cfg)
    if not (cfg.print_config or cfg.check_config or cfg.reuse_port or sockets_are_inherited()):
        for address in cfg.address:
            _try_address(address)
    server.run()


class _UnderMaster(base.BaseApplication):  # type: ignore[misc]  # gunicorn has no types for it
    """The base of a gunicorn application that `Master` serves, in place of gunicorn's own arbiter."""

    def run(self) -> None:
        """Serve until a signal ends it, then exit."""
        try:
            Master(self).run()
        except RuntimeError as error:  # gunicorn's, for a setting that is wrong
            sys.stderr.write(f"Error: {error}\n")
            sys.exit(1)


class Server(base.Application, _UnderMaster):  # type: ignore[misc]  # gunicorn has no types for it
    """The gunicorn application: settings from the project, and its dispatcher loaded in each worker."""

    cfg: Any

    def __init__(self, config: Config, options: tuple[str, ...], writer: LineWriter) -> None:
        self.config = config
        self.options = options
        self.writer = writer
        self.reports = WorkerReports()
        self.worker_files: WorkerFiles | None = None
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
        if self.cfg.worker_class_str == ASGI_WORKER and (unused := sorted(given & _UNUSED)):
            parser.error(
                f"{unused[0]}: the asgi worker does not act on it; leave it out, or choose another worker class"
            )
        if not (forwarded_allow_ips_are_set() or given & {"forwarded_allow_ips", "secure_scheme_headers"}):
            self.cfg.set("secure_scheme_headers", {})  # whom to believe is trusted_proxies' to say
        self.grace = self.cfg.graceful_timeout
        if not self.cfg.print_config:
            self.cfg.set("graceful_timeout", self.grace + _ENDING)

    def reload(self) -> None:
        """Read gunicorn's settings again, at SIGHUP. Where the new ones are wrong, those in force stay."""
        cfg, grace = self.cfg, self.grace
        try:
            super().reload()
            _load_worker_class(self.cfg)
        except (SystemExit, ProjectError) as error:  # gunicorn prints what is wrong with a setting, and exits
            self.cfg, self.grace = cfg, grace
            why = f": {error}" if isinstance(error, ProjectError) else "; standard error says why"
            logger.error("gunicorn's settings cannot be read again, and stay as they are%s", why)

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
            set_secrets(config)
            with self._ended_by_signals():
                is_used = set_up(config)
                site = load_served_site(config)
                if problems := missing_for_senders(site):
                    raise ConfigError("\n".join(problems))
        except Exception as error:  # noqa: BLE001  # whatever it is, the master says it, once for all workers
            reason, traceback = explanation(error)
            if os.getpid() == self._made_in:  # --check-config, --preload: there is no master that would
                print_failure(reason, traceback)
            else:
                self.reports.send_failure(reason, traceback)
            sys.exit(LOAD_FAILED)
        settle_collector()
        is_quiet = config.log_level not in ("debug", "info")
        access = None if is_quiet else AccessLog(self.writer, is_json(config.log_format))
        app = App(site, access, readiness_of(site, is_used=is_used))
        logger.info("serving %s of %s", site.summary, config.root)
        for warning in site.endpoints.startup_warnings() if site.endpoints is not None else ():
            logger.warning("%s", warning)
        if self.cfg.worker_class_str in WSGI_LIMITS:
            from wixhttp.wsgi import WSGIApplication

            application = WSGIApplication(app)
            if os.getpid() != self._made_in:
                application.start_background()
            return application
        from wixhttp.asgi import ASGIApplication

        return ASGIApplication(app)

    @contextlib.contextmanager
    def _ended_by_signals(self) -> Iterator[None]:
        """In a worker: let the signals to end do so at once. gunicorn's handlers exit from wherever the worker is: from
        within the user's file it would look as if that file did."""
        if os.getpid() == self._made_in:  # the master's signals are gunicorn's
            yield
            return
        handlers = {number: signal.getsignal(number) for number in ENDINGS}
        _end_by_signals()
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def run(self) -> None:
        """Serve until a signal ends it, then exit."""
        share()
        counter_table.share()
        os.register_at_fork(after_in_child=_end_by_signals)
        if self.config.metrics:
            self.worker_files = WorkerFiles(is_taken_over=sockets_are_inherited())
        try:
            super().run()
        finally:
            if self.worker_files is not None:
                self.worker_files.remove()


def _end_by_signals() -> None:
    """In a new process: be ended by signals, which the handlers of its parent would only note, for the parent."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_DFL)


def settings(config: Config) -> dict[str, Any]:
    """gunicorn's settings for a project."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    bind = [f"{host}:{config.port}"]
    if config.health_port is not None:
        bind.append(f"{host}:{config.health_port}")
    # Seconds without a sign of life after which the master replaces a worker: more than the waits that are in order.
    longest = max(30.0, config.import_timeout or _FOREVER, config.body_timeout or _FOREVER)
    is_asgi = config.worker_class not in WSGI_LIMITS
    return {
        "bind": bind,
        "workers": config.workers,
        "worker_class": ASGI_WORKER if is_asgi else config.worker_class,
        "threads": 1 if is_asgi else config.threads,
        "worker_connections": CONNECTIONS,
        "timeout": math.ceil(longest) + 5,
        "graceful_timeout": math.ceil(config.graceful_timeout),
        "keepalive": 20,
        "limit_request_line": 8190,
        "http_parser": "python",  # of the WSGI workers: the one in C waits for more of a line that is malformed
        "control_socket_disable": True,  # it would be a file in the home folder
        "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108  # works read-only
        "logger_class": ServerLog,
        "loglevel": config.log_level,
        "proc_name": "wixhttp",
    }


class ServerLog(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types for it
    """gunicorn's own events, through the standard logging of the process like all others."""

    def setup(self, cfg: Any) -> None:
        """Set the loggers up; errors go to the log of all others unless ``errorlog`` names a file."""
        super().setup(cfg)
        is_elsewhere = cfg.errorlog != "-"
        if not is_elsewhere:
            for handler in list(self.error_log.handlers):
                self.error_log.removeHandler(handler)
        write_elsewhere(self.error_log, is_elsewhere)

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
        extra = f"; run: pip install 'wixhttp[{name}]'" if name == "gevent" else ""
        # gunicorn's text is a list with a traceback in it, whose last line says what was wrong.
        last = str(error).rstrip("]\n ").rpartition("\n")[2].strip()
        raise ProjectError(f"worker_class {name!r} cannot be loaded ({last}){extra}") from None


def _check_certificate(cfg: Any) -> None:
    """See that the certificate for TLS can be used, before workers find that they cannot.

    Raises:
        ProjectError: it, or its key, cannot be read, or they do not belong together.
    """
    if cfg.is_ssl:
        try:
            ssl_context(cfg)
        except (OSError, ValueError) as error:
            names = f"certfile {cfg.certfile!r} and keyfile {cfg.keyfile!r}"
            raise ProjectError(f"{names} cannot be used for TLS: {error}") from None


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
    if isinstance(address, tuple):
        listen_on(*address[:2], backlog=1).close()

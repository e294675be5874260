"""The worker of ``wixhttp serve``: a process of gunicorn's that runs uvicorn's server with `HTTPConnection`."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from gunicorn.sock import ssl_context
from gunicorn.workers.base import Worker as BaseWorker

from .connection import ServerConfig
from .limits import Limits
from .worker_class import ENDINGS
from .worker_server import WorkerServer

if TYPE_CHECKING:
    from wixhttp.asgi import ASGIApplication

logger = logging.getLogger("wixhttp")


class Worker(BaseWorker):  # type: ignore[misc]  # gunicorn has no types for it
    """The worker process: gunicorn starts, watches and replaces it."""

    wsgi: ASGIApplication

    def init_process(self) -> None:
        """Set the process up, load the application, and serve."""
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # gunicorn tells the same
        super().init_process()

    def init_signals(self) -> None:
        """Let the signals that end the worker do so at once until the server runs, which would lose them."""
        super().init_signals()
        for number in ENDINGS:
            signal.signal(number, signal.SIG_DFL)

    def run(self) -> None:
        """Serve. A SystemExit or KeyboardInterrupt of a callback of the loop ends this worker, and has it replaced."""
        cfg = self.cfg
        config = ServerConfig(
            self.wsgi,
            Limits(self.wsgi.app.config, cfg),
            cfg.graceful_timeout,
            loop="auto",  # uvloop where the platform has it
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            access_log=False,  # wixhttp has its own
            proxy_headers=False,
            date_header=False,
            server_header=False,
            root_path=cfg.root_path,
            backlog=cfg.backlog,
            timeout_notify=0,  # each second
            callback_notify=self._sign_of_life,
            ssl_context_factory=(lambda config, default: ssl_context(cfg)) if cfg.is_ssl else None,
        )
        server = WorkerServer(config)
        self._server = server
        # uvicorn raises a signal again, once it has ended in order: that is to have no further effect.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        signal.signal(signal.SIGQUIT, server.handle_exit)
        try:
            server.run([listener.sock for listener in self.sockets])
        except (SystemExit, KeyboardInterrupt) as error:
            if not server.started or self.aborted:
                raise
            logger.critical("a callback of the event loop ended this worker: %r", error, exc_info=error)
            sys.exit(1)

    async def _sign_of_life(self) -> None:
        self.nr = self._server.server_state.total_requests
        self.notify()
        if os.getppid() != self.ppid:
            logger.info("the master has ended; so does this worker")
            self._server.should_exit = True
        elif not self.alive:  # gunicorn's --reload has seen a change
            self._server.should_exit = True

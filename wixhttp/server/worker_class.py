"""Reports to the master, and endurance where file descriptors run out, for whichever worker class is chosen."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType
from typing import Any

from .descriptors import DescriptorShortage, ServerErrorFilter, is_shortage
from .reports import READY, WORN

_ANY = (
    "a def handler past its timeout is not answered 504 but runs on, and its client waits; malformed HTTP is answered "
    "in HTML"
)
_BUSY = (
    "a client that sends or reads slowly occupies a {place} for as long as it likes; requests that find none free "
    "wait, health checks among them, and are not refused with 503"
)
# What a worker class cannot promise that asgi does, by its name in gunicorn.
WSGI_LIMITS = {
    "gthread": f"{_ANY}; {_BUSY.format(place='thread')}",
    "gevent": (
        f"{_ANY}; a handler that computes, or waits in a way that gevent does not know, stops all others of its "
        "process; there is no time limit for the head of a request"
    ),
    "sync": f"{_ANY}; {_BUSY.format(place='process')}; connections are not kept alive",
}
ENDINGS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)  # `Master` forks a worker with these blocked
ACCEPT_PAUSE = 0.5  # seconds without file descriptors until a worker tries again to accept a connection


def extended(worker_class: Any) -> Any:
    """A worker class whose workers report to the master: that they serve, and that they have served ``max_requests``.

    What it asks of a worker class is what gunicorn's have: it calls ``notify`` when it listens, and once a second or
    after each request; it counts requests in ``nr``; and it would end itself where that reaches ``max_requests``.
    """
    if _is_subclass(worker_class, "gunicorn.workers.gthread", "ThreadWorker"):
        worker_class = _pausing(worker_class)
    elif _is_subclass(worker_class, "gunicorn.workers.ggevent", "GeventWorker"):
        worker_class = _quiet(worker_class)

    class ExtendedWorker(worker_class):  # type: ignore[misc]  # a class that is known at run time only
        max_requests: int
        shortage: DescriptorShortage

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._requests, self.max_requests = self.max_requests, sys.maxsize  # the master ends it
            self._is_told = self._is_worn = False
            self.shortage = DescriptorShortage()

        def init_process(self) -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
            if self.app.worker_files is not None:
                self.app.worker_files.enter()
            super().init_process()

        def run(self) -> None:
            with ServerErrorFilter(self.shortage):
                super().run()
            _stop_background(self.wsgi)

        def handle_exit(self, sig: int, frame: Any) -> None:
            begin_stop = getattr(getattr(self, "wsgi", None), "begin_stop", None)  # none before it has loaded
            if begin_stop is not None:
                begin_stop()
            super().handle_exit(sig, frame)

        def notify(self) -> None:
            super().notify()
            self.shortage.look(self.tmp.fileno())
            if not self._is_told:
                self._is_told = self.app.reports.send(READY)
            elif self.nr >= self._requests and not self._is_worn:
                self._is_worn = self.app.reports.send(WORN)

    return ExtendedWorker


def _stop_background(application: Any) -> None:
    """End the work beside requests, where an application does not do so itself. Not only at exit: there Python starts
    no thread of a pool any more, which a job may need."""
    stop = getattr(application, "stop_background", None)
    if stop is not None:
        stop()


def _is_subclass(worker_class: type, module: str, name: str) -> bool:
    """Return whether it is one of a class of gunicorn's, which is loaded only where it is used."""
    return module in sys.modules and issubclass(worker_class, getattr(sys.modules[module], name))


def _pausing(worker_class: Any) -> Any:
    """A threaded worker that lets connections wait where file descriptors run out (gunicorn's ends, with all of its),
    and that ends whenever it is told to."""

    class PausingWorker(worker_class):  # type: ignore[misc]  # a class that is known at run time only
        shortage: DescriptorShortage
        _accepts_from = 0.0

        def handle_quit(self, sig: int, frame: FrameType | None) -> None:
            """End at once, but from the worker's loop. gunicorn's handler takes the lock of the threads, and exits:
            where it interrupts the start of one, it would wait for ever, or leave a thread that nobody ends."""
            self.method_queue.defer(super().handle_quit, sig, frame)

        def accept(self, listener: Any) -> None:
            try:
                super().accept(listener)
            except OSError as error:
                if not is_shortage(error):
                    raise
                self.shortage.note(error)
                self._accepts_from = time.monotonic() + ACCEPT_PAUSE
                self.set_accept_enabled(False)

        def set_accept_enabled(self, enabled: bool) -> None:
            if not enabled or time.monotonic() >= self._accepts_from:
                super().set_accept_enabled(enabled)  # else gunicorn's loop asks again, within a second

    return PausingWorker


def _quiet(worker_class: Any) -> Any:
    """A gevent worker that notes where file descriptors run out. gevent's hub prints a traceback at each try."""

    class QuietWorker(worker_class):  # type: ignore[misc]  # a class that is known at run time only
        shortage: DescriptorShortage

        def run(self) -> None:
            from gevent import get_hub
            from gevent.baseserver import BaseServer

            hub: Any = get_hub()
            handle_error = hub.handle_error

            def handle(context: Any, kind: Any, error: Any, traceback: Any) -> None:
                if isinstance(context, BaseServer) and is_shortage(error):
                    self.shortage.note(error)
                else:
                    handle_error(context, kind, error, traceback)

            hub.handle_error = handle
            super().run()

    return QuietWorker

"""The process's one event loop for ``async def`` handlers that arrive over WSGI or from a test.

It runs on a thread of its own for as long as the process, so clients made in one request serve the next, and tasks go
on after the response. At exit tasks that still run are waited for.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Protocol

from wixhttp.context import current_request

from .contexts import await_in

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger("wixhttp")

ValueOrError = tuple[Any, BaseException | None]
"""The value that a handler returned and ``None``, or ``None`` and the exception that it raised."""


async def value_or_error(start: Callable[[], Any], context: Context) -> ValueOrError:
    """Call ``start()`` in a context, await its result there where it is awaitable, and return the value, or the
    exception that was raised.

    Cancellation is raised; every other exception, ``SystemExit`` included, is returned.
    """
    import asyncio

    try:
        value = context.run(start)
        if isinstance(value, Awaitable):
            value = await await_in(context, value)
        return value, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return None, error


class Running(Protocol):
    """A call that has begun: `begun_calls.BegunCall`. ``loop`` is the loop that made it."""

    loop: asyncio.AbstractEventLoop | None

    def waiter(self) -> asyncio.Future[None]:
        """A future that is done when the call has ended."""


begun: set[Running] = set()
"""The calls on threads that have begun, whether somebody awaits them or not: they are waited for at stop."""


def begun_on(loop: asyncio.AbstractEventLoop) -> set[asyncio.Future[Any]]:
    """Futures of those of the `begun` calls that a loop made."""
    return {call.waiter() for call in begun.copy() if call.loop is loop}


async def settle(running: Callable[[], set[asyncio.Future[Any]]], timeout: float) -> None:
    """Wait until no task or call is ``running``, not even one made meanwhile; after ``timeout`` seconds cancel what is
    left."""
    import asyncio

    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while (pending := running()) and (left := end - loop.time()) > 0:
        await asyncio.wait(pending, timeout=left)
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending, timeout=1)


class BackgroundLoop:
    """An event loop on a daemon thread, started at first use. Usable from any thread of the process that made it."""

    def __init__(self) -> None:
        self.grace = 30.0  # seconds given to running tasks at exit
        self._first: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._thread = 0

    def run(
        self,
        start: Callable[[], Any],
        timeout: float = 0,
        loop: asyncio.AbstractEventLoop | None = None,
        context: Context | None = None,
    ) -> ValueOrError:
        """Run ``start()`` on the loop, or on another one of another thread, and return its value or error. It runs in
        ``context``, ``None`` for a copy of the calling thread's.

        Raises:
            TimeoutError: it took longer than ``timeout`` seconds (0: no limit), and is being cancelled.
        """
        import asyncio

        context = copy_context() if context is None else context
        future = asyncio.run_coroutine_threadsafe(value_or_error(start, context), loop or self._running_loop())
        try:
            return future.result(timeout or None)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError from None
        except concurrent.futures.CancelledError:
            return None, RuntimeError("the handler was cancelled")

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        import asyncio

        loop = self._loop
        if loop is None or self._pid != os.getpid():
            # Nothing waits under the lock: it may be older than gevent's patches, and would stop all greenlets. A
            # second caller gets a loop that does not run yet, and queues calls until it does.
            with self._lock:
                loop, is_new = self._loop, False
                if loop is None or self._pid != os.getpid():
                    self._loop, self._pid, is_new = asyncio.new_event_loop(), os.getpid(), True
                    loop = self._loop
            if is_new:
                self._start(loop)
        return loop

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        import asyncio

        def serve() -> None:
            self._thread = threading.get_ident()
            asyncio.set_event_loop(loop)
            while True:
                try:
                    return loop.run_forever()
                except (SystemExit, KeyboardInterrupt) as error:  # of a callback: the loop is every request's
                    logger.critical("a callback of the event loop raised %r", error, exc_info=error)

        # Outside of the context of the request that needs it first, which newer versions of Python hand on to threads.
        threading.Thread(target=Context().run, args=(serve,), name="wixhttp-loop", daemon=True).start()
        atexit.register(self.stop)

    def would_stand_still(self) -> bool:
        """Return whether an event loop, this one or another, would be blocked while the calling thread waits."""
        return self.running_here() is not None

    def running_here(self) -> asyncio.AbstractEventLoop | None:
        """The event loop, this one or another, that runs in the calling thread, or ``None``.

        Under gevent threads are greenlets of one thread, where a loop seems to run in all of them.
        """
        import asyncio

        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            return None
        return running if running is not self._loop or threading.get_ident() == self._thread else None

    def stop_first(self, stop: Callable[[], object]) -> None:
        """At exit call ``stop`` before the tasks on the loop are cancelled: it knows what becomes of its own."""
        self._first.append(stop)
        atexit.register(self.stop)

    def stop(self) -> None:
        """Stop what is to be stopped first, wait for the tasks on the loop, for ``grace`` seconds in all, and stop
        it."""
        end = time.monotonic() + self.grace
        first, self._first = self._first, []
        for stop in first:
            try:
                stop()
            except Exception:  # the others are stopped all the same
                logger.exception("%r failed as the process ends", stop)
        self._stop_loop(end)

    def _stop_loop(self, end: float) -> None:
        import asyncio

        loop, self._loop = self._loop, None
        if loop is None or self._pid != os.getpid() or not loop.is_running():
            return

        async def settle_all() -> None:
            this = asyncio.current_task()
            await settle(lambda: begun_on(loop) | (asyncio.all_tasks() - {this}), end - time.monotonic())

        asyncio.run_coroutine_threadsafe(settle_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)


background = BackgroundLoop()


def blocks_a_request() -> bool:
    """Return whether a call that waits here would block the event loop, in the ``async def`` that handles a request."""
    # Looked up first, which costs next to nothing: most processes run no loop, or not in this thread.
    events = sys.modules.get("asyncio.events")
    if events is None or events._get_running_loop() is None or current_request.get() is None:
        return False
    return background.would_stand_still()

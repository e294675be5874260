"""The process's one event loop for ``async def`` handlers that arrive over WSGI or from a test.

It runs on a thread of its own for as long as the process, so clients made in one request serve the next, and tasks go
on after the response. At exit tasks that still run are waited for.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger("wixhttp")

ValueOrError = tuple[Any, BaseException | None]
"""The value that a handler returned and ``None``, or ``None`` and the exception that it raised."""


async def value_or_error(start: Callable[[], Any]) -> ValueOrError:
    """Call ``start()``, await its result where it is awaitable, and return the value, or the exception that was raised.

    Cancellation is raised; every other exception, ``SystemExit`` included, is returned.
    """
    import asyncio

    try:
        value = start()
        if isinstance(value, Awaitable):
            value = await value
        return value, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return None, error


async def settle(running: Callable[[], set[asyncio.Task[Any]]], timeout: float) -> None:
    """Wait until no task is ``running``, not even one made meanwhile; after ``timeout`` seconds cancel what is left."""
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
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._thread = 0

    def run(
        self, start: Callable[[], Any], timeout: float = 0, loop: asyncio.AbstractEventLoop | None = None
    ) -> ValueOrError:
        """Run ``start()`` on the loop, or on another one of another thread, and return its value or error.

        Raises:
            TimeoutError: it took longer than ``timeout`` seconds (0: no limit), and is being cancelled.
        """
        import asyncio

        future = asyncio.run_coroutine_threadsafe(value_or_error(start), loop or self._running_loop())
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

        threading.Thread(target=serve, name="wixhttp-loop", daemon=True).start()
        atexit.register(self.stop)

    def would_stand_still(self) -> bool:
        """Return whether an event loop, this one or another, would be blocked while the calling thread waits.

        Under gevent threads are greenlets of one thread, where a loop seems to run in all of them.
        """
        import asyncio

        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            return False
        return running is not self._loop or threading.get_ident() == self._thread

    def stop(self) -> None:
        """Wait for the tasks on the loop, for ``grace`` seconds, and stop it."""
        import asyncio

        loop, self._loop = self._loop, None
        if loop is None or self._pid != os.getpid() or not loop.is_running():
            return

        async def settle_all() -> None:
            this = asyncio.current_task()
            await settle(lambda: {task for task in asyncio.all_tasks() if task is not this}, self.grace)

        asyncio.run_coroutine_threadsafe(settle_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)


background = BackgroundLoop()

"""The bridge between the threads of ``def`` and the event loop of ``async def``, within one request.

A middleware and the handler behind it may be of different kinds: each runs where its kind runs, and waits for the
other.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from wixhttp.context import bridge_depth
from wixhttp.errors import HTTPError

from .event_loop import background

if TYPE_CHECKING:
    import asyncio

    from .thread_pool import ThreadPool

_Result = TypeVar("_Result")


class WaitGroup:
    """Counts the threads that work for one request, also after its answer (Go: ``sync.WaitGroup``, with a callback)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._waiting: Callable[[], None] | None = None

    def begin(self) -> None:
        """Count one more thread."""
        with self._lock:
            self._count += 1

    def end(self) -> None:
        """Count one thread less; the last one makes the call of `when_done`."""
        with self._lock:
            self._count -= 1
            waiting = None
            if not self._count:
                waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting()

    def when_done(self, call: Callable[[], None]) -> None:
        """Call ``call``, once, when no thread works any more: now, or later on the last thread."""
        with self._lock:
            if self._count:
                self._waiting = call
                return
        call()


class Bridge:
    """Calls between threads and one event loop: ``await`` from a thread, a blocking call from the loop.

    A blocking call may wait for a coroutine that makes another one, and so on. Each depth of that has a pool of
    ``threads`` threads of its own: with one pool, calls that hold all its threads would wait for calls that get none
    (deadlock). ``loop`` is that of `event_loop.background` where it is ``None``.
    """

    def __init__(self, threads: int, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.threads = threads
        self.loop = loop
        self._lock = threading.Lock()
        self._pools: dict[int, ThreadPool] = {}

    def wait(self, start: Callable[[], Any], timeout: float = 0, context: contextvars.Context | None = None) -> Any:
        """Await ``start()`` on the loop, and return its result. Blocks: to be called from a thread. It runs in
        ``context``, ``None`` for a copy of the thread's, which is in its own meanwhile.

        Raises:
            HTTPError: 504, it took longer than ``timeout`` seconds (0: no limit), and is being cancelled.
        """
        try:
            value, error = background.run(start, timeout, self.loop, context)
        except TimeoutError:
            reason = f"what was awaited ran past the timeout of {timeout:g} seconds"
            raise HTTPError(504, "The function did not answer in time.", reason=reason) from None
        try:
            if error is not None:
                raise error
        finally:
            error = None  # breaks the reference cycle error -> traceback -> frame
        return value

    async def in_thread(
        self,
        work: Callable[[], _Result],
        ended: Callable[[], None] | None = None,
        queue_timeout: float = 0,
        context: contextvars.Context | None = None,
    ) -> _Result:
        """Run ``work()`` on a thread, and return its result. It runs in ``context``, ``None`` for a copy of this one,
        and may go on there when this is cancelled.

        Work that has begun goes on when this is cancelled; ``ended`` is called when it has ended, or is not begun.

        Raises:
            HTTPError: 503, no thread was free within ``queue_timeout`` seconds (0: no limit); it was not begun.
        """
        import asyncio

        from .thread_pool import WorkItem

        loop = asyncio.get_running_loop()
        depth = bridge_depth.get()
        context = contextvars.copy_context() if context is None else context
        context.run(bridge_depth.set, depth + 1)
        item = WorkItem(work, loop.create_future(), context, ended, queue_timeout=queue_timeout)
        pool = self._pool(depth, loop)
        pool.submit(item)
        try:
            value, error = await item.waiter
        except asyncio.CancelledError:
            pool.withdraw(item)
            raise
        del item.waiter  # breaks the reference cycle item -> waiter -> error -> traceback -> frame -> item
        try:
            if error is not None:
                raise error
        finally:
            del error, item  # breaks the reference cycle error -> traceback -> frame
        result: _Result = value
        return result

    def _pool(self, depth: int, loop: asyncio.AbstractEventLoop) -> ThreadPool:
        from .thread_pool import ThreadPool

        with self._lock:
            pool = self._pools.get(depth)
            if pool is None or pool.loop is not loop:  # each process has loops of its own, too
                pool = self._pools[depth] = ThreadPool(self.threads, loop)
            return pool

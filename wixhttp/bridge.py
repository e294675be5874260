"""Between the threads of ``def`` and the event loop of ``async def``, within one request.

A middleware and the handler behind it may be of different kinds: each runs where its kind runs, and waits for the
other.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from .loop import background
from .printing import flush_prints

if TYPE_CHECKING:
    import asyncio

_Result = TypeVar("_Result")

# How many threads of `in_thread` wait for what runs here. Each depth has a pool of its own: work never waits for a
# thread that waits for that work.
_depth: ContextVar[int] = ContextVar("wixhttp_bridge_depth", default=0)


class Bridge:
    """Ways between threads and one event loop. ``threads`` at once, for each depth of what waits for what.

    ``loop`` is that of `loop.background` where it is not set.
    """

    def __init__(self, threads: int, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.threads = threads
        self.loop = loop
        self._lock = threading.Lock()
        self._pools: dict[int, ThreadPoolExecutor] = {}
        self._pid = os.getpid()

    def wait(self, start: Callable[[], Any], timeout: float = 0) -> Any:
        """What awaiting ``start()`` on the loop gives, for a thread that may wait.

        Raises:
            TimeoutError: it took longer than ``timeout`` seconds (0: no limit), and is being cancelled.
        """
        value, error = background.run(start, timeout, self.loop)
        if error is not None:
            raise error
        return value

    async def in_thread(self, work: Callable[[], _Result]) -> _Result:
        """What ``work()`` gives on a thread, in this context. Cancelled, it goes on."""
        import asyncio

        depth = _depth.get()
        context = contextvars.copy_context()

        def run() -> _Result:
            _depth.set(depth + 1)
            try:
                return work()
            finally:
                flush_prints()

        return await asyncio.get_running_loop().run_in_executor(self._pool(depth), context.run, run)

    def _pool(self, depth: int) -> ThreadPoolExecutor:
        with self._lock:
            if self._pid != os.getpid():  # threads do not live on in a fork
                self._pools, self._pid = {}, os.getpid()
            pool = self._pools.get(depth)
            if pool is None:
                pool = self._pools[depth] = ThreadPoolExecutor(self.threads, f"wixhttp-bridge-{depth}")
            return pool

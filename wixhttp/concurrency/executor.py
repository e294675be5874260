"""The executor of handlers on an event loop: ``async def`` in the request's own task, ``def`` on a bounded thread pool.

At stop it waits for tasks that handlers started, and for work whose client has disconnected.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from wixhttp.context import current_request

from .deadlines import Deadlines, uncancel
from .event_loop import ValueOrError, settle
from .thread_pool import ThreadPool, WorkItem


class Executor:
    """Runs handlers; ``threads`` is the size of the thread pool for ``def`` handlers, which streamed bodies share."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPool | None = None
        self._deadlines: Deadlines | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._settled = False

    async def run_here(
        self, start: Callable[[], Any], timeout: float, late: Callable[[], None], ended: Callable[[], None]
    ) -> ValueOrError | None:
        """Await ``start()`` in this task, then call ``ended()``; return value or error, ``None`` where time ran out.

        After ``timeout`` seconds (0: never) ``late`` is called, and the task cancelled, which may take its time to end.
        """
        loop = asyncio.get_running_loop()
        task = _this_task(loop)
        deadlines = self.deadlines(loop)
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            late()
            task.cancel()

        if timeout:
            deadlines.add(task, timeout, expire)
        self._tasks.add(task)
        try:
            value = start()
            if isinstance(value, Awaitable):
                value = await value
            result: ValueOrError | None = value, None
        except BaseException as error:  # its own cancellation, too, which has an answer
            result = None, error
            uncancel(task)
        finally:
            self._tasks.discard(task)
            deadlines.discard(task)
            ended()
        try:
            return None if expired else result
        finally:
            del result  # breaks the reference cycle error -> traceback -> frame

    async def run_thread(
        self, work: Callable[[], Any], timeout: float, ended: Callable[[], None] | None = None
    ) -> ValueOrError:
        """Run ``work()`` on a thread, which goes on should the client leave, and return its value or error.

        Raises:
            TimeoutError: after ``timeout`` seconds (0: never); work that has not begun by then is not begun.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[ValueOrError] = loop.create_future()
        item = WorkItem(work, waiter, contextvars.copy_context(), ended)
        self.pool(loop).submit(item)
        try:
            result = await self.deadlines(loop).wait(waiter, timeout)
        except TimeoutError:
            item.skip = True
            raise
        del item.waiter  # breaks the reference cycle item -> waiter -> error -> traceback -> frame -> item
        return result

    def pool(self, loop: asyncio.AbstractEventLoop) -> ThreadPool:
        """The thread pool of the loop that serves."""
        pool = self._pool
        if pool is None or pool.loop is not loop:
            pool = self._pool = ThreadPool(self.threads, loop)
        return pool

    def deadlines(self, loop: asyncio.AbstractEventLoop) -> Deadlines:
        """The deadlines of the loop that serves."""
        deadlines = self._deadlines
        if deadlines is None or deadlines.loop is not loop:
            deadlines = self._deadlines = Deadlines(loop)
        return deadlines

    async def settle(self, timeout: float) -> None:
        """Wait, once, for the work of handlers; after ``timeout`` seconds cancel tasks, and abandon threads."""
        if not self._settled:
            self._settled = True
            end = time.monotonic() + timeout
            if self._pool is not None:
                await self._pool.settle(timeout)
            await settle(lambda: {task for task in self._tasks if not task.done()}, end - time.monotonic())

    def make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        """Task factory that keeps the tasks of handlers: they are waited for at stop, and cannot end the loop."""
        if current_request.get() is None:
            return asyncio.Task(coroutine, loop=loop, **options)
        task = asyncio.Task(_contained(coroutine), loop=loop, **options)
        self.keep(task)
        return task

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold on to a task, and wait for it at stop."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _this_task(loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any]:
    task = asyncio.current_task(loop)
    if task is None:
        raise RuntimeError("an ASGI application is called from a task")
    return task


async def _contained(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"a task ended with {error!r}; it ends nothing but itself") from error

"""The executor of handlers on an event loop: ``async def`` in the request's own task, ``def`` on a bounded thread pool.

At stop it waits for tasks that handlers started, for calls that nobody awaits, and for work whose client has
disconnected.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from types import CoroutineType
from typing import Any

from wixhttp.context import current_request

from .contexts import await_in, resume
from .deadlines import EXPIRED, Deadlines, uncancel
from .event_loop import ValueOrError, begun_on, settle
from .slow_steps import SlowSteps
from .thread_pool import ThreadPool, WorkItem


class Executor:
    """Runs handlers; ``threads`` is the size of the thread pool for ``def`` handlers, for which they wait
    ``queue_timeout`` seconds (0: without end), and of the one for streamed bodies. ``is_large`` says of the values of
    either whether they take much memory. With ``times_steps`` those that hold the loop are logged (`SlowSteps`).

    Streams have threads of their own: neither do handlers that wait hold up the answers that have begun, nor do
    generators that sleep keep handlers from beginning.
    """

    def __init__(
        self,
        threads: int,
        queue_timeout: float = 0,
        is_large: Callable[[Any], bool] = lambda value: False,
        *,
        times_steps: bool = False,
    ) -> None:
        self.threads = threads
        self.queue_timeout = queue_timeout
        self.is_large = is_large
        self._pool: ThreadPool | None = None
        self._stream_pool: ThreadPool | None = None
        self._deadlines: Deadlines | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._settled = False
        self._slow_steps = SlowSteps() if times_steps else None

    async def run_here(
        self,
        start: Callable[[], Any],
        context: contextvars.Context,
        timeout: float,
        late: Callable[..., None],
        *arguments: Any,
    ) -> ValueOrError | None:
        """Await ``start()`` in this task, in ``context``; return value or error, ``None`` where time ran out.

        After ``timeout`` seconds (0: never) ``late(*arguments)`` is called, and the task cancelled, which may take its
        time to end.
        """
        began = time.monotonic()
        try:
            value = context.run(start)
            if value.__class__ is CoroutineType:
                if self._slow_steps is not None:
                    value = self._slow_steps.timed(value)
                try:
                    value = resume(context, value, context.run(value.send, None))
                except StopIteration as end:  # it never waits: it needs no timer, which costs as much as a small one
                    return end.value, None
            elif isinstance(value, Awaitable):
                value = await_in(context, value)
            else:
                return value, None
        except BaseException as error:  # its own cancellation, too, which has an answer
            uncancel(this_task(asyncio.get_running_loop()))
            return None, error
        left = timeout - (time.monotonic() - began) if timeout else math.inf
        return await self._go_on(value, max(left, 0), late, arguments)

    async def _go_on(
        self, value: Awaitable[Any], left: float, late: Callable[..., None], arguments: tuple[Any, ...]
    ) -> ValueOrError | None:
        """The rest of `run_here`, in ``left`` seconds."""
        loop = asyncio.get_running_loop()
        task = this_task(loop)
        deadlines = self.deadlines(loop)
        if left < math.inf:
            deadlines.add(task, left, _end_late, task, late, arguments)
        self._tasks.add(task)
        try:
            result: ValueOrError | None = await value, None
        except BaseException as error:
            result = None, error
            uncancel(task)
        finally:
            self._tasks.discard(task)
            is_late = left < math.inf and not deadlines.discard(task)
        try:
            return None if is_late else result
        finally:
            del result  # breaks the reference cycle error -> traceback -> frame

    async def run_thread(
        self,
        work: Callable[[], Any],
        context: contextvars.Context,
        timeout: float,
        ended: Callable[[], None] | None = None,
    ) -> ValueOrError:
        """Run ``work()`` on a thread, in ``context``, and return its value or error: a 503 where none was free for
        ``queue_timeout`` seconds. Should the client leave, work that runs or waits is done all the same: its request
        was delivered.

        Raises:
            TimeoutError: ``timeout`` seconds after it began (0: never); it goes on.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[ValueOrError] = loop.create_future()
        item = WorkItem(work, waiter, context, ended, timeout, self.queue_timeout)
        self.pool(loop).submit(item)
        result = await waiter
        if result is EXPIRED:
            raise TimeoutError
        del item.waiter  # breaks the reference cycle item -> waiter -> error -> traceback -> frame -> item
        return result

    def pool(self, loop: asyncio.AbstractEventLoop) -> ThreadPool:
        """The thread pool for handlers of the loop that serves."""
        pool = self._pool
        if pool is None or pool.loop is not loop:
            pool = self._pool = ThreadPool(self.threads, loop, self.is_large)
        return pool

    def stream_pool(self, loop: asyncio.AbstractEventLoop) -> ThreadPool:
        """The thread pool for streamed bodies of the loop that serves."""
        pool = self._stream_pool
        if pool is None or pool.loop is not loop:
            pool = self._stream_pool = ThreadPool(self.threads, loop, self.is_large)
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
            for pool in (self._pool, self._stream_pool):
                if pool is not None:
                    await pool.settle(end - time.monotonic())
            loop = asyncio.get_running_loop()
            await settle(
                lambda: begun_on(loop) | {task for task in self._tasks if not task.done()}, end - time.monotonic()
            )

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


def _end_late(task: asyncio.Task[Any], late: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    try:
        late(*arguments)
    finally:
        task.cancel()


def this_task(loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any]:
    """The task that runs; a server calls an ASGI application from one."""
    task = asyncio.current_task(loop)
    if task is None:
        raise RuntimeError("an ASGI application is called from a task")
    return task


async def _contained(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"a task ended with {error!r}; it ends nothing but itself") from error

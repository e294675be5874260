"""A bounded pool of threads for ``def`` handlers on an event loop, with a queue in front of it.

Its threads are daemons, so that a handler that never ends does not keep the process from ending. Results that come in
while the loop is busy are handed over together: waking a loop costs more than a small handler. A thread whose result is
large waits until the loop has it: threads may be faster than the loop, and what they make must not fill the memory.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from wixhttp.logs.captured_prints import flush_prints

from .deadlines import EXPIRED, Deadlines
from .event_loop import ValueOrError
from .overload import Busy
from .strayed import end_strayed

logger = logging.getLogger("wixhttp")

MOST_RESULTS = 64
"""Results that wait for the loop at once, of whatever size, but for one more of each thread."""


class WorkItem:
    """Work for the pool: ``waiter`` is a future of the loop that gets its value or error, unless it is done by then.

    Work that no thread has taken in ``queue_timeout`` seconds is not begun, and its error is a 503. From when it begins
    it has ``timeout`` seconds; after them ``waiter`` gets ``EXPIRED``, and the work goes on. Either is 0 for no limit.
    ``ended`` is called when the work has ended, on its thread, or is withdrawn.
    """

    __slots__ = ("began", "context", "ended", "first_look", "queue_end", "timeout", "waiter", "work")

    def __init__(
        self,
        work: Callable[[], Any],
        waiter: asyncio.Future[ValueOrError],
        context: contextvars.Context,
        ended: Callable[[], None] | None = None,
        timeout: float = 0,
        queue_timeout: float = 0,
    ) -> None:
        self.work = work
        self.waiter = waiter
        self.context = context
        self.ended = ended
        self.timeout = timeout or math.inf
        self.queue_end = time.monotonic() + queue_timeout if queue_timeout else math.inf
        # Seconds after which one of its times may be over, for the first time; 0 for never.
        self.first_look = queue_timeout if queue_timeout and not 0 < timeout < queue_timeout else timeout
        self.began = 0.0  # by time.monotonic; 0 while it waits

    def run(self) -> ValueOrError:
        """Do the work, in its context."""
        try:
            return self.context.run(self.work), None
        except BaseException as error:
            return None, error
        finally:
            flush_prints()


class ThreadPool:
    """At most ``size`` threads, started lazily, when there is work for them, that report to ``loop``. ``is_large`` says
    of a value whether it takes much memory.

    Work is begun in the order in which it is submitted (FIFO). Whether a thread or `withdraw` takes an item out of the
    queue is decided by the one operation of the deque that finds it there.
    """

    def __init__(
        self, size: int, loop: asyncio.AbstractEventLoop, is_large: Callable[[Any], bool] = lambda value: False
    ) -> None:
        self.size = size
        self.loop = loop
        self.is_large = is_large
        self._items: deque[WorkItem] = deque()
        self._calls: SimpleQueue[None] = SimpleQueue()  # what idle threads wait for
        self._is_called = False  # whether one of them is awaited
        self._done: deque[tuple[WorkItem, ValueOrError, threading.Event | None]] = deque()
        self._deadlines = Deadlines(loop)
        self._threads = 0
        self._waiting = 0  # items submitted and not yet ended; on the loop's thread alone
        self._awake = False

    def submit(self, item: WorkItem) -> None:
        """Queue an item. To be called on the loop's thread."""
        self._waiting += 1
        if self._waiting > self._threads and self._threads < self.size:
            try:
                # Outside of the context of the request that is served, which newer versions of Python hand on.
                run, name = contextvars.Context().run, f"wixhttp-{self._threads + 1}"
                threading.Thread(target=run, args=(self._work,), name=name, daemon=True).start()
                self._threads += 1
            except RuntimeError as error:  # the system has no more of them
                if not self._threads:
                    self._end(item)
                    item.waiter.set_result((None, error))
                    return
        self._items.append(item)
        if not self._is_called:
            self._call_thread()
        if item.first_look:
            self._deadlines.add(item, item.first_look, self._look, item)

    def withdraw(self, item: WorkItem) -> bool:
        """Take an item out of the queue; ``False`` where a thread has taken it. To be called on the loop's thread."""
        try:
            self._items.remove(item)  # what has waited too long is at its beginning
        except ValueError:
            return False
        self._deadlines.discard(item)
        self._end(item)
        return True

    def _end(self, item: WorkItem) -> None:
        self._waiting -= 1
        if item.ended is not None:
            item.ended()

    def _look_later(self, item: WorkItem) -> None:
        """Look at an item again when one of its times may be over. While it waits that is within its ``timeout``: it
        may begin right after this."""
        now = time.monotonic()
        due = item.began + item.timeout if item.began else min(item.queue_end, now + item.timeout)
        if due < math.inf:
            self._deadlines.add(item, due - now, self._look, item)

    def _look(self, item: WorkItem) -> None:
        waiter, now = item.waiter, time.monotonic()
        if waiter.done():
            return
        if item.began and now >= item.began + item.timeout:
            waiter.set_result(EXPIRED)
        elif now >= item.queue_end and not item.began and self.withdraw(item):
            reason = f"none of the {self.size} threads was free within queue_timeout; the function was not begun"
            waiter.set_result((None, Busy(reason)))
        else:
            self._look_later(item)

    async def settle(self, timeout: float) -> None:
        """Wait until nothing runs or waits any more, at most ``timeout`` seconds."""
        end = self.loop.time() + timeout
        while self._waiting and self.loop.time() < end:  # noqa: ASYNC110  # an event would cost each item
            await asyncio.sleep(0.05)

    def _work(self) -> None:
        pid = os.getpid()
        while True:
            self._calls.get()
            self._is_called = False  # before the queue is emptied (race): a later item calls a thread again
            try:
                self._empty_queue(pid)
            except RuntimeError:  # the loop has closed: the process ends
                return

    def _empty_queue(self, pid: int) -> None:
        """Do what waits, until nothing does. ``pid`` is the id of the process of this pool.

        Before each item another thread is called for the next one, should this one take long. One at a time: where the
        work is short this thread comes before it, and does it all. To wake a thread costs more than a small handler.

        Raises:
            RuntimeError: the loop has closed.
        """
        while True:
            try:
                item = self._items.popleft()
            except IndexError:
                return
            if self._items and not self._is_called:
                self._call_thread()
            item.began = time.monotonic()
            result = item.run()
            end_strayed(pid)
            if item.ended is not None:
                item.ended()
            is_much = len(self._done) >= MOST_RESULTS or self.is_large(result[0])
            taken = threading.Event() if is_much else None
            self._done.append((item, result, taken))
            del item, result
            if not self._awake:
                self._awake = True
                self.loop.call_soon_threadsafe(self._hand_over)
            while taken is not None and not taken.wait(1) and not self.loop.is_closed():
                pass

    def _call_thread(self) -> None:
        self._is_called = True
        self._calls.put(None)

    def _hand_over(self) -> None:
        self._awake = False  # before the deque is emptied (race): a later result wakes the loop again
        done = self._done
        while done:
            item, result, taken = done.popleft()
            self._waiting -= 1
            self._deadlines.discard(item)
            if not item.waiter.done():
                item.waiter.set_result(result)
            elif result[1] is not None:
                item.context.copy().run(_report_late, result[1])
            if taken is not None:
                self.loop.call_soon(taken.set)  # after the task that waits for the result has gone on


def _report_late(error: BaseException) -> None:
    """Log an error that no request waits for any more."""
    logger.error("a function failed after it was answered for: %s", type(error).__name__, exc_info=error)

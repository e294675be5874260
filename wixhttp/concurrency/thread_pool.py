"""A bounded pool of threads for ``def`` handlers on an event loop.

Its threads are daemons, so that a handler that never ends does not keep the process from ending. Results that come in
while the loop is busy are handed over together: waking a loop costs more than a small handler.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from wixhttp.logs.captured_prints import flush_prints

from .event_loop import ValueOrError

logger = logging.getLogger("wixhttp")


class WorkItem:
    """Work for the pool: ``waiter`` is a future of the loop that gets its value or error, unless it is done by then.

    ``skip`` may be set while the item waits in the queue: then it is not begun, and ``ended`` is called all the same.
    """

    __slots__ = ("context", "ended", "skip", "waiter", "work")

    def __init__(
        self,
        work: Callable[[], Any],
        waiter: asyncio.Future[ValueOrError],
        context: contextvars.Context,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self.work = work
        self.waiter = waiter
        self.context = context
        self.ended = ended
        self.skip = False

    def run(self) -> ValueOrError:
        """Do the work, in its context."""
        if self.skip:
            return None, None
        try:
            return self.context.run(self.work), None
        except BaseException as error:
            return None, error
        finally:
            flush_prints()


class ThreadPool:
    """At most ``size`` threads, started lazily, when there is work for them, that report to ``loop``."""

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self.size = size
        self.loop = loop
        self._items: SimpleQueue[WorkItem] = SimpleQueue()
        self._done: deque[tuple[WorkItem, ValueOrError]] = deque()
        self._threads = 0
        self._waiting = 0  # jobs submitted and not yet ended; on the loop's thread alone
        self._awake = False

    def submit(self, item: WorkItem) -> None:
        """Queue a item. To be called on the loop's thread."""
        self._waiting += 1
        if self._waiting > self._threads and self._threads < self.size:
            try:
                threading.Thread(target=self._work, name=f"wixhttp-{self._threads + 1}", daemon=True).start()
                self._threads += 1
            except RuntimeError as error:  # the system has no more of them
                if not self._threads:
                    self._refuse(item, error)
                    return
        self._items.put(item)

    def _refuse(self, item: WorkItem, error: RuntimeError) -> None:
        self._waiting -= 1
        if item.ended is not None:
            item.ended()
        item.waiter.set_result((None, error))

    async def settle(self, timeout: float) -> None:
        """Wait until nothing runs or waits any more, at most ``timeout`` seconds."""
        end = self.loop.time() + timeout
        while self._waiting and self.loop.time() < end:  # noqa: ASYNC110  # an event would cost each item
            await asyncio.sleep(0.05)

    def _work(self) -> None:
        while True:
            item = self._items.get()
            result = item.run()
            if item.ended is not None:
                item.ended()
            self._done.append((item, result))
            del item, result
            if not self._awake:
                self._awake = True
                try:
                    self.loop.call_soon_threadsafe(self._hand_over)
                except RuntimeError:  # the loop has closed: the process ends
                    return

    def _hand_over(self) -> None:
        self._awake = False  # before the deque is emptied (race): a later result wakes the loop again
        done = self._done
        while done:
            item, result = done.popleft()
            self._waiting -= 1
            if not item.waiter.done():
                item.waiter.set_result(result)
            elif result[1] is not None:
                item.context.run(_report_late, result[1])


def _report_late(error: BaseException) -> None:
    """Log an error that no request waits for any more."""
    logger.error("a function failed after it was answered for: %s", type(error).__name__, exc_info=error)

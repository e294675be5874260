"""Calls that begin when they are made, as in JavaScript, and may be awaited: promises of what runs on a thread."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Generator
from concurrent.futures import Executor as Pool
from contextvars import Context, copy_context
from typing import Any, TypeVar

from wixhttp.promises import LOST, Promise

from .event_loop import background, begun

_Value = TypeVar("_Value")
_Loop = asyncio.AbstractEventLoop
Settle = Callable[[Any, BaseException | None], None]
"""Takes the value of a call and ``None``, or ``None`` and its error. To be called once, on any thread."""

logger = logging.getLogger("wixhttp")


class BegunCall(Promise[_Value]):
    """A promise of what has begun: ``start`` is called with the loop, a context to run in, and what to call when it has
    ended. To cancel what awaits it does not cancel that.

    An error that nobody awaits is logged, once, in the context of the call. So is, as misuse, a value that nobody
    awaits, where that is all that a call is for (``reads``). Made where no event loop runs, it begins when it is
    awaited.
    """

    __slots__ = ("_context", "_outcome", "_reads", "_start", "_waiters", "is_heard", "loop")

    def __init__(self, said: str, start: Callable[[_Loop, Context, Settle], object], *, reads: bool = False) -> None:
        self._note_place()
        self.said = said
        self.is_awaited = False
        self.is_heard = True  # of what cannot begin, the error is raised here
        self._steps = None
        self._reads = reads
        self._start: Callable[[_Loop, Context, Settle], object] | None = start  # until it begins
        self._outcome: tuple[Any, BaseException | None] | None = None
        self._waiters: tuple[asyncio.Future[None], ...] = ()
        self.loop = background.running_here()
        if self.loop is not None:
            self._begin(self.loop)
        self.is_heard = False

    def _begin(self, loop: _Loop) -> None:
        self._context = copy_context()
        start, self._start = self._start, None
        assert start is not None  # noqa: S101  # it has not begun
        begun.add(self)
        try:
            start(loop, self._context, self._settle)  # which keeps this, and with it the error that nobody awaits
        except BaseException:
            begun.discard(self)
            raise

    def _settle(self, value: Any, error: BaseException | None) -> None:
        self._outcome = value, error
        begun.discard(self)
        try:
            self.loop.call_soon_threadsafe(self._wake)  # type: ignore[union-attr]  # it has begun
        except RuntimeError:  # the loop has closed: nothing waits any more
            pass

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters = ()

    def waiter(self) -> asyncio.Future[None]:
        """A future that is done when the call has ended."""
        assert self.loop is not None  # noqa: S101  # it has begun
        waiter = self.loop.create_future()
        self._waiters = (*self._waiters, waiter)
        return waiter

    def __await__(self) -> Generator[Any, Any, _Value]:
        self.is_awaited = True
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
            self._begin(self.loop)
        if self._outcome is None:
            yield from self.waiter()
        self.is_heard = True
        assert self._outcome is not None  # noqa: S101  # waited for
        value, error = self._outcome
        if error is None:
            return value  # type: ignore[no-any-return]  # what `start` says
        try:
            raise error
        finally:
            del self, error  # breaks the reference cycle error -> traceback -> frame

    def forget(self) -> None:
        """Tell nobody of an error that is not awaited."""
        self.is_heard = True

    @property
    def error(self) -> BaseException | None:
        """The error that it ended with, ``None`` where there is none, or not yet."""
        return None if self._outcome is None else self._outcome[1]

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:  # modules may be gone by then
        if self.is_heard or is_finalizing():
            return
        if self.error is not None:
            self._context.copy().run(self._report, self.error)
        elif not self.is_awaited and self.loop is None:
            self._warn("{0} does nothing in a def: in an async def write await {0}, in a def leave aio out")
        elif not self.is_awaited and self._reads:
            self._context.copy().run(self._warn, LOST)

    def _report(self, error: BaseException) -> None:
        """Log an error that nobody awaits any more."""
        logger.error(
            "%s of %s, line %d failed, and nothing awaited it: %s", self.said, self._code.co_filename, self.line,
            type(error).__name__, exc_info=(type(error), error, error.__traceback__),
        )  # fmt: skip


def run_in_pool(pool: Pool, call: Callable[[], Any], loop: _Loop, context: Context, settle: Settle) -> None:
    """Run ``call`` in a pool of threads, for a `BegunCall`. Without the two futures of ``run_in_executor``, which cost
    as much as a small call."""
    pool.submit(_run, call, context, [settle])


def _run(call: Callable[[], Any], context: Context, settles: list[Settle]) -> None:
    settle = settles.pop()  # the pool's own frames keep the list
    outcome: tuple[Any, BaseException | None]
    try:
        outcome = context.run(call), None
    except BaseException as error:
        outcome = None, error
    settle(*outcome)
    del outcome, settle  # breaks the reference cycles promise -> error -> traceback -> frame

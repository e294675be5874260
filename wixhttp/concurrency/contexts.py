"""Coroutines in a context of their own (PEP 567): that of their request, whatever task awaits them.

A handler runs, and the stream that it returns is drawn and closed, in one context, so that a variable set in the one
has its value in the other, and can be reset there by its token. A context cannot be entered twice at once; so neither a
task nor the dispatcher lives in that of a handler. They enter it for a step, by a thread for a ``def``, by `await_in`
for an ``async def``, and are outside of it while they wait.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from types import CoroutineType, coroutine
from typing import Any


async def await_in(context: Context, value: Awaitable[Any]) -> Any:
    """Await a coroutine, or any other awaitable, each step of it in ``context``, and return its result."""
    running: Any = value if value.__class__ is CoroutineType else _awaited(value)
    try:
        resumed = resume(context, running, context.run(running.send, None))
    except StopIteration as end:
        return end.value
    return await resumed


@coroutine
def resume(context: Context, running: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    """Await a coroutine whose first step, in ``context``, gave ``waits_for``."""
    step: Callable[[Any], Any]
    given: Any = None
    while True:
        try:
            given = yield waits_for
            step = running.send
        except BaseException as error:  # cancellation, and the end of a generator: the coroutine's to deal with
            step, given = running.throw, error
        try:
            waits_for = None  # breaks the reference cycle error -> traceback -> frame; so below
            waits_for = context.run(step, given)
        except StopIteration as end:
            return end.value
        finally:
            given = None


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value

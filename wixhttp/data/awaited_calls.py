"""Calls on collections from an event loop: on threads, with the caller's context, and never lost once begun."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, ParamSpec, TypeVar

from wixhttp.context import current_collections
from wixhttp.data.calls.patches import Patch
from wixhttp.data.calls.results import AggregateResult, QueryResult, ResultPage
from wixhttp.data.queries.builders import Aggregate, Query

from .query_runner import QueryRunner, runner

logger = logging.getLogger("wixhttp")

THREADS = 32
"""Calls at once in one process, for each depth of hooks."""

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_Page = TypeVar("_Page", QueryResult, AggregateResult)


class _Pools:
    """A pool for each depth of hooks: calls that hooks make never wait for a thread that waits for the hook."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[int, ThreadPoolExecutor] = {}
        self._pid = 0

    def at(self, depth: int) -> ThreadPoolExecutor:
        """The pool of this process for calls in hooks of that depth."""
        with self._lock:
            if self._pid != os.getpid():  # threads do not live on in a fork
                self._pools, self._pid = {}, os.getpid()
            pool = self._pools.get(depth)
            if pool is None:
                pool = self._pools[depth] = ThreadPoolExecutor(THREADS, f"wixhttp-data-{depth}")
            return pool


_pools = _Pools()


async def in_thread(call: Callable[[], _Result]) -> _Result:
    """Run ``call`` on a thread, in this context. Cancelled, it goes on, and what it raises then is logged."""
    acting = current_collections.get()
    context = contextvars.copy_context()
    pool = _pools.at(0 if acting is None else acting.depth)
    running = asyncio.get_running_loop().run_in_executor(pool, context.run, call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        running.add_done_callback(_report)
        raise


def _report(running: asyncio.Future[Any]) -> None:
    error = None if running.cancelled() else running.exception()
    if error is not None:
        logger.error("a call that nobody waited for any more failed: %r", error, exc_info=error)


def awaited(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, Coroutine[Any, Any, _Result]]:
    """``function`` to be awaited."""

    @functools.wraps(function)
    async def call(*arguments: _Parameters.args, **keywords: _Parameters.kwargs) -> _Result:
        return await in_thread(lambda: function(*arguments, **keywords))

    return call


def awaited_page(
    function: Callable[_Parameters, QueryResult],
) -> Callable[_Parameters, Coroutine[Any, Any, AwaitedResult]]:
    """``function`` to be awaited, and the turning of its pages too."""

    @functools.wraps(function)
    async def call(*arguments: _Parameters.args, **keywords: _Parameters.kwargs) -> AwaitedResult:
        result: AwaitedResult = _turned(await in_thread(lambda: function(*arguments, **keywords)))
        return result

    return call


class AwaitedPage(ResultPage, Generic[_Page]):
    """A page whose ``next`` is awaited."""

    def __init__(self, page: _Page) -> None:
        self.__dict__.update(vars(page))
        self._page: _Page = page

    async def next(self) -> Any:
        """The page behind this one. Raises as that of the page itself."""
        return _turned(await in_thread(self._page.next))


class AwaitedAggregateResult(AwaitedPage[AggregateResult]):
    """An `AggregateResult` to be turned in ``async def``."""


class AwaitedResult(AwaitedPage[QueryResult]):
    """A `QueryResult` to be turned in ``async def``."""

    query: Query | None
    partialIncludes: bool | None

    async def prev(self) -> Any:
        """The page before this one. Raises as that of the page itself."""
        return _turned(await in_thread(self._page.prev))


def _turned(result: Any) -> Any:
    """A result, for ``async def``; ``onFailure`` may have given anything."""
    if isinstance(result, QueryResult):
        return AwaitedResult(result)
    return AwaitedAggregateResult(result) if isinstance(result, AggregateResult) else result


class AwaitedRunner:
    """A `QueryRunner` that is awaited."""

    def __init__(self, inner: QueryRunner) -> None:
        self._runner = inner

    @classmethod
    def of(cls, *, is_velo: bool) -> AwaitedRunner:
        """Make the runner of a builder that is made now."""
        return cls(runner(is_velo=is_velo))

    async def find(self, query: Query, options: Any = None, **keywords: Any) -> Any:
        """See `Query.find`."""
        return _turned(await in_thread(lambda: self._runner.find(query, options, **keywords)))

    async def count(self, query: Query, options: Any = None, **keywords: Any) -> Any:
        """See `Query.count`."""
        return await in_thread(lambda: self._runner.count(query, options, **keywords))

    async def distinct(self, query: Query, field: str, options: Any = None, **keywords: Any) -> Any:
        """See `Query.distinct`."""
        return _turned(await in_thread(lambda: self._runner.distinct(query, field, options, **keywords)))

    async def aggregate(self, aggregation: Aggregate, options: Any = None, **keywords: Any) -> Any:
        """See `Aggregate.run`."""
        return _turned(await in_thread(lambda: self._runner.aggregate(aggregation, options, **keywords)))

    async def patch(self, asked: Patch, options: Any = None, **keywords: Any) -> Any:
        """See `Patch.run`."""
        return await in_thread(lambda: self._runner.patch(asked, options, **keywords))

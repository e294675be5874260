"""Calls on collections from an event loop: on threads, with the caller's context. They begin when they are made, and
are never lost."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from wixhttp.concurrency.begun_calls import BegunCall, run_in_pool
from wixhttp.context import current_collections
from wixhttp.data.calls.patches import Patch
from wixhttp.data.calls.results import AggregateResult, Item, QueryResult, ResultPage
from wixhttp.data.queries.builders import Aggregate, QueryBuilder
from wixhttp.promises import Promise

from .query_runner import QueryRunner, runner

THREADS = 32
"""Calls at once in one process, for each depth of hooks."""

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_Value = TypeVar("_Value")


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


def begin(said: str, call: Callable[[], _Result], *, reads: bool = False) -> Promise[_Result]:
    """The promise of ``call``, which begins on a thread, in this context. It ends even where nobody awaits it."""
    acting = current_collections.get()
    depth = 0 if acting is None else acting.depth

    return BegunCall(said, lambda *where: run_in_pool(_pools.at(depth), call, *where), reads=reads)


_READERS = frozenset({"get", "count", "distinct", "isReferenced", "queryReferenced", "queryReferencedItems"})


def awaited(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, Promise[_Result]]:
    """``function`` to be awaited. It begins when it is called."""
    said, reads = f"{function.__name__}(...)", function.__name__ in _READERS

    @functools.wraps(function)
    def call(*arguments: _Parameters.args, **keywords: _Parameters.kwargs) -> Promise[_Result]:
        return begin(said, lambda: function(*arguments, **keywords), reads=reads)

    return call


def awaited_page(
    function: Callable[_Parameters, QueryResult[_Value]],
) -> Callable[_Parameters, Promise[AwaitedResult[_Value]]]:
    """``function`` to be awaited, and the turning of its pages too."""
    said = f"{function.__name__}(...)"

    @functools.wraps(function)
    def call(*arguments: _Parameters.args, **keywords: _Parameters.kwargs) -> Promise[AwaitedResult[_Value]]:
        return begin(said, lambda: _turned(function(*arguments, **keywords)), reads=True)

    return call


class AwaitedAggregateResult(ResultPage[Item]):
    """An `AggregateResult` to be turned in ``async def``."""

    def __init__(self, page: AggregateResult) -> None:
        self.__dict__.update(vars(page))
        self._page = page

    def next(self) -> Promise[AwaitedAggregateResult]:
        """The page behind this one. Raises as that of the page itself."""
        return begin("next()", lambda: AwaitedAggregateResult(self._page.next()), reads=True)


class AwaitedResult(ResultPage[_Value]):
    """A `QueryResult` to be turned in ``async def``."""

    query: AwaitedQuery | None
    partialIncludes: bool | None

    def __init__(self, page: QueryResult[_Value]) -> None:
        self.__dict__.update(vars(page))
        self._page = page

    def next(self) -> Promise[AwaitedResult[_Value]]:
        """The page behind this one. Raises as that of the page itself."""
        return begin("next()", lambda: _turned(self._page.next()), reads=True)

    def prev(self) -> Promise[AwaitedResult[_Value]]:
        """The page before this one. Raises as that of the page itself."""
        return begin("prev()", lambda: _turned(self._page.prev()), reads=True)


@dataclass(frozen=True)
class AwaitedQuery(QueryBuilder):
    """A `results.Query` whose ``find``, ``count`` and ``distinct`` are awaited."""

    def find(self, options: Mapping[str, Any] | None = None, **keywords: Any) -> Promise[AwaitedResult[Item]]:
        """See `results.Query.find`."""
        found: Promise[AwaitedResult[Item]] = self.runner.find(self, options, **keywords)
        return found

    def count(self, options: Mapping[str, Any] | None = None, **keywords: Any) -> Promise[int]:
        """See `results.Query.count`."""
        number: Promise[int] = self.runner.count(self, options, **keywords)
        return number

    def distinct(
        self, field: str, options: Mapping[str, Any] | None = None, **keywords: Any
    ) -> Promise[AwaitedResult[Any]]:
        """See `results.Query.distinct`."""
        found: Promise[AwaitedResult[Any]] = self.runner.distinct(self, field, options, **keywords)
        return found


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

    def find(self, query: QueryBuilder, options: Any = None, **keywords: Any) -> Promise[Any]:
        """See `Query.find`."""
        return begin("find()", lambda: _turned(self._runner.find(query, options, **keywords)), reads=True)

    def count(self, query: QueryBuilder, options: Any = None, **keywords: Any) -> Promise[Any]:
        """See `Query.count`."""
        return begin("count()", lambda: self._runner.count(query, options, **keywords), reads=True)

    def distinct(self, query: QueryBuilder, field: str, options: Any = None, **keywords: Any) -> Promise[Any]:
        """See `Query.distinct`."""
        call = functools.partial(self._runner.distinct, query, field, options, **keywords)
        return begin("distinct(...)", lambda: _turned(call()), reads=True)

    def aggregate(self, aggregation: Aggregate[Any], options: Any = None, **keywords: Any) -> Promise[Any]:
        """See `Aggregate.run`."""
        return begin("run()", lambda: _turned(self._runner.aggregate(aggregation, options, **keywords)), reads=True)

    def patch(self, asked: Patch[Any], options: Any = None, **keywords: Any) -> Promise[Any]:
        """See `Patch.run`."""
        return begin("run()", lambda: self._runner.patch(asked, options, **keywords))

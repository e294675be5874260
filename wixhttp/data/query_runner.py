"""The execution of builders: queries, aggregations and patches act as whoever acts when they are run, not when made.

Only elevated rights are kept from when the builder was made: ``elevate(wix_data.query)("books").find()``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from wixhttp.concurrency.event_loop import blocks_a_request
from wixhttp.context import current_collections
from wixhttp.data.calls.options import Options, parse_options
from wixhttp.data.calls.patches import Patch
from wixhttp.data.queries.builders import Aggregate, QueryBuilder
from wixhttp.misuse import warn_misuse

from .calls import aggregates, bulk, patches, reads
from .calls.access import Collections
from .calls.results import AggregateResult, BulkResult, Item, QueryResult
from .collections import current


@dataclass(frozen=True)
class QueryRunner:
    """Runs queries, aggregations and patches with the defaults of one of the two data APIs."""

    is_velo: bool
    is_elevated: bool = False

    def find(self, query: QueryBuilder, options: Any = None, **keywords: Any) -> QueryResult[Item]:
        """See `Query.find`."""
        return reads.find(self._current(), query, self._options("find", options, keywords))

    def count(self, query: QueryBuilder, options: Any = None, **keywords: Any) -> int:
        """See `Query.count`."""
        return reads.count(self._current(), query, self._options("count", options, keywords))

    def distinct(self, query: QueryBuilder, field: str, options: Any = None, **keywords: Any) -> QueryResult[Any]:
        """See `Query.distinct`."""
        return reads.distinct(self._current(), query, field, self._options("distinct", options, keywords))

    def aggregate(self, aggregation: Aggregate[Any], options: Any = None, **keywords: Any) -> AggregateResult:
        """See `Aggregate.run`."""
        return aggregates.aggregate(self._current(), aggregation, self._options("aggregate", options, keywords))

    def patch(self, asked: Patch[Any], options: Any = None, **keywords: Any) -> Item | BulkResult:
        """See `Patch.run`."""
        if asked.is_bulk:
            return bulk.patch_many(self._current(), asked, self._options("bulkPatch", options, keywords))
        return patches.patch(self._current(), asked, self._options("patch", options, keywords))

    def _options(self, function: str, options: Any, keywords: Mapping[str, Any]) -> Options:
        if blocks_a_request():
            warn_of_blocking(function, is_velo=self.is_velo)
        return parse_options(function, options, keywords, is_velo=self.is_velo)

    def _current(self) -> Collections:
        collections = current()
        if not self.is_elevated or collections.identity.is_elevated:
            return collections
        return collections.acting_as(replace(collections.identity, is_elevated=True))


def warn_of_blocking(function: str, *, is_velo: bool) -> None:
    """Warn of a call of one of the two data APIs that blocks the event loop."""
    name = "from wixhttp.data import aio as wix_data" if is_velo else "from wixhttp.data.aio import items"
    warn_misuse(
        f"{function}() of a collection blocks the event loop in an async def, and all requests with it: "
        f"write {name}, and await it"
    )


def runner(*, is_velo: bool) -> QueryRunner:
    """Make the runner of a builder that is made now."""
    acting = current_collections.get()
    return QueryRunner(is_velo, acting is not None and acting.identity.is_elevated)


Given = Mapping[str, Any] | None
"""The options of a call, as a user gives them."""

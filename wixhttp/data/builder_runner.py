"""What runs the builders of a face: it asks who acts when the builder is run, not when it is made.

Only elevated rights are kept from when the builder was made: ``elevate(wix_data.query)("books").find()``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from wixhttp.context import current_collections
from wixhttp.data.calls.options import parse_options
from wixhttp.data.calls.patches import Patch
from wixhttp.data.queries.builders import Aggregate, Query

from .collections import Collections, current


@dataclass(frozen=True)
class Runner:
    """Runs queries, aggregations and patches with the defaults of a face."""

    is_velo: bool
    is_elevated: bool = False

    def find(self, query: Query, options: Any = None, **keywords: Any) -> Any:
        """See `Query.find`."""
        return self._current().find(query, parse_options("find", options, keywords, is_velo=self.is_velo))

    def count(self, query: Query, options: Any = None, **keywords: Any) -> Any:
        """See `Query.count`."""
        return self._current().count(query, parse_options("count", options, keywords, is_velo=self.is_velo))

    def distinct(self, query: Query, field: str, options: Any = None, **keywords: Any) -> Any:
        """See `Query.distinct`."""
        checked = parse_options("distinct", options, keywords, is_velo=self.is_velo)
        return self._current().distinct(query, field, checked)

    def aggregate(self, aggregation: Aggregate, options: Any = None, **keywords: Any) -> Any:
        """See `Aggregate.run`."""
        checked = parse_options("aggregate", options, keywords, is_velo=self.is_velo)
        return self._current().aggregate(aggregation, checked)

    def patch(self, asked: Patch, options: Any = None, **keywords: Any) -> Any:
        """See `Patch.run`."""
        if asked.is_bulk:
            return self._current().bulk_patch(asked, parse_options("bulkPatch", options, keywords, is_velo=False))
        return self._current().patch(asked, parse_options("patch", options, keywords, is_velo=False))

    def _current(self) -> Collections:
        collections = current()
        if not self.is_elevated or collections.identity.is_elevated:
            return collections
        return collections.acting_as(replace(collections.identity, is_elevated=True))


def runner(*, is_velo: bool) -> Runner:
    """What runs a builder that is made now."""
    acting = current_collections.get()
    return Runner(is_velo, acting is not None and acting.identity.is_elevated)


Given = Mapping[str, Any] | None
"""The options of a call in a face."""

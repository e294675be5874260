"""The results of calls on collections: queries with their pages of items, and the outcome of bulk calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from wixhttp.data.queries.builders import QueryBuilder
from wixhttp.errors import WixDataError

from .errors import BulkError

Item = dict[str, Any]
"""An item of a collection, or a result of an aggregation."""

_Value = TypeVar("_Value")


class ResultPage(Generic[_Value]):
    """The members that every page of results has.

    ``items`` (also ``_items``), ``length`` their number, ``pageSize`` the limit, or the number of items where none was
    set; ``currentPage`` from 0, ``totalCount`` and ``totalPages``. Those that are not known are ``None``: the totals
    where they are not asked for, the page where an empty result has no limit.
    """

    def __init__(
        self,
        items: list[_Value],
        *,
        skip: int,
        limit: int | None,
        total: int | None,
        has_next: bool,
        page: int | None = None,
    ) -> None:
        self.items = items
        self._items = items
        self.length = len(items)
        self.pageSize = (limit or len(items)) or None
        self.totalCount = total
        self.totalPages = None if total is None or self.pageSize is None else -(-total // self.pageSize)
        self.currentPage = -(-skip // self.pageSize) if self.pageSize else None
        if page is not None:
            self.currentPage = page
        self._skip = skip
        self._has_next = has_next

    def hasNext(self) -> bool:
        """Return whether there are more items behind these."""
        return self._has_next

    def hasPrev(self) -> bool:
        """Return whether items were left out before these."""
        return self._skip > 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.length} items, page {self.currentPage}, total {self.totalCount}>"


class QueryResult(ResultPage[_Value]):
    """A page of a query. With Velo's API, ``query`` is what was asked, ``partialIncludes`` whether `include` was cut.

    `next` goes on behind the last item of this page, `prev` ends before its first, so that they neither repeat nor
    leave out an item when others are written meanwhile. The limit stays the same.
    """

    def __init__(
        self,
        items: list[_Value],
        *,
        skip: int,
        limit: int | None,
        total: int | None,
        onward: Callable[[], QueryResult[_Value]] | None,
        back: Callable[[], QueryResult[_Value]] | None,
        page: int | None = None,
    ) -> None:
        super().__init__(items, skip=skip, limit=limit, total=total, has_next=onward is not None, page=page)
        self.query: Query | None = None
        self.partialIncludes: bool | None = None
        self._onward, self._back = onward, back

    def hasPrev(self) -> bool:
        """Return whether there are items before these."""
        return self._back is not None

    def next(self) -> QueryResult[_Value]:
        """The page behind this one.

        Raises:
            WixDataError: WDE0165, there is none; and as the query itself.
        """
        if self._onward is None:
            raise no_page("next")
        return self._onward()

    def prev(self) -> QueryResult[_Value]:
        """The page before this one.

        Raises:
            WixDataError: WDE0159, this is the first; and as the query itself.
        """
        if self._back is None:
            raise no_page("prev")
        return self._back()


@dataclass(frozen=True)
class Query(QueryBuilder):
    """A query of one collection, as ``wix_data.query`` makes it. Nothing runs before `find`, `count` or `distinct`."""

    def find(self, options: Mapping[str, Any] | None = None, **keywords: Any) -> QueryResult[Item]:
        """The first page of what the query selects, a `QueryResult`.

        Raises:
            WixDataError: a condition is wrong (all of them in one message), the collection does not exist, or reading
                it is not permitted.
        """
        found: QueryResult[Item] = self.runner.find(self, options, **keywords)
        return found

    def count(self, options: Mapping[str, Any] | None = None, **keywords: Any) -> int:
        """Count the items that the query selects; order, ``skip`` and ``limit`` do not matter. Raises as `find`."""
        number: int = self.runner.count(self, options, **keywords)
        return number

    def distinct(self, field: str, options: Mapping[str, Any] | None = None, **keywords: Any) -> QueryResult[Any]:
        """The different values of a field, of arrays their elements, a page of them. Raises as `find`."""
        found: QueryResult[Any] = self.runner.distinct(self, field, options, **keywords)
        return found


class AggregateResult(ResultPage[Item]):
    """A page of an aggregation. All its pages are of one moment."""

    def __init__(self, results: Sequence[Item], *, skip: int, limit: int | None, size: int, counts: bool) -> None:
        items = list(results[skip : skip + size])
        total = len(results) if counts else None
        super().__init__(items, skip=skip, limit=limit, total=total, has_next=len(results) > skip + size)
        self._results, self._size, self._counts = results, size, counts

    def next(self) -> AggregateResult:
        """The page behind this one.

        Raises:
            WixDataError: WDE0165, there is none.
        """
        if not self._has_next:
            raise no_page("next")
        size = self._size
        return AggregateResult(self._results, skip=self._skip + size, limit=size, size=size, counts=self._counts)


def no_page(which: str) -> WixDataError:
    """The error for turning a page that is not there."""
    code, way = ("WDE0165", "hasNext") if which == "next" else ("WDE0159", "hasPrev")
    return WixDataError(code, f"Failed to load the {which} page; ask {way}() first.\nThere is no {which} page.")


class BulkResult(dict[str, Any]):
    """The outcome of a bulk call: a dict whose members are also attributes.

    ``inserted``, ``updated``, ``removed`` and ``skipped`` are numbers, ``insertedItemIds`` and the like the ids, and
    ``errors`` a `BulkError` for each item that failed. Velo's API has the members that Velo has for the call.
    """

    inserted: int
    updated: int
    removed: int
    skipped: int
    errors: list[BulkError]
    insertedItemIds: list[str]
    updatedItemIds: list[str]
    removedItemIds: list[str]

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"a bulk result has {', '.join(self)}, not {name!r}") from None


def bulk_result(
    inserted: Sequence[str] = (),
    updated: Sequence[str] = (),
    removed: Sequence[str] = (),
    *,
    skipped: int = 0,
    errors: Sequence[BulkError] = (),
) -> BulkResult:
    """The result with all members."""
    ordered = sorted(errors, key=lambda error: error.original_index or 0)
    return BulkResult(
        inserted=len(inserted),
        updated=len(updated),
        removed=len(removed),
        skipped=skipped,
        errors=ordered,
        insertedItemIds=list(inserted),
        updatedItemIds=list(updated),
        removedItemIds=list(removed),
    )


def velo_result(result: BulkResult, *, is_removal: bool) -> BulkResult:
    """The members that Velo's result has."""
    kept = (
        "removed skipped errors removedItemIds"
        if is_removal
        else "inserted updated skipped errors insertedItemIds updatedItemIds"
    )
    return BulkResult({name: result[name] for name in kept.split()})

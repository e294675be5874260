"""Reading collections: one item, pages of a query, counts, different values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from wixhttp.data.queries import evaluator
from wixhttp.data.queries.builders import DEFAULT_LIMIT, QueryBuilder
from wixhttp.data.queries.tree import NEWEST_FIRST, FieldPath, both
from wixhttp.data.stores.contract import Row, to_item

from .access import Collections
from .errors import check_builder
from .hooked_call import HookedCall
from .item_ids import checked_id, is_id
from .linked_conditions import resolved
from .options import Options
from .references import include
from .results import Item, Query, QueryResult


def get(collections: Collections, collection: str, item_id: str, options: Options) -> dict[str, Any] | None:
    """The item, or ``None``."""
    call = HookedCall(collections, collection, options)
    plain_id = checked_id(item_id)
    return call.run(lambda: _got(call, plain_id))


def _got(call: HookedCall, item_id: str) -> dict[str, Any] | None:
    collections, collection, options = call.collections, call.collection, call.options
    reach = collections.reach(collection, "read", options)
    item_id = checked_id(call.before("beforeGet", item_id, str))
    ids = [item_id] if is_id(item_id) else []
    row = collections.reading(collection, lambda: collections.store.get(collection, ids)).get(item_id)
    if row is None or (reach == "own" and not collections.owns(row)):
        return None
    items = [to_item(row)]
    if options.fields:
        items = [evaluator.project(items[0], [*options.fields, *((each.field,) for each in options.includes)])]
    include(collections, collection, options.includes, items, options)
    return call.after("afterGet", items[0], Mapping)


# --- queries ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _PageRequest:
    """A page of a query: its number of items left out, its number, and the page that it was reached from.

    ``is_reversed``: it ends before the position that ``query.after`` is, instead of beginning behind it.
    """

    query: QueryBuilder
    options: Options
    skip: int
    page: int | None = None
    origin: _PageRequest | None = None
    is_reversed: bool = False


def find(
    collections: Collections, query: QueryBuilder, options: Options, page: _PageRequest | None = None
) -> QueryResult[Item]:
    """Read a page of a query, the first unless ``page`` names another."""
    check_builder(query, "query")
    call = HookedCall(collections, query.collection, options)
    request = page or _PageRequest(query, options, query.offset)
    return call.run(lambda: _found(call, request))


def _found(call: HookedCall, request: _PageRequest) -> QueryResult[Item]:
    collections, collection, options = call.collections, call.collection, call.options
    tree = collections.readable(collection, options)
    query = _hooked(call, "beforeQuery", request.query)
    collections.check_held(collection, (each.path for each in query.order), "a query is not sorted by them;")
    tree = both(resolved(collections, collection, query.tree, options), tree)
    limit, order = query.size or DEFAULT_LIMIT, query.order or NEWEST_FIRST
    after = request.query.after
    if after is not None and len(after) != len(order) + 1:
        after = None  # the hook has made another order
    skip = request.skip if request.query.after is not None else query.offset
    is_reversed = request.is_reversed and after is not None
    rows = collections.reading(
        collection,
        lambda: collections.store.find(
            collection,
            tree,
            order,
            skip=0 if after is not None else skip,
            limit=limit + 1,
            after=after,
            is_reversed=is_reversed,
        ),
    )
    more, rows = len(rows) > limit, rows[:limit]
    if is_reversed:
        rows.reverse()
    items = [to_item(row) for row in rows]
    has_next, has_prev = (True, more) if is_reversed else (more, skip > 0)
    total = None
    if options.counts:
        is_last = not more and after is None and (bool(items) or skip == 0)
        total = skip + len(items) if is_last else collections.store.count(collection, tree)

    def turned(step: int) -> QueryResult[Item]:
        edge = evaluator.position(to_item(rows[-1 if step > 0 else 0]), order) if rows else None
        following = _turned(request, edge, step, skip, limit)
        return find(collections, following.query, following.options, following)

    result = QueryResult(
        items,
        skip=skip,
        limit=query.size,
        total=total,
        onward=(lambda: turned(1)) if has_next else None,
        back=(lambda: turned(-1)) if has_prev else None,
        page=request.page,
    )
    _dress(call, query, result)
    if options.is_velo:
        result.query = cast("Query", replace(request.query, after=None, offset=skip))
    return result


def _dress(call: HookedCall, query: QueryBuilder, result: QueryResult[Item]) -> None:
    """Projection, inclusions and hooks of the items of a result."""
    items = result.items
    if query.projection:
        paths: list[FieldPath] = [*query.projection, *((each.field,) for each in query.includes)]
        items[:] = [evaluator.project(item, paths) for item in items]
    if query.includes:
        cut = include(call.collections, call.collection, query.includes, items, call.options)
        if call.options.is_velo:
            result.partialIncludes = cut
    if call.has("afterQuery"):
        items[:] = [call.after("afterQuery", item, Mapping) for item in items]


def _turned(request: _PageRequest, edge: tuple[Any, ...] | None, step: int, skip: int, limit: int) -> _PageRequest:
    """The page behind that of a request (``step`` 1), or before it (-1): by key from the position of its last or first
    item, which is ``edge``."""
    if edge is None and request.origin is not None and request.is_reversed == (step > 0):
        return request.origin  # all items of this page are gone
    start = max(0, skip + step * limit)
    page = max(0, (-(-skip // limit) if request.page is None else request.page) + step)
    query = replace(request.query, size=request.query.size or limit)
    if edge is None:
        return _PageRequest(replace(query, after=None, offset=start), request.options, start)
    origin = replace(request, origin=None)
    return _PageRequest(replace(query, after=edge), request.options, start, page, origin, is_reversed=step < 0)


def _hooked(call: HookedCall, name: str, query: QueryBuilder) -> QueryBuilder:
    made: QueryBuilder = call.before(name, query, QueryBuilder)
    if made is query or made.collection != call.collection:
        return query
    check_builder(made, "query")
    return made


def count(collections: Collections, query: QueryBuilder, options: Options) -> int:
    """Count the items that a query selects."""
    check_builder(query, "query")
    call = HookedCall(collections, query.collection, options)
    return call.run(lambda: _counted(call, query))


def _counted(call: HookedCall, query: QueryBuilder) -> int:
    collections, collection = call.collections, call.collection
    allowed = collections.readable(collection, call.options)
    asked = both(_hooked(call, "beforeCount", query).tree, call.options.filter)
    tree = both(resolved(collections, collection, asked, call.options), allowed)
    number = collections.reading(collection, lambda: collections.store.count(collection, tree))
    return call.after("afterCount", number, int)


def distinct(collections: Collections, query: QueryBuilder, field: str, options: Options) -> QueryResult[Any]:
    """The different values of a field, a `QueryResult` of values."""
    errors = list(query.errors)
    made = query.ascending(field)
    if made.errors != query.errors:
        errors.append(made.errors[-1].replace("WDE0051: The .ascending parameter", "WDE0048: The field parameter"))
    check_builder(replace(query, errors=tuple(errors)), "query")
    call = HookedCall(collections, query.collection, options)
    path = made.order[-1].path
    start = options.skip or query.offset
    return call.run(lambda: _distinct(call, query, path, start))


def _distinct(call: HookedCall, query: QueryBuilder, path: FieldPath, skip: int) -> QueryResult[Any]:
    collections, collection, options = call.collections, call.collection, call.options
    allowed = collections.readable(collection, options)
    hooked = _hooked(call, "beforeQuery", query)
    collections.check_held(collection, [path], "they are no values that distinct() lists;")
    tree = both(resolved(collections, collection, both(hooked.tree, options.filter), options), allowed)
    descending = options.descending or any(each.descending for each in hooked.order if each.path == path)
    values = collections.reading(
        collection,
        lambda: evaluator.distinct(map(to_item, collections.store.scan(collection, tree)), path, descending=descending),
    )
    limit = options.limit or hooked.size
    size = limit or DEFAULT_LIMIT

    def turned(start: int) -> QueryResult[Any]:
        sized = replace(query, size=size)
        return call.run(lambda: _distinct(call, sized, path, start))

    result = QueryResult(
        values[skip : skip + size],
        skip=skip,
        limit=limit,
        total=len(values) if options.counts else None,
        onward=(lambda: turned(skip + size)) if len(values) > skip + size else None,
        back=(lambda: turned(max(0, skip - size))) if skip else None,
    )
    if options.is_velo:
        result.query = cast("Query", query)
    return result


def stored_row(collections: Collections, collection: str, item_id: str) -> Row | None:
    """The row of an item as it is now, for hooks to look at."""
    try:
        return collections.reading(collection, lambda: collections.store.get(collection, [item_id])).get(item_id)
    except Exception as error:
        if getattr(error, "code", None) == "WDE0025" and not collections.strict:
            return None  # the write makes the collection
        raise

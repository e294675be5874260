"""Reading collections: one item, pages of a query, counts, different values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from wixhttp.data.queries import evaluator
from wixhttp.data.queries.builders import DEFAULT_LIMIT, Query
from wixhttp.data.queries.tree import Compare, FieldPath, both
from wixhttp.data.stores.contract import Row, to_item

from .access import Collections
from .errors import check_builder
from .hooked_call import HookedCall
from .item_ids import checked_id, is_id
from .options import Options
from .references import include
from .results import QueryResult


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
    """A page of a query: its number of items left out, its number, and the page that it was reached from."""

    query: Query
    options: Options
    skip: int
    page: int | None = None
    before: _PageRequest | None = None


def find(collections: Collections, query: Query, options: Options, page: _PageRequest | None = None) -> QueryResult:
    """Read a page of a query, the first unless ``page`` names another."""
    check_builder(query, "query")
    call = HookedCall(collections, query.collection, options)
    request = page or _PageRequest(query, options, query.offset)
    return call.run(lambda: _found(call, request))


def _found(call: HookedCall, request: _PageRequest) -> QueryResult:
    collections, collection, options = call.collections, call.collection, call.options
    tree = collections.readable(collection, options)
    query = _hooked(call, "beforeQuery", request.query)
    collections.check_compared(collection, query.tree)
    tree = both(query.tree, tree)
    limit = query.size or DEFAULT_LIMIT
    after = request.query.after
    if after is not None and len(after) != len(query.order) + 1:
        after = None  # the hook has made another order
    skip = request.skip if request.query.after is not None else query.offset
    rows = collections.reading(
        collection,
        lambda: collections.store.find(
            collection, tree, query.order, skip=0 if after is not None else skip, limit=limit + 1, after=after
        ),
    )
    more, items = len(rows) > limit, [to_item(row) for row in rows[:limit]]
    total = None
    if options.counts:
        is_last = not more and after is None and (bool(items) or skip == 0)
        total = skip + len(items) if is_last else collections.store.count(collection, tree)
    following = _following(request, query, items[-1], skip, limit) if more else None
    previous = _previous(request, skip, limit)
    result = QueryResult(
        items,
        skip=skip,
        limit=query.size,
        total=total,
        onward=None if following is None else lambda: find(collections, following.query, following.options, following),
        back=None if previous is None else lambda: find(collections, previous.query, previous.options, previous),
        page=request.page,
    )
    _dress(call, query, result)
    if options.is_velo:
        result.query = replace(request.query, after=None, offset=skip)
    return result


def _dress(call: HookedCall, query: Query, result: QueryResult) -> None:
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


def _following(request: _PageRequest, query: Query, last: Mapping[str, Any], skip: int, limit: int) -> _PageRequest:
    asked = replace(request.query, after=evaluator.position(last, query.order), size=request.query.size or limit)
    page = -(-skip // limit) if request.page is None else request.page
    return _PageRequest(asked, request.options, skip + limit, page + 1, request)


def _previous(request: _PageRequest, skip: int, limit: int) -> _PageRequest | None:
    if request.before is not None:
        return request.before
    if skip == 0:
        return None
    start = max(0, skip - limit)
    return _PageRequest(replace(request.query, offset=start, size=request.query.size or limit), request.options, start)


def _hooked(call: HookedCall, name: str, query: Query) -> Query:
    made: Query = call.before(name, query, Query)
    if made is query or made.collection != call.collection:
        return query
    check_builder(made, "query")
    return made


def count(collections: Collections, query: Query, options: Options) -> int:
    """Count the items that a query selects."""
    check_builder(query, "query")
    call = HookedCall(collections, query.collection, options)
    return call.run(lambda: _counted(call, query))


def _counted(call: HookedCall, query: Query) -> int:
    collections, collection = call.collections, call.collection
    allowed = collections.readable(collection, call.options)
    asked = both(_hooked(call, "beforeCount", query).tree, call.options.filter)
    collections.check_compared(collection, asked)
    tree = both(asked, allowed)
    number = collections.reading(collection, lambda: collections.store.count(collection, tree))
    return call.after("afterCount", number, int)


def distinct(collections: Collections, query: Query, field: str, options: Options) -> QueryResult:
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


def _distinct(call: HookedCall, query: Query, path: FieldPath, skip: int) -> QueryResult:
    collections, collection, options = call.collections, call.collection, call.options
    allowed = collections.readable(collection, options)
    hooked = _hooked(call, "beforeQuery", query)
    asked = both(hooked.tree, options.filter)
    collections.check_compared(collection, asked, Compare("exists", path, True))
    tree = both(asked, allowed)
    descending = options.descending or any(each.descending for each in hooked.order if each.path == path)
    values = collections.reading(
        collection,
        lambda: evaluator.distinct(map(to_item, collections.store.scan(collection, tree)), path, descending=descending),
    )
    limit = options.limit or hooked.size
    size = limit or DEFAULT_LIMIT

    def turned(start: int) -> QueryResult:
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
        result.query = query
    return result


def stored_row(collections: Collections, collection: str, item_id: str) -> Row | None:
    """The row of an item as it is now, for hooks to look at."""
    try:
        return collections.reading(collection, lambda: collections.store.get(collection, [item_id])).get(item_id)
    except Exception as error:
        if getattr(error, "code", None) == "WDE0025" and not collections.strict:
            return None  # the write makes the collection
        raise

"""Reading collections: one item, pages of a query, counts, different values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from wixhttp.data.queries import evaluator
from wixhttp.data.queries.builders import DEFAULT_LIMIT, Query
from wixhttp.data.queries.tree import Compare, FieldPath, both
from wixhttp.data.stores.contract import Row, to_item

from .access import Actor
from .builder_checks import check_built
from .hooked_call import Operation
from .item_ids import checked_id, is_id
from .options import Options
from .references import include
from .results import QueryResult


def get(actor: Actor, collection: str, item_id: str, options: Options) -> dict[str, Any] | None:
    """The item, or ``None``."""
    operation = Operation(actor, collection, options)
    plain_id = checked_id(item_id)
    return operation.run(lambda: _got(operation, plain_id))


def _got(operation: Operation, item_id: str) -> dict[str, Any] | None:
    actor, collection, options = operation.actor, operation.collection, operation.options
    reach = actor.reach(collection, "read", options)
    item_id = checked_id(operation.before("beforeGet", item_id, str))
    ids = [item_id] if is_id(item_id) else []
    row = actor.reading(collection, lambda: actor.store.get(collection, ids)).get(item_id)
    if row is None or (reach == "own" and not actor.owns(row)):
        return None
    items = [to_item(row)]
    if options.fields:
        items = [evaluator.project(items[0], [*options.fields, *((each.field,) for each in options.includes)])]
    include(actor, collection, options.includes, items, options)
    return operation.after("afterGet", items[0], Mapping)


# --- queries ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """A page of a query: its number of items left out, its number, and the page that it was reached from."""

    query: Query
    options: Options
    skip: int
    page: int | None = None
    before: _Place | None = None


def find(actor: Actor, query: Query, options: Options) -> QueryResult:
    """The first page of a query, a `QueryResult`."""
    return _page(actor, _Place(query, options, query.offset))


def _page(actor: Actor, place: _Place) -> QueryResult:
    check_built(place.query, "query")
    operation = Operation(actor, place.query.collection, place.options)
    return operation.run(lambda: _found(operation, place))


def _found(operation: Operation, place: _Place) -> QueryResult:
    actor, collection, options = operation.actor, operation.collection, operation.options
    tree = actor.readable(collection, options)
    query = _hooked(operation, "beforeQuery", place.query)
    actor.check_compared(collection, query.tree)
    tree = both(query.tree, tree)
    limit = query.size or DEFAULT_LIMIT
    after = place.query.after
    if after is not None and len(after) != len(query.order) + 1:
        after = None  # the hook has made another order
    skip = place.skip if place.query.after is not None else query.offset
    rows = actor.reading(
        collection,
        lambda: actor.store.find(
            collection, tree, query.order, skip=0 if after is not None else skip, limit=limit + 1, after=after
        ),
    )
    more, items = len(rows) > limit, [to_item(row) for row in rows[:limit]]
    total = None
    if options.counts:
        is_last = not more and after is None and (bool(items) or skip == 0)
        total = skip + len(items) if is_last else actor.store.count(collection, tree)
    following = _following(place, query, items[-1], skip, limit) if more else None
    previous = _previous(place, skip, limit)
    result = QueryResult(
        items,
        skip=skip,
        limit=query.size,
        total=total,
        onward=None if following is None else lambda: _page(actor, following),
        back=None if previous is None else lambda: _page(actor, previous),
        page=place.page,
    )
    _dress(operation, query, result)
    if options.is_velo:
        result.query = replace(place.query, after=None, offset=skip)
    return result


def _dress(operation: Operation, query: Query, result: QueryResult) -> None:
    """Projection, inclusions and hooks of the items of a result."""
    items = result.items
    if query.projection:
        paths: list[FieldPath] = [*query.projection, *((each.field,) for each in query.includes)]
        items[:] = [evaluator.project(item, paths) for item in items]
    if query.includes:
        cut = include(operation.actor, operation.collection, query.includes, items, operation.options)
        if operation.options.is_velo:
            result.partialIncludes = cut
    if operation.has("afterQuery"):
        items[:] = [operation.after("afterQuery", item, Mapping) for item in items]


def _following(place: _Place, query: Query, last: Mapping[str, Any], skip: int, limit: int) -> _Place:
    asked = replace(place.query, after=evaluator.position(last, query.order), size=place.query.size or limit)
    page = -(-skip // limit) if place.page is None else place.page
    return _Place(asked, place.options, skip + limit, page + 1, place)


def _previous(place: _Place, skip: int, limit: int) -> _Place | None:
    if place.before is not None:
        return place.before
    if skip == 0:
        return None
    start = max(0, skip - limit)
    return _Place(replace(place.query, offset=start, size=place.query.size or limit), place.options, start)


def _hooked(operation: Operation, name: str, query: Query) -> Query:
    made: Query = operation.before(name, query, Query)
    if made is query or made.collection != operation.collection:
        return query
    check_built(made, "query")
    return made


def count(actor: Actor, query: Query, options: Options) -> int:
    """How many items a query selects."""
    check_built(query, "query")
    operation = Operation(actor, query.collection, options)
    return operation.run(lambda: _counted(operation, query))


def _counted(operation: Operation, query: Query) -> int:
    actor, collection = operation.actor, operation.collection
    allowed = actor.readable(collection, operation.options)
    asked = both(_hooked(operation, "beforeCount", query).tree, operation.options.filter)
    actor.check_compared(collection, asked)
    tree = both(asked, allowed)
    number = actor.reading(collection, lambda: actor.store.count(collection, tree))
    return operation.after("afterCount", number, int)


def distinct(actor: Actor, query: Query, field: str, options: Options) -> QueryResult:
    """The different values of a field, a `QueryResult` of values."""
    errors = list(query.errors)
    made = query.ascending(field)
    if made.errors != query.errors:
        errors.append(made.errors[-1].replace("WDE0051: The .ascending parameter", "WDE0048: The field parameter"))
    check_built(replace(query, errors=tuple(errors)), "query")
    operation = Operation(actor, query.collection, options)
    path = made.order[-1].path
    start = options.skip or query.offset
    return operation.run(lambda: _distinct(operation, query, path, start))


def _distinct(operation: Operation, query: Query, path: FieldPath, skip: int) -> QueryResult:
    actor, collection, options = operation.actor, operation.collection, operation.options
    allowed = actor.readable(collection, options)
    hooked = _hooked(operation, "beforeQuery", query)
    asked = both(hooked.tree, options.filter)
    actor.check_compared(collection, asked, Compare("exists", path, True))
    tree = both(asked, allowed)
    descending = options.descending or any(each.descending for each in hooked.order if each.path == path)
    values = actor.reading(
        collection,
        lambda: evaluator.distinct(map(to_item, actor.store.scan(collection, tree)), path, descending=descending),
    )
    limit = options.limit or hooked.size
    size = limit or DEFAULT_LIMIT

    def turned(start: int) -> QueryResult:
        sized = replace(query, size=size)
        return operation.run(lambda: _distinct(operation, sized, path, start))

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


def stored_row(actor: Actor, collection: str, item_id: str) -> Row | None:
    """The row of an item as it is now, for hooks to look at."""
    try:
        return actor.reading(collection, lambda: actor.store.get(collection, [item_id])).get(item_id)
    except Exception as error:
        if getattr(error, "code", None) == "WDE0025" and not actor.strict:
            return None  # the write makes the collection
        raise

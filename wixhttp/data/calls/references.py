"""References between collections: what `include` puts in, and the calls that look at links and change them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from wixhttp.data.queries.builders import DEFAULT_LIMIT, Include
from wixhttp.data.schema.links import Relation
from wixhttp.data.schema.permissions import not_permitted
from wixhttp.data.stores.contract import Link, Row, Transaction, to_item
from wixhttp.errors import WixDataError
from wixhttp.messages import brief, nearest
from wixhttp.project.toml_file import table_header

from .access import Collections
from .errors import no_item, shown
from .hooked_call import HookedCall
from .item_ids import reference_ids
from .options import Options
from .results import Item, QueryResult


def relation_of(collections: Collections, collection: str, field: object, *, many: bool = False) -> Relation:
    """The relation of a field; with ``many`` one to many items.

    Raises:
        WixDataError: WDE0020, it is none.
    """
    relation = collections.relation(collection, field)
    if relation is None or (many and relation.link is None):
        kind = "multi-reference" if many else "reference"
        name = str.__str__(field) if isinstance(field, str) and len(field) <= 64 and field.isidentifier() else "..."
        lines = [] if relation else ['collection = "..."']
        lines += ["many = true"] if many else []
        known = collections.relations.get(collection)
        meant = f"{nearest(name, known)} " if known and not relation and name != "..." else ""
        raise WixDataError(
            "WDE0020",
            f"{brief(field)} is no {kind} field of {collection}; {meant}to declare it, write in data/collections.toml, "
            f"below {table_header(collection, 'references', name)}: {', '.join(lines)}",
        )
    return relation


# --- include ---------------------------------------------------------------------------------------------------------


def include(
    collections: Collections,
    collection: str,
    includes: Sequence[Include],
    items: list[dict[str, Any]],
    options: Options,
) -> bool:
    """Put the items that references name in the place of their ids; whether a limit cut some off.

    Of one item that is not there or may not be read becomes ``None``; of many it is left out. No hook runs.
    """
    cut = False
    for each in includes:
        relation = relation_of(collections, collection, each.field)
        if relation.link is None:
            _include_one(collections, relation, items, options)
        else:
            cut = _include_many(collections, relation, relation.link, each.limit, items, options) or cut
    return cut


def _include_one(collections: Collections, relation: Relation, items: list[dict[str, Any]], options: Options) -> None:
    field = relation.field
    referring = [item for item in items if isinstance(item.get(field), str)]
    rows = readable_rows(collections, relation.target, {item[field] for item in referring}, options)
    for item in referring:
        row = rows.get(item[field])
        item[field] = None if row is None else to_item(row)


def _include_many(
    collections: Collections, relation: Relation, link: Link, limit: int, items: list[dict[str, Any]], options: Options
) -> bool:
    cut = False
    named: list[list[str]] = []
    for item in items:
        ids = _linked_ids(collections, relation, link, item["_id"], limit=limit + 1)
        cut = cut or len(ids) > limit
        named.append(ids[:limit])
    rows = readable_rows(collections, relation.target, {each for ids in named for each in ids}, options)
    for item, ids in zip(items, named, strict=True):
        item[relation.field] = [to_item(rows[each]) for each in ids if each in rows]
    return cut


def _linked_ids(
    collections: Collections,
    relation: Relation,
    link: Link,
    item_id: str,
    *,
    descending: bool = False,
    skip: int = 0,
    limit: int | None = None,
) -> list[str]:
    if relation.is_reverse:
        pairs = collections.store.links(link, referenced=item_id, descending=descending, skip=skip, limit=limit)
        return [referring for referring, _ in pairs]
    pairs = collections.store.links(link, referring=item_id, descending=descending, skip=skip, limit=limit)
    return [referenced for _, referenced in pairs]


def readable_rows(collections: Collections, collection: str, ids: set[str], options: Options) -> dict[str, Row]:
    """The rows with these ids that are there and may be read."""
    if not ids:
        return {}
    try:
        reach = collections.reach(collection, "read", options)
        collections.declare(collection)
        rows = collections.reading(collection, lambda: collections.store.get(collection, ids))
    except WixDataError as error:
        if error.code in ("WDE0025", "WDE0027"):
            return {}
        raise
    return rows if reach == "all" else {key: row for key, row in rows.items() if collections.owns(row)}


# --- changing links --------------------------------------------------------------------------------------------------


def set_links(tx: Transaction, relation: Relation, referring: str, referenced: Sequence[str]) -> None:
    """Make these the only links of a field of an item, in this order."""
    if relation.link is None:
        return
    own = ([referring], None) if not relation.is_reverse else (None, [referring])
    tx.remove_links(relation.link, tx.linked(relation.link, *own))
    tx.add_links(relation.link, relation.pairs(referring, referenced))


def insert_reference(
    collections: Collections, collection: str, field: str, referring: Any, referenced: Any, options: Options
) -> None:
    """Add links; WDE0029 where one of them is there."""

    def add(tx: Transaction, relation: Relation, link: Link, one: str, ids: list[str]) -> None:
        for each, is_new in zip(ids, tx.add_links(link, relation.pairs(one, ids)), strict=True):
            if not is_new:
                found = f"[{shown(one)}] references [{shown(each)}]"
                raise WixDataError("WDE0029", f"{found} in {field!r} already.", status=409)

    _change(collections, collection, field, referring, referenced, options, add)


def remove_reference(
    collections: Collections, collection: str, field: str, referring: Any, referenced: Any, options: Options
) -> None:
    """Remove links; WDE0153 where one of them is not there."""

    def remove(tx: Transaction, relation: Relation, link: Link, one: str, ids: list[str]) -> None:
        for each, was_there in zip(ids, tx.remove_links(link, relation.pairs(one, ids)), strict=True):
            if not was_there:
                missing = f"[{shown(one)}] does not reference [{shown(each)}]"
                raise WixDataError("WDE0153", f"{missing} in {field!r}.", status=404)

    _change(collections, collection, field, referring, referenced, options, remove)


def replace_references(
    collections: Collections, collection: str, field: str, referring: Any, referenced: Any, options: Options
) -> None:
    """Make these the only links; an empty list removes all."""

    def replace(tx: Transaction, relation: Relation, link: Link, one: str, ids: list[str]) -> None:
        set_links(tx, relation, one, ids)

    _change(collections, collection, field, referring, referenced, options, replace)


_Change = Callable[[Transaction, Relation, Link, str, "list[str]"], None]


def _change(
    collections: Collections,
    collection: str,
    field: str,
    referring: Any,
    referenced: Any,
    options: Options,
    change: _Change,
) -> None:
    call = HookedCall(collections, collection, options)
    one, ids = _only(referring), reference_ids(referenced, "WDE0021")

    def write() -> None:
        reach = collections.reach(collection, "update", options)
        relation = relation_of(collections, collection, field, many=True)

        def work(tx: Transaction) -> None:
            row = tx.get(collection, [one]).get(one)  # also says whether there is a collection
            if reach == "own" and (row is None or not collections.owns(row)):
                raise not_permitted("update", collection, collections.permissions(collection))
            if relation.link is not None:
                change(tx, relation, relation.link, one, ids)

        collections.writing(collection, work)

    call.run(write)


def _only(referring: Any) -> str:
    ids = reference_ids(referring, "WDE0019")
    if len(ids) != 1:
        raise WixDataError("WDE0019", f"What refers is one item or its _id, not {brief(referring)}.")
    return ids[0]


# --- looking at links ------------------------------------------------------------------------------------------------


def is_referenced(
    collections: Collections, collection: str, field: str, referring: Any, referenced: Any, options: Options
) -> bool:
    """Return whether one item refers to the other."""
    call = HookedCall(collections, collection, options)
    one, others = _only(referring), reference_ids(referenced, "WDE0019")
    if len(others) != 1:
        raise WixDataError("WDE0019", f"What is referred to is one item or its _id, not {brief(referenced)}.")

    def read() -> bool:
        relation = relation_of(collections, collection, field)
        row = _referring_row(call, one, required=relation.link is None)
        if relation.link is None:
            return row is not None and to_item(row).get(field) == others[0]
        return collections.store.count_links(relation.link, **_ends(relation, one, others[0])) > 0

    return call.run(read)


def _ends(relation: Relation, referring: str, referenced: str | None = None) -> dict[str, str | None]:
    if relation.is_reverse:
        return {"referring": referenced, "referenced": referring}
    return {"referring": referring, "referenced": referenced}


def _referring_row(call: HookedCall, item_id: str, *, required: bool = False) -> Row | None:
    """The row of an item whose references are read; ``None`` where it is not there, which links do not ask for.

    Raises:
        WixDataError: WDE0027, it may not be read; WDE0073 where it is ``required``.
    """
    collections, collection = call.collections, call.collection
    reach = collections.reach(collection, "read", call.options)
    row = collections.reading(collection, lambda: collections.store.get(collection, [item_id])).get(item_id)
    if reach == "own" and (row is None or not collections.owns(row)):
        raise not_permitted("read", collection, collections.permissions(collection))
    if row is None and required:
        raise no_item(collection, item_id)
    return row


def _page_of_ids(call: HookedCall, relation: Relation, one: str, skip: int, limit: int) -> list[str]:
    """The ids that an item refers to, in the asked order."""
    row = _referring_row(call, one, required=relation.link is None)
    if relation.link is None:
        value = to_item(row).get(relation.field) if row is not None else None
        return [value][skip : skip + limit] if isinstance(value, str) else []
    descending = call.options.descending
    return _linked_ids(call.collections, relation, relation.link, one, descending=descending, skip=skip, limit=limit)


def _number_of_ids(collections: Collections, relation: Relation, one: str, seen: int) -> int:
    return seen if relation.link is None else collections.store.count_links(relation.link, **_ends(relation, one))


def query_referenced(
    collections: Collections, collection: str, referring: Any, field: str, options: Options
) -> QueryResult[Item]:
    """A page of the items that an item refers to, in the order in which the references were made."""
    call = HookedCall(collections, collection, options)
    one = _only(referring)
    return call.run(lambda: _referenced(call, one, field, options.skip, options.limit))


def _referenced(call: HookedCall, one: str, field: str, skip: int, limit: int | None) -> QueryResult[Item]:
    collections, options = call.collections, call.options
    relation = relation_of(collections, call.collection, field)
    size = limit or DEFAULT_LIMIT
    ids = _page_of_ids(call, relation, one, skip, size + 1)
    more, ids = len(ids) > size, ids[:size]
    rows = readable_rows(collections, relation.target, set(ids), options)
    total = None
    if options.counts:
        is_all = not more and skip == 0
        total = len(ids) if is_all else _number_of_ids(collections, relation, one, skip + len(ids))

    def turned(start: int) -> QueryResult[Item]:
        return call.run(lambda: _referenced(call, one, field, start, size))

    return QueryResult(
        [to_item(rows[each]) for each in ids if each in rows],
        skip=skip,
        limit=limit,
        total=total,
        onward=(lambda: turned(skip + size)) if more else None,
        back=(lambda: turned(max(0, skip - size))) if skip else None,
    )


def query_referenced_items(
    collections: Collections, collection: str, referring: Any, field: str, options: Options
) -> dict[str, Any]:
    """The references of one item or several, those to missing or unreadable items among them."""
    call = HookedCall(collections, collection, options)
    referring_ids = reference_ids(referring, "WDE0019")
    return call.run(lambda: _references(call, referring_ids, field))


def _references(call: HookedCall, referring: Iterable[str], field: str) -> dict[str, Any]:
    collections, options = call.collections, call.options
    relation = relation_of(collections, call.collection, field)
    skip, size = options.skip, options.limit or DEFAULT_LIMIT
    pairs = [
        (one, each)
        for one in referring
        for each in _page_of_ids(call, relation, one, 0, skip + size + 1)
    ]  # fmt: skip
    shown = pairs[skip : skip + size]
    ids = {each for _, each in shown}
    rows = readable_rows(collections, relation.target, ids, options)
    everything = Options({"suppressAuth": True})
    there = readable_rows(collections, relation.target, ids - rows.keys(), everything)
    results = []
    for one, each in shown:
        result: dict[str, Any] = {"referringItemId": one}
        if each in rows:
            result["item"] = to_item(rows[each])
        else:
            result["unresolvedReference"] = {"referencedItemId": each, "unauthorized": each in there}
        results.append(result)
    paging: dict[str, Any] = {"count": len(results), "offset": skip, "hasNext": len(pairs) > skip + size}
    if options.counts:
        paging["total"] = sum(
            _number_of_ids(collections, relation, one, sum(1 for pair in pairs if pair[0] == one)) for one in referring
        )
    return {"results": results, "pagingMetadata": paging}

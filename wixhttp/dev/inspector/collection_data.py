"""Reads and writes of collections for the inspector: as ``wixhttp data`` does them, in the server's own process.

Reads go to the store itself: no hook runs. Writes are those of `wixhttp.data`, with the site's hooks. Permissions are
lifted for both. All of these block: they are called on threads.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from wixhttp import data
from wixhttp.data.calls.access import Collections, collection_name
from wixhttp.data.calls.errors import no_item
from wixhttp.data.calls.linked_conditions import resolved
from wixhttp.data.calls.options import Options
from wixhttp.data.collections import current
from wixhttp.data.files.formats import to_line
from wixhttp.data.files.plain_json import parse_plain_json
from wixhttp.data.queries.evaluator import position
from wixhttp.data.queries.filters import parse_filter
from wixhttp.data.queries.tree import EVERYTHING, NEWEST_FIRST, Order, Tree, parse_path
from wixhttp.data.schema.declarations import CollectionSchema, load_schema, site_collections
from wixhttp.data.stores.contract import SYSTEM_FIELDS, Index, no_collection, to_item
from wixhttp.data.stores.factory import sqlite_path
from wixhttp.errors import WixDataError
from wixhttp.project.config import Config

PAGE_SIZE = 50
"""Items of a page."""

_LIFTED = Options({"suppressAuth": True})
_LONGEST_CURSOR = 1_500  # characters in an address
_MOST_COLUMNS = 16
_MOST_LINKS = 200  # of a multi-reference field that are edited with the item


class ListedCollection(NamedTuple):
    """A collection in the list. ``items`` is their number, ``None`` where it is declared and was not used yet."""

    name: str
    items: int | None
    indexes: list[str]
    schema: CollectionSchema | None


class Cursor(NamedTuple):
    """A position between items: ``keys`` of the item at the edge, and whether the page ends before it."""

    keys: tuple[Any, ...]
    is_before: bool


@dataclass
class ItemPage:
    """A page of items. ``next`` and ``previous`` are texts of cursors, "" where there is no such page."""

    items: list[dict[str, Any]]
    columns: list[str]
    next: str = ""
    previous: str = ""
    total: int = 0


def list_collections(config: Config) -> list[ListedCollection]:
    """The collections that are there or declared, by name. No database is made for it."""
    schema = load_schema(config.root)
    if not is_there(config):
        return [ListedCollection(name, None, _index_texts(each.indexes), each) for name, each in sorted(schema.items())]
    store = current().store
    there = site_collections(store)
    return [
        ListedCollection(
            name,
            store.count(name, EVERYTHING) if name in there else None,
            _index_texts(there.get(name, ()) or (schema[name].indexes if name in schema else ())),
            schema.get(name),
        )
        for name in sorted({*there, *schema})
    ]


def describe_collection(config: Config, name: str) -> ListedCollection:
    """One collection, not counted.

    Raises:
        WixDataError: WDE0025, it is neither there nor declared.
    """
    collection_name(name)
    schema = load_schema(config.root)
    there = site_collections(current().store) if is_there(config) else {}
    if name not in there and name not in schema:
        raise no_collection(name, {**schema, **there})
    declared = schema.get(name)
    return ListedCollection(
        name,
        0 if name in there else None,
        _index_texts(there.get(name) or (declared.indexes if declared is not None else ())),
        declared,
    )


def is_there(config: Config) -> bool:
    """Return whether there is a store to look into: an embedded database is made by the first use of a collection."""
    path = sqlite_path(config.store_url, config.root)
    return path is None or path.exists()


def _index_texts(indexes: Iterable[Index]) -> list[str]:
    return [", ".join(index.names) + (" (unique)" if index.unique else "") for index in indexes]


# --- pages of items --------------------------------------------------------------------------------------------------


def read_page(name: str, filter_text: str, sort: str, cursor: str) -> ItemPage:
    """A page of a collection: what a filter selects, in the order of one field, ``-field`` for descending, at a cursor
    of an earlier page.

    Raises:
        WixDataError: the filter or the field is wrong, or the collection does not exist.
    """
    collections = current()
    tree, order = parse_filter_text(filter_text), parse_sort(sort)
    collections.declare(name)
    collections.check_held(name, (each.path for each in order), "a page is not sorted by them;")
    tree = resolved(collections, name, tree, _LIFTED)
    at = read_cursor(collections, name, cursor, order)
    rows = collections.store.find(
        name, tree, order, limit=PAGE_SIZE + 1,
        after=at.keys if at is not None else None, is_reversed=at is not None and at.is_before,
    )  # fmt: skip
    has_more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    is_back = at is not None and at.is_before
    if is_back:
        rows.reverse()
    items = [to_item(row) for row in rows]
    page = ItemPage(items, columns_of(items), total=collections.store.count(name, tree))
    if items and (has_more or is_back):
        page.next = write_cursor(items[-1], order)
    if items and (has_more if is_back else at is not None):
        page.previous = write_cursor(items[0], order, is_before=True)
    return page


def parse_filter_text(text: str) -> Tree:
    """The tree of a filter as ``wixhttp data query`` takes it; "" selects everything.

    Raises:
        WixDataError: it is no JSON, or no filter.
    """
    if not text.strip():
        return EVERYTHING
    return parse_filter(parse_json(text, "The filter"))


def parse_json(text: str, what: str) -> Any:
    """The value of a JSON text. Raises WixDataError where it is none, with the place."""
    try:
        return parse_plain_json(text)
    except json.JSONDecodeError as error:
        raise WixDataError(
            "WDE0016", f"{what} is not JSON: {error.msg}, line {error.lineno}, column {error.colno}."
        ) from None
    except (RecursionError, ValueError) as error:  # a number that is none, nested too deep; a number of too many digits
        raise WixDataError("WDE0016", f"{what} cannot be read: {error}.") from None


def parse_sort(text: str) -> tuple[Order, ...]:
    """The order that ``field`` or ``-field`` says; "" is newest first.

    Raises:
        WixDataError: it is no name of a field.
    """
    if not text:
        return NEWEST_FIRST
    try:
        return (Order(parse_path(text.removeprefix("-")), text.startswith("-")),)
    except ValueError as error:
        code, _, description = str(error).partition(": ")
        raise WixDataError(code, description) from None


def write_cursor(item: Mapping[str, Any], order: Sequence[Order], *, is_before: bool = False) -> str:
    """The text of the position of an item; where its keys are long, of its id alone."""
    keys = list(position(item, order))
    text = _packed([*keys, is_before])
    return text if len(text) <= _LONGEST_CURSOR else _packed([item["_id"], is_before])


def _packed(value: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(collections: Collections, name: str, text: str, order: Sequence[Order]) -> Cursor | None:
    """The cursor of a text; ``None`` for "", for a text of another order, and for an item that is gone."""
    if not text:
        return None
    try:
        *keys, is_before = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(keys[-1], str):
            return None
        if len(keys) == 1:
            row = collections.store.get(name, keys).get(keys[0])
            return None if row is None else Cursor(position(to_item(row), order), bool(is_before))
        sorting = tuple((int(rank), value) for rank, value in keys[:-1] if isinstance(value, str | int | float))
    except (binascii.Error, ValueError, TypeError, IndexError):
        return None
    return Cursor((*sorting, keys[-1]), bool(is_before)) if len(sorting) == len(order) else None


def columns_of(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns of a table of items: ``_id``, their fields in order of how many have them, then the dates and the
    owner."""
    counts: dict[str, int] = {}
    for item in items:
        for name in item:
            counts[name] = counts.get(name, 0) + 1
    own = [name for name in counts if name not in SYSTEM_FIELDS]
    own.sort(key=lambda name: -counts[name])  # stable: else as in the items
    return ["_id", *own[:_MOST_COLUMNS], "_createdDate", "_updatedDate", "_owner"]


# --- one item --------------------------------------------------------------------------------------------------------


class OpenedItem(NamedTuple):
    """An item as it is edited: ``text`` is its JSON with the ids of its multi-reference fields, ``updated`` the text of
    its ``_updatedDate``, by which a concurrent change is seen."""

    item_id: str
    text: str
    updated: str
    system: list[tuple[str, str]]


def open_item(name: str, item_id: str) -> OpenedItem:
    """An item for its page.

    Raises:
        WixDataError: WDE0073, it is not there; WDE0025, nor is the collection.
    """
    collections = current()
    collections.declare(name)
    row = collections.store.get(name, [item_id]).get(item_id)
    if row is None:
        raise no_item(name, item_id)
    item = to_item(row)
    fields = {key: value for key, value in item.items() if key not in SYSTEM_FIELDS} | _links(
        collections, name, item_id
    )
    shown = json.loads(to_line({"_id": item_id, **fields}))
    system = [("created", row.created), ("updated", row.updated), ("owner", row.owner or "nobody")]
    return OpenedItem(item_id, json.dumps(shown, indent=2, ensure_ascii=False), row.updated, system)


def _links(collections: Collections, name: str, item_id: str) -> dict[str, list[str]]:
    """The ids that the item's multi-reference fields name, of each that has no more than can be edited."""
    found = {}
    for field, relation in collections.relations.get(name, {}).items():
        if relation.link is None:
            continue
        pairs = collections.store.links(
            relation.link,
            referring=None if relation.is_reverse else item_id,
            referenced=item_id if relation.is_reverse else None,
            limit=_MOST_LINKS + 1,
        )
        if len(pairs) <= _MOST_LINKS:  # what is left out of an update stays as it is
            found[field] = [pair[0 if relation.is_reverse else 1] for pair in pairs]
    return found


_WRITTEN = {"suppressAuth": True, "saveReferences": True}


def insert_item(name: str, text: str) -> str:
    """Insert the item that a JSON text is, as the site's code does; its id.

    Raises:
        WixDataError: the text is no item, or it is refused.
        Exception: a hook of the site failed.
    """
    item = data.insert(name, _parse_item(text), _WRITTEN)
    return str(_result(item)["_id"])


def update_item(name: str, item_id: str, updated: str, text: str) -> None:
    """Put the item that a JSON text is in the place of the one with an id, unless that was changed since ``updated``.

    Raises:
        WixDataError: WDE0178, it was changed meanwhile; else as `insert_item`.
    """
    item = _parse_item(text)
    if item.setdefault("_id", item_id) != item_id:
        raise WixDataError(
            "WDE0007", f"This form changes the item {item_id!r}; to make one of another _id, insert it as a new item."
        )
    condition = {"_updatedDate": {"$eq": {"$date": updated}}}
    try:
        _result(data.update(name, item, {**_WRITTEN, "condition": condition}))
    except WixDataError as error:
        if error.code != "WDE0178":
            raise
        raise WixDataError(
            "WDE0178",
            "The item was changed by somebody else since this page was loaded. What you typed is below; load the item "
            "again to see what it is now.",
            status=409,
        ) from None


def remove_item(name: str, item_id: str) -> None:
    """Remove an item. Raises as `insert_item`; WDE0073 where it is not there."""
    if data.remove(name, item_id, {"suppressAuth": True}) is None:
        raise no_item(name, item_id)


def _parse_item(text: str) -> dict[str, Any]:
    item = parse_json(text, "The item")
    if not isinstance(item, dict):
        raise WixDataError("WDE0005", 'An item is an object, {"title": "Emma"}, and this is none.')
    return item


def _result(result: Any) -> Any:
    """The result of a write; an ``after`` hook that failed has put its exception there, and the write stands."""
    if isinstance(result, Exception):
        raise result
    return result

"""Writing one item: insert, update, save, remove; and emptying a collection.

Hooks run outside of the store's transaction. What depends on the stored item is looked at inside, where it is locked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wixhttp.data.queries.evaluator import matches
from wixhttp.data.queries.tree import EVERYTHING
from wixhttp.data.schema.permissions import not_permitted
from wixhttp.data.stores.contract import SYSTEM_FIELDS, Row, Transaction, to_item
from wixhttp.errors import WixDataError

from .access import Collections
from .errors import condition_not_met, duplicated, item_exists, no_item
from .hooked_call import HookedCall
from .item_ids import checked_id, is_id
from .options import Options
from .reads import stored_row
from .system_fields import PreparedItem, now_text, prepare_item

ATTEMPTS = 100
"""How often a write begins anew because the item was changed by others meanwhile."""


def insert(collections: Collections, collection: str, item: Any, options: Options) -> dict[str, Any]:
    """Add an item; with Velo's API, ``item`` itself gets the system fields."""
    call = HookedCall(collections, collection, options)
    return call.run(lambda: _insert(call, prepare_item(collections, collection, item, "insert", options), item))


def _insert(call: HookedCall, made: PreparedItem, given: Any) -> dict[str, Any]:
    collections, collection = call.collections, call.collection
    collections.reach(collection, "insert", call.options)
    made = hooked(call, "beforeInsert", made, "insert")
    row = made.new_row(collections.identity.user_id, now_text())

    def work(tx: Transaction) -> None:
        outcome = tx.insert(collection, [row])[0]
        if outcome != "done":
            raise item_exists(row.id) if outcome == "exists" else duplicated(collection, row.id)
        made.save_links(tx, row.id)

    collections.carrying(collection, work, call.options.carried, single=not made.links)
    stored = to_item(row)
    if call.options.is_velo and isinstance(given, dict):
        given.update({name: stored[name] for name in SYSTEM_FIELDS})
    return call.after("afterInsert", stored, Mapping)


def hooked(call: HookedCall, name: str, made: PreparedItem, action: str, current_item: Any = None) -> PreparedItem:
    """Run a hook before a write, and return the prepared item: the hook may change what it gets, or return another."""
    if not call.has(name):
        return made
    item = dict(call.before(name, made.given, Mapping, current_item))
    if action != "insert":
        item["_id"] = made.item_id
    return prepare_item(call.collections, call.collection, item, action, call.options)


def update(collections: Collections, collection: str, item: Any, options: Options) -> dict[str, Any]:
    """Put an item in the place of the one with its ``_id``."""
    call = HookedCall(collections, collection, options)

    def checked() -> dict[str, Any]:
        made = prepare_item(collections, collection, item, "update", options)
        if made.item_id is None:
            raise WixDataError("WDE0007", "Invalid update. Updated object must have a string _id property.")
        return _update(call, made)

    return call.run(checked)


def _update(call: HookedCall, made: PreparedItem) -> dict[str, Any]:
    collections, collection, item_id = call.collections, call.collection, str(made.item_id)
    permits = permit(call, "update")
    if call.has("beforeUpdate"):
        current = stored_row(collections, collection, item_id)
        if current is not None:
            permits(current)
            made = hooked(call, "beforeUpdate", made, "update", lambda: to_item(current))

    def work(tx: Transaction) -> tuple[Row, Row]:
        stored = tx.get(collection, [item_id]).get(item_id)
        if stored is None:
            raise no_item(collection, item_id)
        permits(stored)
        row = made.changed_row(stored)
        put(tx, collection, row)
        made.save_links(tx, item_id)
        return stored, row

    stored, row = collections.carrying(collection, work, call.options.carried)
    return call.after("afterUpdate", to_item(row), Mapping, lambda: to_item(stored))


def put(tx: Transaction, collection: str, row: Row) -> None:
    """Write a row in the place of that with its id.

    Raises:
        WixDataError: WDE0123, WDE0073.
    """
    outcome = tx.update(collection, [row])[0]
    if outcome != "done":
        raise no_item(collection, row.id) if outcome == "missing" else duplicated(collection, row.id)


def permit(call: HookedCall, action: Any) -> Callable[[Row], None]:
    """Return a check of stored rows, which raises WDE0027 or WDE0178. Raises WDE0027 where no row may be written."""
    collections, collection = call.collections, call.collection
    reach = collections.reach(collection, action, call.options)
    condition = call.options.condition
    collections.check_compared(collection, condition)

    def check(row: Row) -> None:
        if reach == "own" and not collections.owns(row):
            raise not_permitted(action, collection, collections.permissions(collection))
        if condition != EVERYTHING and not matches(condition, to_item(row)):
            raise condition_not_met(collection, row.id)

    return check


def save(collections: Collections, collection: str, item: Any, options: Options) -> dict[str, Any]:
    """Update the item with that ``_id`` where there is one, else insert it."""
    call = HookedCall(collections, collection, options)

    def drafted() -> PreparedItem:
        return prepare_item(collections, collection, item, "save", options)

    return call.run(lambda: _save(call, drafted(), drafted, item))


def _save(call: HookedCall, made: PreparedItem, again: Callable[[], PreparedItem], given: Any) -> dict[str, Any]:
    if made.item_id is None:
        return _insert(call, made, given)
    attempts = ATTEMPTS
    while True:
        is_there = stored_row(call.collections, call.collection, made.item_id) is not None
        try:
            return _update(call, made) if is_there else _insert(call, made, given)
        except WixDataError as error:
            attempts -= 1
            if error.code != ("WDE0073" if is_there else "WDE0074") or attempts == 0:
                raise
            if (stored_row(call.collections, call.collection, made.item_id) is not None) == is_there:
                raise
        made = again()  # others removed or added it meanwhile, and a hook may have changed the prepared one


def remove(collections: Collections, collection: str, item_id: str, options: Options) -> dict[str, Any] | None:
    """Take an item out; it, or ``None`` where there was none."""
    call = HookedCall(collections, collection, options)
    plain_id = checked_id(item_id)
    return call.run(lambda: _remove(call, plain_id))


def _remove(call: HookedCall, item_id: str) -> dict[str, Any] | None:
    collections, collection = call.collections, call.collection
    permits = permit(call, "remove")
    if call.has("beforeRemove"):
        current = stored_row(collections, collection, item_id) if is_id(item_id) else None
        if current is None:
            return None
        permits(current)
        item_id = checked_id(call.before("beforeRemove", item_id, str, lambda: to_item(current)))

    def work(tx: Transaction) -> Row | None:
        stored = tx.get(collection, [item_id] if is_id(item_id) else []).get(item_id)
        if stored is not None:
            permits(stored)
            tx.delete(collection, [item_id])
        return stored

    removed = collections.carrying(collection, work, call.options.carried, wrote=bool)
    return None if removed is None else call.after("afterRemove", to_item(removed), Mapping)


def truncate(collections: Collections, collection: str, options: Options) -> None:
    """Take all items out. No hook runs around it."""
    call = HookedCall(collections, collection, options)

    def empty() -> None:
        collections.require_owner_rights(collection, options)
        collections.writing(collection, lambda tx: tx.truncate(collection), single=True)

    call.run(empty)

"""Writing one item: insert, update, save, remove; and emptying a collection.

Hooks run outside of the store's transaction. What depends on the stored item is looked at inside, where it is locked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wixhttp.data.queries.evaluator import matches
from wixhttp.data.queries.tree import EVERYTHING
from wixhttp.data.stores.contract import SYSTEM_FIELDS, Row, Transaction, to_item
from wixhttp.errors import WixDataError

from .access import Actor
from .errors import condition_not_met, duplicated, item_exists, no_item, not_permitted
from .hooked_call import Operation
from .item_ids import checked_id, is_id
from .options import Options
from .reads import stored_row
from .system_fields import Draft, draft

ATTEMPTS = 100
"""How often a write begins anew because the item was changed by others meanwhile."""


def insert(actor: Actor, collection: str, item: Any, options: Options) -> dict[str, Any]:
    """Add an item; in the Velo face, ``item`` gets the system fields."""
    operation = Operation(actor, collection, options)
    return operation.run(lambda: _insert(operation, draft(actor, collection, item, "insert", options), item))


def _insert(operation: Operation, made: Draft, given: Any) -> dict[str, Any]:
    actor, collection = operation.actor, operation.collection
    actor.reach(collection, "insert", operation.options)
    made = hooked(operation, "beforeInsert", made, "insert")
    row = made.new_row(actor.identity.user_id)

    def work(tx: Transaction) -> None:
        outcome = tx.insert(collection, [row])[0]
        if outcome != "done":
            raise item_exists(row.id) if outcome == "exists" else duplicated(collection, row.id)
        made.save_links(tx, row.id)

    actor.writing(collection, work, single=not made.links)
    stored = to_item(row)
    if operation.options.is_velo and isinstance(given, dict):
        given.update({name: stored[name] for name in SYSTEM_FIELDS})
    return operation.after("afterInsert", stored, Mapping)


def hooked(operation: Operation, name: str, made: Draft, action: str, current_item: Any = None) -> Draft:
    """What the hook makes of an item; it may change the item that it gets, or return another."""
    if not operation.has(name):
        return made
    item = dict(operation.before(name, made.given, Mapping, current_item))
    if action != "insert":
        item["_id"] = made.item_id
    return draft(operation.actor, operation.collection, item, action, operation.options)


def update(actor: Actor, collection: str, item: Any, options: Options) -> dict[str, Any]:
    """Put an item in the place of the one with its ``_id``."""
    operation = Operation(actor, collection, options)

    def checked() -> dict[str, Any]:
        made = draft(actor, collection, item, "update", options)
        if made.item_id is None:
            raise WixDataError("WDE0007", "Invalid update. Updated object must have a string _id property.")
        return _update(operation, made)

    return operation.run(checked)


def _update(operation: Operation, made: Draft) -> dict[str, Any]:
    actor, collection, item_id = operation.actor, operation.collection, str(made.item_id)
    permits = permit(operation, "update")
    if operation.has("beforeUpdate"):
        current = stored_row(actor, collection, item_id)
        if current is not None:
            permits(current)
            made = hooked(operation, "beforeUpdate", made, "update", lambda: to_item(current))

    def work(tx: Transaction) -> tuple[Row, Row]:
        stored = tx.get(collection, [item_id]).get(item_id)
        if stored is None:
            raise no_item(collection, item_id)
        permits(stored)
        row = made.changed_row(stored)
        put(tx, collection, row)
        made.save_links(tx, item_id)
        return stored, row

    stored, row = actor.writing(collection, work)
    return operation.after("afterUpdate", to_item(row), Mapping, lambda: to_item(stored))


def put(tx: Transaction, collection: str, row: Row) -> None:
    """Write a row in the place of that with its id.

    Raises:
        WixDataError: WDE0123, WDE0073.
    """
    outcome = tx.update(collection, [row])[0]
    if outcome != "done":
        raise no_item(collection, row.id) if outcome == "missing" else duplicated(collection, row.id)


def permit(operation: Operation, action: Any) -> Callable[[Row], None]:
    """What raises WDE0027 or WDE0178 where a stored row may not be written. Raises WDE0027 where none may."""
    actor, collection = operation.actor, operation.collection
    reach = actor.reach(collection, action, operation.options)
    condition = operation.options.condition
    actor.check_compared(collection, condition)

    def check(row: Row) -> None:
        if reach == "own" and not actor.owns(row):
            raise not_permitted(action, collection)
        if condition != EVERYTHING and not matches(condition, to_item(row)):
            raise condition_not_met(collection, row.id)

    return check


def save(actor: Actor, collection: str, item: Any, options: Options) -> dict[str, Any]:
    """Update the item with that ``_id`` where there is one, else insert it."""
    operation = Operation(actor, collection, options)

    def drafted() -> Draft:
        return draft(actor, collection, item, "save", options)

    return operation.run(lambda: _save(operation, drafted(), drafted, item))


def _save(operation: Operation, made: Draft, again: Callable[[], Draft], given: Any) -> dict[str, Any]:
    if made.item_id is None:
        return _insert(operation, made, given)
    attempts = ATTEMPTS
    while True:
        is_there = stored_row(operation.actor, operation.collection, made.item_id) is not None
        try:
            return _update(operation, made) if is_there else _insert(operation, made, given)
        except WixDataError as error:
            attempts -= 1
            if error.code != ("WDE0073" if is_there else "WDE0074") or attempts == 0:
                raise
            if (stored_row(operation.actor, operation.collection, made.item_id) is not None) == is_there:
                raise
        made = again()  # others removed or added it meanwhile, and a hook may have changed the draft


def remove(actor: Actor, collection: str, item_id: str, options: Options) -> dict[str, Any] | None:
    """Take an item out; it, or ``None`` where there was none."""
    operation = Operation(actor, collection, options)
    plain_id = checked_id(item_id)
    return operation.run(lambda: _remove(operation, plain_id))


def _remove(operation: Operation, item_id: str) -> dict[str, Any] | None:
    actor, collection = operation.actor, operation.collection
    permits = permit(operation, "remove")
    if operation.has("beforeRemove"):
        current = stored_row(actor, collection, item_id) if is_id(item_id) else None
        if current is None:
            return None
        permits(current)
        item_id = checked_id(operation.before("beforeRemove", item_id, str, lambda: to_item(current)))

    def work(tx: Transaction) -> Row | None:
        stored = tx.get(collection, [item_id] if is_id(item_id) else []).get(item_id)
        if stored is not None:
            permits(stored)
            tx.delete(collection, [item_id])
        return stored

    removed = actor.writing(collection, work)
    return None if removed is None else operation.after("afterRemove", to_item(removed), Mapping)


def truncate(actor: Actor, collection: str, options: Options) -> None:
    """Take all items out. No hook runs around it."""
    operation = Operation(actor, collection, options)

    def empty() -> None:
        actor.require_owner_rights(collection, options)
        actor.writing(collection, lambda tx: tx.truncate(collection), single=True)

    operation.run(empty)

"""Changing fields of stored items where they are: the builder, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from wixhttp.data.queries.tree import parse_path
from wixhttp.data.queries.values import normalised
from wixhttp.data.stores.contract import Row, Transaction, to_item
from wixhttp.errors import WixDataError
from wixhttp.messages import brief

from .access import Collections
from .errors import InvalidQuery, no_item, shown
from .hooked_call import HookedCall
from .item_ids import checked_id, is_id
from .modifications import ACTIONS, Modification, is_number, modify
from .options import Options
from .system_fields import multiple_references, prepare_item
from .writes import ATTEMPTS, permit, put

_Written = TypeVar("_Written")


@dataclass(frozen=True)
class Patch(Generic[_Written]):
    """Changes of an item, or of several, as ``items.patch`` makes them. Every call gives a new one; `run` writes.

    A field may be a dotted path, through objects, and by whole numbers into arrays: ``"sizes.0.price"``.
    """

    collection: str
    target: Any = None
    modifications: tuple[Modification, ...] = ()
    errors: tuple[str, ...] = ()
    runner: Any = field(default=None, repr=False, compare=False)
    is_bulk: bool = False

    def setField(self, field: str, value: Any) -> Patch[_Written]:
        """Set a field; objects on the way to it are made."""
        return self._with("SET_FIELD", field, value)

    def incrementField(self, field: str, value: float) -> Patch[_Written]:
        """Add a number to a number; a field that is not there counts as 0."""
        return self._with("INCREMENT_FIELD", field, value)

    def appendToArray(self, field: str, value: Any) -> Patch[_Written]:
        """Add an element at the end of an array; a field that is not there becomes one."""
        return self._with("APPEND_TO_ARRAY", field, value)

    def removeFromArray(self, field: str, value: Any) -> Patch[_Written]:
        """Take the first element that equals ``value`` out of an array."""
        return self._with("REMOVE_FROM_ARRAY", field, value)

    def removeField(self, field: str) -> Patch[_Written]:
        """Take a field out."""
        return self._with("REMOVE_FIELD", field)

    def modified(self, modifications: Any) -> Patch[_Written]:
        """With a list of modifications in Wix's form.

        ``{"fieldPath": "stock", "action": "INCREMENT_FIELD", "incrementFieldOptions": {"value": -1}}``
        """
        if not isinstance(modifications, Sequence) or isinstance(modifications, str):
            return self._failed(f"WDE0080: The modifications are a list of dicts, not {brief(modifications)}.")
        made = self
        for each in modifications:
            action = each.get("action") if isinstance(each, Mapping) else None
            if not isinstance(action, str) or action not in ACTIONS:
                made = made._failed(f"WDE0080: {brief(each)} has no action of {', '.join(ACTIONS)}.")
                continue
            member = ACTIONS[action]
            holder = each.get(member) if member else {"value": None}
            if not isinstance(holder, Mapping) or "value" not in holder:
                made = made._failed(f'WDE0080: {brief(each)} has no "{member}": {{"value": ...}}.')
                continue
            made = made._with(action, each.get("fieldPath"), holder["value"])
        return made

    def run(self, options: Mapping[str, Any] | None = None, **keywords: Any) -> _Written:
        """The patched item; for several items, the result of a bulk call.

        Raises:
            WixDataError: a call was wrong (all of them in one message), there is no such item (WDE0073), a field holds
                what cannot be changed so (WDE0075), or ``condition`` is not met (WDE0178).
        """
        written: _Written = self.runner.patch(self, options, **keywords)
        return written

    def _with(self, action: str, name: Any, value: Any = None) -> Patch[_Written]:
        try:
            path = parse_path(name)
            value = normalised(value, f"the value for {brief(name)}")
        except ValueError as error:
            return self._failed(str(error))
        except WixDataError as error:
            return self._failed(str(error))
        if path[0] in ("_id", "_createdDate", "_updatedDate"):
            return self._failed(f"WDE0080: {path[0]} is not changed by a patch.")
        if action == "INCREMENT_FIELD" and not is_number(value):
            return self._failed(f"WDE0080: incrementField of {brief(name)} adds a number, not {brief(value)}.")
        return replace(self, modifications=(*self.modifications, Modification(action, path, value)))

    def _failed(self, error: str) -> Patch[_Written]:
        return replace(self, errors=(*self.errors, error))


def check_patch(asked: Patch[Any]) -> None:
    """Raises InvalidQuery where the builder was called wrongly, or not at all (WDE0080)."""
    errors = list(asked.errors)
    if not errors and not asked.modifications:
        errors = ["WDE0080: A patch changes at least one field; call .setField or another before .run."]
    if errors:
        raise InvalidQuery("patch", asked.collection, errors)


# --- writing ---------------------------------------------------------------------------------------------------------


def patch(collections: Collections, asked: Patch[Any], options: Options) -> dict[str, Any]:
    """The patched item."""
    call = HookedCall(collections, asked.collection, options)
    item_id = checked_id(asked.target)
    check_patch(asked)
    return call.run(lambda: patch_one(call, asked, item_id))


def patch_one(call: HookedCall, asked: Patch[Any], item_id: str) -> dict[str, Any]:
    """Patch one item, with its hooks."""
    collections, collection = call.collections, call.collection
    permits = permit(call, "update")
    for each in asked.modifications:
        relation = collections.relation(collection, each.path[0])
        if relation is not None and relation.link is not None:
            raise multiple_references(collection, each.path[0], is_patch=True)
    if call.has("beforeUpdate"):
        stored, row = _patch_hooked(call, asked, item_id, permits)
    else:

        def work(tx: Transaction) -> tuple[Row, Row]:
            found = _locked(tx, collection, item_id)
            permits(found)
            made = patched_row(call, asked, found)
            put(tx, collection, made)
            return found, made

        stored, row = collections.carrying(collection, work, call.options.carried)
    return call.after("afterUpdate", to_item(row), Mapping, lambda: to_item(stored))


def patched_row(call: HookedCall, asked: Patch[Any], stored: Row) -> Row:
    """The row of a patched item."""
    item = _patched(asked, stored)
    made = prepare_item(call.collections, call.collection, item, "update", call.options)
    return made.changed_row(stored)


def _patched(asked: Patch[Any], stored: Row) -> dict[str, Any]:
    item = to_item(stored)
    modify(item, asked.modifications)
    return item


def _locked(tx: Transaction, collection: str, item_id: str) -> Row:
    stored = tx.get(collection, [item_id] if is_id(item_id) else []).get(item_id)
    if stored is None:
        raise no_item(collection, item_id)
    return stored


def _patch_hooked(call: HookedCall, asked: Patch[Any], item_id: str, permits: Callable[[Row], None]) -> tuple[Row, Row]:
    """Patch what the hook has seen: begun anew where the item was changed while the hook ran."""
    collections, collection = call.collections, call.collection
    for _ in range(ATTEMPTS):
        seen = collections.writing(collection, lambda tx: _locked(tx, collection, item_id), single=True)
        permits(seen)
        item = call.before("beforeUpdate", _patched(asked, seen), Mapping, lambda seen=seen: to_item(seen))
        made = prepare_item(collections, collection, {**item, "_id": item_id}, "update", call.options)

        def work(tx: Transaction, made: Any = made, seen: Row = seen) -> Row | None:
            if _locked(tx, collection, item_id) != seen:
                return None
            row: Row = made.changed_row(seen)
            put(tx, collection, row)
            made.save_links(tx, item_id)
            return row

        row = collections.carrying(collection, work, call.options.carried, wrote=bool)
        if row is not None:
            return seen, row
    raise WixDataError(
        "WDE0178",
        f"Item [{shown(item_id)}] of {collection} was changed by others {ATTEMPTS} times meanwhile; try again.",
        status=409,
    )

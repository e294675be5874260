"""An item on its way into a store: checked, without its system fields, its references taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from wixhttp.data.queries.values import MAX_ITEM, encode, format_date, normalised, parse_date
from wixhttp.data.schema.links import Relation
from wixhttp.data.stores.contract import SYSTEM_FIELDS, Row, Transaction
from wixhttp.errors import WixDataError
from wixhttp.messages import brief

from .access import Collections
from .errors import shown
from .item_ids import new_id, reference_ids, written_id
from .options import Options
from .references import set_links


@dataclass
class PreparedItem:
    """``given`` is the whole item, normalised; ``text`` its own fields; ``owner`` what it says of that, if it may."""

    given: dict[str, Any]
    text: str
    item_id: str | None
    size: int
    owner: tuple[str | None, ...] = ()
    links: Mapping[Relation, list[str]] = field(default_factory=dict)

    def new_row(self, user_id: str | None, now: str) -> Row:
        """The row of an item that is new ``now``."""
        return Row(self.item_id or new_id(), self.text, now, now, self.owner[0] if self.owner else user_id)

    def changed_row(self, stored: Row) -> Row:
        """The row that takes the place of ``stored``; its date of change is later than that was."""
        return changed(stored, self.text, *self.owner)

    def save_links(self, tx: Transaction, item_id: str) -> None:
        """Replace the references to many items that stood in the item."""
        for relation, ids in self.links.items():
            set_links(tx, relation, item_id, ids)


def prepare_item(
    collections: Collections, collection: str, item: object, action: str, options: Options
) -> PreparedItem:
    """Check an item and make it ready to be written.

    Raises:
        WixDataError: it is no dict (WDE0004), its ``_id`` is none (WDE0007), a value cannot be held (WDE0075),
            it has references to many items (WDE0303), or it is too large (WDE0009).
    """
    if not isinstance(item, Mapping):
        raise WixDataError(
            "WDE0004",
            f"Invalid item [{brief(item)}] for collection [{collection}].\nItems must be objects: pass a dict.",
        )
    item_id = written_id(item, action)
    values = dict(item)
    links = _take_references(collections, collection, values, options)
    given = normalised({key: value for key, value in values.items() if key != "_id"})
    if not isinstance(given, dict):
        raise WixDataError("WDE0134", "The name of a field cannot begin with '$'; rename it.")
    text = encode({key: value for key, value in given.items() if key not in SYSTEM_FIELDS})
    size = checked_size(collection, item_id, text)
    owner = _given_owner(collections, collection, given, options)
    given.update({relation.field: list(ids) for relation, ids in links.items()})
    if item_id is not None:
        given["_id"] = item_id
    return PreparedItem(given, text, item_id, size, owner, links)


def _take_references(
    collections: Collections, collection: str, values: dict[Any, Any], options: Options
) -> dict[Relation, list[str]]:
    links: dict[Relation, list[str]] = {}
    for name, relation in collections.relations.get(collection, {}).items():
        value = values.get(name)
        if relation.link is None:
            if isinstance(value, Mapping) and isinstance(value.get("_id"), str):
                values[name] = value["_id"]
            continue
        values.pop(name, None)
        if value is None:
            continue
        if not options.saves_references:
            raise multiple_references(collection, name)
        links[relation] = reference_ids(value, "WDE0021")
    return links


def multiple_references(collection: str, name: str, *, is_patch: bool = False) -> WixDataError:
    """The error for references to many items in a write."""
    way = (
        "write the whole item by update with the option saveReferences"
        if is_patch
        else "pass the option saveReferences"
    )
    return WixDataError(
        "WDE0303",
        f"{name!r} of {collection} is a multi-reference field, which is not written with the item; "
        f"use insertReference or replaceReferences, or {way}.",
    )


def _given_owner(
    collections: Collections, collection: str, given: Mapping[str, Any], options: Options
) -> tuple[str | None, ...]:
    if "_owner" not in given or not collections.has_owner_rights(collection, options):
        return ()
    owner = given["_owner"]
    if owner is not None and not isinstance(owner, str):
        found = f"{brief(owner)} ({type(owner).__name__})"
        raise WixDataError("WDE0075", f"_owner is {found}: it is the id of a user or None.")
    return (owner,)


def checked_size(collection: str, item_id: str | None, text: str) -> int:
    """The bytes of an item's text.

    Raises:
        WixDataError: WDE0009, more than `values.MAX_ITEM`.
    """
    size = len(text) if text.isascii() else len(text.encode())
    if size > MAX_ITEM:
        raise WixDataError(
            "WDE0009",
            f"Item [{shown(item_id or '')}] of {collection} is too large: {size} bytes, and {MAX_ITEM} are the most; "
            "split it.",
            status=413,
        )
    return size


def changed(stored: Row, text: str, *owner: str | None) -> Row:
    """``stored`` with another text, changed now, or a millisecond after its last change if that is later."""
    now = now_text()
    if now <= stored.updated:
        now = format_date(parse_date(stored.updated) + timedelta(milliseconds=1))
    return Row(stored.id, text, stored.created, now, owner[0] if owner else stored.owner)


def now_text() -> str:
    """The time as a store keeps it."""
    return format_date(datetime.now(timezone.utc))

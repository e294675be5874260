"""Collections in which services keep what is theirs, beside the users': sessions, API keys, deliveries.

Their names have a colon, so that calls on collections refuse them (WDE0025).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from wixhttp.data.queries.tree import EVERYTHING, Compare, Order, Tree
from wixhttp.data.queries.values import normalised, stored_date
from wixhttp.errors import StoreUnavailable, WixDataError

from .contract import Index, Row, Store, Transaction

BY_CHANGE = Order(("_updatedDate",))

_MOST_REMOVED = 100  # at once
_Value = TypeVar("_Value")


class ServiceCollection:
    """A collection of a service, in any store; its first write makes it, with its one index."""

    def __init__(self, name: str, index: Index) -> None:
        self.name = name
        self._index = index

    def make(self, store: Store) -> None:
        """Make the collection and its index, unless they are there."""
        store.create(self.name)
        if self._index not in store.collections().get(self.name, ()):
            store.add_index(self.name, self._index)

    def get(self, store: Store, id: str) -> Row | None:
        """The row with that id, ``None`` where there is none."""
        try:
            return store.get(self.name, [id]).get(id)
        except WixDataError as error:
            if not _is_missing(error):
                raise
            return None

    def find(self, store: Store, tree: Tree = EVERYTHING) -> list[Row]:
        """The rows that match, in the order of the index."""
        try:
            return list(store.find(self.name, tree, self._index.fields))
        except WixDataError as error:
            if not _is_missing(error):
                raise
            return []

    def write(self, store: Store, work: Callable[[Transaction], _Value], *, single: bool = False) -> _Value:
        """Return the result of `Store.write`; ``work`` is called again once the collection is made."""
        try:
            return store.write(work, single=single)
        except WixDataError as error:
            if not _is_missing(error):
                raise
        self.make(store)
        return store.write(work, single=single)

    def remove_old(self, store: Store, last: datetime) -> int:
        """Remove rows that were last changed at ``last`` or before, the oldest 100 of them, and return their number.
        The index is `BY_CHANGE`."""
        self.make(store)
        old = store.find(self.name, Compare("lte", BY_CHANGE.path, normalised(last)), [BY_CHANGE], limit=_MOST_REMOVED)
        ids = [row.id for row in old]

        def work(changes: Transaction) -> int:
            there = changes.get(self.name, ids)  # some may be in use again
            return len(
                changes.delete(self.name, [row.id for row in there.values() if stored_date(row.updated) <= last])
            )

        return store.write(work) if ids else 0


def damaged(what: str, error: Exception) -> StoreUnavailable:
    """The error for a row that nobody has written like this; ``what`` names it."""
    return StoreUnavailable(f"The {what} is damaged ({error!r}). List all faults: wixhttp data check")


def _is_missing(error: WixDataError) -> bool:
    """Return whether the collection is not there yet."""
    return error.code == "WDE0025"

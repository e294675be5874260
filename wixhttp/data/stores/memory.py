"""Collections in memory: the reference, and the store of tests. Nothing outlives the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from wixhttp.data.queries.evaluator import meets_array, select, sort_key, without_links
from wixhttp.data.queries.tree import Linked, Order, Tree, check_extent
from wixhttp.data.queries.values import BOOLEAN, DATE, NUMBER, STRING
from wixhttp.errors import WixDataError

from .contract import Index, Link, Result, Row, Transaction, WriteOutcome, no_collection, to_item

_COMPARED = (NUMBER, STRING, BOOLEAN, DATE)


class MemoryStore:
    """See `store.Store`."""

    path = None

    def __init__(self) -> None:
        self.companions: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._rows: dict[str, dict[str, Row]] = {}
        self._indexes: dict[str, tuple[Index, ...]] = {}
        self._links: dict[Link, dict[tuple[str, str], None]] = {}
        self._targets: dict[Link, str] = {}

    def collections(self) -> dict[str, tuple[Index, ...]]:
        with self._lock:
            return {name: self._indexes.get(name, ()) for name in sorted(self._rows)}

    def create(self, collection: str) -> None:
        with self._lock:
            self._rows.setdefault(collection, {})

    def drop(self, collection: str) -> None:
        with self._lock:
            MemoryTransaction(self).truncate(collection)
            del self._rows[collection]
            self._indexes.pop(collection, None)

    def add_index(self, collection: str, index: Index) -> None:
        with self._lock:
            rows = self._table(collection)
            if index in self._indexes.get(collection, ()):
                return
            keys = [key for row in rows.values() if (key := _unique_key(row, index)) is not None]
            if index.unique and len(set(keys)) < len(keys):
                names = ", ".join(".".join(path) for path in index.paths)
                raise WixDataError("WDE0123", f"Duplicated values of {names} in {collection}.", status=409)
            self._indexes[collection] = (*self._indexes.get(collection, ()), index)

    def drop_index(self, collection: str, index: Index) -> None:
        with self._lock:
            self._table(collection)
            self._indexes[collection] = tuple(each for each in self._indexes.get(collection, ()) if each != index)

    def get(self, collection: str, ids: Collection[str]) -> dict[str, Row]:
        with self._lock:
            rows = self._table(collection)
            return {each: rows[each] for each in ids if each in rows}

    def find(
        self,
        collection: str,
        tree: Tree,
        order: Sequence[Order] = (),
        *,
        skip: int = 0,
        limit: int | None = None,
        after: tuple[Any, ...] | None = None,
        is_reversed: bool = False,
    ) -> list[Row]:
        with self._lock:
            rows = dict(self._table(collection))
            check_extent(tree, order)
            tree = without_links(tree, self._joined)
        found = select(map(to_item, rows.values()), tree, order, after, is_reversed=is_reversed)
        return [rows[item["_id"]] for item in found[skip : None if limit is None else skip + limit]]

    def _joined(self, asked: Linked) -> Iterator[str]:
        """The ids of the items that links join to some of those that are asked for."""
        for pair in self._links.get(Link(asked.collection, asked.field), ()):
            mine, other = reversed(pair) if asked.is_reverse else pair
            if asked.ids is None or other in asked.ids:
                yield mine

    def count(self, collection: str, tree: Tree) -> int:
        return len(self.find(collection, tree))

    def scan(self, collection: str, tree: Tree, order: Sequence[Order] = ()) -> Iterator[Row]:
        return iter(self.find(collection, tree, order))

    def write(self, work: Callable[[Transaction], Result], *, single: bool = False) -> Result:
        with self._lock:
            before = (
                {name: dict(rows) for name, rows in self._rows.items()},
                {link: dict(pairs) for link, pairs in self._links.items()},
            )
            transaction = MemoryTransaction(self)
            try:
                result = work(transaction)
            except BaseException:
                self._rows, self._links = before
                transaction.end(is_done=False)
                raise
            transaction.end(is_done=True)
            return result

    def links(
        self,
        link: Link,
        *,
        referring: str | None = None,
        referenced: str | None = None,
        descending: bool = False,
        skip: int = 0,
        limit: int | None = None,
    ) -> list[tuple[str, str]]:
        with self._lock:
            found = MemoryTransaction(self).linked(
                link, None if referring is None else [referring], None if referenced is None else [referenced]
            )
        if descending:
            found.reverse()
        return found[skip : None if limit is None else skip + limit]

    def count_links(self, link: Link, *, referring: str | None = None, referenced: str | None = None) -> int:
        return len(self.links(link, referring=referring, referenced=referenced))

    def declare_links(self, links: Mapping[Link, str]) -> None:
        self._targets = dict(links)

    def clock(self) -> float:
        return time.monotonic()

    def ping(self) -> None:
        """It always answers."""

    def check(self) -> list[str]:
        return []

    def backup(self, target: str, progress: Callable[[int, int], None] | None = None) -> None:
        raise WixDataError("WDE0120", "A store in memory has no backup; export it.")

    def close(self) -> None:
        """There is nothing to give back."""

    def _table(self, collection: str) -> dict[str, Row]:
        try:
            return self._rows[collection]
        except KeyError:
            raise no_collection(collection) from None


class MemoryTransaction:
    """The transaction: its store is locked, and is put back if it fails."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._joined: list[Callable[[bool], object]] = []

    def join(self, ended: Callable[[bool], object]) -> None:
        """Call ``ended`` at the end of the transaction: whether it is done, or undone."""
        self._joined.append(ended)

    def end(self, *, is_done: bool) -> None:
        """Tell those that joined."""
        for ended in self._joined:
            ended(is_done)

    def get(self, collection: str, ids: Collection[str]) -> dict[str, Row]:
        return self._store.get(collection, ids)

    def insert(self, collection: str, rows: Sequence[Row]) -> list[WriteOutcome]:
        table = self._store._table(collection)
        outcomes: list[WriteOutcome] = []
        for row in rows:
            outcome: WriteOutcome = (
                "exists" if row.id in table else "conflict" if self._collides(collection, row) else "done"
            )
            if outcome == "done":
                table[row.id] = row
            outcomes.append(outcome)
        return outcomes

    def update(self, collection: str, rows: Sequence[Row]) -> list[WriteOutcome]:
        table = self._store._table(collection)
        outcomes: list[WriteOutcome] = []
        for row in rows:
            stored = table.get(row.id)
            outcome: WriteOutcome = (
                "missing" if stored is None else "conflict" if self._collides(collection, row) else "done"
            )
            if stored is not None and outcome == "done":
                table[row.id] = row._replace(created=stored.created)
            outcomes.append(outcome)
        return outcomes

    def _collides(self, collection: str, row: Row) -> bool:
        for index in self._store._indexes.get(collection, ()):
            key = _unique_key(row, index)
            if key is not None and any(
                _unique_key(other, index) == key
                for other in self._store._rows[collection].values()
                if other.id != row.id
            ):
                return True
        return False

    def delete(self, collection: str, ids: Collection[str]) -> set[str]:
        table = self._store._table(collection)
        gone = {each for each in ids if table.pop(each, None) is not None}
        self._unlink(collection, gone)
        return gone

    def truncate(self, collection: str) -> None:
        self._store._table(collection)
        self._store._rows[collection] = {}
        for link in self._store._links:
            if collection in (link.collection, self._store._targets.get(link)):
                self._store._links[link] = {}

    def _unlink(self, collection: str, ids: set[str]) -> None:
        for link, pairs in self._store._links.items():
            target = self._store._targets.get(link)
            for pair in list(pairs):
                if (link.collection == collection and pair[0] in ids) or (target == collection and pair[1] in ids):
                    del pairs[pair]

    def linked(
        self, link: Link, referring: Collection[str] | None, referenced: Collection[str] | None
    ) -> list[tuple[str, str]]:
        return [
            pair
            for pair in self._store._links.get(link, ())
            if (referring is None or pair[0] in referring) and (referenced is None or pair[1] in referenced)
        ]

    def add_links(self, link: Link, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        links = self._store._links.setdefault(link, {})
        return [pair not in links and links.setdefault(pair) is None for pair in pairs]

    def remove_links(self, link: Link, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        links = self._store._links.setdefault(link, {})
        return [pair in links and links.pop(pair) is None for pair in pairs]


def _unique_key(row: Row, index: Index) -> tuple[Any, ...] | None:
    """The key that a unique index compares; ``None`` for an item that it leaves out."""
    if not index.unique:
        return None
    item = to_item(row)
    if any(meets_array(item, path) for path in index.paths):
        return None
    keys = tuple(sort_key(item, Order(path)) for path in index.paths)
    return keys if all(rank in _COMPARED for rank, _ in keys) else None

"""The contract of a store of collections: what the calls on collections ask of its back ends.

A store is shared by the threads of a process. Each method is atomic by itself, and reads see what was written before.
The stores: `memory.MemoryStore`, `sqlite.SQLiteStore`, `postgres.PostgresStore`; one suite runs over all three.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from wixhttp.data.queries.tree import CREATED, FieldPath, Order, Tree
from wixhttp.data.queries.values import decode, encode, format_date, stored_date
from wixhttp.errors import StoreUnavailable, WixDataError
from wixhttp.messages import brief
from wixhttp.project.toml_file import table_header

SYSTEM_FIELDS = ("_id", "_createdDate", "_updatedDate", "_owner")
"""The fields that a store keeps beside the item's text."""


class Row(NamedTuple):
    """An item as a store keeps it: ``text`` is its canonical JSON without the system fields, dates are ISO texts."""

    id: str
    text: str
    created: str
    updated: str
    owner: str | None


def to_item(row: Row) -> dict[str, Any]:
    """The item of a row, with its system fields.

    Raises:
        StoreUnavailable: the row is damaged.
    """
    name, text, created, updated, owner = row
    try:
        made = stored_date(created)
        changed = made if updated == created else stored_date(updated)
        return {"_id": name, **decode(text), "_createdDate": made, "_updatedDate": changed, "_owner": owner}
    except (ValueError, TypeError) as error:  # no item was written like this
        raise StoreUnavailable(
            f"The item {brief(name)} is damaged ({error}). List all faults: wixhttp data check"
        ) from error


def to_row(item: Mapping[str, Any]) -> Row:
    """The row of an item whose values are normalised, and that has all system fields."""
    fields = {key: value for key, value in item.items() if key not in SYSTEM_FIELDS}
    created, updated = format_date(item["_createdDate"]), format_date(item["_updatedDate"])
    return Row(item["_id"], encode(fields), created, updated, item["_owner"])


class Index(NamedTuple):
    """An index of a collection. ``unique``: no two items have the same values; where one of the fields has no single
    text, number, boolean or date, the item is not compared."""

    fields: tuple[Order, ...]
    unique: bool = False

    @property
    def paths(self) -> tuple[FieldPath, ...]:
        """The paths of its fields."""
        return tuple(each.path for each in self.fields)

    @property
    def names(self) -> list[str]:
        """Its fields as declarations and commands spell them: ``author``, and ``-year`` for descending."""
        return [("-" if each.descending else "") + ".".join(each.path) for each in self.fields]

    @property
    def has_newest(self) -> bool:
        """Return whether a database keeps a second one, in which equal items stand newest first: a query that compares
        its fields and names no order finds its page there. Of a unique one there are no two equal items."""
        return not self.unique and CREATED not in self.paths


class Link(NamedTuple):
    """The links of one field with many references: ``field`` of ``collection``."""

    collection: str
    field: str


WriteOutcome = Literal["done", "exists", "missing", "conflict"]
"""What became of a row: done; an item with its id is there already, or is not; it collides in a unique index."""


class Transaction(Protocol):
    """Reads and writes that become visible together, or not at all. What is read is locked against other writers."""

    def get(self, collection: str, ids: Collection[str]) -> dict[str, Row]:
        """The rows with these ids that are there."""

    def insert(self, collection: str, rows: Sequence[Row]) -> list[WriteOutcome]:
        """Add rows; what became of each: ``done``, ``exists`` or ``conflict``."""

    def update(self, collection: str, rows: Sequence[Row]) -> list[WriteOutcome]:
        """Put text, ``updated`` and owner where these ids are; ``done``, ``missing`` or ``conflict``."""

    def delete(self, collection: str, ids: Collection[str]) -> set[str]:
        """Remove rows, and all links from and to them (see `Store.declare_links`); the ids of those that were there."""

    def truncate(self, collection: str) -> None:
        """Remove all rows of a collection, and all links from and to them."""

    def linked(
        self, link: Link, referring: Collection[str] | None, referenced: Collection[str] | None
    ) -> list[tuple[str, str]]:
        """The pairs (referring, referenced) of a link, oldest first; ``None`` is any id."""

    def add_links(self, link: Link, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Add pairs, in this order; for each whether it was new."""

    def remove_links(self, link: Link, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Remove pairs; for each whether it was there."""


Result = TypeVar("Result")


class Store(Protocol):
    """A store of collections.

    Every method that names a collection raises WixDataError WDE0025 where there is none of that name, and
    StoreUnavailable where the database cannot be reached.
    """

    companions: dict[str, Any]
    """Services over the same database, such as the inbox, by their names; they live as long as the store."""

    @property
    def path(self) -> Path | None:
        """The file that the store is; ``None``: it is in memory, or on a server."""

    def collections(self) -> dict[str, tuple[Index, ...]]:
        """The collections that are there, by name, with their indexes."""

    def create(self, collection: str) -> None:
        """Make a collection, unless it is there."""

    def drop(self, collection: str) -> None:
        """Remove a collection, its indexes and its links."""

    def add_index(self, collection: str, index: Index) -> None:
        """Make an index, unless it is there. WDE0123 where items collide in a unique one."""

    def drop_index(self, collection: str, index: Index) -> None:
        """Remove an index, if it is there."""

    def get(self, collection: str, ids: Collection[str]) -> dict[str, Row]:
        """The rows with these ids that are there."""

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
        """Rows that a tree selects, in order, at the end by id; ``is_reversed``: in the opposite order, the last first.
        ``after`` is the `evaluator.position` of the row that they follow in it."""

    def count(self, collection: str, tree: Tree) -> int:
        """Count the rows that a tree selects."""

    def scan(self, collection: str, tree: Tree, order: Sequence[Order] = ()) -> Iterator[Row]:
        """All rows that a tree selects, in order, at the end by id, as they were at one moment.

        Ordered by id or newest first (`tree.NEWEST_FIRST`), they are not all in memory at once.
        """

    def write(self, work: Callable[[Transaction], Result], *, single: bool = False) -> Result:
        """Run ``work`` in a transaction, and return its result once that is durable. An exception rolls it all back.

        ``work`` may be called again where the database asks for it, so it does nothing else. ``single`` says that it
        makes one call of the transaction at most.
        """

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
        """The pairs of a link, oldest first, or newest."""

    def count_links(self, link: Link, *, referring: str | None = None, referenced: str | None = None) -> int:
        """Count the pairs."""

    def declare_links(self, links: Mapping[Link, str]) -> None:
        """Say which collection each link refers to, so that removed items lose their links both ways."""

    def clock(self) -> float:
        """Seconds of a clock that is one for all who share the store, for leases: the database's, or that of the
        machine since it was started."""

    def ping(self) -> None:
        """Raises StoreUnavailable where the store does not answer."""

    def check(self) -> list[str]:
        """List the faults of the store, a line each; empty where it is sound."""

    def backup(self, target: str, progress: Callable[[int, int], None] | None = None) -> None:
        """Copy the store, as it is at one moment, while it is used. ``progress`` gets done and total."""

    def close(self) -> None:
        """Give back files and connections."""


def no_collection(name: str, declared: Iterable[str] = ()) -> WixDataError:
    """The error for a collection that is not there; it names the one of ``declared`` that may be meant."""
    by_lower = {each.lower(): each for each in declared}
    close = difflib.get_close_matches(name.lower(), by_lower, 1, cutoff=0.75)
    meant = f"did you mean {by_lower[close[0]]!r}? Else " if close else ""
    way = f"{meant}declare it in data/collections.toml, by the line {table_header(name)}"
    return WixDataError("WDE0025", f"The {name} collection does not exist. {way[0].upper()}{way[1:]}", status=404)

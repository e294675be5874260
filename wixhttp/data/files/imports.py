"""Items of files in a store, past hooks and permissions: system fields stay as they are.

A folder is read as `exports` writes it. In a file of one collection, and in CSV, lists of ids in the fields with many
references become links.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

from wixhttp.data.queries.tree import EVERYTHING, Order, parse_path
from wixhttp.data.queries.values import MAX_ITEM
from wixhttp.data.schema.declarations import DeclaredField
from wixhttp.data.schema.links import Relation, linked_fields
from wixhttp.data.stores.contract import Index, Link, Row, Store, Transaction, WriteOutcome, to_row
from wixhttp.errors import WixHTTPError

from .exports import CONTENTS, LINKS, Advance, Schema, ignore
from .formats import BadItem, Format, Item, entries, format_of
from .inference import name_for_file

BATCH = 1000  # items of a write

_BATCH_BYTES = 4_194_304

Mode = Literal["error", "skip", "update"]
"""What becomes of an item whose id is there: it ends the import, or is left out, or takes the other's place."""


class TransferError(WixHTTPError):
    """Items could not be moved; the text says how far it came."""


@dataclass
class Counts:
    """Counters of an import: items by outcome."""

    inserted: int = 0
    updated: int = 0
    skipped: int = 0
    links: int = 0

    def add(self, other: Counts) -> None:
        """Count in what another has."""
        self.inserted += other.inserted
        self.updated += other.updated
        self.skipped += other.skipped
        self.links += other.links

    def __str__(self) -> str:
        parts = [f"{self.inserted} inserted"]
        parts += [f"{self.updated} updated"] if self.updated else []
        parts += [f"{self.skipped} skipped"] if self.skipped else []
        parts += [f"{self.links} links"] if self.links else []
        return ", ".join(parts)


class _Undo(Exception):
    """Takes back what a trial wrote."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts


@dataclass
class _Batch:
    """Items to be written together."""

    collection: str
    name: str  # of the file
    lines: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    lists: list[tuple[Relation, str, list[str]]] = field(default_factory=list)
    size: int = 0

    def is_full(self) -> bool:
        return len(self.rows) >= BATCH or self.size >= _BATCH_BYTES

    def refuse(self, outcomes: Sequence[WriteOutcome], rows: Sequence[int]) -> None:
        """Raise BadItem for the first outcome that ends an import; ``rows`` are their positions."""
        for outcome, row in zip(outcomes, rows, strict=True):
            identity = f"{self.rows[row].id!r} of {self.collection}"
            if outcome == "exists":
                rule = f"there is an item {identity} already; update such items (--update) or skip them"
                raise BadItem(self.name, self.lines[row], f"{rule} (--skip-existing)")
            if outcome == "conflict":
                raise BadItem(self.name, self.lines[row], f"{identity} has the values of another in a unique index")

    def write(self, transaction: Transaction, mode: Mode) -> Counts:
        outcomes = transaction.insert(self.collection, self.rows)
        there = [row for row, outcome in enumerate(outcomes) if outcome == "exists"]
        self.refuse(
            ["done" if mode != "error" and each == "exists" else each for each in outcomes], range(len(self.rows))
        )
        if there and mode == "update":
            last = list({self.rows[row].id: row for row in there}.values())  # where a file has an item twice
            self.refuse(transaction.update(self.collection, [self.rows[row] for row in last]), last)
        skipped = {self.rows[row].id for row in there} if mode == "skip" else set()
        return Counts(
            inserted=len(self.rows) - len(there),
            updated=len(there) if mode == "update" else 0,
            skipped=len(there) if mode == "skip" else 0,
            links=self._write_links(transaction, skipped, mode),
        )

    def _write_links(self, transaction: Transaction, skipped: Collection[str], mode: Mode) -> int:
        added = 0
        for relation in {relation: None for relation, _, _ in self.lists}:
            listed = {item: ids for each, item, ids in self.lists if each == relation and item not in skipped}
            if not listed or relation.link is None:
                continue
            if mode == "update":
                whole = (None, listed) if relation.is_reverse else (listed, None)
                old = transaction.linked(relation.link, *whole)
                transaction.remove_links(relation.link, old)
            pairs = list(dict.fromkeys(pair for item, ids in listed.items() for pair in relation.pairs(item, ids)))
            added += sum(transaction.add_links(relation.link, pairs)) if pairs else 0
        return added


class Importer:
    """Reads files into a store. ``counts`` says at any time what is written, or in a trial what would be.

    In a trial everything is checked that a write would meet, and nothing stays; ``problems`` gets what was found.
    ``remarks`` gets sentences on what may be read otherwise than it is meant. ``whole`` makes a block for each batch
    that is written and counted, for callers that may be interrupted.
    """

    def __init__(
        self,
        store: Store,
        schema: Schema,
        mode: Mode = "error",
        *,
        is_trial: bool = False,
        whole: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._store = store
        self._schema = schema
        self._mode = mode
        self._is_trial = is_trial
        self._whole = whole
        self._now = datetime.now(timezone.utc)  # one date for all items that have none, as for those of a bulk call
        self._there = set(store.collections())
        self._made: set[str] = set()
        self._indexes: dict[str, list[Index]] = {}  # of a folder's collections
        self.counts = Counts()
        self.problems: list[str] = []
        self.remarks: list[str] = []

    def read_file(
        self,
        collection: str,
        file: BinaryIO,
        name: str,
        format: Format,
        *,
        fields: Mapping[str, str] | None = None,
        types: Mapping[str, str] | None = None,
        advance: Advance = ignore,
    ) -> None:
        """Add the items of a file, which is called ``name`` in messages, to a collection, which is made if need be.

        Raises:
            TransferError: a line is no item, its id is there already, or it collides in a unique index. What was
                written before its batch stays, and the text says how much that is.
            WixDataError: the store refuses the collection.
        """
        linked = linked_fields(self._schema, collection)
        found = entries(
            file, name, format, fields=fields, types=types, declared=self._fields(collection), lists=linked,
            remark=self.remarks.append,
        )  # fmt: skip
        self._read(collection, found, name, linked, _Position(file, advance))

    def read_folder(self, path: Path, advance: Advance = ignore) -> None:
        """Add the collections of a folder, as `export_folder` writes it, or of any files named for collections.

        Raises:
            TransferError: as `read_file`; or the folder is none of these.
        """
        contents = _contents(path, self._schema)
        for collection, (file_name, indexes) in contents.items():
            self._indexes[collection] = indexes
            source = path / file_name
            kind = format_of(source)
            # The lines of a folder have their links in a file of their own: lists in them are values.
            linked = linked_fields(self._schema, collection) if kind == "csv" or not (path / LINKS).exists() else {}
            with source.open("rb") as file:
                found = entries(
                    file, str(source), kind, declared=self._fields(collection), lists=linked, remark=self.remarks.append
                )
                self._read(collection, found, str(source), linked, _Position(file, advance))
        if (path / LINKS).exists():
            with (path / LINKS).open("rb") as file:
                self._read_links(file, str(path / LINKS), contents, _Position(file, advance))

    def _fields(self, collection: str) -> Mapping[str, DeclaredField]:
        return self._schema[collection].fields if collection in self._schema else {}

    def _make(self, collection: str) -> None:
        """Make a collection and its indexes, once there is a file for it that can be read."""
        if self._is_trial or collection in self._made:
            return
        if collection not in self._there:
            self._store.create(collection)
            self._there.add(collection)
        declared = self._schema[collection].indexes if collection in self._schema else ()
        for index in (*declared, *self._indexes.get(collection, ())):
            self._store.add_index(collection, index)
        self._made.add(collection)

    def _read(
        self,
        collection: str,
        found: Iterator[tuple[int, Item | BadItem]],
        name: str,
        linked: Mapping[str, Relation],
        position: _Position,
    ) -> None:
        batch = _Batch(collection, name)
        seen: dict[str, int] = {}
        has_items = collection in self._there and bool(self._store.find(collection, EVERYTHING, limit=1))
        for line, item in found:
            try:
                if isinstance(item, BadItem):
                    raise item
                if has_items and "_id" not in item:
                    has_items = False  # told once
                    self.remarks.append(
                        f"{name}: items without an _id (ID) are new ones, and {collection} has items already; what is "
                        "imported twice is there twice"
                    )
                row, lists = _to_row(item, name, line, linked, self._now)
                if self._is_trial:
                    self._refuse_twice(seen, row.id, name, line)
            except BadItem as error:
                self._stop(error, batch)
                continue
            batch.lines.append(line)
            batch.rows.append(row)
            batch.lists += lists
            batch.size += len(row.text)
            if batch.is_full():
                self._write(batch)
                batch = _Batch(collection, name)
                position.report()
        self._write(batch)
        position.report()

    def _refuse_twice(self, seen: dict[str, int], id: str, name: str, line: int) -> None:
        if seen.setdefault(id, line) != line and self._mode == "error":
            raise BadItem(name, line, f"the item {id!r} stands in line {seen[id]} already")

    def _write(self, batch: _Batch) -> None:
        self._make(batch.collection)
        if not batch.rows:
            return
        if batch.collection not in self._there:  # a trial
            self.counts.add(Counts(len(batch.rows), links=sum(len(ids) for _, _, ids in batch.lists)))
            return
        is_trial, mode = self._is_trial, self._mode

        def work(transaction: Transaction) -> Counts:
            counts = batch.write(transaction, mode)
            if is_trial:
                raise _Undo(counts)
            return counts

        try:
            with self._whole():
                self.counts.add(self._store.write(work))
        except _Undo as done:
            self.counts.add(done.counts)
        except BadItem as error:
            self._stop(error, batch)

    def _stop(self, error: BadItem, batch: _Batch) -> None:
        if self._is_trial:
            self.problems.append(str(error))
            return
        text = (
            f"{error}\nWritten before: {self.counts}." if self.counts != Counts() else f"{error}\nNothing is written."
        )
        if self.counts != Counts() and batch.lines and batch.lines[0] < error.line:
            text += f" Not written: line {batch.lines[0]} and all behind it."
        raise TransferError(text) from error

    def _read_links(self, file: BinaryIO, name: str, collections: Collection[str], position: _Position) -> None:
        current: Link | None = None
        pairs: list[tuple[str, str]] = []
        for line, text in enumerate(file, 1):
            try:
                link, pair = _parse_link(text, name, line, collections)
            except BadItem as error:
                self._stop(error, _Batch("", name))
                continue
            if link != current or len(pairs) >= BATCH:
                self._write_links(current, pairs)
                position.report()
                current, pairs = link, []
            pairs.append(pair)
        self._write_links(current, pairs)
        position.report()

    def _write_links(self, link: Link | None, pairs: Sequence[tuple[str, str]]) -> None:
        if link is None:
            return
        if self._is_trial:
            self.counts.links += len(pairs)
        else:
            with self._whole():
                self.counts.links += self._store.write(lambda transaction: sum(transaction.add_links(link, pairs)))


class _Position:
    """Tells how far a file is read."""

    def __init__(self, file: BinaryIO, advance: Advance) -> None:
        self._file = file
        self._advance = advance
        self._told = 0

    def report(self) -> None:
        """Tell what was read since the last time; a file that was rewound tells nothing."""
        position = self._file.tell()
        self._advance(max(0, position - self._told))
        self._told = max(self._told, position)


def _to_row(
    item: Item, name: str, line: int, linked: Mapping[str, Relation], now: datetime
) -> tuple[Row, list[tuple[Relation, str, list[str]]]]:
    """The row of an item, with what is missing of its system fields, and the lists of ids that are links."""
    identity = item.setdefault("_id", str(uuid.uuid4()))
    item.setdefault("_createdDate", now)
    item.setdefault("_updatedDate", now)
    item.setdefault("_owner", None)
    lists = []
    for field_name in [each for each in item if each in linked]:
        ids = item.pop(field_name)
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise BadItem(name, line, f"{field_name!r} holds links: a list of ids, not {ids!r}")
        lists.append((linked[field_name], identity, ids))
    row = to_row(item)
    if len(row.text) > MAX_ITEM // 4 and len(row.text.encode()) > MAX_ITEM:
        raise BadItem(name, line, f"the item {identity!r} has more than {MAX_ITEM} bytes; make it smaller")
    return row, lists


def _parse_link(text: bytes, name: str, line: int, collections: Collection[str]) -> tuple[Link, tuple[str, str]]:
    try:
        value = orjson.loads(text)
        named = [value[key] for key in ("collection", "field", "from", "to")]
    except (ValueError, KeyError, TypeError):
        named = []
    if not named or not all(isinstance(each, str) for each in named):
        raise BadItem(name, line, 'a link is {"collection": ..., "field": ..., "from": id, "to": id}')
    if named[0] not in collections:
        raise BadItem(name, line, f"the folder has no collection {named[0]!r}")
    return Link(named[0], named[1]), (named[2], named[3])


def _contents(path: Path, schema: Schema) -> dict[str, tuple[str, list[Index]]]:
    """The collections of a folder: the file of each, and its indexes.

    Raises:
        TransferError: it has none, or its list of them cannot be read.
    """
    try:
        text = (path / CONTENTS).read_bytes()
    except FileNotFoundError:
        files = sorted(each.name for each in path.iterdir() if each.suffix in (".jsonl", ".csv") and each.name != LINKS)
        if not files:
            raise TransferError(f"{path} has no {CONTENTS}, and no files named *.jsonl or *.csv") from None
        named: dict[str, tuple[str, list[Index]]] = {}
        for name in files:
            collection = name_for_file(Path(name), schema)
            if collection in named:
                raise TransferError(
                    f"{path}: {named[collection][0]} and {name} are both of {collection}; import them one by one"
                ) from None
            named[collection] = (name, [])
        return named
    try:
        described = orjson.loads(text)["collections"]
        found = {name: (str(each["file"]), list(map(_index, each["indexes"]))) for name, each in described.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TransferError(f"{path / CONTENTS} is not as an export writes it: {error!r}") from None
    for name, (file_name, _) in found.items():
        if Path(file_name).name != file_name:
            raise TransferError(f"{path / CONTENTS}: the file of {name!r} is outside of the folder: {file_name!r}")
    return found


def _index(described: Mapping[str, Any]) -> Index:
    fields = tuple(Order(parse_path(each["fieldName"]), each["order"] == "DESC") for each in described["fields"])
    return Index(fields, described["unique"] is True)

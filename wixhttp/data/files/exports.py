"""Items of a store in files, past hooks and permissions.

A folder has ``<name>.jsonl`` for each collection, ``links.jsonl`` for the fields with many references, and
``collections.json`` with the indexes. It is the same whichever store it comes from. In a file of one collection, and in
CSV, an item's links stand in its field, as a list of ids.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import orjson

from wixhttp.data.queries.filters import format_order
from wixhttp.data.queries.tree import EVERYTHING
from wixhttp.data.queries.values import decode
from wixhttp.data.schema.declarations import CollectionSchema
from wixhttp.data.schema.links import link_targets, links_from, relations_of
from wixhttp.data.stores.contract import Index, Link, Store, to_item
from wixhttp.data.stores.private_files import new_private_file
from wixhttp.project.unfinished_files import named_as

from .formats import Format, Item, format_of, to_line, write_csv

CONTENTS = "collections.json"
LINKS = "links.jsonl"

_STEP = 256  # items between two reports of progress
_LONGEST_NAME = 200  # bytes; file systems take 255

Advance = Callable[[int], Any]
"""Gets how much more is done: items written, or bytes read."""


def ignore(done: int) -> None:
    """Nobody looks at the progress."""


Schema = Mapping[str, CollectionSchema]


def export_items(
    store: Store,
    collection: str,
    file: BinaryIO,
    format: Format = "jsonl",
    *,
    links: Iterable[Link] = (),
    advance: Advance = ignore,
) -> int:
    """Write all items of a collection, as they are at one moment; how many they are.

    ``links`` are those of the collection, to stand in the items.

    Raises:
        WixDataError: there is no such collection.
    """
    if format == "csv":
        return _export_csv(store, collection, file, links, advance)
    count = 0
    for item in _items(store, collection, links):
        file.write(to_line(item))
        count += 1
        if not count % _STEP:
            advance(_STEP)
    advance(count % _STEP)
    return count


def _export_csv(store: Store, collection: str, file: BinaryIO, links: Iterable[Link], advance: Advance) -> int:
    names: set[str] = set()
    with tempfile.TemporaryFile() as lines:  # the names of all fields come first, and a second scan may find others
        for item in _items(store, collection, links):
            names.update(item)
            lines.write(to_line(item))
        count = 0

        def again() -> Iterator[Item]:
            nonlocal count
            lines.seek(0)
            for line in lines:
                yield decode(line.decode())
                count += 1
                if not count % _STEP:
                    advance(_STEP)

        write_csv(file, names, again())
    advance(count % _STEP)
    return count


def _items(store: Store, collection: str, links: Iterable[Link]) -> Iterator[Item]:
    listed = {link.field: _listed(store.links(link)) for link in links}
    for row in store.scan(collection, EVERYTHING):
        item = to_item(row)
        for name, ids in listed.items():
            if row.id in ids:
                item[name] = ids[row.id]
        yield item


def _listed(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for referring, referenced in pairs:
        ids.setdefault(referring, []).append(referenced)
    return ids


def export_file(
    store: Store,
    schema: Schema,
    collection: str,
    path: Path,
    format: Format | None = None,
    *,
    force: bool = False,
    advance: Advance = ignore,
) -> int:
    """Write one collection to a new file, which has its name only once it is whole; how many items it has.

    Raises:
        FileExistsError: the file is there, and ``force`` is not set.
        WixDataError: there is no such collection.
    """
    links = links_from(schema, collection)
    with new_file(path, force) as file:
        return export_items(store, collection, file, format or format_of(path), links=links, advance=advance)


def export_folder(
    store: Store,
    schema: Schema,
    collections: Collection[str],
    path: Path,
    format: Format = "jsonl",
    *,
    force: bool = False,
    advance: Advance = ignore,
) -> dict[str, int]:
    """Write collections to a new folder, which has its name only once it is whole; how many items each has.

    Raises:
        FileExistsError: the folder is there and not empty, and ``force`` is not set, or it holds what is no export.
        WixDataError: there is no collection of one of the names.
    """
    links = [link for link in link_targets(relations_of(schema)) if link.collection in collections]
    counts: dict[str, int] = {}
    contents: dict[str, Any] = {}
    taken = {LINKS}
    with _new_folder(path, force) as folder:
        indexes = store.collections()
        for name in sorted(collections):
            inside = [link for link in links if link.collection == name] if format == "csv" else []
            file_name = _file_name(name, format, taken)
            with new_private_file(folder / file_name) as file:
                counts[name] = export_items(store, name, file, format, links=inside, advance=advance)
                _flush(file)
            contents[name] = {"file": file_name, "items": counts[name], "indexes": _described(indexes.get(name, ()))}
        if format == "jsonl":
            with new_private_file(folder / LINKS) as file:
                _export_links(store, links, file)
                _flush(file)
        with new_private_file(folder / CONTENTS) as file:
            file.write(json.dumps({"version": 1, "collections": contents}, indent=2).encode() + b"\n")
            _flush(file)
    return counts


def _export_links(store: Store, links: Iterable[Link], file: BinaryIO) -> None:
    for link in links:
        for referring, referenced in store.links(link):
            named = {"collection": link.collection, "field": link.field, "from": referring, "to": referenced}
            file.write(orjson.dumps(named) + b"\n")


def _file_name(collection: str, format: Format, taken: set[str]) -> str:
    """A name that no other collection's file has, also where the file system ignores case."""
    stem = quote(collection, safe="")[:_LONGEST_NAME]
    name, number = f"{stem}.{format}", 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}.{format}"
    taken.add(name.lower())
    return name


def _described(indexes: Iterable[Index]) -> list[dict[str, Any]]:
    described = [{"fields": format_order(each.fields), "unique": each.unique} for each in indexes]
    return sorted(described, key=json.dumps)


@contextlib.contextmanager
def new_file(path: Path, force: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which takes the name ``path`` when all is written, and is gone if it fails.

    Raises:
        FileExistsError: it is there and ``force`` is not set, or it is no file.
    """
    with _in_place(path, force) as unfinished, new_private_file(unfinished) as file:
        yield file
        _flush(file)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def _in_place(path: Path, force: bool) -> Iterator[Path]:
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "is there, and is not a file; choose another name", str(path))
    _refuse_existing(target, force, path)
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"cannot be made: there is no folder {target.parent}", str(path))
    unfinished = target.with_name(f".{target.name[:_LONGEST_NAME]}.{os.getpid()}.part")
    try:
        with named_as(path, unfinished):
            yield unfinished
            _refuse_existing(target, force, path)
            unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _refuse_existing(target: Path, force: bool, path: Path) -> None:
    if target.exists() and not force:
        raise FileExistsError(errno.EEXIST, "is there already; --force overwrites it", str(path))


@contextlib.contextmanager
def _new_folder(path: Path, force: bool) -> Iterator[Path]:
    target = path.resolve()
    if target.exists():
        if not target.is_dir():
            raise FileExistsError(
                errno.EEXIST, "is there, and is not a folder; name one, or export one collection", str(path)
            )
        _refuse_other_files(target, force, path)
    unfinished = target.with_name(f".{target.name[:_LONGEST_NAME]}.{os.getpid()}.part")
    with named_as(path, unfinished):
        unfinished.mkdir(parents=True)
    try:
        with named_as(path, unfinished):
            yield unfinished
            if target.exists():
                _refuse_other_files(target, force, path)
                shutil.rmtree(target)
            unfinished.replace(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _refuse_other_files(target: Path, force: bool, path: Path) -> None:
    """Only what an export has written may be removed."""
    names = {each.name for each in target.iterdir()}
    if names and not force:
        raise FileExistsError(errno.EEXIST, "is there already; --force overwrites it", str(path))
    if names and (CONTENTS not in names or any(not name.endswith((".jsonl", ".csv")) for name in names - {CONTENTS})):
        raise FileExistsError(errno.EEXIST, "holds other files than an export has; name a new folder", str(path))


def backup(
    store: Store, path: Path, *, force: bool = False, progress: Callable[[int, int], None] | None = None
) -> None:
    """Copy a store, while it is used, to a file that has its name only once it is whole.

    Raises:
        FileExistsError: the file is there, and ``force`` is not set; or it is a database that is in use.
        WixDataError: stores of this kind have no backup of their own.
    """
    own = getattr(store, "path", None)
    target = path.resolve()
    if (own is not None and Path(own).resolve() == target) or target.with_name(target.name + "-wal").exists():
        raise FileExistsError(errno.EEXIST, "is a database in use; choose another name", str(path))
    with _in_place(path, force) as unfinished:
        store.backup(str(unfinished), progress)

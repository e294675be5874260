"""The manifest of a build folder: the file of each path, with headers, ETag, and the stamp that is its identity.

Reading the manifest checks each file: it lies within the folder, is no symbolic link, and has the content that was
built.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from wixhttp.errors import ProjectError
from wixhttp.http.encoding import READ_SIZE
from wixhttp.http.response import Response as CoreResponse

_ETAG = re.compile(r'"[0-9a-f]{64}"')
_LAST = 253_402_300_800 * 10**9  # the year 10000, past the last date of HTTP
_FIELDS = {"file": str, "status": int, "headers": list, "etag": str, "size": int, "mtime_ns": int}


class Stamp(NamedTuple):
    """The identity of a file, compared each time that it is opened: inode, size in bytes, times of change in
    nanoseconds. Modification times can be set, and inodes are reused, so neither is enough by itself."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """The stamp from the result of ``os.stat``."""
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Built(NamedTuple):
    """One built file: ``path`` is the route's as the router sees it (``/api/café``), ``file`` is relative to the build
    folder (``/`` between names), ``headers`` are pairs as the handler set them, ``etag`` is the quoted SHA-256 of the
    content, ``size`` is in bytes, ``mtime_ns`` is when it was built. ``stamp`` is ``None`` until the file was seen.
    ``is_public``: it is the copy of a public file, and of no route.
    """

    path: str
    file: str
    status: int
    headers: tuple[tuple[str, str], ...]
    etag: str
    size: int
    mtime_ns: int
    stamp: Stamp | None = None
    is_public: bool = False

    @classmethod
    def of(
        cls,
        folder: Path,
        path: str,
        file: str,
        status: int = 200,
        headers: Iterable[tuple[str, str]] = (),
        *,
        is_public: bool = False,
    ) -> Built:
        """The entry of a file that was just written, by what is in it.

        Raises:
            ValueError: for a path, file, status or header that no manifest may hold.
            OSError: the file cannot be read.
        """
        with open_file(folder / file) as opened:
            found = os.fstat(opened.fileno())
            etag = _digest(opened)
        stamp = Stamp.of(found)
        built = cls(path, file, status, tuple(headers), etag, found.st_size, found.st_mtime_ns, stamp, is_public)
        _check(built)
        return built

    @property
    def modified(self) -> int:
        """The time of the build, in whole seconds since 1970, UTC."""
        return self.mtime_ns // 10**9

    def header(self, name: str) -> str | None:
        """The first value that the handler set for ``name``, given in lower case; ``None`` if it set none."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def open_file(path: Path) -> FileIO:
    """A built file, open. Raises OSError for a link."""
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # neither a link nor a pipe that nobody fills
    return FileIO(path, opener=lambda name, flags: os.open(name, flags | more))


def _digest(file: FileIO) -> str:
    content = hashlib.sha256()
    while piece := file.read(READ_SIZE):
        content.update(piece)
    return f'"{content.hexdigest()}"'


def merged(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Pairs as the headers of a response: each name once, as first spelled."""
    spelled: dict[str, str] = {}
    merged: dict[str, list[str]] = {}
    for name, value in pairs:
        merged.setdefault(spelled.setdefault(name.lower(), name), []).append(value)
    return merged


class Manifest:
    """The list of what a build wrote: ``manifest.json`` in the build folder, the same bytes for the same files."""

    NAME = "manifest.json"
    VERSION = 1

    @classmethod
    def write(cls, folder: Path, entries: Iterable[Built]) -> None:
        """Write the manifest of ``folder``.

        Raises:
            ValueError: two entries of one path.
        """
        tables: dict[str, dict[str, Any]] = {"paths": {}, "public": {}}
        for built in entries:
            _check(built)
            paths = tables["public" if built.is_public else "paths"]
            if built.path in paths:
                raise ValueError(f"a path is built once, and {built.path!r} is there twice")
            paths[built.path] = {name: getattr(built, name) for name in _FIELDS}
        text = {"version": cls.VERSION, **tables}
        style = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
        (folder / cls.NAME).write_bytes(orjson.dumps(text, option=style))

    @classmethod
    def read(cls, folder: Path) -> dict[str, Built]:
        """The entries of a build folder by their paths, each seen to be the file that was built. Empty where there is
        no folder or no manifest.

        Raises:
            ProjectError: the manifest is wrong, or one of its files is not what was built.
        """
        place = folder / cls.NAME
        before = cls.stamp(folder)
        problem: Exception | None = None
        entries: dict[str, Built] = {}
        try:
            value = cls._tables(place.read_bytes())
            root = Path(os.path.realpath(folder))
            entries = {path: _seen(root, _entry(path, record)) for path, record in value["paths"].items()}
            for path, record in value["public"].items():
                entries[path] = _seen(root, _entry(path, record))._replace(is_public=True)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            problem = error
        if cls.stamp(folder) != before:
            return cls.read(folder)  # swapped meanwhile: these may be the entries of one build, the files of another
        if problem is not None:
            raise ProjectError(f"{place}: {problem}; remove the folder and run 'wixhttp build'") from problem
        return entries

    @classmethod
    def stamp(cls, folder: Path) -> Stamp | None:
        """The stamp of the manifest itself, which tells whether the folder was swapped; ``None`` without a manifest."""
        try:
            return Stamp.of(os.stat(folder / cls.NAME))
        except OSError:
            return None

    @classmethod
    def _tables(cls, text: bytes) -> dict[str, dict[str, Any]]:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"a manifest is JSON, and this is not: {error}") from None
        if not isinstance(value, dict) or "version" not in value:
            raise ValueError("a manifest is an object with 'version' and 'paths'")
        if value["version"].__class__ is not int or value["version"] != cls.VERSION:
            raise ValueError(f"a manifest that can be read has version {cls.VERSION}, not {value['version']!r}")
        tables = {"paths": value.get("paths"), "public": value.get("public", {})}
        for name, paths in tables.items():
            if not isinstance(paths, dict):
                raise ValueError(f"{name!r} is an object of entries by their paths, not {paths!r}")
        return tables


def _entry(path: str, record: object) -> Built:
    if not isinstance(record, dict):
        raise ValueError(f"the entry of {path!r} is an object, not {record!r}")
    if record.keys() != _FIELDS.keys():
        raise ValueError(f"the entry of {path!r} has {', '.join(_FIELDS)}, not {', '.join(record) or 'nothing'}")
    for name, kind in _FIELDS.items():
        if record[name].__class__ is not kind:
            raise ValueError(f"{name!r} of {path!r} is of type {kind.__name__}, not {record[name]!r}")
    for pair in record["headers"]:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(word, str) for word in pair)):
            raise ValueError(f"'headers' of {path!r} holds pairs of a name and a value, not {pair!r}")
    built = Built(path, **{**record, "headers": tuple((name, value) for name, value in record["headers"])})
    _check(built)
    return built


def _check(built: Built) -> None:
    """Raise ValueError for an entry that no manifest may have."""
    path, file = built.path, built.file
    if not path.startswith("/"):
        raise ValueError(f"a path begins with '/', unlike {path!r}")
    if any(name in ("", ".", "..") for name in file.split("/")) or "\\" in file or "\0" in file:
        raise ValueError(f"the file of {path!r} is a path inside of the build folder, with '/' in it, not {file!r}")
    if file == Manifest.NAME:
        raise ValueError(f"the file of {path!r} is {file!r}, which is the manifest's own name")
    if not _ETAG.fullmatch(built.etag):
        raise ValueError(f"'etag' of {path!r} is a SHA-256 in hexadecimal and in quotes, not {built.etag!r}")
    if built.size < 0 or not 0 <= built.mtime_ns < _LAST:
        raise ValueError(f"'size' and 'mtime_ns' of {path!r} are not negative, unlike {(built.size, built.mtime_ns)!r}")
    try:
        CoreResponse(built.status, None, merged(built.headers))
    except ValueError as error:
        raise ValueError(f"the entry of {path!r} cannot be sent: {error}") from None


def _seen(root: Path, built: Built) -> Built:
    """The entry with the stamp of its file. A copy has another time than the build's: then its content is compared."""
    place = root / built.file
    try:
        if os.path.realpath(place, strict=True) != str(place):
            raise ValueError(f"the file of {built.path!r}, {built.file!r}, is reached by a symbolic link; copy it")
        found = os.stat(place)
        same = stat.S_ISREG(found.st_mode) and found.st_size == built.size
        if same and found.st_mtime_ns != built.mtime_ns:
            with open_file(place) as file:
                found = os.fstat(file.fileno())
                same = _digest(file) == built.etag
    except OSError as error:
        why = error.strerror or error
        raise ValueError(f"the file of {built.path!r}, {built.file!r}, cannot be read: {why}") from error
    if not same:
        raise ValueError(f"the file of {built.path!r}, {built.file!r}, is not the one that was built")
    return built._replace(stamp=Stamp.of(found))

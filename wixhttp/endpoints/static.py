"""What was built, and how it is served: the manifest of a build folder, and its files as answers.

A request's path is only ever a key of the table that the manifest gives, never a path of the file system. What the file
of an entry is was checked when the manifest was read; that it is still the same file is seen each time it is opened.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import stat
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from io import FileIO
from pathlib import Path
from posixpath import splitext
from typing import Any, NamedTuple, NoReturn

import orjson

from ..encoding import READ_SIZE
from ..errors import HTTPError, ProjectError
from ..head import Head
from ..response import Response

_ETAG = re.compile(r'"[0-9a-f]{64}"')
_LAST = 253_402_300_800 * 10**9  # the year 10000: no date of HTTP can say it
_FIELDS = {"file": str, "status": int, "headers": list, "etag": str, "size": int, "mtime_ns": int}

# Said by the one who serves a file, whatever its handler said.
_OWN = frozenset(("accept-ranges", "content-range", "content-length"))
# What a 304 repeats of its 200 (RFC 9110, 15.4.5).
_KEPT = frozenset(("cache-control", "content-location", "etag", "expires", "last-modified", "vary"))
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP))

# What systems and versions of Python disagree about, or do not know.
_TYPES = {
    ".atom": "application/atom+xml", ".avif": "image/avif", ".br": "application/x-brotli", ".css": "text/css",
    ".csv": "text/csv", ".geojson": "application/geo+json", ".gif": "image/gif", ".gz": "application/gzip",
    ".htm": "text/html", ".html": "text/html", ".ico": "image/x-icon", ".ics": "text/calendar", ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg", ".js": "text/javascript", ".json": "application/json", ".jsonld": "application/ld+json",
    ".map": "application/json", ".md": "text/markdown", ".mjs": "text/javascript", ".mp3": "audio/mpeg",
    ".mp4": "video/mp4", ".otf": "font/otf", ".pdf": "application/pdf", ".png": "image/png",
    ".rss": "application/rss+xml", ".svg": "image/svg+xml", ".tsv": "text/tab-separated-values", ".ttf": "font/ttf",
    ".txt": "text/plain", ".vcf": "text/vcard", ".wasm": "application/wasm", ".weba": "audio/webm",
    ".webm": "video/webm", ".webmanifest": "application/manifest+json", ".webp": "image/webp", ".woff": "font/woff",
    ".woff2": "font/woff2", ".xml": "application/xml", ".yaml": "application/yaml", ".yml": "application/yaml",
    ".zip": "application/zip",
}  # fmt: skip

logger = logging.getLogger("wixhttp.endpoints")


class Stamp(NamedTuple):
    """By what an opened file is known again: its inode, size in bytes, and times of change in nanoseconds. A build may
    set the time of its content, and inodes are given anew, so neither is enough."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """The stamp of a file that was looked at."""
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Built(NamedTuple):
    """One built file: ``path`` is the route's as the router sees it (``/api/café``), ``file`` is relative to the build
    folder (``/`` between names), ``headers`` are pairs as the handler set them, ``etag`` is the quoted SHA-256 of the
    content, ``size`` is in bytes, ``mtime_ns`` is when it was built. ``stamp`` is ``None`` until the file was seen.
    """

    path: str
    file: str
    status: int
    headers: tuple[tuple[str, str], ...]
    etag: str
    size: int
    mtime_ns: int
    stamp: Stamp | None = None

    @classmethod
    def of(
        cls, folder: Path, path: str, file: str, status: int = 200, headers: Iterable[tuple[str, str]] = ()
    ) -> Built:
        """The entry of a file that was just written, by what is in it.

        Raises:
            ValueError: for a path, file, status or header that no manifest may hold.
            OSError: the file cannot be read.
        """
        with _open(folder / file) as opened:
            found = os.fstat(opened.fileno())
            etag = _digest(opened)
        built = cls(path, file, status, tuple(headers), etag, found.st_size, found.st_mtime_ns, Stamp.of(found))
        _check(built)
        return built

    @property
    def modified(self) -> int:
        """When it was built, in whole seconds of UTC."""
        return self.mtime_ns // 10**9

    def header(self, name: str) -> str | None:
        """The first value that the handler set for ``name``, given in lower case; ``None`` if it set none."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def _open(path: Path) -> FileIO:
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # neither a link nor a pipe that nobody fills
    return FileIO(path, opener=lambda name, flags: os.open(name, flags | more))


def _digest(file: FileIO) -> str:
    content = hashlib.sha256()
    while piece := file.read(READ_SIZE):
        content.update(piece)
    return f'"{content.hexdigest()}"'


def _merged(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Pairs as the headers of a response: each name once, as first spelled."""
    spelled: dict[str, str] = {}
    merged: dict[str, list[str]] = {}
    for name, value in pairs:
        merged.setdefault(spelled.setdefault(name.lower(), name), []).append(value)
    return merged


# --- the manifest ----------------------------------------------------------------------------------------------------


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
        paths: dict[str, Any] = {}
        for built in entries:
            _check(built)
            if built.path in paths:
                raise ValueError(f"a path is built once, and {built.path!r} is there twice")
            paths[built.path] = {name: getattr(built, name) for name in _FIELDS}
        text = {"version": cls.VERSION, "paths": paths}
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
            paths = cls._paths(place.read_bytes())
            root = Path(os.path.realpath(folder))
            entries = {path: _seen(root, _entry(path, record)) for path, record in paths.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            problem = error
        if (
            cls.stamp(folder) != before
        ):  # swapped meanwhile: these may be the entries of one build, the files of another
            return cls.read(folder)
        if problem is not None:
            raise ProjectError(f"{place}: {problem}; run 'wixhttp build' again") from problem
        return entries

    @classmethod
    def stamp(cls, folder: Path) -> Stamp | None:
        """By what a manifest is known again; ``None`` where there is none."""
        try:
            return Stamp.of(os.stat(folder / cls.NAME))
        except OSError:
            return None

    @classmethod
    def _paths(cls, text: bytes) -> dict[str, Any]:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"a manifest is JSON, and this is not: {error}") from None
        if not isinstance(value, dict) or "version" not in value:
            raise ValueError("a manifest is an object with 'version' and 'paths'")
        if value["version"].__class__ is not int or value["version"] != cls.VERSION:
            raise ValueError(f"a manifest that can be read has version {cls.VERSION}, not {value['version']!r}")
        paths = value.get("paths")
        if not isinstance(paths, dict):
            raise ValueError(f"'paths' is an object of entries by their paths, not {paths!r}")
        return paths


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
    """Raises ValueError for what no manifest may hold."""
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
        Response(built.status, None, _merged(built.headers))
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
            with _open(place) as file:
                found = os.fstat(file.fileno())
                same = _digest(file) == built.etag
    except OSError as error:
        why = error.strerror or error
        raise ValueError(f"the file of {built.path!r}, {built.file!r}, cannot be read: {why}") from error
    if not same:
        raise ValueError(f"the file of {built.path!r}, {built.file!r}, is not the one that was built")
    return built._replace(stamp=Stamp.of(found))


# --- answers ---------------------------------------------------------------------------------------------------------


class FileResponse(Response):
    """An answer from a built file. ``length`` is the size in bytes of a body that is a stream, else ``None``."""

    __slots__ = ("length",)

    implied_type = ""

    def __init__(
        self, status: int, body: Any = None, headers: Mapping[str, Any] | None = None, length: int | None = None
    ) -> None:
        super().__init__(status, body, headers)
        self.length = length


class FilePieces:
    """The bytes of an open file from ``start`` up to ``stop``, 64 KB at a time. The file is closed at the end."""

    def __init__(self, file: FileIO, start: int, stop: int) -> None:
        self.file = file
        self.left = stop - start
        if start:
            file.seek(start)

    def __iter__(self) -> FilePieces:
        return self

    def __next__(self) -> bytes:
        if self.left == 0:
            self.close()
            raise StopIteration
        piece = self.file.read(min(self.left, READ_SIZE))
        if not piece:
            self.close()
            raise OSError(f"{str(self.file.name)!r} became shorter while it was sent; build anew beside it, then swap")
        self.left -= len(piece)
        if self.left == 0:
            self.close()
        return piece

    def close(self) -> None:
        """Close the file; nothing more comes."""
        self.left = 0
        self.file.close()


class StaticFiles:
    """The built files of a folder, as answers. The manifest is read when this is made, and again when a file turns out
    to be another than it says: a folder may be swapped under a running server. Safe to share between threads.

    ``prefix`` stands in front of each path of the manifest.

    Raises:
        ProjectError: as `Manifest.read`.
    """

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self.folder = folder
        self.prefix = prefix.removesuffix("/")
        self._renewing = threading.Lock()
        self._refused: dict[str, object] = {}  # path -> what was found when reading the manifest again did not help
        self._table = self._load()

    def __len__(self) -> int:
        return len(self._table)

    def find(self, path: str) -> Built | None:
        """The file that was built for a request's path, with or without a slash at its end; ``None`` for none."""
        return self._table.get(path.removesuffix("/"))

    def answer(self, built: Built, head: Head) -> Response:
        """The answer to a GET or HEAD that `find` found a file for: 200, 206, 304, or the status that was built.

        One range is sent as 206; of several, or of what is no range, or of an empty file, the whole is sent.

        Raises:
            HTTPError: 404, the file is gone; 412, ``If-Match`` or ``If-Unmodified-Since`` does not hold; 416, the
                range begins behind the end.
        """
        file, built = self._current(built)
        try:
            headers = _headers(built)
            status, start, stop = built.status, 0, built.size
            if status == 200:
                if _not_modified(built, head):
                    file.close()
                    return FileResponse(304, None, {k: v for k, v in headers.items() if k.lower() in _KEPT})
                if part := _part(built, head):
                    status, (start, stop) = 206, part
                    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{built.size}"
            pieces = FilePieces(file, start, stop)
            if stop - start > READ_SIZE:
                return FileResponse(status, pieces, headers, stop - start)
            return FileResponse(status, b"".join(pieces), headers)
        except BaseException:
            file.close()
            raise

    def _load(self) -> dict[str, Built]:
        table: dict[str, Built] = {}
        for path, built in Manifest.read(self.folder).items():
            key = self._key(path)
            if key in table:
                raise ProjectError(
                    f"{self.folder / Manifest.NAME}: {path!r} and {table[key].path!r} are one path, since a slash at "
                    "the end does not count; remove one of their files and run 'wixhttp build' again"
                )
            table[key] = built
        return table

    def _key(self, path: str) -> str:
        return self.prefix + path.removesuffix("/")

    def _current(self, built: Built) -> tuple[FileIO, Built]:
        """The open file of an entry, and that entry or the one that has taken its place."""
        file, stamp = self._opened(built)
        if file is None:
            built = self._renewed(built, stamp)
            file, stamp = self._opened(built)
            if file is None:
                _gone(built)
        return file, built

    def _opened(self, built: Built) -> tuple[FileIO | None, Stamp | None]:
        """The file of an entry, if it is still the same, and the stamp of what is there now."""
        try:
            file = _open(self.folder / built.file)
        except OSError as error:
            if error.errno in _GONE:
                return None, None
            raise
        stamp = Stamp.of(os.fstat(file.fileno()))
        if stamp == built.stamp:
            return file, stamp
        file.close()
        return None, stamp

    def _renewed(self, built: Built, stamp: Stamp | None) -> Built:
        """What the manifest says now of an entry whose file has ``stamp``."""
        key = self._key(built.path)
        with self._renewing:
            if self._table.get(key) is built:
                found = (stamp, Manifest.stamp(self.folder))
                if self._refused.get(key) == found:
                    _gone(built)
                self._reload()
                if self._table.get(key) is built:
                    self._refused[key] = found
            now = self._table.get(key)
        if now is None or now is built:
            _gone(built)
        return now

    def _reload(self) -> None:
        """Take the manifest that is there now; without one, or with a wrong one, what was known stays."""
        try:
            table = self._load()
        except ProjectError as error:
            logger.error("the built files changed while they were served: %s", error)
            return
        if table:
            self._table = table
            self._refused.clear()


def _gone(built: Built) -> NoReturn:
    reason = f"the file of {built.path!r}, {built.file!r}, is not the one that was built; run 'wixhttp build' again"
    raise HTTPError(404, "There is nothing at this path.", reason=reason)


def _headers(built: Built) -> dict[str, Any]:
    """The headers of the whole file, the handler's own before ours."""
    from werkzeug.http import http_date

    headers: dict[str, Any] = _merged(pair for pair in built.headers if pair[0].lower() not in _OWN)
    whole = built.status == 200
    if (whole or built.size) and built.header("content-type") is None:
        headers["Content-Type"] = _content_type(built.path)
    if whole:
        if built.header("etag") is None:
            headers["ETag"] = built.etag
        if built.header("last-modified") is None:
            headers["Last-Modified"] = http_date(built.modified)
        headers["Accept-Ranges"] = "bytes"
    return headers


@cache
def _known_types() -> dict[str, str]:
    from mimetypes import MimeTypes

    return {**MimeTypes().types_map[True], **_TYPES}


def _content_type(path: str) -> str:
    """The type that the extension of a path says.

    >>> _content_type("/notes.TXT"), _content_type("/a.json"), _content_type("/api/users")
    ('text/plain; charset=utf-8', 'application/json', 'application/octet-stream')
    """
    kind = _known_types().get(splitext(path.removesuffix("/"))[1].lower(), "application/octet-stream")
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


# --- conditions and ranges (RFC 9110, 13 and 14) ---------------------------------------------------------------------


def _seconds(value: str | None) -> float | None:
    """A date of HTTP in seconds since 1970; ``None`` for what is none."""
    from werkzeug.http import parse_date

    try:
        date = parse_date(value)
    except OverflowError:  # a year beyond what a C int holds
        return None
    return None if date is None else date.timestamp()


def _validators(built: Built) -> tuple[str, float | None]:
    modified = built.header("last-modified")
    return built.header("etag") or built.etag, built.modified if modified is None else _seconds(modified)


def _not_modified(built: Built, head: Head) -> bool:
    """Whether the client has it already, asked in the order of RFC 9110, 13.2.2."""
    from werkzeug.http import parse_etags, unquote_etag

    etag, modified = _validators(built)
    tag, weak = unquote_etag(etag)
    match, none_match = head.header("if-match"), head.header("if-none-match")
    if match is not None:
        asked = parse_etags(match)
        if not asked.star_tag and (weak or not asked.is_strong(tag)):
            _refuse("If-Match")
    elif modified is not None:
        before = _seconds(head.header("if-unmodified-since"))
        if before is not None and modified > before:
            _refuse("If-Unmodified-Since")
    if none_match is not None:
        return parse_etags(none_match).contains_weak(tag)
    since = _seconds(head.header("if-modified-since"))
    return since is not None and modified is not None and modified <= since


def _refuse(name: str) -> NoReturn:
    raise HTTPError(412, f"What is here now is not what {name} asks for.")


def _part(built: Built, head: Head) -> tuple[int, int] | None:
    """The one range that is asked for, as offsets from and up to; ``None`` for the whole.

    Raises:
        HTTPError: 416, it begins behind the end.
    """
    value = head.header("range")
    if value is None or head.method != "GET" or not built.size or not _if_range(built, head.header("if-range")):
        return None
    from werkzeug.http import parse_range_header

    asked = parse_range_header(value)
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    start, stop = asked.ranges[0]
    if start < 0:  # the last bytes; of a shorter file all
        return max(0, built.size + start), built.size
    if start >= built.size:
        content_range = {"Content-Range": f"bytes */{built.size}"}
        raise HTTPError(416, f"The range begins behind the end, at {built.size} bytes.", headers=content_range)
    return start, built.size if stop is None else min(stop, built.size)


def _if_range(built: Built, value: str | None) -> bool:
    """Whether what the client has a part of is still what is here (RFC 9110, 13.1.5)."""
    if value is None:
        return True
    etag, modified = _validators(built)
    if '"' in value:  # by hand: werkzeug's parse_if_range_header forgets whether a tag was weak, and those never hold
        return value == etag and not etag.startswith("W/")
    asked = _seconds(value)
    return asked is not None and asked == modified

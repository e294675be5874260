"""Static files: the files of a build folder as answers, by the paths of its manifest.

The path of a request is only ever a key of the table that the manifest gives, never a path of the file system. Each
time that a file is opened it is checked to be the one that was built: a check before opening would be a race (TOCTOU).
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Mapping
from functools import cache
from io import FileIO
from pathlib import Path
from posixpath import splitext
from typing import Any, NoReturn

from wixhttp.endpoints.routing.paths import comparable
from wixhttp.errors import HTTPError, ProjectError
from wixhttp.http.encoding import READ_SIZE
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response as CoreResponse

from .conditional_requests import is_not_modified, part_of
from .manifest import Built, Manifest, Stamp, merged, open_file

# Header fields that the server of a file writes itself, in place of those of the handler.
_OWN = frozenset(("accept-ranges", "content-range", "content-length"))
# Header fields that a 304 repeats of its 200 (RFC 9110, 15.4.5).
_KEPT = frozenset(("cache-control", "content-location", "etag", "expires", "last-modified", "vary"))
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP))

# Types that operating systems and versions of Python disagree about, or do not know.
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


class FileResponse(CoreResponse):
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
        self._refused: dict[
            str, object
        ] = {}  # path -> the state of the disk for which reading the manifest again did not help
        self._table = self._load()

    def __len__(self) -> int:
        return len(self._table)

    def find(self, path: str) -> Built | None:
        """The file that was built for a request's path, with or without a slash at its end; ``None`` for none."""
        return self._table.get(comparable(path.removesuffix("/")))

    def answer(self, built: Built, head: Head) -> CoreResponse:
        """The answer to a GET or HEAD that `find` found a file for: 200, 206, 304, or the status that was built.

        One range is sent as 206; for several ranges, a malformed one, or an empty file, the whole is sent.

        Raises:
            HTTPError: 404, the file is gone; 412, ``If-Match`` or ``If-Unmodified-Since`` does not hold; 416, the
                range begins behind the end.
        """
        file, built = self._current(built)
        try:
            headers = _headers(built)
            status, start, stop = built.status, 0, built.size
            if status == 200:
                if is_not_modified(built, head):
                    file.close()
                    return FileResponse(304, None, {k: v for k, v in headers.items() if k.lower() in _KEPT})
                if part := part_of(built, head):
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
        return comparable(self.prefix + path.removesuffix("/"))

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
            file = open_file(self.folder / built.file)
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
        """The entry that now stands in the manifest, which is read again, for one whose file has ``stamp``."""
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
        """Read the manifest again; where there is none, or a wrong one, the old table stays."""
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

    headers: dict[str, Any] = merged(pair for pair in built.headers if pair[0].lower() not in _OWN)
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
    """The media type by the extension of a path.

    >>> _content_type("/notes.TXT"), _content_type("/a.json"), _content_type("/api/users")
    ('text/plain; charset=utf-8', 'application/json', 'application/octet-stream')
    """
    kind = _known_types().get(splitext(path.removesuffix("/"))[1].lower(), "application/octet-stream")
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind

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
from io import FileIO
from pathlib import Path
from typing import Any, NoReturn

from wixhttp.endpoints.routing.paths import comparable
from wixhttp.errors import HTTPError, ProjectError
from wixhttp.http.encoding import READ_SIZE
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response as CoreResponse

from .conditional_requests import is_not_modified, part_of
from .content_types import content_type
from .manifest import Built, Manifest, Stamp, merged, open_file

# Header fields that the server of a file writes itself, in place of those of the handler.
_OWN = frozenset(("accept-ranges", "content-range", "content-length"))
# Header fields that a 304 repeats of its 200 (RFC 9110, 15.4.5).
_KEPT = frozenset(("cache-control", "content-location", "etag", "expires", "last-modified", "vary"))
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP))

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

    ``prefix`` stands in front of each path of the manifest, ``public_prefix`` in front of the copies of public files.

    Raises:
        ProjectError: as `Manifest.read`.
    """

    def __init__(self, folder: Path, prefix: str = "", public_prefix: str = "") -> None:
        self.folder = folder
        self.prefix = prefix.removesuffix("/")
        self.public_prefix = public_prefix
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
        return answer_file(file, built, head)

    def _load(self) -> dict[str, Built]:
        table: dict[str, Built] = {}
        for built in Manifest.read(self.folder).values():
            key = self._key(built)
            if key in table:
                raise ProjectError(
                    f"{self.folder / Manifest.NAME}: {built.path!r} and {table[key].path!r} are one path, since a "
                    "slash at the end does not count; remove one of their files and run 'wixhttp build' again"
                )
            table[key] = built
        return table

    def _key(self, built: Built) -> str:
        prefix = self.public_prefix if built.is_public else self.prefix
        return comparable(prefix + built.path.removesuffix("/"))

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
        key = self._key(built)
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


def answer_file(file: FileIO, built: Built, head: Head) -> CoreResponse:
    """The answer from an open file, which it closes: 200, 206, 304, or the status that was built.

    Raises:
        HTTPError: 412 and 416, as `StaticFiles.answer`.
    """
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


def _gone(built: Built) -> NoReturn:
    reason = f"the file of {built.path!r}, {built.file!r}, is not the one that was built; run 'wixhttp build' again"
    raise HTTPError(404, "There is nothing at this path.", reason=reason)


def _headers(built: Built) -> dict[str, Any]:
    """The headers of the whole file, the handler's own before ours."""
    from werkzeug.http import http_date

    headers: dict[str, Any] = merged(pair for pair in built.headers if pair[0].lower() not in _OWN)
    whole = built.status == 200
    if (whole or built.size) and built.header("content-type") is None:
        headers["Content-Type"] = content_type(built.file if built.is_public else built.path)
    if whole:
        if built.header("etag") is None:
            headers["ETag"] = built.etag
        if built.header("last-modified") is None:
            headers["Last-Modified"] = http_date(built.modified)
        headers["Accept-Ranges"] = "bytes"
    return headers

"""Public files: those of the project's folder ``public/``, as answers, by their paths.

The path of a request is only ever a key of a table, never a path of the file system; opening a file follows no link, so
that whatever becomes of the folder meanwhile, nothing outside of it is sent.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from wixhttp.endpoints.routing.paths import comparable, is_reachable
from wixhttp.errors import HTTPError
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response as CoreResponse

from .files import answer_file
from .folders import files_below
from .manifest import Built, Stamp

FOLDER = "public"
INDEX = "index.html"

_UNREADABLE = frozenset((errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.ENXIO))


def _is_hidden(name: str) -> bool:
    return name[0] == "." and name != ".well-known"


class PublicFile(NamedTuple):
    """One file: its ``path`` without the site's prefix (``/a.css``, ``/docs`` for ``docs/index.html``), its name
    ``file`` below the folder, ``place``, where it really is there, once links are followed, ``size`` in bytes and
    ``mtime_ns``.
    """

    path: str
    file: str
    place: str
    size: int
    mtime_ns: int


class PublicFiles:
    """The files of a folder, as answers. Dot files are none, but for ``.well-known``; a link is one that leads to what
    is one by itself. ``index.html`` answers the path of its folder, too.

    ``prefix``, a path string, stands in front of each path. The folder is read when this is made; where it ``renews``,
    as in development, again when a file is asked for that is new or gone. ``problems`` are the files that are never
    sent, each with the reason.
    """

    def __init__(self, folder: Path, prefix: str = "", *, renews: bool = False) -> None:
        self.folder = folder
        self.prefix = prefix
        self.renews = renews
        self.problems: list[str] = []
        self._root = os.path.realpath(folder)
        self._table: dict[str, PublicFile] = {}
        self.read()

    def __len__(self) -> int:
        """The number of files."""
        return len({each.file for each in self._table.values()})

    def files(self) -> list[PublicFile]:
        """Every path with its file, sorted."""
        return sorted(self._table.values())

    def find(self, path: str) -> PublicFile | None:
        """The file of a request's path, with or without a slash at its end; ``None`` for none."""
        key = comparable(path.removesuffix("/"))
        found = self._table.get(key)
        if self.renews and (self._is_new(key) if found is None else not self._is_file(found.place)):
            self.read()
            found = self._table.get(key)
        return found

    def _is_new(self, key: str) -> bool:
        """Return whether the folder has a file of a path that is not in the table: a few names are looked at, since
        every request for another route comes by here."""
        prefix = comparable(self.prefix)
        if not key.startswith(prefix):
            return False
        path = key[len(prefix) :].strip("/")
        if any(_is_hidden(name) for name in path.split("/") if name):
            return False
        spellings = {path, unicodedata.normalize("NFD", path)}
        return any(self._is_file(os.path.join(each, *last)) for each in spellings for last in ((), (INDEX,)))

    def _is_file(self, place: str) -> bool:
        return os.path.isfile(os.path.join(self._root, place))

    def answer(self, public: PublicFile, head: Head) -> CoreResponse:
        """The answer to a GET or HEAD that `find` found a file for, as it is now: 200, 206 or 304.

        Raises:
            HTTPError: 404, the file is gone, or cannot be read; 412 and 416 as for built files.
        """
        try:
            file = self.open(public)
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            reason = f"{FOLDER}/{public.file} cannot be read: {error.strerror}"
            raise HTTPError(404, "There is nothing at this path.", reason=reason) from None
        found = os.fstat(file.fileno())
        etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
        now = Built(
            public.path, public.file, 200, (), etag, found.st_size, found.st_mtime_ns, Stamp.of(found), is_public=True
        )
        return answer_file(file, now, head)

    def read(self) -> None:
        """Read the folder anew."""
        self.problems = []
        table: dict[str, PublicFile] = {}
        try:
            names = list(
                files_below(self._root, is_hidden=_is_hidden, is_followed=lambda real: not self._leads_astray(real))
            )
        except OSError as error:
            self.problems.append(f"{self.folder}: no file of it is sent: {error.filename}: {error.strerror}")
            names = []
        for name in sorted(names, key=lambda name: ("%" in name, name)):  # a+b comes before a%2Bb
            self._add(table, name)
        self._table = table

    def _add(self, table: dict[str, PublicFile], name: str) -> None:
        path = "/" + unicodedata.normalize("NFC", name)
        real = os.path.realpath(os.path.join(self._root, name))
        problem = ""
        if not is_reachable(path):
            problem = "no request has such a path; rename it"
        elif astray := self._leads_astray(real):
            problem = astray
        elif not os.path.isfile(real):
            problem = "it is no file, or a link to none"
        elif not os.access(real, os.R_OK):
            problem = "it cannot be read; see its permissions"
        elif (first := table.get(comparable(self.prefix + path))) is not None:
            problem = f"{FOLDER}/{first.file} has the same path; rename one"
        if problem:
            self.problems.append(f"{FOLDER}/{name!s} is never sent: {problem}".encode(errors="replace").decode())
            return
        found = os.stat(real)
        place = os.path.relpath(real, self._root)
        folder, _, last = path.rpartition("/")
        for each in (path, folder or "/") if last == INDEX else (path,):
            table.setdefault(
                comparable((self.prefix + each).removesuffix("/")),
                PublicFile(each, name, place, found.st_size, found.st_mtime_ns),
            )

    def _leads_astray(self, real: str) -> str:
        """The reason for which nothing is sent from where links lead to; ``""`` for none."""
        what = "folder" if os.path.isdir(real) else "file"
        if not real.startswith(self._root + os.sep):
            return f"it is a link out of {FOLDER}/; copy the {what}"
        if any(map(_is_hidden, real[len(self._root) + 1 :].split(os.sep))):
            return f"it is a link to a name that begins with a dot; copy the {what}"
        return ""

    def open(self, public: PublicFile) -> FileIO:
        """Open a file. Raises OSError for a link on the way, and for what is no file."""
        *folders, name = public.place.split(os.sep)
        more = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        at = os.open(self._root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            for folder in folders:
                below = os.open(folder, more | os.O_DIRECTORY, dir_fd=at)
                os.close(at)
                at = below
            opened = os.open(name, more | os.O_NONBLOCK, dir_fd=at)  # a pipe that nobody fills is not waited for
        finally:
            os.close(at)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise OSError(errno.ENOENT, "it is no file")
        return FileIO(os.path.join(self._root, public.place), opener=lambda *_: opened)

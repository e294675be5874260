"""The files of a project that are watched, and the comparison of their contents with how they were last seen.

A file that is saved with the bytes that it has, or only touched, has not changed. Files of ``public/``, which may be
large, are compared by size and time.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from wixhttp.project.config import Config

SUFFIXES = (
    ".py", ".js", ".mjs", ".cjs", ".jsw", ".ts", ".toml", ".config",
    ".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako", ".mustache", ".tmpl", ".xml",
)  # fmt: skip
"""Of code, settings, schedules and templates. All ``.env`` files are watched, too, and whatever is in ``public/``."""

_PUBLIC, _DATA, _DECLARATIONS = "public", "data", "collections.toml"
_SKIPPED = frozenset(("node_modules", "__pycache__", "site-packages"))  # folders, wherever they are
_LONGEST = 1_000_000  # bytes of a file that is read to be compared
_ENVIRONMENT = "pyvenv.cfg"  # what a virtual environment of any name has


@dataclass(frozen=True)
class WatchPlan:
    """The places to look at: the project's folder ``root``, further folders and files that its settings name, and the
    folders that are left out. The mode of the file of ``secrets`` counts as well, and whether ``needed`` folders, which
    settings name, are there: the error page may ask for either."""

    root: Path
    places: tuple[Path, ...] = ()
    skipped: frozenset[Path] = frozenset()
    secrets: Path = Path()
    needed: tuple[Path, ...] = ()

    @classmethod
    def of(cls, config: Config) -> WatchPlan:
        """The plan of a project."""
        named = (config.pages, config.pages.parent / "middleware.py", config.test_site)
        given = (config.secrets_file, config.root, config.build_dir, *named)
        secrets, root, built, *places = (_normal(place) for place in given if place)
        needed = (places[0],) if config.sources.get("pages", "default") != "default" else ()
        elsewhere = [place for place in places if not place.is_relative_to(root)]
        if not (secrets.is_relative_to(root) and is_watched_name(secrets.name)):
            elsewhere.append(secrets)
        return cls(root, tuple(elsewhere), frozenset((built, root / _DATA)), secrets, needed)


def _normal(path: Path) -> Path:
    """The path without ``..``."""
    return Path(os.path.normpath(path))


class _Seen(NamedTuple):
    """A file as it was seen: what the system says of it, and a digest of its bytes, if they were read."""

    stamp: tuple[int, ...]
    digest: bytes
    mode: int

    def differs_from(self, before: _Seen) -> bool:
        """Return whether its bytes have changed, or what stands for them."""
        return self.digest != before.digest if self.digest else self.stamp != before.stamp


class WatchedFiles:
    """The files of a plan as they were last seen. ``folders`` are those that hold them, or may come to."""

    def __init__(self, plan: WatchPlan) -> None:
        self.plan = plan
        self.folders: set[str] = set()
        self._seen: dict[str, _Seen] = {}
        self.look()

    def look(self, suspects: Iterable[str] = ()) -> list[str]:
        """The paths of the files that have changed, come or gone since the last look, sorted. Files of the same size
        and time are taken for unchanged, except for ``suspects``, which are read."""
        suspected = frozenset(suspects)
        self.folders = set()
        before, seen = self._seen, {}
        changed = []
        secrets = str(self.plan.secrets)
        for entry_path, is_read in self._walk():
            try:
                now = _look_at(entry_path, before.get(entry_path), is_read=is_read, is_suspect=entry_path in suspected)
            except OSError:  # it has gone meanwhile, or cannot be read: the import says so
                continue
            seen[entry_path] = now
            then = before.get(entry_path)
            if then is None or now.differs_from(then) or (entry_path == secrets and now.mode != then.mode):
                changed.append(entry_path)
        for folder in filter(Path.is_dir, self.plan.needed):
            seen[str(folder)] = _Seen((), b"folder", 0)
            if str(folder) not in before:
                changed.append(str(folder))
        changed += before.keys() - seen.keys()
        self._seen = seen
        return sorted(changed)

    def _walk(self) -> Iterator[tuple[str, bool]]:
        """The path of each watched file, and whether its bytes are compared."""
        plan = self.plan
        visited: set[tuple[int, int]] = set()
        for place in (plan.root, *plan.places):
            if place.is_file():
                self.folders.add(str(place.parent))
                yield str(place), True
            else:
                yield from self._walk_folder(str(place), visited)
        declarations = plan.root / _DATA / _DECLARATIONS
        if declarations.parent.is_dir():
            self.folders.add(str(declarations.parent))
            if declarations.is_file():
                yield str(declarations), True

    def _walk_folder(self, folder: str, visited: set[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
        try:
            found = os.stat(folder)
            entries = list(os.scandir(folder))
        except OSError:  # it has gone, or cannot be read
            return
        if (found.st_dev, found.st_ino) in visited:  # links lead round in circles
            return
        visited.add((found.st_dev, found.st_ino))
        if any(entry.name == _ENVIRONMENT for entry in entries):
            return
        self.folders.add(folder)
        public = str(self.plan.root / _PUBLIC)
        is_public = folder == public or folder.startswith(public + os.sep)
        for entry in entries:
            name = entry.name
            try:
                is_folder = entry.is_dir()
            except OSError:
                continue
            if is_folder:
                is_left_out = (name.startswith(".") and name != ".well-known") or name in _SKIPPED
                if not is_left_out and Path(entry.path) not in self.plan.skipped:
                    yield from self._walk_folder(entry.path, visited)
            elif is_public:
                yield entry.path, False
            elif is_watched_name(name):
                yield entry.path, True


def is_watched_name(name: str) -> bool:
    """Return whether a file of this name, outside of ``public/``, is watched: no editor's temporary file is."""
    if name.startswith("."):
        return name == ".env" or name.startswith(".env.")
    return name.endswith(SUFFIXES) or name.endswith(".env")


def _look_at(path: str, before: _Seen | None, *, is_read: bool, is_suspect: bool) -> _Seen:
    """The file as it is now.

    Raises:
        OSError: it has gone, cannot be read, or is no regular file: to open a named pipe would wait for its writer.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    mode = stat.S_IMODE(found.st_mode)
    stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
    if not is_read or found.st_size > _LONGEST:
        return _Seen((found.st_mtime_ns, found.st_size), b"", mode)
    if before is not None and before.stamp == stamp and not is_suspect:
        return before
    with open(path, "rb", opener=_opened) as file:
        return _Seen(stamp, blake2b(file.read(_LONGEST + 1), digest_size=16).digest(), mode)


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # should it have become a named pipe by now

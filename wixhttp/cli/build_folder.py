"""The build folder: where it may be, and how one build of a project takes the place of another, whole at any moment."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from wixhttp.endpoints.static.manifest import Manifest
from wixhttp.errors import BuildError, ConfigError
from wixhttp.project.config import Config
from wixhttp.project.unfinished_files import named_as

_PROTECTED = ("src", "backend", "data", "public")  # folders of a project in which nothing is ever built


def check_place(config: Config) -> None:
    """See to it that the build folder may be replaced: it does not exist, is empty, or is an earlier build.

    Raises:
        ConfigError: it is not, or it is a folder of the project itself.
    """
    place, root = config.build_dir.resolve(), config.root.resolve()
    protected = [*(root / name for name in _PROTECTED), config.pages.resolve()]
    files = [root, config.secrets_file.resolve(), *([] if config.test_site is None else [config.test_site.resolve()])]
    if any(each.is_relative_to(place) for each in (*protected, *files)) or any(map(place.is_relative_to, protected)):
        raise _refused(config, "is a folder of its own, and not one of the project's")
    if not place.exists():
        return
    if not place.is_dir():
        raise _refused(config, "is a folder, and this is a file")
    if any(place.iterdir()) and not _is_built(place):
        raise _refused(config, "is empty or an earlier build, and this holds something else; remove it yourself")


def _refused(config: Config, rule: str) -> ConfigError:
    where = config.sources.get("build_dir", "default")
    return ConfigError(f"{where}: build_dir {rule}: {str(config.build_dir)!r}; set build_dir to another folder")


def _is_built(place: Path) -> bool:
    """Return whether there is a manifest of ours: other programs, too, write a ``manifest.json``."""
    try:
        manifest = json.loads((place / Manifest.NAME).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and isinstance(manifest.get("paths"), dict) and "version" in manifest


@contextlib.contextmanager
def workspace(place: Path) -> Iterator[Path]:
    """A folder beside the build folder, for one build alone; what a killed build left in it is removed before.

    Raises:
        BuildError: another build has it.
    """
    work = place.with_name(f".{place.name}.build")
    lock = work / "lock"
    while True:
        with named_as(place, work):
            work.mkdir(parents=True, exist_ok=True)
        try:
            opened = lock.open("ab")
        except FileNotFoundError:  # another build ended just now
            continue
        with opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BuildError(f"another build of {place} is running; wait for its end") from None
            try:
                is_there = os.path.samestat(os.fstat(opened.fileno()), lock.stat())
            except FileNotFoundError:
                continue
            if not is_there:
                continue
            _clear(work, place)
            try:
                yield work
            finally:
                _clear(work, place)
                lock.unlink()
                with contextlib.suppress(OSError):  # the next build may be in it
                    work.rmdir()
            return


def _clear(work: Path, place: Path) -> None:
    old = work / "old"
    if old.exists() and not place.exists():  # killed between the two steps of a swap
        old.rename(place)
    for folder in (work / "new", old):
        shutil.rmtree(folder, ignore_errors=True)


def swap(new: Path, place: Path, old: Path) -> None:
    """Put the folder ``new`` in the place of another, which is ``old`` or ``new`` then.

    On Linux it is one step, if the file system can do it. Elsewhere there is a moment without a folder, and a build
    that is killed in it is mended by the next one.

    Raises:
        BuildError: the file system does not let it.
    """
    try:
        if not place.exists():
            new.rename(place)
        elif not _exchange(new, place):
            replace_in_steps(new, place, old)
    except OSError as error:
        raise BuildError(
            f"{place} cannot be replaced: {error.strerror}; remove it, or, where it is a mounted folder, set build_dir "
            "to a folder in it"
        ) from None


def replace_in_steps(new: Path, place: Path, old: Path) -> None:
    """Put the folder ``new`` in the place of another, which is ``old`` then. What fails leaves ``place`` as it was."""
    place.rename(old)
    try:
        new.rename(place)
    except BaseException:
        if not place.exists():
            old.rename(place)
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step (Linux, ``renameat2``); ``False`` where that cannot be done."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if renameat2 is None:
        return False
    at_cwd, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if renameat2(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), ctypes.c_uint(exchange)) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(code, os.strerror(code), str(other))
